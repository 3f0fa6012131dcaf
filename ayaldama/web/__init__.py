"""The front door: index page, figures of the demo, and the browser files that everything else uses.

The page speaks kk, ru and en; its look is ``/static/design.css``, shared with the map.
"""

from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ayaldama.web.city import city_of
from ayaldama.web.vendor import INSTALLED, vendor_routes
from commons.assets import asset_of, asset_route
from commons.clock import Clock
from commons.texts import load_catalogue
from fare.keys import FareKeys
from gtfs_data.network import Network
from transit.keys import Keys

HERE: Final = Path(__file__).parent


class DemoAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/demo``: the simulator's figures as it wrote them, None when no simulator runs.

    The page shows of ``figures`` what is there: ``as_of_ms``, ``buses``, ``positions_per_s``, ``mae_s_by_horizon``
    (minutes ahead → seconds), ``within_bounds_pct``, ``fix_to_board_ms`` (``p50``, ``p99``), and ``guest`` (``port``,
    ``device_id``, ``key`` of a device whose key is no secret, for the example with curl).
    """

    server_ms: int
    rate: float
    figures: msgspec.Raw | None
    fares: msgspec.Raw | None  # what the fare role has done lately, None where it does not run


def routes(
    network: Network,
    *,
    redis: "Redis",
    keys: Keys,
    clock: Clock,
    installed: Path = INSTALLED,
) -> list[web.RouteDef]:
    """Return the routes of the index page, ``/api/city``, ``/api/demo`` and ``/vendor/…``."""
    city = asset_of(msgspec.json.encode(city_of(network)), "application/json")
    catalogue = {language: dict(texts) for language, texts in load_catalogue("ayaldama.web").items()}
    texts = asset_of(msgspec.json.encode(catalogue), "application/json")

    async def answer_city(request: web.Request) -> web.Response:
        return city.answer(request, max_age_s=0)

    async def answer_texts(request: web.Request) -> web.Response:
        return texts.answer(request, max_age_s=0)

    async def answer_demo(request: web.Request) -> web.Response:
        try:
            figures, fares = await redis.mget(keys.demo, FareKeys(keys.city).figures)
        except RedisError:
            figures = fares = None  # the page says that there are no figures; the servers' health is told by /readyz
        answer = DemoAnswer(
            server_ms=clock.now_ms(),
            rate=clock.rate,
            figures=msgspec.Raw(figures) if figures else None,
            fares=msgspec.Raw(fares) if fares else None,
        )
        return web.Response(
            body=msgspec.json.encode(answer), content_type="application/json", headers={"Cache-Control": "no-store"}
        )

    return [
        asset_route("/", HERE / "index.html"),
        asset_route("/static/index/index.css", HERE / "index.css"),
        asset_route("/static/index/index.js", HERE / "index.js"),
        web.get("/static/index/texts.json", answer_texts),
        web.get("/api/city", answer_city),
        web.get("/api/demo", answer_demo),
        *vendor_routes(installed),
    ]
