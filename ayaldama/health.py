"""Is the system well? Answers ``/healthz`` (this process lives) and ``/readyz`` (what passengers see is true)."""

import asyncio
import datetime as dt
from collections.abc import Awaitable
from typing import Any, Final

import asyncpg
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from commons.clock import Clock
from gtfs_data.calendar import local_date
from gtfs_data.network import Network
from transit.keys import Keys
from transit.store.redis_streams import text_of

ANSWER_MAX_S: Final = 2.0
TRACKING_AGE_MAX_S: Final = 10.0  # tracking speaks at least once a second


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must be well. ``detail`` says in words what is known."""

    ok: bool
    detail: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /readyz``: status 200 when ``ok``, else 503.

    An old timetable is told but does not make the system unready: boards that still show live rows must stay.
    """

    ok: bool
    redis: Part
    postgres: Part
    gtfs: Part
    tracking: Part


class ServersReadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /readyz`` of a role that shows nothing of tracking: status 200 when ``ok``, else 503."""

    ok: bool
    redis: Part
    postgres: Part


class ServersHealth:
    """Asks the servers only."""

    def __init__(self, *, redis: Redis, pool: asyncpg.Pool) -> None:
        self._redis = redis
        self._pool = pool

    async def readiness(self) -> ServersReadiness:
        """Return how each server is. Money needs PostgreSQL; without Redis, occupancy and places are missing."""
        redis, postgres = await asyncio.gather(_asked(ask_redis(self._redis)), _asked(ask_postgres(self._pool)))
        return ServersReadiness(ok=postgres.ok, redis=redis, postgres=postgres)


class Health:
    """Asks the servers, and how old the things are that we show."""

    def __init__(self, network: Network, *, redis: Redis, keys: Keys, pool: asyncpg.Pool, clock: Clock) -> None:
        self._network = network
        self._redis = redis
        self._keys = keys
        self._pool = pool
        self._clock = clock

    async def readiness(self) -> Readiness:
        """Return how each part is; whoever does not answer in time is not well."""
        redis, postgres, tracking = await asyncio.gather(
            _asked(ask_redis(self._redis)), _asked(ask_postgres(self._pool)), _asked(self._ask_tracking())
        )
        gtfs = self._gtfs()
        return Readiness(
            ok=redis.ok and postgres.ok and tracking.ok,
            redis=redis,
            postgres=postgres,
            gtfs=gtfs,
            tracking=tracking,
        )

    async def _ask_tracking(self) -> Part:
        last = await self._redis.xrevrange(self._keys.changes, count=1)
        if not last:
            return Part(ok=False, detail="has never spoken")
        seconds, microseconds = await self._redis.time()
        written_ms = int(text_of(last[0][0]).partition("-")[0])
        age_s = max(seconds + microseconds / 1e6 - written_ms / 1e3, 0.0)
        return Part(ok=age_s <= TRACKING_AGE_MAX_S, detail=f"spoke {age_s:.0f} s ago")

    def _gtfs(self) -> Part:
        services = self._network.services
        days_left = services.runs.shape[1] - 1 - (self._today() - services.first_date).days
        if days_left < 0:
            return Part(ok=False, detail=f"the timetable ended {-days_left} days ago")
        return Part(ok=True, detail=f"the timetable ends in {days_left} days")

    def _today(self) -> dt.date:
        return local_date(self._clock.now_ms(), self._network.time_zone)


async def ask_redis(redis: Redis) -> Part:
    """Return how Redis is."""
    answer: Any = redis.ping()
    await answer
    return Part(ok=True, detail="answers")


async def ask_postgres(pool: asyncpg.Pool) -> Part:
    """Return how PostgreSQL is."""
    await pool.fetchval("SELECT 1")
    return Part(ok=True, detail="answers")


async def _asked(question: Awaitable[Part]) -> Part:
    try:
        async with asyncio.timeout(ANSWER_MAX_S):
            return await question
    except TimeoutError:
        return Part(ok=False, detail=f"no answer in {ANSWER_MAX_S:.0f} s")
    except (OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Part(ok=False, detail=f"no answer: {type(error).__name__}")
