"""What simple predictors say: from the plan, the delay, earlier days, the bus ahead; never from what comes later."""

import datetime as dt

import numpy as np
import pytest

from gtfs_data.network import Network
from tests.notation.town import DAY, at, drive, town
from transit.accuracy.baselines import Baseline, Baselines
from transit.accuracy.days import number
from transit.accuracy.evaluation import chosen_days, recorded_for
from transit.accuracy.follow import follow
from transit.accuracy.forecasts import Forecasts, InputError, Names
from transit.accuracy.recording import Recording
from transit.model import PositionReport, batch_of

EAST = [(0.0, 0.0), (8000.0, 0.0)]
STOPS = [1000.0 * place for place in range(9)]  # 125 s from one to the next by the plan
DAY_MS = 86_400_000
TODAY = np.array([number(DAY)], dtype=np.int64)
NO_DAYS = np.zeros(0, dtype=np.int64)


@pytest.fixture
def network() -> Network:
    return town({"1/0": EAST}, {"1/0": STOPS}, "t1 1/0 08:00\nt2 1/0 08:10")


def recording(*runs: list[PositionReport]) -> Recording:
    return Recording(batch_of(sorted((report for run in runs for report in run), key=lambda report: report.fix_ms)))


def said(network: Network, kind: Baseline, day: Recording, train: np.ndarray = NO_DAYS) -> Forecasts:
    names = Names(network)
    passings = follow(day, network, names).passings
    found = Baselines(network, passings, every_ms=60_000).forecasts(kind, TODAY, train)
    assert found is not None
    return found


def arrival_s(forecasts: Forecasts, made: str, place: int, vehicle: int = 0) -> float:
    """Return what was said at ``made`` of the stop at ``place``, in seconds after 08:00."""
    one = (forecasts.made_ms == at(made)) & (forecasts.stop == place) & (forecasts.vehicle == vehicle)
    (number,) = np.flatnonzero(one)
    return (int(forecasts.arrival_ms[number]) - at("08:00")) / 1000


def test_the_timetable_says_what_is_planned_however_late_the_bus_is(network: Network) -> None:
    late = recording(drive("a", EAST, at("08:04"), trip="t1"))
    assert arrival_s(said(network, Baseline.TIMETABLE, late), "08:08", 8) == 1000


def test_the_delay_at_the_last_stop_is_carried_forward(network: Network) -> None:
    late = recording(drive("a", EAST, at("08:04"), trip="t1"))
    assert arrival_s(said(network, Baseline.DELAY, late), "08:08", 8) == pytest.approx(1240, abs=5)


def test_a_bus_whose_trip_nobody_told_goes_by_the_one_planned_nearest(network: Network) -> None:
    second = recording(drive("a", EAST, at("08:11")))
    assert arrival_s(said(network, Baseline.TIMETABLE, second), "08:15", 8) == 1600


def test_no_arrival_is_expected_in_the_past(network: Network) -> None:
    slow = recording(drive("a", EAST, at("08:00"), speed_mps=3.0, trip="t1"))
    for kind in (Baseline.DELAY, Baseline.MEDIANS, Baseline.RECENT):
        found = said(network, kind, slow)
        assert len(found) > 0
        assert (found.arrival_ms >= found.made_ms).all()


def test_medians_are_learned_from_the_days_before_and_not_from_the_day_itself(network: Network) -> None:
    before = drive("a", EAST, at("08:00") - 3 * DAY_MS, speed_mps=4.0)
    today = drive("b", EAST, at("08:00"))
    planned = said(network, Baseline.MEDIANS, recording(today))
    learned = said(network, Baseline.MEDIANS, recording(before, today))
    assert arrival_s(planned, "08:05", 8) == pytest.approx(1000, abs=5)
    assert arrival_s(learned, "08:05", 8, vehicle=1) == pytest.approx(250 + 6 * 250, abs=10)


def test_the_bus_ahead_is_believed_as_soon_as_it_has_passed_and_no_sooner(network: Network) -> None:
    ahead = drive("a", EAST, at("07:50"), speed_mps=4.0)
    behind = drive("b", EAST, at("08:00"))
    alone = said(network, Baseline.RECENT, recording(behind))
    followed = said(network, Baseline.RECENT, recording(ahead, behind))
    assert arrival_s(followed, "08:05", 5, vehicle=1) > arrival_s(alone, "08:05", 5) + 30
    cut = [report for report in [*ahead, *behind] if report.fix_ms <= at("08:13")]
    until = said(network, Baseline.RECENT, recording(cut))
    early = followed.made_ms <= at("08:09")  # what came after cannot have been known
    known = {(m, v, s): t for m, v, s, t in _rows(until)}
    assert early.any()
    assert all(known[m, v, s] == t for m, v, s, t in _rows(followed.take(early)))


def test_without_a_timetable_there_are_only_the_learned_ones() -> None:
    network = town({"1/0": EAST}, {"1/0": STOPS}, headways={"1/0": 600})
    day = recording(drive("a", EAST, at("08:00"), route="1", direction=0))
    baselines = Baselines(network, follow(day, network, Names(network)).passings, every_ms=60_000)
    found = {kind: baselines.forecasts(kind, TODAY, NO_DAYS) is not None for kind in Baseline}
    assert found == {
        Baseline.TIMETABLE: False,
        Baseline.DELAY: False,
        Baseline.MEDIANS: True,
        Baseline.RECENT: True,
    }


def test_a_day_on_which_nothing_was_seen_has_nothing_said(network: Network) -> None:
    day = recording(drive("a", EAST, at("08:00"), trip="t1"))
    baselines = Baselines(network, follow(day, network, Names(network)).passings, every_ms=60_000)
    both = np.append(TODAY - 1, TODAY)
    for kind in Baseline:
        alone, with_empty = baselines.forecasts(kind, TODAY, NO_DAYS), baselines.forecasts(kind, both, NO_DAYS)
        assert baselines.forecasts(kind, TODAY - 1, NO_DAYS) is None
        assert alone is not None
        assert with_empty is not None
        assert _rows(alone) == _rows(with_empty)


def test_days_are_judged_that_are_not_learned_from() -> None:
    zone = "Asia/Qyzylorda"
    three = recording(*(drive("a", EAST, at("08:00") + day * DAY_MS) for day in range(3)))
    days = chosen_days(three, zone, [DAY], None)
    assert days.test.tolist() == [number(DAY) + 1, number(DAY) + 2]
    middle = chosen_days(three, zone, None, [DAY + dt.timedelta(days=1)])
    assert recorded_for(three, middle, zone).last_ms < at("08:00") + 2 * DAY_MS


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (None, [dt.date(2027, 1, 1)], "--test: 2027-01-01 must be a day of the recording, which has 2026-03-02 to"),
        ([DAY], [DAY], "--test: 2026-03-02 must not be learned from as well"),
        ([DAY], None, "none is left to judge"),
    ],
)
def test_days_that_cannot_be_judged_are_refused(
    train: list[dt.date] | None, test: list[dt.date] | None, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        chosen_days(recording(drive("a", EAST, at("08:00"))), "Asia/Qyzylorda", train, test)


def _rows(forecasts: Forecasts) -> list[tuple[int, int, int, int]]:
    columns = (forecasts.made_ms, forecasts.vehicle, forecasts.stop, forecasts.arrival_ms)
    return list(zip(*(column.tolist() for column in columns), strict=True))
