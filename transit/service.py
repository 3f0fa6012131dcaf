"""The tracking loop: reports from the stream, through the tracker, to boards and history.

Ten times a second (or as soon as ``REPORTS_MAX`` wait) a batch is read, the tracker advances, and what changed is
published; at least once a second something is, so that readers know we live. Stop events go to PostgreSQL beside the
loop. Every few seconds the tracker's state is kept with the stream id it stands for, but not before the events up to
there are in PostgreSQL: a restart begins at the last checkpoint and makes the missing ones again.

While reports wait (after a restart, or when we are slower than the city) the tracker is told the time at which they
were received, so that it sees the city as it was then and not a city fallen silent.
"""

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from gtfs_data.network import Network
from transit.keys import Keys
from transit.model import Changes, PositionReport, Tracking, Update, batch_of
from transit.outcomes import DetourState
from transit.store.checkpoints import Checkpoint, Checkpoints, Source, report_start
from transit.store.postgres_history import HistoryWriter
from transit.store.redis_reports import KEEP_S, ReportsEntry, ReportsReader
from transit.store.redis_state import StateLostError, StateWriter
from transit.store.travel_times import Trained, is_due, last_whole_day, load, newest
from transit.tracking.learned import TravelTimes

TICK_S: Final = 0.1
REPORTS_MAX: Final = 2_000
ENTRIES_MAX: Final = 16
ALIVE_S: Final = 1.0
CHECKPOINT_S: Final = 5.0
HOLD_MAX_S: Final = KEEP_S / 2  # a checkpoint held back longer would point at reports no longer kept
CATCH_UP_MAX_S: Final = 3.0  # then boards get what we have, even if reports still wait
BEGIN_BEFORE_S: Final = 120  # without a checkpoint we begin with the reports of the last two minutes
ANSWER_MAX_S: Final = 10.0
FLUSH_MAX_S: Final = 5.0
PAUSE_FIRST_S: Final = 0.05
PAUSE_MAX_S: Final = 1.0
SCHOOL_S: Final = 60.0  # wall time between looks for something new to learn
SCHOOL_PAUSE_S: Final = 600.0  # after a training that failed

_log: Final = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A tracker and the entry of the reports it stands at; None: it knows nothing yet."""

    tracker: Tracking
    after: str | None


async def restore_tracker(
    network: Network,
    *,
    new: Callable[[], Tracking],
    restore: Callable[[bytes], Tracking],
    redis: Redis,
    keys: Keys,
    metrics: Metrics,
) -> Restored:
    """Return the tracker of the last checkpoint, or a new one if there is none that fits; say which in log and metrics.

    Raises:
        RedisError: if Redis cannot be asked.
    """
    checkpoint, source = await Checkpoints(redis, keys, feed_hash=network.feed_hash).load()
    tracker: Tracking | None = None
    if checkpoint is not None:
        try:
            tracker = restore(checkpoint.state)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, a city must not stay dark for it
            source = Source.BROKEN
            _log.error("checkpoint cannot be restored", error=repr(error))
    report_start(source, metrics)
    if checkpoint is None or tracker is None:
        return Restored(tracker=new(), after=None)
    return Restored(tracker=tracker, after=checkpoint.stream_id)


class School:
    """Trains when a service date is over, and hands what was learned, by whomever, to the tracker."""

    def __init__(
        self,
        adopt: Callable[[TravelTimes], None],
        *,
        history: asyncpg.Pool,
        zone: ZoneInfo,
        clock: Clock,
        metrics: Metrics,
        train: Callable[[dt.date], Awaitable[Trained]],
    ) -> None:
        self._adopt, self._history, self._zone = adopt, history, zone
        self._clock, self._metrics, self._train = clock, metrics, train
        self._known: dt.datetime | None = None

    async def run(self) -> None:
        """Look every ``SCHOOL_S``, for ever; a lost database or a failed training is survived."""
        while True:
            await asyncio.sleep(SCHOOL_S)
            try:
                until = last_whole_day(self._clock.now_ms(), self._zone)
                if await is_due(self._history, until):
                    began_s = monotonic_s()
                    trained = await self._train(until)
                    self._metrics.set("training_seconds", monotonic_s() - began_s)
                    _log.info("trained", as_of=str(trained.as_of), days=trained.days, events=trained.events)
            except Exception as error:  # noqa: BLE001 - top of the task: a bad day must not stop tracking
                self._metrics.count("role_errors_total", role="tracking", where="training")
                _log.exception("training failed, what was known stays", error=repr(error))
                await asyncio.sleep(SCHOOL_PAUSE_S)
            await self.look()

    async def look(self) -> None:
        """Adopt the newest training, if it is new."""
        try:
            found = await newest(self._history)
            if found is None or found == self._known:
                return
            times = await load(self._history)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._metrics.count("role_errors_total", role="tracking", where="training")
            _log.warning("travel times not read", error=repr(error))
            return
        if times is not None:
            self._adopt(times)
            self._known = found
            self._metrics.set("training_links", len(times.links))
            _log.info("travel times adopted", as_of=times.as_of.isoformat(), links=len(times.links))


async def serve_tracking(
    *,
    tracker: Tracking,
    network: Network,
    redis: Redis,
    keys: Keys,
    history: asyncpg.Pool,
    clock: Clock,
    metrics: Metrics,
    stop: asyncio.Event,
    after: str | None = None,
    school: "School | None" = None,
) -> None:
    """Track until ``stop``, from the entry after ``after`` (see ``restore_tracker``); the last act is a checkpoint.

    ``school`` trains each night, and lets the tracker know what was learned.
    """
    async with asyncio.TaskGroup() as tasks:
        learning = None
        if school is not None:
            await school.look()
            learning = tasks.create_task(school.run(), name="school")
        events = HistoryWriter(history, metrics)
        writing = tasks.create_task(events.run(), name="history")
        loop = _TrackingLoop(
            tracker=tracker,
            reports=ReportsReader(redis, keys, metrics),
            state=StateWriter(redis, keys),
            checkpoints=Checkpoints(redis, keys, feed_hash=network.feed_hash),
            events=events,
            clock=clock,
            metrics=metrics,
            after=after,
        )
        try:
            await loop.run(stop)
        finally:
            writing.cancel()
            if learning is not None:
                learning.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A checkpoint that waits for the events before it to be in PostgreSQL."""

    checkpoint: Checkpoint
    events: int
    taken_s: float


