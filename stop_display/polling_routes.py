"""HTTP edge of boards that poll: what a stop's board shows now, and the search for stops."""

import hashlib
from typing import Final

import msgspec
from aiohttp import web

from commons.clock import Clock
from gtfs_data.calendar import utc_offset_s
from stop_display.http_edge import refused
from stop_display.hub import Hub
from stop_display.model import BoardAnswer, FoundStops
from stop_display.outcomes import Problem
from stop_display.search import StopSearch

FOUND_MAX: Final = 50
FOUND_DEFAULT: Final = 10
LIMIT_DIGITS_MAX: Final = 10
ETAG_DIGITS: Final = 20

_encoder: Final = msgspec.json.Encoder()


def polling_routes(hub: Hub, search: StopSearch, clock: Clock) -> list[web.RouteDef]:
    """Return ``GET /api/stops/{stop_id}/board`` and ``GET /api/stops``."""

    async def answer_board(request: web.Request) -> web.Response:
        stop_id = request.match_info["stop_id"]
        if not hub.knows(stop_id):
            return refused(404, Problem.UNKNOWN_STOP, "stop", stop_id, "no such stop in this city")
        now_ms = clock.now_ms()
        board = hub.board(stop_id, now_ms)
        etag = hashlib.sha256(_encoder.encode(board)).hexdigest()[:ETAG_DIGITS]
        answer = BoardAnswer(
            server_ms=now_ms,
            rate=clock.rate,
            time_zone=hub.network.time_zone,
            utc_offset_s=utc_offset_s(now_ms, hub.network.time_zone),
            as_of_ms=hub.as_of_ms,
            board=board,
        )
        headers = {"Cache-Control": "no-cache", "ETag": f'"{etag}"', "X-Server-Ms": str(now_ms)}
        if hub.as_of_ms is not None:
            headers["X-As-Of-Ms"] = str(hub.as_of_ms)
        if any(tag.value in {etag, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=_encoder.encode(answer), content_type="application/json", headers=headers)

    async def answer_stops(request: web.Request) -> web.Response:
        limit = request.query.get("limit", str(FOUND_DEFAULT))
        if not (limit.isdecimal() and len(limit) < LIMIT_DIGITS_MAX and 1 <= int(limit) <= FOUND_MAX):
            return refused(400, Problem.UNREADABLE, "limit", limit, f"a number from 1 to {FOUND_MAX}")
        found = FoundStops(stops=search.find(request.query.get("query", ""), int(limit)))
        return web.Response(
            body=_encoder.encode(found), content_type="application/json", headers={"Cache-Control": "no-cache"}
        )

    return [
        web.get("/api/stops/{stop_id}/board", answer_board),
        web.get("/api/stops", answer_stops),
    ]
