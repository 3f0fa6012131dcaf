"""How long an accountant waits for a report: a month of a city's rides in PostgreSQL, and a day of it counted.

Rides are priced by the sample city's tariff and copied into the tables with what is posted for them and, up to the eve
of the last days, what was settled; journals of the ledger are left out, as reports do not read them.
"""

import argparse
import asyncio
import datetime as dt
import itertools
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import psutil

import gtfs_data
from ayaldama.database import bring_up_to_date
from ayaldama.embedded import open_home, start_postgres
from ayaldama.fares import configuration_of
from ayaldama.settings import ValidatorsSection
from ayaldama.simulate.passengers import Holder, holders
from commons.clock import monotonic_s
from fare.ledger.billing import changes, posted_by
from fare.model import (
    CarrierId,
    Concession,
    DeviceId,
    LocatedTap,
    MediumId,
    Profile,
    Ride,
    RiderCategory,
    Tap,
)
from fare.outcomes import TapOutcome
from fare.pricing import CityPricing
from fare.settlement.model import Sale
from fare.settlement.reports import Dimension, totals, totals_by
from fare.settlement_service import Settlement, SettlementRules
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_settlement import RideSold, write_settled
from fare.store.postgres_taps import insert_taps, recognise_taps, write_posted
from fare.tariff.model import build_tariff
from fare.tariff.pricing import service_day_ms
from gtfs_data.build import build_feed
from gtfs_data.fares import read_fares

FIRST_DAY: Final = dt.date(2026, 3, 2)
UNSETTLED_DAYS: Final = 2
ROUNDS: Final = 3
MEDIA_A_RIDE: Final = 0.9  # about half of the media ride on a day, twice or three times
TRANSFERS: Final = 0.2
VEHICLES: Final = 200
LINES: Final = tuple(str(number) for number in range(1, 30))
STOPS: Final = 480
AT_A_TIME: Final = 400  # holders


def rides_of(holder: Holder, begins_ms: Sequence[int], rides_a_day: float, sequence: Iterator[int]) -> list[Ride]:
    """Return a holder's rides: there and back on some of the days, with a transfer now and then."""
    chance = random.Random(holder.name)  # noqa: S311 - the same rides each time
    stops = [str(chance.randrange(STOPS)) for _ in range(3)]
    lines = [chance.choice(LINES) for _ in range(3)]
    found = []
    for begin_ms in begins_ms:
        if chance.random() > rides_a_day / 2.2:
            continue
        out_ms, back_ms = chance.randrange(3_600_000, 5 * 3_600_000), chance.randrange(9, 15) * 3_600_000
        legs = [out_ms, back_ms, back_ms + 1_200_000] if chance.random() < TRANSFERS else [out_ms, back_ms]
        for place, after_ms in enumerate(legs):
            vehicle = str(chance.randrange(VEHICLES))
            ride = Ride(
                key=f"v-{vehicle}:{next(sequence)}",
                tapped_ms=begin_ms + after_ms,
                medium_id=holder.medium_id,
                medium_kind=holder.kind,
                vehicle_id=vehicle,
                carrier_id=CarrierId(f"k{int(vehicle) % 3}"),
                route_id=lines[place],
                stop_id=stops[place],
            )
            found.append(ride)
    return found


def tap_of(ride: Ride, version: str) -> LocatedTap:
    """Return the tap that began a ride."""
    device_id, _, sequence = ride.key.rpartition(":")
    tap = Tap(
        device_id=DeviceId(device_id),
        sequence=int(sequence),
        tapped_ms=ride.tapped_ms,
        medium_id=ride.medium_id,
        medium_kind=ride.medium_kind,
        vehicle_id=ride.vehicle_id,
        route_id=ride.route_id,
        outcome=TapOutcome.ACCEPTED,
        tariff_version=version,
    )
    return LocatedTap(tap=tap, ride=ride)


