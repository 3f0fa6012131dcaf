"""The timetable is listened to as far as it proved right, for early and late buses and for each time ahead apart."""

import numpy as np
import pytest

from tests.transit.tracking.test_said import START, fleet
from transit.tracking.fleet import LEADS
from transit.tracking.timetable_weight import OFF_MAX_S, learn_weights, weigh_timetable

BUS = LINE = np.array([0])
PLANNED = np.array([START + 600_000.0])


def outcomes(
    said_late_s: float, was_late_s: float, *, lead: int, count: int = 20_000, route: float = 0.0
) -> dict[str, np.ndarray]:
    values = {"told": 1.0, "lead": float(lead), "route": route, "said_late_s": said_late_s, "was_late_s": was_late_s}
    return {name: np.full(count, value) for name, value in values.items()}


def test_without_evidence_the_links_are_believed() -> None:
    early = PLANNED - 120_000
    assert weigh_timetable(fleet(), BUS, LINE, early, PLANNED, START) == pytest.approx(early)


def test_where_early_buses_wait_they_are_expected_at_their_time() -> None:
    one = fleet()
    one.hint_trip[0] = 0
    for lead in range(LEADS):
        learn_weights(one.links.followed, outcomes(-120.0, 0.0, lead=lead))
    drawn = weigh_timetable(one, BUS, LINE, PLANNED - 120_000, PLANNED, START)
    assert PLANNED[0] - 50_000 < drawn[0] <= PLANNED[0]
    late = PLANNED + 120_000
    assert weigh_timetable(one, BUS, LINE, late, PLANNED, START) == pytest.approx(late), "of late ones nothing was seen"


def test_what_told_runs_taught_says_nothing_of_guessed_ones() -> None:
    one = fleet()
    for lead in range(LEADS):
        learn_weights(one.links.followed, outcomes(-120.0, 0.0, lead=lead))
    assert one.hint_trip[0] < 0
    early = PLANNED - 120_000
    assert weigh_timetable(one, BUS, LINE, early, PLANNED, START) == pytest.approx(early)


def test_a_route_that_is_held_to_its_times_is_told_from_one_that_is_not() -> None:
    one = fleet(routes=2)
    one.hint_trip[0] = 0
    for lead in range(LEADS):
        learn_weights(one.links.followed, outcomes(-120.0, 0.0, lead=lead))
        learn_weights(one.links.followed, outcomes(-120.0, -120.0, lead=lead, route=1.0))
    early = PLANNED - 120_000
    held, free = (weigh_timetable(one, BUS, np.array([route]), early, PLANNED, START)[0] for route in (0, 1))
    assert held > PLANNED[0] - 20_000
    assert free < PLANNED[0] - 100_000


def test_a_bus_hours_off_its_plan_is_on_another_one() -> None:
    one = fleet()
    one.hint_trip[0] = 0
    for lead in range(LEADS):
        learn_weights(one.links.followed, outcomes(240.0, 0.0, lead=lead))
    far = PLANNED + 7_200_000
    assert far[0] - weigh_timetable(one, BUS, LINE, far, PLANNED, START)[0] <= 1000 * OFF_MAX_S
    untaught = fleet()
    learn_weights(untaught.links.followed, outcomes(7_200.0, 0.0, lead=2))
    assert not untaught.links.followed.any()
    learn_weights(untaught.links.followed, outcomes(np.nan, np.nan, lead=2))
    assert not untaught.links.followed.any()
