"""Recorded cities must not be predicted worse than they were: by 5 % of what was measured last."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gtfs_data.compile import load_network
from transit.accuracy.recording import Recording, read_recording
from transit.accuracy.replay import PREDICTIONS, Replayed, replay
from transit.accuracy.tables import TableFile

SHARED = Path(__file__).parents[2].parent / "shared"
JUDGE = SHARED / "tools" / "evaluate.py"
WASHINGTON = SHARED / "data" / "wmata_2026"
KAOHSIUNG = SHARED / "data" / "kaohsiung_2018"
BRUSSELS = SHARED / "data" / "stib55_2025"

pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not (JUDGE.exists() and WASHINGTON.exists()), reason="no recorded data beside the project"),
]


def judged(city: Path, recording: Recording, out: Path, *more: str) -> tuple[Replayed, Any]:
    with TableFile(out, PREDICTIONS) as sink:
        done = replay(load_network(city / "gtfs.zip", cache=None), recording, sink=sink)
    command = [sys.executable, str(JUDGE), "--set", str(city), "--predictions", str(out), "--json", *more]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return done, json.loads(said)


def test_washington_with_trip_ids(tmp_path: Path) -> None:
    done, found = judged(WASHINGTON, read_recording(WASHINGTON / "vehicle_locations.csv.gz"), tmp_path / "w.parquet")
    assert done.vehicles_predicted >= 0.9 * done.vehicles
    mae_s = {horizon: found["mbta"][horizon]["mae"] for horizon in ("0-3", "3-6", "6-12", "12-30")}
    assert mae_s["0-3"] <= 36
    assert mae_s["3-6"] <= 65
    assert mae_s["6-12"] <= 93
    assert mae_s["12-30"] <= 153
    assert found["wobble"]["jumps_per_countdown"] <= 0.07
    assert 77 <= found["interval"]["coverage_pct"] <= 83


def test_brussels_knows_on_wednesday_what_tuesday_taught(tmp_path: Path) -> None:
    two_days = read_recording(BRUSSELS / "vehicle_locations.csv.gz")
    _, found = judged(BRUSSELS, two_days, tmp_path / "b.parquet", "--days", "2025-03-19")
    mae_s = {horizon: found["mbta"][horizon]["mae"] for horizon in ("0-3", "3-6", "6-12", "12-30")}
    assert mae_s["0-3"] <= 28
    assert mae_s["3-6"] <= 45
    assert mae_s["6-12"] <= 64
    assert mae_s["12-30"] <= 98
    assert found["wobble"]["jumps_per_countdown"] <= 0.08


def test_a_day_of_kaohsiung_without_a_timetable(tmp_path: Path) -> None:
    week = read_recording(KAOHSIUNG / "vehicle_locations.csv.gz")
    start_ms = round(np.datetime64("2018-11-05T21:00", "ms").astype(np.int64))  # 05:00 of the 6th there
    first, last = np.searchsorted(week.batch.fix_ms, [start_ms, start_ms + 19 * 3_600_000])
    done, found = judged(
        KAOHSIUNG, Recording(week.between(int(first), int(last))), tmp_path / "k.parquet", "--days", "2018-11-06"
    )
    assert done.vehicles_predicted >= 0.9 * done.vehicles
    assert found["mbta"]["0-3"]["mae"] <= 36
    assert found["mbta"]["6-12"]["accurate_pct"] >= 86
