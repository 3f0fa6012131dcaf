"""An outage ends: every validator of a city sends a day of stored taps at once, while people go on tapping.

    python bench/backlog.py [--taps 300000] [--devices 585] [--live 16] [--per-second 20] [--at-once 32]

Signed batches of 500 records over HTTP to a server process that does all of it but finding the place of a tap: records
are checked and kept, taps stored, priced over the rides around by a small tariff (a day cap and transfers), and posted
by double entry in an embedded PostgreSQL that syncs every commit. Live validators send a tap at a time and wait for the
receipt: 20 a second, five times the mean of a city whose 585 validators store 300,000 taps in 20 hours.
Printed: when the last receipt came, when the last ride was charged, and what live taps waited alone, while the others
sent, and until all was charged. In the end the books must be whole and every ride must be on them once.

Signing is done before. Beside the figures stand the same records by COPY alone, and the least that anybody's receipt
takes in the same phases ("floor"): an answer of an HTTP server that does nothing, in a process of its own, and two
syncs of 8 kB each to the disk. What that takes longer is two processors with more than two processes, what else is
written to the disk ("disk": the longest sync), and the host of a virtual machine ("stolen": the share of the
processors' time that it took away). In a city all validators are other machines: here the live ones have a share
of the processors of their own, as the server has, and the one that uploads what all others leave.
"""

import argparse
import asyncio
import json
import multiprocessing
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import psutil
import uvloop
from aiohttp import web
from doors import CITY, CITY_KEY, Door, Ports, Validator, Waits, be_apart, idle_process, living, low_priority, send
from small_tariff import DAY_MS, SmallTariff

from ayaldama.embedded import Server, open_home, start_postgres
from ayaldama.memory import keep_what_is_here
from ayaldama.simulate.places import ToldPlaces
from commons.clock import SystemClock
from commons.logs import configure_logs
from commons.metrics import Metrics
from commons.migrate import migrate
from fare.api.devices import Devices, Surroundings
from fare.model import CarrierId, DeviceId, LocatedTap, MediumId, MediumKind, Profile, Ride
from fare.precedence import Precedence
from fare.service import open_taps
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_devices import PostgresDevices
from fare.taking import TapTaking
from fare.validator.batches import RECORDS_MAX
from fare.validator.enrolment import Code, EnrolmentRequest, IssuedCode
from fare.validator.link import Link
from fare.validator.signing import Signed, SigningKey

BETWEEN_TAPS_MS: Final = 90_000
PLACES: Final = ToldPlaces(line="12", trip_id="12-0605", stop_id="market")  # the bench does not look for buses
PHASES: Final = ("live_alone", "live_while_sending", "live_while_charging")
WARM_S: Final = 4.0  # until the process of the live ones is there and has tapped a while
_LEFT: Final = """
SELECT (SELECT count(*) FROM validator WHERE handed < sequence) + (SELECT count(*) FROM medium_to_charge)
"""


async def keep_session(_: object) -> None:
    """Leave a connection as it is, as the fare role does."""


