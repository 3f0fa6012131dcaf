"""How predictions are joined to what happened: one rule, one test; times are clock times of a small town."""

from pathlib import Path

import numpy as np
import pytest

from gtfs_data.network import Network
from tests.notation.town import at, drive, town
from transit.accuracy.figures import Figures, figures
from transit.accuracy.follow import follow
from transit.accuracy.forecasts import Forecasts, InputError, Names, joined, read_forecasts
from transit.accuracy.judge import Judged, Outcome, judge, once_each
from transit.accuracy.passings import Observed, read_passings
from transit.accuracy.recording import Recording
from transit.accuracy.tracks import Tracks
from transit.model import PositionReport, batch_of

EAST = [(0.0, 0.0), (4000.0, 0.0)]
STOPS = [500.0 * number for number in range(9)]
TRUTH = "service_date,vehicle_id,route_id,direction_id,trip_id_performed,stop_id,stop_sequence,actual_arrival_time\n"


@pytest.fixture
def network() -> Network:
    return town({"1/0": EAST}, {"1/0": STOPS}, "t1 1/0 08:00\nt2 1/0 09:00")


class Town:
    """Buses that drove, what was seen of them, and what was said."""

    def __init__(self, network: Network, *reports: list[PositionReport]) -> None:
        self.network, self.names = network, Names(network)
        day = sorted((report for run in reports for report in run), key=lambda report: report.fix_ms)
        self.recording = Recording(batch_of(day))
        self.observed = follow(self.recording, network, self.names)

    def said(self, made: str, arrival: str, stop: str = "S8", vehicle: str = "a", half_width_s: int = 60) -> Forecasts:
        arrival_ms = at(arrival)
        return Forecasts(
            made_ms=np.array([at(made)]),
            vehicle=self.names.vehicles([vehicle]),
            route=np.array([0], dtype=np.int32),
            direction=np.array([0], dtype=np.int8),
            stop=self.names.stops([stop]),
            sequence=np.array([int(stop[1:]) + 1], dtype=np.int32),
            arrival_ms=np.array([arrival_ms]),
            p10_ms=np.array([arrival_ms - 1000.0 * half_width_s]),
            p90_ms=np.array([arrival_ms + 1000.0 * half_width_s]),
        )

    def judged(self, *said: Forecasts, observed: Observed | None = None) -> Judged:
        return judge(joined(said), observed or self.observed, Tracks(self.recording, self.network, self.names))

    def outcome(self, made: str, arrival: str, stop: str = "S8", vehicle: str = "a") -> Outcome:
        return Outcome(int(self.judged(self.said(made, arrival, stop, vehicle)).outcome[0]))

    def figures(self, *said: Forecasts) -> Figures:
        return figures("ours", self.judged(*said), self.network, np.unique(self.observed.passings.day).astype(np.int64))


def test_following_a_bus_sees_it_at_every_stop(network: Network) -> None:
    seen = Town(network, drive("a", EAST, at("08:00"), trip="t1")).observed.passings
    assert seen.rank.tolist() == list(range(9))
    late_s = (seen.at_ms - at("08:00")) / 1000 - np.array(STOPS) / 8
    assert np.abs(late_s).max() <= 3
    assert seen.arrived.tolist() == [False] + [True] * 8  # at the first stop it is the departure that counts


def test_a_bus_told_nothing_is_followed_all_the_same(network: Network) -> None:
    told = Town(network, drive("a", EAST, at("08:00"), trip="t1")).observed.passings
    untold = Town(network, drive("a", EAST, at("08:00"))).observed.passings
    assert untold.at_ms.tolist() == told.at_ms.tolist()


def test_half_a_run_is_none_and_a_recording_without_runs_is_refused(network: Network) -> None:
    with pytest.raises(InputError, match="no vehicle that passed half of the stops"):
        Town(network, drive("a", EAST, at("08:00"), until_m=900))


def test_the_error_is_positive_when_the_bus_comes_later_than_said(network: Network) -> None:
    city = Town(network, drive("a", EAST, at("08:00"), trip="t1"))  # at S8 at 08:08:20
    found = city.figures(city.said("08:06", "08:07:40"))
    assert found.all.bias_s == pytest.approx(40, abs=4)
    assert (found.mbta["0-3"].n, found.mbta["0-3"].accurate_pct) == (1, 100.0)
    assert found.interval.covered_pct == 100.0


@pytest.mark.parametrize(
    ("made", "arrival", "stop", "outcome"),
    [
        ("08:06", "08:08", "S8", Outcome.MATCHED),
        ("08:05", "08:06", "S2", Outcome.PASSED),  # it was there at 08:02
        ("08:08:40", "08:09", "S8", Outcome.MATCHED),  # just come: half a minute is allowed
        ("08:10", "08:12", "S8", Outcome.PASSED),
        ("08:40", "08:45", "S8", Outcome.UNKNOWN),  # comes at 09:08, but nobody heard of it in between
    ],
)
def test_what_becomes_of_a_prediction(network: Network, made: str, arrival: str, stop: str, outcome: Outcome) -> None:
    city = Town(network, drive("a", EAST, at("08:00"), trip="t1"), drive("a", EAST, at("09:30"), trip="t2"))
    assert city.outcome(made, arrival, stop) is outcome


