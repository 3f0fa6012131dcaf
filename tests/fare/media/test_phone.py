"""One number in whatever form is one medium; what could not be charged is no number."""

import pytest

from fare.media.phone import likely_operator, phone_medium, phone_number
from fare.media.tokens import TokenKey
from fare.model import PhoneNumber

KEY = TokenKey(version=1, secret=bytes(range(32)))


@pytest.mark.parametrize(
    "typed",
    ["+77011234567", "77011234567", "87011234567", "7011234567", "8 (701) 123-45-67", "\u202a+7 701 123 45 67\u202c"],
)
def test_one_number_has_one_form(typed: str) -> None:
    assert phone_number(typed) == "+77011234567"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "Kaspi",
        "2505",
        "+79161234567",
        "+998901234567",
        "+77172123456",
        "8701ABCDEFG",
        "+7701123456",
        "7" * 50,
        "\0",
    ],
    ids=["none", "name", "short_code", "russia", "uzbekistan", "fixed_line", "letters", "too_short", "flood", "nul"],
)
def test_attack_27_a_name_a_short_code_and_a_foreign_number_are_nobody(typed: str) -> None:
    assert phone_number(typed) is None


def test_who_a_number_was_given_to_is_advice() -> None:
    assert [likely_operator(PhoneNumber(number)) for number in ("+77011234567", "+77771234567", "+77071234567")] == [
        "Kcell/Activ",
        "Beeline",
        "T2",
    ]


def test_a_medium_tells_nobody_its_number_and_other_keys_other_media() -> None:
    number = PhoneNumber("+77011234567")
    medium_id = phone_medium(number, KEY)
    assert len(medium_id) == 32
    assert medium_id == phone_medium(number, KEY)
    assert medium_id != phone_medium(number, TokenKey(version=2, secret=bytes(32)))
    assert medium_id != phone_medium(PhoneNumber("+77011234568"), KEY)
