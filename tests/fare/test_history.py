"""I9, attack 48: what opens the trips of a medium is that it was presented, never its number."""

from hypothesis import given
from hypothesis import strategies as st

from fare.history import OPENED_WITHIN_MS, Touch, history_code, touch_of
from tests.notation.rides import medium

NOW_MS = 1_764_000_000_000
HASH = bytes(range(32))


def touch(sequence: int = 1, *, at_ms: int = NOW_MS - 60_000, record_hash: bytes = HASH, used: bool = False) -> Touch:
    return Touch(
        device_id="v",
        sequence=sequence,
        tapped_ms=at_ms,
        medium_id=medium(7),
        record_hash=record_hash,
        used=used,
    )


def test_i9_a_code_opens_what_was_presented_just_now() -> None:
    code = history_code(HASH)
    assert touch_of(code, [touch()], NOW_MS) == touch()
    assert touch_of(f"{code[:4]} {code[4:]}", [touch()], NOW_MS) == touch(), "people type it in groups"


def test_a_code_is_of_one_touch_once_and_not_for_long() -> None:
    code = history_code(HASH)
    assert touch_of(code, [touch(used=True)], NOW_MS) is None
    assert touch_of(code, [touch(at_ms=NOW_MS - OPENED_WITHIN_MS)], NOW_MS) is not None
    assert touch_of(code, [touch(at_ms=NOW_MS - OPENED_WITHIN_MS - 1)], NOW_MS) is None
    assert touch_of(code, [touch(at_ms=NOW_MS + 1)], NOW_MS) is None
    assert touch_of(code, [touch(1), touch(2)], NOW_MS) is None, "two of one code prove neither"
    assert touch_of(code, [], NOW_MS) is None


@given(st.text(max_size=12))
def test_attack_48_no_other_text_opens_anything(text: str) -> None:
    typed = "".join(text.split())
    assert (touch_of(text, [touch()], NOW_MS) is not None) == (typed == history_code(HASH))


@given(st.binary(min_size=32, max_size=32))
def test_codes_have_eight_digits_and_show_nothing_of_the_medium(record_hash: bytes) -> None:
    code = history_code(record_hash)
    assert len(code) == 8
    assert code.isdigit()
    assert code == history_code(bytes(record_hash))
