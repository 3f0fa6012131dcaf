"""A ticket that was bought by message, at the inspector: yes to who bought it, no to whom it was forwarded."""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest

from fare.inspection.cases import PersonId
from fare.inspection.values import InspectionRules, Question, Showing, Standing, VehicleNow
from fare.inspection.verdict import inspect, ticket_hash, vehicle_list
from fare.store.postgres_inspection import PostgresInspection
from fare.validator.rules import Configuration
from tests.fare.edges.sms_town import KEYS, SmsTown, sms_town
from tests.fare.phone.phones import CITY
from tests.notation.market import NOON_MS

BUS = "bus-1"
SALT = bytes(16)
RULES = InspectionRules()
MINUTE_MS = 60_000


async def where_is(vehicle_id: str) -> VehicleNow | None:
    return VehicleNow(route_id="12") if vehicle_id in {"bus-1", "bus-2"} else None


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> AsyncIterator[SmsTown]:
    async with sms_town(postgres) as opened:
        for vehicle_id in ("bus-1", "bus-2"):
            await postgres.execute(
                "INSERT INTO validator (device_id, vehicle_id, hash, heard_ms) VALUES ($1, $2, '', $3)",
                *(f"v-{vehicle_id}", vehicle_id, NOON_MS + MINUTE_MS),
            )
        yield opened


async def check(town: SmsTown, code: str, showing_id: str, *, vehicle_id: str = BUS) -> Standing:
    """Ask as the inspectors' server does, a minute after the message."""
    desk = PostgresInspection(town.market.pool, configuration=Configuration(kinds=()), where_is=where_is)
    now_ms = NOON_MS + MINUTE_MS
    facts = await desk.facts(vehicle_id, now_ms)
    assert facts is not None
    held = vehicle_list(facts, KEYS.code_key, SALT, now_ms, RULES, city=CITY)
    judged = inspect(Question(vehicle_id=vehicle_id, code=code, showing_id=showing_id), held, now_ms)
    if judged.tap is not None:
        (key,) = (tap.key for tap in facts.taps if ticket_hash(tap, KEYS.code_key, SALT) == judged.tap.ticket_hash)
        await desk.shown(key, PersonId("7"), Showing(showing_id=showing_id, at_ms=now_ms))
    return judged.verdict.standing


async def test_a_ticket_by_message_is_good_for_who_bought_it_and_not_for_whom_it_was_forwarded_to(
    town: SmsTown,
) -> None:
    found = re.search(r"\d{10}", await town.say("0451"))
    assert found is not None
    assert await check(town, found[0], "who bought it") is Standing.PAID
    assert await check(town, found[0], "who bought it") is Standing.PAID, "asked again"
    assert await check(town, found[0], "a friend") is Standing.SHOWN


async def test_a_ticket_for_two_is_shown_by_two(town: SmsTown) -> None:
    found = re.search(r"\d{10}", await town.say("0451 2"))
    assert found is not None
    said = [await check(town, found[0], showing_id) for showing_id in ("one", "the other", "a third")]
    assert said == [Standing.PAID, Standing.PAID, Standing.SHOWN]


async def test_a_ticket_is_good_on_its_bus_only_and_a_made_up_code_on_none(town: SmsTown) -> None:
    found = re.search(r"\d{10}", await town.say("0451"))
    assert found is not None
    assert await check(town, found[0], "x", vehicle_id="bus-2") is Standing.NOT_PAID
    assert await check(town, "1078510595", "x") is Standing.NOT_PAID
