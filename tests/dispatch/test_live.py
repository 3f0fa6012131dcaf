"""The live map's edge on a real Valkey: what an open map hears, and what is served beside it."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from dispatch import live as module
from dispatch.live import LiveMap
from tests.dispatch.pages import served
from tests.dispatch.sightings import NOON_MS, arrival, detour, position, update
from tests.dispatch.small_city import ALAN, network_of
from tests.patience import PATIENCE_S
from transit.keys import Keys
from transit.store.redis_state import StateReader, StateWriter

KEYS = Keys("test")


@dataclass(frozen=True, slots=True)
class Running:
    base: str
    writer: StateWriter
    http: aiohttp.ClientSession
    metrics: Metrics
    stop: asyncio.Event

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.http.ws_connect(f"{self.base}/map/ws") as socket:
            yield socket

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        answer = await self.http.get(self.base + path, headers=headers)
        await answer.read()
        return answer


@asynccontextmanager
async def running(redis: Redis) -> AsyncIterator[Running]:
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS, rate=10))
    metrics, stop = Metrics(), asyncio.Event()
    writer = StateWriter(redis, KEYS)
    await writer.replace(update(position("101"), arrival(vehicle_id="101")))
    live = LiveMap(network_of(), state=StateReader(redis, KEYS), clock=clock, metrics=metrics)
    async with (
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as tasks,
        served(live.routes()) as port,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        tasks.create_task(live.run(stop))
        one = Running(base=f"http://127.0.0.1:{port}", writer=writer, http=http, metrics=metrics, stop=stop)
        while not json.loads(await (await one.get("/api/vehicles")).read())["vehicles"]:
            pass
        yield one
        stop.set()


async def hear(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await socket.receive_str())
    return found


async def hear_of(socket: aiohttp.ClientWebSocketResponse, as_of_ms: int) -> dict[str, Any]:
    """Return the first message that is as new as ``as_of_ms``."""
    while (message := await hear(socket)).get("as_of_ms") != as_of_ms:
        pass
    return message


async def test_an_open_map_hears_hello_then_everything_then_what_changes(redis: Redis) -> None:
    async with running(redis) as city, city.opened() as socket:
        hello = await hear(socket)
        assert (hello["type"], hello["rate"], hello["feed_hash"]) == ("hello", 10.0, network_of().feed_hash)
        assert NOON_MS <= hello["server_ms"] < NOON_MS + 600_000
        snapshot = await hear(socket)
        assert snapshot["type"] == "snapshot"
        assert snapshot["as_of_ms"] == NOON_MS
        assert [(vehicle["id"], vehicle["next_ms"]) for vehicle in snapshot["vehicles"]] == [("101", NOON_MS + 120_000)]
        await city.writer.publish(update(position("101", lat=44.9), position("102"), as_of_ms=NOON_MS + 1_000))
        changes = await hear_of(socket, NOON_MS + 1_000)
        assert changes["type"] == "changes"
        assert [(vehicle["id"], vehicle["lat"]) for vehicle in changes["vehicles"]] == [("101", 44.9), ("102", 44.851)]
        await city.writer.publish(update(as_of_ms=NOON_MS + 2_000, gone=("101",)))
        assert (await hear_of(socket, NOON_MS + 2_000))["gone"] == ["101"]


async def test_an_open_map_hears_of_detours_when_they_begin_change_and_end(redis: Redis) -> None:
    async with running(redis) as city, city.opened() as socket:
        await hear(socket)
        assert (await hear(socket))["detours"] == []
        for second, state, told in ((1, "suspected", ["suspected"]), (2, "confirmed", ["confirmed"]), (3, "over", [])):
            await city.writer.publish(update(detour(state=state), as_of_ms=NOON_MS + 1_000 * second))
            message = await hear_of(socket, NOON_MS + 1_000 * second)
            assert [one["state"] for one in message["detours"]] == told
        await city.writer.publish(update(detour(), as_of_ms=NOON_MS + 4_000))
        await hear_of(socket, NOON_MS + 4_000)
        async with city.opened() as later:
            await hear(later)
            assert [one["id"] for one in (await hear(later))["detours"]] == ["d"]
        listed = json.loads(await (await city.get("/api/detours")).read())
        assert [(one["before"], one["missed"]) for one in listed["detours"]] == [("vokzal", [ALAN.id])]


async def test_many_updates_become_few_messages_with_the_latest_only(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_S", 3.0)  # all are published in one tick, in few on a busy machine
    async with running(redis) as city, city.opened() as socket:
        await hear(socket), await hear(socket)
        for step in range(1, 31):
            await city.writer.publish(update(position("101", offset_m=float(step), lat=44.8 + step / 1000)))
        heard = 0
        while True:
            message = await hear(socket)
            heard += 1
            if message["vehicles"][0]["lat"] == pytest.approx(44.83):
                break
        assert heard <= 6


async def test_a_quiet_feed_still_says_that_it_is_alive(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.5)
    async with running(redis) as city, city.opened() as socket:
        await hear(socket), await hear(socket)
        await city.writer.publish(update(as_of_ms=NOON_MS + 7_000))
        while (message := await hear_of(socket, NOON_MS + 7_000))["type"] != "heartbeat":
            pass
        assert "vehicles" not in message


async def test_a_map_that_does_not_listen_is_let_go_and_the_others_are_served(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.02)
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    crowd = [position(f"{'x' * 400}{i}") for i in range(500)]
    async with running(redis) as city, city.opened() as good:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(city.base.rpartition(":")[2]), limit=1_024)
        writer.write(
            b"GET /map/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        step = 0
        while b'maps_dropped_total{reason="slow"} 1.0' not in city.metrics.exposition():
            step += 1
            await city.writer.publish(update(*crowd, position("101", lat=44.0 + step / 1e4)))
            crowd = [position(one.vehicle_id, lat=44.0 + step / 1e4) for one in crowd]
            while (await hear(good))["type"] == "heartbeat":
                pass
        writer.close()
        assert b"maps_connected 1.0" in city.metrics.exposition()


async def test_maps_are_told_goodbye_when_the_server_stops(redis: Redis) -> None:
    async with running(redis) as city, city.opened() as socket:
        await hear(socket), await hear(socket)
        city.stop.set()
        while (message := await socket.receive()).type == aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)


async def test_a_map_that_talks_too_much_is_closed(redis: Redis) -> None:
    async with running(redis) as city, city.opened() as socket:
        await hear(socket), await hear(socket)
        await socket.send_str("x" * 5_000)
        while (message := await socket.receive()).type == aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)


async def test_a_lost_feed_is_taken_up_again(redis: Redis) -> None:
    async with running(redis) as city, city.opened() as socket:
        await hear(socket), await hear(socket)
        await redis.flushall()  # tracking starts over on an empty Redis
        await StateWriter(redis, KEYS).replace(update(position("103"), as_of_ms=NOON_MS + 60_000))
        known = {"101"}
        while known != {"103"}:
            message = await hear(socket)
            known -= set(message.get("gone", []))
            known |= {vehicle["id"] for vehicle in message.get("vehicles", [])}


async def test_the_network_is_served_once_and_then_by_its_tag(redis: Redis) -> None:
    async with running(redis) as city:
        first = await city.get("/api/network.geojson", **{"Accept-Encoding": "gzip"})
        assert (first.status, first.content_type) == (200, "application/geo+json")
        document = json.loads(gzip.decompress(await first.read()))
        assert document["feed_hash"] == network_of().feed_hash
        again = await city.get("/api/network.geojson", **{"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")


async def test_vehicles_are_also_text(redis: Redis) -> None:
    async with running(redis) as city:
        answer = await city.get("/api/vehicles")
        assert answer.headers["Cache-Control"] == "no-store"
        assert [vehicle["next_stop"] for vehicle in json.loads(await answer.read())["vehicles"]] == [ALAN.id]
        one = json.loads(await (await city.get("/api/vehicles/101")).read())
        assert [stop["stop"] for stop in one["ahead"]] == [ALAN.id]
        assert (await city.get("/api/vehicles/nobody")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/map/../live.py",
        "/static/map/%2e%2e/live.py",
        "/static/map/..%2flive.py",
        "/static/map/live.py",
        "/static/map/",
        "/map/../../pyproject.toml",
    ],
)
async def test_only_listed_files_exist(redis: Redis, path: str) -> None:
    async with running(redis) as city:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(city.base.rpartition(":")[2]))
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == b"404"
        writer.close()
