"""What past days teach: running times by hour, kept as bytes, fading, leaning on the plan where little was seen."""

import datetime as dt
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notation.town import town
from transit.model import StopEvent
from transit.tracking.learned import LearnedTimes, TravelTimes, day_kind, from_bytes, ready, to_bytes
from transit.tracking.training import drives_of, learn, leavings_of, planned_beginnings

ZONE = ZoneInfo("Asia/Qyzylorda")
MONDAY = dt.date(2026, 3, 2)
PLANNED_S = np.array([100.0, 100.0])
LINKS = {("A", "B"): 0, ("B", "C"): 1}
STARTS = {("1", "A"): 0}


def at(day: dt.date, hour: float) -> int:
    return round(1000 * (dt.datetime.combine(day, dt.time(), ZONE).timestamp() + 3_600 * hour))


def run(
    day: dt.date, hour: float, *, first_s: float = 90.0, second_s: float = 110.0, bus: str = "a"
) -> list[StopEvent]:
    """A run A–B–C: stands at A for five minutes, leaves at ``hour``; 20 s of the second link it stands at B."""
    leaves = at(day, hour)
    reached = leaves + round(1000 * first_s)
    times = [
        ("A", leaves - 300_000, leaves),
        ("B", reached, reached + 20_000),
        ("C", reached + round(1000 * second_s), None),
    ]
    return [
        StopEvent(
            service_date=day.isoformat(),
            vehicle_id=bus,
            route_id="1",
            direction_id=0,
            trip_id="",
            run_key=f"{day}{hour}",
            stop_id=stop,
            stop_sequence=10 * (place + 1),
            arrival_ms=arrival_ms,
            departure_ms=departure_ms,
            uncertainty_s=10.0,
            scheduled_arrival_ms=None,
            trip_stop_sequence=place + 1,
        )
        for place, (stop, arrival_ms, departure_ms) in enumerate(times)
    ]


def taught(events: Iterable[StopEvent], day: dt.date = MONDAY, before: TravelTimes | None = None) -> TravelTimes:
    events = list(events)
    return learn(before, drives_of(events), leavings_of(events), day, ZONE)


def known(times: TravelTimes) -> LearnedTimes:
    return ready(times, LINKS, PLANNED_S, STARTS)


def three_days(seconds: dict[int, float]) -> TravelTimes:
    times: TravelTimes | None = None
    for d in range(3):
        day = MONDAY + dt.timedelta(days=d)
        times = taught(every_half_hour(day, seconds), day, times)
    assert times is not None
    return times


def every_half_hour(day: dt.date, seconds: dict[int, float]) -> list[StopEvent]:
    hours = [hour + part for hour in range(6, 22) for part in (0.1, 0.3, 0.6, 0.8)]
    return [event for hour in hours for event in run(day, hour, first_s=seconds.get(int(hour), 90.0))]


def test_what_a_bus_stands_at_its_first_stop_is_not_part_of_the_drive() -> None:
    drives = drives_of(run(MONDAY, 8.0))
    assert drives.seconds.tolist() == [90.0, 110.0]
    assert np.isnan(drives.dwell_s[0])
    assert drives.dwell_s[1] == 20.0


def test_drives_are_between_neighbours_of_one_run_only() -> None:
    events = run(MONDAY, 8.0)
    without_the_middle = [events[0], events[2]]
    two_runs = [run(MONDAY, 8.0)[0], run(MONDAY, 9.0)[1]]
    assert not len(drives_of(without_the_middle).seconds)
    assert not len(drives_of(two_runs).seconds)


def test_the_rush_hour_is_learned_as_such() -> None:
    learned = known(three_days({8: 180.0}))
    assert learned.at(at(MONDAY, 8.5), ZONE)[0] > 130
    assert learned.at(at(MONDAY, 15.0), ZONE)[0] == pytest.approx(90, abs=5)


def test_little_seen_leans_on_the_plan() -> None:
    one = known(taught([event for hour in (8.0, 9.0, 10.0) for event in run(MONDAY, hour, first_s=300.0)]))
    many = known(three_days(dict.fromkeys(range(24), 300.0)))
    assert 100 < one.at(at(MONDAY, 8.0), ZONE)[0] < many.at(at(MONDAY, 8.0), ZONE)[0] < 300