def server_process(dsn: str, ports: "multiprocessing.Queue[int]") -> None:
    """Serve validators until killed."""
    be_apart()
    configure_logs("bench", level="WARNING")

    async def profiles(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
        del media
        return {}

    async def told(taps: Sequence[LocatedTap]) -> None:
        del taps

    async def serve() -> None:
        clock, metrics, precedence = SystemClock(), Metrics(), Precedence()
        async with (
            asyncpg.create_pool(dsn, min_size=4, max_size=12, reset=keep_session) as pool,
            open_taps(
                pool, pricing=SmallTariff(), profiles=profiles, past_ms=2 * DAY_MS, precedence=precedence
            ) as intake,
        ):
            taking = TapTaking(intake=intake, locating=PLACES, told=told, clock=clock, metrics=metrics)
            devices = Devices(
                PostgresDevices(pool, CITY),
                city=CITY,
                key=CITY_KEY,
                clock=clock,
                metrics=metrics,
                surroundings=Surroundings(take_taps=taking.take, record=taking.record),
                precedence=precedence,
            )
            application = web.Application()
            application.add_routes(devices.routes())
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with devices.running():
                keep_what_is_here()
                ports.put(runner.addresses[0][1])
                await asyncio.Event().wait()

    uvloop.run(serve())


async def enrolled(pool: asyncpg.Pool, name: str, now_ms: int) -> Validator:
    """Enrol a device."""
    store, key = PostgresDevices(pool, CITY), SigningKey.generate()
    code = Code.make(secrets.token_bytes(10), CITY_KEY.public)
    await store.issue(
        IssuedCode(digest=code.digest, device_id=DeviceId(name), vehicle_id=f"bus-{name}", expires_ms=now_ms + 10**6)
    )
    await store.enrol(EnrolmentRequest(secret=code.secret, public=key.public), now_ms)
    return Validator(name, key)


def stored_up(validator: Validator, number: int, taps: int, cards: int, now_ms: int) -> list[Signed]:
    """Return the batches of a device that was without network since yesterday."""
    begin_ms = now_ms - 20 * 3_600_000
    all_taps = [(begin_ms + place * BETWEEN_TAPS_MS, (number * 31 + place * 7_919) % cards) for place in range(taps)]
    return [
        validator.batch(all_taps[first : first + RECORDS_MAX], now_ms + first) for first in range(0, taps, RECORDS_MAX)
    ]


def times(processes: Sequence[psutil.Process]) -> list[float]:
    """Return the processor time of each so far; 0: it has ended."""
    return [_time_s(process) for process in processes]


def _time_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


def tree(server: Server, serving: int) -> Iterator[psutil.Process]:
    """Give the server process, then PostgreSQL's."""
    yield psutil.Process(serving)
    postgres = psutil.Process(server.process.pid)
    workers = [one for one in postgres.children() if "autovacuum worker" not in " ".join(one.cmdline())]
    yield from (postgres, *workers)  # those come and go


@dataclass(slots=True)
class Phase:
    """A part of the run: when it began, and what the host of this machine had taken of its processors until then."""

    began_s: float
    stolen_s: float

    @classmethod
    def now(cls) -> "Phase":
        """Return one that begins."""
        return cls(time.perf_counter(), getattr(psutil.cpu_times(), "steal", 0.0))

    def stolen(self, end: "Phase") -> float:
        """Return the share of the processors' time that was taken away until another began, percent."""
        return 100 * (end.stolen_s - self.stolen_s) / ((end.began_s - self.began_s) * (psutil.cpu_count() or 1))


async def measure(server: Server, serving: int, ports: Ports, options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    now_ms = SystemClock().now_ms()
    async with asyncpg.create_pool(server.url, min_size=1, max_size=2) as pool:
        backlog: list[tuple[Validator, list[Signed]]] = []
        for number in range(options.devices):
            share = options.taps * (number + 1) // options.devices - options.taps * number // options.devices
            validator = await enrolled(pool, f"v{number}", now_ms)
            backlog.append((validator, stored_up(validator, number, share, options.cards, now_ms)))
        lively = [await enrolled(pool, f"live{number}", now_ms) for number in range(options.live)]
        turnstile = asyncio.Semaphore(options.at_once)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            link = Link(session, f"http://127.0.0.1:{ports.server}")
            seeds = {one.name: one.key.to_bytes() for one in lively}
            door = Door(seeds=seeds, ports=ports, cards=options.cards, per_s=options.per_second)
            with living(door) as end, low_priority():
                await asyncio.sleep(WARM_S)
                alone = Phase.now()
                processes = list(tree(server, serving))
                idle = times(processes)
                await asyncio.sleep(options.alone)

                async def upload(validator: Validator, batches: Sequence[Signed]) -> None:
                    async with turnstile:
                        for signed in batches:
                            await send(link, validator, signed)

                before, sending = times(processes), Phase.now()
                await asyncio.gather(*(upload(validator, batches) for validator, batches in backlog))
                sent = Phase.now()
                await nothing_left(pool)
                charged = Phase.now()
                used_s = list(zip(idle, before, times(processes), strict=True))
                waited = await asyncio.to_thread(end)
        await must_be_whole(pool, options.taps, waited.taps)
        taps_alone = waited.taps.between(alone.began_s, sending.began_s)["taps"]
        taps_beside = waited.taps.between(sending.began_s, charged.began_s)["taps"]
        live_us = [(before_s - idle_s) / taps_alone * 1e6 for idle_s, before_s, _ in used_s]
        stored_us = [
            ((after_s - before_s) * 1e6 - taps_beside * one_us) / options.taps
            for (_, before_s, after_s), one_us in zip(used_s, live_us, strict=True)
        ]
        return {
            "taps": options.taps,
            "acknowledged_s": round(sent.began_s - sending.began_s, 1),
            "charged_s": round(charged.began_s - sending.began_s, 1),
            **{
                name: waited.taps.between(begin.began_s, end.began_s)
                | {f"floor_{key}": value for key, value in waited.floor.between(begin.began_s, end.began_s).items()}
                | {"disk_p100_ms": waited.disk.between(begin.began_s, end.began_s).get("p100_ms")}
                | {"stolen_percent": round(begin.stolen(end), 1)}
                for name, begin, end in zip(PHASES, (alone, sending, sent), (sending, sent, charged), strict=True)
            },
            "server_us": {"stored": round(stored_us[0]), "live": round(live_us[0])},
            "postgres_us": {"stored": round(sum(stored_us[1:])), "live": round(sum(live_us[1:]))},
            "copy_per_s": round(await copied_per_s(pool)),
        }


async def nothing_left(pool: asyncpg.Pool) -> None:
    """Return when the ledger has everything."""
    while True:
        if await pool.fetchval(_LEFT) == 0:
            return
        await asyncio.sleep(0.1)


async def must_be_whole(pool: asyncpg.Pool, stored: int, waits: Waits) -> None:
    """See that every tap is there and every ride on the books as the tariff says.

    Raises:
        RuntimeError: if not.
    """
    await nothing_left(pool)
    rides = [
        Ride(
            key=f"{row['device_id']}:{row['sequence']}",
            tapped_ms=row["tapped_ms"],
            medium_id=MediumId(row["medium_id"]),
            medium_kind=MediumKind.TRANSPORT_CARD,
            vehicle_id="",
            carrier_id=CarrierId("k1"),
        )
        for row in await pool.fetch("SELECT device_id, sequence, tapped_ms, medium_id FROM tap")
    ]
    if len(rides) != stored + len(waits.waits_s):
        raise RuntimeError(f"{len(rides)} taps are there of {stored} and {len(waits.waits_s)} live ones")
    of_medium: dict[MediumId, list[Ride]] = {}
    for ride in rides:
        of_medium.setdefault(ride.medium_id, []).append(ride)
    due_tiyn = sum(
        charge.charged_tiyn for some in of_medium.values() for charge in SmallTariff().bill(some, Profile()).charges
    )
    balances = await balances_tiyn(pool)
    booked_tiyn = -sum(tiyn for code, tiyn in balances.items() if code.startswith("revenue"))
    if booked_tiyn != due_tiyn:
        raise RuntimeError(f"{booked_tiyn} tiyn are booked, {due_tiyn} are due")
    if findings := (await verify(pool)).findings:
        raise RuntimeError(f"the books are not whole: {findings}")


async def copied_per_s(pool: asyncpg.Pool) -> float:
    """Return how many of the records a second a bare COPY in one transaction takes."""
    await pool.execute("CREATE TABLE floor (LIKE validator_record INCLUDING ALL)")
    rows = await pool.fetch("SELECT * FROM validator_record")
    began_s = time.monotonic()
    await pool.copy_records_to_table("floor", records=rows)
    return len(rows) / (time.monotonic() - began_s)


def run(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """Start the server process, measure, end it."""

    async def prepare() -> None:
        async with asyncpg.create_pool(server.url, min_size=1, max_size=1) as pool:
            await migrate(pool, "fare.store")

    asyncio.run(prepare())
    with started(server_process, server.url) as (serving, port), started(idle_process) as (_, idle):
        return uvloop.run(measure(server, serving, Ports(port, idle), options))


@contextmanager
def started(target: Callable[..., None], *told: str) -> Iterator[tuple[int, int]]:
    """Run ``target`` in a process of its own; give its number and the port that it says it serves."""
    spawn = multiprocessing.get_context("spawn")
    ports = spawn.Queue()
    process = spawn.Process(target=target, args=(*told, ports), daemon=True)
    process.start()
    try:
        port = ports.get(timeout=30)
        if process.pid is None:
            raise RuntimeError(f"{target.__name__} did not start")
        yield process.pid, port
    finally:
        process.terminate()
        process.join()


def above_floor(phase: Mapping[str, float]) -> str:
    """Return by how much live taps took longer in the middle, and one in a hundred, than the least does there."""
    return " and ".join(f"{phase[key] - phase[f'floor_{key}']:.1f}" for key in ("p50_ms", "p99_ms"))


def main() -> int:
    """Print all figures, and as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taps", type=int, default=300_000)
    parser.add_argument("--devices", type=int, default=585)
    parser.add_argument("--live", type=int, default=16, help="validators that send a tap at a time meanwhile")
    parser.add_argument("--per-second", type=float, default=20.0, help="live taps, about")
    parser.add_argument("--at-once", type=int, default=32, help="validators that send at the same time")
    parser.add_argument("--cards", type=int, default=60_000)
    parser.add_argument("--alone", type=float, default=6.0, help="seconds of live taps before the outage ends")
    options = parser.parse_args()
    configure_logs("bench", level="WARNING")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o755)
        server = start_postgres(open_home(Path(folder)))
        try:
            found = run(server, options)
        finally:
            server.stop()
    print(f"backlog: {options.taps:,} taps of {options.devices} validators and {options.cards:,} cards, over HTTP")
    print(f"  acknowledged, durable: {found['acknowledged_s']} s; all charged: {found['charged_s']} s")
    for name in PHASES:
        print(f"  {name.replace('_', ' '):<22}{found[name]}")
    print(f"  above the floor, p50 and p99 ms, in these: {'; '.join(above_floor(found[name]) for name in PHASES)}")
    print(f"  CPU per tap, us: server {found['server_us']}, PostgreSQL {found['postgres_us']}")
    print(f"  floor: COPY of the same records {found['copy_per_s']:,} rows/s")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
