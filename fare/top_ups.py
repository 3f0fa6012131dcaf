"""Money on its way from a bank into a wallet: how it stands, and what follows from each word of the bank.

Banks say things twice, late and in disorder. So a ``BankWord`` says how its payment stands as a whole, what is known is
the furthest that was ever said (``_RANK``; amounts that went back only grow), and what moves is the difference between
that and what has moved. Any order of the same words, each any number of times, ends in the same balances.

Money that came is never refused: a payment that is paid after we gave it up is credited. Money that went back is never
credited: a refund that is heard of before its payment closes it. Amounts are integer tiyn, times UTC epoch
milliseconds. Pure.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NewType

import msgspec

from fare.model import MediumId

BankName = NewType("BankName", str)  # "redirect", "epay", "kaspi": the last part of routes, accounts and labels
Invoice = NewType("Invoice", str)  # our number of a top-up as banks get it: 6 to 15 digits, no leading zero

DAY_MS: Final = 86_400_000


class TopUpState(enum.StrEnum):
    """How far a top-up has come."""

    CREATED = enum.auto()  # kept, and the bank may know of it or not
    PENDING = enum.auto()  # the rider has the bank's page or QR
    EXPIRED = enum.auto()  # not paid in time
    REFUSED = enum.auto()  # the bank or the rider's bank said no
    CREDITED = enum.auto()  # on the wallet
    REFUNDED = enum.auto()  # all of it went back


_RANK: Final[Mapping[TopUpState, int]] = MappingProxyType({state: rank for rank, state in enumerate(TopUpState)})


class BankState(enum.StrEnum):
    """How a payment stands at the bank. Money that went back is ``PAID`` with an amount refunded."""

    PENDING = enum.auto()
    EXPIRED = enum.auto()
    REFUSED = enum.auto()
    PAID = enum.auto()


_UNPAID: Final[Mapping[BankState, TopUpState]] = MappingProxyType(
    {
        BankState.PENDING: TopUpState.PENDING,
        BankState.EXPIRED: TopUpState.EXPIRED,
        BankState.REFUSED: TopUpState.REFUSED,
    }
)


class BankWord(msgspec.Struct, frozen=True, kw_only=True):
    """What a bank says of one payment, as a whole, in tenge's tiyn."""

    invoice: Invoice
    operation_id: str  # the bank's own name of the payment
    state: BankState
    amount_tiyn: int
    refunded_tiyn: int | None = 0  # of that, in all; None: some, and the bank does not say how much


class TopUp(msgspec.Struct, frozen=True, kw_only=True):
    """One top-up as we know it."""

    invoice: Invoice
    bank: BankName
    medium_id: MediumId
    amount_tiyn: int
    created_ms: int
    expires_ms: int
    state: TopUpState = TopUpState.CREATED
    credited: bool = False  # the wallet had it once, whatever went back since
    operation_id: str = ""  # of the payment that was credited or had gone back
    said_back_tiyn: int = 0  # the most that the bank said went back
    asked_back_tiyn: int = 0  # what will have gone back in all when our own refunds are done
    taken_tiyn: int = 0  # what was taken from the wallet again

    @property
    def back_tiyn(self) -> int:
        """Return what has gone back to the payer or is on its way."""
        return max(self.said_back_tiyn, self.asked_back_tiyn)


class Heard(enum.StrEnum):
    """What became of a bank's word, in order of precedence."""

    UNKNOWN = enum.auto()  # no top-up of ours
    MESSAGE_REUSED = enum.auto()  # the id of a message came with another content
    REPEATED = enum.auto()  # the message was taken before
    AMOUNT_DIFFERS = enum.auto()  # not what was asked for, or not what was said before
    OPERATION_REUSED = enum.auto()  # one payment for two top-ups, or two for one
    REFUND_UNCLEAR = enum.auto()  # something went back and nobody says how much
    OVER_LIMIT = enum.auto()  # more than may be topped up: the bank gives it back
    CREDITED = enum.auto()
    CHARGED_BACK = enum.auto()  # the bank took back what had been credited
    WENT_BACK = enum.auto()  # it had gone back before it was credited
    NOTED = enum.auto()  # it is further, and no money moved
    UNCHANGED = enum.auto()

    @property
    def alarms(self) -> bool:
        """Return whether a person must look: a mistake of a bank, a fraud, or a bug."""
        return self in _ALARMING


