"""Countdowns that stand still rather than rise, and intervals that come true."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transit.tracking.fleet import LEADS, LEVELS, Fleet, Sizes
from transit.tracking.parameters import Parameters
from transit.tracking.predictions import Predictions
from transit.tracking.said import ASSUMED, calibrate, remember, settle

PARAMETERS = Parameters()
SIZES = Sizes(slots=2, stops=8, links=4, routes=1, rows=8, starts=1, late_bins=80, stood_bins=120)
MINUTE = 60_000
START = 1_772_420_400_000


def fleet(routes: int = 1) -> Fleet:
    one = Fleet(msgspec.structs.replace(SIZES, routes=routes))
    one.rows_for(["bus"])
    one.run_pattern[0, 0], one.run_trip[0, 0], one.run_start_ms[0, 0] = 0, 0, START
    return one


def expected(arrival_ms: list[int], spread_s: float = 30.0) -> Predictions:
    count = len(arrival_ms)
    zeros, times = np.zeros(count, dtype=np.int64), np.array(arrival_ms, dtype=np.int64)
    return Predictions(
        vehicle=zeros,
        leg=zeros,
        row=np.arange(count),
        place=np.arange(count),
        arrival_ms=times,
        p10_ms=times,
        p90_ms=times,
        plain_ms=times,
        spread_ms=np.full(count, 1000 * spread_s),
        planned_ms=zeros,
        waiting=np.zeros(count, dtype=np.bool_),
    )


def say(one: Fleet, arrival_ms: list[int], now_ms: int) -> Predictions:
    raw = expected(arrival_ms)
    said = settle(one, raw, now_ms, PARAMETERS)
    remember(one, np.array([0]), raw, said, now_ms)
    return said


def test_a_bus_that_is_held_up_stands_still_on_the_board() -> None:
    one = fleet()
    arrival_ms = START + 10 * MINUTE
    minutes = []
    for minute in range(6):  # it does not move: each minute the estimate is a minute later
        now_ms = START + minute * MINUTE
        said = say(one, [arrival_ms + minute * MINUTE], now_ms)
        minutes.append((said.arrival_ms[0] - now_ms) / MINUTE)
    assert minutes == sorted(minutes, reverse=True)
    assert minutes[-1] > 9


def test_an_earlier_estimate_is_said_at_once() -> None:
    one = fleet()
    say(one, [START + 10 * MINUTE], START)
    assert say(one, [START + 7 * MINUTE], START + MINUTE).arrival_ms[0] == START + 7 * MINUTE


def test_what_nobody_should_be_kept_from_is_said_at_once() -> None:
    one = fleet()
    say(one, [START + 10 * MINUTE], START)
    assert say(one, [START + 25 * MINUTE], START + MINUTE).arrival_ms[0] == START + 25 * MINUTE


def test_another_run_begins_anew() -> None:
    one = fleet()
    say(one, [START + 10 * MINUTE], START)
    one.run_start_ms[0, 0] += 30 * MINUTE
    assert say(one, [START + 12 * MINUTE], START + 1_000).arrival_ms[0] == START + 12 * MINUTE


@given(
    st.lists(
        st.lists(st.integers(1, 40), min_size=4, max_size=4).map(sorted),
        min_size=2,
        max_size=12,
    )
)
def test_whatever_is_estimated_no_small_rise_is_said_and_stops_keep_their_order(estimates: list[list[int]]) -> None:
    one, before = fleet(), None
    for minute, ahead in enumerate(estimates):
        now_ms = START + minute * MINUTE
        raw = [now_ms + m * MINUTE for m in ahead]
        said = say(one, raw, now_ms)
        assert (np.diff(said.arrival_ms) >= 0).all()
        assert (said.arrival_ms >= now_ms - 30_000).all()
        assert (said.p10_ms <= said.arrival_ms).all()
        assert (said.arrival_ms <= said.p90_ms).all()
        if before is not None:
            rise = said.arrival_ms - before
            small = raw - before < 2 * MINUTE
            assert (rise[: int(small.argmin()) if not small.all() else None] < MINUTE).all()
        before = said.arrival_ms


def test_quantiles_follow_what_happened() -> None:
    shifts, counts = np.zeros((2, LEADS, LEVELS)), np.zeros((2, LEADS))
    score = np.random.default_rng(1).normal(1.0, 2.0, 20_000)
    outcomes = {"waiting": np.zeros(len(score)), "lead": np.full(len(score), 3.0), "score": score}
    calibrate(shifts, counts, outcomes)
    low, middle, high = np.array(ASSUMED) + shifts[0, 3]
    assert (score < middle).mean() == pytest.approx(0.5, abs=0.03)
    assert ((score > low) & (score < high))[-5_000:].mean() == pytest.approx(0.8, abs=0.03)
    assert not shifts[1].any(), "what happened to driving buses says nothing of waiting ones"
