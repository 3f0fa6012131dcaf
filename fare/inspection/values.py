"""What an inspector asks, what is known of a vehicle, and what the answer can be.

Nothing here names an account, an amount to charge or a tap to be made: an inspector's device cannot charge (incident
I3). Times are UTC epoch milliseconds. A passenger shows ten digits that stand for a medium or for one ticket
(``check_code``), or a phone's live code (``fare.phone.own_qr``).
"""

import enum
from typing import Annotated

import msgspec

from fare.model import MediumId, Riders
from fare.outcomes import TapOutcome
from fare.phone.own_qr import PhoneKey


class Standing(enum.StrEnum):
    """Whether the passenger may ride on this vehicle now, in order of precedence. Each has its text."""

    PAID = enum.auto()
    FREE = enum.auto()  # by the operator's rule: this vehicle's validator is broken, or refused wrongly
    UNKNOWN = enum.auto()  # what the validator knows has not reached us: nobody may be warned for that
    GRACE = enum.auto()  # not paid, and still time: until the next stop
    EXPIRED = enum.auto()  # paid here, and what was paid for is over
    OTHER_VEHICLE = enum.auto()  # paid on another vehicle
    REFUSED = enum.auto()  # held to the validator here, and refused
    SHOWN = enum.auto()  # paid here, and as many passengers as it was paid for have just shown it
    NOT_LIVE = enum.auto()  # a phone's code that is not of now: a picture of it
    NOT_PAID = enum.auto()

    @property
    def founds_warning(self) -> bool:
        """Return whether a passenger may be warned for it."""
        return self not in {Standing.PAID, Standing.FREE, Standing.UNKNOWN, Standing.GRACE}


class Showing(msgspec.Struct, frozen=True, kw_only=True):
    """An inspector was shown what a tap paid for. ``showing_id``: made by their phone, the same for one passenger."""

    showing_id: str
    at_ms: int


class KnownTap(msgspec.Struct, frozen=True, kw_only=True):
    """A tap as the server knows it: on the vehicle asked about, or of the same medium elsewhere lately."""

    key: str = ""
    medium_id: MediumId
    vehicle_id: str
    tapped_ms: int
    outcome: TapOutcome
    riders: tuple[Riders, ...] = ()
    until_ms: int = 0  # what was paid for ends then, by the tariff; 0 unless a ride began
    shown: tuple[Showing, ...] = ()


class VehicleNow(msgspec.Struct, frozen=True, kw_only=True):
    """Where a vehicle is, as tracking says."""

    route_id: str = ""
    left_stop_ms: int = 0  # when it last left a stop; 0: it stands at one, or it is unknown
    next_stop: str = ""  # its name, in the network's own language


class VehicleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the server knows of one vehicle."""

    vehicle_id: str
    route_id: str = ""
    taps: tuple[KnownTap, ...] = ()
    phones: tuple[PhoneKey, ...] = ()  # in force, of the media of these taps
    complete_until_ms: int  # every tap up to then has been uploaded
    left_stop_ms: int = 0  # when it last left a stop; 0: unknown
    next_stop: str = ""  # its name, in the network's own language
    rides_free: bool = False


class ListedTap(msgspec.Struct, frozen=True, kw_only=True):
    """A tap as an inspector's phone holds it: codes under the list's own salt, no medium."""

    code_hash: str  # of the medium's check code
    ticket_hash: str  # of the code of this ride alone
    here: bool  # on this vehicle
    tapped_ms: int
    outcome: TapOutcome
    riders: tuple[Riders, ...] = ()
    until_ms: int = 0
    shown: tuple[Showing, ...] = ()


class ListedPhone(msgspec.Struct, frozen=True, kw_only=True):
    """A phone's key as an inspector's phone holds it: only who is shown the phone's code can open it."""

    key_hash: str  # of the key's id, under the list's salt
    sealed: str  # the public key, 64 hexadecimal digits, under a pad made of salt and key id
    code_hash: str  # of its medium's check code


class VehicleList(msgspec.Struct, frozen=True, kw_only=True):
    """All that a phone needs to answer for one vehicle without a connection."""

    vehicle_id: str
    route_id: str
    made_ms: int
    complete_until_ms: int
    left_stop_ms: int
    next_stop: str
    rides_free: bool
    salt: str  # 32 hexadecimal digits, new for every list
    city: str  # whose phones' codes are taken
    taps: tuple[ListedTap, ...]
    phones: tuple[ListedPhone, ...]
    age_max_ms: int  # older than this, the list knows nothing
    round_ms: int  # showings count for so long
    fine_tiyn: int  # of a protocol, as it is set now


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What an inspector asks. ``boarded_before``: the passenger was aboard already at the last stop.

    ``showing_id``: the same as long as it is about one passenger, however often it is asked; "" is never counted.
    """

    vehicle_id: str
    code: str
    boarded_before: bool = False
    showing_id: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. What it is shown with depends on the standing; the rest is empty."""

    standing: Standing
    otherwise: Standing | None = None  # of GRACE: what it will be at the next stop
    tapped_ms: int = 0
    until_ms: int = 0
    riders: tuple[Riders, ...] = ()
    shown_ms: int = 0  # of SHOWN: when it was shown last
    next_stop: str = ""
    complete_until_ms: int


class InspectionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator sets. A fine is 2 monthly calculation indices in Shymkent (2026: 8,650 tenge)."""

    list_age_max_ms: int = 180_000
    round_ms: int = 600_000  # of one walk through a bus: an honest passenger is asked once in it, the next one later
    fine_tiyn: int = 865_000
    appeal_days: int = 10
    warning_first: bool = True  # a protocol needs a warning before it

    def __post_init__(self) -> None:
        """Refuse rules that could never be meant.

        Raises:
            ValueError: naming the rule.
        """
        for name in ("list_age_max_ms", "round_ms", "fine_tiyn", "appeal_days"):
            if getattr(self, name) <= 0:
                raise ValueError(f"inspection.{name} must be above 0: {getattr(self, name)}")
