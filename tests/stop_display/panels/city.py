"""A small city with a fleet of boards: the real server on a real Valkey and a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect

from ayaldama.staff import fleet_routes
from ayaldama.web.vendor import vendor_routes
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from commons.migrate import migrate
from fare.people import Person, PersonName, Role
from fare.sign_in import hash_of_password
from fare.store.postgres_people import PostgresPeople
from fare.store.sealed_seeds import SeedKey
from stop_display.panels import store
from stop_display.panels.desk import PanelDesk
from stop_display.panels.model import PanelConfig
from stop_display.server import Boards, BoardSettings
from tests.dispatch.pages import served
from tests.dispatch.sightings import NOON_MS
from tests.dispatch.small_city import TWO_ROUTES, Line, network_of
from tests.patience import PATIENCE_S
from transit.keys import Keys
from transit.store.redis_state import StateReader

KEYS = Keys("test")
VERSION = "version-1"
SEED_KEY = SeedKey(bytes(32))
PASSWORD = "a dispatcher's long password"


@dataclass(frozen=True, slots=True)
class FleetCity:
    port: int
    pool: asyncpg.Pool
    metrics: Metrics
    desk: PanelDesk

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, path: str, *, key: str = "", sent: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        method = "GET" if sent is None else "POST"
        data = sent if isinstance(sent, bytes) else json.dumps(sent).encode() if sent is not None else None
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.at + path, headers=headers, data=data) as answer,
        ):
            body = await answer.read()
            return answer.status, json.loads(body) if answer.content_type == "application/json" else body.decode()

    @asynccontextmanager
    async def board(self, *stops: str, key: str = "") -> AsyncIterator[ClientConnection]:
        async with connect(f"ws://127.0.0.1:{self.port}/board/ws", compression=None) as socket:
            await socket.send(json.dumps({"type": "subscribe", "stops": stops, "key": key}))
            yield socket

    async def until(self, metric: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while metric.encode() not in self.metrics.exposition():  # noqa: ASYNC110 - a counter cannot be waited for
                await asyncio.sleep(0.01)


@asynccontextmanager
async def fleet_city(
    redis: Redis,
    pool: asyncpg.Pool,
    *,
    lines: Sequence[Line] = TWO_ROUTES,
    report_every_s: float = 45.0,
    boards_per_address: int = 2_000,
) -> AsyncIterator[FleetCity]:
    await migrate(pool, "fare.store")
    await migrate(pool, "stop_display.panels")
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS))
    network, metrics, stop = network_of(lines), Metrics(), asyncio.Event()
    desk = PanelDesk(
        pool,
        time_zone=network.time_zone,
        version=VERSION,
        clock=clock,
        metrics=metrics,
        report_every_s=report_every_s,
    )
    await desk.load()
    boards = Boards(
        network,
        state=StateReader(redis, KEYS),
        clock=clock,
        metrics=metrics,
        settings=BoardSettings(boards_per_address=boards_per_address),
        panels=desk,
    )
    fleet = fleet_routes(
        boards,
        desk,
        network,
        version=VERSION,
        people=PostgresPeople(pool, SEED_KEY),
        clock=clock,
        address_of=lambda request: request.remote or "",
    )
    routes = [*boards.routes(), *fleet, *vendor_routes()]
    async with asyncio.TaskGroup() as tasks, served(routes) as at:
        tasks.create_task(boards.run(stop))
        tasks.create_task(desk.run(stop))
        yield FleetCity(port=at, pool=pool, metrics=metrics, desk=desk)
        stop.set()


async def registered(city: FleetCity, name: str = "kiosk-4", *stops: str, **config: Any) -> str:
    """Register a board, wait until the server knows it, return its key."""
    key = await store.add_panel(city.pool, name, PanelConfig(stops=stops or ("alan",), **config))
    async with asyncio.timeout(PATIENCE_S):
        while all(panel.name != name for panel in city.desk.panels()):  # noqa: ASYNC110 - told by the database
            await asyncio.sleep(0.01)
    return key


async def employed(pool: asyncpg.Pool, name: str, role: Role) -> None:
    await PostgresPeople(pool, SEED_KEY).add(
        Person(name=PersonName(name), role=role), hash_of_password(PASSWORD), NOON_MS
    )