class Month:
    """A month of rides, and who holds the media."""

    def __init__(self, pool: asyncpg.Pool, pricing: CityPricing, days: int, per_day: int) -> None:
        self.pool, self.pricing, self.per_day = pool, pricing, per_day
        self.days = [FIRST_DAY + dt.timedelta(days=day) for day in range(days)]
        self.everybody = holders(1, round(per_day * MEDIA_A_RIDE))
        self.settled_until = self.days[-1 - UNSETTLED_DAYS]

    async def fill(self) -> int:
        """Fill the tables; return how many rides."""
        media = PostgresMedia(self.pool)
        for category in sorted({one.category for one in self.everybody if one.category}):
            right = Concession(category=RiderCategory(category), from_date="2026-01-01", until_date="")
            await media.grant([one.medium_id for one in self.everybody if one.category == category], right, 0)
        for day in self.days:
            if day <= self.settled_until:
                await self.pool.execute("INSERT INTO settled_day VALUES ($1, 0, 'bench')", day)
        begins_ms = [service_day_ms(self.pricing.tariff, day) for day in self.days]
        rides_a_day, sequence = self.per_day / len(self.everybody), itertools.count(1)
        rides = 0
        for first in range(0, len(self.everybody), AT_A_TIME):
            some = self.everybody[first : first + AT_A_TIME]
            each = {one.medium_id: rides_of(one, begins_ms, rides_a_day, sequence) for one in some}
            await self._write(each, await media.profiles(list(each)))
            rides += sum(map(len, each.values()))
        await self.pool.execute("ANALYZE")
        return rides

    async def _write(self, each: Mapping[MediumId, Sequence[Ride]], profiles: Mapping[MediumId, Profile]) -> None:
        posted, sold = [], []
        for medium_id, rides in each.items():
            profile = profiles.get(medium_id, Profile())
            found = changes(rides, {}, self.pricing, profile, from_ms=0)
            posted += [(change, posted_by(change)) for change in found]
            moved = {change.ride.key for change in found}
            charges = defaultdict(list)
            for charge in self.pricing.bill(rides, profile).charges:
                charges[charge.ride_key].append(charge)
            for ride in rides:
                day = self.pricing.service_day(ride.tapped_ms)
                if day <= self.settled_until:
                    sale = Sale(ride=ride, service_date=day, charges=tuple(charges[ride.key]))
                    sold.append((day, RideSold(sale=sale, version=int(ride.key in moved))))
        taps = [tap_of(ride, "bench") for rides in each.values() for ride in rides]
        async with self.pool.acquire() as connection, connection.transaction():
            await insert_taps(connection, await recognise_taps(connection, taps))
            await write_posted(connection, posted)
            for day in self.days:
                await write_settled(connection, [one for on, one in sold if on == day], day)


async def measure(pool: asyncpg.Pool, server: psutil.Process, pricing: CityPricing, days: Sequence[dt.date]) -> None:
    """Print what a day's report takes: the first time, and the best of the next ones."""
    settlement = Settlement(pool, pricing=pricing, profiles=PostgresMedia(pool).profiles, rules=SettlementRules())
    asked = {"first of the month": days[0], "last that is settled": days[-1 - UNSETTLED_DAYS], "last": days[-1]}
    for what, day in asked.items():
        took = []
        for _ in range(ROUNDS):
            began_s, own_s, server_s = monotonic_s(), time.process_time(), cpu_s(server)
            sales = await settlement.sales(day)
            by, found = totals_by(sales, Dimension.LINE, pricing.tariff.zone), totals(sales)
            took.append((monotonic_s() - began_s, time.process_time() - own_s, cpu_s(server) - server_s))
        first, again = took[0], min(took[1:])
        print(
            f"day {what:20} {found.rides:7,} rides, {len(by)} lines: first {first[0]:5.2f} s, again {again[0]:5.2f} s"
            f" (processor {again[1]:.2f} s, server {again[2]:.2f} s); revenue {found.revenue_tiyn / 100:,.2f}",
            flush=True,
        )


def cpu_s(server: psutil.Process) -> float:
    """Return the processor time of a server and its living children."""
    times = [one.cpu_times() for one in (server, *server.children())]
    return sum(one.user + one.system for one in times)


async def run(folder: Path, days: int, per_day: int) -> None:
    """Fill a database and ask it."""
    feed = folder / "feed.zip"
    build_feed(Path(gtfs_data.__file__).parent / "kyzylorda", feed)
    tariff = build_tariff([read_fares(feed)])
    first_ms = service_day_ms(tariff, FIRST_DAY)
    pricing = CityPricing(tariff=tariff, configuration=configuration_of(tariff, first_ms, ValidatorsSection()))
    server = await asyncio.to_thread(start_postgres, open_home(folder))
    try:
        async with asyncpg.create_pool(server.url, min_size=1, max_size=4, command_timeout=600) as pool:
            await bring_up_to_date(pool)
            month = Month(pool, pricing, days, per_day)
            if not await pool.fetchval("SELECT EXISTS (SELECT FROM tap)"):
                began_s = monotonic_s()
                print(
                    f"{await month.fill():,} rides of {len(month.everybody):,} media in {monotonic_s() - began_s:.0f} s"
                )
            await measure(pool, psutil.Process(server.process.pid), pricing, month.days)
    finally:
        server.stop()


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--per-day", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=None, help="keep the database there, and use it again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        asyncio.run(run(given.folder or Path(folder), given.days, given.per_day))


if __name__ == "__main__":
    main()
