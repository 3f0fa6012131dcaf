"""Inspection is no oracle for codes: who asks too often waits (attack 11)."""

from hypothesis import given
from hypothesis import strategies as st

from fare.inspection.allowance import CHECK, FOUND_NOTHING, TOKENS_MAX, TOKENS_PER_MINUTE, Allowance, refilled, taken

MINUTE_MS = 60_000


def possible(tokens: int, minutes: int) -> int:
    """Return how many checks of ``tokens`` can be made in ``minutes`` by who asks as fast as is allowed."""
    left, made = Allowance(), 0
    for second in range(minutes * 60):
        while (after := taken(left, tokens, second * 1_000)) is not None:
            left, made = after, made + 1
    return made


def test_an_inspector_can_check_a_full_bus_and_then_one_passenger_every_two_seconds() -> None:
    assert possible(CHECK, 10) >= 60 + 9 * 30


def test_attack_11_who_sweeps_codes_gets_ten_answers_a_minute() -> None:
    hour = possible(FOUND_NOTHING, 60)
    assert hour <= TOKENS_MAX / FOUND_NOTHING + 60 * TOKENS_PER_MINUTE / FOUND_NOTHING
    assert hour / 60 < 11


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(-MINUTE_MS, 5 * MINUTE_MS)), max_size=60))
def test_nobody_ever_takes_more_than_was_given(asked: list[tuple[int, int]]) -> None:
    left, now_ms, newest_ms, used = Allowance(), 0, 0, 0
    for tokens, step_ms in asked:
        now_ms = max(now_ms + step_ms, 0)
        newest_ms = max(newest_ms, now_ms)
        after = taken(left, tokens, now_ms)
        if after is not None:
            left, used = after, used + tokens
        assert 0 <= left.tokens <= TOKENS_MAX
        assert used <= TOKENS_MAX + newest_ms / MINUTE_MS * TOKENS_PER_MINUTE + 1e-6


def test_a_clock_that_steps_back_gives_nothing() -> None:
    assert refilled(Allowance(tokens=0.0, at_ms=MINUTE_MS), 0) == Allowance(tokens=0.0, at_ms=MINUTE_MS)
