"""Values that the rooms of money speak in. Amounts are integer tiyn (1/100 tenge), times UTC epoch milliseconds.

A tap is a fact that a device recorded and signed. A ride is a tap with its place: what a tariff prices. Prices can be
derived again from taps at any time, taps never from prices.
"""

import enum
from typing import Final, NewType

import msgspec

from fare.outcomes import TapOutcome

AccountCode = NewType("AccountCode", str)  # "wallet:6f…", "carrier:k1"; the chart is in ``fare.ledger.accounts``
CarrierId = NewType("CarrierId", str)  # GTFS agency_id
DeviceId = NewType("DeviceId", str)
JournalKey = NewType("JournalKey", str)  # made by who causes the movement; the same key moves money once
MediumId = NewType("MediumId", str)  # keyed hash of what the medium says of itself, 32 hexadecimal digits
PhoneNumber = NewType("PhoneNumber", str)  # E.164: "+77011234567"; kept only where it is answered, never logged
RiderCategory = NewType("RiderCategory", str)  # Fares v2 rider_category_id


# Devices that are none: rides bought by telephone are taps of theirs. No validator can be called so.
SELLERS: Final = frozenset({DeviceId("phone"), DeviceId("sms")})


class MediumKind(enum.StrEnum):
    """How a passenger shows who pays."""

    CASH = enum.auto()
    TRANSPORT_CARD = enum.auto()
    BANK_CARD = enum.auto()
    PHONE = enum.auto()
    SMS = enum.auto()


class Riders(msgspec.Struct, frozen=True, kw_only=True):
    """Some passengers of one category that ride on one tap."""

    category: RiderCategory
    count: int


class Tap(msgspec.Struct, frozen=True, kw_only=True):
    """A medium was presented to a device: what the device's journal keeps and signs. (device, sequence) names it."""

    device_id: DeviceId
    sequence: int  # of the device's journal: rises; what lies between two taps are notes, as of a corrected clock
    tapped_ms: int  # by the device's clock
    clock_offset_ms: int = 0  # what to add to it, as far as the device knew then
    medium_id: MediumId
    medium_kind: MediumKind
    outcome: TapOutcome
    riders: tuple[Riders, ...] = ()  # empty: one rider of the category that the medium's profile has
    vehicle_id: str
    route_id: str = ""  # as far as the vehicle knows; the server fills place in from tracking
    trip_id: str = ""  # likewise
    shown_tiyn: int = 0  # price that the passenger was shown
    tariff_version: str = ""
    deny_list_version: int = 0
    counter: int = -1  # EMV application transaction counter, or the second of a phone's code; DESFire has none

    @property
    def key(self) -> str:
        """Return what names the tap everywhere."""
        return f"{self.device_id}:{self.sequence}"

    @property
    def occurred_ms(self) -> int:
        """Return when it was, as well as the device knew: its clock and the correction."""
        return self.tapped_ms + self.clock_offset_ms


class Ride(msgspec.Struct, frozen=True, kw_only=True):
    """A tap that is charged, and where it was made: the only thing a tariff needs to know of the world."""

    key: str  # of the tap
    tapped_ms: int
    medium_id: MediumId
    medium_kind: MediumKind
    riders: tuple[Riders, ...] = ()
    vehicle_id: str
    carrier_id: CarrierId
    route_id: str = ""
    trip_id: str = ""
    stop_id: str = ""
    to_stop_id: str = ""  # where it ends, if the passenger said so or tapped out


class LocatedTap(msgspec.Struct, frozen=True, kw_only=True):
    """A tap as the server stores it: with its ride, if one began, whose key is the tap's."""

    tap: Tap
    ride: Ride | None = None


class Concession(msgspec.Struct, frozen=True, kw_only=True):
    """A right to ride as a category, proven once. Dates are days of the city, ISO 8601; the last day is included."""

    category: RiderCategory
    from_date: str
    until_date: str  # "" for ever; a pupil's ends on the eve of the 18th birthday
    evidence: str = ""  # a reference to the document, never the document


class PassHeld(msgspec.Struct, frozen=True, kw_only=True):
    """A pass bought before: its product of the tariff, and when it counts."""

    product_id: str
    from_ms: int
    until_ms: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Who rides on a medium."""

    concessions: tuple[Concession, ...] = ()
    passes: tuple[PassHeld, ...] = ()


class PriceReason(enum.StrEnum):
    """Why one rider of a ride pays what is charged."""

    FULL = enum.auto()
    CONCESSION = enum.auto()
    QUOTA = enum.auto()  # one of the free rides a day of a category
    TRANSFER = enum.auto()
    DAY_CAP = enum.auto()
    WEEK_CAP = enum.auto()
    PASS = enum.auto()
    EXPRESS = enum.auto()
    NO_FARE = enum.auto()  # the tariff has no price for this ride: it is free, and a report shows it


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a bill: the riders of one category on one ride."""

    ride_key: str
    category: RiderCategory
    count: int
    product_id: str
    full_tiyn: int  # what riders without concession, transfer, cap or pass would pay together
    subsidy_tiyn: int  # of that, what ``paid_by`` pays for a concession
    charged_tiyn: int
    reason: PriceReason
    until_ms: int = 0  # transfers are free until then; 0: none follow, or all rides are free
    capped_tiyn: int = 0  # the cap that was reached, 0: none
    paid_by: str = ""  # who pays ``subsidy_tiyn``, as the tariff names them


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What the rides of one medium cost, in order of time."""

    charges: tuple[Charge, ...]
    tariff_versions: tuple[str, ...]

    @property
    def total_tiyn(self) -> int:
        """Return what is charged in all."""
        return sum(charge.charged_tiyn for charge in self.charges)


class JournalKind(enum.StrEnum):
    """What a movement of money is for."""

    FARE = enum.auto()
    TOP_UP = enum.auto()
    PASS_SALE = enum.auto()
    REFUND = enum.auto()
    CHARGEBACK = enum.auto()
    SETTLEMENT = enum.auto()
    DEBT_RECOVERY = enum.auto()
    WRITE_OFF = enum.auto()
    CORRECTION = enum.auto()


class Phase(enum.StrEnum):
    """Two-phase movements hold money first and move it later (or not)."""

    DIRECT = enum.auto()
    PENDING = enum.auto()
    POST = enum.auto()  # of what ``Journal.pending_key`` holds
    VOID = enum.auto()
    EXPIRE = enum.auto()


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):  # no cycles, and very many
    """One leg: debit positive, credit negative."""

    account: AccountCode
    amount_tiyn: int


class Journal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One movement of money whose legs sum to zero: all of it happens, once, or none."""

    key: JournalKey
    kind: JournalKind
    occurred_ms: int
    entries: tuple[Entry, ...]
    phase: Phase = Phase.DIRECT
    pending_key: JournalKey | None = None  # the hold that POST, VOID and EXPIRE resolve
    expires_ms: int | None = None  # of a hold
    reverses: JournalKey | None = None  # a correction: the same legs with opposite signs
    subject: str = ""  # what it is about: a tap, a top-up, a settlement
