"""A bill of the city: a tariff, and one fare for one ride whichever validators took it."""

import itertools

import pytest

from fare.ledger.billing import changes, post_changes
from fare.ledger.posting import Book
from fare.model import Ride
from fare.pricing import CityPricing
from tests.fare.validator.cards import CONFIGURATION
from tests.notation.fares import NOBODY, ride, tariff
from tests.notation.rides import medium


@pytest.fixture(scope="module")
def pricing(tmp_path_factory: pytest.TempPathFactory) -> CityPricing:
    return CityPricing(tariff=tariff(tmp_path_factory.mktemp("town")), configuration=CONFIGURATION)


def at_door(pricing: CityPricing, key: str, when: str) -> Ride:
    return ride(when, "R1", pricing.tariff, key=key, vehicle_id="bus-7", medium_id=medium(7))


def test_a_ride_that_two_doors_took_is_on_the_bill_once(pricing: CityPricing) -> None:
    doors = [
        at_door(pricing, "rear:1", "08:01"),
        at_door(pricing, "front:1", "08:00"),
        at_door(pricing, "f:2", "12:00"),
    ]
    bill = pricing.bill(doors, NOBODY)
    assert [charge.ride_key for charge in bill.charges] == ["front:1", "f:2"]


def test_i4_whichever_door_uploads_first_the_same_ride_is_charged_in_the_end(pricing: CityPricing) -> None:
    doors = [
        at_door(pricing, "front:1", "08:00"),
        at_door(pricing, "rear:1", "08:01"),
        at_door(pricing, "rear:2", "12"),
    ]
    ends = set()
    for order in itertools.permutations(doors):
        book, posted, here = Book(), {}, []
        for one in order:
            here.append(one)
            found = changes(here, posted, pricing, NOBODY, from_ms=one.tapped_ms)
            posted |= {change.ride.key: done for change, done in post_changes(book, found, pricing)}
        charged = tuple(sorted((key, done.amounts) for key, done in posted.items() if done.amounts))
        ends.add((charged, tuple(sorted(item for item in book.balances_tiyn.items() if item[1]))))
    assert len(ends) == 1
    assert [key for key, _ in ends.pop()[0]] == ["front:1", "rear:2"]


def test_a_ride_bought_by_telephone_is_paid_and_its_holder_may_then_show_the_phone_to_a_validator(
    pricing: CityPricing,
) -> None:
    bought = at_door(pricing, "sms:1", "08:00")
    for_a_friend = at_door(pricing, "phone:2", "08:05")
    shown = at_door(pricing, "front:1", "08:06")
    bill = pricing.bill([shown, for_a_friend, bought], NOBODY)
    assert [charge.ride_key for charge in bill.charges] == ["sms:1", "phone:2"]


def test_who_was_at_the_validator_first_pays_for_what_they_buy_as_well(pricing: CityPricing) -> None:
    """The ticket has a code of its own, so somebody else could ride on it."""
    rides = [at_door(pricing, "front:1", "08:00"), at_door(pricing, "sms:1", "08:01")]
    assert [charge.ride_key for charge in pricing.bill(rides, NOBODY).charges] == ["front:1", "sms:1"]
