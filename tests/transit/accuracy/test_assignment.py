"""What was made of each report, written down and counted beside labels."""

from pathlib import Path

import pandas as pd
import pytest

from gtfs_data.network import Network
from tests.notation.town import at, drive, fix, town
from transit.accuracy.assignment import Assignment, assignment
from transit.accuracy.recording import labels_of, read_recording
from transit.accuracy.replay import POSITIONS, replay
from transit.accuracy.tables import TableFile
from transit.model import PositionReport

EAST = [(0.0, 0.0), (6_000.0, 0.0)]
STOPS = [500.0 * k for k in range(13)]
DEPOT = (3_000.0, -4_000.0)
Labelled = tuple[PositionReport, str, str]


@pytest.fixture
def network() -> Network:
    return town({"1/0": EAST}, {"1/0": STOPS}, "t1 1/0 08:00\nt2 1/0 08:20")


def parked(clock: str) -> list[PositionReport]:
    return [fix("a", DEPOT, at(clock) + 30_000 * k) for k in range(20)]


def written(day: list[Labelled], path: Path) -> Path:
    pd.DataFrame(
        {
            "event_timestamp": [pd.Timestamp(r.fix_ms, unit="ms", tz="UTC").isoformat() for r, _, _ in day],
            "vehicle_id": [r.vehicle_id for r, _, _ in day],
            "latitude": [r.lat for r, _, _ in day],
            "longitude": [r.lon for r, _, _ in day],
            "actual_phase": [phase for _, phase, _ in day],
            "actual_trip_id": [trip for _, _, trip in day],
        }
    ).to_csv(path, index=False)
    return path


def counted(network: Network, day: list[Labelled], path: Path) -> Assignment:
    file = written(day, path)
    labels = labels_of(file)
    assert labels is not None
    return assignment(network, read_recording(file), labels)


def test_reports_are_counted_by_what_the_bus_really_did(network: Network, tmp_path: Path) -> None:
    ride = drive("a", EAST, at("08:00"))
    day = [(report, "IN_PROGRESS", "t1") for report in ride] + [(r, "AT_BASE_+DEADHEAD_", "") for r in parked("07:30")]
    found = counted(network, day, tmp_path / "day.csv")
    assert (found.with_trip, found.in_progress, found.elsewhere) == (len(ride), len(ride), 20)
    assert found.elsewhere_served == 0
    assert found.right_trip == found.right_direction > 0.8 * len(ride)
    assert found.in_progress_served < len(ride)  # before its first metres nobody can know

    wrong = [(report, "IN_PROGRESS", "t2") for report in ride]
    found = counted(network, wrong, tmp_path / "wrong.csv")
    assert found.right_trip == 0
    assert found.right_direction > 0.8 * len(ride)

    empty = [(report, "DEADHEAD", "") for report in ride]
    assert counted(network, empty, tmp_path / "empty.csv").elsewhere_served > 0.8 * len(ride)


def test_a_label_that_allows_service_and_an_empty_one_are_not_counted_against_it(
    network: Network, tmp_path: Path
) -> None:
    ride = drive("a", EAST, at("08:00"))
    day = [(ride[0], "", "t1"), *((report, "LAYOVER_+IN_PROGRESS", "unknown") for report in ride[1:])]
    found = counted(network, day, tmp_path / "day.csv")
    assert (found.with_trip, found.in_progress, found.elsewhere) == (0, 0, 0)


def test_counts_of_two_recordings_add_up(network: Network, tmp_path: Path) -> None:
    day = [(report, "IN_PROGRESS", "t1") for report in drive("a", EAST, at("08:00"))]
    once = counted(network, day, tmp_path / "day.csv")
    assert (once + once).right_trip == 2 * once.right_trip


def test_a_recording_without_labels_has_none(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("event_timestamp,vehicle_id,latitude,longitude\n2026-03-02T08:00:00Z,a,44.8,65.5\n")
    assert labels_of(path) is None


@pytest.mark.parametrize("every_s", [7, 60])
def test_each_accepted_report_is_told_once_however_often_predictions_are(
    network: Network, tmp_path: Path, every_s: int
) -> None:
    ride = [*drive("a", EAST, at("08:00")), *drive("b", EAST, at("08:20"))]
    recording = read_recording(written([(report, "", "") for report in ride], tmp_path / "day.csv"))
    with TableFile(tmp_path / "fixes.csv", POSITIONS) as positions:
        done = replay(network, recording, every_s=every_s, positions=positions)
    told = pd.read_csv(tmp_path / "fixes.csv", keep_default_na=False)
    assert list(told.columns) == POSITIONS.names
    assert len(told) == done.accepted == len(ride)
    assert not told.duplicated(["vehicle_id", "fix_ms"]).any()
    last = told[told.vehicle_id == "a"].iloc[-3]
    assert (last.phase, last.route_id, last.direction_id, last.trip_id) == ("in_service", "1", 0, "t1")
    assert float(last.offset_m) > 5_000
