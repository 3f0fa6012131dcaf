"""``ayaldama simulate``: a recording that replays, and the truth to judge by."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ayaldama.commands._base import Chosen
from ayaldama.commands.simulate import simulate
from ayaldama.simulate.closures import closure_of
from ayaldama.simulate.record import FIX_COLUMNS, PASSAGE_COLUMNS, Recorded, record
from tests.notation.town import at
from tests.simulate.there_and_back import network_of
from transit.accuracy.recording import read_recording
from transit.accuracy.replay import replay
from transit.outcomes import DetourState
from transit.tracking.tracker import Tracker

MINUTES = 12

Written = tuple[Recorded, Path, Path]


def simulated(
    folder: Path,
    *,
    seed: int = 1,
    suffix: str = ".csv.gz",
    minutes: int = MINUTES,
    closed: tuple[str, str] | None = None,
) -> Written:
    fixes, truth = folder / f"avl-{seed}{suffix}", folder / f"truth-{seed}{suffix}"
    done = record(
        network_of(),
        buses=12,
        seed=seed,
        start_ms=at("08:00"),
        end_ms=at("08:00") + 60_000 * minutes,
        fixes_out=fixes,
        truth_out=truth,
        closure=closure_of(network_of(), *closed) if closed else None,
    )
    return done, fixes, truth


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return simulated(tmp_path_factory.mktemp("recorded"))


def test_the_recording_is_read_as_any_other(written: Written) -> None:
    done, fixes, _ = written
    recording = read_recording(fixes)
    assert len(recording.batch) == done.fixes > 300
    assert len(set(recording.batch.vehicle_id)) == done.buses >= 5
    assert at("08:00") <= recording.first_ms <= recording.last_ms <= at("08:00") + 60_000 * MINUTES
    assert set(recording.batch.route_id) == {"7", ""}
    assert 4.0 < np.nanmean(recording.batch.speed_mps) < 12.0


def test_the_truth_names_each_stop_that_a_bus_was_at(written: Written) -> None:
    done, fixes, truth = written
    assert tuple(rows(fixes)[0]) == FIX_COLUMNS
    passages = rows(truth)
    assert tuple(passages[0]) == PASSAGE_COLUMNS
    assert len(passages) == done.passages > 30
    for passage in passages:
        assert passage["route_id"] == "7"
        assert passage["trip_id"] == f"every-7/{passage['direction_id']}"
        assert int(passage["arrival"]) <= int(passage["departure"])
        assert at("07:55") <= 1_000 * int(passage["departure"]) <= at("08:00") + 60_000 * MINUTES


def test_the_same_seed_writes_the_same_bytes(written: Written, tmp_path: Path) -> None:
    _, fixes, truth = written
    _, fixes_again, truth_again = simulated(tmp_path)
    assert fixes.read_bytes() == fixes_again.read_bytes()
    assert truth.read_bytes() == truth_again.read_bytes()
    assert simulated(tmp_path, seed=2)[1].read_bytes() != fixes.read_bytes()


def test_the_file_is_compressed_by_its_name(written: Written, tmp_path: Path) -> None:
    _, fixes, _ = simulated(tmp_path, suffix=".csv")
    assert written[1].read_bytes()[:2] == b"\x1f\x8b"
    assert rows(fixes) == rows(written[1])


def test_tracking_finds_the_stops_at_which_buses_truly_were(written: Written) -> None:
    """The whole way: what units report, through tracking, gives the stop passages that happened."""
    done, fixes, _ = written
    followed = replay(network_of(), read_recording(fixes), every_s=60)
    assert followed.vehicles_predicted == followed.vehicles == done.buses
    assert 0.8 * done.passages < followed.stop_events < 1.1 * done.passages
    assert followed.accepted > 0.98 * followed.reports


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--from", "9:5"], "must be HH:MM"),
        (["--to", "24:01"], "is after 24:00"),
        (["--from", "09:00", "--to", "09:00"], "--from must be before --to"),
        (["--date", "tomorrow"], "tomorrow"),
    ],
)
def test_wrong_options_are_explained(tmp_path: Path, options: list[str], says: str) -> None:
    common = ["--gtfs", str(tmp_path), "--date", "2026-03-02", "-o", str(tmp_path / "out.csv")]
    called = CliRunner().invoke(simulate, [*common, *options], obj=Chosen())
    assert called.exit_code == 2
    assert says in called.output
    assert not (tmp_path / "out.csv").exists()


def test_tracking_finds_the_street_that_was_closed_and_the_stops_that_were_missed(tmp_path: Path) -> None:
    _, fixes, truth = simulated(tmp_path, minutes=40, closed=("S2", "S6"))
    tracker, told = Tracker(network_of()), {}
    for until_ms, batch in read_recording(fixes).steps(10_000, None):
        told |= {detour.detour_id: detour for detour in tracker.advance(batch, until_ms).update.detours}
    (detour,) = (one for one in told.values() if one.state == DetourState.CONFIRMED)
    assert ([(line.route_id, line.direction_id) for line in detour.lines], detour.missed) == (
        [("7", 0)],
        ["S3", "S4", "S5"],
    )
    assert {row["stop_id"] for row in rows(truth)} & {"S3", "S4", "S5"} == set()


def test_a_street_is_closed_between_two_stops_of_a_line() -> None:
    with pytest.raises(ValueError, match="no line drives from stop 'S6' to 'S2'"):
        closure_of(network_of(), "S6", "S2")
    closure = closure_of(network_of(), "S2", "S6")
    offset_m = np.array([950.0, 1_100.0, 1_900.0, 2_720.0, 2_760.0])
    assert closure.aside_m(np.zeros(5, dtype=np.int64), offset_m).tolist() == [0.0, 250.0, 250.0, 0.0, 0.0]
    assert closure.aside_m(np.ones(5, dtype=np.int64), offset_m).tolist() == [0.0] * 5
