"""Positions per second through ``Tracker.advance`` on one core, on a network of a large city.

    python bench/engine.py [FEED] [--vehicles 10000] [--minutes 3] [--repeat 2] [--fleet trip|route|nothing]

Without ``FEED`` the large recorded feed beside the project is taken, or, where there is none, a synthetic one.

Vehicles drive runs of one day at even speed with 10 m of noise and report every 10 s; batches of 2,000 go in as
tracking would take them. Three fleets: one that names its trips, one its routes, one nothing. The first minute, in
which every vehicle is new and must be found, is printed apart. The floor beside it is decoding the same batches into
columns and doing nothing else. Each fleet is followed in a process of its own that holds nothing but the network and
the tracker, so that its memory is that of the engine. Seconds are those of the processor, the best of ``--repeat``
runs, so that what else the machine does counts little; the tracker uses one core.

Last, the same fleet on synthetic networks: with lines drawn four times as finely, four times as long, and four times as
many. What a position costs should be the same on all of them, as is the number of arrivals that it changes.
"""

import argparse
import collections
import cProfile
import datetime as dt
import json
import pickle
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyproj
import shapely
from gtfs_load import RECORDED, synthetic

from gtfs_data.calendar import service_day
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from transit.codec import decode_reports, encode_reports
from transit.model import PositionReport, batch_of
from transit.tracking import tracker as engine
from transit.tracking.tracker import Tracker

BATCH = 2_000
EVERY_S = 10
NOISE_M = 10.0
HINTS = ("trip", "route", "nothing")
STAGES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "clean": ("_reports", "_contended", "refuse_after", "_note", "_duty.take_hints"),
        "match": ("follow", "merge_twins"),
        "assign": ("note_astray", "_sower.sow", "choose", "_duty.take_turns", "_duty.look", "say_idle"),
        "observe": ("observe", "_wording.stop_events"),
        "learn": ("_take_in",),
        "predict": ("_predictor.predict", "settle", "remember"),
        "changes": ("_publisher.arrivals", "_wording.vehicles"),
    }
)  # functions that ``Tracker.advance`` calls: of its module, or methods of its parts
GROWTH_VEHICLES = 2_000
GROWTH: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "150 stops, 4 vertices a stop, 100 lines": {},
        "lines drawn 4 times as finely": {"vertices": 16},
        "lines 4 times as long": {"stops": 600},
        "4 times as many lines": {"lines": 400},
    }
)


@dataclass(frozen=True, slots=True)
class Drive:
    """Which run each vehicle drives, and where it began."""

    trips: np.ndarray
    pattern: np.ndarray
    start_m: np.ndarray
    speed_mps: np.ndarray
    start_ms: int


