"""What one line of a board says, in every state it can be in."""

from pathlib import Path

import pytest

from stop_display.board import LineBoard, Moment, in_order, natural
from stop_display.model import BoardArrival, Line
from stop_display.outcomes import LineState
from stop_display.plan import Plan
from tests.notation.town import at, town
from tests.stop_display.scenes import (
    EVERY_HALF_HOUR,
    KEY,
    bus,
    line_at,
    place,
    rows,
    run_key,
    street,
    with_frequency,
    with_wheelchairs,
)

T1 = run_key("T1", "08:00")


def test_a_followed_bus_takes_the_place_of_its_planned_time() -> None:
    line = line_at(street(), "08:00", bus("08:03"))
    assert line.state == LineState.LIVE
    assert rows(line) == [("live", "08:03:00"), ("timetable", "08:31:40"), ("timetable", "09:01:40")]


def test_a_bus_at_its_terminus_is_live_but_says_so() -> None:
    line = line_at(street(), "07:58", bus("08:02", state="live_terminal"))
    assert (line.state, rows(line)[0]) == (LineState.LIVE, ("live_terminal", "08:02:00"))


def test_a_planned_run_whose_bus_is_silent_stays_a_planned_time() -> None:
    line = line_at(street(), "08:00")
    assert line.state == LineState.TIMETABLE
    assert rows(line)[0] == ("timetable", "08:01:40")
    assert not line.arrivals[0].vehicle


def test_while_tracking_is_silent_only_the_timetable_is_shown() -> None:
    assert line_at(street(), "08:00", bus("08:03"), silent_s=90).state == LineState.LIVE
    line = line_at(street(), "08:00", bus("08:03"), silent_s=91)
    assert (line.state, rows(line)[0]) == (LineState.TIMETABLE, ("timetable", "08:01:40"))


def test_at_most_three_rows_in_order_of_time() -> None:
    crowd = [bus(f"08:0{minute}", run=f"r{minute}", vehicle=f"{minute}") for minute in (9, 3, 6, 4)]
    assert [time for _, time in rows(line_at(street(""), "08:00", *crowd))] == ["08:03:00", "08:04:00", "08:06:00"]


def test_a_bus_whose_time_has_passed_is_not_shown_whatever_tracking_says() -> None:
    assert rows(line_at(street(""), "08:00:30", bus("08:00"))) == [("live", "08:00:00")]
    assert rows(line_at(street(""), "08:00:31", bus("08:00"))) == []


def test_a_run_that_has_passed_the_stop_is_not_shown_again_as_planned() -> None:
    early = line_at(street(), "08:01", vehicles=(place(840.0),))
    assert rows(early) == [("timetable", "08:31:40"), ("timetable", "09:01:40")]
    standing = line_at(street(), "08:01", vehicles=(place(820.0),))
    assert rows(standing)[0] == ("timetable", "08:01:40")


def test_the_last_run_that_has_passed_early_is_neither_the_next_nor_the_first_bus() -> None:
    line = line_at(street("T1 1/0 08:00"), "08:01", vehicles=(place(840.0),))
    assert (line.state, line.first_ms) == (LineState.SERVICE_ENDED, at("32:01:40"))


def test_where_a_loop_begins_a_bus_that_comes_round_is_not_the_one_that_leaves() -> None:
    square = [(0.0, 0.0), (800.0, 0.0), (800.0, 800.0), (0.0, 800.0), (0.0, 0.0), (800.0, 0.0)]
    network = town({"1/0": square}, {"1/0": (400.0, 2_000.0, 3_600.0, 3_900.0)}, "T1 1/0 08:00")
    line = line_at(network, "08:01", bus("08:06:50", stop="S0", sequence=3), stop="S0")
    assert rows(line) == [("live", "08:06:50")]
    line = line_at(network, "07:59", bus("08:00", stop="S0", sequence=1), stop="S0")
    assert rows(line) == [("live", "08:00:00"), ("timetable", "08:06:40")]


