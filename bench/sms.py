"""From a rider's SMS to the ticket, at 100 messages a second through a true SMPP line, beside a peer that only echoes.

    python bench/sms.py [--per-s 100] [--seconds 10]

One program is the operator: npm's ``smpp``, a centre that nobody here wrote. It sends ``deliver_sm`` at the pace asked
for and takes the time until the ``submit_sm`` that answers it. Ours is the client, the service and the ledger on an
embedded PostgreSQL that flushes each commit. Each message buys a ride for a number of its own: in one run from the
number's wallet, in another charged to its account at a simulated operator over HTTP, a process of its own. The echo is
the same centre with npm's own client, which answers a constant at once: what line and peer take.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import numpy as np
import uvloop

from ayaldama.database import bring_up_to_date
from ayaldama.demo import build_sample_feed
from ayaldama.embedded import open_home, start_postgres
from ayaldama.fares import CityFares, configuration_of, read_city_fares
from ayaldama.settings import ValidatorsSection
from ayaldama.simulate.places import ToldPlaces
from commons.clock import SystemClock
from commons.logs import configure_logs
from commons.metrics import Metrics
from commons.texts import Language, load_catalogue
from fare.buying import BuyingRules, open_buying
from fare.gateways.operator_charging import OperatorHttpSettings, open_operator_charging
from fare.gateways.smpp import SmppBind, SmppClient
from fare.gateways.sms_desk import Door
from fare.ledger.accounts import wallet
from fare.media.phone import phone_medium
from fare.media.tokens import TokenKey
from fare.model import (
    AccountCode,
    Entry,
    Journal,
    JournalKey,
    JournalKind,
    LocatedTap,
    PhoneNumber,
)
from fare.operator_paying import OperatorCharges
from fare.pricing import CityPricing
from fare.service import Charging
from fare.sms.acceptance import SmsRules
from fare.sms.values import StopBoard
from fare.sms_service import SmsKeys, SmsNames, SmsService
from fare.store.postgres_ledger import open_ledger
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_sms import PostgresSms
from fare.store.postgres_vehicles import PostgresVehicles
from fare.vehicles import Vehicle

REPOSITORY = Path(__file__).parents[1]
SECRET = b"shared with the operator"
KEYS = SmsKeys(phone_key=TokenKey(version=1, secret=bytes(32)), code_key=bytes(16))
WALLET_TIYN = 100_000
STARTS_S = 60.0
CENTRE = Path(__file__).with_name("sms_centre.js")


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds from a message to its answer, and the last answer."""

    p50_ms: float
    p99_ms: float
    most_ms: float
    text: str


@asynccontextmanager
async def centre(per_s: int, seconds: int, *, echo: bool) -> AsyncIterator[tuple[int, "asyncio.Future[Waits]"]]:
    """Give the port of a centre, and what its figures will be."""
    arguments = [str(REPOSITORY / "vendor"), str(per_s), str(seconds), *(["echo"] if echo else [])]
    process = await asyncio.create_subprocess_exec(
        "node", str(CENTRE), *arguments, stdout=subprocess.PIPE, limit=1 << 24
    )
    if process.stdout is None:
        raise RuntimeError("the centre says nothing")
    port = int(await process.stdout.readline())
    reading = asyncio.ensure_future(_figures(process.stdout))
    try:
        yield port, reading
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _figures(lines: asyncio.StreamReader) -> Waits:
    said = json.loads(await lines.readline())
    p50, p99 = np.percentile(said["waits"], [50, 99])
    return Waits(float(p50), float(p99), max(said["waits"]), said["text"])


async def hear(_: Sequence[LocatedTap]) -> None:
    """Tell nobody of a ride."""


async def keep_session(_: object) -> None:
    """Leave a connection as it is."""


async def no_board(_code: str, _language: Language) -> StopBoard | None:
    """Know no stop."""
    return None


@asynccontextmanager
async def running_operator() -> AsyncIterator[str]:
    """Give the address of an operator that charges: the simulated one, in a process of its own."""
    with socket.socket() as probe, tempfile.NamedTemporaryFile() as secret:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        secret.write(SECRET)
        secret.flush()
        program = [
            sys.executable,
            "-m",
            "ayaldama.simulate.operator",
            "--port",
            str(port),
            "--secret-file",
            secret.name,
        ]
        process = await asyncio.create_subprocess_exec(
            *program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPOSITORY
        )
        try:
            async with asyncio.timeout(STARTS_S):
                while not await listens(port):  # noqa: ASYNC110 - another process starts
                    await asyncio.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            await process.wait()


