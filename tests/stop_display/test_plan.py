"""What the timetable says of one stop."""

import dataclasses
import datetime as dt

import numpy as np

from gtfs_data.network import Network
from stop_display.plan import Plan, PlannedCall
from tests.notation.town import DAY, at, town
from tests.stop_display.scenes import EVERY_HALF_HOUR, KEY, STOPS_M, STREET, run_key, street, with_frequency

S1 = 1
HOUR_MS = 3_600_000


def times(calls: list[PlannedCall]) -> list[int]:
    return [call.departure_ms for call in calls]


def test_a_stop_has_a_line_for_each_route_and_destination() -> None:
    network = town(
        {"1/0": STREET, "1/1": STREET[::-1], "2/0": STREET},
        {"1/0": STOPS_M, "1/1": STOPS_M, "2/0": STOPS_M},
        "A 1/0 08:00",
    )
    assert set(Plan(network).lines(S1)) == {"1|to 1/0", "1|to 1/1", "2|to 2/0"}


def test_nobody_boards_where_a_run_ends() -> None:
    assert Plan(street()).lines(3) == {}


def test_upcoming_calls_are_those_between_two_moments_at_this_stop() -> None:
    calls = Plan(street()).upcoming(S1, KEY, at("08:10"), at("09:10"))
    assert times(calls) == [at("08:31:40"), at("09:01:40")]


def test_a_run_is_named_as_tracking_names_it() -> None:
    calls = Plan(street()).upcoming(S1, KEY, at("08:00"), at("08:10"))
    assert [call.run_key for call in calls] == [run_key("T1", "08:00")]


def test_trips_after_midnight_belong_to_the_day_before() -> None:
    plan = Plan(street("NIGHT 1/0 25:30", days=(True, False, False)))
    after_midnight = at("24:10")
    calls = plan.upcoming(S1, KEY, after_midnight, after_midnight + 2 * HOUR_MS)
    assert [(call.run_key, call.departure_ms) for call in calls] == [(run_key("NIGHT", "25:30"), at("25:31:40"))]


def test_the_next_departure_may_be_the_next_service_days_before_the_last_of_this_one() -> None:
    # Today's night bus leaves at 01:30 of tomorrow, tomorrow's first bus at 00:45.
    plan = Plan(street("EARLY 1/0 00:45\nDAY 1/0 08:00\nNIGHT 1/0 25:30"))
    evening = at("23:00")
    assert plan.next_ms(S1, KEY, evening, evening) == at("24:46:40")
    after_midnight = at("24:50")
    found = plan.call_after_gap(S1, KEY, after_midnight, after_midnight)
    assert found is not None
    assert found.departure_ms == at("25:31:40")


def test_times_count_from_noon_minus_twelve_hours_when_clocks_change() -> None:
    network = _in_berlin(street("NIGHT 1/0 01:30\nDAY 1/0 08:00"))
    spring = dt.datetime(2026, 3, 29, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    start_ms = round(spring.timestamp() * 1000)
    calls = Plan(network).upcoming(S1, KEY, start_ms, start_ms + 12 * HOUR_MS)
    local = [dt.datetime.fromtimestamp(ms / 1000, tz=dt.UTC) for ms in times(calls)]
    # 01:30 is 10.5 h before noon of summer time, when clocks still showed 00:30.
    assert [f"{time:%H:%M}" for time in local] == ["23:31", "06:01"]


def test_frequencies_with_exact_times_are_runs_like_others() -> None:
    plan = Plan(with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 1_200, exact=True))
    calls = plan.upcoming(S1, KEY, at("07:00"), at("10:00"))
    assert times(calls) == [at("08:01:40"), at("08:21:40"), at("08:41:40")]
    assert len({call.run_key for call in calls}) == 3
    assert plan.windows(S1, KEY, at("08:30")) == []


def test_other_frequencies_are_windows_moved_to_this_stop() -> None:
    plan = Plan(with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=False))
    assert plan.upcoming(S1, KEY, at("07:00"), at("10:00")) == []
    assert plan.windows(S1, KEY, at("08:01")) == []
    assert [window.headway_s for window in plan.windows(S1, KEY, at("09:01"))] == [600]
    assert plan.next_ms(S1, KEY, at("07:00"), at("07:00")) == at("08:01:40")


def test_the_next_departure_may_be_days_away_but_not_a_week() -> None:
    plan = Plan(street(days=(False, False, True)))
    assert plan.next_ms(S1, KEY, at("08:00"), at("08:00")) == at("56:01:40")
    assert plan.next_ms(S1, KEY, at("80:00"), at("80:00")) is None


def test_after_a_gap_comes_the_next_call_of_a_day_that_has_begun() -> None:
    plan = Plan(street(EVERY_HALF_HOUR + "LATE 1/0 14:00\nNIGHT 1/0 26:30", days=(True, False, False)))
    found = plan.call_after_gap(S1, KEY, at("10:00"), at("11:30"))
    assert found is not None
    assert found.departure_ms == at("14:01:40")
    found = plan.call_after_gap(S1, KEY, at("24:30"), at("26:00"))
    assert found is not None
    assert found.departure_ms == at("26:31:40")
    assert plan.call_after_gap(S1, KEY, at("06:00"), at("07:30")) is None


def _in_berlin(network: Network) -> Network:
    services = dataclasses.replace(
        network.services, first_date=DAY + dt.timedelta(26), runs=np.ones((1, 3), dtype=np.bool_)
    )
    return dataclasses.replace(network, time_zone="Europe/Berlin", services=services)
