"""What a mobile operator does for us: it takes money from the account of a number, and says so.

Only its answer moves money. A question without an answer is the hard case, because the money may have gone: ``status``
asks what became of a key, ``reverse`` takes it back, and both may be asked as often as need be. A key moves money once.
Amounts are integer tiyn, times UTC epoch milliseconds. Pure.
"""

import enum
from typing import Protocol

import msgspec

from fare.model import PhoneNumber


class ChargeRefusal(enum.StrEnum):
    """Why an operator does not charge a number."""

    NO_CREDIT = enum.auto()
    CORPORATE_NUMBER = enum.auto()  # a company pays for it
    SIM_CHANGED = enum.auto()  # less than 24 hours ago
    BARRED = enum.auto()  # unpaid loan, never topped up since activation, content services off
    OTHER_OPERATOR = enum.auto()  # not a number of theirs: ported away
    REFUSED = enum.auto()  # for a reason that it does not say, or that we do not know


class ChargeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One charge. ``key`` names it for ever; the same key with another number or amount is refused.

    Raises:
        ValueError: if the amount is not above 0.
    """

    key: str
    number: PhoneNumber
    amount_tiyn: int
    asked_ms: int  # when it was first asked for
    about: str = ""  # what a rider reads on the operator's bill

    def __post_init__(self) -> None:
        """Refuse what must never be sent."""
        if self.amount_tiyn <= 0:
            raise ValueError(f"charge {self.key}: amount_tiyn must be above 0: {self.amount_tiyn}")

    def __repr__(self) -> str:
        """Name the charge without its number."""
        return f"ChargeRequest({self.key}, {self.amount_tiyn} tiyn)"


class Charged(msgspec.Struct, frozen=True, kw_only=True):
    """The operator has taken the money. ``reference`` is its own name for that: what reconciliation joins by."""

    reference: str
    amount_tiyn: int


class ChargeRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The operator has taken nothing and will not, under this key."""

    reason: ChargeRefusal


class ChargeReversed(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken is given back, or was never taken and cannot be any more."""


class ChargeUnknown(msgspec.Struct, frozen=True, kw_only=True):
    """``status`` only: the operator has not heard of the key. The request may still be on its way."""


class ChargeUnansweredError(Exception):
    """The operator did not answer, or not so that it could be believed: nobody knows what became of the charge."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"charge {key}: no answer: {why}")
        self.key = key


class OperatorCharging(Protocol):
    """One operator. Every method may be called again with the same key, and raises ChargeUnansweredError."""

    async def charge(self, request: ChargeRequest) -> Charged | ChargeRefused:
        """Take the money once; return what became of it.

        Raises:
            ChargeUnansweredError: if that is not known. Ask ``status``, or ``reverse``.
        """

    async def status(self, key: str) -> Charged | ChargeRefused | ChargeReversed | ChargeUnknown:
        """Return what became of a charge.

        Raises:
            ChargeUnansweredError: if that is not known.
        """

    async def reverse(self, key: str) -> ChargeReversed:
        """Give the money back; a key that was never charged can never be charged after that.

        Raises:
            ChargeUnansweredError: if that is not known. Ask again until it is.
        """
