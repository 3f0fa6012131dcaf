"""Seconds that ``ayaldama replay --speed max`` takes for a day of a fleet, predictions written, beside the floor.

    python bench/replay.py [--buses 500] [--from 05:00] [--to 23:59]

The day is simulated (`ayaldama simulate`) on the sample city with headways shortened until so many buses are needed at
the peak or some more; they report every 5 to 30 s. The floor is reading the same recording and doing nothing else.
Everything is a process of its own, as it is for whoever calls it, with the start of Python and the reading of the feed
in its seconds.
"""

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import gtfs_data

SAMPLE_CITY = Path(gtfs_data.__file__).parent / "kyzylorda"
SAMPLE_BUSES = 231  # that the sample city needs at the peak of a working day
SPARE = 1.1  # units simulated for each bus wanted: lines share them out, and some stay at home
DATE = "2026-09-21"  # a Monday
FLOOR = "import sys, pathlib; from transit.accuracy.recording import read_recording as r; r(pathlib.Path(sys.argv[1]))"


def busier_city(folder: Path, buses: int) -> Path:
    """Return the sample city with headways for about so many buses."""
    shutil.copytree(SAMPLE_CITY, folder)
    plan = folder / "service.csv"
    with plan.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["headway_min"]:
            row["headway_min"] = f"{max(float(row['headway_min']) * SAMPLE_BUSES / (SPARE * buses), 1.0):.2f}"
    with plan.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


def run(arguments: Sequence[str | Path]) -> tuple[float, float, str]:
    """Return seconds of the clock, seconds of the processor and what was printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.monotonic()
    done = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True, timeout=1_800)
    took_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> None:
    """Make the day, replay it, and read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--buses", type=int, default=500)
    parser.add_argument("--from", dest="start", default="05:00", metavar="HH:MM")
    parser.add_argument("--to", dest="end", default="23:59", metavar="HH:MM")
    options = parser.parse_args()
    os.environ["COLUMNS"] = "120"
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        feed, day, predictions = folder / "gtfs.zip", folder / "day.csv.gz", folder / "predictions.parquet"
        city = busier_city(folder / "city", options.buses)
        run(["-m", "ayaldama", "gtfs", "build", city, "-o", feed])
        print(f"simulating a day of {options.buses} buses, which takes some minutes", flush=True)
        simulate = [
            "-m",
            "ayaldama",
            "simulate",
            "--gtfs",
            feed,
            "--date",
            DATE,
            "--buses",
            str(round(SPARE * options.buses)),
        ]
        print(run([*simulate, "--from", options.start, "--to", options.end, "-o", day])[2].splitlines()[-1].strip())
        replay = ["-m", "ayaldama", "replay", "--gtfs", feed, "--avl", day, "--predictions-out", predictions]
        took_s, cpu_s, said = run([*replay, "--speed", "max"])
        floor_s, floor_cpu_s, _ = run(["-c", FLOOR, day])
        print("\n".join(line for line in said.splitlines() if line.startswith("  ") and "✓" not in line))
        print(f"\n{'':<28}{'seconds':>10}{'of the processor':>20}")
        print(f"{'replay --speed max':<28}{took_s:>10.1f}{cpu_s:>20.1f}")
        print(f"{'floor: reading the file':<28}{floor_s:>10.1f}{floor_cpu_s:>20.1f}")


if __name__ == "__main__":
    main()
