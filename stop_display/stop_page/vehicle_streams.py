"""Where the buses of a stop's board are, told live: one stream of server-sent events for each phone that looks.

A stop that somebody looks at is looked up once a second, whoever looks; a phone that takes its events slowly skips
some. Deadlines are wall seconds.
"""

import asyncio
import collections
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiohttp import web

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from stop_display.hub import Hub
from stop_display.stop_page.coming import coming_vehicles
from stop_display.stop_page.model import ComingVehicles

TICK_S: Final = 1.0
STILL_THERE_S: Final = 10.0  # without news, so that both ends know of each other
SEND_MAX_S: Final = 10.0
STREAMS_MAX: Final = 5_000
STREAMS_PER_ADDRESS_MAX: Final = 300  # a mobile operator has many telephones behind one
AGAIN_MS: Final = 3_000  # after which a browser asks again

HEADERS: Final = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # a proxy would hold events back
)

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


@dataclass(slots=True, eq=False)
class _Watched:
    """One stop, its latest event, and who waits for the next."""

    watchers: int = 0
    told: ComingVehicles | None = None
    event: bytes = b""
    quiet_s: float = 0.0
    news: asyncio.Event = field(default_factory=asyncio.Event)


class VehicleStreams:
    """Run ``run`` for as long as ``answer_stream`` is served."""

    def __init__(self, hub: Hub, *, clock: Clock, metrics: Metrics, address_of: Callable[[web.Request], str]) -> None:
        self._hub = hub
        self._address_of = address_of
        self._clock = clock
        self._metrics = metrics
        self._watched: dict[str, _Watched] = {}
        self._streams: collections.Counter[str] = collections.Counter()  # by address
        self._ended = asyncio.Event()
        self._first = asyncio.Lock()

    def now(self, stop_id: str) -> ComingVehicles:
        """Return where the vehicles of a stop's board are. The network must know the stop."""
        now_ms = self._clock.now_ms()
        board = self._hub.board(stop_id, now_ms)
        return ComingVehicles(
            server_ms=now_ms,
            as_of_ms=self._hub.as_of_ms,
            vehicles=coming_vehicles(self._hub.network, board, self._hub.vehicle),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Look where the vehicles of watched stops are, until ``stop``; then end all streams."""
        while not stop.is_set():
            for stop_id, watched in list(self._watched.items()):
                try:
                    self._look(stop_id, watched)
                except Exception as error:  # noqa: BLE001 - one stop must not keep the others waiting
                    self._metrics.count("role_errors_total", role="boards", where="vehicles")
                    _log.exception("vehicles of a stop could not be told", stop=stop_id, error=repr(error))
                await asyncio.sleep(0)  # a stop at which no board looks takes milliseconds: boards come in between
            try:
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
            except TimeoutError:
                pass
        self._ended.set()
        for watched in self._watched.values():
            watched.news.set()

    def _look(self, stop_id: str, watched: _Watched) -> None:
        told = self.now(stop_id)
        watched.quiet_s += TICK_S
        if watched.told is not None and told.vehicles == watched.told.vehicles and watched.quiet_s < STILL_THERE_S:
            return
        watched.told, watched.quiet_s = told, 0.0
        watched.event = b"data: " + _encoder.encode(told) + b"\n\n"
        news, watched.news = watched.news, asyncio.Event()
        news.set()

    async def answer_stream(self, request: web.Request, stop_id: str) -> web.StreamResponse:
        """Answer with the stream of a stop that the network knows."""
        address = self._address_of(request)
        if self._streams.total() >= STREAMS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{STREAMS_MAX} maps of stops are open already\n")
        if self._streams[address] >= STREAMS_PER_ADDRESS_MAX:
            raise web.HTTPTooManyRequests(text=f"{STREAMS_PER_ADDRESS_MAX} maps are open at this address already\n")
        response = web.StreamResponse(headers=dict(HEADERS))
        await response.prepare(request)
        watched = self._watched.setdefault(stop_id, _Watched())
        watched.watchers += 1
        self._count(address, 1)
        try:
            await self._tell(response, watched, stop_id)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._count(address, -1)
            watched.watchers -= 1
            if watched.watchers == 0:
                del self._watched[stop_id]
        return response

    async def _tell(self, response: web.StreamResponse, watched: _Watched, stop_id: str) -> None:
        async with self._first:  # one after the other, however many open a map at once
            first = watched.event or b"data: " + _encoder.encode(self.now(stop_id)) + b"\n\n"
            news = watched.news
            await asyncio.sleep(0)
        await _send(response, b"retry: %d\n" % AGAIN_MS + first)
        while True:
            await news.wait()
            if self._ended.is_set():
                return
            news = watched.news  # before sending, which lets others work
            await _send(response, watched.event)

    def _count(self, address: str, more: int) -> None:
        self._streams[address] += more
        if self._streams[address] == 0:
            del self._streams[address]
        self._metrics.set("stop_page_streams", self._streams.total())


async def _send(response: web.StreamResponse, event: bytes) -> None:
    async with asyncio.timeout(SEND_MAX_S):
        await response.write(event)
