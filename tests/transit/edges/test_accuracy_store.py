"""Samples and figures of the live yardstick on real servers: each minute and each prediction counts once."""

import asyncio
import datetime as dt

import asyncpg
from redis.asyncio import Redis

from commons.migrate import migrate
from tests.transit.edges.test_history import event
from transit.accuracy.live import Sample, Tally, Told, by_route
from transit.keys import Keys
from transit.store.accuracy import (
    KEEP_MS,
    Samples,
    Slice,
    add_slice,
    counted_dates,
    forget_later,
    last_hour,
    of_date,
    settled_until,
)
from transit.store.postgres_history import events_between, write_stop_events

KEYS = Keys("test")
MINUTE_MS = 60_000
NOON_MS = 1_789_970_400_000
MONDAY = dt.date(2026, 9, 21)


def sample(minute: int) -> Sample:
    return Sample(
        at_s=NOON_MS // 1000 + 60 * minute,
        feed_hash="feed",
        one_of=1,
        vehicles=["a"],
        vehicle=[0, 0],
        route=[0, 0],
        direction=[0, 0],
        stop=[3, 4],
        sequence=[4, 5],
        arrival_s=[-12, 600],
        p10_s=[-12, 540],
        p90_s=[0, 800],
        placed=[0],
        fix_s=[-4],
        lat=[44.85],
        lon=[65.5],
    )


def tally(route_id: str, n: int, date: dt.date = MONDAY) -> Tally:
    told = Told(n=n, off_s=30.5 * n, late_s=-2.0 * n, accurate=n - 1, bounded=n, covered=n // 2, width_s=60.0 * n)
    return Tally(service_date=date.isoformat(), route_id=route_id, told={"0-3": told}, passings=n, foretold=n - 1)


def piece(minute: int, *tallies: Tally, minutes: int = 5) -> Slice:
    since_ms = NOON_MS + MINUTE_MS * minute
    return Slice(since_ms=since_ms, until_ms=since_ms + MINUTE_MS * minutes, tallies=list(tallies))


async def test_a_minute_is_kept_once_by_whoever_comes_first(redis: Redis) -> None:
    one, other = Samples(redis, KEYS), Samples(redis, KEYS)
    assert [await one.keep(sample(0)), await other.keep(sample(0)), await other.keep(sample(1))] == [True, False, True]
    assert await one.read(NOON_MS) == [sample(0), sample(1)]
    assert await one.read(NOON_MS + 1) == [sample(1)]


async def test_old_samples_go(redis: Redis) -> None:
    samples = Samples(redis, KEYS)
    late = KEEP_MS // MINUTE_MS
    for minute in (0, 1, late + 1):
        assert await samples.keep(sample(minute))
    assert await samples.read(0) == [sample(1), sample(late + 1)]


async def test_a_city_clock_that_was_set_back_begins_anew(redis: Redis) -> None:
    samples = Samples(redis, KEYS)
    assert await samples.keep(sample(300))
    assert await samples.keep(sample(0))
    assert await samples.read(0) == [sample(0)]


async def test_a_sample_of_another_version_is_left_out(redis: Redis) -> None:
    samples = Samples(redis, KEYS)
    await samples.keep(sample(0))
    ((_, fields),) = await redis.xrange(KEYS.said)
    import zlib

    await redis.xadd(KEYS.said, {b"s": zlib.compress(b"\xff" + zlib.decompress(fields[b"s"])[1:])}, id=f"{NOON_MS + 9}")
    assert await samples.read(0) == [sample(0)]


async def test_slices_add_up_to_days_and_to_the_last_hour(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    assert (await settled_until(postgres), await last_hour(postgres)) == (None, None)
    for number in range(14):
        assert await add_slice(postgres, piece(5 * number, tally("10", 3), tally("2", 1)))
    assert await settled_until(postgres) == NOON_MS + 70 * MINUTE_MS
    hour = await last_hour(postgres)
    assert hour is not None
    assert (hour.since_ms, hour.until_ms) == (NOON_MS + 10 * MINUTE_MS, NOON_MS + 70 * MINUTE_MS)
    assert by_route(hour.tallies)["10"].told["0-3"].n == 36
    found = await of_date(postgres, MONDAY)
    assert [(one.route_id, one.passings, one.told["0-3"].n) for one in found] == [("10", 42, 42), ("2", 14, 14)]
    assert found[0].told["0-3"] == Told(
        n=42, off_s=42 * 30.5, late_s=-84.0, accurate=28, bounded=42, covered=14, width_s=42 * 60.0
    )


async def test_two_processes_do_not_count_a_slice_twice(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    done = await asyncio.gather(*(add_slice(postgres, piece(0, tally("10", 3))) for _ in range(4)))
    assert sorted(done) == [False, False, False, True]
    assert not await add_slice(postgres, piece(10, tally("10", 3))), "a slice that leaves out minutes"
    assert (await of_date(postgres, MONDAY))[0].passings == 3


async def test_days_can_be_looked_back_at_the_newest_first(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    days = [MONDAY + dt.timedelta(days=number) for number in range(3)]
    await add_slice(postgres, piece(0, *(tally("10", 3, day) for day in days)))
    assert await counted_dates(postgres, limit=2) == [days[2], days[1]]
    assert await of_date(postgres, MONDAY - dt.timedelta(days=1)) == []


async def test_slices_after_a_clock_that_was_set_back_are_forgotten(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    await add_slice(postgres, piece(0))
    await add_slice(postgres, piece(5))
    await forget_later(postgres, NOON_MS + 6 * MINUTE_MS)
    assert await settled_until(postgres) == NOON_MS + 5 * MINUTE_MS


async def test_events_of_a_stretch_of_time_come_as_they_were_written(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    events = [event(number, arrival_ms=MINUTE_MS * number) for number in range(5)]
    await write_stop_events(postgres, events)
    found = await events_between(postgres, events[1].arrival_ms, events[3].arrival_ms)
    assert sorted(found, key=lambda one: one.stop_sequence) == events[1:3]
