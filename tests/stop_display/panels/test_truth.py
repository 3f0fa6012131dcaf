"""What a board may paint of what the server says, and what it may not."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons.texts import LANGUAGES, load_catalogue
from stop_display.model import BoardArrival, Line, StopBoard
from stop_display.panels.judgement import RemarkCode
from stop_display.panels.model import PaintedRow, PanelHealth
from stop_display.panels.truth import Now, differences, phrases_of
from tests.stop_display.panels.fleet import MINUTE_MS, NOON, NOON_MS, board, bus, health, line, panel, row

CATALOGUE: Final = load_catalogue("stop_display")
PHRASES: Final = phrases_of(CATALOGUE)
QUIET: Final = ("before_first_trip", "service_ended", "no_service", "detour", "no_data", "headway")


def found(
    of: PanelHealth, *boards: StopBoard, now: Now = NOON, hours: str = "", stops: tuple[str, ...] = ("alan",)
) -> list[str]:
    return [
        f"{one.code} {one.detail}".strip()
        for one in differences(panel(stops=stops, hours=hours), of, boards, now, PHRASES)
    ]


@pytest.mark.parametrize(
    ("painted", "lines", "differs"),
    [
        ([row("3")], [line(bus(200))], []),
        ([row("~3")], [line(bus(200, state="live_terminal"))], []),
        ([row("4")], [line(bus(200))], []),  # a change is under way
        ([row("9")], [line(bus(200))], ["figure 10 @ alan: 9"]),
        ([row("9")], [line(bus(200), bus(560))], []),  # the first has just gone here, not there
        ([row("1")], [line(bus(10))], []),
        ([row("қазір")], [line(bus(20))], []),
        ([row("now")], [line(bus(400, at_stop=True))], []),
        ([row("now")], [line(bus(400))], ["figure 10 @ alan: now"]),
        ([row("soon")], [line(bus(20))], ["figure 10 @ alan: soon"]),
        ([row("12:40", state="timetable")], [line(bus(2_400, state="timetable"), state="timetable")], []),
        (
            [row("12:50", state="timetable")],
            [line(bus(2_400, state="timetable"), state="timetable")],
            ["figure 10 @ alan: 12:50"],
        ),
        ([row("12:40", state="cancelled")], [line(bus(2_400, state="cancelled"), state="cancelled")], []),
        ([row("3")], [line(bus(200, state="cancelled"), state="cancelled")], ["figure 10 @ alan: 3"]),
        ([row("service ended for today", state="service_ended")], [line(state="service_ended")], []),
        ([row("қызмет жоқ", state="service_ended")], [line(state="service_ended")], ["figure 10 @ alan: қызмет жоқ"]),
        (
            [row("no service today", state="no_service")],
            [line(state="service_ended")],
            ["figure 10 @ alan: no service today"],
        ),
        ([row("no data", state="no_data")], [line(bus(300))], ["figure 10 @ alan: no data"]),
        ([row("no data", state="no_data")], [line(bus(-10))], []),
        ([row("every 8–10 min", state="headway")], [line(state="headway", headway_s=(480, 600))], []),
        ([row("3"), row("7", route="99")], [line(bus(200))], ["route_unknown 99 @ alan"]),
        ([], [line(bus(200))], ["route_missing 10 @ alan"]),
        ([], [line(bus(2_400))], []),  # far away: there may be many lines
        ([], [line(state="service_ended")], []),
    ],
)
def test_rows(painted: list[PaintedRow], lines: list[Line], differs: list[str]) -> None:
    assert found(health(*painted), board(*lines)) == differs


@pytest.mark.parametrize(
    ("clock", "differs"),
    [
        ("12:00", []),
        ("11:59", []),
        ("12:01", []),
        ("13:00", ["clock 13:00"]),
        ("", ["clock –"]),
        ("noon", ["clock noon"]),
    ],
)
def test_the_clock(clock: str, differs: list[str]) -> None:
    assert found(health(clock=clock), board()) == differs


def test_the_clock_may_be_a_minute_late_at_midnight() -> None:
    midnight = Now(ms=NOON_MS + 720 * MINUTE_MS, rate=1.0, utc_offset_s=5 * 3600)
    assert found(health(clock="23:59"), board(), now=midnight) == []
    assert found(health(clock="12:00"), board(), now=midnight) == ["clock 12:00"]


def test_the_stops_are_those_it_was_told() -> None:
    assert found(health(stops=["bazar"]), board()) == ["stop_missing alan", "stop_other bazar"]


def test_what_is_stale_or_black_claims_nothing_but_may_not_be_black_in_its_hours() -> None:
    for of in (health(row("99"), content_age_s=61), health(row("99"), content_age_s=None)):
        assert found(of, board(line(bus(200)))) == []
    assert found(health(row("99"), off=True), board(line(bus(200))), hours="05:30-11:00") == []
    assert found(health(off=True), board(), hours="05:30-13:00") == ["not_on"]


def test_what_differs_is_told_a_few_times_not_two_hundred() -> None:
    assert len(found(health(*[row("9", route=f"x{n}") for n in range(200)]), board())) == 5


def painted(of: Line, language: str, now_ms: int) -> PaintedRow:
    """Return what the page paints of a line, in the words of the catalogue."""
    texts = CATALOGUE[language]  # type: ignore[index]
    first = next((arrival for arrival in of.arrivals if arrival.state != "cancelled"), None)
    if first is None and of.arrivals:
        return row(local(of.arrivals[0].arrival_ms), state="cancelled")
    if first is None:
        key = {"before_first_trip": "first", "service_ended": "ended", "headway": "headway"}.get(of.state, of.state)
        return row(texts[key].format(time="06:30", **{"from": 8, "to": 10}), state=of.state)
    left_ms = first.arrival_ms - now_ms
    if first.state == "timetable":
        return row(local(first.arrival_ms), state="timetable")
    if left_ms <= 30_000:
        return row(texts["now"])
    return row(local(first.arrival_ms) if left_ms >= 3_600_000 else str(max(1, left_ms // MINUTE_MS)))


def local(ms: int) -> str:
    minute = NOON.minute_of(ms)
    return f"{minute // 60:02}:{minute % 60:02}"


arrivals: Final = st.builds(
    bus, st.floats(-20, 20_000), state=st.sampled_from(["live", "live_terminal", "timetable", "cancelled"])
)
lines: Final = st.one_of(
    st.builds(lambda rows: line(*sorted(rows, key=_when)), st.lists(arrivals, min_size=1, max_size=3)),
    st.sampled_from([line(state=state) for state in QUIET]),
)


def _when(arrival: BoardArrival) -> int:
    return arrival.arrival_ms


@given(lines, st.sampled_from(LANGUAGES), st.integers(0, 5_000), st.integers(-50, 50))
def test_a_board_that_paints_what_it_was_told_is_never_wrong(
    of: Line, language: str, late_ms: int, moved_s: int
) -> None:
    """Also if it painted up to five seconds ago, and the bus was a little slower or faster than it was told."""
    told = line(*(shifted(arrival, moved_s) for arrival in of.arrivals), state=of.state)
    shown = painted(told, language, NOON_MS - late_ms)
    assert found(health(shown, clock=local(NOON_MS - late_ms)), board(of)) == []


@given(st.integers(2, 50), st.integers(3, 40), st.booleans())
def test_minutes_that_are_three_or_more_off_are_found(minutes: int, off: int, more: bool) -> None:
    shown = minutes + off if more else minutes - off
    differs = found(health(row(str(max(0, shown)))), board(line(bus(minutes * 60 + 30))))
    assert (differs != []) or (not more and shown <= 0 and minutes <= 3)


def shifted(arrival: BoardArrival, by_s: int) -> BoardArrival:
    return bus((arrival.arrival_ms - NOON_MS) / 1000 + by_s * (arrival.state != "timetable"), state=arrival.state)


def test_every_code_is_a_text_of_the_control_room() -> None:
    for texts in load_catalogue("stop_display.panels").values():
        assert {key.removeprefix("remark.") for key in texts if key.startswith("remark.")} == set(RemarkCode)
