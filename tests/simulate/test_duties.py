"""Runs are chained into duties that a bus can truly drive."""

import datetime as dt
import itertools

import numpy as np
import pytest

from ayaldama.simulate.duties import LAYOVER_S, NEAR_M, Duty, Run, duties_of
from gtfs_data.network import Network
from tests.notation.town import DAY, at, town
from tests.simulate.there_and_back import BACK, STOPS_M, THERE, network_of

HOUR_MS = 3_600_000


def departures(duties: list[Duty], pattern: int) -> list[int]:
    return sorted(run.departure_ms for duty in duties for run in duty.runs if run.pattern == pattern)


def pairs(duties: list[Duty]) -> list[tuple[Run, Run]]:
    return [pair for duty in duties for pair in itertools.pairwise(duty.runs)]


def apart_m(network: Network, earlier: Run, later: Run) -> float:
    patterns = network.patterns
    ended = network.stops.xy[patterns.stop[patterns.rows(earlier.pattern).stop - 1]]
    begins = network.stops.xy[patterns.stop[patterns.rows(later.pattern).start]]
    return float(np.hypot(*(ended - begins)))


def test_buses_leave_at_the_headway_of_the_plan() -> None:
    found = departures(duties_of(network_of(300), (DAY,), 50), pattern=0)
    assert set(np.diff(found).tolist()) == {300_000}
    assert len(found) == 24 * 12


def test_a_bus_goes_on_from_where_it_ended_and_rests_in_between() -> None:
    network = network_of(300)
    following = pairs(duties_of(network, (DAY,), 50))
    assert len(following) > 500
    for earlier, later in following:
        assert apart_m(network, earlier, later) <= NEAR_M
        assert later.departure_ms >= earlier.departure_ms + 1000 * (earlier.planned_s + LAYOVER_S)


def test_as_many_buses_are_needed_as_a_round_takes_headways() -> None:
    network = network_of(300)
    round_s = 2 * ((STOPS_M[-1] - STOPS_M[0]) / 8.0 + LAYOVER_S)
    needed = round_s / 300
    assert needed <= len(duties_of(network, (DAY,), 50)) <= needed + 2


@pytest.mark.parametrize("buses", [2, 4, 7])
def test_with_fewer_buses_headways_grow_evenly(buses: int) -> None:
    duties = duties_of(network_of(300), (DAY,), buses)
    assert 1 <= len(duties) <= buses
    for pattern in (0, 1):
        gaps_s = np.diff(departures(duties, pattern)) / 1000
        assert gaps_s.min() > 300
        assert gaps_s.max() - gaps_s.min() < 1


def test_a_single_bus_goes_there_and_back_all_day() -> None:
    duties = duties_of(network_of(300), (DAY,), 1)
    assert [run.pattern for run in duties[0].runs][:6] in ([0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0])
    assert len(duties) == 1
    assert len(duties[0].runs) > 20


def test_every_trip_of_the_timetable_is_driven_once() -> None:
    trips = "a 7/0 07:00\nb 7/1 07:20\nc 7/0 07:40\nd 7/0 07:45"
    duties = duties_of(network_of(trips=trips), (DAY,), 10)
    assert sorted(run.trip for duty in duties for run in duty.runs) == [0, 1, 2, 3]
    assert [tuple(run.trip for run in duty.runs) for duty in duties] == [(0, 1, 2), (3,)]


def test_too_few_buses_for_the_timetable_leave_trips_out() -> None:
    trips = "\n".join(f"t{i} 7/0 07:{i:02d}" for i in range(0, 60, 2))
    duties = duties_of(network_of(trips=trips), (DAY,), 3)
    assert 1 <= len(duties) <= 3


def test_the_bus_that_came_last_goes_first_so_that_layovers_stay_short() -> None:
    """Two come in, one goes out: the other one rests until it is needed."""
    trips = "a 7/0 07:00\nb 7/0 07:10\nc 7/1 07:30\nd 7/1 09:00"
    duties = duties_of(network_of(trips=trips), (DAY,), 10)
    assert [tuple(run.trip for run in duty.runs) for duty in duties] == [(0, 3), (1, 2)]


def test_lines_do_not_borrow_buses_of_each_other() -> None:
    network = town({"7/0": THERE, "8/1": BACK}, {"7/0": STOPS_M, "8/1": STOPS_M}, "a 7/0 07:00\nb 8/1 08:00")
    assert len(duties_of(network, (DAY,), 10)) == 2


def test_a_day_without_service_has_no_duties() -> None:
    assert duties_of(network_of(300), (DAY + dt.timedelta(400),), 10) == []


def test_the_same_plan_gives_the_same_duties() -> None:
    assert duties_of(network_of(420), (DAY,), 7) == duties_of(network_of(420), (DAY,), 7)
    assert at("07:00") % HOUR_MS == 0
