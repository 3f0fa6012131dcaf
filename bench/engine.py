"""Positions per second through ``Tracker.advance`` on one core, on a network of a large city.

    python bench/engine.py [FEED] [--vehicles 5000] [--minutes 4]

Without ``FEED`` the large recorded feed beside the project is taken, or, where there is none, a synthetic one.

Vehicles drive runs of one day at even speed with 10 m of noise and report every 10 s; batches of 2,000 go in as
tracking would take them. Three fleets: one that names its trips, one its routes, one nothing. The first
minute, in which every vehicle is new and must be found, is printed apart. The floor beside it is
decoding the same batches into columns and doing nothing else. Seconds are those of the processor, so that what else
the machine does counts little; the tracker uses one core.
"""

import argparse
import cProfile
import datetime as dt
import pstats
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import shapely
from gtfs_load import RECORDED, synthetic

from gtfs_data.calendar import service_day
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from transit.codec import decode_reports, encode_reports
from transit.model import PositionReport, batch_of
from transit.tracking.tracker import Tracker

BATCH = 2_000
EVERY_S = 10
NOISE_M = 10.0
STAGES = ("clean", "match", "assign", "observe", "predict", "changes", "geometry", "duty", "runs", "travel_times")


@dataclass(frozen=True, slots=True)
class Drive:
    """Which run each vehicle drives, and where it began."""

    trips: np.ndarray
    start_m: np.ndarray
    speed_mps: np.ndarray
    start_ms: int


def drives(network: Network, count: int, seed: int) -> Drive:
    """Choose ``count`` runs around eight in the morning of the first day with the most runs."""
    rng = np.random.default_rng(seed)
    dates = [network.services.first_date + dt.timedelta(days=d) for d in range(min(network.services.runs.shape[1], 14))]
    day = max((service_day(network, date) for date in dates), key=lambda one: len(one.trip))
    at_ms = day.zero_ms + 8 * 3_600_000
    nearest = np.argsort(np.abs(day.start_ms - at_ms), kind="stable")[:count]
    runs = np.resize(nearest, count)
    pattern = network.trips.pattern[day.trip[runs]]
    length_m = np.array([network.patterns.length_m(int(p)) for p in pattern])
    return Drive(day.trip[runs], rng.uniform(0.05, 0.6, count) * length_m, rng.uniform(4.0, 9.0, count), at_ms)


def reports(network: Network, drive: Drive, hint: str, minutes: float) -> list[bytes]:
    """Return encoded batches of reports, as they lie in the stream."""
    rng = np.random.default_rng(1)
    patterns, count = network.patterns, len(drive.trips)
    pattern = network.trips.pattern[drive.trips]
    lines = {int(p): shapely.LineString(patterns.line(int(p))) for p in np.unique(pattern)}
    line = np.array([lines[int(p)] for p in pattern], dtype=object)
    back = pyproj.Transformer.from_crs(network.epsg, 4326, always_xy=True)
    route = [network.routes.ids[int(r)] for r in patterns.route[pattern]]
    trip = [network.trips.ids[int(t)] for t in drive.trips]
    batches: list[bytes] = []
    waiting: list[PositionReport] = []
    phase_ms = rng.integers(0, 1000 * EVERY_S, count)
    for tick in range(int(minutes * 60 / EVERY_S)):
        driven_m = drive.start_m + drive.speed_mps * (tick * EVERY_S + phase_ms / 1000)
        place = shapely.get_coordinates(shapely.line_interpolate_point(line, driven_m))
        lon, lat = back.transform(*(place + rng.normal(0, NOISE_M, place.shape)).T)
        fix_ms = drive.start_ms + 1000 * EVERY_S * tick + phase_ms
        for i in np.argsort(phase_ms):
            waiting.append(
                PositionReport(
                    vehicle_id=f"v{i}",
                    fix_ms=int(fix_ms[i]),
                    received_ms=int(fix_ms[i]),
                    lat=float(lat[i]),
                    lon=float(lon[i]),
                    trip_id=trip[i] if hint == "trip" else "",
                    route_id=route[i] if hint == "route" else "",
                )
            )
            if len(waiting) == BATCH:
                batches.append(encode_reports(waiting))
                waiting = []
    return batches


def run(network: Network, hint: str, minutes: float, vehicles: int, profile: bool) -> None:
    """Measure one fleet."""
    batches = reports(network, drives(network, vehicles, 7), hint, minutes)
    tracker = Tracker(network)
    cold = max(1, int(60 / EVERY_S) * vehicles // BATCH)
    meter = cProfile.Profile() if profile else None
    began = time.process_time()
    floor_s = changed = 0.0
    accepted = 0
    for number, data in enumerate(batches):
        if number == cold:
            cold_s, began = time.process_time() - began, time.process_time()
            floor_s = changed = 0.0
            accepted = 0
            if meter:
                meter.enable()
        mark = time.process_time()
        batch = batch_of(decode_reports(data))
        floor_s += time.process_time() - mark
        changes = tracker.advance(batch, int(batch.received_ms.max()))
        accepted += changes.accepted
        changed += len(changes.update.arrivals)
    warm_s = time.process_time() - began
    if meter:
        meter.disable()
    on_run = int((tracker.fleet.slot[: len(tracker.fleet)] >= 0).sum())
    reading = accepted / floor_s
    print(
        f"{hint:8s} {accepted / warm_s:10,.0f} positions/s of a core   reading the batches alone {reading:11,.0f}/s   "
        f"first minute {cold * BATCH / cold_s:8,.0f}/s   {on_run}/{vehicles} on a run   "
        f"{changed / accepted:4.1f} arrivals changed per position"
    )
    if meter:
        stats = pstats.Stats(meter)
        stats.sort_stats("tottime").print_stats(30)


def main() -> None:
    """Run all fleets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("feed", type=Path, nargs="?")
    parser.add_argument("--vehicles", type=int, default=5_000)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--fleet", choices=("trip", "route", "nothing"), action="append")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        recorded = RECORDED if RECORDED.exists() else None
        network = load_network(arguments.feed or recorded or synthetic(Path(folder) / "synthetic.zip"), cache=None)
    print(
        f"{len(network.stops.ids)} stops, {len(network.patterns)} patterns, {len(network.trips.ids)} trips; "
        f"{arguments.vehicles} vehicles reporting every {EVERY_S} s, batches of {BATCH}"
    )
    for hint in arguments.fleet or ("trip", "route", "nothing"):
        run(network, hint, arguments.minutes, arguments.vehicles, arguments.profile)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak_mb:,.0f} MB, the generated reports and the network included")


if __name__ == "__main__":
    main()