def test_how_many_stops_a_bus_still_makes() -> None:
    third = {"stop": "S2", "sequence": 3}
    for offset_m, stops_away in ((0.0, 2), (10.0, 1), (800.0, 1), (900.0, 0), (1_600.0, 0), (1_650.0, 0)):
        line = line_at(street(""), "08:00", bus("08:03", **third), stop="S2", vehicles=(place(offset_m),))  # type: ignore[arg-type]
        assert line.arrivals[0].stops_away == stops_away, offset_m
    line = line_at(street(""), "08:00", bus("08:03", **third), stop="S2", vehicles=(place(0.0, run="earlier"),))  # type: ignore[arg-type]
    assert line.arrivals[0].stops_away is None


def test_no_times_but_a_headway() -> None:
    line = line_at(with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=False), "08:30")
    assert (line.state, line.headway_s, line.arrivals) == (LineState.HEADWAY, (600, 600), [])


def test_a_followed_bus_is_shown_also_where_only_a_headway_is_planned() -> None:
    network = with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=False)
    line = line_at(network, "08:30", bus("08:33"))
    assert (line.state, line.headway_s, rows(line)) == (LineState.LIVE, (600, 600), [("live", "08:33:00")])


@pytest.mark.parametrize(
    ("now", "state", "next_departure"),
    [
        ("05:00", LineState.BEFORE_FIRST_TRIP, "08:01:40"),
        ("09:30", LineState.SERVICE_ENDED, "32:01:40"),
        ("24:30", LineState.BEFORE_FIRST_TRIP, "32:01:40"),
    ],
)
def test_before_the_first_and_after_the_last_bus(now: str, state: LineState, next_departure: str) -> None:
    line = line_at(street(), now)
    assert (line.state, line.first_ms, line.arrivals) == (state, at(next_departure), [])


def test_a_day_without_service_names_the_next_departure() -> None:
    line = line_at(street(days=(False, True, True)), "08:00")
    assert (line.state, line.first_ms) == (LineState.NO_SERVICE, at("32:01:40"))


def test_without_any_plan_silence_of_tracking_is_no_data_and_not_no_service() -> None:
    never = street(days=(False, False, False))
    assert line_at(never, "08:00").state == LineState.NO_SERVICE
    assert line_at(never, "08:00", bus("08:03"), silent_s=91).state == LineState.NO_DATA


def test_all_that_was_to_come_is_cancelled() -> None:
    line = line_at(street("T1 1/0 08:00"), "08:00", bus("08:01:40", vehicle="", state="cancelled"))
    assert (line.state, rows(line)) == (LineState.CANCELLED, [("cancelled", "08:01:40")])


def test_a_cancelled_run_is_struck_out_until_its_time_has_passed_and_the_others_run() -> None:
    for name in (T1, T1.partition("@")[0]):
        line = line_at(street(), "08:00", cancelled=(name,))
        assert (line.state, rows(line)[:2]) == (
            LineState.TIMETABLE,
            [("cancelled", "08:01:40"), ("timetable", "08:31:40")],
        )
    assert rows(line_at(street(), "08:02", cancelled=(T1,)))[0] == ("timetable", "08:31:40")


def test_the_dispatchers_word_wins_over_a_bus_on_the_cancelled_run() -> None:
    line = line_at(street("T1 1/0 08:00"), "08:00", bus("08:03"), vehicles=(place(10.0),), cancelled=(T1,))
    assert (line.state, rows(line)) == (LineState.CANCELLED, [("cancelled", "08:01:40")])


def test_a_run_that_has_left_is_not_struck_out_where_it_was() -> None:
    line = line_at(street(), "08:01", vehicles=(place(840.0),), cancelled=(T1,))
    assert rows(line)[0] == ("timetable", "08:31:40")


def test_however_many_are_cancelled_the_next_that_runs_is_shown() -> None:
    trips = "\n".join(f"T{i} 1/0 08:{10 * i:02}" for i in range(5))
    gone = tuple(run_key(f"T{i}", f"08:{10 * i:02}") for i in range(4))
    line = line_at(street(trips), "08:00", cancelled=gone)
    assert (line.state, rows(line)) == (
        LineState.TIMETABLE,
        [("cancelled", "08:01:40"), ("cancelled", "08:11:40"), ("timetable", "08:41:40")],
    )
    far = street("T1 1/0 08:00\nT2 1/0 14:00")
    line = line_at(far, "08:00:30", cancelled=(T1,))
    assert (line.state, rows(line)) == (LineState.TIMETABLE, [("cancelled", "08:01:40"), ("timetable", "14:01:40")])


