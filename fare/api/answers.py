"""How our pages' servers read a body, answer and refuse: bounded, never cached, an error as a key of the texts."""

import datetime as dt
import re
from typing import Final, TypeVar

import msgspec
from aiohttp import web

BODY_MAX_BYTES: Final = 65_536
NUL_IN_JSON: Final = rb"\u0000"  # no text of ours has one, and PostgreSQL stores none
FIRST_DAY: Final = dt.date(2000, 1, 1)  # before any fare of ours; what is derived of a day reaches back from it
LAST_DAY: Final = dt.date(2199, 12, 31)  # the calendar ends at 9999, and some sums look a few days ahead

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_encoder: Final = msgspec.json.Encoder()
Sent = TypeVar("Sent")


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not answered: a key of the texts, and when to come back."""

    error: str
    retry_s: int = 0


async def body(request: web.Request, kind: type[Sent], *, nul: bool = False) -> Sent:
    """Return what was sent. ``nul``: the caller looks for NULs in its texts itself.

    Raises:
        HTTPRequestEntityTooLarge, HTTPBadRequest: if it is too long, or no ``kind``.
    """
    raw = await request.content.read(BODY_MAX_BYTES + 1)
    if not nul and NUL_IN_JSON in raw:
        raise refused(web.HTTPBadRequest, "wrong_form")
    if len(raw) > BODY_MAX_BYTES:
        raise web.HTTPRequestEntityTooLarge(
            max_size=BODY_MAX_BYTES,
            actual_size=len(raw),
            text=_encoder.encode(Refused(error="too_long")).decode(),
            content_type="application/json",
        )
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise refused(web.HTTPBadRequest, "wrong_form") from error


def day_of(text: str) -> dt.date:
    """Return the day that a path or query names.

    Raises:
        HTTPBadRequest: if it is none, before ``FIRST_DAY`` or after ``LAST_DAY``.
    """
    try:
        day = dt.date.fromisoformat(text) if _DAY.fullmatch(text) else dt.date.min
    except ValueError:
        day = dt.date.min
    if not FIRST_DAY <= day <= LAST_DAY:
        raise refused(web.HTTPBadRequest, "wrong_days")
    return day


def refuse_nul(request: web.Request) -> None:
    """Refuse a path or query with a NUL in it, which no name of ours has and PostgreSQL takes for a fault of ours.

    Raises:
        HTTPBadRequest: if there is one.
    """
    if any("\0" in text for text in (*request.match_info.values(), *request.query.values())):
        raise refused(web.HTTPBadRequest, "wrong_form")


def answer(value: object) -> web.Response:
    """Return a value as JSON that nobody keeps."""
    return web.Response(body=_encoder.encode(value), content_type="application/json", headers=_kept_by_nobody())


def download(content: bytes, name: str, content_type: str) -> web.Response:
    """Return a file to be saved under ``name``, which is ASCII without quotes."""
    headers = _kept_by_nobody() | {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=content, content_type=content_type, headers=headers)


def refused(kind: type[web.HTTPException], error: str, *, retry_s: int = 0) -> web.HTTPException:
    """Return an answer that says why there is none."""
    headers = _kept_by_nobody() | ({"Retry-After": str(retry_s)} if retry_s else {})
    text = _encoder.encode(Refused(error=error, retry_s=retry_s)).decode()
    return kind(text=text, content_type="application/json", headers=headers)


def _kept_by_nobody() -> dict[str, str]:
    return {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
