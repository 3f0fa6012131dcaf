"""A board that jumps about is not believed."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stop_display.calm import DUE_MS, REVIVAL_MS, SWAP_MS, Memory, calm, minutes
from stop_display.expected import Coming, Expected
from stop_display.hub import Hub
from stop_display.model import BoardArrival, Change, Line
from tests.notation.town import at
from tests.stop_display.hearing import heard_by, shown_at, snapshots_of
from tests.stop_display.scenes import bus, run_key, street, update, withdrawn
from transit.model import Arrival

NOW = at("08:00")
RUNS = ("A", "B", "C", "D")


def line(*rows: tuple[str, int], state: str = "live") -> Line:
    """Return a line with a row for each (vehicle, seconds from now)."""
    arrivals = [
        BoardArrival(key=f"{name}|{name}|2", state=state, arrival_ms=NOW + 1000 * in_s, vehicle=name)
        for name, in_s in rows
    ]
    return Line(key="1", route_id="1", route="1", destination={}, state="live", arrivals=arrivals)


def order(one: Line) -> list[str]:
    return [arrival.vehicle for arrival in one.arrivals]


def test_what_is_shown_first_is_the_truth() -> None:
    assert calm(None, line(("A", 200)), NOW) == line(("A", 200))


def test_a_countdown_does_not_go_up_by_one_minute() -> None:
    assert calm(line(("A", 170)), line(("A", 185)), NOW) == line(("A", 170))


def test_a_held_countdown_keeps_its_span() -> None:
    shown, true = line(("A", 170)), line(("A", 185))
    for one, in_ms in ((shown, 170_000), (true, 185_000)):
        one.arrivals[0] = msgspec.structs.replace(
            one.arrivals[0], p10_ms=NOW + in_ms - 9_000, p90_ms=NOW + in_ms + 9_000
        )
    assert calm(shown, true, NOW) == shown


def test_a_bus_that_is_two_minutes_later_is_said_to_be() -> None:
    assert calm(line(("A", 170)), line(("A", 250)), NOW) == line(("A", 250))


def test_a_countdown_may_go_down_at_once() -> None:
    assert calm(line(("A", 300)), line(("A", 60)), NOW) == line(("A", 60))


def test_a_held_countdown_follows_again_when_time_has_caught_up() -> None:
    held = calm(line(("A", 170)), line(("A", 185)), NOW)
    assert calm(held, line(("A", 185)), NOW + 6_000) == line(("A", 185))


def test_a_planned_time_is_not_a_countdown() -> None:
    assert calm(line(("A", 170), state="timetable"), line(("A", 185), state="timetable"), NOW).arrivals[
        0
    ].arrival_ms == (NOW + 185_000)


def test_two_buses_close_together_keep_their_order() -> None:
    assert order(calm(line(("A", 200), ("B", 210)), line(("B", 200), ("A", 210)), NOW)) == ["A", "B"]
    assert order(calm(line(("A", 200), ("B", 210)), line(("B", 180), ("A", 210)), NOW)) == ["B", "A"]


def test_a_new_bus_takes_its_place_by_time() -> None:
    assert order(calm(line(("A", 200)), line(("B", 190), ("A", 200)), NOW)) == ["B", "A"]


def coming(*names: str) -> Coming:
    return Coming(Expected(bus("08:05", run=name, vehicle=name) for name in names))


def test_a_row_that_went_when_due_has_been_served() -> None:
    memory = Memory()
    memory.note(line(("A", 90), ("B", 91)), coming(), NOW)
    assert memory.served_until_ms == {"A|2": NOW + REVIVAL_MS}


def test_an_early_bus_has_been_served_until_its_planned_time_is_well_past() -> None:
    shown = line(("A", 30))
    shown.arrivals[0] = BoardArrival(
        key="A|A|2", vehicle="A", state="live", arrival_ms=NOW + 30_000, scheduled_ms=NOW + 240_000
    )
    memory = Memory()
    memory.note(shown, coming(), NOW)
    assert memory.served_until_ms == {"A|2": NOW + 240_000 + REVIVAL_MS}


def test_a_run_that_another_bus_takes_over_has_not_been_served() -> None:
    memory = Memory()
    memory.note(line(("A", 30)), Coming(Expected([bus("08:05", run="A", vehicle="B")])), NOW)
    assert memory.served_until_ms == {}


def test_a_planned_time_that_passes_is_not_remembered() -> None:
    memory = Memory()
    memory.note(line(("A", 0), state="timetable"), coming(), NOW)
    assert memory.served_until_ms == {}


def test_what_was_served_is_forgotten_in_time() -> None:
    memory = Memory({"A|2": NOW})
    memory.note(line(), coming(), NOW - 1)
    assert memory.served_until_ms == {"A|2": NOW}
    memory.note(line(), coming(), NOW)
    assert memory.served_until_ms == {}


truths = st.lists(
    st.tuples(
        st.integers(0, 40_000),  # time since the last
        st.dictionaries(st.sampled_from(RUNS), st.integers(0, 400_000), max_size=4),  # run → time to arrival
    ),
    max_size=25,
)


@given(truths)
def test_at_one_moment_no_countdown_goes_up_by_exactly_one_minute(history: list[tuple[int, dict[str, int]]]) -> None:
    now_ms, shown = NOW, line()
    for passed_ms, truth in history:
        now_ms += passed_ms
        following = calm(shown, _line_of(truth, now_ms), now_ms)
        before = {row.key: minutes(row.arrival_ms, now_ms) for row in shown.arrivals}
        for row in following.arrivals:
            assert minutes(row.arrival_ms, now_ms) - before.get(row.key, 0) != 1 or row.key not in before
        shown = following


@given(truths)
def test_calm_neither_adds_nor_drops_a_row_and_is_never_two_minutes_off(
    history: list[tuple[int, dict[str, int]]],
) -> None:
    now_ms, shown = NOW, line()
    for passed_ms, truth in history:
        now_ms += passed_ms
        shown = calm(shown, _line_of(truth, now_ms), now_ms)
        assert sorted(order(shown)) == sorted(truth)
        for row in shown.arrivals:
            off_ms = now_ms + truth[row.vehicle] - row.arrival_ms
            assert off_ms == 0 or minutes(row.arrival_ms, now_ms) == minutes(now_ms + truth[row.vehicle], now_ms) - 1
        for first, second in zip(shown.arrivals, shown.arrivals[1:], strict=False):
            assert second.arrival_ms > first.arrival_ms - SWAP_MS


@given(truths)
def test_a_row_that_went_when_due_does_not_come_back_nor_as_planned_time(
    history: list[tuple[int, dict[str, int]]],
) -> None:
    hub, now_ms, held = Hub(street("A 1/0 08:01\nB 1/0 08:04\nC 1/0 08:06")), NOW, dict[str, Arrival]()
    starts = {"A": "08:01", "B": "08:04", "C": "08:06", "D": "08:20"}
    hub.apply(update(now_ms))
    hub.open(["S1"], now_ms, 0.0)
    before, served = snapshots_of(hub, ["S1"], now_ms)[0].board.lines[0], dict[str, int]()
    for step, (passed_ms, truth) in enumerate(history):
        now_ms += passed_ms
        arrivals = {
            run: bus(now_ms + in_ms, run=run_key(run, starts[run]), vehicle=run) for run, in_ms in truth.items()
        }
        hub.apply(update(now_ms, *arrivals.values(), *(withdrawn(held[run]) for run in held if run not in truth)))
        held = arrivals
        after = shown_at(hub, "S1", before, now_ms, 10.0 * (step + 1))
        names = {row.key.split("|")[1] for row in after.arrivals}
        assert not {run for run, until_ms in served.items() if until_ms > now_ms} & names
        for row in before.arrivals:
            run = row.key.split("|")[1]
            if row.state == "live" and run not in names and row.arrival_ms - now_ms <= DUE_MS:
                wanted = {arrival.run_key for arrival in arrivals.values()}
                if run not in wanted:
                    served[run] = now_ms + REVIVAL_MS
        before = after


def test_a_bus_that_is_displaced_by_three_earlier_ones_has_not_been_served() -> None:
    hub = Hub(street(""))
    hub.apply(update("08:00", bus("08:01:20", run="D", vehicle="D")))
    hub.open(["S1"], NOW, 0.0)
    earlier = [bus(f"08:00:{10 * i}", run=f"{i}", vehicle=f"{i}") for i in (1, 2, 3)]
    hub.apply(update("08:00", *earlier))
    assert [row.vehicle for row in heard_by(hub, NOW, 1.0)[0].lines[0].arrivals] == ["1", "2", "3"]
    hub.apply(update("08:00:20", withdrawn(earlier[0])))
    changes: list[Change] = heard_by(hub, NOW + 20_000, 2.0)
    assert [row.vehicle for row in changes[0].lines[0].arrivals] == ["2", "3", "D"]


def _line_of(truth: dict[str, int], now_ms: int) -> Line:
    rows = sorted(((in_ms, run) for run, in_ms in truth.items()))
    arrivals = [
        BoardArrival(key=f"{run}|{run}|2", state="live", arrival_ms=now_ms + in_ms, vehicle=run) for in_ms, run in rows
    ]
    return Line(key="1", route_id="1", route="1", destination={}, state="live", arrivals=arrivals)
