"""A bus in service over real HTTP and PostgreSQL: one transaction and one wait for the disk, or the longer way."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from ayaldama.embedded import Server, open_home, start_postgres
from ayaldama.simulate.places import ToldPlaces
from commons.clock import SystemClock
from commons.migrate import migrate
from fare.ledger.accounts import debt
from fare.model import Bill, DeviceId, LocatedTap, MediumId, Profile, Ride, Tap
from fare.service import open_taps
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_append import Append
from fare.taking import TapTaking
from fare.validator.batches import Receiving, make_batch, open_receipt
from fare.validator.link import Link
from tests.fare.api.test_devices import Bus, until_handed
from tests.fare.edges.test_ledger_durable import wal_flushes
from tests.fare.validator.city import City
from tests.fare.validator.test_journal import tap
from tests.notation.rides import SmallTariff

TAPS = 30


class Tariff(SmallTariff):
    """``fails`` for these media."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "fails", set())

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        if any(ride.medium_id in self.fails for ride in rides):  # type: ignore[attr-defined]
            raise asyncpg.DataError("no price")
        return super().bill(rides, profile)


class Places(ToldPlaces):
    """``searched``: until when every bus is."""

    searched = False

    def is_searched(self, tap: Tap) -> bool:
        return Places.searched


class ChargingCity(City):
    """A city whose taps go to the books. ``at_once`` counts those recorded and charged in one transaction."""

    tariff: Tariff
    at_once = 0


