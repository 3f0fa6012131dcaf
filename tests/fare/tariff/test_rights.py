"""Until when passes and concessions count."""

import datetime as dt

import pytest

from fare.model import Profile, RiderCategory
from fare.tariff.model import Tariff
from fare.tariff.rights import concession, pass_held
from tests.notation.fares import TOWN, at_ms, check, tariff

PUPIL = RiderCategory("pupil")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Tariff:
    return tariff(tmp_path_factory.mktemp("town"))


def with_pass(folder: object, unit: str, length: int) -> Tariff:
    return tariff(folder, TOWN.replace("calendar_month  1  ", f"{unit}  {length}  "))  # type: ignore[arg-type]


def test_a_month_pass_ends_with_the_last_service_day_of_its_month(town: Tariff) -> None:
    held = pass_held("month", at_ms("2026-12-05 12:00", town), town)
    assert held.until_ms == at_ms("2027-01-01 04:00", town)
    held = pass_held("month", at_ms("2026-04-01 02:00", town), town)  # still the service day of 31 March
    assert held.until_ms == at_ms("2026-04-01 04:00", town)


def test_a_day_pass_counts_service_days_and_an_hour_pass_hours(tmp_path_factory: pytest.TempPathFactory) -> None:
    days = with_pass(tmp_path_factory.mktemp("days"), "days", 3)
    assert pass_held("month", at_ms("Mon 12:00", days), days).until_ms == at_ms("Thu 04:00", days)
    hours = with_pass(tmp_path_factory.mktemp("hours"), "hours", 24)
    assert pass_held("month", at_ms("Mon 12:00", hours), hours).until_ms == at_ms("Tue 12:00", hours)


def test_what_is_no_pass_cannot_be_held(town: Tariff) -> None:
    with pytest.raises(ValueError, match="product_id single: no such pass on 2026-03-02"):
        pass_held("single", at_ms("Mon 12:00", town), town)


def test_attack_53_a_pupils_right_ends_on_the_eve_of_the_18th_birthday(town: Tariff) -> None:
    right = concession(PUPIL, dt.date(2026, 1, 10), town, born=dt.date(2008, 3, 3), evidence="birth certificate")
    assert (right.from_date, right.until_date) == ("2026-01-10", "2026-03-02")
    check(
        """
        Mon 23:59:59 | R1 | 42.50 | concession
        Tue 00:00    | R1 | 85.01 | full
        """,
        town,
        Profile(concessions=(right,)),
    )


def test_a_birthday_on_29_february_is_on_1_march_in_other_years(town: Tariff) -> None:
    assert concession(PUPIL, dt.date(2026, 1, 10), town, born=dt.date(2008, 2, 29)).until_date == "2026-02-28"
    child = RiderCategory("child")
    assert concession(child, dt.date(2026, 1, 10), town, born=dt.date(2021, 2, 28)).until_date == "2028-02-27"


def test_a_right_without_an_age_limit_counts_for_ever(town: Tariff) -> None:
    assert concession(RiderCategory("veteran"), dt.date(2026, 1, 10), town).until_date == ""


def test_a_right_that_the_tariff_does_not_know_or_whose_age_is_not_known_is_refused(town: Tariff) -> None:
    with pytest.raises(ValueError, match="category adult: no such concession"):
        concession(RiderCategory("adult"), dt.date(2026, 1, 10), town)
    with pytest.raises(ValueError, match="born: must be given"):
        concession(PUPIL, dt.date(2026, 1, 10), town)
