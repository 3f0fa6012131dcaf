"""Web: boards, map, index page, API, health and metrics in one HTTP application."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import asyncpg
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ayaldama import web as pages
from ayaldama.health import Health
from ayaldama.http import RequestLimit, address_of, application, serve_application
from ayaldama.openapi_web import OPERATIONS
from ayaldama.roles._base import RoleContext, open_network, open_postgres, open_redis
from commons.logs import get_logger
from commons.metrics import Metrics
from dispatch.accuracy_watch import AccuracyWatch
from dispatch.live import LiveMap
from stop_display.server import Boards
from stop_display.stop_page.report_desk import ReportDesk
from stop_display.stop_page.report_store import ReportStore
from stop_display.stop_page.routes import StopPages
from transit.keys import Keys
from transit.store.redis_occupancy import read_loads
from transit.store.redis_state import StateReader

OCCUPANCY_S: Final = 4.0
# A mobile operator has thousands of telephones behind one address.
REPORTS_PER_ADDRESS_PER_S: Final = 1 / 60
REPORTS_PER_ADDRESS_BURST: Final = 10
REPORTS_PER_S: Final = 1 / 5
REPORTS_BURST: Final = 200

_log = get_logger(__name__)


async def serve(context: RoleContext) -> None:
    """Serve boards, map or both until ``context.stop``; connections end before the state they show."""
    settings, keys, clock, metrics = context.settings, context.keys, context.clock, context.metrics
    network = await open_network(settings)
    async with (
        open_redis(settings) as redis,
        open_postgres(settings, connections_max=4) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        state = StateReader(redis, keys)
        routes: list[web.RouteDef] = []
        filled: list[Callable[[Mapping[str, str]], None]] = []
        if "boards" in context.roles:
            boards = Boards(network, state=state, clock=clock, metrics=metrics, settings=settings.for_boards)
            tasks.create_task(boards.run(context.stop), name="boards")
            routes += boards.routes()
            filled.append(boards.fill)
            stop_pages = _stop_pages(context, boards, pool)
            tasks.create_task(stop_pages.run(context.stop), name="stop-pages")
            routes += stop_pages.routes()
        if "dispatch" in context.roles:
            live_map = LiveMap(network, state=state, clock=clock, metrics=metrics)
            tasks.create_task(live_map.run(context.stop), name="map")
            routes += live_map.routes()
            filled.append(live_map.fill)
            accuracy = AccuracyWatch(network, redis=redis, keys=keys, pool=pool, clock=clock, metrics=metrics)
            tasks.create_task(accuracy.run(context.stop), name="accuracy")
            routes += accuracy.routes()
        telling = tasks.create_task(_fill(redis, keys, filled, metrics), name="occupancy")
        routes += pages.routes(network, redis=redis, keys=keys, clock=clock)
        health = Health(network, redis=redis, keys=keys, pool=pool, clock=clock)
        app = application(
            routes, OPERATIONS, health=health, metrics=metrics, settings=settings.web, sockets=context.sockets
        )
        async with serve_application(app, host=settings.web.host, port=settings.web.port) as port:
            context.ready({"web": port})
            await context.stop.wait()
            telling.cancel()


def _stop_pages(context: RoleContext, boards: Boards, pool: asyncpg.Pool) -> StopPages:
    settings, clock, metrics = context.settings, context.clock, context.metrics
    from_where = functools.partial(address_of, behind_proxy=settings.web.behind_proxy)
    reports = ReportDesk(
        boards.hub,
        ReportStore(pool, boards.hub.network.time_zone),
        clock=clock,
        metrics=metrics,
        by_address=RequestLimit(per_s=REPORTS_PER_ADDRESS_PER_S, burst=REPORTS_PER_ADDRESS_BURST),
        by_city=RequestLimit(per_s=REPORTS_PER_S, burst=REPORTS_BURST),
        address_of=from_where,
    )
    return StopPages(
        boards.hub,
        boards.search,
        reports=reports,
        clock=clock,
        metrics=metrics,
        settings=settings.for_stop_pages,
        address_of=from_where,
    )


async def _fill(
    redis: Redis, keys: Keys, filled: Sequence[Callable[[Mapping[str, str]], None]], metrics: Metrics
) -> None:
    """Tell maps and boards how full vehicles are, every few seconds. For ever."""
    while True:
        try:
            occupancy = {load.vehicle_id: load.status for load in await read_loads(redis, keys) if load.run_key}
        except (RedisError, OSError) as error:
            metrics.count("role_errors_total", role="web", where="occupancy")
            _log.warning("occupancy waits for Redis", error=repr(error))
        else:
            for fill in filled:
                fill(occupancy)
        await asyncio.sleep(OCCUPANCY_S)