class _TrackingLoop:
    def __init__(
        self,
        *,
        tracker: Tracking,
        reports: ReportsReader,
        state: StateWriter,
        checkpoints: Checkpoints,
        events: HistoryWriter,
        clock: Clock,
        metrics: Metrics,
        after: str | None,
    ) -> None:
        self._tracker = tracker
        self._reports = reports
        self._state = state
        self._checkpoints = checkpoints
        self._events = events
        self._clock = clock
        self._metrics = metrics
        self._read_to = after  # last entry read
        self._after = after  # last entry the tracker has
        self._unread: deque[ReportsEntry] = deque()
        self._behind = False
        self._now_ms = 0
        self._whole_due = True  # Redis may hold something else than the tracker published
        self._advanced_s = 0.0
        self._published_s = 0.0
        self._checkpointed_s = monotonic_s()
        self._held: _Held | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until ``stop``; errors of Redis are counted, logged and survived."""
        pause_s = PAUSE_FIRST_S
        await self._survive(self._catch_up(stop), "catch_up")
        while not stop.is_set():
            began_s = monotonic_s()
            if await self._survive(self._tick(), "tick"):
                pause_s = PAUSE_FIRST_S
                wait_s = 0.0 if self._behind else began_s + TICK_S - monotonic_s()
            else:
                self._whole_due = True
                wait_s = pause_s
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            await asyncio.sleep(max(wait_s, 0.0))
        if await self._events.flush(FLUSH_MAX_S) and self._after is not None:
            await self._survive(self._save(self._checkpoint(self._after)), "last_checkpoint")

    async def _survive(self, step: Awaitable[None], where: str) -> bool:
        """Take ``step``; return False if it failed, which is counted and logged."""
        try:
            await step
        except (RedisError, OSError, TimeoutError, StateLostError) as error:
            self._metrics.count("role_errors_total", role="tracking", where=where)
            _log.warning("tracking tries again", where=where, error=repr(error))
            return False
        except Exception as error:  # noqa: BLE001 - top of the role: a bug must not stop a city
            self._metrics.count("role_errors_total", role="tracking", where=where)
            _log.exception("tracking tries again after a bug", where=where, error=repr(error))
            return False
        return True

    async def _catch_up(self, stop: asyncio.Event) -> None:
        """Take what waits before anything is published, so that boards do not see the past pass by."""
        until_s = monotonic_s() + CATCH_UP_MAX_S
        self._behind = True
        while self._behind and monotonic_s() < until_s and not stop.is_set():
            self._advance(await self._next())
            await asyncio.sleep(0)

    async def _tick(self) -> None:
        batch = await self._next()
        if batch or self._whole_due or monotonic_s() - self._advanced_s >= ALIVE_S:
            changes = self._advance(batch)
            if changes is not None:
                await self._publish(changes.update, batch)
        await self._keep()

    async def _next(self) -> list[PositionReport]:
        """Return the reports that wait, ``REPORTS_MAX`` or one entry more at most; ``_behind``: more wait."""
        if self._read_to is None:
            self._read_to = await self._reports.id_before_newest(BEGIN_BEFORE_S)
        batch: list[PositionReport] = []
        while len(batch) < REPORTS_MAX:
            if not self._unread:
                try:
                    async with asyncio.timeout(ANSWER_MAX_S):
                        entries = await self._reports.read(self._read_to, count=ENTRIES_MAX)
                except (RedisError, OSError, TimeoutError):
                    if not batch:
                        raise
                    break  # what was read already is not lost; the next tick meets the error again
                if not entries:
                    break
                self._unread.extend(entries)
                self._read_to = entries[-1].stream_id
            entry = self._unread.popleft()
            batch.extend(entry.reports)
            self._after = entry.stream_id
        self._behind = len(batch) >= REPORTS_MAX
        return batch

    def _advance(self, batch: list[PositionReport]) -> Changes | None:
        now_ms = max(report.received_ms for report in batch) if self._behind else self._clock.now_ms()
        self._now_ms = max(self._now_ms, now_ms)
        began_s = self._advanced_s = monotonic_s()
        try:
            changes = self._tracker.advance(batch_of(batch), self._now_ms)
        except Exception as error:  # noqa: BLE001 - top of the role: one batch must not stop a city, nor come again
            self._metrics.count("role_errors_total", role="tracking", where="advance")
            _log.exception("batch passed over", reports=len(batch), up_to=self._after, error=repr(error))
            self._whole_due = True
            return None
        self._metrics.observe("tracking_advance_seconds", monotonic_s() - began_s)
        self._events.take(changes.stop_events)
        self._count(changes)
        return changes

    async def _publish(self, update: Update, batch: list[PositionReport]) -> None:
        if not (self._whole_due or self._silent() or _changes_something(update)):
            return
        async with asyncio.timeout(ANSWER_MAX_S):
            if self._whole_due:
                await self._state.replace(self._tracker.published())
                self._whole_due = False
            else:
                await self._state.publish(update)
        self._published_s = monotonic_s()
        if batch:
            newest_ms = max(report.fix_ms for report in batch)
            self._metrics.observe("tracking_lag_seconds", max(self._clock.now_ms() - newest_ms, 0) / 1_000)

    def _silent(self) -> bool:
        return monotonic_s() - self._published_s >= ALIVE_S

    async def _keep(self) -> None:
        """Save the state every ``CHECKPOINT_S``, once the events before it are settled."""
        now_s = monotonic_s()
        if self._held is None and self._after is not None and now_s - self._checkpointed_s >= CHECKPOINT_S:
            self._held = _Held(checkpoint=self._checkpoint(self._after), events=self._events.taken, taken_s=now_s)
            self._checkpointed_s = now_s
        held = self._held
        if held is not None and (self._events.settled >= held.events or now_s - held.taken_s > HOLD_MAX_S):
            await self._save(held.checkpoint)
            self._held = None

    def _checkpoint(self, stream_id: str) -> Checkpoint:
        return Checkpoint(state=self._tracker.checkpoint(), stream_id=stream_id)

    async def _save(self, checkpoint: Checkpoint) -> None:
        async with asyncio.timeout(ANSWER_MAX_S):
            await self._checkpoints.save(checkpoint)

    def _count(self, changes: Changes) -> None:
        metrics = self._metrics
        if changes.accepted:
            metrics.count("tracking_reports_total", changes.accepted, outcome="accepted")
        for rejection, reports in changes.rejected.items():
            metrics.count("tracking_reports_total", reports, outcome=rejection.value)
        for phase, vehicles in changes.phases.items():
            metrics.set("tracking_vehicles", vehicles, phase=phase.value)
        for state in DetourState:
            if state is not DetourState.OVER:
                metrics.set("tracking_detours", changes.detours.get(state, 0), state=state.value)
        metrics.count("tracking_arrivals_total", len(changes.update.arrivals), change="published")
        metrics.count("tracking_arrivals_total", len(changes.update.withdrawn), change="withdrawn")
        metrics.count("tracking_stop_events_total", len(changes.stop_events))


def _changes_something(update: Update) -> bool:
    return bool(update.vehicles or update.arrivals or update.withdrawn or update.gone or update.detours)
