"""The tracking loop on real Valkey and PostgreSQL, with a tracker small enough to know what must come of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from ayaldama.embedded import open_home, start_valkey
from commons.clock import SystemClock
from commons.metrics import Metrics
from commons.migrate import migrate
from gtfs_data.network import Network
from tests.patience import PATIENCE_S
from transit import service
from transit.codec import encode_arrival
from transit.keys import Keys
from transit.model import (
    Arrival,
    ArrivalKey,
    Changes,
    PositionBatch,
    PositionReport,
    StopEvent,
    Tracking,
    Update,
    VehiclePosition,
)
from transit.service import restore_tracker, serve_tracking
from transit.store.checkpoints import Checkpoints, Source
from transit.store.redis_reports import ReportsReader, ReportsWriter
from transit.store.redis_state import StateReader, StateSnapshot

KEYS = Keys("test")
NETWORK = cast("Network", SimpleNamespace(feed_hash="abc"))


class CountingTracker:
    """Counts the reports of each vehicle, says so at one stop per vehicle, and makes an event of each report."""

    def __init__(self, counts: dict[str, int] | None = None, *, breaks_on: str = "") -> None:
        self.counts = dict(counts or {})
        self.seen: list[tuple[str, int]] = []
        self.times_ms: list[int] = []
        self.as_of_ms = 0
        self.breaks_on = breaks_on

    @classmethod
    def restore(cls, data: bytes) -> "CountingTracker":
        return cls(msgspec.msgpack.decode(data, type=dict[str, int]))

    def checkpoint(self) -> bytes:
        return msgspec.msgpack.encode(self.counts)

    def advance(self, batch: PositionBatch, now_ms: int) -> Changes:
        if self.breaks_on in batch.vehicle_id:
            raise ValueError("a bug")
        self.as_of_ms = now_ms
        self.times_ms.append(now_ms)
        events = []
        for vehicle_id, fix_ms in zip(batch.vehicle_id, batch.fix_ms.tolist(), strict=True):
            self.counts[vehicle_id] = self.counts.get(vehicle_id, 0) + 1
            self.seen.append((vehicle_id, fix_ms))
            events.append(self._event(vehicle_id, self.counts[vehicle_id]))
        changed = sorted(set(batch.vehicle_id))
        return Changes(update=self._update(changed), stop_events=events, accepted=len(batch), rejected={}, phases={})

    def published(self) -> Update:
        return self._update(sorted(self.counts))

    def _update(self, vehicle_ids: Sequence[str]) -> Update:
        return Update(
            as_of_ms=self.as_of_ms,
            vehicles=[self._vehicle(vehicle_id) for vehicle_id in vehicle_ids],
            arrivals=[self._arrival(vehicle_id) for vehicle_id in vehicle_ids],
            withdrawn=[ArrivalKey(stop_id="old", key="old")] if vehicle_ids else [],
        )

    def _vehicle(self, vehicle_id: str) -> VehiclePosition:
        return VehiclePosition(
            vehicle_id=vehicle_id, fix_ms=self.counts[vehicle_id], lat=0.0, lon=0.0, heading_deg=None, speed_mps=None,
            phase="in_service", route_id="12", direction_id=0, trip_id="", run_key="", offset_m=None, next_stop_id="",
            deviation_s=None,
        )  # fmt: skip

    def _arrival(self, vehicle_id: str) -> Arrival:
        return Arrival(
            key=vehicle_id, stop_id=f"stop of {vehicle_id}", vehicle_id=vehicle_id, route_id="12", direction_id=0,
            trip_id="", run_key="", stop_sequence=1, arrival_ms=self.counts[vehicle_id], arrival_p10_ms=0,
            arrival_p90_ms=0, state="live", fix_ms=0, scheduled_ms=None,
        )  # fmt: skip

    def _event(self, vehicle_id: str, number: int) -> StopEvent:
        return StopEvent(
            service_date="2026-09-21", vehicle_id=vehicle_id, route_id="12", direction_id=0, trip_id="", run_key="r",
            stop_id="market", stop_sequence=number, arrival_ms=0, departure_ms=None, uncertainty_s=1.0,
            scheduled_arrival_ms=None,
        )  # fmt: skip


def report(vehicle_id: str, fix_ms: int) -> PositionReport:
    return PositionReport(vehicle_id=vehicle_id, fix_ms=fix_ms, received_ms=fix_ms + 500, lat=44.8, lon=65.4)


@asynccontextmanager
async def tracking(
    redis: Redis, history: asyncpg.Pool, tracker: Tracking, *, after: str | None = None, metrics: Metrics | None = None
) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve_tracking(
                tracker=tracker,
                network=NETWORK,
                redis=redis,
                keys=KEYS,
                history=history,
                clock=SystemClock(),
                metrics=metrics or Metrics(),
                stop=stop,
                after=after,
            )
        )
        try:
            yield stop
        finally:
            stop.set()


async def restored(redis: Redis, metrics: Metrics | None = None) -> tuple[CountingTracker, str | None]:
    found = await restore_tracker(
        NETWORK,
        new=CountingTracker,
        restore=CountingTracker.restore,
        redis=redis,
        keys=KEYS,
        metrics=metrics or Metrics(),
    )
    return cast("CountingTracker", found.tracker), found.after


async def append(redis: Redis, *reports: PositionReport) -> None:
    await ReportsWriter(redis, KEYS, Metrics()).append(reports)


async def snapshot_with(redis: Redis, counts: dict[str, int]) -> StateSnapshot:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            snapshot = await StateReader(redis, KEYS).snapshot()
            if {each.vehicle_id: each.fix_ms for each in snapshot.vehicles} == counts:
                return snapshot
            await asyncio.sleep(0.02)


async def test_reports_come_out_as_state_feed_and_history(redis: Redis, postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    tracker = CountingTracker()
    async with tracking(redis, postgres, tracker):
        await append(redis, report("bus-1", 1), report("bus-2", 1), report("bus-1", 2))
        snapshot = await snapshot_with(redis, {"bus-1": 2, "bus-2": 1})
        assert {each.stop_id for each in snapshot.arrivals} == {"stop of bus-1", "stop of bus-2"}
    assert await postgres.fetchval("SELECT count(*) FROM stop_event") == 3
    checkpoint, _ = await Checkpoints(redis, KEYS, feed_hash="abc").load()
    assert checkpoint is not None
    assert checkpoint.state == tracker.checkpoint()


async def test_readers_hear_that_we_live_though_nothing_happens(redis: Redis, postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    async with tracking(redis, postgres, CountingTracker()), asyncio.timeout(PATIENCE_S):
        heard = 0
        async for _, update in StateReader(redis, KEYS).follow("0-0"):
            assert (update.vehicles, update.arrivals) == ([], [])
            heard += 1
            if heard == 3:
                break


async def test_a_restart_takes_every_report_once_and_publishes_the_whole_state(
    redis: Redis, postgres: asyncpg.Pool
) -> None:
    await migrate(postgres, "transit.store")
    async with tracking(redis, postgres, CountingTracker()):
        await append(redis, report("bus-1", 1), report("bus-2", 1))
        await snapshot_with(redis, {"bus-1": 1, "bus-2": 1})
    await append(redis, report("bus-1", 2))  # while nobody tracks
    await redis.delete(KEYS.vehicles)
    ghost = CountingTracker({"ghost": 1}).published().arrivals[0]
    await redis.hset(KEYS.arrivals("ghost stop"), "ghost", encode_arrival(ghost))
    await redis.sadd(KEYS.arrival_stops, "ghost stop")
    tracker, after = await restored(redis)
    assert tracker.counts == {"bus-1": 1, "bus-2": 1}
    async with tracking(redis, postgres, tracker, after=after):
        snapshot = await snapshot_with(redis, {"bus-1": 2, "bus-2": 1})
        assert sorted(each.key for each in snapshot.arrivals) == ["bus-1", "bus-2"], "the ghost is gone"
    assert tracker.seen == [("bus-1", 2)]
    assert await postgres.fetchval("SELECT count(*) FROM stop_event") == 3


async def test_after_a_crash_events_are_made_again_and_counted_once(
    redis: Redis, postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(service, "FLUSH_MAX_S", 0.1)
    first = CountingTracker()
    async with tracking(redis, postgres, first):  # the table is missing: history is stuck
        await append(redis, report("bus-1", 1))
        await snapshot_with(redis, {"bus-1": 1})
        await append(redis, report("bus-1", 2))
        await snapshot_with(redis, {"bus-1": 2})
    assert await Checkpoints(redis, KEYS, feed_hash="abc").load() == (None, Source.NOTHING), "it was held back"
    await migrate(postgres, "transit.store")
    tracker, after = await restored(redis)
    async with tracking(redis, postgres, tracker, after=after):
        await snapshot_with(redis, {"bus-1": 2})
    assert await postgres.fetchval("SELECT count(*) FROM stop_event") == 2


async def test_a_backlog_is_seen_at_the_time_it_was_received(redis: Redis, postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    for minute in range(5):
        await append(redis, *(report("bus-1", minute * 60_000 + number) for number in range(service.REPORTS_MAX)))
    tracker = CountingTracker()
    async with tracking(redis, postgres, tracker, after="0-0"):
        await snapshot_with(redis, {"bus-1": 5 * service.REPORTS_MAX})
    past = [now_ms for now_ms in tracker.times_ms if now_ms < 10 * 60_000]
    assert past == [minute * 60_000 + service.REPORTS_MAX - 1 + 500 for minute in range(5)]
    assert tracker.times_ms == sorted(tracker.times_ms)


async def test_a_batch_that_meets_a_bug_stops_neither_the_city_nor_a_restart(
    redis: Redis, postgres: asyncpg.Pool
) -> None:
    await migrate(postgres, "transit.store")
    metrics = Metrics()
    async with tracking(redis, postgres, CountingTracker(breaks_on="bad-bus"), metrics=metrics):
        await append(redis, report("bad-bus", 1))
        async with asyncio.timeout(PATIENCE_S):
            while 'where="advance"' not in metrics.exposition().decode():  # noqa: ASYNC110 - a counter tells nobody
                await asyncio.sleep(0.01)
        await append(redis, report("bus-1", 1))
        await snapshot_with(redis, {"bus-1": 1})
    assert 'role_errors_total{role="tracking",where="advance"} 1.0' in metrics.exposition().decode()


async def test_an_unreadable_entry_is_passed_over(redis: Redis, postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    metrics = Metrics()
    async with tracking(redis, postgres, CountingTracker(), metrics=metrics):
        await redis.xadd(KEYS.reports, {b"b": b"\x01rubbish"})
        await redis.xadd(KEYS.reports, {b"other": b""})
        await append(redis, report("bus-1", 1))
        await snapshot_with(redis, {"bus-1": 1})
    assert 'role_errors_total{role="tracking",where="report_entry"} 2.0' in metrics.exposition().decode()


async def test_tracking_survives_a_redis_that_dies_and_comes_back_empty(postgres: asyncpg.Pool, tmp_path: Path) -> None:
    await migrate(postgres, "transit.store")
    home = open_home(tmp_path / "data")
    server = start_valkey(home)
    redis, mine = Redis.from_url(server.url), Redis.from_url(server.url)
    try:
        async with tracking(mine, postgres, CountingTracker()):
            await append(redis, report("bus-1", 1), report("bus-2", 1))
            await snapshot_with(redis, {"bus-1": 1, "bus-2": 1})
            server.process.kill()
            server.process.wait()
            server = start_valkey(home)
            await redis.connection_pool.disconnect()
            await redis.flushall()
            await append(redis, report("bus-1", 2))
            await snapshot_with(redis, {"bus-1": 2, "bus-2": 1})
            assert len(await ReportsReader(redis, KEYS, Metrics()).read("0-0", count=10)) == 1
    finally:
        await redis.aclose()
        await mine.aclose()
        server.stop()


async def test_a_checkpoint_that_cannot_be_restored_begins_anew(redis: Redis) -> None:
    metrics = Metrics()
    await redis.hset(
        KEYS.checkpoint, mapping={"state": b"\xc1", "stream_id": "5-0", "feed_hash": "abc", "schema": b"\x01"}
    )
    tracker, after = await restored(redis, metrics)
    assert (tracker.counts, after) == ({}, None)
    assert 'tracking_restarts_total{source="broken"} 1.0' in metrics.exposition().decode()
