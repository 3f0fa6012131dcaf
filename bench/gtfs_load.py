"""Seconds and memory to compile a GTFS feed, and to load it again, beside the floors of the same machine and run.

    python bench/gtfs_load.py [--feed PATH]

Each figure is of a process of its own, which has nothing in memory before. Without ``--feed`` the large recorded feed
beside the project is taken, or, where there is none, a synthetic one of half a million stop times.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

RECORDED = Path(__file__).parents[1].parent / "shared" / "data" / "gtfs_feeds" / "fortaleza_2019.zip"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one process took: without its imports, and its memory at most, with them."""

    seconds: float
    peak_mb: float


def compile_alone(feed: Path, cache: Path) -> Callable[[], object]:
    """Compile and keep."""
    from gtfs_data.compile import compile_feed  # noqa: PLC0415 (each process imports only what it measures)
    from gtfs_data.store import save  # noqa: PLC0415

    def run() -> object:
        network = compile_feed(feed).network
        return save(cache, network) if network is not None else None

    return run


def load_again(feed: Path, cache: Path) -> Callable[[], object]:
    """Load from the cache, the hash of the feed's content included."""
    from gtfs_data.compile import load_network  # noqa: PLC0415

    return lambda: load_network(feed, cache=cache)


def arrow_stop_times(feed: Path, _cache: Path) -> Callable[[], object]:
    """Unpack stop_times.txt and read it with Arrow, all columns as they come."""
    from pyarrow import csv  # noqa: PLC0415

    def run() -> object:
        with zipfile.ZipFile(feed) as zipped, zipped.open("stop_times.txt") as file:
            return csv.read_csv(file)

    return run


def kit_alone(feed: Path, _cache: Path) -> Callable[[], object]:
    """Read all tables with gtfs-kit."""
    import gtfs_kit  # noqa: PLC0415

    return lambda: gtfs_kit.read_feed(feed, dist_units="m")


STEPS: Mapping[str, Callable[[Path, Path], Callable[[], object]]] = MappingProxyType(
    {
        "compile and keep": compile_alone,
        "load what was kept": load_again,
        "floor: unzip and read stop_times.txt with Arrow": arrow_stop_times,
        "floor: read all tables with gtfs-kit": kit_alone,
    }
)


def synthetic(
    path: Path,
    trips: int = 10_000,
    *,
    lines: int = 100,
    stops: int = 50,
    vertices: int = 4,
    starts_s: int = 18_000,
    headway_s: int = 540,
) -> Path:
    """Write a feed of ``trips`` trips on parallel lines of so many ``stops``, drawn with ``vertices`` for each stop."""
    tables = {
        "agency": ["agency_name,agency_url,agency_timezone", "Bench,https://example.kz,Asia/Qyzylorda"],
        "calendar": [
            "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date",
            "daily,1,1,1,1,1,1,1,20260101,20261231",
        ],
        "routes": ["route_id,route_short_name,route_type", *(f"R{line},{line},3" for line in range(lines))],
        "stops": ["stop_id,stop_name,stop_lat,stop_lon"],
        "shapes": ["shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence"],
        "trips": ["route_id,service_id,trip_id,shape_id"],
        "stop_times": ["trip_id,arrival_time,departure_time,stop_id,stop_sequence"],
    }
    for line in range(lines):
        lat = 44.8 + 0.002 * line
        tables["stops"] += [f"{line}-{k},Stop {k},{lat:.5f},{65.2 + 0.004 * k:.5f}" for k in range(stops)]
        step = 0.004 / vertices
        tables["shapes"] += [f"{line},{lat:.5f},{65.2 + step * k:.5f},{k}" for k in range(vertices * stops)]
    for trip in range(trips):
        line, begins_s = trip % lines, starts_s + headway_s * (trip // lines)
        tables["trips"].append(f"R{line},daily,T{trip},{line}")
        for k in range(stops):
            at_s = begins_s + 70 * k
            clock = f"{at_s // 3600:02}:{at_s // 60 % 60:02}:{at_s % 60:02}"
            tables["stop_times"].append(f"T{trip},{clock},{clock},{line}-{k},{k}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, rows in tables.items():
            zipped.writestr(f"{name}.txt", "\n".join(rows))
    return path


def measure(step: str, feed: Path, cache: Path) -> Figure:
    """Return what a step takes in a process of its own."""
    command = [sys.executable, __file__, "--feed", str(feed), "--cache", str(cache), "--step", step]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    return Figure(**json.loads(said.splitlines()[-1]))


def run_step(step: str, feed: Path, cache: Path) -> None:
    """Run a step in this process and print what it took."""
    run = STEPS[step](feed, cache)
    began_s = time.monotonic()
    kept = run()
    seconds = time.monotonic() - began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(asdict(Figure(seconds, peak_mb))))
    del kept


def main() -> int:
    """Print all figures, and as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feed", type=Path, help="a zip file")
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step is not None:
        run_step(options.step, options.feed, options.cache)
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        recorded = RECORDED if RECORDED.is_file() else None
        feed = options.feed or recorded or synthetic(Path(folder) / "synthetic.zip")
        figures = {step: measure(step, feed, Path(folder) / "cache") for step in STEPS}
    print(f"{feed.name}: {feed.stat().st_size / 1e6:.1f} MB packed")
    print(f"  {'':<52}{'seconds':>10}{'MB at most':>12}")
    for step, figure in figures.items():
        print(f"  {step:<52}{figure.seconds:>10.2f}{figure.peak_mb:>12,.0f}")
    print(json.dumps({step: asdict(figure) for step, figure in figures.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
