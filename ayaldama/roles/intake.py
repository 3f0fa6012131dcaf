"""Intake: trackers' reports into Redis."""

from ayaldama.roles._base import RoleContext, open_postgres, open_redis
from transit.intake.devices import open_devices
from transit.intake.serve import serve_intake


async def serve(context: RoleContext) -> None:
    """Run intake until ``context.stop``."""
    async with (
        open_redis(context.settings) as redis,
        open_postgres(context.settings, connections_max=2) as pool,
        open_devices(pool, context.metrics) as devices,
    ):
        await serve_intake(
            context.settings.for_intake,
            devices=devices,
            redis=redis,
            keys=context.keys,
            clock=context.clock,
            metrics=context.metrics,
            stop=context.stop,
            started=context.ready,
        )
