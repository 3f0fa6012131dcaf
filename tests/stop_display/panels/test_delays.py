"""Quantiles of delays out of bins, over the last hour and no longer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.panels.delays import (
    BINS,
    EVERY_BOARD,
    GROWTH,
    HOUR_MS,
    SLOT_MS,
    Counts,
    bin_of,
    delays_of,
    last_hour,
    no_counts,
    quantile_ms,
    slot_of,
)

NOW_MS = 1_790_060_400_000


def counted(delays_s: list[float]) -> Counts:
    counts = no_counts()
    for delay_s in delays_s:
        counts[bin_of(delay_s)] += 1
    return counts


@given(st.lists(st.floats(0.011, 120.0), min_size=1, max_size=60), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_right_within_a_bin(delays_s: list[float], share: float) -> None:
    true_s = sorted(delays_s)[math.ceil(share * len(delays_s)) - 1]
    assert true_s / GROWTH <= quantile_ms(counted(delays_s), share) / 1000 <= true_s * GROWTH


@given(st.floats(0, 1e9))
def test_every_delay_has_a_bin(delay_s: float) -> None:
    assert 0 <= bin_of(delay_s) < BINS


def test_what_nobody_painted_has_no_quantiles() -> None:
    assert delays_of([]) is None
    assert delays_of([no_counts()]) is None
    with pytest.raises(ValueError, match="no delay"):
        quantile_ms(no_counts(), 0.5)


def test_slots_of_several_processes_and_of_the_last_hour_count_together_older_ones_do_not() -> None:
    fast, slow = counted([0.1] * 99), counted([9.0])
    slots = {
        ("kiosk", slot_of(NOW_MS), "one"): fast,
        ("kiosk", slot_of(NOW_MS) - 6 * SLOT_MS, "other"): slow,
        ("kiosk", slot_of(NOW_MS) - HOUR_MS - 2 * SLOT_MS, "one"): counted([100.0] * 500),
        (EVERY_BOARD, slot_of(NOW_MS), "one"): fast,
        ("gone", slot_of(NOW_MS) - 2 * HOUR_MS, "one"): fast,
    }
    found = last_hour(slots, NOW_MS)
    assert set(found) == {"kiosk", EVERY_BOARD}
    assert found["kiosk"].count == 100
    assert found["kiosk"].p50_ms == found["kiosk"].p99_ms == found[EVERY_BOARD].p50_ms == pytest.approx(100, rel=0.06)
    one_in_ten = delays_of([fast, counted([9.0] * 11)])
    assert one_in_ten is not None
    assert one_in_ten.p95_ms == pytest.approx(9_000, rel=0.06)
