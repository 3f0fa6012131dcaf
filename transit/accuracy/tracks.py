"""Where vehicles really were: was this one near that stop, and was it heard of at all, from one moment to another?"""

import itertools
from typing import Final

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.accuracy.forecasts import Codes, Floats, Index, Names
from transit.accuracy.recording import Recording

NEAR_M: Final = 150.0
JOINED_MS: Final = 300_000  # between fixes further apart the way is not known
SILENT_MS: Final = 600_000
DEGREE_M: Final = 111_195.0
SLACK_MS: Final = 30_000  # a prediction may be about a bus that has just come
AFTER_MS: Final = 1_200_000  # how long a bus must have been heard of to say that it never came


class Tracks:
    """The fixes of each vehicle, in order of time."""

    def __init__(self, recording: Recording, network: Network, names: Names) -> None:
        batch = recording.batch
        vehicle = names.vehicles(list(batch.vehicle_id))
        order = np.lexsort((batch.fix_ms, vehicle))
        bounds = np.searchsorted(vehicle[order], np.arange(int(vehicle.max(initial=-1)) + 2))
        self._of = [order[a:b] for a, b in itertools.pairwise(bounds.tolist())]
        self._batch = batch
        self._stops = network.stops

    def never_came(self, vehicle: Codes, stop: Codes, made_ms: Index, arrival_ms: Index) -> npt.NDArray[np.bool_]:
        """Return of which predictions the vehicle was heard of long enough and never came near the stop."""
        came_not = np.zeros(len(vehicle), dtype=np.bool_)
        order = np.lexsort((stop, vehicle))
        pair = vehicle[order].astype(np.int64) << 32 | stop[order]
        for part in np.split(order, np.flatnonzero(np.diff(pair)) + 1) if len(order) else []:
            at = int(vehicle[part[0]])
            if at >= len(self._of) or not len(self._of[at]):
                continue
            fixes = self._of[at]
            time_ms = self._batch.fix_ms[fixes]
            end_ms = np.maximum(made_ms[part], arrival_ms[part]) + AFTER_MS
            heard = _heard(time_ms, made_ms[part], end_ms)
            if heard.any():
                near_ms = self._near(fixes, time_ms, int(stop[part[0]]))
                k = np.searchsorted(near_ms, made_ms[part] - SLACK_MS)
                came = np.append(near_ms, np.iinfo(np.int64).max)[k] <= end_ms
                came_not[part] = heard & ~came
        return came_not

    def _near(self, fixes: Index, time_ms: Index, stop: int) -> Index:
        """Return, in order, when the track was near ``stop``: fixes, and both ends of a way that leads by."""
        lat, lon = self._batch.lat[fixes], self._batch.lon[fixes]
        squeeze = np.cos(np.radians(lat[0]))
        x, y = (lon - self._stops.lon[stop]) * DEGREE_M * squeeze, (lat - self._stops.lat[stop]) * DEGREE_M
        close = np.diff(time_ms) < JOINED_MS
        by = close & (_distance_m(x, y) < NEAR_M)
        return np.sort(np.concatenate([time_ms[np.hypot(x, y) < NEAR_M], time_ms[:-1][by], time_ms[1:][by]]))


def _heard(time_ms: Index, made_ms: Index, end_ms: Index) -> npt.NDArray[np.bool_]:
    """Return whether the vehicle was heard of after ``made_ms`` and on past ``end_ms`` without a long silence."""
    begin, end = np.searchsorted(time_ms, made_ms), np.searchsorted(time_ms, end_ms)
    on = (end < len(time_ms)) & (end > begin)
    last = np.minimum(end, len(time_ms) - 1)
    silent = time_ms[last] - time_ms[np.maximum(last - 1, 0)] >= SILENT_MS
    return np.asarray(on & ~silent, dtype=np.bool_)


def _distance_m(x: Floats, y: Floats) -> Floats:
    """Return how near each way from fix to fix comes to the origin."""
    dx, dy = np.diff(x), np.diff(y)
    along = np.clip(-(x[:-1] * dx + y[:-1] * dy) / (dx * dx + dy * dy + 1e-9), 0.0, 1.0)
    return np.asarray(np.hypot(x[:-1] + along * dx, y[:-1] + along * dy))
