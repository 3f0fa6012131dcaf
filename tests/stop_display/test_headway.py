"""How often a line without timetable comes: what was seen, and only as far as it was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtfs_data.network import Network
from stop_display.board import LineBoard, Moment
from stop_display.calm import calm
from stop_display.headway import UNSEEN_MAX_MS, Headway, Passages, headway_of, planned_headway
from stop_display.model import Line
from stop_display.outcomes import LineState
from stop_display.plan import Plan
from tests.notation.town import at, town
from tests.stop_display.scenes import KEY, STOPS_M, STREET, bus, line_at, place, street, with_frequency

EVERY_10 = (600, 600)


def every_ten() -> Network:
    return with_frequency(street("T1 1/0 00:00"), "06:00", "22:00", 600, exact=False)


def said(passed: str, coming: str, now: str, planned: tuple[int, int] = EVERY_10) -> tuple[int, int, bool] | None:
    """Return minutes from and to, and whether they are the plan's."""
    found = headway_of(
        [at(clock) for clock in passed.split()],
        [at(clock) for clock in coming.split()],
        planned_headway(planned),
        since_ms=at("06:00"),
        now_ms=at(now),
    )
    return None if found is None else (found.from_s // 60, found.to_s // 60, found.planned)


@pytest.mark.parametrize(
    ("passed", "coming", "now", "answer"),
    [
        ("", "", "12:00", (10, 10, True)),  # nobody was seen: the plan, and it is said to be the plan
        ("11:55", "", "12:00", (10, 10, True)),  # one bus is no headway
        ("11:40 11:48", "", "11:50", (10, 10, True)),  # nor are two
        ("11:40 11:48 11:57", "", "12:00", (8, 9, False)),
        ("11:40 11:48 11:57", "12:07", "12:00", (9, 10, False)),
        ("11:40 11:48 11:49 11:57", "", "12:00", (8, 9, False)),  # two together are one to those who wait
        ("11:10 11:20 11:30", "", "11:45", (10, 15, False)),  # the next is late already
        ("11:10 11:20 11:30", "12:00", "11:45", (10, 30, False)),  # two buses are gone
        ("11:30", "", "11:45", (10, 15, False)),  # known only that it is more than the plan says
        ("11:30", "11:52", "11:45", (10, 22, False)),
        ("07:00 07:10 07:20 11:30 11:42 11:55", "", "12:00", (12, 13, False)),  # the morning says nothing of noon
        ("11:00", "", "12:00", (10, 60, False)),
        ("11:00", "", "12:01", None),  # for more than an hour nobody came: nothing is claimed
        ("05:59", "", "12:01", (10, 10, True)),  # before service began
    ],
)
def test_the_figures_are_what_was_seen(
    passed: str, coming: str, now: str, answer: tuple[int, int, bool] | None
) -> None:
    assert said(passed, coming, now) == answer


minutes = st.lists(st.integers(360, 760), max_size=8).map(sorted)


@given(passed=minutes, coming=minutes, now=st.integers(700, 760))
def test_it_never_says_less_than_somebody_waits_already(passed: list[int], coming: list[int], now: int) -> None:
    zero_ms, now_ms = at("00:00"), at("00:00") + 60_000 * now
    gone = [zero_ms + 60_000 * one for one in passed if one <= now]
    to_come = [zero_ms + 60_000 * one for one in coming if one > now]
    found = headway_of(gone, to_come, planned_headway(EVERY_10), since_ms=at("06:00"), now_ms=now_ms)
    if found is None:
        assert not to_come
        return
    assert 60 <= found.from_s <= found.to_s
    if gone and not to_come:
        assert 1000 * found.to_s >= now_ms - gone[-1] - 60_000 * 1.5


def test_a_line_says_what_was_seen_at_its_stop_and_the_plan_while_tracking_is_silent() -> None:
    seen = ("08:02", "08:10", "08:19")
    line = line_at(every_ten(), "08:25", passed=seen)
    assert (line.state, line.headway_s, line.headway_planned) == (LineState.HEADWAY, (480, 540), False)
    line = line_at(every_ten(), "08:25", silent_s=91, passed=seen)
    assert (line.state, line.headway_s, line.headway_planned) == (LineState.HEADWAY, (600, 600), True)


def test_a_line_that_nobody_has_seen_for_far_too_long_claims_no_headway() -> None:
    line = line_at(every_ten(), "09:30", passed=("08:02", "08:10", "08:19"))
    assert (line.state, line.headway_s, line.arrivals) == (LineState.NO_DATA, None, [])


def test_a_bus_passes_a_stop_between_two_fixes_when_it_has_left_it() -> None:
    passages = Passages(every_ten())
    noon = at("12:00")
    for second, offset_m in ((0, 700.0), (10, 780.0), (20, 820.0), (30, 900.0), (40, 890.0), (50, 910.0)):
        passages.note(place(offset_m, fix_ms=noon + 1000 * second))
    assert passages.by_row == {1: [noon + 21_250]}


def test_what_happened_out_of_sight_is_not_guessed() -> None:
    passages = Passages(every_ten())
    noon = at("12:00")
    passages.note(place(700.0, fix_ms=noon))
    passages.note(place(900.0, fix_ms=noon + UNSEEN_MAX_MS + 1))  # too long between the two
    passages.note(place(1_700.0, fix_ms=noon + UNSEEN_MAX_MS + 2, run="another"))
    passages.forget("101")
    passages.note(place(2_400.0, fix_ms=noon + UNSEEN_MAX_MS + 3, run="another"))
    assert passages.by_row == {}


def test_lines_with_a_timetable_are_not_watched() -> None:
    passages = Passages(street())
    for second, offset_m in enumerate((700.0, 900.0)):
        passages.note(place(offset_m, fix_ms=at("12:00") + 1000 * second))
    assert passages.by_row == {}


def test_a_headway_does_not_flicker_by_a_minute() -> None:
    def line(from_s: int, to_s: int, *, planned: bool = False) -> Line:
        return Line(
            key="k",
            route_id="1",
            route="1",
            destination={},
            state="headway",
            headway_s=(from_s, to_s),
            headway_planned=planned,
        )

    assert calm(line(480, 600), line(540, 600), 0).headway_s == (480, 600)
    assert calm(line(480, 600), line(480, 720), 0).headway_s == (480, 720)
    assert calm(line(480, 600), line(540, 600, planned=True), 0).headway_s == (540, 600)


def test_buses_to_come_count_too() -> None:
    network = town({"1/0": STREET}, {"1/0": STOPS_M}, "", headways={"1/0": 600})
    moment = Moment(now_ms=at("12:00"), as_of_ms=at("12:00"), on_run={}, passages={1: [at("11:38"), at("11:50")]})
    line = LineBoard(Plan(network), 1).line(KEY, [bus("12:04", run="a"), bus("12:20", run="b", vehicle="7")], moment)
    assert (line.state, line.headway_s, line.headway_planned) == (LineState.LIVE, (840, 960), False)
    planned = Headway(from_s=60, to_s=60, planned=True)
    assert headway_of([], [], planned_headway([60, 60]), since_ms=0, now_ms=0) == planned
