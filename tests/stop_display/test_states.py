"""Whatever is known, a line is in exactly one state, and the state fits what is shown."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gtfs_data.network import Network
from stop_display.board import HEARD_MAX_MS, ROWS_MAX, LineBoard, Moment
from stop_display.outcomes import LineState
from stop_display.plan import Plan
from tests.notation.town import at
from tests.stop_display.scenes import EVERY_HALF_HOUR, KEY, bus, place, run_key, street, with_frequency
from transit.model import Arrival, VehiclePosition
from transit.notices import Cancelled

TRIPS = (("T1", "08:00"), ("T2", "08:30"), ("T3", "09:00"))
NETWORKS: tuple[Network, ...] = (
    street(),
    street(EVERY_HALF_HOUR, days=(False, True, False)),
    street(""),
    street("T1 1/0 23:50\nT2 1/0 24:20\nT3 1/0 26:30"),
    street("T1 1/0 06:00\nT2 1/0 14:00"),
    with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=False),
    with_frequency(street(EVERY_HALF_HOUR), "08:00", "09:00", 600, exact=False),
    with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=True),
)
PLANS = [Plan(network) for network in NETWORKS]
RUNS = [run_key(trip, clock) for trip, clock in TRIPS] + [run_key("T1", f"08:{m:02}") for m in range(0, 60, 10)]
NAMES = [*RUNS, *{run.partition("@")[0] for run in RUNS}, "20260302:T1"]
LIVE = ("live", "live_terminal")
WITHOUT_ROWS = frozenset(LineState) - {LineState.LIVE, LineState.TIMETABLE}

minute = st.integers(0, 30 * 60)
arrivals = st.tuples(
    st.sampled_from([*RUNS, "unplanned"]),
    st.sampled_from(["101", "102"]),
    st.integers(-300, 5_400),
    st.sampled_from([*LIVE, "cancelled"]),
)


@st.composite
def moments(draw: st.DrawFn) -> tuple[Plan, Moment, list[Arrival]]:
    plan = draw(st.sampled_from(PLANS))
    now_ms = at("00:00") + 60_000 * draw(minute) + 1000 * draw(st.integers(0, 59))
    silent_ms = draw(st.one_of(st.none(), st.integers(0, 2 * HEARD_MAX_MS)))
    live = [
        bus(now_ms + 1000 * in_s, run=run, vehicle=vehicle, state=state)
        for run, vehicle, in_s, state in draw(st.lists(arrivals, max_size=6, unique_by=lambda one: one[:2]))
    ]
    vehicles: list[VehiclePosition] = draw(
        st.lists(
            st.builds(
                lambda offset_m, run, speed: place(offset_m, run=run, speed_mps=speed, fix_ms=now_ms),
                st.floats(0, 2_400),
                st.sampled_from(RUNS),
                st.sampled_from([None, 0.0, 8.0]),
            ),
            max_size=3,
        )
    )
    passed = sorted(now_ms - 60_000 * ago for ago in draw(st.lists(st.integers(0, 240), max_size=6)))
    moment = Moment(
        now_ms=now_ms,
        as_of_ms=None if silent_ms is None else now_ms - silent_ms,
        on_run={vehicle.run_key: vehicle for vehicle in vehicles},
        missed=frozenset({1}) if draw(st.booleans()) else frozenset(),
        cancelled=Cancelled(draw(st.lists(st.sampled_from(NAMES), max_size=4))),
        passages={1: passed},
    )
    return plan, moment, live


@settings(max_examples=500, deadline=None)
@given(moments())
def test_a_line_is_in_one_state_that_fits_its_rows(drawn: tuple[Plan, Moment, list[Arrival]]) -> None:
    plan, moment, live = drawn
    line = LineBoard(plan, 1).line(KEY, live, moment)
    state, shown = LineState(line.state), [row.state for row in line.arrivals]
    assert len(shown) <= ROWS_MAX
    assert [row.arrival_ms for row in line.arrivals] == sorted(row.arrival_ms for row in line.arrivals)
    assert shown or state in WITHOUT_ROWS, "an empty list needs a reason"
    assert (state is LineState.LIVE) == any(row in LIVE for row in shown)
    if state is LineState.TIMETABLE:
        assert set(shown) <= {"timetable", "cancelled"}
        assert "timetable" in shown
    elif shown and state is not LineState.LIVE:
        assert (state, set(shown)) == (LineState.CANCELLED, {"cancelled"})
    if not moment.heard:
        assert not any(row in LIVE for row in shown)
        assert not any(row.at_stop or row.vehicle for row in line.arrivals)
    assert (line.headway_s is not None) or state is not LineState.HEADWAY
    for row in line.arrivals:
        run = row.key.removeprefix(f"{row.vehicle}|").rpartition("|")[0]
        assert (run in moment.cancelled) == (row.state == "cancelled") or row.state == "cancelled"
        assert row.arrival_ms >= moment.now_ms - 30_000 or row.at_stop


def test_the_same_knowledge_is_the_same_line() -> None:
    moment = Moment(now_ms=at("08:00"), as_of_ms=at("08:00"), on_run={})
    board = LineBoard(PLANS[0], 1)
    assert board.line(KEY, [bus("08:03")], moment) == board.line(KEY, [bus("08:03")], moment)
