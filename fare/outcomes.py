"""What becomes of a tap and of a journal: closed enumerations, each a metric label, an answer, a line in the docs."""

import enum


class TapOutcome(enum.StrEnum):
    """What the validator said, and what it means for money. The record keeps it: the passenger has seen it."""

    ACCEPTED = enum.auto()  # green: a ride begins, its price follows from the tariff
    ALREADY_PAID = enum.auto()  # green: the same medium on the same vehicle again; no second ride
    FREE_BY_RULE = (
        enum.auto()
    )  # green: the operator's rule lets ride for nothing what we could not read or refused wrongly
    REFUSED_DENIED = enum.auto()  # red: on the deny list
    REFUSED_LIMIT = enum.auto()  # red: more offline rides, money or age of list than the operator risks
    REFUSED_UNKNOWN = enum.auto()  # red: no medium of ours, or its proof failed
    REFUSED_EXPIRED = enum.auto()  # red: the medium's own life is over
    TORN = enum.auto()  # red: the medium left the field too early; nothing happened, hold it again
    CLASH = enum.auto()  # red: two media in the field; show one

    @property
    def rides(self) -> bool:
        """Return whether a ride begins: the only taps that a tariff prices."""
        return self is TapOutcome.ACCEPTED


class Posting(enum.StrEnum):
    """What became of a journal handed to the ledger, in order of precedence."""

    POSTED = enum.auto()
    KEY_REUSED = enum.auto()  # same key, other content: a bug or a fraud, never a success
    UNBALANCED = enum.auto()
    UNKNOWN_ACCOUNT = enum.auto()
    NOTHING_PENDING = enum.auto()  # post, void or expire of what is not pending, or not any more
    EXCEEDS_PENDING = enum.auto()  # more is posted than was held
    NOTHING_TO_REVERSE = enum.auto()  # no such journal moved money, or its legs are others
    ALREADY_REVERSED = enum.auto()
    BALANCE_TOO_LOW = enum.auto()


class TapReceipt(enum.StrEnum):
    """What became of an uploaded tap. (device, sequence) names it; the device may forget all but what is forked."""

    STORED = enum.auto()
    REPEATED = enum.auto()  # it was stored before, the same
    FORKED = enum.auto()  # another tap was stored under its name: a cloned or tampered device