def test_a_bus_that_turns_off_and_drives_on_was_a_phantom_at_the_stops_it_missed(network: Network) -> None:
    away = [(0.0, 0.0), (2500.0, 0.0), (2500.0, 30_000.0)]
    city = Town(network, drive("a", away, at("08:00")))
    assert city.outcome("08:04", "08:05", "S5") is Outcome.MATCHED
    seen = city.observed
    gone = np.zeros(0, dtype=np.int32)
    no_holes = type(seen.holes)(
        vehicle=gone, direction=gone.astype(np.int8), stop=gone, sequence=gone, at_ms=gone.astype(np.int64)
    )
    without = Observed(passings=seen.passings, holes=no_holes)
    assert city.judged(city.said("08:04", "08:08"), observed=without).outcome.tolist() == [Outcome.PHANTOM]
    assert city.judged(city.said("08:04", "08:08")).outcome.tolist() == [Outcome.HOLE]  # the truth has a hole there


def test_only_predictions_up_to_half_an_hour_ahead_count(network: Network) -> None:
    city = Town(network, drive("a", EAST, at("08:00"), trip="t1"))
    assert len(city.judged(city.said("07:30", "08:08")).forecasts) == 0
    assert len(city.judged(city.said("07:38", "08:08")).forecasts) == 1


def test_a_countdown_that_rises_by_a_minute_is_counted_once(network: Network) -> None:
    city = Town(network, drive("a", EAST, at("08:00"), trip="t1"))
    said = [city.said("08:02", "08:07"), city.said("08:03", "08:08"), city.said("08:04", "08:08:59")]
    found = city.figures(*said)
    assert (found.countdowns, found.upward_jumps) == (1, 1.0)


def test_a_passing_is_foretold_by_a_prediction_four_to_six_minutes_before(network: Network) -> None:
    city = Town(network, drive("a", EAST, at("08:00"), trip="t1"))  # stops 2 to 8 count
    assert city.figures(city.said("08:03", "08:09")).foretold_pct == pytest.approx(100 / 7)
    assert city.figures(city.said("08:05", "08:09")).foretold_pct == 0.0


def test_of_predictions_in_one_minute_the_last_is_kept(network: Network) -> None:
    city = Town(network, drive("a", EAST, at("08:00"), trip="t1"))
    said = joined([city.said("08:02:40", "08:08"), city.said("08:02:10", "08:07"), city.said("08:03", "08:09")])
    assert once_each(said, 60_000).made_ms.tolist() == [at("08:02:40"), at("08:03")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("made_at,vehicle_id,stop_id\n1,a,S1\n", "column arrival is missing"),
        ("made_at,vehicle_id,stop_id,arrival\n", "no rows"),
        ("made_at,vehicle_id,stop_id,arrival\n1,a,S1,soon\n", "row 2: arrival must be a number .*'soon'"),
        ("made_at,vehicle_id,stop_id,arrival\n1,a,S1,2\n1,a,Q,2\n", "row 3: stop_id 'Q' is not in stops.txt"),
        ("made_at,vehicle_id,stop_id,trip_id,arrival\n1,a,S1,t9,2\n", "row 2: trip_id 't9' is not in trips.txt"),
    ],
)
def test_predictions_that_cannot_be_judged_say_why(network: Network, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "theirs.csv").write_text(content)
    with pytest.raises(InputError, match=f"theirs.csv: {said}"):
        read_forecasts(tmp_path / "theirs.csv", Names(network))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2026-03-02,a,1,0,t1,S1,two,2026-03-02T08:00:00+05:00", "row 2: stop_sequence 'two' must be a number"),
        ("2026-03-02,a,1,0,t1,Q,2,2026-03-02T08:00:00+05:00", "row 2: stop_id 'Q' is not in stops.txt"),
        ("2026-03-02,a,1,0,t1,S1,2,eight", "row 2: actual_arrival_time 'eight' must be ISO 8601"),
        ("March,a,1,0,t1,S1,2,2026-03-02T08:00:00+05:00", "row 2: service_date 'March' must be YYYY-MM-DD"),
        ("2026-03-02,a,1,0,t1,S1,2,", "no row has an actual_arrival_time"),
    ],
)
def test_passings_that_cannot_be_used_say_why(network: Network, tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "seen.csv").write_text(TRUTH + row + "\n")
    with pytest.raises(InputError, match=said):
        read_passings(tmp_path / "seen.csv", network, Names(network))
