"""Matching beside a peer: Meili, the map matching of Valhalla, on the same traces of vehicles on the same lines.

    pip install -c constraints.txt -e '.[bench]'
    python bench/matching.py [FEED] [--vehicles 1000] [--minutes 5]

Vehicles drive as in ``engine.py``: on runs of a large city, a fix every 10 s, 10 m of noise; the trip is told. Both are
asked where on its line each vehicle is at each fix after the first minute; right is within 50 m along the line.

Meili gets a road graph made of the network's lines, each street in each direction once, one-way as the lines go. What
it does more: it finds the way through any road network, and sees the whole trace, or at least a minute of it, before it
answers. What it does less: it knows no line, hence not how far along which one a vehicle is. That is granted here: its
place counts as right where the told line passes it within 50 m of where the vehicle is, whichever pass and direction.
The tracker answers fix by fix, and must have found line, direction and pass.

Meili is measured twice: with whole traces at once, which a live system does not have, and as a live system would call
it, with the last minute of each vehicle at each fix. Seconds are those of the processor, of one core.
"""

import argparse
import itertools
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import pyproj
import shapely
import shapely.ops
from engine import EVERY_S, NOISE_M, Drive, Meter, Tick, drives, reports, ticks
from gtfs_load import RECORDED, synthetic

from gtfs_data.compile import load_network
from gtfs_data.network import Network
from transit.model import batch_of
from transit.tracking.tracker import Tracker

RIGHT_M = 50.0
TOUCHES_M = 5.0  # a road of the graph lies on its line but for the rounding of coordinates
LIVE_FIXES = 60 // EVERY_S
FIRST_JUDGED = 60 // EVERY_S  # fixes before it are of the first minute
SEARCH_M = 50

Node = tuple[int, int]  # longitude and latitude, in units of 1e-7 degrees, as OpenStreetMap keeps them


class Actor(Protocol):
    """What we ask of ``valhalla.Actor``."""

    def trace_attributes(self, request: str) -> str:
        """Match the trace in ``request``."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a matcher found."""

    name: str
    seconds: float
    positions: int
    right: int
    judged: int


def track(network: Network, drive: Drive, driven: list[Tick]) -> Iterator[Found]:
    """Yield what the tracker does: all stages, and matching alone."""
    tracker, meter = Tracker(network), Meter()
    meter.attach(tracker)
    total_s, right, judged = 0.0, 0, 0
    for number, tick in enumerate(driven):
        batch = batch_of(reports(network, drive, "trip", tick))
        began_s = time.process_time()
        tracker.advance(batch, int(tick.fix_ms.max()))
        total_s += time.process_time() - began_s
        if number >= FIRST_JUDGED:
            fleet = tracker.fleet
            row = fleet.rows_for([f"v{i}" for i in range(len(drive.trips))])
            on_line = (fleet.slot[row] >= 0) & (fleet.pattern[row] == drive.pattern)
            right += int((on_line & (np.abs(fleet.offset_m[row] - tick.offset_m) <= RIGHT_M)).sum())
            judged += len(row)
    positions = len(driven) * len(drive.trips)
    yield Found("the tracker, all stages", total_s, positions, right, judged)
    yield Found("of that, matching", meter.seconds["match"], positions, right, judged)


def roads(network: Network) -> list[list[Node]]:
    """Return the lines as ways: what lines share once for each direction, cut where lines part or meet."""
    back = pyproj.Transformer.from_crs(network.epsg, 4326, always_xy=True)
    follows: dict[Node, set[Node]] = defaultdict(set)
    leads: dict[Node, set[Node]] = defaultdict(set)
    for pattern in range(len(network.patterns)):
        degrees = np.column_stack(back.transform(*network.patterns.line(pattern).T))
        nodes = [(int(x), int(y)) for x, y in np.rint(degrees * 1e7).astype(np.int64)]
        for one, two in itertools.pairwise(nodes):
            if one != two:
                follows[one].add(two)
                leads[two].add(one)

    def plain(node: Node) -> bool:
        """Return whether all who come to ``node`` from one side leave it on the other."""
        beside = follows[node] | leads[node]
        return len(beside) == 2 and all(
            (a in leads[node]) == (b in follows[node]) for a in beside for b in beside - {a}
        )

    ways: list[list[Node]] = []
    taken: set[tuple[Node, Node]] = set()
    starts = sorted(follows, key=plain)  # junctions first; then what is left is rings
    for start in starts:
        for second in sorted(follows[start]):
            way = [start, second]
            if (start, second) in taken:
                continue
            taken.add((start, second))
            while plain(way[-1]):
                (ahead,) = follows[way[-1]] - {way[-2]}
                if (way[-1], ahead) in taken:
                    break
                taken.add((way[-1], ahead))
                way.append(ahead)
            ways.append(way)
    return ways


def write_roads(path: Path, ways: list[list[Node]], osmium: ModuleType) -> None:
    """Write ``ways`` as OpenStreetMap data."""
    number = {node: i for i, node in enumerate(sorted({node for way in ways for node in way}), start=1)}
    writer = osmium.SimpleWriter(str(path))
    for (x, y), node in number.items():
        writer.add_node(osmium.osm.mutable.Node(id=node, location=(x / 1e7, y / 1e7), version=1))
    tags = {"highway": "tertiary", "oneway": "yes"}
    for i, way in enumerate(ways, start=1):
        writer.add_way(osmium.osm.mutable.Way(id=i, nodes=[number[node] for node in way], tags=tags, version=1))
    writer.close()


