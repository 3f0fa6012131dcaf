"""What the HTTP edges of boards share: reading a body, refusing a request, the address by which we were asked."""

import asyncio
import re
from typing import Final

import msgspec
from aiohttp import web

from stop_display.model import Refusal, quoted

HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")

_encoder: Final = msgspec.json.Encoder()


class BodyError(ValueError):
    """A body that is not taken: how much of it came, and the rule."""

    def __init__(self, value: str, rule: str) -> None:
        super().__init__(f"body: {rule}")
        self.value, self.rule = value, rule


async def read_body(request: web.Request, *, bytes_max: int, within_s: float) -> bytes:
    """Return all of a request's body, in however many pieces it comes.

    Raises:
        BodyError: if it is longer than ``bytes_max``, or has not come within ``within_s`` seconds of the wall.
    """
    if (request.content_length or 0) > bytes_max:
        raise BodyError(f"{request.content_length} bytes", f"must be at most {bytes_max} bytes")
    body = b""
    try:
        async with asyncio.timeout(within_s):
            while len(body) <= bytes_max and not request.content.at_eof():
                body += await request.content.read(bytes_max + 1 - len(body))
    except TimeoutError as error:
        raise BodyError("", f"must come within {within_s:.0f} s") from error
    if len(body) > bytes_max:
        raise BodyError(f"{len(body)} bytes and more", f"must be at most {bytes_max} bytes")
    return body


def refused(status: int, code: str, name: str, value: str, rule: str) -> web.Response:
    """Return an answer that names what is wrong with a request."""
    said = Refusal(code=code, field=name, value=quoted(value), rule=rule)
    return web.Response(
        status=status,
        body=_encoder.encode(said),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def address_asked(request: web.Request) -> str:
    """Return the address by which the asker reaches us, ``https://host:port``, "" if it does not say so clearly.

    A proxy that ends TLS says so in ``X-Forwarded-Proto``; whoever invents that misleads nobody but himself.
    """
    host = request.headers.get("Host", "")
    scheme = "https" if request.headers.get("X-Forwarded-Proto") == "https" else request.scheme
    return f"{scheme}://{host}" if HOST.fullmatch(host) else ""
