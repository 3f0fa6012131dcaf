"""One HTTP application out of the rooms' routes: limits, headers, health, metrics, description.

Every answer carries the security headers; the public API is limited per client address and compressed. TLS is ended by
a proxy in front, which is also where static files may be cached.
"""

import asyncio
import collections
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec
from aiohttp import hdrs, web

from ayaldama.exposition import expositions
from ayaldama.openapi import Operation, describe
from ayaldama.settings import Web
from commons.assets import COMPRESSED_ALREADY
from commons.clock import monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics

BODY_MAX_BYTES: Final = 65_536
COMPRESS_FROM_BYTES: Final = 1_024
NOT_COMPRESSED: Final = COMPRESSED_ALREADY | {"audio/wav"}  # speech is large, and saves little
ADDRESSES_MAX: Final = 20_000
KEEP_ALIVE_S: Final = 75.0
CLOSING_S: Final = 3.0
BACKLOG: Final = 1_024

CONTENT_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",  # the map draws its symbols
        "worker-src 'self' blob:",
        "connect-src 'self' ws: wss:",  # old browsers do not count WebSockets as 'self'
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
HEADERS: Final = (
    ("Content-Security-Policy", CONTENT_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), payment=(), usb=(), geolocation=(self)"),
)


class Readiness(Protocol):
    """An answer of ``/readyz``: a struct that says at least whether all is well."""

    @property
    def ok(self) -> bool:
        """Whether all is well."""


class Asked(Protocol):
    """Who knows whether a process is well."""

    async def readiness(self) -> Readiness:
        """Return how each part is."""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = get_logger(__name__)


class RequestLimit:
    """A bucket of requests per client address: filled at ``per_s``, at most ``burst``."""

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """Take one request of ``address``; return 0, or how many seconds it comes too early."""
        held, since_s = self._buckets.pop(address, (float(self._burst), now_s))
        held = min(held + (now_s - since_s) * self._per_s, self._burst)
        allowed = held >= 1
        self._buckets[address] = (held - 1 if allowed else held, now_s)
        if len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - held) / self._per_s


def application(
    routes: Iterable[web.RouteDef],
    operations: Iterable[Operation],
    *,
    health: Asked,
    metrics: Metrics,
    settings: Web,
    sockets: Path | None,
    role: str = "web",
) -> web.Application:
    """Return the application that serves ``routes`` and what every process of ours shows beside them.

    ``operations`` describe the routes below ``/api/``. ``sockets``: folder in which the other processes of this machine
    show their metrics.

    Raises:
        ValueError: if a route below ``/api/`` is not described.
    """
    limit = RequestLimit(per_s=settings.requests_per_s, burst=settings.requests_burst)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        status = 500
        try:
            response = await _limited(request, handler, limit, behind_proxy=settings.behind_proxy)
            status = response.status
        except web.HTTPException as answer:
            status = answer.status
            raise
        except ConnectionError:
            status = 499  # the client went away; there is nobody to answer
            raise
        except Exception as error:
            metrics.count("role_errors_total", role=role, where="request")
            _log.exception("request failed", route=_route_of(request), error=repr(error))
            raise web.HTTPInternalServerError(text="error") from error
        finally:
            metrics.count("http_requests_total", route=_route_of(request), status=str(status))
        return response

    async def live(request: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers={hdrs.CACHE_CONTROL: "no-store"})

    async def ready(request: web.Request) -> web.Response:
        readiness = await health.readiness()
        return _json(msgspec.json.encode(readiness), status=200 if readiness.ok else 503)

    async def show_metrics(request: web.Request) -> web.Response:
        body = await expositions(metrics, sockets, name=role)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4; charset=utf-8"})

    async def show_description(request: web.Request) -> web.Response:
        return _json(description)

    app = web.Application(middlewares=[guard], client_max_size=BODY_MAX_BYTES)
    app.on_response_prepare.append(_add_headers)
    served = [
        *routes,
        web.get("/healthz", live),
        web.get("/readyz", ready),
        web.get("/metrics", show_metrics),
        web.get("/openapi.json", show_description),
    ]
    description = msgspec.json.encode(describe(operations, served))
    app.add_routes(served)
    return app


@asynccontextmanager
async def serve_application(app: web.Application, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve ``app`` while the block runs; gives the port.

    Raises:
        OSError: if the port cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=CLOSING_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=BACKLOG, reuse_address=True)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        async with asyncio.timeout(2 * CLOSING_S):
            await runner.cleanup()


async def _limited(
    request: web.Request, handler: Handler, limit: RequestLimit, *, behind_proxy: bool
) -> web.StreamResponse:
    if not request.path.startswith("/api/"):
        return await handler(request)
    wait_s = limit.wait_s(address_of(request, behind_proxy=behind_proxy), monotonic_s())
    if wait_s > 0:
        raise web.HTTPTooManyRequests(text="too many requests\n", headers={hdrs.RETRY_AFTER: str(int(wait_s) + 1)})
    response = await handler(request)
    if (
        isinstance(response, web.Response)
        and hdrs.CONTENT_ENCODING not in response.headers
        and response.content_type not in NOT_COMPRESSED
        and isinstance(response.body, bytes)
        and len(response.body) >= COMPRESS_FROM_BYTES
    ):
        response.enable_compression()
        response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
    return response


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS:
        response.headers.setdefault(name, value)
    response.headers.popall(hdrs.SERVER, None)  # which library serves, nobody needs to know


def address_of(request: web.Request, *, behind_proxy: bool) -> str:
    """Return the client's address, as far as it can be believed."""
    if behind_proxy:
        forwarded = request.headers.get(hdrs.X_FORWARDED_FOR, "")
        last = forwarded.rpartition(",")[2].strip()  # what the proxy itself saw; the rest may be invented
        if last:
            return last
    return request.remote or ""


def _route_of(request: web.Request) -> str:
    """Return the pattern of the route, never the path: labels must stay few."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _json(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(
        body=body, status=status, content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"}
    )
