"""What riders type, and what it asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.sms.grammar import WORDS, BadRiders, Command, NextAt, Plain, Ride, SetLanguage, TopUp, command_of
from fare.typed import look_alike

HELP, BAD_AMOUNT, BAD_RIDERS = Plain.HELP, Plain.BAD_AMOUNT, BadRiders(code="0451")
TOP_UP = TopUp(amount_tiyn=50_000)


def asked(text: str) -> Command:
    return command_of(text, riders_max=10)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("0451", Ride(code="0451")),
        ("123 ABC 11", Ride(code="123ABC11")),
        ("123авс11", Ride(code="123ABC11")),
        ("K123ABC", Ride(code="K123ABC")),
        ("0451 3", Ride(code="0451", riders=3)),
        ("0451 x3", Ride(code="0451", riders=3)),
        ("123 АВС 11 3", Ride(code="123ABC11", riders=3)),
        ("0451 0", BAD_RIDERS),
        ("0451 11", BAD_RIDERS),
        ("0451 500", HELP),
        ("КАРТА 500", TOP_UP),
        ("карта500 тг", TOP_UP),
        ("Card 500 KZT", TOP_UP),
        ("Баланс", Plain.BALANCE),
        ("қалдық", Plain.BALANCE),
        ("balance", Plain.BALANCE),
        ("КАЗ", SetLanguage(language="kk")),
        ("РУС", SetLanguage(language="ru")),
        ("eng", SetLanguage(language="en")),
        ("СТОП", Plain.SILENCE),
        ("тоқта", Plain.SILENCE),
        ("STOP 12", NextAt(code="12")),
        ("остановка 12", NextAt(code="12")),
        ("Аялдама12", NextAt(code="12")),
        ("Где автобус?", HELP),
        ("Автобус 0451", HELP),
        ("", HELP),
    ],
)
def test_the_grammar(text: str, command: Command) -> None:
    assert asked(text) == command


@pytest.mark.parametrize(
    "text",
    [
        "КАРТА 500",
        "KAPTA 500",
        "карта 500",
        "ҚАРТА 500",
        "КAPTА 500",
        "RFHNF 500",
        "rfhnf 500",
        "СФКВ 500",
        "К\u200dАРТА 500",
    ],
)
def test_attack_29_one_word_whatever_the_alphabet_and_the_layout(text: str) -> None:
    assert asked(text) == TOP_UP


@pytest.mark.parametrize(
    "text",
    ["０４５１", "\u202e0451\u202c", "\u200f0451", "04\u200b51", "٠٤٥١", "0451\0", "\ufeff0451", "0451\r\n", "№ 0451"],
    ids=["full_width", "override", "mark", "zero_width", "arabic", "nul", "bom", "line_end", "number_sign"],
)
def test_attack_29_one_number_whatever_is_hidden_in_it(text: str) -> None:
    assert asked(text) == Ride(code="0451")


@pytest.mark.parametrize(
    "text",
    [
        "КАРТА -500", "КАРТА 1e9", "КАРТА 500 500", "КАРТА 0", "КАРТА", "КАРТА 500.50", "КАРТА 0x1F4", "КАРТА ½",
        "КАРТА +500", "КАРТА 5OO", "КАРТА " + "9" * 400, "КАРТА 99999999", "КАРТА пятьсот", "КАРТА 500; БАЛАНС",
    ],
)  # fmt: skip
def test_attack_30_what_is_no_amount_moves_no_money(text: str) -> None:
    assert asked(text) is BAD_AMOUNT


@pytest.mark.parametrize("text", ["0451&text=КАРТА 500", "0451\r\nTo: +77011234567", "0451%0d%0aКАРТА 500", "0451;3"])
def test_attack_34_what_is_smuggled_behind_a_number_makes_no_command(text: str) -> None:
    assert asked(text) is HELP


@given(st.text(max_size=300))
def test_any_text_asks_for_something_and_a_ride_only_for_what_can_be_a_number(text: str) -> None:
    command = asked(text)
    if isinstance(command, Ride):
        assert command.code.isascii()
        assert 1 <= command.riders <= 10


@given(st.integers(1, 10_000_000))
def test_an_amount_is_exactly_what_was_typed(tenge: int) -> None:
    assert asked(f"КАРТА {tenge}") == TopUp(amount_tiyn=tenge * 100)


def test_no_word_means_two_things() -> None:
    forms = [(look_alike(written), word) for word, all_written in WORDS.items() for written in all_written]
    assert len({form for form, _ in forms}) == len({*forms})
