"""HTTP server for one protocol: each request is checked, stored, then answered.

Every path is taken, since trackers are configured with all kinds. 503 says that Redis cannot take it now: the client
keeps the fix. TLS, where wanted, is ended by a proxy in front.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

from aiohttp import web

from commons.clock import monotonic_s
from commons.logs import get_logger
from transit.intake.devices import Device
from transit.intake.reception import Reception
from transit.protocols._base import Answer, BadRequest, Claim, HttpProtocol, Refusal, Request, RequestDecoder

BODY_MAX_S: Final = 10.0
SWEEP_S: Final = 5.0
QUERY_MAX: Final = 4_096
BACKLOG: Final = 1_024
HEADERS: Final = ("content-type", "authorization")  # all that a protocol may ask for

_log = get_logger(__name__)
_BUSY: Final = Answer(status=503, text="cannot be stored now, send again", headers={"Retry-After": "5"})


class HttpServer:
    """All requests of one protocol."""

    def __init__(self, protocol: HttpProtocol, reception: Reception) -> None:
        self._protocol = protocol.name
        self._decoder: RequestDecoder = protocol.new_decoder()
        self._reception = reception
        self._heard_s: dict[object, float] = {}  # connection → last request

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; an error of ours is 500, counted, and leaves the fix with its sender."""
        self._heard_s[request.protocol] = monotonic_s()
        try:
            answer = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - top of a request
            self._reception.metrics.count("role_errors_total", role="intake", where="request")
            _log.error("request failed", protocol=self._protocol, error=repr(error))
            answer = Answer(status=500, text="error")
        headers = {"Server": "ayaldama", **answer.headers}  # not which version of what
        return web.Response(status=answer.status, text=answer.text or None, headers=headers)

    async def sweep(self, server: web.Server) -> None:
        """End connections without a request for long, for ever; there are at most ``connections_max`` new ones."""
        settings = self._reception.settings
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = monotonic_s()
            connections = list(server.connections)
            self._heard_s = {connection: self._heard_s.get(connection, now_s) for connection in connections}
            for connection in connections:
                if now_s - self._heard_s[connection] > settings.sign_in_s:
                    connection.force_close()
            self._reception.metrics.set("intake_connections", len(connections), protocol=self._protocol)

    async def _answer(self, request: web.BaseRequest) -> Answer:
        body = await self._body(request)
        if body is None or len(request.rel_url.raw_query_string) > QUERY_MAX:
            self._reception.count_refused(self._protocol, (Refusal.STRUCTURE,))
            return Answer(status=413, text=f"the body may have {self._reception.settings.http_body_max} bytes")
        claim = self._decoder.read(
            Request(
                method=request.method,
                query=request.rel_url.raw_query_string,
                headers={name: request.headers[name] for name in HEADERS if name in request.headers},
                body=body,
            )
        )
        if isinstance(claim, BadRequest):
            self._reception.count_refused(self._protocol, (claim.refusal,))
            return claim.answer
        found, too_often = self._reception.sign_in(self._protocol, claim.sign_in, request.remote or "")
        if not isinstance(found, Device):
            return self._decoder.refused(Refusal.TOO_MANY if too_often else found)
        return await self._store(found, claim)

    async def _store(self, device: Device, claim: Claim) -> Answer:
        reception = self._reception
        if claim.refused:
            reception.count_refused(self._protocol, claim.refused)
        if not claim.fixes:
            return self._decoder.stored()
        if reception.ahead_s(device, len(claim.fixes)):
            reception.give_back(device, len(claim.fixes))
            reception.count_refused(self._protocol, [Refusal.TOO_MANY] * len(claim.fixes))
            return self._decoder.refused(Refusal.TOO_MANY)
        try:
            async with asyncio.timeout(reception.settings.http_store_s):
                await reception.store(self._protocol, device, claim.fixes, reception.now_ms())
        except Exception as error:  # noqa: BLE001 - whatever kept Redis from taking it, the client must keep it
            reception.metrics.count("role_errors_total", role="intake", where="request_store")
            _log.warning("not stored", protocol=self._protocol, device=device.device_id, error=repr(error))
            return _BUSY
        return self._decoder.stored()

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        """Return the body, None if it is too long or too slow."""
        if not request.body_exists:
            return b""
        limit = self._reception.settings.http_body_max
        if (request.content_length or 0) > limit:
            return None
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_MAX_S):
                async for part in request.content.iter_any():
                    size += len(part)
                    if size > limit:
                        return None
                    parts.append(part)
        except TimeoutError:
            return None
        return b"".join(parts)


class _TooMany(asyncio.Protocol):
    """A connection that there is no room for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """End it at once."""
        cast("asyncio.Transport", transport).abort()


@asynccontextmanager
async def serve_http(protocol: HttpProtocol, port: int, reception: Reception) -> AsyncIterator[int]:
    """Serve ``protocol`` while the block runs; gives the port. At the end, requests under way are answered.

    Raises:
        OSError: if the port cannot be had.
    """
    settings = reception.settings
    requests = HttpServer(protocol, reception)
    server = web.Server(requests.answer, access_log=None)

    def new_connection() -> asyncio.Protocol:
        if len(server.connections) < settings.connections_max:
            return server()
        reception.count_refused(protocol.name, (Refusal.TOO_MANY,))
        return _TooMany()

    listener = await asyncio.get_running_loop().create_server(
        new_connection, settings.host, port, backlog=BACKLOG, reuse_address=True
    )
    async with asyncio.TaskGroup() as tasks:
        sweeper = tasks.create_task(requests.sweep(server), name=f"{protocol.name} sweep")
        try:
            yield int(listener.sockets[0].getsockname()[1])
        finally:
            sweeper.cancel()
            listener.close()
            for _ in range(2):  # connections just accepted begin to wait for their request, else nothing ends that wait
                await asyncio.sleep(0)
            server.pre_shutdown()
            await server.shutdown(settings.closing_s)
