"""How long a phone stays signed in, and what proves that a request came from our page."""

import pytest

from fare.phone.session import (
    DAY_MS,
    IDLE_MS,
    LIFE_MS,
    PhoneSession,
    PhoneToken,
    browser_of,
    csrf_of,
    from_our_page,
    is_open,
)
from tests.notation.rides import medium

TOKEN = PhoneToken("a-secret")


def session(seen_ms: int) -> PhoneSession:
    return PhoneSession(token=TOKEN, medium_id=medium(7), hint="67", begun_ms=0, seen_ms=seen_ms)


@pytest.mark.parametrize(
    ("seen_ms", "now_ms", "still"),
    [
        (0, IDLE_MS - 1, True),
        (0, IDLE_MS, False),
        (50 * DAY_MS, 100 * DAY_MS, True),
        (LIFE_MS - 1, LIFE_MS - 1, True),
        (LIFE_MS - 1, LIFE_MS, False),
    ],
)
def test_a_session_ends_after_half_a_year_or_two_months_without_a_visit(seen_ms: int, now_ms: int, still: bool) -> None:
    assert is_open(session(seen_ms), now_ms) is still


@pytest.mark.parametrize("sent", ["", "a-secret", csrf_of(PhoneToken("other")), "\ud800"])
def test_only_our_page_knows_what_to_repeat(sent: str) -> None:
    assert not from_our_page(sent, TOKEN)
    assert from_our_page(csrf_of(TOKEN), TOKEN)


def test_the_token_is_in_no_representation_and_not_in_what_is_derived() -> None:
    assert TOKEN not in repr(session(0))
    assert len({TOKEN, csrf_of(TOKEN), browser_of(TOKEN)}) == 3
