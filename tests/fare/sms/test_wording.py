"""Answers fit one message, and say all that they must."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons.texts import LANGUAGES, Language, load_catalogue
from fare.gateways.sms_segments import split
from fare.model import CarrierId, MediumKind, Riders
from fare.purchases import BuyRefusal, Ticket
from fare.sms.values import PLAIN, UCS2_MAX, CancelledBus, NextBus, StopAlert, StopBoard
from fare.sms.wording import SmsWords, room
from tests.notation.rides import ADULT, MIDNIGHT_MS, medium

CATALOGUE = load_catalogue("fare.sms")
VALUES = {
    "balance": "10000₸", "amount": "10000₸", "least": "100₸", "most": "10000₸", "minutes": "10", "code": "123ABC11",
    "bus": "0451", "riders": "10", "example": "0451 3", "stop": "Station", "line": "12",
    "lines": "12,13,14", "said": "остановка", "time": "12:17",
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
    assert len(said) <= UCS2_MAX
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
            said = text.format(**VALUES)
            assert len(said) <= room(said.replace("₸", "KZT") if language == "en" else said), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_its_words(language: Language) -> None:
    said = [words(language).refusal(refusal, bus="0451") for refusal in BuyRefusal]
    assert len(set(said)) == len(BuyRefusal)


def test_english_stays_in_the_gsm_alphabet() -> None:
    """3GPP TS 23.038: one letter outside it, and the message has 70 characters."""
    texts = "".join(CATALOGUE["en"].values())
    assert set(texts) <= PLAIN | set("{}_")


def test_a_board_is_as_many_buses_as_fit() -> None:
    buses = tuple(NextBus(route=str(number), minutes=number, live=number % 2 == 0) for number in range(2, 30))
    said = words("ru").board(StopBoard(name="Железнодорожный вокзал", buses=buses))
    assert said.startswith("Железнодорожный вокз: №2 2 мин, №3 ~3 мин")
    assert len(said) <= UCS2_MAX
    assert words("en").board(StopBoard(name="Market", buses=())) == "Market: no buses now."


def board(*, alerts: tuple[StopAlert, ...] = (), cancelled: tuple[CancelledBus, ...] = (), buses: int = 9) -> StopBoard:
    coming = tuple(NextBus(route="12", minutes=3 + 5 * number, live=number != 1) for number in range(buses))
    return StopBoard(name="Вокзал", buses=coming, alerts=alerts, cancelled=cancelled)


LONG_HEADER = "Ремонт теплотрассы: посадка в автобусы напротив кинотеатра, у входа в парк"
OFF = CancelledBus(route="7", planned_ms=MIDNIGHT_MS + 7 * 3_600_000)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (
            board(alerts=(StopAlert(header="Посадка в 50 м впереди.", effect="stop_moved"),)),
            "Вокзал: №12 3 мин, №12 ~8 мин, №12 13 мин. Посадка в 50 м впереди",
        ),
        (
            board(alerts=(StopAlert(header=LONG_HEADER, effect="stop_moved"),)),
            "Вокзал: №12 3 мин, №12 ~8 мин, №12 13 мин. Остановка перенесена",
        ),
        (
            board(alerts=(StopAlert(header=LONG_HEADER, effect="other_effect"),)),
            "Вокзал: №12 3 мин. Ремонт теплотрассы: посадка в автобусы напротив...",
        ),
        (
            board(alerts=(StopAlert(header=LONG_HEADER, effect="detour", routes=("12", "7")),)),
            "Вокзал: №12 3 мин, №12 ~8 мин, №12 13 мин, №12 18 мин. №12,7: объезд",
        ),
        (board(cancelled=(OFF,)), "Вокзал: №12 3 мин, №12 ~8 мин, №12 13 мин. №7 12:00 отменён"),
        (
            board(alerts=(StopAlert(header=LONG_HEADER, effect="stop_moved"),), cancelled=(OFF,)),
            "Вокзал: №12 3 мин, №12 ~8 мин. Остановка перенесена. №7 12:00 отменён",
        ),
        (
            board(alerts=(StopAlert(header="🚌" * 20),)),  # as long as 40 letters
            f"Вокзал: №12 3 мин. {'🚌' * 20}",
        ),
        (
            board(alerts=(StopAlert(header="Нет"), StopAlert(header="Да")), buses=0),
            "Вокзал: сейчас автобусов нет. Нет. Да",
        ),
    ],
)
def test_a_board_says_its_alert_and_what_is_cancelled_in_the_same_message(shown: StopBoard, said: str) -> None:
    assert words("ru").board(shown) == said
    assert len(said) <= UCS2_MAX


def test_plain_letters_have_the_room_of_plain_letters() -> None:
    buses = tuple(NextBus(route="12", minutes=number, live=True) for number in range(30))
    said = words("en").board(StopBoard(name="Market", buses=buses, alerts=(StopAlert(header="Stop moved 50 m"),)))
    assert said.endswith(". Stop moved 50 m")
    assert 140 < len(said) <= 160
    foreign = words("en").board(StopBoard(name="Market", buses=buses, alerts=(StopAlert(header="Аялдама көшті"),)))
    assert foreign.endswith(". Аялдама көшті")
    assert 50 < len(foreign) <= 70
    effect = StopAlert(header="Аялдама көшті", foreign=True, effect="stop_moved")
    said = words("en").board(StopBoard(name="Market", buses=buses, alerts=(effect,)))
    assert said.endswith(". Stop moved")
    assert 140 < len(said) <= 160


@given(
    st.sampled_from(LANGUAGES),
    st.integers(0, 14),
    st.lists(
        st.tuples(st.text(max_size=120), st.sampled_from(["", "stop_moved", "detour", "odd"]), st.integers(0, 9)),
        max_size=3,
    ),
    st.integers(0, 3),
)
def test_whatever_is_said_a_board_is_one_message_with_the_soonest_bus(
    language: Language, buses: int, alerts: list[tuple[str, str, int]], cancelled: int
) -> None:
    shown = board(
        buses=buses,
        alerts=tuple(StopAlert(header=header, effect=effect, routes=("123",) * n) for header, effect, n in alerts),
        cancelled=(OFF,) * cancelled,
    )
    said = words(language).board(shown)
    assert len(split(said, 0)) == 1
    assert said.startswith("Вокзал: ")
    assert not buses or "12 3" in said
