"""Boards are judged by what truly happened; every figure here is worked out by hand."""

import pytest

from ayaldama.simulate.scoring import EVERY_MS, PHANTOM_MS, WINDOW_MS, Scoring

MINUTE = 60_000
BUS: tuple[str, str, int] = ("101", "S4", 5)
OTHER: tuple[str, str, int] = ("102", "S4", 5)


def test_error_is_told_by_how_far_ahead_it_was_said() -> None:
    scoring = Scoring()
    scoring.said(BUS, "run", 0, 20 * MINUTE)  # 20 min ahead
    scoring.said(BUS, "run", 10 * MINUTE, 18 * MINUTE)  # 8 min
    scoring.said(BUS, "run", 14 * MINUTE, 18 * MINUTE)  # 4 min
    scoring.said(BUS, "run", 17 * MINUTE, 19 * MINUTE)  # 2 min
    scoring.said(BUS, "run", 18 * MINUTE, 19 * MINUTE)  # 1 min
    scoring.arrived(BUS, 19 * MINUTE + 30_000)
    assert scoring.mae_s() == {"0-3": 30.0, "3-6": 90.0, "6-12": 90.0, "12-30": 30.0}
    assert scoring.judged == 5
    assert scoring.within_bounds_pct() == 100.0


@pytest.mark.parametrize(
    ("ahead_s", "late_s", "good"),
    [
        (120, 60, True),
        (120, 61, False),
        (120, -60, True),
        (120, -61, False),
        (300, 120, True),
        (300, -91, False),
        (600, 210, True),
        (600, -151, False),
        (1_200, 360, True),
        (1_200, -241, False),
    ],
)
def test_bounds_are_those_of_the_mbta(ahead_s: int, late_s: int, good: bool) -> None:
    scoring = Scoring()
    scoring.said(BUS, "run", 0, 1_000 * ahead_s)
    scoring.arrived(BUS, 1_000 * (ahead_s + late_s))
    assert scoring.within_bounds_pct() == (100.0 if good else 0.0)


def test_what_is_more_than_half_an_hour_ahead_is_not_judged() -> None:
    scoring = Scoring()
    scoring.said(BUS, "run", 0, 31 * MINUTE)
    scoring.arrived(BUS, 31 * MINUTE)
    assert (scoring.judged, scoring.mae_s(), scoring.within_bounds_pct()) == (0, {}, None)


def test_a_board_is_sampled_once_a_minute() -> None:
    scoring = Scoring()
    for now_ms in range(0, 3 * EVERY_MS, 2_000):
        scoring.said(BUS, "run", now_ms, 5 * MINUTE)
    scoring.arrived(BUS, 5 * MINUTE)
    assert scoring.judged == 3


def test_a_bus_that_comes_by_twice_is_judged_for_each_round_apart() -> None:
    scoring = Scoring()
    scoring.said(BUS, "this-round", 0, 1 * MINUTE)
    scoring.said(BUS, "next-round", 0, 25 * MINUTE)
    scoring.arrived(BUS, 2 * MINUTE)
    assert scoring.mae_s() == {"0-3": 60.0}
    scoring.arrived(BUS, 25 * MINUTE + 40_000)
    assert scoring.mae_s() == {"0-3": 60.0, "12-30": 40.0}


def test_an_arrival_of_another_bus_proves_nothing() -> None:
    scoring = Scoring()
    scoring.said(BUS, "run", 0, 5 * MINUTE)
    scoring.arrived(OTHER, 5 * MINUTE)
    assert scoring.judged == 0


def test_a_bus_that_never_comes_is_a_phantom() -> None:
    scoring = Scoring()
    scoring.said(BUS, "run", 0, 5 * MINUTE)
    for minute in range(3):
        scoring.said(OTHER, "run", minute * MINUTE, 5 * MINUTE)
    scoring.arrived(OTHER, 5 * MINUTE)
    scoring.forget(5 * MINUTE + PHANTOM_MS)
    assert scoring.phantoms_pct() == 0.0
    scoring.forget(5 * MINUTE + PHANTOM_MS + 1)
    assert scoring.phantoms_pct() == 25.0
    assert scoring.judged == 3


def test_figures_are_those_of_the_last_three_quarters_of_an_hour() -> None:
    scoring = Scoring()
    scoring.said(BUS, "run", 0, 2 * MINUTE)
    scoring.arrived(BUS, 2 * MINUTE)
    scoring.forget(2 * MINUTE + WINDOW_MS)
    assert scoring.judged == 1
    scoring.forget(2 * MINUTE + WINDOW_MS + 1)
    assert scoring.judged == 0


def test_what_is_said_of_the_past_is_no_prediction() -> None:
    scoring = Scoring()
    scoring.said(BUS, "run", 5 * MINUTE, 5 * MINUTE)
    scoring.arrived(BUS, 5 * MINUTE)
    scoring.forget(6 * MINUTE)
    assert (scoring.judged, scoring.phantoms_pct()) == (0, None)


def test_delay_from_fix_to_board_is_told_as_median_and_99th_percentile() -> None:
    scoring = Scoring()
    assert scoring.delay_ms() is None
    for delay_ms in range(1, 102):
        scoring.received(float(delay_ms))
    assert scoring.delay_ms() == (51, 100)
