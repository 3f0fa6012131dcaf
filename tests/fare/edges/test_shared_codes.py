"""A phone's code that two buses took: both ride, both are charged, and it is found."""

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec
import pytest

from commons.migrate import migrate
from fare.model import CarrierId, LocatedTap, MediumId, MediumKind, Profile, Ride
from fare.outcomes import TapReceipt
from fare.phone.own_qr import own_code
from fare.service import open_taps
from fare.store.shared_codes import SharedCode, shared_codes
from tests.fare.phone.phones import CITY, MEDIUM, NOON_MS, private
from tests.fare.validator.test_codes import PhoneBus
from tests.notation.rides import SmallTariff

CODE = own_code(private("ann"), city=CITY, now_ms=NOON_MS)


async def nobody(_media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
    return {}


def shown_on(vehicle_id: str, code: str = CODE, at_s: float = 5) -> LocatedTap:
    bus = PhoneBus("ann", vehicle_id=vehicle_id)
    assert bus.show(code, at_s).green, "neither validator can know of the other"
    (tap,) = bus.taps
    ride = Ride(
        key=tap.key,
        tapped_ms=tap.tapped_ms,
        medium_id=tap.medium_id,
        medium_kind=tap.medium_kind,
        vehicle_id=vehicle_id,
        carrier_id=CarrierId("k1"),
    )
    return LocatedTap(tap=tap, ride=ride)


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> asyncpg.Pool:
    await migrate(postgres, "fare.store")
    return postgres


async def take(pool: asyncpg.Pool, *taps: LocatedTap) -> list[SharedCode]:
    async with open_taps(pool, pricing=SmallTariff(), profiles=nobody) as intake:
        assert await intake.take(taps) == [TapReceipt.STORED] * len(taps)
    return await shared_codes(pool, [one.tap for one in taps])


async def test_attack_5_one_code_on_two_buses_is_found_when_the_second_one_uploads(town: asyncpg.Pool) -> None:
    assert await take(town, shown_on("bus-1")) == []
    assert await take(town, shown_on("bus-2", at_s=20)) == [
        SharedCode(
            medium_id=MEDIUM, second=NOON_MS // 1_000, vehicles=("bus-2", "bus-1"), keys=("v-bus-2:1", "v-bus-1:1")
        )
    ]


async def test_two_codes_of_one_phone_on_two_buses_are_a_change_of_buses(town: asyncpg.Pool) -> None:
    await take(town, shown_on("bus-1"))
    later = own_code(private("ann"), city=CITY, now_ms=NOON_MS + 120_000)
    assert await take(town, shown_on("bus-2", later, at_s=121)) == []


async def test_the_counters_of_bank_cards_are_no_codes(town: asyncpg.Pool) -> None:
    cards = []
    for one in (shown_on("bus-1"), shown_on("bus-2")):
        assert one.ride is not None
        of_card = {"medium_kind": MediumKind.BANK_CARD}
        ride = msgspec.structs.replace(one.ride, **of_card)
        cards.append(LocatedTap(tap=msgspec.structs.replace(one.tap, **of_card), ride=ride))
    assert await take(town, *cards) == []
