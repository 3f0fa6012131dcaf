"""Simulator: the demo's buses, which speak the real protocols to the real ports."""

from typing import Final

from ayaldama.demo import folder_of, free_or, read_keys
from ayaldama.demo_fares import fares_folder, read_codes, read_demo_fares
from ayaldama.roles._base import RoleContext, RoleError, open_network, open_redis
from ayaldama.simulate.run import SimulatorSettings, serve_simulator
from ayaldama.simulate.validators import ValidatorsSettings

SCREEN_PORT: Final = 8090


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
                passengers=settings.demo.passengers,
                validators=ValidatorsSettings(
                    folder=fares_folder(settings) / "validators",
                    server=f"http://{settings.fare.host}:{settings.fare.port}",
                    codes=read_codes(settings),
                    screen_vehicle="",
                    screen_host=settings.web.host,
                    screen_port=free_or(SCREEN_PORT, settings.web.host),
                ),
                fares=read_demo_fares(settings),
                fare_port=settings.fare.port,
                sms_port=settings.demo.sms_port if settings.sms.gateways is not None else 0,
            ),
            network=network,
            redis=redis,
            keys=context.keys,
            clock=context.clock,
            metrics=context.metrics,
            stop=context.stop,
        )
