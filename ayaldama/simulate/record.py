"""Simulated buses as a recording, with the truth beside it: to try tracking and prediction without waiting.

The recording has the columns of ``transit.accuracy.recording`` (TIDES ``vehicle_locations``). Such a file knows when a
fix was made but not when it arrived, so what could arrive late or never is left out: fixes made without a network or
by a wrong clock. The truth says when each bus was at each stop, in the columns of `replay --predictions-out`.
"""

import csv
import datetime as dt
import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import numpy as np
import pyproj

from ayaldama.simulate.city import WARM_UP_MS, bus_id, motion_of
from ayaldama.simulate.closures import Closure
from ayaldama.simulate.motion import STEP_MS, Motion, Passages
from ayaldama.simulate.trackers import Fixes, Units
from gtfs_data.network import Network

FIX_COLUMNS: Final = (
    "event_timestamp",
    "vehicle_id",
    "latitude",
    "longitude",
    "heading",
    "speed",
    "route_id",
    "direction_id",
)
PASSAGE_COLUMNS: Final = (
    "vehicle_id",
    "route_id",
    "direction_id",
    "trip_id",
    "stop_id",
    "stop_sequence",
    "arrival",
    "departure",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was written."""

    buses: int
    fixes: int
    passages: int


class _Writer(Protocol):
    """What ``csv.writer`` returns."""

    def writerow(self, row: Iterable[str | int], /) -> object:
        """Write one row."""


def record(
    network: Network,
    *,
    buses: int,
    seed: int,
    start_ms: int,
    end_ms: int,
    fixes_out: Path,
    truth_out: Path | None = None,
    closure: Closure | None = None,
    progress: Callable[[int], None] = lambda _now_ms: None,
) -> Recorded:
    """Write the fixes that at most ``buses`` units make from ``start_ms`` to ``end_ms``; ``.gz`` is compressed.

    Where ``closure`` closes a street, buses drive beside it.
    """
    motion = motion_of(network, buses=buses, seed=seed, start_ms=start_ms - WARM_UP_MS)
    units = Units(buses, np.random.default_rng((seed, 1)))
    to_degrees = pyproj.Transformer.from_crs(network.epsg, 4326, always_xy=True)
    seen: set[int] = set()
    fixes_written = passages_written = 0
    with ExitStack() as files:
        fixes_file = _table(files, fixes_out, FIX_COLUMNS)
        truth_file = _table(files, truth_out, PASSAGE_COLUMNS) if truth_out else None
        while motion.now_ms < end_ms:
            passages = motion.step()
            fixes = _fixes(motion, units, closure)
            if motion.now_ms < start_ms:
                continue
            for row in _fix_rows(fixes, motion, units, to_degrees):
                fixes_file.writerow(row)
                fixes_written += 1
            seen.update(fixes.bus.tolist())
            if closure is not None:
                passages = _served(passages, closure)
            for row in _passage_rows(passages, motion, network):
                passages_written += 1
                if truth_file is not None:
                    truth_file.writerow(row)
            progress(motion.now_ms)
    return Recorded(buses=len(seen), fixes=fixes_written, passages=passages_written)


def _table(files: ExitStack, path: Path, columns: Sequence[str]) -> _Writer:
    plain: BinaryIO | gzip.GzipFile = files.enter_context(path.open("wb"))
    if path.suffix == ".gz":  # without name and time, so that the same seed gives the same bytes
        plain = files.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=plain, compresslevel=6, mtime=0))
    writer: _Writer = csv.writer(files.enter_context(io.TextIOWrapper(plain, encoding="utf-8", newline="")))
    writer.writerow(columns)
    return writer


def _served(passages: Passages, closure: Closure) -> Passages:
    """Return ``passages`` but those of stops on the closed street."""
    kept = ~closure.missed[passages.row]
    return Passages(
        bus=passages.bus[kept],
        row=passages.row[kept],
        run=passages.run[kept],
        arrival_ms=passages.arrival_ms[kept],
        departure_ms=passages.departure_ms[kept],
        boarded=passages.boarded[kept],
    )


def _fixes(motion: Motion, units: Units, closure: Closure | None) -> Fixes:
    out = motion.visible
    xy, heading = motion.place(out)
    if closure is not None:
        xy = closure.lead(*motion.along(out), xy, heading)
    return units.take(out, xy, motion.speed[out], heading, motion.now_ms)


def _fix_rows(
    fixes: Fixes, motion: Motion, units: Units, to_degrees: pyproj.Transformer
) -> Iterator[tuple[str | int, ...]]:
    now_ms = motion.now_ms
    told = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    lon, lat = to_degrees.transform(fixes.xy[:, 0], fixes.xy[:, 1])
    for i, bus in enumerate(fixes.bus.tolist()):
        if units.offline_until_ms[bus] > now_ms or fixes.fix_ms[i] != now_ms:
            continue
        route, direction = motion.route_of(bus) if units.tells_line[bus] else ("", "")
        place = f"{lat[i]:.6f}", f"{lon[i]:.6f}", f"{fixes.heading_deg[i]:.0f}", f"{fixes.speed_mps[i]:.1f}"
        yield told, bus_id(bus), *place, route, direction


def _passage_rows(passages: Passages, motion: Motion, network: Network) -> Iterator[tuple[str | int, ...]]:
    patterns = network.patterns
    for bus, row, run, arrival_ms, departure_ms in zip(
        passages.bus.tolist(),
        passages.row.tolist(),
        passages.run.tolist(),
        passages.arrival_ms.tolist(),
        passages.departure_ms.tolist(),
        strict=True,
    ):
        pattern = int(network.pattern_of_row[row])
        yield (
            bus_id(bus),
            network.routes.ids[int(patterns.route[pattern])],
            int(patterns.direction[pattern]),
            network.trips.ids[motion.trip_of(run)],
            network.stops.ids[int(patterns.stop[row])],
            int(patterns.stop_sequence[row]),
            arrival_ms // STEP_MS,
            departure_ms // STEP_MS,
        )
