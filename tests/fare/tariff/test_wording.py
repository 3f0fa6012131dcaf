"""A passenger reads what was charged, and why, in three languages."""

import pytest

from commons.texts import LANGUAGES, Language, load_catalogue
from fare.model import Concession, PriceReason, Profile, Ride, RiderCategory
from fare.tariff.model import Tariff
from fare.tariff.price import price
from fare.tariff.wording import Words, explain, explain_bill
from tests.notation.fares import NOBODY, ride, riders, tariff

CATALOGUE = load_catalogue("fare")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Tariff:
    return tariff(tmp_path_factory.mktemp("town"))


def lines(rides: list[Ride], of: Tariff, language: Language, profile: Profile = NOBODY) -> list[str]:
    words = Words(catalogue=CATALOGUE, language=language, tariff=of, route_names={"R1": "1", "V": "101"})
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in explain_bill(price(rides, of, profile), rides, words)]


def test_a_day_in_english(town: Tariff) -> None:
    rides = [
        ride(when, route, town) for when, route in (("08:00", "R1"), ("08:41", "V"), ("10:00", "E"), ("12:00", "E"))
    ]
    assert lines(rides, town, "en") == [
        "08:00, line 1: adult, 85.01 ₸, full fare; transfers are free until 09:00",
        "08:41, line 101: adult, 110.00 ₸, transfer",
        "10:00, line E: adult, 170.02 ₸, express; transfers are free until 11:00",
        "12:00, line E: adult, 170.02 ₸, express; transfers are free until 13:00",
        "Total: 535.05 ₸",
    ]


def test_concessions_and_groups_in_russian_and_kazakh(town: Tariff) -> None:
    profile = Profile(concessions=(Concession(category=RiderCategory("pupil"), from_date="", until_date=""),))
    rides = [ride("08:00", "R1", town), ride("10:00", "R1", town, riders=riders("adult×2 child×1"))]
    assert lines(rides, town, "ru", profile) == [
        (
            "08:00, маршрут 1: школьник, 42,50 ₸, льгота, полная стоимость 85,01 ₸; пересадки бесплатны до 09:00; "
            "город доплачивает 42,51 ₸"
        ),
        "10:00, маршрут 1: взрослый × 2, 170,02 ₸, полная стоимость; пересадки бесплатны до 11:00",
        "10:00, маршрут 1: ребёнок, 0,00 ₸, льгота, полная стоимость 85,01 ₸",
        "Итого: 212,52 ₸",
    ]
    assert lines(rides, town, "kk", profile)[0] == (
        "08:00, 1-бағыт: оқушы, 42,50 ₸, жеңілдік, толық құны 85,01 ₸; "
        "ауысып міну мына уақытқа дейін тегін: 09:00; қала 42,51 ₸ төлейді"
    )


def test_a_reached_cap_is_said_with_its_amount(town: Tariff) -> None:
    rides = [ride(f"{hour}:00", "R1", town) for hour in ("06", "08", "10", "12", "14")]
    assert lines(rides, town, "en")[-2] == "14:00, line 1: adult, 0.00 ₸, day cap of 340.00 ₸ reached"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", list(PriceReason))
def test_every_reason_has_words_in_every_language(town: Tariff, language: Language, reason: PriceReason) -> None:
    words = Words(catalogue=CATALOGUE, language=language, tariff=town, route_names={})
    assert words.text(f"tariff.reason.{reason.value}", full="1", cap="2")


def test_thousands_are_set_apart(town: Tariff) -> None:
    said = {
        language: Words(catalogue=CATALOGUE, language=language, tariff=town, route_names={}).amount(1_234_567)
        for language in LANGUAGES
    }
    assert said == dict.fromkeys(("kk", "ru"), "12\xa0345,67\xa0₸") | {"en": "12,345.67\xa0₸"}


def test_a_line_of_another_ride_is_refused(town: Tariff) -> None:
    one, other = ride("08:00", "R1", town), ride("09:30", "R1", town)
    (charge,) = price([one], town, NOBODY).charges
    with pytest.raises(ValueError, match="not of"):
        explain(charge, other, Words(catalogue=CATALOGUE, language="en", tariff=town, route_names={}))
