"""Messages that come in and go out, and what becomes of them. Times are UTC epoch milliseconds.

Numbers are kept where they are needed to answer and nowhere else: a representation of these values shows none.
"""

import enum
import string
from typing import Final

import msgspec

from fare.model import PhoneNumber

PLAIN: Final = frozenset(string.ascii_letters + string.digits + " \n\r!\"#%&'()*+,-./:;<=>?")  # of GSM 7 bit and ASCII
PLAIN_MAX: Final = 160  # letters of one message, if all are plain
UCS2_MAX: Final = 70  # and if one is not
TEXT_MAX: Final = 1_000  # characters of an incoming text that are looked at; a command has twenty


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A message from a mobile, as a bind or a gateway handed it over."""

    operator: str  # of the bind it came through: by the connection, never by the message
    message_id: str = ""  # by which the operator names it; "" where it has no name
    sender: str  # as it came: a number in any form, a name, a short code
    short_code: str
    text: str
    sent_ms: int | None = None  # by the operator's clock
    received_ms: int

    def __repr__(self) -> str:
        """Name the message without its sender and text."""
        return f"Incoming({self.operator} {self.message_id!r}, {len(self.text)} characters)"


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a mobile. The same ``id`` is the same message, however often it is handed over."""

    id: int
    operator: str  # through whose bind it goes: that of the message it answers
    to: PhoneNumber
    short_code: str
    text: str

    def __repr__(self) -> str:
        """Name the message without number and text."""
        return f"Outgoing({self.id} by {self.operator}, {len(self.text)} characters)"


class OutgoingState(enum.StrEnum):
    """How far a message has come. It only goes forward: a receipt that comes late or again changes nothing back."""

    DUE = enum.auto()
    HANDED_OVER = enum.auto()  # the operator's centre has it
    DELIVERED = enum.auto()
    FAILED = enum.auto()  # expired, deleted, undeliverable, rejected


class NextBus(msgspec.Struct, frozen=True, kw_only=True):
    """A bus that will come."""

    route: str  # as riders call the line
    minutes: int
    live: bool  # False: as the timetable says


class CancelledBus(msgspec.Struct, frozen=True, kw_only=True):
    """A bus that was to come and does not."""

    route: str
    planned_ms: int


class StopAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What dispatchers say of a stop. ``effect`` is GTFS-Realtime's, "" if not told; ``routes``: none named is all."""

    header: str
    foreign: bool = False  # the header is in another language than the rider's
    effect: str = ""
    routes: tuple[str, ...] = ()


class StopBoard(msgspec.Struct, frozen=True, kw_only=True):
    """What comes to a stop, and what does not, the soonest first; alerts, what matters most first."""

    name: str
    buses: tuple[NextBus, ...]
    alerts: tuple[StopAlert, ...] = ()
    cancelled: tuple[CancelledBus, ...] = ()


class Taken(enum.StrEnum):
    """What became of an incoming message. Each is a metric label and a line of docs/sms.md."""

    ANSWERED = enum.auto()
    REPEATED = enum.auto()  # it was taken before; its answer is not made again
    NOBODY = enum.auto()  # the sender is no mobile number of the country: a name, a short code, another country
    NOT_OUR_CODE = enum.auto()
    OTHER_OPERATOR = enum.auto()  # the number is known to be of another operator than the bind
    TOO_MANY = enum.auto()  # of this number, or that looks like a loop: silence ends it
    STOPPED = enum.auto()  # the number has asked for silence


class ReceiptTaken(enum.StrEnum):
    """What became of a delivery receipt."""

    APPLIED = enum.auto()
    OLD = enum.auto()  # the message has come further already
    UNKNOWN = enum.auto()  # of no message that we handed over to this operator: forged, or not ours
