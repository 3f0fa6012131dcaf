"""A recorded day through the tracker, causally: a prediction made at a moment knows only what was heard until then."""

import csv
import datetime as dt
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TextIO
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gtfs_data.network import Network
from transit.accuracy.recording import Recording
from transit.model import StopEvent
from transit.outcomes import Rejection
from transit.tracking.learned import TravelTimes
from transit.tracking.predictions import Predictions
from transit.tracking.tracker import Tracker
from transit.tracking.training import drives_of, leavings_of
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
SCHEMA: Final = pa.schema(_FIELDS)
COLUMNS: Final = tuple(SCHEMA.names)
HORIZON_S: Final = 1_800  # predictions are written up to half an hour ahead
TRAINING_HOUR: Final = 3  # local: between the last bus and the first
STEP_MS: Final = 60_000  # nothing is read in between: a step is as long as the time between predictions, at most this


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


class Sink(Protocol):
    """Where predictions go, a table at a time."""

    def write(self, table: pa.Table) -> None:
        """Take one table of ``COLUMNS``."""


def replay(
    network: Network,
    recording: Recording,
    *,
    every_s: int = 60,
    learn: bool = True,
    sink: Sink | None = None,
    progress: Callable[[int], None] | None = None,
) -> Replayed:
    """Drive ``recording`` through a new tracker; write predictions once every ``every_s`` of recorded time.

    With ``learn`` the tracker is taught each night what the days before were like, as a live one is.
    ``progress`` is told how many reports are done.
    """
    tracker = Tracker(network)
    next_ms = -(-recording.first_ms // (1000 * every_s)) * 1000 * every_s
    rejected: dict[Rejection, int] = {}
    predicted: set[int] = set()
    reports = accepted = written = events = 0
    step_ms = int(np.gcd(STEP_MS, 1000 * every_s))
    school = Nights(network) if learn else None
    for until_ms, batch in recording.steps(step_ms):
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
                *(self._times, drives_of(self._events), leavings_of(self._events), self._day, self._zone)
            )
            self._events = []
            tracker.adopt(self._times)
        self._day = day


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
        schema=SCHEMA,
    )
    return table, set(vehicle.tolist())


class PredictionsFile:
    """Writes predictions as CSV, gzipped CSV or Parquet, by the file's suffix; whole or not at all."""

    def __init__(self, path: Path) -> None:
        if not path.name.endswith((".csv", ".csv.gz", ".parquet")):
            raise ValueError(f"{path.name}: predictions are written as .csv, .csv.gz or .parquet")
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._text: TextIO | None = None
        self._parquet: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Open the file."""
        if not self._path.name.endswith(".parquet"):
            opened = gzip.open if self._path.suffix == ".gz" else open
            self._text = opened(self._part, "wt", encoding="utf-8", newline="")
            csv.writer(self._text).writerow(COLUMNS)
        return self

    def write(self, table: pa.Table) -> None:
        """Append one table."""
        if self._text is not None:
            columns = (table.column(name).to_pylist() for name in COLUMNS)
            csv.writer(self._text).writerows(zip(*columns, strict=True))
            return
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._part, SCHEMA)
        self._parquet.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; a file half written because of an error does not stay."""
        if self._text is not None:
            self._text.close()
        elif self._parquet is None:  # nothing was predicted: a file without rows says so
            self._parquet = pq.ParquetWriter(self._part, SCHEMA)
        if self._parquet is not None:
            self._parquet.close()
        if kind is None and self._part.exists():
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
