"""Where the live yardstick keeps what it needs: samples of what was published in Redis, figures in PostgreSQL.

Samples are a stream whose entries are named by their minute, so that of several processes one keeps it. A slice of
figures, the sums it adds to and the moment up to which all is counted are one transaction: whatever is killed, and
however many processes do the same, each prediction counts once.
"""

import datetime as dt
import zlib
from typing import Final

import asyncpg
import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from commons.logs import get_logger
from transit.accuracy.live import COUNTS, Sample, Tally, Told
from transit.codec import SCHEMA
from transit.keys import Keys
from transit.store.redis_streams import Entry, text_of

KEEP_MS: Final = 6_000_000  # samples: an hour before the slice, the slice, and what is not settled yet
MINUTE_MS: Final = 60_000
RECENT_MS: Final = 3_600_000
LOCK: Final = 0x41594C41  # of PostgreSQL's advisory locks

_FIELD: Final = b"s"
_log: Final = get_logger(__name__)
_encoder: Final = msgspec.msgpack.Encoder()
_sample: Final = msgspec.msgpack.Decoder(Sample)
_tallies: Final = msgspec.msgpack.Decoder(list[Tally])

_ADD_TOLD: Final = """
INSERT INTO prediction_accuracy AS sums (
    service_date, route_id, ahead, predictions, off_s, late_s, accurate, bounded, covered, width_s
)
SELECT * FROM unnest(
    $1::date[], $2::text[], $3::text[], $4::bigint[], $5::float8[], $6::float8[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::float8[]
)
ON CONFLICT (service_date, route_id, ahead) DO UPDATE SET
    predictions = sums.predictions + excluded.predictions,
    off_s = sums.off_s + excluded.off_s,
    late_s = sums.late_s + excluded.late_s,
    accurate = sums.accurate + excluded.accurate,
    bounded = sums.bounded + excluded.bounded,
    covered = sums.covered + excluded.covered,
    width_s = sums.width_s + excluded.width_s
"""
_ADD_COUNTS: Final = f"""
INSERT INTO passing_accuracy AS sums (service_date, route_id, {", ".join(COUNTS)})
SELECT * FROM unnest($1::date[], $2::text[], {", ".join(f"${i + 3}::bigint[]" for i in range(len(COUNTS)))})
ON CONFLICT (service_date, route_id) DO UPDATE SET
    {", ".join(f"{name} = sums.{name} + excluded.{name}" for name in COUNTS)}
"""  # noqa: S608 - names of our own columns