_ALARMING: Final = frozenset({Heard.MESSAGE_REUSED, Heard.AMOUNT_DIFFERS, Heard.OPERATION_REUSED, Heard.REFUND_UNCLEAR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Follows:
    """What follows from a word: how the top-up stands now, and what moves."""

    heard: Heard
    top_up: TopUp
    credit_tiyn: int = 0
    take_tiyn: int = 0  # back from the wallet, and from a debt where the wallet has less


def decide(top_up: TopUp, word: BankWord) -> Follows:
    """Say what follows from ``word``, which is of this top-up's invoice and bank and is authentic."""
    if word.state is not BankState.PAID:
        state = _UNPAID[word.state]
        if _RANK[state] <= _RANK[top_up.state]:
            return Follows(heard=Heard.UNCHANGED, top_up=top_up)
        return Follows(heard=Heard.NOTED, top_up=msgspec.structs.replace(top_up, state=state))
    if word.amount_tiyn != top_up.amount_tiyn or not 0 <= (word.refunded_tiyn or 0) <= word.amount_tiyn:
        return Follows(heard=Heard.AMOUNT_DIFFERS, top_up=top_up)
    if top_up.operation_id not in {"", word.operation_id}:
        return Follows(heard=Heard.OPERATION_REUSED, top_up=top_up)
    if word.refunded_tiyn is None:
        return _unclear(top_up, word)
    return _paid(top_up, word.operation_id, word.refunded_tiyn)


def _unclear(top_up: TopUp, word: BankWord) -> Follows:
    """Answer a refund of unknown amount: what is not on the wallet stays away, what is stays there."""
    if top_up.operation_id:
        # What we gave back ourselves explains it; anything else is for a person and for reconciliation.
        heard = Heard.UNCHANGED if top_up.back_tiyn else Heard.REFUND_UNCLEAR
        return Follows(heard=heard, top_up=top_up)
    closed = msgspec.structs.replace(top_up, state=TopUpState.REFUNDED, operation_id=word.operation_id)
    return Follows(heard=Heard.REFUND_UNCLEAR, top_up=closed)


def _paid(top_up: TopUp, operation_id: str, refunded_tiyn: int) -> Follows:
    first = not top_up.operation_id
    credited = top_up.credited or (first and refunded_tiyn < top_up.amount_tiyn)
    now = msgspec.structs.replace(
        top_up,
        operation_id=operation_id,
        credited=credited,
        said_back_tiyn=max(top_up.said_back_tiyn, refunded_tiyn),
    )
    now = _settled(now)
    take_tiyn = now.taken_tiyn - top_up.taken_tiyn
    if now == top_up:
        heard = Heard.UNCHANGED
    elif first:
        heard = Heard.CREDITED if credited else Heard.WENT_BACK
    else:
        heard = Heard.CHARGED_BACK if take_tiyn else Heard.NOTED
    return Follows(
        heard=heard, top_up=now, credit_tiyn=top_up.amount_tiyn if first and credited else 0, take_tiyn=take_tiyn
    )


def _settled(top_up: TopUp) -> TopUp:
    """Return ``top_up`` with what must have been taken from the wallet, given what went back, and its state."""
    state = (
        TopUpState.REFUNDED if top_up.back_tiyn == top_up.amount_tiyn or not top_up.credited else TopUpState.CREDITED
    )
    return msgspec.structs.replace(top_up, state=state, taken_tiyn=top_up.back_tiyn if top_up.credited else 0)


class BackOutcome(enum.StrEnum):
    """What became of a request to give money of a top-up back, in order of precedence."""

    REPEATED = enum.auto()  # asked before under this key, and not decided by the bank yet
    DONE = enum.auto()  # the bank has given it back
    BANK_REFUSED = enum.auto()  # the money is on the wallet again
    KEY_REUSED = enum.auto()
    UNKNOWN = enum.auto()  # no such top-up of this medium
    NOT_CREDITED = enum.auto()
    NOT_POSSIBLE = enum.auto()  # this way of paying gives nothing back by itself: a person must
    NOT_POSITIVE = enum.auto()
    EXCEEDS_PAID = enum.auto()  # with all that went back before
    SPENT = enum.auto()  # the wallet has less: only unused money goes back
    ASKED = enum.auto()  # it left the wallet, and the bank is asked


def decide_back(top_up: TopUp, amount_tiyn: int, available_tiyn: int) -> BackOutcome:
    """Say whether ``amount_tiyn`` of ``top_up`` may go back, where the wallet has ``available_tiyn``."""
    if not top_up.credited:
        return BackOutcome.NOT_CREDITED
    if amount_tiyn <= 0:
        return BackOutcome.NOT_POSITIVE
    if amount_tiyn > top_up.amount_tiyn - top_up.back_tiyn:
        return BackOutcome.EXCEEDS_PAID
    return BackOutcome.ASKED if amount_tiyn <= available_tiyn else BackOutcome.SPENT


def asked_back(top_up: TopUp, amount_tiyn: int) -> TopUp:
    """Return ``top_up`` once a refund that may be is asked for: it comes on top of all that went back."""
    return _settled(msgspec.structs.replace(top_up, asked_back_tiyn=top_up.back_tiyn + amount_tiyn))


def refused_back(top_up: TopUp, amount_tiyn: int) -> TopUp:
    """Return ``top_up`` after the bank refused that refund; what the bank took back meanwhile stays taken."""
    return _settled(msgspec.structs.replace(top_up, asked_back_tiyn=top_up.asked_back_tiyn - amount_tiyn))


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpRules:
    """Limits. A day is the last 24 hours; what is not paid yet counts until it expires."""

    min_tiyn: int = 10_000
    max_tiyn: int = 2_000_000
    day_max_tiyn: int = 5_000_000
    open_max: int = 5  # not yet paid, of one medium


class Beginning(enum.StrEnum):
    """What became of a wish to top up, in order of precedence."""

    UNKNOWN_BANK = enum.auto()
    KEY_REUSED = enum.auto()  # the key began another top-up
    TOO_LITTLE = enum.auto()
    TOO_MUCH = enum.auto()
    TOO_MUCH_TODAY = enum.auto()
    TOO_MANY_OPEN = enum.auto()
    BANK_REFUSED = enum.auto()
    BANK_SILENT = enum.auto()  # ask again with the same key
    BEGUN = enum.auto()


def over_limit(amount_tiyn: int, today_tiyn: int, open_count: int, rules: TopUpRules) -> Beginning | None:
    """Return which limit a top-up would break, given what the medium has topped up today and not paid yet."""
    if amount_tiyn < rules.min_tiyn:
        return Beginning.TOO_LITTLE
    if amount_tiyn > rules.max_tiyn:
        return Beginning.TOO_MUCH
    if today_tiyn + amount_tiyn > rules.day_max_tiyn:
        return Beginning.TOO_MUCH_TODAY
    return Beginning.TOO_MANY_OPEN if open_count >= rules.open_max else None
