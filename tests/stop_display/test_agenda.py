"""What was noted of the plan some minutes ago is what the plan says now."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stop_display.agenda import GOOD_MS, HORIZON_MS, Agenda, Departure, agenda_of
from stop_display.model import BoardArrival
from stop_display.plan import Plan, PlannedCall
from tests.notation.town import at, town
from tests.stop_display.scenes import EVERY_HALF_HOUR, KEY, STOPS_M, STREET, street, with_frequency
from transit.notices import Cancelled

S1 = 1
PLANS = [
    Plan(street()),
    Plan(street(EVERY_HALF_HOUR, days=(False, True, False))),
    Plan(street("T1 1/0 23:50\nT2 1/0 24:20\nT3 1/0 26:30")),
    Plan(with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=False)),
    Plan(with_frequency(street("T1 1/0 00:00"), "23:30", "25:00", 600, exact=False)),
    Plan(with_frequency(street(EVERY_HALF_HOUR), "08:00", "09:00", 600, exact=True)),
    Plan(town({"1/0": STREET}, {"1/0": STOPS_M}, "", headways={"1/0": 600})),
]
NOBODY = Cancelled()

times_ms = st.builds(
    lambda minute, second: at("00:00") + 60_000 * minute + 1_000 * second, *2 * [st.integers(0, 1_800)]
)


def noted(plan: Plan, now_ms: int) -> Agenda:
    def row(call: PlannedCall) -> Departure:
        return Departure(call, "", BoardArrival(key="", state="timetable", arrival_ms=call.departure_ms))

    return agenda_of(plan, S1, KEY, now_ms, NOBODY, row)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLANS), times_ms, st.integers(0, GOOD_MS))
def test_as_long_as_it_is_good_it_says_what_a_new_one_does(plan: Plan, from_ms: int, later_ms: int) -> None:
    now_ms = from_ms + later_ms
    held, new = noted(plan, from_ms), noted(plan, now_ms)
    assert new.good(now_ms, NOBODY), "one that is just made is good, else it would be made for each look"
    if not held.good(now_ms, NOBODY):
        return
    calls = plan.upcoming(S1, KEY, now_ms, now_ms + HORIZON_MS)
    assert [departure.call for departure in held.upcoming(now_ms)] == calls
    assert (held.headway, held.headway and held.since_ms) == (new.headway, new.headway and new.since_ms)


@given(st.sampled_from(PLANS), times_ms, times_ms)
def test_a_window_that_opens_or_closes_ends_it(plan: Plan, from_ms: int, now_ms: int) -> None:
    held = noted(plan, from_ms)
    if held.good(now_ms, NOBODY):
        assert plan.windows(S1, KEY, now_ms) == plan.windows(S1, KEY, from_ms)


def test_other_cancellations_end_it() -> None:
    held = noted(PLANS[0], at("08:00"))
    assert held.good(at("08:00"), NOBODY)
    assert not held.good(at("08:00"), Cancelled(["20260302:T1"]))
