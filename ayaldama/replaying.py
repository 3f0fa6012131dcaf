"""A recorded day through the whole system, at a speed that can be watched.

Reports go into the stream as intake would put them there, at the city time at which they were made, so tracking,
boards and map cannot tell them from live ones.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np

from ayaldama.roles._base import open_redis
from ayaldama.settings import ClockSection, Settings
from commons.clock import SystemClock, wall_ms
from commons.metrics import Metrics
from transit.accuracy.recording import Recording
from transit.keys import Keys
from transit.model import PositionBatch, PositionReport
from transit.store.redis_reports import ReportsWriter

LOOK_S: Final = 0.1  # of wall time, between two looks at what is due
BATCH_MAX: Final = 2_000
LEAD_S: Final = 6.0  # of wall time: the system starts while the recording's first moment comes nearer


def with_recorded_clock(settings: Settings, recording: Recording, speed: float) -> Settings:
    """Return ``settings`` whose city time is that of the recording, ``speed`` times as fast."""
    city_ms = recording.first_ms - round(LEAD_S * speed * 1_000)
    return msgspec.structs.replace(settings, clock=ClockSection(wall_ms=wall_ms(), city_ms=city_ms, rate=speed))


async def feed(
    recording: Recording, settings: Settings, stop: asyncio.Event, progress: Callable[[int, int], None]
) -> None:
    """Hand on each report when its time has come, until the recording ends or ``stop``.

    ``progress`` is told how many reports are done and what city time it is.
    """
    clock = SystemClock(settings.clock_anchor)
    done = 0
    async with open_redis(settings) as redis:
        writer = ReportsWriter(redis, Keys(settings.city), Metrics())
        while done < len(recording.batch) and not stop.is_set():
            now_ms = clock.now_ms()
            due = int(np.searchsorted(recording.batch.fix_ms, now_ms, side="right"))
            while done < due:
                part = recording.between(done, min(due, done + BATCH_MAX))
                await writer.append(reports_of(part))
                done += len(part)
            progress(done, now_ms)
            await asyncio.sleep(LOOK_S)


def reports_of(batch: PositionBatch) -> list[PositionReport]:
    """Return the columns of ``batch`` as reports."""

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return [
        PositionReport(
            vehicle_id=batch.vehicle_id[i],
            fix_ms=int(batch.fix_ms[i]),
            received_ms=int(batch.received_ms[i]),
            lat=float(batch.lat[i]),
            lon=float(batch.lon[i]),
            speed_mps=known(batch.speed_mps[i]),
            heading_deg=known(batch.heading_deg[i]),
            archived=bool(batch.archived[i]),
            trip_id=batch.trip_id[i],
            block_id=batch.block_id[i],
            route_id=batch.route_id[i],
            direction_id=int(batch.direction_id[i]),
        )
        for i in range(len(batch))
    ]
