"""A city's buses at a moment, from nothing but the network, the seed and the time. Pure.

A *roster day* lasts from 03:00 to 03:00: buses that are out past midnight still belong to yesterday. Within it a bus
keeps its duty, so that a simulator that is started again drives the same buses along the same lines.
"""

import datetime as dt
from typing import Final

import numpy as np

from ayaldama.simulate.duties import duties_of
from ayaldama.simulate.motion import STEP_MS, Motion
from ayaldama.simulate.traffic import traffic_of
from gtfs_data.calendar import day_zero_ms, local_date, utc_offset_s
from gtfs_data.network import Network

FIRST_NUMBER: Final = 101
DAY_BEGINS_MS: Final = 3 * 3_600_000  # after midnight, when the fewest buses are out
WARM_UP_MS: Final = 20 * 60_000  # after which buses are no longer where the plan alone had put them
REPLAYED_MAX_MS: Final = 4 * 3_600_000  # some four seconds of work for 200 buses


def bus_id(bus: int) -> str:
    """Return the fleet number of bus number ``bus``, which is its vehicle id and its device id."""
    return str(FIRST_NUMBER + bus)


def roster_date(now_ms: int, time_zone: str) -> dt.date:
    """Return the date whose duties buses drive at ``now_ms``."""
    return local_date(now_ms - DAY_BEGINS_MS, time_zone)


def motion_of(network: Network, *, buses: int, seed: int, start_ms: int) -> Motion:
    """Return at most ``buses`` buses as they are by plan at ``start_ms``, to be moved from there."""
    rng = np.random.default_rng(seed)
    date = roster_date(start_ms, network.time_zone)
    duties = duties_of(network, (date, date + dt.timedelta(1)), buses)
    traffic = traffic_of(network.stops.xy, utc_offset_s(start_ms, network.time_zone), rng)
    return Motion(network, duties, traffic, start_ms, rng)


def motion_at(network: Network, *, buses: int, seed: int, began_ms: int, now_ms: int) -> Motion:
    """Return the buses as they are at ``now_ms`` in a simulation that began at ``began_ms``.

    The same to the metre as if it had run without a break, unless it began on another day or too long ago.
    """
    day_ms = day_zero_ms(roster_date(now_ms, network.time_zone), network.time_zone) + DAY_BEGINS_MS
    start_ms = max(_whole(began_ms) - WARM_UP_MS, day_ms)
    if not 0 <= now_ms - start_ms <= REPLAYED_MAX_MS:
        start_ms = _whole(now_ms) - WARM_UP_MS
    motion = motion_of(network, buses=buses, seed=seed, start_ms=start_ms)
    while motion.now_ms + STEP_MS <= now_ms:
        motion.step()
    return motion


def _whole(time_ms: int) -> int:
    return time_ms - time_ms % STEP_MS  # trackers tell whole seconds
