"""Web: boards, map, index page, API, health and metrics in one HTTP application."""

import asyncio

from aiohttp import web

from ayaldama import web as pages
from ayaldama.health import Health
from ayaldama.http import application, serve_application
from ayaldama.roles._base import RoleContext, open_network, open_postgres, open_redis
from dispatch.accuracy_watch import AccuracyWatch
from dispatch.live import LiveMap
from stop_display.server import Boards
from transit.store.redis_state import StateReader


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
        if "boards" in context.roles:
            boards = Boards(network, state=state, clock=clock, metrics=metrics, settings=settings.for_boards)
            tasks.create_task(boards.run(context.stop), name="boards")
            routes += boards.routes()
        if "dispatch" in context.roles:
            live_map = LiveMap(network, state=state, clock=clock, metrics=metrics)
            tasks.create_task(live_map.run(context.stop), name="map")
            routes += live_map.routes()
            accuracy = AccuracyWatch(network, redis=redis, keys=keys, pool=pool, clock=clock, metrics=metrics)
            tasks.create_task(accuracy.run(context.stop), name="accuracy")
            routes += accuracy.routes()
        routes += pages.routes(network, redis=redis, keys=keys, clock=clock)
        health = Health(network, redis=redis, keys=keys, pool=pool, clock=clock)
        app = application(routes, health=health, metrics=metrics, settings=settings.web, sockets=context.sockets)
        async with serve_application(app, host=settings.web.host, port=settings.web.port) as port:
            context.ready({"web": port})
            await context.stop.wait()
