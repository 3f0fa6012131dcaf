"""HTTP edge of what boards keep for a time without a network: the timetable of a stop, and the service worker."""

from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from commons.assets import asset_of, asset_route
from commons.clock import Clock
from stop_display.http_edge import refused
from stop_display.outcomes import Problem
from stop_display.plan import Plan
from stop_display.squeeze import squeezed
from stop_display.timetable import date_asked, timetable_of

WORKER: Final = Path(__file__).parent / "web" / "worker.js"
_encoder: Final = msgspec.json.Encoder()


def timetable_routes(plan: Plan, clock: Clock) -> list[web.RouteDef]:
    """Return ``GET /api/stops/{stop_id}/timetable`` and the worker, at the root so that it may serve all boards."""

    async def answer_timetable(request: web.Request) -> web.Response:
        stop_id, asked = request.match_info["stop_id"], request.query.get("date", "")
        network = plan.network
        stop = network.stop_by_id.get(stop_id)
        if stop is None:
            return refused(404, Problem.UNKNOWN_STOP, "stop", stop_id, "no such stop in this city")
        try:
            date = date_asked(asked, clock.now_ms(), network.time_zone)
        except ValueError as error:
            return refused(400, Problem.UNREADABLE, "date", asked, str(error))
        body = _encoder.encode(timetable_of(plan, stop, date))
        return asset_of(body, "application/json").answer(request, max_age_s=0)

    return [
        web.get("/api/stops/{stop_id}/timetable", answer_timetable),
        asset_route("/board-worker.js", WORKER, prepare=squeezed(WORKER.name)),
    ]