class Samples:
    """What was published, minute by minute."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.said

    async def keep(self, sample: Sample) -> bool:
        """Keep ``sample`` unless its minute is kept already; return whether it was.

        Raises:
            RedisError: if Redis cannot take it.
        """
        minute_ms = 1000 * sample.at_s // MINUTE_MS * MINUTE_MS
        data = zlib.compress(SCHEMA + _encoder.encode(sample), level=1)
        newest = await self._redis.xrevrange(self._key, count=1)
        if newest and _moment_ms(Entry.of(newest[0])) > minute_ms + MINUTE_MS:
            _log.warning("city time was set back: samples of later minutes are forgotten")
            await self._redis.delete(self._key)
        try:
            await self._redis.xadd(
                self._key, {_FIELD: data}, id=f"{minute_ms}-1", minid=f"{minute_ms - KEEP_MS}-0", approximate=False
            )
        except ResponseError:  # an id that is not above the last one
            return False
        return True

    async def read(self, from_ms: int) -> list[Sample]:
        """Return the samples from ``from_ms`` on; those of another version of the program are left out.

        Raises:
            RedisError: if Redis cannot be asked.
        """
        answer = await self._redis.xrange(self._key, min=f"{max(from_ms, 0)}-0")
        found = []
        for entry in map(Entry.of, answer or ()):
            data = zlib.decompress(entry.fields[_FIELD])
            if data[:1] == SCHEMA:
                found.append(_sample.decode(memoryview(data)[1:]))
        return found


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """What became certain from ``since_ms`` up to ``until_ms``."""

    since_ms: int
    until_ms: int
    tallies: list[Tally]


async def settled_until(pool: asyncpg.Pool) -> int | None:
    """Return up to when all is counted, epoch milliseconds of city time; None before the first slice."""
    found: dt.datetime | None = await pool.fetchval("SELECT max(until) FROM accuracy_slice")
    return _ms(found) if found is not None else None


async def add_slice(pool: asyncpg.Pool, one: Slice) -> bool:
    """Add ``one`` to the figures, if it goes on where they end; return whether it did.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if nothing was added.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        newest: dt.datetime | None = await connection.fetchval("SELECT max(until) FROM accuracy_slice")
        if newest is not None and _ms(newest) != one.since_ms:
            return False  # another process was faster
        told = [(tally, ahead, sums) for tally in one.tallies for ahead, sums in tally.told.items()]
        await connection.execute(
            _ADD_TOLD,
            [dt.date.fromisoformat(tally.service_date) for tally, _, _ in told],
            [tally.route_id for tally, _, _ in told],
            [ahead for _, ahead, _ in told],
            *([getattr(sums, name) for _, _, sums in told] for name in Told.__struct_fields__),
        )
        await connection.execute(
            _ADD_COUNTS,
            [dt.date.fromisoformat(tally.service_date) for tally in one.tallies],
            [tally.route_id for tally in one.tallies],
            *([getattr(tally, name) for tally in one.tallies] for name in COUNTS),
        )
        until = _moment(one.until_ms)
        await connection.execute(
            "INSERT INTO accuracy_slice (until, since, tallies) VALUES ($1, $2, $3)",
            *(until, _moment(one.since_ms), _encoder.encode(one.tallies)),
        )
        await connection.execute(
            "DELETE FROM accuracy_slice WHERE until <= $1", until - dt.timedelta(milliseconds=RECENT_MS)
        )
    return True


async def forget_later(pool: asyncpg.Pool, now_ms: int) -> None:
    """Forget slices that end after ``now_ms``: city time was set back. Sums of days stay."""
    await pool.execute("DELETE FROM accuracy_slice WHERE until > $1", _moment(now_ms))


async def last_hour(pool: asyncpg.Pool) -> Slice | None:
    """Return what was counted in the hour before the newest slice ended; None before the first."""
    rows = await pool.fetch("SELECT since, until, tallies FROM accuracy_slice ORDER BY until")
    if not rows:
        return None
    return Slice(
        since_ms=min(_ms(row["since"]) for row in rows),
        until_ms=_ms(rows[-1]["until"]),
        tallies=[tally for row in rows for tally in _tallies.decode(row["tallies"])],
    )


async def counted_dates(pool: asyncpg.Pool, *, limit: int) -> list[dt.date]:
    """Return the service dates there are figures for, the newest first."""
    rows = await pool.fetch(
        "SELECT DISTINCT service_date FROM passing_accuracy ORDER BY service_date DESC LIMIT $1", limit
    )
    return [row["service_date"] for row in rows]


async def of_date(pool: asyncpg.Pool, date: dt.date) -> list[Tally]:
    """Return the figures of one service date, a tally for each route."""
    told: dict[str, dict[str, Told]] = {}
    for row in await pool.fetch("SELECT * FROM prediction_accuracy WHERE service_date = $1", date):
        sums = {name: row[name] for name in Told.__struct_fields__ if name != "n"}
        told.setdefault(row["route_id"], {})[row["ahead"]] = Told(n=row["predictions"], **sums)
    rows = await pool.fetch("SELECT * FROM passing_accuracy WHERE service_date = $1 ORDER BY route_id", date)
    return [
        Tally(
            service_date=date.isoformat(),
            route_id=row["route_id"],
            told=told.get(row["route_id"], {}),
            **{name: row[name] for name in COUNTS},
        )
        for row in rows
    ]


def _moment_ms(entry: Entry) -> int:
    return int(text_of(entry.stream_id).partition("-")[0])


def _moment(epoch_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(epoch_ms / 1_000, tz=dt.UTC)


def _ms(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1_000)
