"""How a validator's request comes in and how it is answered: a signed envelope, bounded; msgpack, never cached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import msgspec
from aiohttp import HttpVersion11, hdrs, web

from commons.logs import get_logger
from fare.validator.signing import Signed

BODY_MAX_BYTES: Final = 262_144
BODY_MAX_S: Final = 20.0
RETRY_AFTER_S: Final = "5"
MAY_I_SEND: Final = "100-continue"
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


async def left_to_handler(request: web.Request) -> None:
    """Leave it to the handler of a route to ``invite`` the body: this is what aiohttp calls before it.

    Raises:
        web.HTTPExpectationFailed: if something else is expected.
    """
    if request.headers[hdrs.EXPECT].lower() != MAY_I_SEND:
        raise web.HTTPExpectationFailed(text="only 100-continue can be expected")


def waits_for_invitation(request: web.Request) -> bool:
    """Return whether the client keeps the body until it is invited (RFC 9110, 10.1.1)."""
    return request.version >= HttpVersion11 and hdrs.EXPECT in request.headers


async def invite(request: web.Request) -> None:
    """Tell the client that the body may come."""
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer has not begun


async def body_of(request: web.Request) -> bytearray:
    """Return the body as it came, in one piece however it was cut: what is in it may wait for a better moment.

    Raises:
        web.HTTPRequestEntityTooLarge: if it is too long.
        web.HTTPRequestTimeout: if it comes too slowly.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_MAX_S):
            async for part in request.content.iter_any():
                body += part
                if len(body) > BODY_MAX_BYTES:
                    raise web.HTTPRequestEntityTooLarge(BODY_MAX_BYTES, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="too slow") from None
    return body


def envelope_in(body: bytearray) -> Signed:
    """Return the envelope in a body.

    Raises:
        web.HTTPBadRequest: if it is none.
    """
    try:
        return _envelopes.decode(body)
    except (msgspec.DecodeError, ValueError):
        raise web.HTTPBadRequest(text="no envelope") from None


def packed(body: bytes, *, status: int = 200) -> web.Response:
    """Return an answer that is msgpack already."""
    return web.Response(
        body=body, status=status, content_type="application/msgpack", headers={"Cache-Control": "no-store"}
    )
