"""Single ranges of bytes, as RFC 9110 section 14 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.byte_range import RangeError, pieces, range_asked


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("bytes=0-1", range(2)),  # with which players on Apple's devices begin
        ("bytes=0-", range(100)),
        ("bytes=0-99", range(100)),
        ("bytes=40-1000", range(40, 100)),
        ("bytes=99-99", range(99, 100)),
        ("bytes=-10", range(90, 100)),
        ("bytes=-1000", range(100)),
        ("Bytes=5-6", range(5, 7)),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=6-5", None),
        ("bytes=0-1,5-6", None),
        ("bytes=0-1, ", None),
        ("items=0-1", None),
        ("bytes=٠-١", None),
        ("bytes=+1-2", None),
        ("bytes=0-" + "9" * 5_000, None),
    ],
)
def test_a_single_range_is_read_and_all_else_is_ignored(header: str, asked: range | None) -> None:
    assert range_asked(header, 100) == asked


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100)])
def test_a_range_without_a_byte_is_refused(header: str, size: int) -> None:
    with pytest.raises(RangeError, match="must begin before byte 100"):
        range_asked(header, size)


def test_no_byte_of_an_empty_body_can_be_given() -> None:
    for header in ("bytes=0-", "bytes=-5"):
        with pytest.raises(RangeError):
            range_asked(header, 0)


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(0, 60), st.integers(0, 60), st.integers(1, 5))
def test_pieces_of_parts_are_those_of_the_whole(parts: list[bytes], start: int, stop: int, at_once: int) -> None:
    whole = b"".join(parts)
    found = list(pieces(parts, range(start, max(start, stop)), at_once))
    assert b"".join(found) == whole[start:stop]
    assert all(0 < len(piece) <= at_once for piece in found)