def test_the_last_bus_of_the_day_is_said_to_be_cancelled_long_before_and_is_no_first_bus() -> None:
    far = street("T1 1/0 08:00\nT2 1/0 14:00")
    line = line_at(far, "09:00", cancelled=(run_key("T2", "14:00"),))
    assert (line.state, rows(line)) == (LineState.CANCELLED, [("cancelled", "14:01:40")])
    line = line_at(street(), "05:00", cancelled=(T1,))
    assert (line.state, line.first_ms) == (LineState.BEFORE_FIRST_TRIP, at("08:31:40"))
    every = tuple(run_key(f"T{i}", clock).partition("@")[0] for i, clock in enumerate(("08:00", "08:30", "09:00"), 1))
    line = line_at(street(), "05:00", cancelled=every)
    assert (line.state, line.first_ms) == (LineState.CANCELLED, at("32:01:40"))


def test_a_headway_that_is_cancelled_for_the_day_is_not_claimed() -> None:
    network = with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=False)
    line = line_at(network, "08:30", cancelled=(run_key("T1", "00:00").partition("@")[0],))
    assert (line.state, line.headway_s, line.arrivals) == (LineState.CANCELLED, None, [])


def test_how_late_a_followed_bus_is_is_told_where_there_is_a_plan() -> None:
    line = line_at(street(""), "08:00", bus("08:03", scheduled_ms=at("08:01:40")))
    assert line.arrivals[0].delay_s == 80
    assert line_at(street(""), "08:00", bus("08:03")).arrivals[0].delay_s is None
    assert line_at(street(), "08:00").arrivals[0].delay_s is None


@pytest.mark.parametrize(
    ("trips", "stops", "said"),
    [
        (0, 0, ""),
        (1, 0, "accessible"),
        (1, 1, "accessible"),
        (0, 1, ""),
        (2, 1, "inaccessible"),
        (1, 2, "inaccessible"),
        (0, 2, "inaccessible"),
    ],
)
def test_a_wheelchair_boards_where_the_bus_takes_it_and_the_stop_does_not_forbid_it(
    trips: int, stops: int, said: str
) -> None:
    network = with_wheelchairs(street(), trips=trips, stops=stops)
    line = line_at(network, "08:00", bus("08:03", trip_id="T1"), bus("08:10", run="other", vehicle="7"))
    assert [row.wheelchair for row in line.arrivals] == [said, said, said]


@pytest.mark.parametrize(
    ("offset_m", "speed_mps", "age_s", "at_stop"),
    [
        (790.0, 0.0, 5, True),
        (825.0, 1.0, 5, True),
        (790.0, 8.0, 5, False),
        (790.0, None, 5, False),
        (740.0, 0.0, 5, False),
        (790.0, 0.0, 31, False),
    ],
)
def test_a_bus_is_at_the_stop_if_it_stands_there_and_that_is_fresh(
    offset_m: float, speed_mps: float | None, age_s: int, at_stop: bool
) -> None:
    vehicle = place(offset_m, speed_mps=speed_mps, fix_ms=at("08:00") - 1000 * age_s)
    line = line_at(street(""), "08:00", bus("08:00"), vehicles=(vehicle,))
    assert line.arrivals[0].at_stop is at_stop


def test_a_bus_that_stands_at_the_stop_is_shown_until_it_has_left_however_long_it_stands() -> None:
    standing = place(800.0, speed_mps=0.0, fix_ms=at("08:03"))
    line = line_at(street(""), "08:03", bus("08:00"), vehicles=(standing,))
    assert [(row.vehicle, row.at_stop) for row in line.arrivals] == [("101", True)]
    for gone in (place(800.0, speed_mps=8.0, fix_ms=at("08:03")), place(700.0, speed_mps=0.0, fix_ms=at("08:03"))):
        assert line_at(street(""), "08:03", bus("08:00"), vehicles=(gone,)).arrivals == []


def test_a_bus_that_waits_at_its_terminus_or_leaves_much_later_is_not_at_the_stop() -> None:
    vehicle = place(790.0, speed_mps=0.0, fix_ms=at("08:00"))
    for arrival in (bus("08:00", state="live_terminal"), bus("08:02")):
        assert not line_at(street(""), "08:00", arrival, vehicles=(vehicle,)).arrivals[0].at_stop