@dataclass(frozen=True, slots=True)
class Tick:
    """One report of every vehicle, and where on its line it truly was."""

    fix_ms: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    offset_m: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What following one fleet took."""

    warm_s: float
    warm: int  # positions
    floor_s: float  # of the warm ones
    cold_s: float
    cold: int
    on_run: int
    changed: int
    peak_mb: float
    stages_s: dict[str, float]


class Meter:
    """Seconds of the processor by stage; what one stage calls of another counts for that one."""

    def __init__(self) -> None:
        self.seconds: collections.Counter[str] = collections.Counter()
        self._inner_s = [0.0]

    def attach(self, tracker: Tracker) -> None:
        """Measure the stages of ``tracker``; those that are functions of its module, of every tracker from now on."""
        for stage, names in STAGES.items():
            for name in names:
                *part, last = name.split(".")
                owner = getattr(tracker, part[0]) if part else (engine if hasattr(engine, last) else tracker)
                setattr(owner, last, self._timed(stage, getattr(owner, last)))

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: object, **kwargs: object) -> object:
            self._inner_s.append(0.0)
            began_s = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                took_s = time.process_time() - began_s
                self.seconds[stage] += took_s - self._inner_s.pop()
                self._inner_s[-1] += took_s

        return timed


def drives(network: Network, count: int, seed: int, *, share: tuple[float, float] = (0.05, 0.6)) -> Drive:
    """Choose ``count`` runs around eight in the morning of the first day with the most runs.

    Vehicles begin within that ``share`` of their lines.
    """
    rng = np.random.default_rng(seed)
    dates = [network.services.first_date + dt.timedelta(days=d) for d in range(min(network.services.runs.shape[1], 14))]
    day = max((service_day(network, date) for date in dates), key=lambda one: len(one.trip))
    at_ms = day.zero_ms + 8 * 3_600_000
    nearest = np.argsort(np.abs(day.start_ms - at_ms), kind="stable")[:count]
    runs = np.resize(nearest, count)
    pattern = network.trips.pattern[day.trip[runs]]
    length_m = np.array([network.patterns.length_m(int(p)) for p in pattern])
    return Drive(day.trip[runs], pattern, rng.uniform(*share, count) * length_m, rng.uniform(4.0, 9.0, count), at_ms)


def ticks(network: Network, drive: Drive, minutes: float) -> Iterator[Tick]:
    """Yield what the vehicles report, one report of each at a time."""
    rng = np.random.default_rng(1)
    lines = {int(p): shapely.LineString(network.patterns.line(int(p))) for p in np.unique(drive.pattern)}
    line = np.array([lines[int(p)] for p in drive.pattern], dtype=object)
    back = pyproj.Transformer.from_crs(network.epsg, 4326, always_xy=True)
    phase_ms = rng.integers(0, 1000 * EVERY_S, len(line))
    for tick in range(int(minutes * 60 / EVERY_S)):
        driven_m = drive.start_m + drive.speed_mps * (tick * EVERY_S + phase_ms / 1000)
        place = shapely.get_coordinates(shapely.line_interpolate_point(line, driven_m))
        lon, lat = back.transform(*(place + rng.normal(0, NOISE_M, place.shape)).T)
        length_m = shapely.length(line)
        yield Tick(drive.start_ms + 1000 * EVERY_S * tick + phase_ms, lat, lon, np.minimum(driven_m, length_m))


def reports(network: Network, drive: Drive, hint: str, tick: Tick) -> list[PositionReport]:
    """Return the reports of ``tick`` in order of time, as vehicles make them that name their trip, route or nothing."""
    routes, trips = network.patterns.route[drive.pattern].tolist(), drive.trips.tolist()
    return [
        PositionReport(
            vehicle_id=f"v{i}",
            fix_ms=int(tick.fix_ms[i]),
            received_ms=int(tick.fix_ms[i]),
            lat=float(tick.lat[i]),
            lon=float(tick.lon[i]),
            trip_id=network.trips.ids[trips[i]] if hint == "trip" else "",
            route_id=network.routes.ids[routes[i]] if hint == "route" else "",
        )
        for i in np.argsort(tick.fix_ms).tolist()
    ]


def write_batches(path: Path, network: Network, drive: Drive, hint: str, minutes: float) -> None:
    """Write batches of reports to ``path``, each encoded as it lies in the stream."""
    waiting: list[PositionReport] = []
    with path.open("wb") as file:
        for tick in ticks(network, drive, minutes):
            waiting += reports(network, drive, hint, tick)
            while len(waiting) >= BATCH:
                pickle.dump(encode_reports(waiting[:BATCH]), file)
                waiting = waiting[BATCH:]


def batches(path: Path) -> Iterator[bytes]:
    """Yield what ``write_batches`` wrote."""
    with path.open("rb") as file:
        while file.peek(1):
            yield pickle.load(file)  # noqa: S301 - our own file of this run


def follow(network: Network, path: Path, vehicles: int, *, profile: bool) -> Figure:
    """Follow the fleet whose batches are in ``path``."""
    tracker, meter = Tracker(network), Meter()
    meter.attach(tracker)
    profiler = cProfile.Profile() if profile else None
    cold = max(1, 60 // EVERY_S * vehicles // BATCH)
    cold_s = warm_s = floor_s = 0.0
    accepted = changed = 0
    for number, data in enumerate(batches(path)):
        if number == cold:
            cold_s, cold_positions = warm_s + floor_s, accepted
            warm_s = floor_s = 0.0
            accepted = changed = 0
            meter.seconds.clear()
            if profiler:
                profiler.enable()
        began_s = time.process_time()
        batch = batch_of(decode_reports(data))
        decoded_s = time.process_time()
        changes = tracker.advance(batch, int(batch.received_ms.max()))
        warm_s += time.process_time() - decoded_s
        floor_s += decoded_s - began_s
        accepted += changes.accepted
        changed += len(changes.update.arrivals)
    if profiler:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(40)
    return Figure(
        warm_s=warm_s + floor_s,
        warm=accepted,
        floor_s=floor_s,
        cold_s=cold_s,
        cold=cold_positions,
        on_run=int((tracker.fleet.slot[: len(tracker.fleet)] >= 0).sum()),
        changed=changed,
        peak_mb=peak_mb(),
        stages_s=dict(meter.seconds),
    )


def peak_mb() -> float:
    """Return the most memory that this process held; where the system says it only with its parent's, that."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(said["VmHWM"].split()[0]) / 1024


