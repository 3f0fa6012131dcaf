"""The live map's edge: follows the change feed, speaks to the maps that are open, serves the page and what it draws.

One message is made and encoded for all maps, at most every ``TICK_S``; a map that does not take its messages in time
is let go, and comes back by itself with a snapshot. Network deadlines are wall seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec
from aiohttp import WSCloseCode, web

from commons.assets import Asset, asset_of, asset_route
from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from commons.texts import load_catalogue
from dispatch.detours import Detours
from dispatch.fleet import Fleet
from dispatch.messages import Changed, DetourShown, Heartbeat, Hello, Message, Snapshot, StopAhead, Vehicle
from dispatch.network_document import network_document
from gtfs_data.network import Network
from transit.model import Update
from transit.store.redis_state import FeedGapError, StateSnapshot

TICK_S: Final = 0.5
HEARTBEAT_S: Final = 5.0
SEND_MAX_S: Final = 10.0
WAITING_MAX: Final = 20  # messages, that is 10 s of changes
MAPS_MAX: Final = 200
PAUSE_S: Final = 1.0
HEARD_MAX_BYTES: Final = 1_024  # a map has nothing to say

WEB: Final = Path(__file__).with_name("web")
PAGE_FILES: Final = (
    "app.js", "basemap.js", "city.js", "connection.js", "detail.js", "detours.css", "detours.js", "filters.js",
    "fleet.js", "list.js", "map.css", "markers.js", "words.js",
)  # fmt: skip

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class State(Protocol):
    """What the map needs of ``transit.store.redis_state.StateReader``."""

    async def snapshot(self) -> StateSnapshot:
        """Return everything published and from where to follow."""

    def follow(self, from_id: str) -> AsyncIterator[tuple[str, Update]]:
        """Yield every update after ``from_id``, for ever."""


class VehicleList(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/vehicles``."""

    server_ms: int
    as_of_ms: int
    vehicles: list[Vehicle]


class DetourList(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/detours``."""

    server_ms: int
    as_of_ms: int
    detours: list[DetourShown]


class VehicleAhead(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/vehicles/{id}``."""

    server_ms: int
    vehicle: Vehicle
    ahead: list[StopAhead]


@dataclass(slots=True, eq=False)
class _Map:
    """One open map and the messages it has not taken yet; None ends the conversation."""

    waiting: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(WAITING_MAX))
    let_go: bool = False


