"""Keys of phones are registered by who holds them, for one medium, and revoked for good."""

import asyncpg
import pytest

from commons.migrate import migrate
from fare.model import MediumId
from fare.phone.own_qr import OwnRefusal
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_phone_keys import LIFE_MS, PHONES_MAX, PostgresPhoneKeys, Registering, keys_of_media
from tests.fare.phone.phones import CITY, MEDIUM, NOON_MS, key, public, shown

BOB = MediumId("b0" * 16)


@pytest.fixture
async def keys(postgres: asyncpg.Pool) -> PostgresPhoneKeys:
    await migrate(postgres, "fare.store")
    return PostgresPhoneKeys(postgres, CITY)


async def register(keys: PostgresPhoneKeys, name: str, *, of: MediumId = MEDIUM, at_s: float = 0) -> Registering:
    said = await keys.register(of, public(name), shown(name, at_s), NOON_MS + round(at_s * 1_000))
    return said.outcome


async def test_a_key_counts_from_its_registration_and_its_medium_is_no_stranger(
    keys: PostgresPhoneKeys, postgres: asyncpg.Pool
) -> None:
    assert await register(keys, "ann") is Registering.REGISTERED
    assert await keys.in_force(NOON_MS) == [key("ann", until_ms=NOON_MS + LIFE_MS)]
    assert await keys_of_media(postgres, [BOB], NOON_MS) == []
    assert await keys_of_media(postgres, [MEDIUM], NOON_MS) == await keys.in_force(NOON_MS)
    assert await PostgresMedia(postgres).known() == [MEDIUM]
    assert await keys.in_force(NOON_MS + LIFE_MS) == []


async def test_registered_again_it_keeps_its_life(keys: PostgresPhoneKeys) -> None:
    await register(keys, "ann")
    assert await register(keys, "ann", at_s=60) is Registering.REGISTERED
    assert await keys.in_force(NOON_MS) == [key("ann", until_ms=NOON_MS + LIFE_MS)]


async def test_who_does_not_hold_the_key_or_does_not_know_the_time_registers_nothing(keys: PostgresPhoneKeys) -> None:
    said = [
        await keys.register(MEDIUM, public("ann"), shown("bob"), NOON_MS),
        await keys.register(MEDIUM, public("ann"), shown("ann", -3_600), NOON_MS),
        await keys.register(MEDIUM, b"short", shown("ann"), NOON_MS),
    ]
    assert [one.outcome for one in said] == [Registering.NOT_PROVED] * 3
    assert [one.refusal for one in said] == [OwnRefusal.UNKNOWN_KEY, OwnRefusal.OLD, OwnRefusal.MALFORMED]
    assert await keys.in_force(NOON_MS) == []


async def test_a_key_of_one_medium_never_becomes_anothers_and_a_revoked_one_never_comes_back(
    keys: PostgresPhoneKeys,
) -> None:
    await register(keys, "ann")
    assert await register(keys, "ann", of=BOB) is Registering.TAKEN
    assert await keys.revoke(BOB, NOON_MS, key_id=key("ann").key_id) == 0, "it is not hers"
    assert await keys.revoke(MEDIUM, NOON_MS) == 1
    assert await register(keys, "ann") is Registering.TAKEN
    assert await keys.in_force(NOON_MS) == []


async def test_of_more_phones_than_one_medium_may_have_the_oldest_goes(keys: PostgresPhoneKeys) -> None:
    names = [f"phone-{number}" for number in range(PHONES_MAX + 1)]
    for number, name in enumerate(names):
        await register(keys, name, at_s=number)
    held = {one.public for one in await keys.in_force(NOON_MS)}
    assert held == {public(name) for name in names[1:]}
