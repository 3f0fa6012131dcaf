"""Tracking: reports from Redis to positions and arrivals in Redis, passages to PostgreSQL."""

import asyncio
import datetime as dt
import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import cast
from zoneinfo import ZoneInfo

from ayaldama.roles._base import RoleContext, open_network, open_postgres, open_redis
from transit.service import School, restore_tracker, serve_tracking
from transit.store.travel_times import Trained, train_alone
from transit.tracking.tracker import Tracker
from transit.tracking.training import Beginnings, planned_beginnings


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
        tracker = cast("Tracker", restored.tracker)  # made by one of the two above
        train = functools.partial(
            _train_apart, context.settings.postgres_url, network.time_zone, planned_beginnings(network)
        )
        school = School(
            tracker.adopt,
            history=history,
            zone=ZoneInfo(network.time_zone),
            clock=context.clock,
            metrics=context.metrics,
            train=train,
        )
        context.ready({})
        await serve_tracking(
            tracker=tracker,
            network=network,
            redis=redis,
            keys=context.keys,
            history=history,
            clock=context.clock,
            metrics=context.metrics,
            stop=context.stop,
            after=restored.after,
            school=school,
        )


async def _train_apart(postgres_url: str, zone_name: str, planned: Beginnings, until: dt.date) -> Trained:
    """Train in a process that ends with it and gives its memory back."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as apart:
        return await asyncio.get_running_loop().run_in_executor(
            apart, train_alone, postgres_url, zone_name, planned, until
        )
