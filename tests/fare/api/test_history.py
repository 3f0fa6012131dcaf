"""Trip history over HTTP: whoever presented the medium, and nobody else (incident I9, attack 48)."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest

from fare.api.history import History
from fare.history import history_code
from fare.model import DeviceId
from tests.dispatch.pages import served
from tests.fare.api.town import Clock
from tests.fare.edges.money import MoneyTown, money_town
from tests.notation.rides import MIDNIGHT_MS, tap

HASH = bytes(range(32))
TOUCHED_MS = MIDNIGHT_MS + 8 * 3_600_000


class Passengers:
    def __init__(self, money: MoneyTown, clock: Clock, port: int) -> None:
        self.money = money
        self.clock = clock
        self.port = port

    async def ask(self, method: str, sent: object = None, *, token: str = "") -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as client,
            client.request(method, "/api/history", json=sent, headers={"Authorization": f"Bearer {token}"}) as answer,
        ):
            return answer.status, await answer.json()

    async def open(self, code: str, vehicle_id: str = "bus-1") -> tuple[int, Any]:
        self.clock.city_ms += 30_000  # nobody is stopped for asking often, unless a test says so
        return await self.ask("POST", {"vehicle_id": vehicle_id, "code": code})


@pytest.fixture
async def passengers(postgres: asyncpg.Pool) -> AsyncIterator[Passengers]:
    money = await money_town(postgres)
    await money.ride(tap("v:1", "08:00", 7), tap("v:2", "07:00", 7), tap("v:3", "07:30", 8))
    await postgres.execute("INSERT INTO validator (device_id, vehicle_id, hash) VALUES ('v', 'bus-1', $1)", HASH)
    for sequence in (1, 2, 3):
        await postgres.execute(
            "INSERT INTO validator_record (device_id, sequence, hash, payload, standing, received_ms) "
            "VALUES ($1, $2, $3, '', 'on_time', 0)",
            *(DeviceId("v"), sequence, HASH[sequence:] + HASH[:sequence]),
        )
    clock = Clock()
    clock.city_ms = TOUCHED_MS + 60_000
    tokens = iter(f"token-{number}" for number in range(100))
    history = History(postgres, clock=clock, new_token=lambda: next(tokens))
    async with served(history.routes(), port=0) as port:
        yield Passengers(money, clock, port)


CODE = history_code(HASH[1:] + HASH[:1])


async def test_i9_who_presented_a_card_reads_its_rides_for_a_quarter_of_an_hour(passengers: Passengers) -> None:
    status, opened = await passengers.open(CODE)
    assert status == 200
    status, shown = await passengers.ask("GET", token=opened["token"])
    assert [(ride["charged_tiyn"], ride["route_id"]) for ride in shown["rides"]] == [(0, "12"), (100, "12")]
    passengers.clock.city_ms = opened["until_ms"]
    assert (await passengers.ask("GET", token=opened["token"]))[0] == 401


async def test_attack_48_whatever_is_wrong_gets_one_answer(passengers: Passengers) -> None:
    assert (await passengers.open(CODE))[0] == 200
    said = [
        await passengers.open(CODE),  # used
        await passengers.open(history_code(HASH[2:] + HASH[:2])),  # touched an hour ago
        await passengers.open("00000000"),
        await passengers.open(CODE, "bus-2"),
        await passengers.open(CODE, "bus\0"),
        await passengers.open(f"{7:032x}"),  # the medium's own id
    ]
    assert said == 6 * [(403, {"error": "no_such_code", "retry_s": 0})]


async def test_attack_48_codes_of_a_bus_cannot_be_swept(passengers: Passengers) -> None:
    answers = [await passengers.ask("POST", {"vehicle_id": "bus-1", "code": f"{number:08}"}) for number in range(7)]
    assert [status for status, _ in answers] == 5 * [403] + 2 * [429]
    assert (await passengers.ask("POST", {"vehicle_id": "bus-1", "code": CODE}))[0] == 429


@pytest.mark.parametrize("token", ["", "token-0", "x" * 5_000])
async def test_without_a_touch_nothing_is_read(passengers: Passengers, token: str) -> None:
    assert await passengers.ask("GET", token=token) == (401, {"error": "present_it_again", "retry_s": 0})