class LiveMap:
    """Run ``run`` for as long as the application serves ``routes``."""

    def __init__(self, network: Network, *, state: State, clock: Clock, metrics: Metrics) -> None:
        self._network = network
        self._state = state
        self._clock = clock
        self._metrics = metrics
        self._fleet = Fleet(network)
        self._detours = Detours(network)
        self._maps: dict[_Map, asyncio.Transport] = {}
        self._document: Asset | None = None
        self._document_lock = asyncio.Lock()
        texts = {language: dict(texts) for language, texts in load_catalogue("dispatch").items()}
        self._texts = asset_of(_encoder.encode(texts), "application/json")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of page, WebSocket and data."""
        return [
            asset_route("/map", WEB / "map.html"),
            *(asset_route(f"/static/map/{name}", WEB / name) for name in PAGE_FILES),
            web.get("/static/map/texts.json", self._answer_texts),
            web.get("/map/ws", self._speak),
            web.get("/api/network.geojson", self._answer_network),
            web.get("/api/detours", self._answer_detours),
            web.get("/api/vehicles", self._answer_vehicles),
            web.get("/api/vehicles/{vehicle_id}", self._answer_vehicle),
        ]

    def fill(self, occupancy: Mapping[str, str]) -> None:
        """Show how full vehicles are, by vehicle id."""
        self._fleet.fill(occupancy)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the feed and tell the maps, until ``stop``; then say goodbye to them."""
        async with asyncio.TaskGroup() as tasks:
            working = [
                tasks.create_task(self._follow(), name="map-follow"),
                tasks.create_task(self._tell(), name="map-tell"),
            ]
            await stop.wait()
            for task in working:
                task.cancel()
        for one in list(self._maps):
            self._hand(one, None)

    async def _follow(self) -> None:
        while True:
            try:
                snapshot = await self._state.snapshot()
                self._fleet.replace(
                    Update(
                        as_of_ms=snapshot.as_of_ms or 0,
                        vehicles=list(snapshot.vehicles),
                        arrivals=list(snapshot.arrivals),
                        withdrawn=[],
                    )
                )
                self._detours.replace(snapshot.detours)
                async for _, update in self._state.follow(snapshot.stream_id):
                    self._fleet.apply(update)
                    self._detours.apply(update.detours)
            except FeedGapError as gap:
                _log.info("map takes a new snapshot", reason=str(gap))
            except Exception as error:  # noqa: BLE001 - the top of the role: counted, logged, survived
                self._metrics.count("role_errors_total", role="map", where="follow")
                _log.warning("map waits for the change feed", error=str(error), again_in_s=PAUSE_S)
                await asyncio.sleep(PAUSE_S)

    async def _tell(self) -> None:
        silent_s = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            silent_s += TICK_S
            vehicles, gone = self._fleet.take_changes()
            detours = self._detours.take_changes()
            if vehicles or gone or detours is not None:
                self._tell_all(
                    Changed(
                        server_ms=self._clock.now_ms(),
                        as_of_ms=self._as_of_ms,
                        vehicles=vehicles,
                        gone=gone,
                        detours=detours,
                    )
                )
            elif silent_s >= HEARTBEAT_S:
                self._tell_all(Heartbeat(server_ms=self._clock.now_ms(), as_of_ms=self._as_of_ms))
            else:
                continue
            silent_s = 0.0

    @property
    def _as_of_ms(self) -> int:
        return self._fleet.as_of_ms

    def _tell_all(self, message: Changed | Heartbeat) -> None:
        if not self._maps:
            return
        text = _text(message)
        for one in list(self._maps):
            self._hand(one, text)

    def _hand(self, one: _Map, text: str | None) -> None:
        """Queue ``text`` for one map; cut the connection of a map that has not taken what it was told before."""
        try:
            one.waiting.put_nowait(text)
        except asyncio.QueueFull:
            one.let_go = True
            self._maps[one].abort()

    async def _speak(self, request: web.Request) -> web.WebSocketResponse:
        if len(self._maps) >= MAPS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{MAPS_MAX} maps are open already")
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=HEARD_MAX_BYTES)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:  # gone already
            return socket
        one = _Map()
        now_ms = self._clock.now_ms()
        self._hand(one, _text(self._hello(now_ms)))
        vehicles, detours = self._fleet.vehicles(), self._detours.all()
        self._hand(
            one,
            _text(Snapshot(server_ms=now_ms, as_of_ms=self._as_of_ms, vehicles=vehicles, detours=detours)),
        )
        self._maps[one] = transport
        self._metrics.set("maps_connected", len(self._maps))
        writing = asyncio.create_task(self._write(socket, one, transport), name="map-write")
        try:
            async for _ in socket:
                pass  # a map has nothing to say; reading keeps pings answered and notices the end
        finally:
            writing.cancel()
            del self._maps[one]
            self._metrics.set("maps_connected", len(self._maps))
            if one.let_go:
                self._metrics.count("maps_dropped_total", reason="slow")
        return socket

    async def _write(self, socket: web.WebSocketResponse, one: _Map, transport: asyncio.Transport) -> None:
        try:
            while (text := await one.waiting.get()) is not None:
                async with asyncio.timeout(SEND_MAX_S):
                    await socket.send_str(text)
            await socket.close(code=WSCloseCode.GOING_AWAY)
        except (TimeoutError, ConnectionError):
            one.let_go = True
            transport.abort()

    def _hello(self, now_ms: int) -> Hello:
        return Hello(
            server_ms=now_ms, rate=self._clock.rate, feed_hash=self._network.feed_hash, heartbeat_s=HEARTBEAT_S
        )

    async def _answer_texts(self, request: web.Request) -> web.Response:
        return self._texts.answer(request, max_age_s=0)

    async def _answer_network(self, request: web.Request) -> web.Response:
        async with self._document_lock:
            if self._document is None:
                self._document = await asyncio.to_thread(_document_of, self._network)
        return self._document.answer(request, max_age_s=0)

    async def _answer_detours(self, request: web.Request) -> web.Response:
        return _json(DetourList(server_ms=self._clock.now_ms(), as_of_ms=self._as_of_ms, detours=self._detours.all()))

    async def _answer_vehicles(self, request: web.Request) -> web.Response:
        return _json(
            VehicleList(server_ms=self._clock.now_ms(), as_of_ms=self._as_of_ms, vehicles=self._fleet.vehicles())
        )

    async def _answer_vehicle(self, request: web.Request) -> web.Response:
        vehicle_id = request.match_info["vehicle_id"]
        vehicle = self._fleet.vehicle(vehicle_id)
        if vehicle is None:
            raise web.HTTPNotFound(text="no such vehicle on the map")
        return _json(VehicleAhead(server_ms=self._clock.now_ms(), vehicle=vehicle, ahead=self._fleet.ahead(vehicle_id)))


def _text(message: Message) -> str:
    return _encoder.encode(message).decode()


def _json(value: msgspec.Struct) -> web.Response:
    return web.Response(
        body=_encoder.encode(value), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _document_of(network: Network) -> Asset:
    return asset_of(network_document(network), "application/geo+json")
