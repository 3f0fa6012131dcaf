"""Checkpoints on a real Valkey: what does not fit is not used, and it is said why."""

import pytest
from redis.asyncio import Redis

from transit.keys import Keys
from transit.store.checkpoints import Checkpoint, Checkpoints, Source

KEYS = Keys("test")
KEPT = Checkpoint(state=b"\x00state\xff", stream_id="1789970400000-3")


async def test_a_checkpoint_is_read_back_and_replaced_whole(redis: Redis) -> None:
    checkpoints = Checkpoints(redis, KEYS, feed_hash="abc")
    assert await checkpoints.load() == (None, Source.NOTHING)
    await checkpoints.save(KEPT)
    assert await checkpoints.load() == (KEPT, Source.CHECKPOINT)
    newer = Checkpoint(state=b"", stream_id="1789970405000-0")
    await checkpoints.save(newer)
    assert await checkpoints.load() == (newer, Source.CHECKPOINT)


async def test_a_checkpoint_of_another_timetable_is_not_used(redis: Redis) -> None:
    await Checkpoints(redis, KEYS, feed_hash="abc").save(KEPT)
    assert await Checkpoints(redis, KEYS, feed_hash="def").load() == (None, Source.OTHER_FEED)


async def test_a_checkpoint_of_another_version_is_not_used(redis: Redis) -> None:
    checkpoints = Checkpoints(redis, KEYS, feed_hash="abc")
    await checkpoints.save(KEPT)
    await redis.hset(KEYS.checkpoint, "schema", b"\x63")
    assert await checkpoints.load() == (None, Source.OTHER_SCHEMA)


@pytest.mark.parametrize("lost", ["state", "stream_id", "feed_hash", "schema"])
async def test_half_a_checkpoint_is_none(redis: Redis, lost: str) -> None:
    checkpoints = Checkpoints(redis, KEYS, feed_hash="abc")
    await checkpoints.save(KEPT)
    await redis.hdel(KEYS.checkpoint, lost)
    assert await checkpoints.load() == (None, Source.NOTHING)
