"""Each rule by which predictions degrade: it holds, and without it the same buses show that it does not."""

import dataclasses
import math
from collections.abc import Callable

import pytest

from gtfs_data.network import Network
from tests.notation.town import at, drive, fix, town
from transit.model import Arrival, PositionReport, batch_of
from transit.tracking.parameters import Parameters
from transit.tracking.tracker import Tracker

EAST = [(0.0, 0.0), (4000.0, 0.0)]
STOPS = [500.0 * k for k in range(9)]
TRIPS = "t1 1/0 08:00 b\nt2 1/0 09:40 b"


class Board:
    """What boards hold of one bus."""

    def __init__(self, parameters: Parameters, network: Network | None = None) -> None:
        self.tracker = Tracker(network or town({"1/0": EAST}, {"1/0": STOPS}, TRIPS), parameters)
        self.rows: dict[str, Arrival] = {}
        self.now_ms = 0

    def hear(self, *reports: PositionReport, at_ms: int = 0) -> "Board":
        for report in reports:
            self._take(report.received_ms, report)
        if at_ms:
            self._take(at_ms)
        return self

    def _take(self, now_ms: int, *reports: PositionReport) -> None:
        update = self.tracker.advance(batch_of(list(reports)), now_ms).update
        self.now_ms = now_ms
        for key in update.withdrawn:
            self.rows.pop(key.key, None)
        self.rows.update({arrival.key: arrival for arrival in update.arrivals})

    def left_s(self, stop: str) -> float:
        return next((row.arrival_ms - self.now_ms) / 1000 for row in self.rows.values() if row.stop_id == stop)

    def wide_s(self, stop: str) -> float:
        row = next(row for row in self.rows.values() if row.stop_id == stop)
        return (row.arrival_p90_ms - row.arrival_p10_ms) / 1000


def ride(until_m: float = 1500.0) -> list[PositionReport]:
    return drive("bus", EAST, at("08:00"), until_m=until_m, trip="t1")


def standing(seconds: int) -> list[PositionReport]:
    last = ride()[-1]
    return [fix("bus", (1440.0, 0.0), last.fix_ms + 1000 * s, trip="t1") for s in range(20, seconds + 1, 20)]


def a_bus_unheard_for_three_minutes_is_not_expected(parameters: Parameters) -> bool:
    board = Board(parameters).hear(*ride(), at_ms=ride()[-1].fix_ms + 181_000)
    return not board.rows


def a_bus_unheard_for_half_an_hour_is_no_longer_on_the_map(parameters: Parameters) -> bool:
    board = Board(parameters).hear(*ride())
    return board.tracker.advance(batch_of([]), ride()[-1].fix_ms + 1_801_000).update.gone == ["bus"]


def a_bus_off_its_line_is_not_expected(parameters: Parameters) -> bool:
    away = drive("bus", [(1580.0, 0.0), (1580.0, 900.0)], ride()[-1].fix_ms + 10_000, until_m=420, trip="t1")
    return not Board(parameters).hear(*ride(), *away).rows


def a_bus_that_stands_for_four_minutes_is_less_sure_each_minute(parameters: Parameters) -> bool:
    soon, late = (Board(parameters).hear(*ride(), *standing(seconds)) for seconds in (40, 240))
    return late.wide_s("S6") > 1.6 * soon.wide_s("S6")


def a_bus_that_stands_for_eight_minutes_is_not_expected(parameters: Parameters) -> bool:
    return not Board(parameters).hear(*ride(), *standing(500)).rows


def nothing_is_said_of_what_lies_more_than_an_hour_ahead(parameters: Parameters) -> bool:
    board = Board(parameters).hear(*ride())
    return {row.trip_id for row in board.rows.values()} == {"t1"}


def a_bus_that_should_have_come_is_due_and_not_minutes_ago(parameters: Parameters) -> bool:
    board = Board(parameters).hear(*ride(), at_ms=ride()[-1].fix_ms + 170_000)
    return board.left_s("S4") >= -30


def what_is_said_of_a_bus_unheard_ages_with_it(parameters: Parameters) -> bool:
    board = Board(parameters).hear(*ride())
    said_ms = board.rows["bus|" + ride_key(board) + "|5"].arrival_ms
    board.hear(at_ms=ride()[-1].fix_ms + 170_000)
    return board.rows["bus|" + ride_key(board) + "|5"].arrival_ms > said_ms


def ride_key(board: Board) -> str:
    return next(iter(board.rows)).split("|")[1]


def a_departure_that_nobody_can_tell_is_not_said(parameters: Parameters) -> bool:
    parameters = dataclasses.replace(parameters, layover_s=1_200.0)
    board = Board(parameters, town({"1/0": EAST}, {"1/0": STOPS}, headways={"1/0": 1_200}))
    waits = [fix("bus", (5.0, 0.0), at("08:00") + 20_000 * k, route="1", direction=0) for k in range(12)]
    return not board.hear(*waits).rows


def a_bus_that_should_have_left_ten_minutes_ago_is_not_promised_any_more(parameters: Parameters) -> bool:
    waits = [fix("bus", (5.0, 0.0), at("07:58") + 20_000 * k, trip="t1") for k in range(45)]  # until 08:12:40
    seven, twelve = (Board(parameters).hear(*waits[:count]) for count in (27, 45))
    return bool(seven.rows) and not twelve.rows


def a_small_delay_lets_the_countdown_stand_and_not_rise(parameters: Parameters) -> bool:
    board = Board(parameters).hear(*ride())
    before = board.left_s("S8")
    board.hear(*standing(20), fix("bus", (1445.0, 0.0), ride()[-1].fix_ms + 80_000, trip="t1"))
    return board.left_s("S8") <= before


@pytest.mark.parametrize(
    ("rule", "without"),
    [
        (a_bus_unheard_for_three_minutes_is_not_expected, {"stale_s": 1e9}),
        (a_bus_unheard_for_half_an_hour_is_no_longer_on_the_map, {"gone_s": 1e9}),
        (a_bus_off_its_line_is_not_expected, {"bad_fixes_off_route": 10**6, "odds_drop": -1e9}),
        (a_bus_that_stands_for_four_minutes_is_less_sure_each_minute, {"held_share": 0.0}),
        (a_bus_that_stands_for_eight_minutes_is_not_expected, {"delayed_s": 1e9}),
        (nothing_is_said_of_what_lies_more_than_an_hour_ahead, {"horizon_s": 1e9}),
        (a_bus_that_should_have_come_is_due_and_not_minutes_ago, {"due_s": 1e6, "overdue_s": 1e6}),
        (what_is_said_of_a_bus_unheard_ages_with_it, {"renew_s": 1e9}),
        (a_departure_that_nobody_can_tell_is_not_said, {"departure_within_s": 1e9}),
        (a_bus_that_should_have_left_ten_minutes_ago_is_not_promised_any_more, {"departure_overdue_s": 1e9}),
        (a_small_delay_lets_the_countdown_stand_and_not_rise, {"calm_max_s": -math.inf, "calm_max_share": -math.inf}),
    ],
)
def test_the_rule_holds_and_would_not_without_it(rule: Callable[[Parameters], bool], without: dict[str, float]) -> None:
    assert rule(Parameters())
    assert not rule(dataclasses.replace(Parameters(), **without))