def test_a_link_never_driven_is_unknown() -> None:
    events = [event for event in every_half_hour(MONDAY, {}) if event.stop_id != "C"]
    assert np.isnan(known(taught(events)).at(at(MONDAY, 8.0), ZONE)[1])


def test_a_weekend_is_not_a_working_day() -> None:
    saturday = MONDAY + dt.timedelta(days=5)
    times = three_days(dict.fromkeys(range(24), 180.0))
    times = taught(every_half_hour(saturday, dict.fromkeys(range(24), 80.0)), saturday, times)
    learned = known(times)
    assert learned.at(at(MONDAY, 12.0), ZONE)[0] > 1.3 * learned.at(at(saturday, 12.0), ZONE)[0]
    assert [day_kind(MONDAY + dt.timedelta(days=d)) for d in range(7)] == [0, 0, 0, 0, 0, 1, 2]


def test_what_was_learned_fades_and_is_forgotten() -> None:
    times = taught(every_half_hour(MONDAY, {}))
    later = taught([], MONDAY + dt.timedelta(days=21), times)
    assert later.weight.sum() == pytest.approx(times.weight.sum() / 2)
    assert taught([], MONDAY + dt.timedelta(days=1_000), times).links == ()


def test_one_broken_down_bus_does_not_move_a_link() -> None:
    usual = every_half_hour(MONDAY, {})
    with_breakdown = usual + run(MONDAY, 12.4, first_s=1_500.0, bus="b")
    calm, upset = (known(taught(events)).at(at(MONDAY, 12.4), ZONE)[0] for events in (usual, with_breakdown))
    assert upset - calm < 5


def test_departures_that_recur_are_known_by_the_minute() -> None:
    times: TravelTimes | None = None
    for d in range(3):
        day = MONDAY + dt.timedelta(days=d)
        times = taught([*run(day, 8.25), *run(day, 9.5)], day, times)
    assert times is not None
    left = known(times).left[day_kind(MONDAY), 0]
    assert left[8 * 60] == pytest.approx(0, abs=0.01)
    assert left[9 * 60] == pytest.approx(1, abs=0.1)
    assert left[-1] == pytest.approx(2, abs=0.1)


def test_a_departure_nobody_saw_follows_from_the_next_stop() -> None:
    seen = run(MONDAY, 8.0)
    unseen = run(MONDAY, 9.0, bus="b")[1:]
    leavings = leavings_of([*seen, *unseen])
    assert leavings.keys == [("1", "A")] * 2
    assert leavings.when_ms.tolist() == [at(MONDAY, 8.0), at(MONDAY, 9.0)]


def test_where_nobody_was_seen_to_begin_the_plan_says_when() -> None:
    unseen = run(MONDAY, 9.0)[1:]
    assert not len(leavings_of(unseen).when_ms)
    leavings = leavings_of(unseen, {("1", 0, "B", 2): ("A", 75.0)})
    assert leavings.keys == [("1", "A")]
    assert leavings.when_ms.tolist() == [at(MONDAY, 9.0) + 15_000]


def test_the_plan_knows_where_and_when_a_run_began() -> None:
    network = town({"7/1": [(0.0, 0.0), (4000.0, 0.0)]}, {"7/1": [0.0, 400.0, 1200.0]}, "t 7/1 08:00")
    first, second, third = network.stops.ids
    assert planned_beginnings(network) == {("7", 1, second, 2): (first, 50.0), ("7", 1, third, 3): (first, 150.0)}


def test_bytes_hold_everything_and_broken_ones_are_refused() -> None:
    times = taught(every_half_hour(MONDAY, {8: 180.0}))
    again = from_bytes(to_bytes(times))
    assert (again.as_of, again.links, again.starts) == (times.as_of, times.links, times.starts)
    for name in ("seconds", "weight", "dwell", "square", "left", "days"):
        np.testing.assert_array_equal(getattr(again, name), getattr(times, name))
    with pytest.raises(ValueError, match="cannot be read"):
        from_bytes(b"nonsense")


@given(st.permutations(range(12)))
def test_the_order_of_events_does_not_matter(order: list[int]) -> None:
    events = [event for hour in (7.0, 8.0, 9.0, 10.0) for event in run(MONDAY, hour)]
    shuffled = [events[i] for i in order]
    np.testing.assert_array_equal(taught(shuffled).seconds.sum(), taught(events).seconds.sum())
