"""A day of stored taps of all devices comes in at once, while people go on tapping.

    python bench/backlog.py [--taps 300000] [--devices 585] [--live 16] [--cards 60000]

Each device uploads its taps in order, 100 at a time, as after an outage; some live clients tap all the while, each
waiting for its answer. Every tap is stored once, priced over the rides around it by a small tariff (a day cap and
transfers) and posted, in one durable transaction per batch. Live waits are printed with and without the backlog, and
beside them what the same server needs for the same rows of taps alone, in a table without indexes and triggers.
"""

import argparse
import asyncio
import datetime as dt
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import psutil
import uvloop
from postgres_floors import bare_copies

from ayaldama.embedded import Server, open_home, start_postgres
from commons.logs import configure_logs
from commons.migrate import migrate
from fare.model import (
    Bill,
    CarrierId,
    Charge,
    DeviceId,
    LocatedTap,
    MediumId,
    MediumKind,
    PriceReason,
    Profile,
    Ride,
    RiderCategory,
    Tap,
)
from fare.outcomes import TapOutcome, TapReceipt
from fare.service import BACKLOG_BATCH_MAX, TapIntake, open_taps

DAY_MS: Final = 86_400_000
BEGIN_MS: Final = 20_400 * DAY_MS + 5 * 3_600_000
UPLOAD: Final = 100  # taps
UPLOADS_AT_ONCE: Final = 32  # devices whose uploads the web server lets in
ADULT: Final = RiderCategory("adult")


class SmallTariff:
    """90 tenge a ride, free within 30 minutes of a paid one, 400 a day."""

    def service_day(self, at_ms: int) -> dt.date:
        """Return the day, UTC."""
        return dt.date(1970, 1, 1) + dt.timedelta(days=at_ms // DAY_MS)

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        """Return what ``rides`` cost; everybody is an adult."""
        del profile
        charges, free_until_ms, spent = [], -1, {}
        for ride in sorted(rides, key=lambda one: (one.tapped_ms, one.key)):
            day = ride.tapped_ms // DAY_MS
            charged_tiyn = 0
            if ride.tapped_ms > free_until_ms:
                free_until_ms = ride.tapped_ms + 1_800_000
                charged_tiyn = min(9_000, 40_000 - spent.get(day, 0))
                spent[day] = spent.get(day, 0) + charged_tiyn
            charges.append(
                Charge(
                    ride_key=ride.key,
                    category=ADULT,
                    count=1,
                    product_id="single",
                    full_tiyn=9_000,
                    subsidy_tiyn=0,
                    charged_tiyn=charged_tiyn,
                    reason=PriceReason.FULL,
                )
            )
        return Bill(charges=tuple(charges), tariff_versions=("small",))


def ridden(device_id: str, sequence: int, tapped_ms: int, card: int) -> LocatedTap:
    """Return a tap that begins a ride."""
    medium_id, vehicle_id = MediumId(f"{card:032x}"), f"bus-{device_id}"
    tap = Tap(
        device_id=DeviceId(device_id),
        sequence=sequence,
        tapped_ms=tapped_ms,
        medium_id=medium_id,
        medium_kind=MediumKind.TRANSPORT_CARD,
        outcome=TapOutcome.ACCEPTED,
        vehicle_id=vehicle_id,
    )
    ride = Ride(
        key=tap.key,
        tapped_ms=tapped_ms,
        medium_id=medium_id,
        medium_kind=MediumKind.TRANSPORT_CARD,
        vehicle_id=vehicle_id,
        carrier_id=CarrierId("k1"),
        route_id="12",
        trip_id="12-0605",
        stop_id="market",
    )
    return LocatedTap(tap=tap, ride=ride)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long live taps waited for their answer."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


async def live(intake: TapIntake, clients: int, cards: int, until: asyncio.Event, name: str) -> Waits:
    """Let ``clients`` tap, each 20 times a second at most, until the event."""
    waits_s: list[float] = []

    async def client(number: int) -> None:
        for sequence in itertools.count(1):
            if until.is_set():
                return
            card = (number * 7_919 + sequence * 104_729) % cards
            began_s = time.perf_counter()
            await intake.take([ridden(f"{name}{number}", sequence, BEGIN_MS + DAY_MS + sequence * 1_000, card)])
            waits_s.append(time.perf_counter() - began_s)
            await asyncio.sleep(max(0.05 - waits_s[-1], 0.0))

    await asyncio.gather(*(client(number) for number in range(clients)))
    waits_s.sort()
    return Waits(len(waits_s), *(waits_s[int((len(waits_s) - 1) * part)] * 1e3 for part in (0.5, 0.99, 1.0)))


async def upload(intake: TapIntake, options: argparse.Namespace) -> float:
    """Hand in what all devices have stored; return how long it took, seconds."""
    turnstile = asyncio.Semaphore(UPLOADS_AT_ONCE)
    each = options.taps // options.devices

    async def device(number: int) -> None:
        for first in range(0, each, UPLOAD):
            stored = [
                ridden(
                    f"d{number}", place + 1, BEGIN_MS + place * 90_000, (number * 31 + place * 7_919) % options.cards
                )
                for place in range(first, min(first + UPLOAD, each))
            ]
            async with turnstile:
                receipts = await intake.take(stored, backlog=True)
            if set(receipts) != {TapReceipt.STORED}:
                raise RuntimeError(f"device {number}: {set(receipts)}")

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(options.devices):
            tasks.create_task(device(number))
    return time.perf_counter() - began_s


def cpu_s(server: Server) -> tuple[float, float]:
    """Return the CPU time used so far by this process and by the server's."""
    processes = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children()]
    return time.process_time(), sum(one.cpu_times().user + one.cpu_times().system for one in processes)


