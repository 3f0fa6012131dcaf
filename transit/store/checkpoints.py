"""Tracking's last state, so that a restart continues where it was instead of learning the city anew."""

import enum
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from commons.logs import get_logger
from commons.metrics import Metrics
from transit import codec
from transit.keys import Keys
from transit.store.redis_streams import text_of

_log: Final = get_logger(__name__)


class Source(enum.StrEnum):
    """What a start of tracking continued from. Each member is a metric label."""

    CHECKPOINT = enum.auto()
    NOTHING = enum.auto()  # there was none
    OTHER_FEED = enum.auto()  # it knows another timetable: its indexes mean other things now
    OTHER_SCHEMA = enum.auto()  # another version of the program wrote it
    BROKEN = enum.auto()  # the tracker could not read it


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A tracker's whole state after the entry ``stream_id`` of the reports."""

    state: bytes
    stream_id: str


class Checkpoints:
    """Keep one checkpoint of one feed."""

    def __init__(self, redis: Redis, keys: Keys, *, feed_hash: str) -> None:
        self._redis = redis
        self._key = keys.checkpoint
        self._feed_hash = feed_hash

    async def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint; one command, so it is never half new.

        Raises:
            RedisError: if Redis cannot take it.
        """
        fields: dict[Any, Any] = {
            "state": checkpoint.state,
            "stream_id": checkpoint.stream_id,
            "feed_hash": self._feed_hash,
            "schema": codec.SCHEMA,
        }
        await self._redis.hset(self._key, mapping=fields)

    async def load(self) -> tuple[Checkpoint | None, Source]:
        """Return the checkpoint, or None and why there is none to use.

        Raises:
            RedisError: if Redis cannot be asked.
        """
        held: dict[Any, Any] = await self._redis.hgetall(self._key)
        if not held.keys() >= {b"state", b"stream_id", b"feed_hash", b"schema"}:
            return None, Source.NOTHING
        if held[b"schema"] != codec.SCHEMA:
            return None, Source.OTHER_SCHEMA
        if text_of(held[b"feed_hash"]) != self._feed_hash:
            return None, Source.OTHER_FEED
        return Checkpoint(state=bytes(held[b"state"]), stream_id=text_of(held[b"stream_id"])), Source.CHECKPOINT


def report_start(source: Source, metrics: Metrics) -> None:
    """Count and log what a start of tracking continued from."""
    metrics.count("tracking_restarts_total", source=source.value)
    if source in (Source.CHECKPOINT, Source.NOTHING):
        _log.info("tracking starts", source=source.value)
    else:
        _log.warning("tracking starts anew, the checkpoint cannot be used", source=source.value)