async def nobody(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
    return {}


@asynccontextmanager
async def charging(pool: asyncpg.Pool) -> AsyncIterator[ChargingCity]:
    await migrate(pool, "fare.store")
    city = ChargingCity(pool)
    city.tariff = Tariff()
    Places.searched = False

    async def told(taps: Sequence[LocatedTap]) -> None:
        city.taps.extend(one.tap for one in taps)

    async def record(taps: list[Tap], append: Append) -> str | None:
        version = await taking.record(taps, append)
        city.at_once += len(taps) if version is not None else 0
        return version

    async with open_taps(pool, pricing=city.tariff, profiles=nobody, quiet_s=0) as intake:
        taking = TapTaking(intake=intake, locating=Places(), told=told, clock=SystemClock(), metrics=city.metrics)
        city.take, city.record = taking.take, record
        async with city.served():
            yield city


async def owed_tiyn(pool: asyncpg.Pool, number: int) -> int:
    assert (await verify(pool)).findings == []
    return (await balances_tiyn(pool)).get(debt(tap(number).medium_id), 0)


async def test_a_tap_is_recorded_charged_and_noted_at_once(postgres: asyncpg.Pool) -> None:
    async with charging(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        for number in range(1, 4):
            bus.tap()
            city.balances[tap(0).medium_id] = 1_000 - number
            receipt = await bus.send(number - 1)
            assert (receipt.outcome, receipt.acknowledged) == (Receiving.TAKEN, number)
            assert receipt.hash == bus.journal.head.hash
            assert receipt.accounts == ((tap(0).medium_id, 1_000 - number),)
            assert await city.store.behind() == []
        assert city.at_once == 3
        assert await owed_tiyn(postgres, 0) == 100, "two of them within the hour"
        assert [one.sequence for one in city.taps] == [1, 2, 3]
        text = city.metrics.exposition().decode()
        assert 'ayaldama_validator_batches_total{outcome="taken"} 3.0' in text
        assert 'ayaldama_fare_taps_total{receipt="stored"} 3.0' in text
        assert 'ayaldama_validator_records_total{standing="on_time"} 3.0' in text


async def test_what_comes_again_is_repeated_and_a_second_history_is_found(postgres: asyncpg.Pool) -> None:
    async with charging(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap(2)
        assert (await bus.send()).outcome is Receiving.TAKEN
        assert (await bus.send()).outcome is Receiving.REPEATED
        bus.tap()
        assert (await bus.send(1)).acknowledged == 3, "one of two is new"
        clone = Bus(city, session)
        clone.key = bus.key
        clone.sent_ms += 10_000
        clone.tap(4)
        assert (await clone.send(3)).outcome is Receiving.FORKED
        bus.tap()
        assert (await bus.send(3)).outcome is Receiving.STOPPED
        assert await owed_tiyn(postgres, 0) == 100


async def test_a_device_is_barred_from_the_moment_on_when_its_key_is(postgres: asyncpg.Pool) -> None:
    async with charging(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap()
        await bus.send()
        await city.store.revoke(DeviceId("v-1"))
        bus.tap()
        with pytest.raises(Exception, match="revoked"):
            await bus.send(1)
        assert len(city.taps) == 1


async def test_a_tap_that_cannot_be_charged_is_kept_and_holds_up_no_other(postgres: asyncpg.Pool) -> None:
    async with charging(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        city.tariff.fails.add(tap(1).medium_id)  # type: ignore[attr-defined]
        bus.tap(2)
        receipt = await bus.send()
        assert (receipt.acknowledged, receipt.accounts, city.taps) == (2, (), [])
        city.tariff.fails.clear()  # type: ignore[attr-defined]
        bus.tap()
        assert (await bus.send(2)).acknowledged == 3
        await until_handed(city)
        assert [one.sequence for one in city.taps] == [1, 2, 3], "the older ones first"
        assert city.at_once == 0
        bus.tap()
        await bus.send(3)
        assert city.at_once == 1, "and then it is simple again"


async def test_a_tap_whose_bus_is_searched_waits_on_disk(postgres: asyncpg.Pool) -> None:
    async with charging(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        Places.searched = True
        bus.tap()
        assert (await bus.send()).acknowledged == 1
        assert city.taps == []
        Places.searched = False
        await city.devices().hand_over(DeviceId("v-1"))
        assert [one.sequence for one in city.taps] == [1]


async def test_of_uploads_at_one_moment_each_is_taken_once(postgres: asyncpg.Pool) -> None:
    async with charging(postgres) as city, aiohttp.ClientSession() as session:
        bus = Bus(city, session)
        await bus.enrol()
        bus.tap()
        stretch = bus.journal.after(0, 1, 10**6)
        assert stretch is not None
        device_id = DeviceId("v-1")
        batch = make_batch(stretch, city="kzo", device_id=device_id, sent_ms=1, waiting=0, key=bus.key)
        answered = await asyncio.gather(*(bus.link.send(batch) for _ in range(6)))
        receipts = [open_receipt(one.signed, city.key.public, device_id=device_id, sent_ms=1) for one in answered]
        outcomes = sorted(receipt.outcome for receipt in receipts if receipt is not None)
        assert outcomes == [Receiving.REPEATED] * 5 + [Receiving.TAKEN]
        assert len(city.taps) == 1


@pytest.fixture
def careful(tmp_path: Path) -> Iterator[Server]:
    """A server that syncs each commit, as that of a city does."""
    tmp_path.chmod(0o755)
    server = start_postgres(open_home(tmp_path))
    yield server
    server.stop()


async def test_a_live_tap_waits_for_the_disk_once(careful: Server) -> None:
    flushes: list[int] = []
    bus: Bus | None = None
    for count in (1, TAPS):
        async with (
            asyncpg.create_pool(careful.url, min_size=1, max_size=8) as pool,
            charging(pool) as city,
            aiohttp.ClientSession() as session,
        ):
            if bus is None:
                bus = Bus(city, session)
                await bus.enrol()
            bus.city, bus.link = city, Link(session, city.url)
            for _ in range(count):
                bus.tap()
                await bus.send(bus.journal.head.sequence - 1)
            assert city.at_once == count
        flushes.append(await wal_flushes(careful))
    assert TAPS <= flushes[1] - flushes[0] < 1.5 * TAPS
