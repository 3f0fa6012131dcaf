"""A recorded day through the tracker, causally: a prediction made at a moment knows only what was heard until then."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from gtfs_data.network import Network
from transit.accuracy.recording import Recording
from transit.accuracy.tables import Sink
from transit.model import StopEvent, Update
from transit.outcomes import Rejection
from transit.tracking.learned import TravelTimes
from transit.tracking.predictions import Predictions
from transit.tracking.tracker import Tracker
from transit.tracking.training import drives_of, leavings_of, planned_beginnings
from transit.tracking.training import learn as learn_times

_FIELDS: Final[Sequence[tuple[str, pa.DataType]]] = (
    ("made_at", pa.int64()),
    ("vehicle_id", pa.string()),
    ("route_id", pa.string()),
    ("direction_id", pa.int64()),
    ("trip_id", pa.string()),
    ("stop_id", pa.string()),
    ("stop_sequence", pa.int64()),
    ("arrival", pa.int64()),
    ("arrival_p10", pa.int64()),
    ("arrival_p90", pa.int64()),
)
PREDICTIONS: Final = pa.schema(_FIELDS)
_OF_A_FIX: Final[Sequence[tuple[str, pa.DataType]]] = (
    ("fix_ms", pa.int64()),
    ("vehicle_id", pa.string()),
    ("phase", pa.string()),
    ("route_id", pa.string()),
    ("direction_id", pa.int64()),
    ("trip_id", pa.string()),
    ("offset_m", pa.float64()),
    ("next_stop_id", pa.string()),
    ("deviation_s", pa.int64()),
)
POSITIONS: Final = pa.schema(_OF_A_FIX)
HORIZON_S: Final = 1_800  # predictions are written up to half an hour ahead
TRAINING_HOUR: Final = 3  # local: between the last bus and the first
STEP_MS: Final = 60_000  # nothing is read in between: a step is as long as the time between predictions, at most this
FIX_STEP_MS: Final = 1_000  # what was made of each report is read in between


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did."""

    reports: int
    accepted: int
    rejected: dict[Rejection, int]
    vehicles: int
    vehicles_predicted: int
    predictions: int
    stop_events: int


def replay(
    network: Network,
    recording: Recording,
    *,
    every_s: int = 60,
    learn: bool = True,
    sink: Sink | None = None,
    positions: Sink | None = None,
    progress: Callable[[int], None] | None = None,
) -> Replayed:
    """Drive ``recording`` through a new tracker; write predictions once every ``every_s`` of recorded time.

    ``positions`` is given what was made of each accepted report (the last of a vehicle in one second).
    With ``learn`` the tracker is taught each night what the days before were like, as a live one is.
    ``progress`` is told how many reports are done.
    """
    tracker = Tracker(network)
    next_ms = -(-recording.first_ms // (1000 * every_s)) * 1000 * every_s
    rejected: dict[Rejection, int] = {}
    predicted: set[int] = set()
    reports = accepted = written = events = 0
    steps = recording.steps(int(np.gcd(STEP_MS, 1000 * every_s)), None if positions is None else FIX_STEP_MS)
    written_ms: dict[str, int] = {}
    school = Nights(network) if learn else None
    for until_ms, batch in steps:
        if school is not None:
            school.teach(tracker, until_ms)
        changes = tracker.advance(batch, until_ms)
        if school is not None:
            school.take(changes.stop_events)
        reports += len(batch)
        accepted += changes.accepted
        events += len(changes.stop_events)
        for reason, count in changes.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
        if positions is not None and len(batch):
            positions.write(position_table(changes.update, written_ms))
        if until_ms >= next_ms:
            next_ms = (until_ms // (1000 * every_s) + 1) * 1000 * every_s
            table, vehicles = prediction_table(network, tracker, until_ms)
            predicted.update(vehicles)
            written += table.num_rows
            if sink is not None and table.num_rows:
                sink.write(table)
        if progress is not None:
            progress(reports)
    return Replayed(reports, accepted, rejected, len(tracker.fleet), len(predicted), written, events)


class Nights:
    """Teaches a tracker in the small hours what the stop events of the days before say."""

    def __init__(self, network: Network) -> None:
        self._zone = ZoneInfo(network.time_zone)
        self._planned = planned_beginnings(network)
        self._events: list[StopEvent] = []
        self._times: TravelTimes | None = None
        self._day: dt.date | None = None

    def take(self, events: Sequence[StopEvent]) -> None:
        """Keep ``events`` for the next night."""
        self._events += events

    def teach(self, tracker: Tracker, now_ms: int) -> None:
        """Train when a new day of service has begun since the last call."""
        day = (dt.datetime.fromtimestamp(now_ms / 1000, self._zone) - dt.timedelta(hours=TRAINING_HOUR)).date()
        if self._day is not None and day != self._day and self._events:
            self._times = learn_times(
                *(self._times, drives_of(self._events), leavings_of(self._events, self._planned), self._day, self._zone)
            )
            self._events = []
            tracker.adopt(self._times)
        self._day = day


def position_table(update: Update, written_ms: dict[str, int]) -> pa.Table:
    """Return what ``update`` says of vehicles whose fix is newer than ``written_ms`` has it, which is brought up."""
    news = [said for said in update.vehicles if said.fix_ms > written_ms.get(said.vehicle_id, 0)]
    written_ms.update({said.vehicle_id: said.fix_ms for said in news})
    return pa.table({name: [getattr(said, name) for said in news] for name in POSITIONS.names}, schema=POSITIONS)


def prediction_table(network: Network, tracker: Tracker, made_ms: int) -> tuple[pa.Table, set[int]]:
    """Return what the tracker expects at ``made_ms`` within half an hour, and for which vehicles."""
    predictions: Predictions = tracker.predictions(made_ms)
    near = np.flatnonzero(predictions.arrival_ms - made_ms <= 1000 * HORIZON_S)
    vehicle, leg, row = predictions.vehicle[near], predictions.leg[near], predictions.row[near]
    fleet, patterns = tracker.fleet, network.patterns
    pattern = fleet.run_pattern[vehicle, leg]
    trip = fleet.run_trip[vehicle, leg]
    table = pa.table(
        {
            "made_at": pa.array(np.full(len(near), made_ms // 1000, dtype=np.int64)),
            "vehicle_id": [fleet.vehicle_ids[i] for i in vehicle.tolist()],
            "route_id": [network.routes.ids[i] for i in patterns.route[pattern].tolist()],
            "direction_id": pa.array(patterns.direction[pattern].astype(np.int64)),
            "trip_id": [network.trips.ids[i] if i >= 0 else "" for i in trip.tolist()],
            "stop_id": [network.stops.ids[i] for i in patterns.stop[row].tolist()],
            "stop_sequence": pa.array(patterns.stop_sequence[row].astype(np.int64)),
            "arrival": pa.array(np.rint(predictions.arrival_ms[near] / 1000).astype(np.int64)),
            "arrival_p10": pa.array(np.rint(predictions.p10_ms[near] / 1000).astype(np.int64)),
            "arrival_p90": pa.array(np.rint(predictions.p90_ms[near] / 1000).astype(np.int64)),
        },
        schema=PREDICTIONS,
    )
    return table, set(vehicle.tolist())