async def listens(port: int) -> bool:
    """Return whether somebody listens on ``port``."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def fill_wallets(pool: asyncpg.Pool, count: int) -> None:
    """Let the first ``count`` numbers have money."""
    async with open_ledger(pool) as ledger:
        await ledger.post([top_up(one) for one in range(count)])


def top_up(one: int) -> Journal:
    """Return the money of a number; the centre makes the same numbers."""
    medium_id = phone_medium(PhoneNumber(f"+7701{1_000_000 + one * 100:07}"), KEYS.phone_key)
    return Journal(
        key=JournalKey(f"bench-{one}"),
        kind=JournalKind.TOP_UP,
        occurred_ms=0,
        entries=(
            Entry(account=AccountCode("operator:bench"), amount_tiyn=WALLET_TIYN),
            Entry(account=wallet(medium_id), amount_tiyn=-WALLET_TIYN),
        ),
        subject=medium_id,
    )


@asynccontextmanager
async def opened_service(pool: asyncpg.Pool, fares: CityFares, metrics: Metrics) -> AsyncIterator[SmsService]:
    """Give a service with one bus and an operator that charges over HTTP."""
    clock, media = SystemClock(), PostgresMedia(pool)
    await PostgresVehicles(pool).register([Vehicle(vehicle_id="bus", fleet_number="0451")])
    configuration = configuration_of(fares.tariff, clock.now_ms(), ValidatorsSection())
    pricing = CityPricing(tariff=fares.tariff, configuration=configuration)
    async with (
        running_operator() as url,
        open_operator_charging(OperatorHttpSettings(url=url, secret=SECRET), clock) as charging,
        open_buying(
            pool,
            charging=Charging(pricing=pricing, profiles=media.profiles),
            locating=ToldPlaces(line=next(iter(fares.carriers)), carrier_id=fares.carrier),
            told=hear,
            rules=BuyingRules(),
            clock=clock,
        ) as buying,
    ):
        yield SmsService(
            PostgresSms(pool),
            buying=buying,
            charges=OperatorCharges(pool, {"kcell": charging}, clock=clock, metrics=metrics),
            media=media,
            next_buses=no_board,
            rules=SmsRules(language="ru"),
            keys=KEYS,
            names=SmsNames(
                catalogue=load_catalogue("fare.sms"),
                zone=fares.tariff.zone,
                lines={},
                carriers={},
                default_category_at=lambda _: configuration.default_category,
            ),
            clock=clock,
            metrics=metrics,
        )


async def ours(dsn: str, fares: CityFares, per_s: int, seconds: int, *, from_wallet: bool) -> Waits:
    """Measure our client, service and ledger."""
    metrics = Metrics()
    async with asyncpg.create_pool(dsn, min_size=8, max_size=24, reset=keep_session) as pool:
        await bring_up_to_date(pool)
        if from_wallet:
            await fill_wallets(pool, per_s * seconds)
        async with (
            opened_service(pool, fares, metrics) as service,
            centre(per_s, seconds, echo=False) as (port, figures),
        ):
            return await bound(service, port, figures, seconds, metrics)


async def emptied(dsn: str) -> str:
    """Return the address of an empty database on the same server."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE DATABASE again")
    await connection.close()
    return urlunsplit(urlsplit(dsn)._replace(path="/again"))


async def bound(
    service: SmsService, port: int, figures: "asyncio.Future[Waits]", seconds: int, metrics: Metrics
) -> Waits:
    """Hold a bind until the centre has its figures."""
    bind = SmppBind(operator="kcell", host="127.0.0.1", port=port, system_id="b", password="b", per_s=1_000.0)  # noqa: S106
    door = Door(service, clock=SystemClock())
    client = SmppClient(bind, door, chance=lambda: 0.5, clock=SystemClock(), metrics=metrics)
    running = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(seconds + 60):
            return await figures
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def echo(per_s: int, seconds: int) -> Waits:
    """Measure the peer alone."""
    async with centre(per_s, seconds, echo=True) as (_, figures), asyncio.timeout(seconds + 30):
        return await figures


async def measure(per_s: int, seconds: int) -> None:
    """Print both."""
    with tempfile.TemporaryDirectory(prefix="ayaldama-sms-") as folder:
        fares = read_city_fares(build_sample_feed(Path(folder)))
        server = start_postgres(open_home(Path(folder)))
        try:
            charged = await ours(server.url, fares, per_s, seconds, from_wallet=False)
            paid = await ours(await emptied(server.url), fares, per_s, seconds, from_wallet=True)
        finally:
            server.stop()
    alone = await echo(per_s, seconds)
    print(f"{per_s} messages/s for {seconds} s, message in → answer out, milliseconds")
    print(f"{'':24}{'p50':>8}{'p99':>8}{'most':>8}   last answer")
    rows = (("ride from the wallet", paid), ("ride by the operator", charged), ("npm smpp, echo", alone))
    for name, one in rows:
        print(f"{name:24}{one.p50_ms:8.1f}{one.p99_ms:8.1f}{one.most_ms:8.1f}   {one.text}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-s", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    if shutil.which("node") is None or not (REPOSITORY / "vendor" / "node_modules" / "smpp").is_dir():
        sys.exit("bench/sms.py needs node and npm's smpp: make vendor")
    configure_logs("bench", level="ERROR")
    uvloop.run(measure(arguments.per_s, arguments.seconds))


if __name__ == "__main__":
    main()
