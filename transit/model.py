"""Values every part of the live network speaks. Times are UTC epoch milliseconds (``…_ms``), speeds m/s, degrees north.

Structs cross processes (see ``codec``) and are arrays on the wire: new fields go last, with a default. Those that
tracking makes by the thousand take their fields by place too (``tracking.wording``), five times as fast as by name, and
are left out of garbage collection: they hold strings and numbers, so no cycle can form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NewType, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from transit.outcomes import DetourState, Phase, Rejection

VehicleId = NewType("VehicleId", str)
DeviceId = NewType("DeviceId", str)

UNKNOWN_DIRECTION: Final = -1


class PositionReport(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One fix of one vehicle, as intake hands it on: raw, not matched. Empty strings: the feed does not say."""

    vehicle_id: str
    fix_ms: int
    received_ms: int
    lat: float
    lon: float
    speed_mps: float | None = None
    heading_deg: float | None = None  # clockwise from north
    archived: bool = False  # a black-box record, sent late on purpose
    trip_id: str = ""
    block_id: str = ""
    route_id: str = ""
    direction_id: int = UNKNOWN_DIRECTION


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PositionBatch:
    """Position reports as columns, in any order; NaN and "" stand for unknown."""

    vehicle_id: Sequence[str]
    fix_ms: npt.NDArray[np.int64]
    received_ms: npt.NDArray[np.int64]
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    speed_mps: npt.NDArray[np.float64]
    heading_deg: npt.NDArray[np.float64]
    archived: npt.NDArray[np.bool_]
    trip_id: Sequence[str]
    block_id: Sequence[str]
    route_id: Sequence[str]
    direction_id: npt.NDArray[np.int8]

    def __len__(self) -> int:
        """Return the number of reports."""
        return len(self.vehicle_id)


def batch_of(reports: Sequence[PositionReport]) -> PositionBatch:
    """Return ``reports`` as columns."""
    nan = float("nan")
    return PositionBatch(
        vehicle_id=[report.vehicle_id for report in reports],
        fix_ms=np.array([report.fix_ms for report in reports], dtype=np.int64),
        received_ms=np.array([report.received_ms for report in reports], dtype=np.int64),
        lat=np.array([report.lat for report in reports], dtype=np.float64),
        lon=np.array([report.lon for report in reports], dtype=np.float64),
        speed_mps=np.array([nan if r.speed_mps is None else r.speed_mps for r in reports], dtype=np.float64),
        heading_deg=np.array([nan if r.heading_deg is None else r.heading_deg for r in reports], dtype=np.float64),
        archived=np.array([report.archived for report in reports], dtype=np.bool_),
        trip_id=[report.trip_id for report in reports],
        block_id=[report.block_id for report in reports],
        route_id=[report.route_id for report in reports],
        direction_id=np.array([report.direction_id for report in reports], dtype=np.int8),
    )


class VehiclePosition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a vehicle is and what it is doing, as a map or a feed shows it."""

    vehicle_id: str
    fix_ms: int
    lat: float
    lon: float
    heading_deg: float | None
    speed_mps: float | None
    phase: str  # ``outcomes.Phase``
    route_id: str
    direction_id: int
    trip_id: str
    run_key: str  # one trip on one day; "" when unassigned
    offset_m: float | None  # along the pattern's line
    next_stop_id: str
    deviation_s: int | None  # behind the timetable, positive = late; None without timetable
    pattern: int = -1  # dense index in the network named by the feed hash


class Arrival(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When one run is expected at one stop. ``key`` tells arrivals of one stop apart and stays for the run's life."""

    key: str  # "vehicle|run_key|stop_sequence"
    stop_id: str
    vehicle_id: str
    route_id: str
    direction_id: int
    trip_id: str
    run_key: str
    stop_sequence: int
    arrival_ms: int  # median
    arrival_p10_ms: int
    arrival_p90_ms: int
    state: str  # ``outcomes.ArrivalState``
    fix_ms: int  # of the fix it rests on
    scheduled_ms: int | None  # planned arrival, None without timetable
    headsign: str = ""
    last_stop: bool = False  # the run ends here: nobody boards


class ArrivalKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An arrival that is no longer expected."""

    stop_id: str
    key: str


class StopEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A vehicle passed a stop (TIDES ``stop_visits``). ``uncertainty_s``: half the gap between the fixes around."""

    service_date: str  # YYYY-MM-DD
    vehicle_id: str
    route_id: str
    direction_id: int
    trip_id: str
    run_key: str
    stop_id: str
    stop_sequence: int
    arrival_ms: int
    departure_ms: int | None
    uncertainty_s: float
    scheduled_arrival_ms: int | None
    trip_stop_sequence: int = 0  # place within the run, the first stop being 1; 0: not noted


class DetouredLine(msgspec.Struct, frozen=True, array_like=True):
    """A line that is led another way, from ``left_m`` to ``back_m`` along each of its patterns."""

    route_id: str
    direction_id: int
    patterns: list[int]  # dense indexes in the network, as in ``VehiclePosition``
    left_m: list[float]
    back_m: list[float]  # -1: not known yet
    missed: list[list[int]]  # of each pattern, which of its stops are not served, counted from 0


class Detour(msgspec.Struct, frozen=True, array_like=True):
    """Vehicles leave their line at one place and come back to it at another, or are not yet back."""

    detour_id: str
    state: str  # ``outcomes.DetourState``
    since_ms: int
    last_ms: int  # when a vehicle was last seen to leave or to come back
    lines: list[DetouredLine]
    vehicles: list[str]  # that drove it, or are driving it
    under_way: list[str]  # vehicles that are on it now
    missed: list[str]  # stop ids, in the order in which they would be served
    before_stop_id: str  # the last stop before the line is left
    after_stop_id: str = ""  # the first stop after it is reached again, "" while that is unknown
    extra_s: int | None = None  # what it takes longer than the regular way
    path: list[tuple[float, float]] = []  # the way last driven, latitude and longitude
    standing: bool = False  # so for more than a day: the line in the feed is probably drawn wrongly


class Update(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One entry of the change feed: what one batch changed. An entry without changes says "still alive, as of"."""

    as_of_ms: int
    vehicles: list[VehiclePosition]
    arrivals: list[Arrival]
    withdrawn: list[ArrivalKey]
    gone: list[str] = []  # vehicles that left the map
    detours: list[Detour] = []  # new, changed or over


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changes:
    """What one call of ``Tracker.advance`` changed: only what a board or a map would show differently."""

    update: Update
    stop_events: Sequence[StopEvent]
    accepted: int
    rejected: Mapping[Rejection, int]
    phases: Mapping[Phase, int]  # vehicles known now, by phase
    detours: Mapping[DetourState, int] = field(default_factory=dict)  # known now, by state


class Tracking(Protocol):
    """What the tracking loop needs of a tracker (``transit.tracking.tracker.Tracker`` is one)."""

    def advance(self, batch: PositionBatch, now_ms: int) -> Changes:
        """Take ``batch`` and the time; an empty batch lets time pass (silence, expiry)."""

    def checkpoint(self) -> bytes:
        """Return the whole state; a tracker restored from it answers as this one would."""

    def published(self) -> Update:
        """Return everything currently published, to write a snapshot anew after a restart."""
