"""Training: stop events of past days out of PostgreSQL, what they teach into it.

Each service date is taken in once, in order, so that a night costs a day's events and not all history. Two trainings
do not run at once (an advisory lock); one that fails leaves what was there.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from transit.model import StopEvent
from transit.store.postgres_history import EVENT_COLUMNS, READ_MAX_S
from transit.tracking.learned import TravelTimes, from_bytes, to_bytes
from transit.tracking.training import Beginnings, drives_of, learn, leavings_of

KEPT: Final = 8  # trainings: a week to go back
LOCK: Final = 0x41594C54  # of PostgreSQL's advisory locks
DAYS_MAX: Final = 120  # older days have faded to nothing
BEGINS_AT: Final = dt.timedelta(hours=3)  # a service date ends when the last night bus has come in


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What a training did."""

    as_of: dt.date | None  # None: nothing has ever been observed
    days: int  # taken in now
    events: int
    links: int  # known now


async def newest(pool: asyncpg.Pool) -> dt.datetime | None:
    """Return when the newest training was, None if there was none."""
    found: dt.datetime | None = await pool.fetchval("SELECT max(trained_at) FROM travel_times")
    return found


async def load(pool: asyncpg.Pool) -> TravelTimes | None:
    """Return what the newest training left, None if there was none.

    Raises:
        ValueError: if it was written by a later version.
    """
    row = await pool.fetchrow("SELECT data FROM travel_times ORDER BY trained_at DESC LIMIT 1")
    return from_bytes(row["data"]) if row is not None else None


def last_whole_day(now_ms: int, zone: ZoneInfo) -> dt.date:
    """Return the last service date that is over."""
    return (dt.datetime.fromtimestamp(now_ms / 1000, zone) - BEGINS_AT).date() - dt.timedelta(days=1)


async def is_due(pool: asyncpg.Pool, until: dt.date) -> bool:
    """Return whether days up to ``until`` hold events that no training has seen."""
    return bool(
        await pool.fetchval(
            "SELECT EXISTS (SELECT 1 FROM stop_event WHERE service_date <= $1 AND service_date > coalesce("
            "(SELECT as_of FROM travel_times ORDER BY trained_at DESC LIMIT 1), date '-infinity'))",
            until,
        )
    )


async def train(
    pool: asyncpg.Pool,
    zone: ZoneInfo,
    planned: Beginnings,
    until: dt.date,
    *,
    anew: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Take in the service dates up to ``until`` that no training has seen; all that are kept if ``anew``.

    ``planned`` is what the feed says of where runs begin. ``progress`` is told how many of how many days are done.

    Raises:
        OSError, asyncpg.PostgresError: if the database does not answer; nothing has changed then.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        times = None if anew else await _before(connection)
        seen = times.as_of if times is not None else dt.date.min
        first = max(seen, until - dt.timedelta(days=DAYS_MAX))
        rows = await connection.fetch(
            "SELECT DISTINCT service_date FROM stop_event WHERE service_date > $1 AND service_date <= $2 ORDER BY 1",
            first,
            until,
        )
        days: list[dt.date] = [row["service_date"] for row in rows]
        events = 0
        for done, day in enumerate(days):
            observed = await _events(connection, day)
            events += len(observed)
            times = await asyncio.to_thread(_learn, times, observed, planned, day, zone)
            if progress is not None:
                progress(done + 1, len(days))
        if days and times is not None:
            await connection.execute(
                "INSERT INTO travel_times (as_of, events, data) VALUES ($1, $2, $3)",
                times.as_of,
                events,
                to_bytes(times),
            )
            await connection.execute(
                "DELETE FROM travel_times WHERE trained_at NOT IN "
                "(SELECT trained_at FROM travel_times ORDER BY trained_at DESC LIMIT $1)",
                KEPT,
            )
    known = times if times is not None else None
    return Trained(
        as_of=known.as_of if known else None, days=len(days), events=events, links=len(known.links) if known else 0
    )


def train_alone(postgres_url: str, zone_name: str, planned: Beginnings, until: dt.date) -> Trained:
    """Train in a process of its own: it takes a core for seconds, which live tracking must not miss."""

    async def work() -> Trained:
        async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1, command_timeout=READ_MAX_S) as pool:
            return await train(pool, ZoneInfo(zone_name), planned, until)

    return asyncio.run(work())


def _learn(
    times: TravelTimes | None, events: Sequence[StopEvent], planned: Beginnings, day: dt.date, zone: ZoneInfo
) -> TravelTimes:
    return learn(times, drives_of(events), leavings_of(events, planned), day, zone)


async def _before(connection: asyncpg.Connection) -> TravelTimes | None:
    row = await connection.fetchrow("SELECT data FROM travel_times ORDER BY trained_at DESC LIMIT 1")
    return from_bytes(row["data"]) if row is not None else None


async def _events(connection: asyncpg.Connection, day: dt.date) -> list[StopEvent]:
    rows = await connection.fetch(
        f"SELECT {EVENT_COLUMNS} FROM stop_event WHERE service_date = $1",  # noqa: S608 - columns of our own
        day,
        timeout=READ_MAX_S,
    )
    return [StopEvent(**row) for row in rows]