def test_where_a_detour_leaves_a_stop_out_no_planned_bus_is_shown_and_the_line_says_why() -> None:
    assert line_at(street(), "08:00").state == LineState.TIMETABLE
    for network in (street(), with_frequency(street(), "06:00", "22:00", 600, exact=False)):
        line = line_at(network, "08:00", missed=frozenset({1}))
        assert (line.state, line.arrivals, line.headway_s) == (LineState.DETOUR, [], None)
        assert line_at(network, "08:00", stop="S2", missed=frozenset({1})).state != LineState.DETOUR


def test_a_detour_explains_nothing_when_no_bus_would_come_anyway() -> None:
    assert line_at(street(), "10:00", missed=frozenset({1})).state == LineState.SERVICE_ENDED


def test_a_bus_that_tracking_expects_at_a_stop_left_out_is_shown_for_it_drives_the_regular_way() -> None:
    line = line_at(street(), "08:00", bus("08:03"), missed=frozenset({1}))
    assert (line.state, rows(line)) == (LineState.LIVE, [("live", "08:03:00")])


def test_stops_left_out_are_not_stops_that_a_bus_still_makes() -> None:
    third = {"stop": "S2", "sequence": 3}
    for missed, stops_away in ((frozenset[int](), 1), (frozenset({1}), 0)):
        line = line_at(street(), "08:00", bus("08:05", **third), stop="S2", vehicles=(place(10.0),), missed=missed)
        assert line.arrivals[0].stops_away == stops_away


def test_after_a_long_gap_the_next_bus_of_the_day_is_shown_however_far() -> None:
    line = line_at(street(EVERY_HALF_HOUR + "LATE 1/0 14:00"), "10:00")
    assert (line.state, rows(line)) == (LineState.TIMETABLE, [("timetable", "14:01:40")])


def test_after_midnight_the_night_bus_is_the_next_and_not_the_first() -> None:
    line = line_at(street(EVERY_HALF_HOUR + "NIGHT 1/0 26:30"), "24:30")
    assert (line.state, rows(line)) == (LineState.TIMETABLE, [("timetable", "02:31:40")])


def test_every_state_of_a_line_is_reached_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [state for state in LineState if f"LineState.{state.name}" not in text] == []


def test_arrivals_find_their_line_by_headsign_then_direction_then_route() -> None:
    board = LineBoard(Plan(street()), 1)
    assert board.key_of(bus("08:03")) == KEY
    assert board.key_of(bus("08:03", headsign="short working")) == KEY
    assert board.key_of(bus("08:03", headsign="", direction_id=-1)) == KEY
    assert board.key_of(bus("08:03", route_id="9")) is None
    assert board.key_of(bus("08:03", last_stop=True)) is None


def test_a_call_withheld_is_missing_before_rows_are_counted_and_states_are_told() -> None:
    board, moment = LineBoard(Plan(street("T1 1/0 08:00")), 1), Moment(now_ms=at("08:00"), as_of_ms=None, on_run={})
    assert board.line(KEY, (), moment).state == LineState.TIMETABLE
    assert board.line(KEY, (), moment, {f"{T1}|2"}).state == LineState.SERVICE_ENDED


def test_lines_with_the_soonest_bus_come_first_then_routes_as_people_count() -> None:
    def line(route: str, state: LineState, *arrival_ms: int) -> Line:
        arrivals = [BoardArrival(key=f"{ms}", state="live", arrival_ms=ms) for ms in arrival_ms]
        return Line(key=route, route_id=route, route=route, destination={}, state=state, arrivals=arrivals)

    lines = [
        line("10", LineState.NO_SERVICE),
        line("9а", LineState.NO_SERVICE),
        line("3", LineState.LIVE, 2_000),
        line("Э", LineState.NO_SERVICE),
        line("7", LineState.HEADWAY),
        line("20", LineState.LIVE, 1_000),
    ]
    assert [one.route for one in in_order(lines)] == ["20", "3", "7", "9а", "10", "Э"]
    assert natural("2") < natural("10")
    assert natural("2") < natural("2²") < natural("10")  # "²" is a digit, but no number