def follow_alone(feed: Path, cache: Path, path: Path, options: argparse.Namespace) -> Figure:
    """Follow a fleet in a process of its own, ``options.repeat`` times, and return the quickest."""
    command = [sys.executable, __file__, str(feed), "--cache", str(cache), "--batches", str(path)]
    command += ["--vehicles", str(options.vehicles), *(["--profile"] if options.profile else [])]
    figures = []
    for _ in range(options.repeat):
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=600).stdout
        figures.append(Figure(**json.loads(said.splitlines()[-1])))
    return min(figures, key=lambda figure: figure.warm_s)


def show_fleets(feed: Path, folder: Path, options: argparse.Namespace) -> None:
    """Print what each fleet takes."""
    network = load_network(feed, cache=folder)
    print(
        f"{len(network.stops.ids)} stops, {len(network.patterns)} patterns, {len(network.trips.ids)} trips; "
        f"{options.vehicles} vehicles reporting every {EVERY_S} s, batches of {BATCH}\n"
    )
    print(f"{'told':<10}{'positions/s':>12}{'floor/s':>12}{'first minute/s':>16}{'MB at most':>12}", end="")
    print(f"{'on a run':>10}{'arrivals changed per position':>32}")
    drive = drives(network, options.vehicles, 7)
    shares = []
    for hint in options.fleet or HINTS:
        write_batches(folder / "batches", network, drive, hint, options.minutes)
        found = follow_alone(feed, folder, folder / "batches", options)
        print(f"{hint:<10}{found.warm / found.warm_s:>12,.0f}{found.warm / found.floor_s:>12,.0f}", end="")
        print(f"{found.cold / found.cold_s:>16,.0f}{found.peak_mb:>12,.0f}", end="")
        print(f"{found.on_run / options.vehicles:>10.1%}{found.changed / found.warm:>32.1f}", flush=True)
        named = {**found.stages_s, "decoding": found.floor_s}
        named["the rest"] = found.warm_s - sum(named.values())
        shares.append(f"{hint:<10}" + "".join(f"{1e6 * s / found.warm:>10.1f}" for s in named.values()))
    print(f"\nmicroseconds a position, of that\n{'told':<10}" + "".join(f"{name:>10}" for name in named))
    print("\n".join(shares))


def show_growth(folder: Path, options: argparse.Namespace) -> None:
    """Print what a position costs on networks that differ in one thing each."""
    options.vehicles = GROWTH_VEHICLES
    print(f"\n{GROWTH_VEHICLES} vehicles, routes told, each near the beginning of its line: microseconds a position")
    for name, size in GROWTH.items():
        lines = size.get("lines", 100)
        feed = synthetic(
            folder / "growth.zip",
            GROWTH_VEHICLES,
            lines=lines,
            stops=size.get("stops", 150),
            vertices=size.get("vertices", 4),
            starts_s=7 * 3_600 + 1_800,
            headway_s=3_600 * lines // GROWTH_VEHICLES,
        )
        network = load_network(feed, cache=folder)
        near = (7.5 / size.get("stops", 150), 15 / size.get("stops", 150))
        drive = drives(network, GROWTH_VEHICLES, 7, share=near)
        write_batches(folder / "batches", network, drive, "route", options.minutes)
        found = follow_alone(feed, folder, folder / "batches", options)
        of_stages = ", ".join(f"{stage} {1e6 * s / found.warm:.1f}" for stage, s in found.stages_s.items())
        changed = f"{found.changed / found.warm:.1f} arrivals changed"
        print(f"{name:<42}{1e6 * found.warm_s / found.warm:>8.1f}   {changed}   ({of_stages})", flush=True)


def main() -> None:
    """Run all fleets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("feed", type=Path, nargs="?")
    parser.add_argument("--vehicles", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--repeat", type=int, default=2, help="runs of each fleet, of which the quickest counts")
    parser.add_argument("--fleet", choices=HINTS, action="append")
    parser.add_argument("--profile", action="store_true", help="print where the time goes, of each run")
    parser.add_argument("--no-growth", action="store_true", help="leave out the synthetic networks")
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--batches", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batches is not None:
        network = load_network(options.feed, cache=options.cache)
        print(json.dumps(asdict(follow(network, options.batches, options.vehicles, profile=options.profile))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        recorded = RECORDED if RECORDED.exists() else None
        show_fleets(options.feed or recorded or synthetic(folder / "synthetic.zip"), folder, options)
        if not options.no_growth:
            show_growth(folder, options)


if __name__ == "__main__":
    main()
