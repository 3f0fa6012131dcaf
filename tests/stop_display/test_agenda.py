"""What was noted of the plan some minutes ago is what the plan says now."""

import dataclasses

import numpy as np
import pytest

from gtfs_data.network import Network
from stop_display.agenda import GOOD_MS, HORIZON_MS, Agenda, Departure, agenda_of
from stop_display.model import BoardArrival
from stop_display.plan import Plan, PlannedCall
from tests.notation.town import at, seconds, town
from tests.stop_display.scenes import EVERY_HALF_HOUR, KEY, STOPS_M, STREET, street, with_frequency
from transit.notices import Cancelled

S1 = 1
NOBODY = Cancelled()
LOOK_S = 433  # between the moments at which a plan is looked at, through a day and a quarter


def busier_from(network: Network, clock: str) -> Network:
    """Return ``network``, whose line runs by one headway until ``clock``, with another after that."""
    one, change_s = network.frequencies, np.array([seconds(clock)], dtype=np.int32)
    both = dataclasses.replace(
        one,
        trip=np.repeat(one.trip, 2),
        start_s=np.concatenate([one.start_s, change_s]),
        end_s=np.concatenate([change_s, one.end_s]),
        headway_s=np.concatenate([one.headway_s, one.headway_s // 2]),
        exact=np.repeat(one.exact, 2),
    )
    return dataclasses.replace(network, frequencies=both)


PLANS = [
    Plan(street()),
    Plan(street(EVERY_HALF_HOUR, days=(False, True, False))),
    Plan(street("T1 1/0 23:50\nT2 1/0 24:20\nT3 1/0 26:30")),
    Plan(with_frequency(street("T1 1/0 00:00"), "08:00", "09:00", 600, exact=False)),
    Plan(with_frequency(street("T1 1/0 00:00"), "23:30", "25:00", 600, exact=False)),
    Plan(with_frequency(street(EVERY_HALF_HOUR), "08:00", "09:00", 600, exact=True)),
    Plan(town({"1/0": STREET}, {"1/0": STOPS_M}, "", headways={"1/0": 600})),
    Plan(busier_from(with_frequency(street("T1 1/0 00:00"), "06:00", "22:00", 1_200, exact=False), "08:40")),
]


def noted(plan: Plan, now_ms: int) -> Agenda:
    def row(call: PlannedCall) -> Departure:
        return Departure(call, "", BoardArrival(key="", state="timetable", arrival_ms=call.departure_ms))

    return agenda_of(plan, S1, KEY, now_ms, NOBODY, row)


@pytest.mark.parametrize("plan", PLANS)
def test_as_long_as_it_is_good_it_says_what_a_new_one_does(plan: Plan) -> None:
    good = 0
    for from_ms in range(at("00:00"), at("30:00"), 1_000 * LOOK_S):
        held = noted(plan, from_ms)
        for later_ms in (0, GOOD_MS // 4, GOOD_MS // 2, GOOD_MS - 1):
            now_ms = from_ms + later_ms
            if not held.good(now_ms, NOBODY):
                continue
            good += 1
            calls, new = plan.upcoming(S1, KEY, now_ms, now_ms + HORIZON_MS), noted(plan, now_ms)
            assert [departure.call for departure in held.upcoming(now_ms)] == calls
            assert (held.headway, held.headway and held.since_ms) == (new.headway, new.headway and new.since_ms)
            assert plan.windows(S1, KEY, now_ms) == plan.windows(S1, KEY, from_ms)
    assert good > 800, "of 1,000: it is kept for a while, else it would be made for each look"


def test_other_cancellations_end_it() -> None:
    held = noted(PLANS[0], at("08:00"))
    assert held.good(at("08:00"), NOBODY)
    assert not held.good(at("08:00"), Cancelled(["20260302:T1"]))
