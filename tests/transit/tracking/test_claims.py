"""Who holds a run when several vehicles may: never two at once, and in the end the one that drives it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtfs_data.network import Network
from tests.notation.seen import Seen
from tests.notation.town import at, drive, fix, noisy, town
from transit.model import PositionReport
from transit.outcomes import Phase
from transit.tracking.claims import Claims
from transit.tracking.runs import Run

EAST = [(0.0, 0.0), (8_000.0, 0.0)]
WEST = [(8_000.0, 0.0), (0.0, 0.0)]
SIDE = [(0.0, 3_000.0), (8_000.0, 3_000.0)]
STOPS = [500.0 * k for k in range(17)]


def line(trips: str = "a 1/0 08:00\nb 1/0 08:10\nc 2/0 08:00") -> Network:
    return town({"1/0": EAST, "2/0": SIDE}, {"1/0": STOPS, "2/0": STOPS}, trips)


def test_two_vehicles_told_one_run_are_two_vehicles_on_two_runs() -> None:
    """``Seen`` asserts after each report that no two vehicles hold one run."""
    seen = Seen(line()).together(
        drive("one", EAST, at("08:00"), until_m=4_000, trip="a"),
        drive("two", EAST, at("08:02"), until_m=3_000, trip="a"),
    )
    assert (seen.on("one")[3], seen.on("two")[3]) == ("a", "b")


def test_without_another_run_the_second_vehicle_is_an_extra_one() -> None:
    seen = Seen(line("a 1/0 08:00")).together(
        drive("one", EAST, at("08:00"), until_m=4_000, trip="a"),
        drive("two", EAST, at("08:02"), until_m=3_000, trip="a"),
    )
    assert seen.on("one") == (Phase.IN_SERVICE, "1", 0, "a")
    assert seen.on("two") == (Phase.IN_SERVICE, "1", 0, "")


def test_a_vehicle_under_way_has_a_better_claim_than_one_that_waits() -> None:
    waits = [fix("one", (0.0, 0.0), at("07:55") + 10_000 * k, trip="a") for k in range(90)]
    seen = Seen(line()).together(waits, drive("two", EAST, at("08:00"), from_m=200, until_m=4_000, trip="a"))
    assert seen.on("two") == (Phase.IN_SERVICE, "1", 0, "a")
    assert seen.on("one")[3] != "a"


def test_who_is_told_a_run_takes_it_from_who_was_only_guessed_to_be_on_it() -> None:
    seen = Seen(line()).together(
        drive("guessed", EAST, at("08:01"), until_m=4_000),
        drive("told", EAST, at("08:03"), until_m=3_000, trip="a"),
    )
    assert seen.on("told") == (Phase.IN_SERVICE, "1", 0, "a")
    assert seen.on("guessed")[3] != "a"


@pytest.mark.parametrize("before", [{"trip": "a"}, {}], ids=["still told", "logged off"])
def test_a_bus_that_broke_down_is_replaced_by_another(before: dict[str, str]) -> None:
    """It stands, logged off or not heard of any more; the other takes over its run on the way."""
    seen = Seen(line()).after(drive("old", EAST, at("08:00"), until_m=3_000, trip="a"))
    if not before:
        seen.after([fix("old", (3_010.0, 0.0), at("08:06:30") + 30_000 * k) for k in range(6)])
    seen.after(drive("new", EAST, at("08:12"), from_m=3_000, until_m=5_000, trip="a"))
    assert seen.on("new") == (Phase.IN_SERVICE, "1", 0, "a")


def test_what_was_shown_of_a_run_that_another_took_over_is_shown_of_the_other() -> None:
    seen = Seen(line()).after(
        drive("old", EAST, at("08:00"), until_m=3_000, trip="a"),
        [fix("old", (3_010.0, 0.0), at("08:06:30"))],
        drive("new", EAST, at("08:07"), from_m=3_000, until_m=3_500, trip="a"),
    )
    shown: dict[tuple[str, str], str] = {}
    for update in seen.updates:
        for key in update.withdrawn:
            shown.pop((key.stop_id, key.key), None)
        shown.update({(arrival.stop_id, arrival.key): arrival.vehicle_id for arrival in update.arrivals})
    assert set(shown.values()) == {"new"}
    assert set(shown) == {(arrival.stop_id, arrival.key) for arrival in seen.tracker.published().arrivals}


def test_two_vehicles_that_swap_their_runs_on_the_way_are_followed() -> None:
    def told(vehicle: str, first: str, then: str, begins: str) -> list[PositionReport]:
        ends_ms = at(begins) + 375_000
        return drive(vehicle, EAST, at(begins), until_m=2_960, trip=first) + drive(
            vehicle, EAST, ends_ms, from_m=3_000, until_m=7_000, trip=then
        )

    seen = Seen(line()).together(told("one", "a", "b", "08:00"), told("two", "b", "a", "08:04"))
    assert (seen.on("one")[3], seen.on("two")[3]) == ("b", "a")


def test_a_run_told_is_taken_as_soon_as_it_is_free() -> None:
    seen = Seen(line()).together(
        drive("wrong", EAST, at("08:00"), until_m=3_000, trip="a"),
        drive("right", EAST, at("08:01"), until_m=3_000, trip="a"),
    )
    assert (seen.on("wrong")[3], seen.on("right")[3]) == ("a", "b")
    seen.together(
        drive("wrong", EAST, at("08:06:20"), from_m=3_000, until_m=5_000, trip="b"),
        drive("right", EAST, at("08:07:20"), from_m=3_000, until_m=5_000, trip="a"),
    )
    assert (seen.on("wrong")[3], seen.on("right")[3]) == ("b", "a")


def test_the_next_run_of_a_block_that_another_vehicle_drives_is_not_expected_twice() -> None:
    network = town({"1/0": EAST, "1/1": WEST}, {"1/0": STOPS, "1/1": STOPS}, "a 1/0 08:00 b\nb 1/1 08:20 b")
    seen = Seen(network).together(
        drive("late", EAST, at("08:10"), trip="a"),
        [fix("late", EAST[-1], at("08:27") + 30_000 * k, trip="a") for k in range(3)],
        drive("other", WEST, at("08:18"), trip="b", until_m=6_000),
    )
    assert seen.on("other") == (Phase.IN_SERVICE, "1", 1, "b")
    assert seen.on("late")[::3] == (Phase.LAYOVER, "")


def test_two_buses_without_timetable_that_come_at_one_second_are_two_departures() -> None:
    """``Seen`` asserts that their runs have different keys: a board would show one of them only."""
    network = town({"1/0": EAST}, {"1/0": STOPS}, headways={"1/0": 600})
    seen = Seen(network).together(
        drive("one", EAST, at("08:00"), until_m=2_000, route="1", direction=0),
        drive("two", EAST, at("08:00"), until_m=2_000, route="1", direction=0),
    )
    assert seen.on("one")[0] == seen.on("two")[0] == Phase.IN_SERVICE


def test_what_a_told_bus_does_next_is_not_taken_by_a_guess() -> None:
    network = town(
        {"1/0": EAST, "1/1": WEST}, {"1/0": STOPS, "1/1": STOPS}, "a 1/0 08:00 b\nb 1/1 08:20 b\nc 1/1 08:30"
    )
    seen = Seen(network).together(
        drive("told", EAST, at("08:00"), trip="a"), drive("guessed", WEST, at("08:10"), until_m=2_500)
    )
    assert seen.on("guessed") == (Phase.IN_SERVICE, "1", 1, "c")


def test_a_word_that_was_found_to_be_wrong_is_believed_again_when_it_becomes_true() -> None:
    """Told run a, the bus drives line 2 for long, then goes over to line 1 and drives run a after all."""
    seen = Seen(line("a 1/0 08:20\nc 2/0 08:00")).after(drive("bus", SIDE, at("08:00"), until_m=6_000, trip="a"))
    assert seen.is_on == (Phase.IN_SERVICE, "2", 0, "c")
    over = [(6_000.0, 3_000.0), (6_000.0, 1_500.0), (0.0, 1_500.0), (0.0, 0.0)]
    seen.after(drive("bus", over, at("08:13"), trip="a", speed_mps=15))
    seen.after(drive("bus", EAST, at("08:25"), trip="a", until_m=3_000))
    assert seen.is_on == (Phase.IN_SERVICE, "1", 0, "a")


@st.composite
def bus(draw: st.DrawFn, name: str) -> list[PositionReport]:
    """Return a drive along line 1 or 2, told rightly, wrongly or not, with noise, gaps and repeated reports."""
    path = draw(st.sampled_from([EAST, EAST, SIDE, WEST]))
    trip = draw(st.sampled_from(["a", "a", "b", "c", ""]))
    route = draw(st.sampled_from(["", "1"])) if not trip else ""
    start_ms = at("08:00") + 1000 * draw(st.integers(-300, 900))
    every_s = draw(st.sampled_from([10, 30, 90]))
    reports = drive(name, path, start_ms, until_m=6_000, every_s=every_s, trip=trip, route=route)
    reports = noisy(reports, draw(st.sampled_from([0, 10, 50])), draw(st.integers(0, 99)))
    keep = draw(st.lists(st.booleans(), min_size=len(reports), max_size=len(reports)))
    return [report for report, kept in zip(reports, keep, strict=True) for _ in range(1 + (not kept))]


@given(first=bus("first"), second=bus("second"), third=bus("third"))
@settings(max_examples=12, deadline=None)
def test_two_vehicles_never_hold_one_run(
    first: list[PositionReport], second: list[PositionReport], third: list[PositionReport]
) -> None:
    """``Seen`` asserts it after each report, of the runs under way and of those that follow."""
    Seen(line("a 1/0 08:00 k\nb 1/0 08:10 k\nc 2/0 08:00")).together(first, second, third)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), max_size=30))
def test_a_trip_or_block_is_disputed_while_another_is_on_it(moves: list[tuple[int, int]]) -> None:
    claims = Claims(np.array([0, 0, 1, -1]))
    for row, trip in moves:
        if trip < 0:
            claims.release(row)
        else:
            claims.hold(row, 0, Run(trip=trip, day=1, zero_ms=0, start_ms=0, scheduled=True, pattern=0))
        word, vehicle = (column.ravel() for column in np.meshgrid(np.arange(-1, 6), np.arange(4)))
        on = [set(claims.called(one)) for one in word.tolist()]
        others = [bool(who - {one}) for who, one in zip(on, vehicle.tolist(), strict=True)]
        assert claims.disputed(vehicle, word).tolist() == others
