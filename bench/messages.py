"""Messages a second that are answered, once all that they cost is on disk, beside the disk's own flush.

    python bench/messages.py [--per-second 100] [--seconds 10] [--charged 0.5]

Riders send the number of a bus, each from a phone of their own, at a steady rate whether earlier ones are answered or
not. A share of them has nothing in the wallet, so a simulated mobile operator charges them over HTTP, signed, in this
process. Each message is kept, priced by a small tariff, sold, posted and answered in durable transactions of an
embedded PostgreSQL. What SMPP or a gateway adds on the way is not in it.
CPU is that of this process, operator included, and of the server, for each message.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import psutil
import uvloop
from aiohttp.test_utils import TestServer
from postgres_floors import flush_ms
from small_tariff import ADULT, SmallTariff

from ayaldama.embedded import open_home, start_postgres
from ayaldama.simulate.operator import SimulatedOperator
from ayaldama.simulate.places import ToldPlaces
from commons.clock import SystemClock
from commons.logs import configure_logs
from commons.metrics import Metrics
from commons.migrate import migrate
from commons.texts import Language, load_catalogue
from fare.buying import BuyingRules, open_buying
from fare.gateways.operator_charging import OperatorHttpSettings, open_operator_charging
from fare.media.phone import phone_medium
from fare.media.tokens import TokenKey
from fare.model import LocatedTap, MediumId, PhoneNumber, Profile
from fare.operator_paying import OperatorCharges
from fare.service import Charging
from fare.sms.acceptance import SmsRules
from fare.sms.values import Incoming, StopBoard
from fare.sms_service import SmsKeys, SmsNames, SmsService
from fare.store.ledger_books import verify
from fare.store.postgres_ledger import open_ledger
from fare.store.postgres_media import PostgresMedia, top_up_journal
from fare.store.postgres_sms import PostgresSms
from fare.store.postgres_vehicles import PostgresVehicles
from fare.vehicles import Vehicle

BUSES = 585
SECRET = b"shared with the operator"
KEYS = SmsKeys(phone_key=TokenKey(version=1, secret=bytes(16)), code_key=bytes(16))


async def nobody(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
    """Return that nobody has rights."""
    del media
    return {}


async def no_stop(stop_code: str, language: Language) -> StopBoard | None:
    """Return that there are no stops."""
    del stop_code, language
    return None


async def not_told(rides: Sequence[LocatedTap]) -> None:
    """Count nobody."""
    del rides


def number(rider: int) -> PhoneNumber:
    """Return the number of a rider; none ends in 90 to 94, which the simulated operator refuses."""
    return PhoneNumber(f"+7701{rider // 90:05d}{rider % 90:02d}")


@asynccontextmanager
async def opened(pool: asyncpg.Pool, operator: SimulatedOperator) -> AsyncIterator[SmsService]:
    """Give the service of a city whose riders pay at ``operator``, which is served over HTTP."""
    clock, metrics = SystemClock(), Metrics()
    server = TestServer(operator.application())
    await server.start_server(shutdown_timeout=0.1)
    settings = OperatorHttpSettings(url=str(server.make_url("/")), secret=SECRET)
    async with (
        open_operator_charging(settings, clock) as charging,
        open_buying(
            pool,
            charging=Charging(pricing=SmallTariff(), profiles=nobody),
            locating=ToldPlaces(line="12"),
            told=not_told,
            rules=BuyingRules(),
            clock=clock,
        ) as buying,
    ):
        yield SmsService(
            PostgresSms(pool),
            buying=buying,
            charges=OperatorCharges(pool, {"alma": charging}, clock=clock, metrics=metrics),
            media=PostgresMedia(pool),
            next_buses=no_stop,
            rules=SmsRules(),
            keys=KEYS,
            names=SmsNames(
                catalogue=load_catalogue("fare.sms"),
                zone=ZoneInfo("Asia/Almaty"),
                lines={},
                carriers={},
                default_category_at=lambda _: ADULT,
            ),
            clock=clock,
            metrics=metrics,
        )
    await server.close()


async def ride(service: SmsService, rider: int) -> None:
    """Send a message and wait for the ticket."""
    now_ms = SystemClock().now_ms()
    message = Incoming(
        operator="alma",
        message_id=str(rider),
        sender=number(rider),
        short_code="2505",
        text=f"{1_000 + rider % BUSES}",
        sent_ms=now_ms,
        received_ms=now_ms,
    )
    (answer,) = await service.take(message)
    if not answer.text.startswith("Билет"):
        raise RuntimeError(answer.text)


async def send(service: SmsService, per_second: int, seconds: int) -> list[float]:
    """Send messages at a steady rate; return how long each waited, in ms, after a second of warming up."""
    waits_ms: list[float] = []

    async def one(rider: int, due_s: float) -> None:
        await ride(service, rider)
        waits_ms.append((time.perf_counter() - due_s) * 1e3)

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for rider in range(per_second * (seconds + 1)):
            due_s = began_s + rider / per_second
            await asyncio.sleep(max(due_s - time.perf_counter(), 0.0))
            tasks.create_task(one(rider, due_s))
            if rider == per_second:
                waits_ms.clear()
    return sorted(waits_ms)


async def measure(
    pool: asyncpg.Pool, database: psutil.Process, per_second: int, seconds: int, charged: float
) -> dict[str, float]:
    """Send messages for ``seconds``; return how long answers took, and what each message cost."""
    operator = SimulatedOperator(secret=SECRET, clock=SystemClock())
    riders = per_second * (seconds + 1)
    await _fill(pool, [rider for rider in range(riders) if rider % 100 >= charged * 100])
    async with opened(pool, operator) as service:
        own_s, server_s = time.process_time(), _cpu_s(database)
        waits_ms = await send(service, per_second, seconds)
        own_s, server_s = time.process_time() - own_s, _cpu_s(database) - server_s
    return {
        "p50_ms": waits_ms[len(waits_ms) // 2],
        "p99_ms": waits_ms[len(waits_ms) * 99 // 100],
        "charged": sum(operator.requests.values()),
        "own_cpu_ms": own_s / riders * 1e3,
        "server_cpu_ms": server_s / riders * 1e3,
    }


def _cpu_s(server: psutil.Process) -> float:
    times = [one.cpu_times() for one in (server, *server.children())]
    return sum(one.user + one.system for one in times)


async def _fill(pool: asyncpg.Pool, riders: Sequence[int]) -> None:
    await PostgresVehicles(pool).register(
        Vehicle(vehicle_id=f"bus-{bus}", fleet_number=f"{1_000 + bus}") for bus in range(BUSES)
    )
    journals = [
        top_up_journal(phone_medium(number(one), KEYS.phone_key), 100_000, desk="kiosk", key=f"up-{one}", occurred_ms=1)
        for one in riders
    ]
    async with open_ledger(pool) as ledger:
        for first in range(0, len(journals), 500):
            await ledger.post(journals[first : first + 500])


async def run(arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Start a durable server, measure, audit the books."""
    server = start_postgres(open_home(folder))
    try:
        async with asyncpg.create_pool(server.url, min_size=1, max_size=16) as pool:
            await migrate(pool, "fare.store")
            database = psutil.Process(server.process.pid)
            figures = await measure(pool, database, arguments.per_second, arguments.seconds, arguments.charged)
            figures["flush_ms"] = flush_ms(folder)
            if (await verify(pool)).findings:
                raise RuntimeError("the books are not whole")
    finally:
        server.stop()
    figures["load"] = psutil.getloadavg()[0]
    return figures


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--charged", type=float, default=0.5)
    configure_logs("bench", level="WARNING")
    with tempfile.TemporaryDirectory() as folder:
        figures = uvloop.run(run(parser.parse_args(), Path(folder)))
    json.dump({name: round(figure, 2) for name, figure in figures.items()}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
