"""A recorded day of vehicle positions, read in order of time (TIDES ``vehicle_locations`` columns).

Columns: ``event_timestamp`` (ISO 8601 with offset), ``vehicle_id``, ``latitude``, ``longitude``, and where known
``heading`` (degrees), ``speed`` (m/s), ``route_id``, ``direction_id``, ``trip_id_performed``. CSV (also gzipped) or
Parquet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from transit.model import UNKNOWN_DIRECTION, PositionBatch

NEEDED: Final = ("event_timestamp", "vehicle_id", "latitude", "longitude")
WORDS: Final = ("route_id", "trip_id_performed", "direction_id", "block_id")
EMPTY_MAX_MS: Final = 3_600_000
NUMBERS: Final = ("heading", "speed")
LABELS: Final = ("actual_phase", "actual_trip_id")


class RecordingError(ValueError):
    """A recording cannot be read: names the file, the column and the row."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Reports in order of time, as columns."""

    batch: PositionBatch

    @property
    def first_ms(self) -> int:
        """Return the time of the first report."""
        return int(self.batch.fix_ms[0])

    @property
    def last_ms(self) -> int:
        """Return the time of the last report."""
        return int(self.batch.fix_ms[-1])

    def between(self, start: int, end: int) -> PositionBatch:
        """Return reports number ``start`` up to, not including, ``end``."""
        batch = self.batch
        return PositionBatch(
            vehicle_id=batch.vehicle_id[start:end],
            fix_ms=batch.fix_ms[start:end],
            received_ms=batch.received_ms[start:end],
            lat=batch.lat[start:end],
            lon=batch.lon[start:end],
            speed_mps=batch.speed_mps[start:end],
            heading_deg=batch.heading_deg[start:end],
            archived=batch.archived[start:end],
            trip_id=batch.trip_id[start:end],
            block_id=batch.block_id[start:end],
            route_id=batch.route_id[start:end],
            direction_id=batch.direction_id[start:end],
        )

    def since(self, start_ms: int) -> "Recording":
        """Return the part from ``start_ms`` on.

        Raises:
            RecordingError: if nothing was recorded then.
        """
        first = int(np.searchsorted(self.batch.fix_ms, start_ms, side="left"))
        if first == len(self.batch):
            raise RecordingError("nothing was recorded from then on")
        return Recording(self.between(first, len(self.batch)))

    def steps(self, every_ms: int, cut_ms: int | None = None) -> Iterator[tuple[int, PositionBatch]]:
        """Yield ``(until_ms, reports)`` for each ``every_ms`` of recorded time, empty stretches up to an hour included.

        A step holds the reports up to and including ``until_ms``, a multiple of ``every_ms``. A longer stretch
        without any report is left out: a night, or the years to a report whose clock was wrong. With ``cut_ms``, a
        divisor of ``every_ms``, a step ends too wherever a report came within ``cut_ms`` before.
        """
        fix_ms = self.batch.fix_ms
        until_ms = -(-self.first_ms // every_ms) * every_ms
        start = 0
        while start < len(fix_ms):
            end = int(np.searchsorted(fix_ms, until_ms, side="right"))
            for cut in np.unique(-(-fix_ms[start:end] // cut_ms) * cut_ms).tolist() if cut_ms else ():
                if cut < until_ms:
                    middle = int(np.searchsorted(fix_ms, cut, side="right"))
                    yield int(cut), self.between(start, middle)
                    start = middle
            yield until_ms, self.between(start, end)
            start, until_ms = end, until_ms + every_ms
            if start < len(fix_ms) and int(fix_ms[start]) - until_ms > EMPTY_MAX_MS:
                until_ms = -(-int(fix_ms[start]) // every_ms) * every_ms


def read_recording(path: Path) -> Recording:
    """Return the recording in ``path``.

    Raises:
        RecordingError: if a column is missing, a value is not what its column holds, or nothing is in the file.
    """
    table = _table(path)
    missing = [column for column in NEEDED if column not in table.columns]
    if missing:
        raise RecordingError(f"{path.name}: column {missing[0]} is missing; needed are {', '.join(NEEDED)}")
    if table.empty:
        raise RecordingError(f"{path.name}: no rows")
    fix_ms = _times(table["event_timestamp"], path)
    order = np.argsort(fix_ms, kind="stable")
    table = table.iloc[order]
    words = {name: _words(table, name) for name in ("vehicle_id", *WORDS)}
    direction = pd.to_numeric(pd.Series(words["direction_id"]), errors="coerce").fillna(UNKNOWN_DIRECTION)
    return Recording(
        PositionBatch(
            vehicle_id=words["vehicle_id"],
            fix_ms=fix_ms[order],
            received_ms=fix_ms[order],
            lat=_numbers(table, "latitude", path),
            lon=_numbers(table, "longitude", path),
            speed_mps=_numbers(table, "speed", path),
            heading_deg=_numbers(table, "heading", path),
            archived=np.zeros(len(table), dtype=np.bool_),
            trip_id=words["trip_id_performed"],
            block_id=words["block_id"],
            route_id=words["route_id"],
            direction_id=direction.to_numpy().astype(np.int8),
        )
    )


def labels_of(path: Path) -> pd.DataFrame | None:
    """Return ``vehicle_id``, ``fix_ms`` and the columns ``LABELS`` of each row; None where there are none.

    Raises:
        RecordingError: as ``read_recording``.
    """
    table = _table(path)
    if not set(LABELS) <= set(table.columns):
        return None
    return table.assign(fix_ms=_times(table["event_timestamp"], path))[["vehicle_id", "fix_ms", *LABELS]]


def _table(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise RecordingError(f"{path}: no such file")
    wanted = (*NEEDED, *WORDS, *NUMBERS, *LABELS)
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
            return table[[column for column in table.columns if column in wanted]].astype(str).replace("nan", "")
        return pd.read_csv(path, dtype=str, keep_default_na=False, usecols=lambda name: name in wanted)
    except (ValueError, OSError) as error:
        raise RecordingError(f"{path.name}: cannot be read: {error}") from error


def _times(column: "pd.Series[str]", path: Path) -> npt.NDArray[np.int64]:
    try:
        times = pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise RecordingError(f"{path.name}: event_timestamp must be ISO 8601 with offset: {error}") from error
    if times.isna().any():
        row = int(np.flatnonzero(times.isna().to_numpy())[0])
        raise RecordingError(f"{path.name}: row {row + 2}: event_timestamp is empty")
    since = (times - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(milliseconds=1)
    return np.asarray(since.to_numpy(), dtype=np.int64)


def _words(table: pd.DataFrame, name: str) -> Sequence[str]:
    if name not in table.columns:
        return [""] * len(table)
    return [str(word) for word in table[name].tolist()]


def _numbers(table: pd.DataFrame, name: str, path: Path) -> npt.NDArray[np.float64]:
    if name not in table.columns:
        return np.full(len(table), np.nan)
    numbers = pd.to_numeric(table[name].replace("", None), errors="coerce")
    wrong = numbers.isna() & (table[name] != "")
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise RecordingError(f"{path.name}: {name} must be a number: {table[name].iloc[row]!r}")
    return np.asarray(numbers.to_numpy(), dtype=np.float64)
