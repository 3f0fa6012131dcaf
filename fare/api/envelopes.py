"""How a validator's request comes in and how it is answered: a signed envelope, bounded; msgpack, never cached."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import msgspec
from aiohttp import web

from commons.logs import get_logger
from fare.validator.signing import Signed

BODY_MAX_BYTES: Final = 262_144
BODY_MAX_S: Final = 20.0
RETRY_AFTER_S: Final = "5"
UNAVAILABLE: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)  # the database

_log = get_logger(__name__)
_envelopes: Final = msgspec.msgpack.Decoder(Signed)


@asynccontextmanager
async def available() -> AsyncIterator[None]:
    """Turn an absent database into 503: the device keeps what it has and comes again."""
    try:
        yield
    except UNAVAILABLE as error:
        _log.warning("validator not served", error=repr(error))
        raise come_again() from error


def come_again() -> web.HTTPServiceUnavailable:
    """Return the answer that asks a device to come again."""
    return web.HTTPServiceUnavailable(text="later", headers={"Retry-After": RETRY_AFTER_S})


async def body_of(request: web.Request) -> list[bytes]:
    """Return the body in the parts in which it came: to do no more with it may wait for a better moment.

    Raises:
        web.HTTPRequestEntityTooLarge: if it is too long.
        web.HTTPRequestTimeout: if it comes too slowly.
    """
    parts: list[bytes] = []
    came_bytes = 0
    try:
        async with asyncio.timeout(BODY_MAX_S):
            async for part in request.content.iter_any():
                parts.append(part)
                came_bytes += len(part)
                if came_bytes > BODY_MAX_BYTES:
                    raise web.HTTPRequestEntityTooLarge(BODY_MAX_BYTES, came_bytes)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="too slow") from None
    return parts


def envelope_in(body: Sequence[bytes]) -> Signed:
    """Return the envelope that came in these parts.

    Raises:
        web.HTTPBadRequest: if it is none.
    """
    try:
        return _envelopes.decode(b"".join(body))
    except (msgspec.DecodeError, ValueError):
        raise web.HTTPBadRequest(text="no envelope") from None


def packed(body: bytes, *, status: int = 200) -> web.Response:
    """Return an answer that is msgpack already."""
    return web.Response(
        body=body, status=status, content_type="application/msgpack", headers={"Cache-Control": "no-store"}
    )