def build_tiles(folder: Path, ways: list[list[Node]], osmium: ModuleType, valhalla: ModuleType) -> Path:
    """Return the configuration of Valhalla's tiles of ``ways``."""
    (folder / "tiles").mkdir()
    write_roads(folder / "roads.osm.pbf", ways, osmium)
    config = folder / "valhalla.json"
    config.write_text(json.dumps(valhalla.get_config(tile_extract="", tile_dir=folder / "tiles")))
    program = Path(valhalla.__file__).parent / "bin" / "valhalla_build_tiles"
    command = [program, "-c", config, "-j", "1", folder / "roads.osm.pbf"]
    subprocess.run(command, check=True, capture_output=True, timeout=600, cwd=folder)  # it leaves notes where it runs
    return config


def matched(actor: Actor, lat: np.ndarray, lon: np.ndarray, fix_ms: np.ndarray) -> list[tuple[float, float] | None]:
    """Return longitude and latitude of where Meili puts each fix of one vehicle; None for nowhere."""
    shape = [
        {"lat": y, "lon": x, "time": t / 1000}
        for y, x, t in zip(lat.tolist(), lon.tolist(), fix_ms.tolist(), strict=True)
    ]
    asked = {
        "shape": shape,
        "costing": "auto",
        "shape_match": "map_snap",
        "trace_options": {"gps_accuracy": NOISE_M, "search_radius": SEARCH_M},
        "filters": {"attributes": ["matched.point", "matched.type"], "action": "include"},
    }
    try:
        said = json.loads(actor.trace_attributes(json.dumps(asked)))
    except RuntimeError:  # nothing matches
        return [None] * len(shape)
    points = said["matched_points"]
    return [None if point["type"] == "unmatched" else (point["lon"], point["lat"]) for point in points]


def meili(network: Network, drive: Drive, driven: list[Tick], actor: Actor, *, live: bool) -> Found:
    """Match with Meili: whole traces at once, or, ``live``, the last minute at each fix."""
    forth = pyproj.Transformer.from_crs(4326, network.epsg, always_xy=True)
    lat, lon, fix_ms, offset_m = (
        np.array([getattr(tick, name) for tick in driven]) for name in ("lat", "lon", "fix_ms", "offset_m")
    )
    seconds, right, judged = 0.0, 0, 0
    for vehicle, pattern in enumerate(drive.pattern.tolist()):
        began_s = time.process_time()
        if live:
            windows = [slice(max(0, i + 1 - LIVE_FIXES), i + 1) for i in range(len(driven))]
            places = [
                matched(actor, lat[at, vehicle], lon[at, vehicle], fix_ms[at, vehicle])[-1] if at.stop > 1 else None
                for at in windows
            ]
        else:
            places = matched(actor, lat[:, vehicle], lon[:, vehicle], fix_ms[:, vehicle])
        seconds += time.process_time() - began_s
        line = shapely.LineString(network.patterns.line(pattern))
        for place, at_m in list(zip(places, offset_m[:, vehicle].tolist(), strict=True))[FIRST_JUDGED:]:
            judged += 1
            if place is not None:
                near = shapely.ops.substring(line, max(at_m - RIGHT_M, 0.0), at_m + RIGHT_M)
                right += near.distance(shapely.Point(forth.transform(*place))) <= TOUCHES_M
    name = f"Meili, the last {LIVE_FIXES} fixes at each fix" if live else "Meili, whole traces at once"
    return Found(name, seconds, len(driven) * len(drive.trips), right, judged)


def show(found: Found) -> None:
    """Print a line of the table."""
    speed = found.positions / found.seconds
    print(f"{found.name:<36}{speed:>14,.0f}{found.right / found.judged:>26.1%}", flush=True)


def main() -> None:
    """Match with both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("feed", type=Path, nargs="?")
    parser.add_argument("--vehicles", type=int, default=1_000)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        recorded = RECORDED if RECORDED.exists() else None
        network = load_network(options.feed or recorded or synthetic(folder / "synthetic.zip"), cache=folder)
        drive = drives(network, options.vehicles, 7)
        driven = list(ticks(network, drive, options.minutes))
        print(f"{len(network.patterns)} patterns, {options.vehicles} vehicles, {len(driven)} fixes of each\n")
        print(f"{'':<36}{'positions/s':>14}{f'right within {RIGHT_M:.0f} m':>26}")
        for found in track(network, drive, driven):
            show(found)
        try:
            import osmium  # noqa: PLC0415 - only this program needs the peer, and it can do without
            import valhalla  # noqa: PLC0415
        except ImportError:
            print("Meili is not installed: pip install -c constraints.txt -e '.[bench]'")
            return
        ways = roads(network)
        config = build_tiles(folder, ways, osmium, valhalla)
        actor = valhalla.Actor(str(config))
        for live in (False, True):
            show(meili(network, drive, driven, actor, live=live))
        print(f"\nroad graph of Meili: {len(ways)} ways")


if __name__ == "__main__":
    main()