async def run(server: Server, options: argparse.Namespace) -> tuple[Waits, Waits, float]:
    """Measure live taps alone, then with the backlog beside them."""

    async def profiles(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
        del media
        return {}

    async with asyncpg.create_pool(server.url, min_size=1, max_size=4) as pool:
        await migrate(pool, "fare.store")
        async with open_taps(pool, pricing=SmallTariff(), profiles=profiles, past_ms=2 * DAY_MS) as intake:
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(options.alone, over.set)
            alone = await live(intake, options.live, options.cards, over, "a")
            over = asyncio.Event()
            beside = asyncio.create_task(live(intake, options.live, options.cards, over, "b"))
            before = cpu_s(server)
            elapsed_s = await upload(intake, options)
            used = [after - earlier for after, earlier in zip(cpu_s(server), before, strict=True)]
            over.set()
            waits = await beside
            done = options.taps + waits.count
            own_us, server_us = (one_s / done * 1e6 for one_s in used)
            print(f"CPU per tap: {own_us:.0f} us of this process, {server_us:.0f} us of the server")
            per_s, own_us, server_us = await bare_copies(
                pool, "tap", batch=BACKLOG_BATCH_MAX, seconds=3.0, cpu_s=lambda: cpu_s(server)[1]
            )
            print(f"floor: rows of taps alone, {per_s:,.0f} a second, {own_us:.0f} us and {server_us:.0f} us")
            return alone, waits, elapsed_s


def main() -> int:
    """Print all figures, and as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taps", type=int, default=300_000)
    parser.add_argument("--devices", type=int, default=585)
    parser.add_argument("--live", type=int, default=16, help="clients that tap meanwhile")
    parser.add_argument("--cards", type=int, default=60_000)
    parser.add_argument("--alone", type=float, default=5.0, help="seconds of live taps without the backlog")
    options = parser.parse_args()
    configure_logs("bench", level="WARNING")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o755)
        server = start_postgres(open_home(Path(folder)))
        try:
            alone, beside, elapsed_s = uvloop.run(run(server, options))
        finally:
            server.stop()
    taken = options.taps // options.devices * options.devices
    print(
        f"backlog: {taken:,} taps of {options.devices} devices in {elapsed_s:.1f} s, {taken / elapsed_s:,.0f} a second"
    )
    for name, waits in (("alone", alone), ("beside the backlog", beside)):
        print(
            f"  live taps {name:<20}{waits.count:>8,} taps, p50 {waits.p50_ms:.1f} ms, p99 {waits.p99_ms:.1f} ms, "
            f"longest {waits.max_ms:.0f} ms"
        )
    print(
        json.dumps(
            {
                "taps": taken,
                "seconds": round(elapsed_s, 1),
                "p99_alone_ms": round(alone.p99_ms, 1),
                "p99_beside_ms": round(beside.p99_ms, 1),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
