"""The register of buses' codes: one at a time for a bus, revoked for good."""

import asyncio

import asyncpg
import pytest

from commons.migrate import migrate
from fare.phone import cose
from fare.phone.bus_code import BusCode, BusRefusal, bus_link
from fare.store.postgres_bus_codes import PostgresBusCodes
from tests.fare.phone.phones import CITY, NOON_MS, private, public


@pytest.fixture
async def codes(postgres: asyncpg.Pool) -> PostgresBusCodes:
    await migrate(postgres, "fare.store")
    return PostgresBusCodes(postgres, city=CITY, keys={cose.key_id_of(public("city")): public("city")})


def link(vehicle_id: str, issue: int) -> str:
    return bus_link("https://pay.example.kz", vehicle_id, issue, city=CITY, key=private("city"))


async def test_a_bus_keeps_its_code_until_it_is_revoked_and_then_gets_another(codes: PostgresBusCodes) -> None:
    first, again = await asyncio.gather(codes.in_force("117", NOON_MS), codes.in_force("117", NOON_MS))
    assert first == again
    scanned = await codes.read(link("117", first.issue))
    assert isinstance(scanned, BusCode)
    assert scanned.vehicle_id == "117"
    assert await codes.revoke("117", NOON_MS) == 1
    assert await codes.read(link("117", first.issue)) is BusRefusal.REVOKED
    second = await codes.in_force("117", NOON_MS)
    assert second.issue > first.issue
    assert isinstance(await codes.read(link("117", second.issue)), BusCode)
    assert [one.revoked for one in await codes.everything()] == [True, False]


async def test_what_was_never_issued_names_no_bus(codes: PostgresBusCodes) -> None:
    first = await codes.in_force("117", NOON_MS)
    assert await codes.read(link("117", first.issue + 1)) is BusRefusal.UNREGISTERED
    assert await codes.read(link("118", first.issue)) is BusRefusal.UNREGISTERED
    assert await codes.read("https://evil.example/117") is BusRefusal.NOT_OURS
    assert await codes.revoke("118", NOON_MS) == 0
