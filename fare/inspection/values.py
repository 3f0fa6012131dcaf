"""What an inspector asks, what is known of a vehicle, and what the answer can be.

Nothing here names an account, an amount to charge or a tap to be made: an inspector's device cannot charge (incident
I3). Times are UTC epoch milliseconds. A passenger shows a check code, ten digits that stand for a medium
(``check_code``).
"""

import enum

import msgspec

from fare.model import MediumId, Riders
from fare.outcomes import TapOutcome


class Standing(enum.StrEnum):
    """Whether the passenger may ride on this vehicle now, in order of precedence. Each has its text."""

    PAID = enum.auto()
    FREE = enum.auto()  # by the operator's rule: this vehicle's validator is broken, or refused wrongly
    UNKNOWN = enum.auto()  # what the validator knows has not reached us: nobody may be warned for that
    GRACE = enum.auto()  # not paid, and still time: until the next stop
    EXPIRED = enum.auto()  # paid here, and what was paid for is over
    OTHER_VEHICLE = enum.auto()  # paid on another vehicle
    REFUSED = enum.auto()  # held to the validator here, and refused
    NOT_PAID = enum.auto()

    @property
    def founds_warning(self) -> bool:
        """Return whether a passenger may be warned for it."""
        return self in {Standing.EXPIRED, Standing.OTHER_VEHICLE, Standing.REFUSED, Standing.NOT_PAID}


class KnownTap(msgspec.Struct, frozen=True, kw_only=True):
    """A tap as the server knows it: on the vehicle asked about, or of the same medium elsewhere lately."""

    medium_id: MediumId
    vehicle_id: str
    tapped_ms: int
    outcome: TapOutcome
    riders: tuple[Riders, ...] = ()
    until_ms: int = 0  # what was paid for ends then, by the tariff; 0 unless a ride began


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
    complete_until_ms: int  # every tap up to then has been uploaded
    left_stop_ms: int = 0  # when it last left a stop; 0: unknown
    next_stop: str = ""  # its name, in the network's own language
    rides_free: bool = False


class ListedTap(msgspec.Struct, frozen=True, kw_only=True):
    """A tap as an inspector's phone holds it: the code under the list's own salt, no medium."""

    code_hash: str
    here: bool  # on this vehicle
    tapped_ms: int
    outcome: TapOutcome
    riders: tuple[Riders, ...] = ()
    until_ms: int = 0


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
    taps: tuple[ListedTap, ...]
    age_max_ms: int  # older than this, the list knows nothing
    fine_tiyn: int  # of a protocol, as it is set now


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What an inspector asks. ``boarded_before``: the passenger was aboard already at the last stop."""

    vehicle_id: str
    code: str
    boarded_before: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. What it is shown with depends on the standing; the rest is empty."""

    standing: Standing
    otherwise: Standing | None = None  # of GRACE: what it will be at the next stop
    tapped_ms: int = 0
    until_ms: int = 0
    riders: tuple[Riders, ...] = ()
    next_stop: str = ""
    complete_until_ms: int


class InspectionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator sets. A fine is 2 monthly calculation indices in Shymkent (2026: 8,650 tenge)."""

    list_age_max_ms: int = 180_000
    fine_tiyn: int = 865_000
    appeal_days: int = 10
    warning_first: bool = True  # a protocol needs a warning before it

    def __post_init__(self) -> None:
        """Refuse rules that could never be meant.

        Raises:
            ValueError: naming the rule.
        """
        for name in ("list_age_max_ms", "fine_tiyn", "appeal_days"):
            if getattr(self, name) <= 0:
                raise ValueError(f"inspection.{name} must be above 0: {getattr(self, name)}")
