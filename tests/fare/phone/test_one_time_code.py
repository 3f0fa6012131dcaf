"""One-time codes: what may be sent, what a digest binds, what is read as a code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.model import PhoneNumber
from fare.phone.one_time_code import (
    TRIES_MAX,
    CodePurpose,
    CodeRefusal,
    CodeRules,
    CodesSent,
    block_of,
    code_digest,
    hint_of,
    limit_reached,
    normal_typed,
)
from tests.notation.rides import medium

RULES = CodeRules()
KEY = b"k" * 32


@pytest.mark.parametrize(
    ("sent", "limit"),
    [
        (CodesSent(), None),
        (CodesSent(to_number_from_address=5), CodeRefusal.NUMBER_FROM_ADDRESS),
        (CodesSent(to_number_hour=6), CodeRefusal.NUMBER_HOUR),
        (CodesSent(to_number_day=15), CodeRefusal.NUMBER_DAY),
        (CodesSent(from_address=30), CodeRefusal.ADDRESS),
        (CodesSent(to_block=40), CodeRefusal.BLOCK),
        (CodesSent(in_all=3_000), CodeRefusal.ALL),
        (
            CodesSent(
                to_number_from_address=4,
                to_number_hour=5,
                to_number_day=14,
                from_address=29,
                to_block=39,
                in_all=2_999,
            ),
            None,
        ),
        (CodesSent(by_browser=999), None),
    ],
)
def test_a_stranger_is_limited_by_number_address_block_and_in_all(sent: CodesSent, limit: CodeRefusal | None) -> None:
    assert limit_reached(sent, RULES, known_browser=False) is limit


def test_attack_50_codes_asked_for_by_strangers_never_stop_a_known_browser() -> None:
    flood = CodesSent(to_number_hour=999, to_number_day=999, from_address=999, to_block=999, in_all=99_999)
    assert limit_reached(flood, RULES, known_browser=True) is None
    assert limit_reached(CodesSent(by_browser=6), RULES, known_browser=True) is CodeRefusal.BROWSER


def test_attack_49_a_day_of_guesses_from_everywhere_has_little_chance() -> None:
    assert RULES.to_number_day * TRIES_MAX / 10**6 <= 0.0001


def test_attack_50_one_address_cannot_use_up_what_a_number_is_sent() -> None:
    assert 2 * RULES.to_number_from_address < RULES.to_number_day
    assert RULES.to_number_from_address < RULES.to_number_hour


@given(
    first=st.tuples(st.from_regex(r"[0-9]{6}", fullmatch=True), st.sampled_from(CodePurpose), st.integers(0, 9)),
    second=st.tuples(st.from_regex(r"[0-9]{6}", fullmatch=True), st.sampled_from(CodePurpose), st.integers(0, 9)),
    challenges=st.tuples(st.text(max_size=8), st.text(max_size=8)),
)
def test_attack_49_a_digest_is_of_one_code_one_purpose_one_number_and_one_browser(
    first: tuple[str, CodePurpose, int], second: tuple[str, CodePurpose, int], challenges: tuple[str, str]
) -> None:
    said = [(*first, challenges[0]), (*second, challenges[1])]
    digests = [
        code_digest(code, purpose=purpose, medium_id=medium(number), challenge=challenge, key=KEY)
        for code, purpose, number, challenge in said
    ]
    assert (digests[0] == digests[1]) == (said[0] == said[1])


def test_a_digest_is_worth_nothing_without_the_servers_key() -> None:
    one, other = (
        code_digest("123456", purpose=CodePurpose.SIGN_IN, medium_id=medium(7), challenge="c", key=key)
        for key in (KEY, b"x" * 32)
    )
    assert one != other


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("123456", "123456"),
        (" 123 456", "123456"),
        ("123-456", "123456"),
        ("12345", ""),
        ("1234567", ""),
        ("１２３４５６", ""),
        ("12345a", ""),
        ("", ""),
    ],
)
def test_six_digits_are_a_code_however_they_are_grouped(typed: str, read: str) -> None:
    assert normal_typed(typed) == read


def test_of_a_number_only_its_block_is_counted_and_its_end_shown() -> None:
    number = PhoneNumber("+77011234567")
    assert (block_of(number), hint_of(number)) == ("+77011234", "67")
