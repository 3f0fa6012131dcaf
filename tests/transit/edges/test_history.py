"""Stop events and migrations on a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from commons.metrics import Metrics
from commons.migrate import MigrationError, migrate, migrations
from transit.model import StopEvent
from transit.store.postgres_history import HistoryWriter, write_stop_events


def event(sequence: int, *, vehicle_id: str = "bus-1", stop_id: str = "market", arrival_ms: int = 0) -> StopEvent:
    return StopEvent(
        service_date="2026-09-21",
        vehicle_id=vehicle_id,
        route_id="12",
        direction_id=1,
        trip_id="12-0605",
        run_key="12-0605|2026-09-21",
        stop_id=stop_id,
        stop_sequence=sequence,
        arrival_ms=1_789_970_400_250 + arrival_ms,
        departure_ms=None,
        uncertainty_s=2.5,
        scheduled_arrival_ms=1_789_970_370_000,
    )


async def test_the_same_passage_is_one_row_however_often_it_is_written(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    await write_stop_events(postgres, [event(1), event(2), event(2, arrival_ms=1_000)])
    await write_stop_events(postgres, [event(1), event(3, vehicle_id="bus-2")])
    rows = await postgres.fetch("SELECT * FROM stop_event ORDER BY stop_sequence")
    assert [(row["stop_sequence"], row["vehicle_id"]) for row in rows] == [(1, "bus-1"), (2, "bus-1"), (3, "bus-2")]
    first, second, _ = rows
    assert first["actual_arrival_time"].isoformat() == "2026-09-21T06:00:00.250000+00:00"
    assert first["schedule_arrival_time"].isoformat() == "2026-09-21T05:59:30+00:00"
    assert first["actual_departure_time"] is None
    assert (second["actual_arrival_time"] - first["actual_arrival_time"]).total_seconds() == 1.0, "the last one counts"


async def test_a_month_can_be_given_its_own_partition(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    await postgres.execute(
        "CREATE TABLE stop_event_2026_09 PARTITION OF stop_event FOR VALUES FROM ('2026-09-01') TO ('2026-10-01')"
    )
    await write_stop_events(postgres, [event(1)])
    assert await postgres.fetchval("SELECT count(*) FROM stop_event_2026_09") == 1


async def test_one_event_that_cannot_be_written_costs_no_other(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    metrics = Metrics()
    writer = HistoryWriter(postgres, metrics)
    running = asyncio.create_task(writer.run())
    writer.take([event(number, stop_id="\x00" if number == 7 else "market") for number in range(20)])
    assert await writer.flush(5.0)
    running.cancel()
    assert await postgres.fetchval("SELECT count(*) FROM stop_event") == 19
    text = metrics.exposition().decode()
    assert 'ayaldama_tracking_history_total{outcome="written"} 19.0' in text
    assert 'ayaldama_tracking_history_total{outcome="refused"} 1.0' in text


async def test_events_wait_for_an_absent_database_and_the_oldest_are_given_up_first(postgres: asyncpg.Pool) -> None:
    metrics = Metrics()
    writer = HistoryWriter(postgres, metrics, waiting_max=10)
    running = asyncio.create_task(writer.run())
    writer.take([event(number) for number in range(8)])  # the table is not there yet
    assert not await writer.flush(0.1)
    assert (writer.taken, writer.settled) == (8, 0)
    writer.take([event(number) for number in range(8, 15)])
    await migrate(postgres, "transit.store")
    assert await writer.flush(5.0)
    running.cancel()
    rows = await postgres.fetch("SELECT stop_sequence FROM stop_event ORDER BY stop_sequence")
    assert [row["stop_sequence"] for row in rows] == list(range(5, 15))
    assert 'ayaldama_tracking_history_total{outcome="given_up"} 5.0' in metrics.exposition().decode()


async def test_migrations_are_applied_once_also_by_many_at_a_time(postgres: asyncpg.Pool) -> None:
    applied = await asyncio.gather(*(migrate(postgres, "transit.store") for _ in range(4)))
    assert sorted(applied) == [0, 0, 0, len(migrations("transit.store"))]


async def test_a_changed_or_unknown_migration_stops_the_start(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    await postgres.execute("UPDATE migration SET sha256 = 'other' WHERE number = 1")
    with pytest.raises(MigrationError, match=r"0001_.* was changed after it was applied"):
        await migrate(postgres, "transit.store")
    await postgres.execute(
        "INSERT INTO migration (package, number, name, sha256) VALUES ('transit.store', 99, 'x', 'y')"
    )
    with pytest.raises(MigrationError, match="the database has migration 99"):
        await migrate(postgres, "transit.store")
