"""Answers fit one message, and say all that they must."""

import string
from zoneinfo import ZoneInfo

import pytest

from commons.texts import LANGUAGES, Language, load_catalogue
from fare.model import CarrierId, MediumKind, Riders
from fare.purchases import BuyRefusal, Ticket
from fare.sms.values import NextBus, StopBoard
from fare.sms.wording import GSM, SHORT, SmsWords
from tests.notation.rides import ADULT, MIDNIGHT_MS, medium

CATALOGUE = load_catalogue("fare.sms")
VALUES = {
    "balance": "10000₸", "amount": "10000₸", "least": "100₸", "most": "10000₸", "minutes": "10", "code": "123ABC11",
    "bus": "0451", "riders": "10", "example": "0451 3", "stop": "Вокзал", "line": "12",
}  # fmt: skip


def words(language: Language) -> SmsWords:
    return SmsWords(catalogue=CATALOGUE, language=language, zone=ZoneInfo("Asia/Almaty"))


def ticket(riders: int = 0, price_tiyn: int = 10_000) -> Ticket:
    return Ticket(
        key="a",
        tap_key="sms:1",
        medium_id=medium(7),
        medium_kind=MediumKind.SMS,
        vehicle_id="bus-1",
        fleet_number="0451",
        route_id="12",
        carrier_id=CarrierId("k1"),
        riders=(Riders(category=ADULT, count=riders),) if riders else (),
        price_tiyn=price_tiyn,
        from_ms=MIDNIGHT_MS + 7 * 3_600_000,
        until_ms=MIDNIGHT_MS + 9 * 3_600_000,
        charges=(),
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("riders", [0, 3])
def test_a_ticket_fits_one_message_and_carries_all(language: Language, riders: int) -> None:
    said = words(language).ticket(ticket(riders), line="12", carrier="ТОО «Автопарк №1 Кызылорда»", code="1234567890")
    assert len(said) <= SHORT
    for part in ("0451", "12", "100", "12:00-14:00", "1234567890", "ТО" if language == "en" else "ТОО"):
        assert part in said
    assert ("x3" in said or "for 3" in said) == bool(riders)


def test_in_english_a_carrier_in_latin_letters_is_said_whole() -> None:
    said = words("en").ticket(ticket(), line="12", carrier="Kyzylorda Bus Park No 1 LLP", code="1234567890")
    assert said.endswith("code 1234567890 Kyzylorda Bus Park No 1 LLP")
    assert said.isascii()


def test_a_long_carrier_never_cuts_the_code() -> None:
    said = words("ru").ticket(ticket(10, 123_456), line="102-экспресс", carrier="К" * 200, code="1234567890")
    assert "код 1234567890" in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_other_answer_fits_one_message(language: Language) -> None:
    for key, text in CATALOGUE[language].items():
        if not key.startswith("ticket"):
            assert len(text.format(**VALUES)) <= (GSM if language == "en" else SHORT), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_its_words(language: Language) -> None:
    said = [words(language).refusal(refusal, bus="0451") for refusal in BuyRefusal]
    assert len(set(said)) == len(BuyRefusal)


def test_english_stays_in_the_gsm_alphabet() -> None:
    """3GPP TS 23.038: one letter outside it, and the message has 70 characters."""
    texts = "".join(CATALOGUE["en"].values())
    assert set(texts) <= set(string.ascii_letters + string.digits + " .,:;?{}_~-")


def test_a_board_is_as_many_buses_as_fit() -> None:
    buses = tuple(NextBus(route=str(number), minutes=number, live=number % 2 == 0) for number in range(2, 30))
    said = words("ru").board(StopBoard(name="Железнодорожный вокзал", buses=buses))
    assert said.startswith("Железнодорожный вокз: №2 2 мин, №3 ~3 мин")
    assert len(said) <= SHORT
    assert words("en").board(StopBoard(name="Market", buses=())) == "Market: no buses now."
