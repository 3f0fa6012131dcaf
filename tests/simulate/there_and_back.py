"""A line of six kilometres there and back, as the simulator's tests drive it."""

import numpy as np

from ayaldama.simulate.duties import duties_of
from ayaldama.simulate.motion import Motion, Passages
from ayaldama.simulate.traffic import traffic_of
from gtfs_data.network import Network
from tests.notation.town import DAY, at, town

THERE = [(0.0, 0.0), (3_000.0, 0.0), (3_000.0, 3_000.0)]
BACK = [(3_010.0, 3_000.0), (3_010.0, -10.0), (0.0, -10.0)]
STOPS_M = tuple(float(m) for m in range(50, 6_000, 450))
UTC_OFFSET_S = 5 * 3_600


def network_of(headway_s: int = 300, trips: str = "") -> Network:
    headways = None if trips else {"7/0": headway_s, "7/1": headway_s}
    return town({"7/0": THERE, "7/1": BACK}, {"7/0": STOPS_M, "7/1": STOPS_M}, trips, headways=headways)


def motion_of(network: Network, *, buses: int = 30, seed: int = 1, start: str = "07:00") -> Motion:
    rng = np.random.default_rng(seed)
    return Motion(
        network,
        duties_of(network, (DAY,), buses),
        traffic_of(network.stops.xy, UTC_OFFSET_S, rng),
        at(start),
        rng,
    )


def drive(motion: Motion, seconds: int) -> list[Passages]:
    """Return what happened in each second."""
    return [motion.step() for _ in range(seconds)]
