"""Days of service of a recording: a day begins at three in the night, between the last bus and the first."""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from transit.accuracy.recording import Recording
from transit.model import PositionBatch

Index = npt.NDArray[np.int64]
BEGINS_S: Final = 3 * 3600


def day_of(at_ms: Index, zone: str) -> npt.NDArray[np.int32]:
    """Return the day of service of each moment, as the number of days since 1970-01-01."""
    moments, place = np.unique(at_ms, return_inverse=True)
    local = pd.to_datetime(moments - 1000 * BEGINS_S, unit="ms", utc=True).tz_convert(zone).tz_localize(None)
    days = local.to_numpy().astype("datetime64[D]").astype(np.int32)
    return np.asarray(days[place], dtype=np.int32)


def hour_of(at_ms: Index, zone: str) -> npt.NDArray[np.int32]:
    """Return the local hour of each moment, 0 to 23."""
    hours, place = np.unique(at_ms // 900_000, return_inverse=True)  # no zone is off by less than a quarter
    local = pd.to_datetime(hours * 900_000, unit="ms", utc=True).tz_convert(zone)
    return np.asarray(local.hour.to_numpy()[place], dtype=np.int32)


def number(date: dt.date) -> int:
    """Return ``date`` as ``day_of`` counts it."""
    return (date - dt.date(1970, 1, 1)).days


def date(number: int) -> dt.date:
    """Return the date of a number of ``day_of``."""
    return dt.date(1970, 1, 1) + dt.timedelta(days=number)


def of_days(recording: Recording, days: Collection[int], zone: str) -> Recording:
    """Return what was recorded on ``days``."""
    batch = recording.batch
    kept = np.flatnonzero(np.isin(day_of(batch.fix_ms, zone), list(days)))
    if len(kept) == len(batch):
        return recording

    def words(column: Sequence[str]) -> list[str]:
        return [column[i] for i in kept.tolist()]

    return Recording(
        PositionBatch(
            vehicle_id=words(batch.vehicle_id),
            fix_ms=batch.fix_ms[kept],
            received_ms=batch.received_ms[kept],
            lat=batch.lat[kept],
            lon=batch.lon[kept],
            speed_mps=batch.speed_mps[kept],
            heading_deg=batch.heading_deg[kept],
            archived=batch.archived[kept],
            trip_id=words(batch.trip_id),
            block_id=words(batch.block_id),
            route_id=words(batch.route_id),
            direction_id=batch.direction_id[kept],
        )
    )
