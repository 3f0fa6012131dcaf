"""The timetable that a board keeps: every departure of a calendar date, once."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.plan import Plan
from stop_display.timetable import Timetable, date_asked, timetable_of
from tests.notation.town import DAY, at
from tests.stop_display.scenes import KEY, street, with_frequency

S1 = 1
ONE = dt.timedelta(1)
ZONE = "Asia/Qyzylorda"
ALWAYS = (True, True, True)


def clock_times(timetable: Timetable) -> list[str]:
    zone = dt.timezone(dt.timedelta(seconds=timetable.utc_offset_s))
    return [f"{dt.datetime.fromtimestamp(ms / 1000, tz=zone):%H:%M}" for ms in timetable.lines[0].departures_ms]


def test_a_date_has_its_departures_at_this_stop_in_order() -> None:
    timetable = timetable_of(Plan(street()), S1, DAY)
    assert (timetable.date, [line.key for line in timetable.lines]) == (f"{DAY}", [KEY])
    assert clock_times(timetable) == ["08:01", "08:31", "09:01"]


def test_a_night_bus_is_on_the_date_on_which_it_comes() -> None:
    plan = Plan(street("LATE 1/0 23:30\nNIGHT 1/0 25:30", days=(True, False, False)))
    assert clock_times(timetable_of(plan, S1, DAY)) == ["23:31"]
    assert clock_times(timetable_of(plan, S1, DAY + ONE)) == ["01:31"]
    assert clock_times(timetable_of(plan, S1, DAY + 2 * ONE)) == []


def test_headways_end_with_the_date() -> None:
    plan = Plan(with_frequency(street("T1 1/0 00:00"), "22:00", "25:00", 600, exact=False))
    (today,) = [window for window in timetable_of(plan, S1, DAY).lines[0].headways if window.start_ms > at("12:00")]
    assert (today.start_ms, today.end_ms, today.headway_s) == (at("22:01:40"), at("24:00"), 600)
    assert timetable_of(plan, S1, DAY + ONE).lines[0].headways[0].end_ms == at("25:01:40")


def test_nobody_boards_where_a_run_ends() -> None:
    assert timetable_of(Plan(street()), 3, DAY).lines == []


@given(st.lists(st.integers(0, 30 * 60 - 1), min_size=1, max_size=20, unique=True))
def test_every_call_is_on_exactly_one_date(minutes: list[int]) -> None:
    trips = "\n".join(f"T{n} 1/0 {minute // 60:02}:{minute % 60:02}" for n, minute in enumerate(minutes))
    plan = Plan(street(trips, days=(True, False, False)))
    dates = [timetable_of(plan, S1, DAY + n * ONE) for n in (-1, 0, 1, 2)]
    found = [ms for timetable in dates for line in timetable.lines for ms in line.departures_ms]
    assert found == sorted(at("00:01:40") + minute * 60_000 for minute in minutes)


@pytest.mark.parametrize(
    ("text", "date"),
    [("", DAY), (f"{DAY}", DAY), (f"{DAY - ONE}", DAY - ONE), (f"{DAY + 7 * ONE}", DAY + 7 * ONE)],
)
def test_a_date_may_be_named_or_is_today(text: str, date: dt.date) -> None:
    assert date_asked(text, at("12:00"), ZONE) == date


@pytest.mark.parametrize(
    "text", [f"{DAY - 2 * ONE}", f"{DAY + 8 * ONE}", "today", "2026-13-01", "2026-09-1x", "9" * 99]
)
def test_other_dates_are_refused_with_the_rule(text: str) -> None:
    with pytest.raises(ValueError, match=f"YYYY-MM-DD from {DAY - ONE} to {DAY + 7 * ONE}"):
        date_asked(text, at("12:00"), ZONE)
