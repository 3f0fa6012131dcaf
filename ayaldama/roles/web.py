"""Web: boards, map, index page, API, health and metrics in one HTTP application."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ayaldama import web as pages
from ayaldama.fares import city_key_path, seed_key_of
from ayaldama.health import Health
from ayaldama.http import address_of, application, serve_application
from ayaldama.openapi_web import OPERATIONS
from ayaldama.roles._base import RoleContext, RoleError, end_tasks, open_network, open_postgres, open_redis
from ayaldama.settings import Settings
from ayaldama.staff import fleet_routes
from ayaldama.stop_pages import stop_pages_of
from commons.logs import get_logger
from commons.metrics import Metrics
from dispatch.accuracy_watch import AccuracyWatch
from dispatch.live import LiveMap
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.postgres_people import PostgresPeople
from fare.store.sealed_seeds import SeedKey
from stop_display.abbreviations import TableError
from stop_display.panels.desk import PanelDesk
from stop_display.panels.routes import version_of
from stop_display.server import PAGE_FILES, WEB, Boards
from transit.keys import Keys
from transit.store.redis_notices import NoticesStore, follow_notices
from transit.store.redis_occupancy import read_loads
from transit.store.redis_state import StateReader

OCCUPANCY_S: Final = 4.0

_log = get_logger(__name__)


async def serve(context: RoleContext) -> None:
    """Serve boards, map or both until ``context.stop``; connections end before the state they show."""
    settings, keys, clock, metrics = context.settings, context.keys, context.clock, context.metrics
    network = await open_network(settings)
    address = functools.partial(address_of, behind_proxy=settings.web.behind_proxy)
    async with (
        open_redis(settings) as redis,
        open_postgres(settings, connections_max=6) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        state = StateReader(redis, keys)
        routes: list[web.RouteDef] = []
        filled: list[Callable[[Mapping[str, str]], None]] = []
        if "boards" in context.roles:
            version = version_of(WEB / name for name in (*PAGE_FILES, "board.html"))
            desk = PanelDesk(pool, time_zone=network.time_zone, version=version, clock=clock, metrics=metrics)
            await desk.load()
            tasks.create_task(desk.run(context.stop), name="panels")
            try:
                boards = Boards(
                    network,
                    state=state,
                    clock=clock,
                    metrics=metrics,
                    settings=settings.for_boards,
                    panels=desk,
                    address_of=address,
                )
            except TableError as error:
                raise RoleError(f"boards.abbreviations: {error}") from error
            tasks.create_task(boards.run(context.stop), name="boards")
            routes += boards.routes()
            people = PostgresPeople(pool, _seed_key(settings))
            routes += fleet_routes(
                boards, desk, network, version=version, people=people, clock=clock, address_of=address
            )
            filled.append(boards.fill)
            tasks.create_task(_heed(boards, NoticesStore(redis, keys), context), name="notices")
            stop_pages = stop_pages_of(boards, pool, settings, clock=clock, metrics=metrics)
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


def _seed_key(settings: Settings) -> SeedKey:
    try:
        return seed_key_of(open_city_key(city_key_path(settings)))
    except CityKeyError as error:
        raise RoleError(str(error)) from error


async def _heed(boards: Boards, store: NoticesStore, context: RoleContext) -> None:
    """Tell boards what dispatchers say, until ``stop``."""
    following = asyncio.create_task(_follow(boards, store, context.metrics), name="notices-follow")
    stopping = asyncio.create_task(context.stop.wait(), name="notices-stop")
    await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if following.done():
        following.result()  # it never ends by itself: what went wrong ends the role, which is then started again
    await end_tasks([following])


async def _follow(boards: Boards, store: NoticesStore, metrics: Metrics) -> None:
    async for notices in follow_notices(store, metrics, role="boards"):
        boards.heed(notices)


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
