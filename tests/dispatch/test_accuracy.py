"""Figures by route out of sums."""

import pytest

from dispatch.accuracy import ALL, accuracy_of, busiest, natural
from tests.dispatch.small_city import network_of
from transit.accuracy.live import Tally, Told

TOLD = Told(n=200, off_s=9_000.0, late_s=-2_000.0, accurate=170, bounded=160, covered=128, width_s=12_800.0)
TEN = Tally(
    service_date="2026-09-21",
    route_id="10",
    told={"3-6": TOLD},
    passings=50,
    foretold=48,
    under_way=40,
    foretold_under_way=40,
    countdowns=20,
    rises=1,
    passed=10,
    phantoms=4,
    holes=7,
    unknown=3,
)


def test_figures_are_shares_and_means_of_what_was_counted() -> None:
    whole, (ten,) = accuracy_of([TEN], network_of())
    assert [one.n for one in ten.ahead] == [0, 200, 0, 0]
    ahead = ten.ahead[1]
    assert (ahead.mae_s, ahead.late_s, ahead.accurate_pct) == (45.0, -10.0, 85.0)
    assert (ahead.covered_pct, ahead.width_s) == (80.0, 80.0)  # of those with an interval
    assert (ten.foretold_pct, ten.foretold_under_way_pct, ten.rises_per_countdown) == (96.0, 100.0, 0.05)
    assert (ten.phantom_pct, ten.passed_pct) == (pytest.approx(1.87), pytest.approx(4.67))  # of 214
    assert (ten.name, ten.colour) == ("10", "#1f6fb2")
    assert whole is not None
    assert (whole.route, whole.ahead) == (ALL, ten.ahead)


def test_where_nothing_was_counted_there_is_no_figure() -> None:
    assert accuracy_of([], network_of()) == (None, [])
    _, (empty,) = accuracy_of([Tally(service_date="2026-09-21", route_id="2")], network_of())
    assert (empty.ahead[0].mae_s, empty.foretold_pct, empty.rises_per_countdown, empty.phantom_pct) == (None,) * 4


def test_dates_of_one_route_are_one_row_and_routes_come_as_people_count() -> None:
    tallies = [Tally(service_date="2026-09-21", route_id=route) for route in ("10", "2", "10A", "Express", "gone")]
    later = Tally(service_date="2026-09-22", route_id="2", passings=5)
    _, routes = accuracy_of([*tallies, later], network_of())
    assert [one.name for one in routes] == ["2", "10", "10A", "Express", "gone"]
    assert routes[0].passings == 5
    assert natural("9") < natural("10") < natural("10A") < natural("A1")


def test_the_busiest_routes_are_those_with_most_predictions() -> None:
    _, routes = accuracy_of([Tally(service_date="2026-09-21", route_id="2", passings=900), TEN], network_of())
    assert [one.route for one in busiest(routes, 1)] == ["10"]
