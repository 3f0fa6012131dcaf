"""Our yardstick and the one beside the project must say the same of the same predictions."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gtfs_data.compile import load_network
from transit.accuracy.days import day_of, number, of_days
from transit.accuracy.figures import figures
from transit.accuracy.forecasts import Names, read_forecasts
from transit.accuracy.judge import judge, once_each
from transit.accuracy.passings import read_passings
from transit.accuracy.recording import read_recording
from transit.accuracy.replay import PREDICTIONS, replay
from transit.accuracy.tables import TableFile
from transit.accuracy.tracks import Tracks

SHARED = Path(__file__).parents[2].parent / "shared"
JUDGE = SHARED / "tools" / "evaluate.py"

pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not JUDGE.exists(), reason="no recorded data beside the project"),
]


@pytest.mark.parametrize(("city", "day"), [("wmata_2026", None), ("kaohsiung_2018", dt.date(2018, 11, 7))])
def test_both_yardsticks_agree(tmp_path: Path, city: str, day: dt.date | None) -> None:
    folder, out = SHARED / "data" / city, tmp_path / "said.parquet"
    network, whole = load_network(folder / "gtfs.zip", cache=None), read_recording(folder / "vehicle_locations.csv.gz")
    recording = whole if day is None else of_days(whole, [number(day)], network.time_zone)
    with TableFile(out, PREDICTIONS) as sink:
        replay(network, recording, sink=sink)
    theirs = outside(folder, out, *(() if day is None else ("--days", day.isoformat())))

    names = Names(network)
    observed = read_passings(folder / "stop_visits_truth.csv.gz", network, names)
    days = np.unique(observed.passings.day) if day is None else np.array([number(day)])
    said = read_forecasts(out, names)
    said = once_each(said.take(np.isin(day_of(said.made_ms, network.time_zone), days)), 60_000)
    judged = judge(said, observed, Tracks(whole, network, names))
    ours = figures("ours", judged, network, days.astype(np.int64))

    assert ours.outcomes == {name.replace("already passed", "passed"): n for name, n in theirs["outcomes"].items()}
    for horizon, errors in ours.mbta.items():
        other = theirs["mbta"][horizon]
        assert errors.n == other["n"]
        assert errors.mae_s == pytest.approx(other["mae"])
        assert errors.p90_s == pytest.approx(other["p90_abs"])
        assert errors.bias_s == pytest.approx(other["bias"])
        assert errors.accurate_pct == pytest.approx(other["accurate_pct"])
        assert errors.covered_pct == pytest.approx(other["interval_coverage_pct"])
    assert ours.transit_mean_pct == pytest.approx(theirs["transit_mean"])
    assert ours.phantom_pct == pytest.approx(theirs["phantom_pct"])
    assert ours.foretold_pct == pytest.approx(theirs["coverage"]["pct"])
    assert ours.foretold_under_way_pct == pytest.approx(theirs["coverage"]["en_route_pct"])
    assert ours.upward_jumps == pytest.approx(theirs["wobble"]["jumps_per_countdown"])


def outside(folder: Path, said: Path, *more: str) -> dict[str, Any]:
    command = [sys.executable, str(JUDGE), "--set", str(folder), "--predictions", str(said), "--every", "60", "--json"]
    answer: dict[str, Any] = json.loads(subprocess.run([*command, *more], capture_output=True, check=True).stdout)
    return answer
