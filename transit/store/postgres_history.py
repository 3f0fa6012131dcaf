"""Observed stop passages in PostgreSQL, for learning travel times and for reports.

Writing the same event again changes nothing (its key is service date, vehicle, run and stop sequence), so tracking may
go back to its last checkpoint without counting a passage twice.
"""

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

import asyncpg

from commons.logs import get_logger
from commons.metrics import Metrics
from transit.model import StopEvent

BATCH_MAX: Final = 2_000
WAITING_MAX: Final = 100_000  # events; a city of 600 buses makes them in about four hours
WRITE_MAX_S: Final = 30.0
READ_MAX_S: Final = 600.0  # of a night's training: a day of a large city
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 10.0

_log: Final = get_logger(__name__)

EVENT_COLUMNS: Final = """
    service_date::text, vehicle_id, route_id, direction_id, trip_id, run_key, stop_id, stop_sequence,
    trip_stop_sequence, (extract(epoch FROM actual_arrival_time) * 1000)::bigint AS arrival_ms,
    (extract(epoch FROM actual_departure_time) * 1000)::bigint AS departure_ms, uncertainty_s,
    (extract(epoch FROM schedule_arrival_time) * 1000)::bigint AS scheduled_arrival_ms
"""  # those of StopEvent

_UPSERT: Final = """
INSERT INTO stop_event (
    service_date, vehicle_id, run_key, stop_sequence, stop_id, route_id, direction_id, trip_id,
    schedule_arrival_time, actual_arrival_time, actual_departure_time, uncertainty_s,
    trip_stop_sequence
)
SELECT * FROM unnest(
    $1::date[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::smallint[], $8::text[],
    $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::real[], $13::integer[]
)
ON CONFLICT (service_date, vehicle_id, run_key, stop_sequence) DO UPDATE SET
    stop_id = excluded.stop_id,
    route_id = excluded.route_id,
    direction_id = excluded.direction_id,
    trip_id = excluded.trip_id,
    schedule_arrival_time = excluded.schedule_arrival_time,
    actual_arrival_time = excluded.actual_arrival_time,
    actual_departure_time = excluded.actual_departure_time,
    uncertainty_s = excluded.uncertainty_s,
    trip_stop_sequence = excluded.trip_stop_sequence
"""


async def write_stop_events(pool: asyncpg.Pool, events: Sequence[StopEvent]) -> None:
    """Write ``events`` in one statement; of several with one key the last counts.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if they are not written; none is then.
    """
    # One statement may not touch a row twice.
    rows = list({(e.service_date, e.vehicle_id, e.run_key, e.stop_sequence): e for e in events}.values())
    await pool.execute(
        _UPSERT,
        [dt.date.fromisoformat(event.service_date) for event in rows],
        [event.vehicle_id for event in rows],
        [event.run_key for event in rows],
        [event.stop_sequence for event in rows],
        [event.stop_id for event in rows],
        [event.route_id for event in rows],
        [event.direction_id for event in rows],
        [event.trip_id for event in rows],
        [_moment(event.scheduled_arrival_ms) for event in rows],
        [_moment(event.arrival_ms) for event in rows],
        [_moment(event.departure_ms) for event in rows],
        [event.uncertainty_s for event in rows],
        [event.trip_stop_sequence for event in rows],
    )


async def events_between(pool: asyncpg.Pool, from_ms: int, until_ms: int) -> list[StopEvent]:
    """Return the stop events of vehicles that arrived from ``from_ms`` up to, not including, ``until_ms``.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = await pool.fetch(
        f"SELECT {EVENT_COLUMNS} FROM stop_event WHERE actual_arrival_time >= $1 AND actual_arrival_time < $2",  # noqa: S608
        *(_moment(from_ms), _moment(until_ms)),
        timeout=READ_MAX_S,
    )
    return [StopEvent(**row) for row in rows]


class HistoryWriter:
    """Events on their way to PostgreSQL, so that a slow or absent database never holds up live tracking.

    ``taken`` and ``settled`` count events: what is taken and not settled is still only in memory, and tracking holds
    its checkpoint back until it is settled, so that a restart makes those events again.
    """

    def __init__(self, pool: asyncpg.Pool, metrics: Metrics, *, waiting_max: int = WAITING_MAX) -> None:
        self._pool = pool
        self._metrics = metrics
        self._waiting_max = waiting_max
        self._waiting: deque[StopEvent] = deque()
        self._arrived = asyncio.Event()
        self._all_settled = asyncio.Event()
        self._all_settled.set()
        self.taken = 0
        self.settled = 0

    def take(self, events: Sequence[StopEvent]) -> None:
        """Queue ``events``. When the queue is full the oldest are given up, counted and logged."""
        if not events:
            return
        self._waiting.extend(events)
        self.taken += len(events)
        self._all_settled.clear()
        excess = len(self._waiting) - self._waiting_max
        if excess > 0:
            for _ in range(excess):
                self._waiting.popleft()
            self._settle(excess, "given_up")
            _log.error("stop events given up, PostgreSQL is away for too long", events=excess)
        self._arrived.set()

    async def run(self) -> None:
        """Write what waits, for ever; while PostgreSQL is away, try again."""
        pause_s = PAUSE_FIRST_S
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            batch = list(islice(self._waiting, BATCH_MAX))
            settled_before = self.settled
            try:
                refused = await self._write(batch)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._metrics.count("role_errors_total", role="tracking", where="history")
                _log.warning("stop events wait for PostgreSQL", events=self.taken - self.settled, error=repr(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
                continue
            pause_s = PAUSE_FIRST_S
            # What was given up meanwhile were the oldest, so they were of this batch.
            remaining = max(len(batch) - (self.settled - settled_before), 0)
            for _ in range(remaining):
                self._waiting.popleft()
            refused = min(refused, remaining)
            self._settle(refused, "refused")
            self._settle(remaining - refused, "written")

    async def flush(self, within_s: float) -> bool:
        """Wait until nothing waits, at most ``within_s``; return whether that is so."""
        try:
            async with asyncio.timeout(within_s):
                await self._all_settled.wait()
        except TimeoutError:
            return False
        return True

    async def _write(self, batch: list[StopEvent]) -> int:
        """Write ``batch``; return how many of it the database refuses as such, which are logged and passed over."""
        try:
            async with asyncio.timeout(WRITE_MAX_S):
                await write_stop_events(self._pool, batch)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, OverflowError) as error:
            if len(batch) == 1:
                _log.error("stop event refused by PostgreSQL", stop_event=batch[0], error=str(error))
                return 1
            half = len(batch) // 2
            return await self._write(batch[:half]) + await self._write(batch[half:])
        return 0

    def _settle(self, events: int, outcome: str) -> None:
        self.settled += events
        if self.settled == self.taken:
            self._all_settled.set()
        self._metrics.count("tracking_history_total", events, outcome=outcome)


def _moment(epoch_ms: int | None) -> dt.datetime | None:
    return None if epoch_ms is None else dt.datetime.fromtimestamp(epoch_ms / 1_000, tz=dt.UTC)
