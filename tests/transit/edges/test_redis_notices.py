"""Alerts and cancellations on a real Valkey: whoever follows knows them, whatever was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from commons.metrics import Metrics
from tests.patience import PATIENCE_S
from tests.transit.test_notices import alert
from transit.codec import encode_alert
from transit.keys import Keys
from transit.notices import KEEP_MS, Cancellation, Notices
from transit.store import redis_notices as module
from transit.store.redis_notices import NoticesStore, follow_notices

KEYS = Keys("test")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "PAUSE_S", 0.01)


async def next_of(following: AsyncIterator[Notices]) -> tuple[list[str], list[str]]:
    async with asyncio.timeout(PATIENCE_S):
        notices = await anext(following)
    return [one.alert_id for one in notices.alerts], [one.name for one in notices.cancellations]


def cancelled(name: str, until_ms: int = 10_000) -> Cancellation:
    return Cancellation(name=name, until_ms=until_ms, author="x", made_ms=1)


async def test_who_follows_hears_all_there_is_and_then_each_change(redis: Redis) -> None:
    store = NoticesStore(redis, KEYS)
    await store.put_alert(alert("first"), 0)
    async with aclosing(follow_notices(store, Metrics(), role="boards")) as following:  # type: ignore[type-var]
        assert await next_of(following) == (["first"], [])
        await store.put_cancellation(cancelled("20260302:T1"), 0)
        assert await next_of(following) == (["first"], ["20260302:T1"])
        await store.remove_cancellation("20260302:T1", 0)
        assert await next_of(following) == (["first"], [])
        await redis.flushall()
        assert await next_of(following) == ([], [])


async def test_without_a_change_nothing_is_said_but_all_is_read_again_now_and_then(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = NoticesStore(redis, KEYS)
    await store.put_alert(alert("first"), 0)
    monkeypatch.setattr(module, "LOOKS_AT_MOST", 5)
    async with aclosing(follow_notices(store, Metrics(), role="boards")) as following:  # type: ignore[type-var]
        assert await next_of(following) == (["first"], [])
        await redis.hset(KEYS.alerts, "unannounced", encode_alert(alert("unannounced")))
        found, _ = await next_of(following)
        assert sorted(found) == ["first", "unannounced"]


async def test_what_cannot_be_read_hides_nothing_else(redis: Redis) -> None:
    store = NoticesStore(redis, KEYS)
    await store.put_alert(alert("good"), 0)
    await redis.hset(KEYS.alerts, "bad", b"\x7f\x00")
    assert [one.alert_id for one in (await store.read()).alerts] == ["good"]


async def test_what_is_over_for_a_week_is_forgotten_by_the_next_write(redis: Redis) -> None:
    store = NoticesStore(redis, KEYS)
    await store.put_alert(alert("old", end_ms=2_000), 0)
    await store.put_cancellation(cancelled("old", 2_000), 0)
    await store.put_alert(alert("new", end_ms=3_000), 2_000 + KEEP_MS)
    assert len((await store.read()).alerts) == 2
    await store.put_alert(alert("newer", end_ms=3_000), 2_001 + KEEP_MS)
    kept = await store.read()
    assert (sorted(one.alert_id for one in kept.alerts), kept.cancellations) == (["new", "newer"], ())


async def test_while_redis_is_away_who_follows_waits(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    store, metrics = NoticesStore(redis, KEYS), Metrics()
    asked = 0

    async def away() -> bytes | str | None:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise ConnectionError("away")
        return await NoticesStore(redis, KEYS).number()

    monkeypatch.setattr(store, "number", away)
    async with aclosing(follow_notices(store, metrics, role="boards")) as following:  # type: ignore[type-var]
        assert await next_of(following) == ([], [])
    assert b'ayaldama_role_errors_total{role="boards",where="notices"} 2.0' in metrics.exposition()
