"""A recorded day gives predictions that rest only on what was known, in every format that is asked for."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from gtfs_data.network import Network
from tests.notation.town import at, drive, town
from transit.accuracy.recording import RecordingError, read_recording
from transit.accuracy.replay import PREDICTIONS, Replayed, replay
from transit.accuracy.tables import TableFile
from transit.model import PositionReport

EAST = [(0.0, 0.0), (4000.0, 0.0)]
STOPS = [0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0, 3500.0, 4000.0]
HEAD = "event_timestamp,vehicle_id,latitude,longitude,heading,speed,route_id,direction_id,trip_id_performed\n"


@pytest.fixture
def network() -> Network:
    return town({"1/0": EAST}, {"1/0": STOPS}, "t1 1/0 08:00\nt2 1/0 08:20")


def written(reports: Sequence[PositionReport], path: Path) -> Path:
    rows = [
        f"{pd.Timestamp(r.fix_ms, unit='ms', tz='UTC').isoformat()},{r.vehicle_id},{r.lat},{r.lon},,,"
        f"{r.route_id},,{r.trip_id}\n"
        for r in reports
    ]
    path.write_text(HEAD + "".join(rows))
    return path


def predicted(network: Network, recording: Path, out: Path) -> tuple[Replayed, list[dict[str, str]]]:
    with TableFile(out, PREDICTIONS) as sink:
        done = replay(network, read_recording(recording), sink=sink)
    with gzip.open(out, "rt") as text:
        return done, list(csv.DictReader(text))


def test_what_is_predicted_at_a_moment_does_not_depend_on_what_comes_later(network: Network, tmp_path: Path) -> None:
    day = [*drive("a", EAST, at("08:00"), trip="t1"), *drive("b", EAST, at("08:20"), trip="t2")]
    _, whole = predicted(network, written(day, tmp_path / "whole.csv"), tmp_path / "whole.csv.gz")
    cut_ms = at("08:05")
    early = [report for report in day if report.fix_ms <= cut_ms]
    _, part = predicted(network, written(early, tmp_path / "early.csv"), tmp_path / "early.csv.gz")
    assert part
    assert part == [row for row in whole if int(row["made_at"]) <= cut_ms // 1000]


def test_rows_in_any_order_are_one_recording(network: Network, tmp_path: Path) -> None:
    day = drive("a", EAST, at("08:00"), trip="t1")
    in_order = predicted(network, written(day, tmp_path / "1.csv"), tmp_path / "1.csv.gz")
    backwards = predicted(network, written(day[::-1], tmp_path / "2.csv"), tmp_path / "2.csv.gz")
    assert in_order == backwards


def test_a_bus_on_time_is_predicted_on_time(network: Network, tmp_path: Path) -> None:
    day = drive("a", EAST, at("08:00"), trip="t1")
    done, rows = predicted(network, written(day, tmp_path / "day.csv"), tmp_path / "out.csv.gz")
    assert (done.vehicles, done.vehicles_predicted, done.reports) == (1, 1, len(day))
    for row in rows:
        if row["trip_id"] == "t1":
            planned_s = at("08:00") // 1000 + round(STOPS[int(row["stop_sequence"]) - 1] / 8)
            assert abs(int(row["arrival"]) - planned_s) <= 45
            assert int(row["arrival_p10"]) <= int(row["arrival"]) <= int(row["arrival_p90"])


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.parquet"])
def test_every_format_holds_the_same(network: Network, tmp_path: Path, name: str) -> None:
    day = read_recording(written(drive("a", EAST, at("08:00"), trip="t1"), tmp_path / "day.csv"))
    with TableFile(tmp_path / name, PREDICTIONS) as sink:
        done = replay(network, day, sink=sink)
    read = pq.read_table(tmp_path / name).to_pandas() if name.endswith("parquet") else pd.read_csv(tmp_path / name)
    assert list(read.columns) == PREDICTIONS.names
    assert len(read) == done.predictions > 0
    assert not list(tmp_path.glob(".*.part"))


def test_a_recording_without_predictions_gives_a_file_without_rows(network: Network, tmp_path: Path) -> None:
    far = written(drive("a", [(90_000.0, 0.0), (91_000.0, 0.0)], at("08:00")), tmp_path / "far.csv")
    with TableFile(tmp_path / "none.parquet", PREDICTIONS) as sink:
        assert replay(network, read_recording(far), sink=sink).predictions == 0
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def test_a_file_half_written_does_not_stay(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="interrupted"), TableFile(tmp_path / "out.csv", PREDICTIONS):
        raise RuntimeError("interrupted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("vehicle_id,latitude,longitude\n1,2,3\n", "column event_timestamp is missing"),
        (HEAD, "no rows"),
        (HEAD + "yesterday,7,44,65,,,,,\n", "event_timestamp must be ISO 8601"),
        (HEAD + ",7,44,65,,,,,\n", "event_timestamp"),
        (HEAD + "2026-03-02T08:00:00Z,7,north,65,,,,,\n", "latitude must be a number: 'north'"),
    ],
)
def test_a_recording_that_cannot_be_read_says_why(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "day.csv").write_text(content)
    with pytest.raises(RecordingError, match=said):
        read_recording(tmp_path / "day.csv")


def test_a_recording_can_be_taken_from_a_moment_on(network: Network, tmp_path: Path) -> None:
    day = read_recording(written(drive("a", EAST, at("08:00"), trip="t1"), tmp_path / "day.csv"))
    later = day.since(at("08:02"))
    assert later.first_ms == at("08:02")
    assert later.last_ms == day.last_ms
    with pytest.raises(RecordingError, match="nothing was recorded"):
        day.since(at("23:00"))


def test_a_report_with_a_clock_of_another_decade_costs_one_step(network: Network, tmp_path: Path) -> None:
    day = drive("a", EAST, at("08:00"), trip="t1")
    old = drive("b", EAST, at("08:00") - 1_024 * 7 * 86_400_000, until_m=10)
    recording = read_recording(written([*old, *day], tmp_path / "day.csv"))
    assert len(list(recording.steps(60_000))) < 20
    assert replay(network, recording).vehicles_predicted == 1


def test_other_endings_than_csv_and_parquet_are_refused() -> None:
    with pytest.raises(ValueError, match=r"out\.xlsx: this table is written as"):
        TableFile(Path("out.xlsx"), PREDICTIONS)
