"""Boards that come at once are let in one after another; frames are those of RFC 6455."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.admission import RATE_PER_S, Admission, spread_s
from stop_display.frames import payload_of, text_frame


def test_a_crowd_is_let_in_at_the_rate_and_who_would_wait_too_long_is_told_to_come_later() -> None:
    door = Admission(rate_per_s=10, burst=2, wait_max_s=1.0)
    waits = [door.wait_s(100.0) for _ in range(20)]
    assert [wait for wait in waits if wait is not None] == pytest.approx([0, 0, *(i / 10 for i in range(11))])
    assert waits[13:] == [None] * 7
    assert door.wait_s(101.0) == pytest.approx(0.1)
    assert door.wait_s(110.0) == 0.0


@given(st.lists(st.floats(0, 3), max_size=60))
def test_no_second_lets_more_in_than_rate_and_burst(apart_s: list[float]) -> None:
    door, now_s, let_in = Admission(rate_per_s=5, burst=3, wait_max_s=2.0), 0.0, []
    for pause_s in apart_s:
        now_s += pause_s
        wait_s = door.wait_s(now_s)
        if wait_s is not None:
            assert 0 <= wait_s <= 2.0
            let_in.append(now_s + wait_s)
    for first_s in let_in:
        assert sum(first_s <= at_s < first_s + 1 - 1e-9 for at_s in let_in) <= 5 + 3 + 1


def test_boards_spread_their_return_as_fast_as_they_are_let_in() -> None:
    assert [spread_s(boards) for boards in (0, 1, 10_000)] == [0, 1 / RATE_PER_S, 10_000 / RATE_PER_S]


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_frame_is_header_and_text(size: int, header: bytes) -> None:
    frame = text_frame(b"x" * size)
    assert frame == header + b"x" * size
    assert payload_of(frame) == b"x" * size
