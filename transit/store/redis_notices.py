"""Alerts and cancellations in Redis: written by commands, followed by every process that shows buses.

A write and the number that tells of it are one transaction. Followers ask for the number every second and read all
when it is another than before, so nothing rests on a message that could be lost, and a Redis that was emptied is
noticed too.
What is over is kept for a week to be looked at, and removed by the next write.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from commons.logs import get_logger
from commons.metrics import Metrics
from transit import codec
from transit.keys import Keys
from transit.notices import KEEP_MS, Alert, Cancellation, Notices

LOOK_S: Final = 1.0
LOOKS_AT_MOST: Final = 60  # after so many all is read anyway: a number can come again after Redis was emptied
PAUSE_S: Final = 2.0
ANSWER_MAX_S: Final = 5.0

_log: Final = get_logger(__name__)
Value = TypeVar("Value")


class NoticesStore:
    """Read and write what dispatchers say."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def read(self) -> Notices:
        """Return everything kept; what another version wrote and we cannot read is logged and left out.

        Raises:
            RedisError: if Redis cannot be asked.
        """
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hvals(self._keys.alerts)
            pipe.hvals(self._keys.cancellations)
            alerts, cancellations = await pipe.execute()
        return Notices(
            alerts=tuple(_readable(alerts, codec.decode_alert)),
            cancellations=tuple(_readable(cancellations, codec.decode_cancellation)),
        )

    async def put_alert(self, alert: Alert, now_ms: int) -> None:
        """Keep ``alert``, in place of one of the same id.

        Raises:
            RedisError: if it may not have been kept.
        """
        await self._write(now_ms, "hset", self._keys.alerts, alert.alert_id, codec.encode_alert(alert))

    async def put_cancellation(self, cancellation: Cancellation, now_ms: int) -> None:
        """Keep ``cancellation``, in place of one of the same run.

        Raises:
            RedisError: if it may not have been kept.
        """
        data = codec.encode_cancellation(cancellation)
        await self._write(now_ms, "hset", self._keys.cancellations, cancellation.name, data)

    async def remove_cancellation(self, name: str, now_ms: int) -> None:
        """Let a run run again.

        Raises:
            RedisError: if it may still be cancelled.
        """
        await self._write(now_ms, "hdel", self._keys.cancellations, name)

    async def number(self) -> bytes | str | None:
        """Return what tells one state of the notices from another.

        Raises:
            RedisError: if Redis cannot be asked.
        """
        found: bytes | str | None = await self._redis.get(self._keys.notices_number)
        return found

    async def _write(self, now_ms: int, command: str, *arguments: str | bytes) -> None:
        kept = await self.read()
        old_alerts = [one.alert_id for one in kept.alerts if one.over_ms < now_ms - KEEP_MS]
        old_runs = [one.name for one in kept.cancellations if one.until_ms < now_ms - KEEP_MS]
        async with self._redis.pipeline(transaction=True) as pipe:
            if old_alerts:
                pipe.hdel(self._keys.alerts, *old_alerts)
            if old_runs:
                pipe.hdel(self._keys.cancellations, *old_runs)
            pipe.execute_command(command.upper(), *arguments)
            pipe.incr(self._keys.notices_number)
            await pipe.execute()


async def follow_notices(store: NoticesStore, metrics: Metrics, *, role: str) -> AsyncIterator[Notices]:
    """Yield all notices now and after each change, for ever; while Redis is away what was said last holds."""
    known: bytes | str | None = None
    looks = 0
    while True:
        try:
            async with asyncio.timeout(ANSWER_MAX_S):
                number = await store.number()  # before what it tells of, so that a change between is read twice
                notices = await store.read() if looks % LOOKS_AT_MOST == 0 or number != known else None
        except (RedisError, OSError, TimeoutError) as error:
            metrics.count("role_errors_total", role=role, where="notices")
            _log.warning("alerts wait for Redis", error=repr(error), again_in_s=PAUSE_S)
            await asyncio.sleep(PAUSE_S)
            continue
        if notices is not None:
            known = number
            yield notices
        looks += 1
        await asyncio.sleep(LOOK_S)


def _readable(values: list[bytes], decode: Callable[[bytes], Value]) -> list[Value]:
    found: list[Value] = []
    for data in values:
        try:
            found.append(decode(data))
        except codec.SchemaError as error:
            _log.error("a notice cannot be read", error=str(error))
    return found
