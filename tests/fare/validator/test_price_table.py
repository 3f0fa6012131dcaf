"""What validators show is the full price of the tariff: never less than any bill before concessions of the day."""

import pytest

from fare.model import MediumKind, RiderCategory
from fare.tariff.model import Tariff
from fare.tariff.pricing import TariffPricing
from fare.validator.price_table import fare_table
from fare.validator.rules import FareTable
from tests.notation.fares import NOBODY, at_ms, ride, tariff

CARD = MediumKind.TRANSPORT_CARD


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Tariff:
    return tariff(tmp_path_factory.mktemp("town"))


def table(town: Tariff) -> FareTable:
    return fare_table(town, ("R1", "R2", "V", "E"), (CARD, MediumKind.BANK_CARD))


@pytest.mark.parametrize("route_id", ["R1", "V", "E"])
def test_a_first_ride_costs_at_most_what_is_shown(town: Tariff, route_id: str) -> None:
    for hour in ("03:00", "08:00", "12:30", "23:00"):
        taken = ride(hour, route_id, town)
        bill = TariffPricing(town).bill([taken], NOBODY)
        shown = table(town).price(taken.medium_kind, RiderCategory("adult"), route_id, taken.tapped_ms)
        assert shown is not None
        assert bill.total_tiyn <= shown[0]


def test_lines_of_the_usual_price_need_no_entry_of_their_own(town: Tariff) -> None:
    period = table(town).periods[0]
    usual = [price for price in period.prices if price.kind is CARD and price.category == "adult"]
    assert usual[0].route_id == ""
    assert {price.tiyn for price in usual[1:]}.isdisjoint({usual[0].tiyn})


def test_each_version_counts_on_its_own_days(town: Tariff) -> None:
    for period, version in zip(table(town).periods, town.versions, strict=True):
        assert period.version == version.version_id
        assert town.at(period.from_ms)[1] is version or period.from_ms == 0
    assert table(town).price(CARD, RiderCategory("adult"), "R1", at_ms("08:00", town)) is not None
