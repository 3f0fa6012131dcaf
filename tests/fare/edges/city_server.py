"""The server that validators talk to, as a process: its API, the intake of taps, and PostgreSQL beside it.

python -m tests.fare.edges.city_server POSTGRES_URL PORT
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence

import asyncpg
import uvloop
from aiohttp import web

from ayaldama.http import serve_application
from ayaldama.simulate.places import ToldPlaces
from commons.clock import SystemClock
from commons.logs import configure_logs
from commons.metrics import Metrics
from commons.migrate import migrate
from fare.api.devices import Devices, Surroundings
from fare.model import LocatedTap, MediumId, Profile
from fare.service import open_taps
from fare.store.postgres_devices import PostgresDevices
from fare.taking import TapTaking
from fare.validator.signing import SigningKey
from tests.notation.rides import SmallTariff

CITY = "kzo"
PLACES = ToldPlaces()
KEY = SigningKey.from_bytes(b"a city's key for tests, 32 bytes")


async def told(taps: Sequence[LocatedTap]) -> None:
    """Nobody counts who is aboard."""


async def nobody(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
    return {}


async def serve(url: str, port: int) -> None:
    async with asyncpg.create_pool(url, min_size=2, max_size=10) as pool:
        await migrate(pool, "fare.store")
        clock, metrics = SystemClock(), Metrics()
        async with open_taps(pool, pricing=SmallTariff(), profiles=nobody, quiet_s=0.1) as intake:
            taking = TapTaking(intake=intake, locating=PLACES, told=told, clock=clock, metrics=metrics)
            devices = Devices(
                PostgresDevices(pool, CITY),
                city=CITY,
                key=KEY,
                clock=clock,
                metrics=metrics,
                surroundings=Surroundings(take_taps=taking.take, record=taking.record),
            )
            application = web.Application()
            application.add_routes(devices.routes())
            async with serve_application(application, host="127.0.0.1", port=port) as bound, devices.running():
                print(bound, flush=True)  # noqa: T201 - whom the test waits for
                await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logs("city", level="CRITICAL")
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
