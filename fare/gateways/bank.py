"""What a bank does for a rider who tops up, whatever it speaks: opens a payment, says how it stands, gives money back.

An answer that is lost is the hard case: the money may have moved. So every request is kept before it is sent and has a
name of ours (the invoice, the refund's reference) under which the bank does it once, and asking again is safe.

Some banks begin by themselves: the rider chooses us in the bank's app. They have no ``Bank`` here, only an account, and
their requests come in through the hooks (``fare.api.bank_hooks``). What comes in is authentic, of the right form and in
tenge before it becomes a ``BankWord``; anything else is a ``HookRefusal``. Pure.
"""

import decimal
import enum
import re
from typing import Final, Protocol

import msgspec

from fare.top_ups import BankWord, Invoice

TENGE: Final = "KZT"
TIYN_PER_TENGE: Final = 100
AMOUNT_MAX_TIYN: Final = 10**12  # ten billion tenge in one payment is a mistake
LINK_MAX: Final = 2_000  # characters of a page's address or a QR's content

_OPERATION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that a rider wants to make. ``echo`` is a secret that only the bank and we know of it."""

    invoice: Invoice
    amount_tiyn: int
    echo: str
    expires_ms: int
    language: str = "kk"  # kk, ru or en


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rider pays: a page to go to, and for some banks a QR to scan."""

    link: str
    qr: str = ""


class OpenRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The bank opens no such payment; ``reason`` is the bank's own word, for logs."""

    reason: str


class Returning(enum.StrEnum):
    """What a bank answered to a refund."""

    DONE = enum.auto()
    REFUSED = enum.auto()


class BankSilentError(Exception):
    """A bank gave no answer that could be understood: it may have done it or not. Ask again."""

    def __init__(self, bank: str, what: str, why: str) -> None:
        super().__init__(f"bank {bank}: {what}: {why}")
        self.bank, self.what, self.why = bank, what, why


class Bank(Protocol):
    """A bank that we ask. Each method is safe to call again and raises ``BankSilentError`` where nothing is known."""

    @property
    def lifetime_ms(self) -> int:
        """How long a rider may take to pay."""

    async def open(self, intent: Intent) -> Opened | OpenRefused:
        """Open a payment, or return the one that was opened for this invoice."""

    async def status(self, invoice: Invoice) -> BankWord | None:
        """Return how the payment of an invoice stands; None: the bank knows of none."""

    async def give_back(self, payment: BankWord, reference: str, amount_tiyn: int) -> Returning:
        """Give part of a payment back, once for each ``reference``."""


class HookRefusal(enum.StrEnum):
    """Why a request that claims to be a bank's is not believed, in order of precedence."""

    TOO_OFTEN = enum.auto()  # too many refused ones from this address lately
    ADDRESS = enum.auto()  # not an address of this bank
    MALFORMED = enum.auto()
    SIGNATURE = enum.auto()  # none, of another secret, or of another content
    CLOCK = enum.auto()  # signed too long ago, or in the future: it could be a replay
    CURRENCY = enum.auto()  # not tenge


def tiyn_of(tenge: decimal.Decimal) -> int:
    """Return an amount of a bank in tiyn.

    Raises:
        ValueError: if it is not a number, not above zero, too large, or has more than two decimals.
    """
    if not tenge.is_finite() or not 0 < tenge * TIYN_PER_TENGE <= AMOUNT_MAX_TIYN:
        raise ValueError(f"amount must be above 0, at most {AMOUNT_MAX_TIYN // TIYN_PER_TENGE}: {tenge}")
    tiyn = tenge * TIYN_PER_TENGE
    if tiyn != tiyn.to_integral_value():
        raise ValueError(f"amount must have at most two decimals: {tenge}")
    return int(tiyn)


def tenge_of(tiyn: int) -> str:
    """Return an amount as banks write it: ``500.00``."""
    return f"{tiyn // TIYN_PER_TENGE}.{tiyn % TIYN_PER_TENGE:02d}"


def check_operation_id(operation_id: str) -> str:
    """Return a bank's name of a payment.

    Raises:
        ValueError: if it has a form that our books could not hold.
    """
    if not _OPERATION_ID.fullmatch(operation_id):
        raise ValueError(f"operation id must be 1 to 64 letters, digits, hyphens, underscores: {operation_id[:64]!r}")
    return operation_id
