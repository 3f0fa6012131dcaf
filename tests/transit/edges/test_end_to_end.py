"""From the bytes of a tracker to the arrivals a board reads, through every real part, and again after a restart."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from redis.asyncio import Redis

from commons.clock import Clock, ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from commons.migrate import migrate
from gtfs_data.network import Network
from tests.notation.town import at, drive, town
from tests.patience import PATIENCE_S
from transit.intake.devices import DeviceRow, add_device, open_devices
from transit.intake.serve import IntakeSettings, serve_intake
from transit.keys import Keys
from transit.model import PositionReport
from transit.service import restore_tracker, serve_tracking
from transit.store.redis_state import StateReader, StateSnapshot
from transit.tracking.tracker import Tracker

KEYS = Keys("town")
STREET = [(0.0, 0.0), (4000.0, 0.0)]


def extended_packet(report: PositionReport) -> bytes:
    """Return ``report`` as a tracker with a driver's terminal sends it (Wialon IPS 1.1, packet D)."""
    moment = dt.datetime.fromtimestamp(report.fix_ms / 1_000, tz=dt.UTC)
    lat_deg, lon_deg = int(report.lat), int(report.lon)
    lat = f"{lat_deg:02}{(report.lat - lat_deg) * 60:07.4f};N"
    lon = f"{lon_deg:03}{(report.lon - lon_deg) * 60:07.4f};E"
    text = f"{moment:%d%m%y;%H%M%S};{lat};{lon};29;90;120;9;0.9;NA;NA;;NA;trip_id:3:{report.trip_id}"
    return f"#D#{text}\r\n".encode()


@asynccontextmanager
async def tracking(
    network: Network, redis: Redis, history: asyncpg.Pool, clock: Clock, metrics: Metrics
) -> AsyncIterator[None]:
    restored = await restore_tracker(
        network,
        new=lambda: Tracker(network),
        restore=lambda data: Tracker.restore(network, data),
        redis=redis,
        keys=KEYS,
        metrics=metrics,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve_tracking(
                tracker=restored.tracker,
                network=network,
                redis=redis,
                keys=KEYS,
                history=history,
                clock=clock,
                metrics=metrics,
                stop=stop,
                after=restored.after,
            )
        )
        try:
            yield
        finally:
            stop.set()


async def snapshot_after(redis: Redis, as_of_ms: int) -> StateSnapshot:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            snapshot = await StateReader(redis, KEYS).snapshot()
            if snapshot.arrivals and (snapshot.as_of_ms or 0) > as_of_ms:
                return snapshot
            await asyncio.sleep(0.02)


async def test_a_bus_reports_and_the_board_of_a_stop_ahead_expects_it(redis: Redis, postgres: asyncpg.Pool) -> None:
    network = town({"1/0": STREET}, {"1/0": [500.0 * n for n in range(9)]}, "t1 1/0 08:00")
    reports = drive("bus-1", STREET, at("08:02:30"), from_m=1_200, until_m=1_700, trip="t1")
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=reports[-1].fix_ms + 1_000))
    metrics = Metrics()
    await migrate(postgres, "transit.store")
    key = await add_device(postgres, DeviceRow(device_id="8601", vehicle_id="bus-1"))
    stop = asyncio.Event()
    opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with open_devices(postgres, metrics) as devices, tracking(network, redis, postgres, clock, metrics):
        intake = asyncio.create_task(
            serve_intake(
                IntakeSettings(ports={"wialon_ips": 0}),
                devices=devices,
                redis=redis,
                keys=KEYS,
                clock=clock,
                metrics=metrics,
                stop=stop,
                started=lambda ports: opened.set_result(ports["wialon_ips"]),
            )
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", await opened)
        writer.write(f"#L#8601;{key}\r\n".encode() + b"".join(map(extended_packet, reports)))
        async with asyncio.timeout(PATIENCE_S):
            answers = [await reader.readline() for _ in range(1 + len(reports))]
        assert answers == [b"#AL#1\r\n"] + [b"#AD#1\r\n"] * len(reports)
        before = await snapshot_after(redis, 0)
        assert sorted(arrival.stop_id for arrival in before.arrivals) == ["S4", "S5", "S6", "S7", "S8"]
        assert {(arrival.trip_id, arrival.state) for arrival in before.arrivals} == {("t1", "live")}
        assert [(each.vehicle_id, each.trip_id, each.next_stop_id) for each in before.vehicles] == [
            ("bus-1", "t1", "S4")
        ]
        stop.set()
        await intake
    assert await postgres.fetchval("SELECT count(*) FROM stop_event WHERE stop_id = 'S3'") == 1
    async with tracking(network, redis, postgres, clock, metrics):
        after = await snapshot_after(redis, clock.now_ms())
        assert {each.key for each in after.arrivals} == {each.key for each in before.arrivals}
        assert [each.trip_id for each in after.vehicles] == ["t1"]
    assert 'tracking_restarts_total{source="checkpoint"} 1.0' in metrics.exposition().decode()
