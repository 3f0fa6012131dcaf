"""Tracking: reports from Redis to positions and arrivals in Redis, passages to PostgreSQL."""

import functools

from ayaldama.roles._base import RoleContext, open_network, open_postgres, open_redis
from transit.service import restore_tracker, serve_tracking
from transit.tracking.tracker import Tracker


async def serve(context: RoleContext) -> None:
    """Track until ``context.stop``."""
    network = await open_network(context.settings)
    async with (
        open_redis(context.settings) as redis,
        open_postgres(context.settings) as history,
    ):
        restored = await restore_tracker(
            network,
            new=functools.partial(Tracker, network),
            restore=functools.partial(Tracker.restore, network),
            redis=redis,
            keys=context.keys,
            metrics=context.metrics,
        )
        context.ready({})
        await serve_tracking(
            tracker=restored.tracker,
            network=network,
            redis=redis,
            keys=context.keys,
            history=history,
            clock=context.clock,
            metrics=context.metrics,
            stop=context.stop,
            after=restored.after,
        )
