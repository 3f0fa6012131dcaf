"""Simulator: the demo's buses, which speak the real protocols to the real ports."""

from ayaldama.demo import folder_of, read_keys
from ayaldama.roles._base import RoleContext, RoleError, open_network, open_redis
from ayaldama.simulate.run import SimulatorSettings, serve_simulator


async def serve(context: RoleContext) -> None:
    """Drive the demo's buses until ``context.stop``."""
    settings = context.settings
    ports = settings.for_intake.ports
    missing = {"wialon_ips", "osmand"} - ports.keys()
    if missing:
        raise RoleError(f"intake.ports.{min(missing)} is off, but the demo's buses speak it")
    network = await open_network(settings)
    async with open_redis(settings) as redis:
        context.ready({})
        await serve_simulator(
            SimulatorSettings(
                buses=settings.demo.buses,
                seed=settings.demo.seed,
                started_ms=settings.clock.city_ms or context.clock.now_ms(),
                host=settings.intake.host,
                wialon_port=ports["wialon_ips"],
                osmand_port=ports["osmand"],
                boards_url=f"ws://{settings.web.host}:{settings.web.port}/board/ws",
                device_keys=read_keys(folder_of(settings) / "devices.json"),
            ),
            network=network,
            redis=redis,
            keys=context.keys,
            clock=context.clock,
            metrics=context.metrics,
            stop=context.stop,
        )
