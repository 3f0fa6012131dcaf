"""What it costs to renew the boards of 357 stops: processor time of a round, no socket, no clock.

    python bench/board_rounds.py [--vehicles 2000] [--arrivals 3] [--rounds 100] [--hour 8] [--profile]

Vehicles, arrivals and stops are those of ``boards.py``: each vehicle reports every second, ten batches a second, and a
round takes what came in 0.2 s. Processor time is counted, so that other work on the machine disturbs little; the least
of all rounds disturbs least. By night (``--hour``) lines have no headway to work out.

26 November 2026, the sample city at 8:00, best of three runs round by round, other work on both cores:

                            take   renew   lines   messages
    each line anew        7.7 ms   73 ms     454        119
    now                   9.1 ms   14 ms     454        119
"""

import argparse
import cProfile
import datetime as dt
import pstats
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from boards import AHEAD, BATCHES_PER_S, Vehicle

from ayaldama import demo
from gtfs_data.calendar import day_zero_ms
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from stop_display.hub import Hub
from transit.model import Update

BATCHES_A_ROUND: Final = 2
WARM_UP: Final = 20
MONDAY: Final = dt.date(2026, 3, 2)  # in the sample city's feed
HOUR_MS: Final = 3_600_000


class City:
    """A hub whose stops are all open, and buses that report to it."""

    def __init__(self, network: Network, vehicles: int, arrivals: int, now_ms: int) -> None:
        rng = random.Random(7)  # noqa: S311
        self.fleet = [Vehicle(network, number, rng, now_ms) for number in range(vehicles)]
        self.hub, self.now_ms, self.batch, self.arrivals = Hub(network), now_ms, 0, arrivals
        whole = self.update(self.fleet, AHEAD)
        self.hub.replace(whole.arrivals, whole.vehicles, now_ms)
        stops = [stop for stop, rows in zip(network.stops.ids, network.rows_of_stop, strict=True) if len(rows)]
        self.hub.open(stops, now_ms, now_ms / 1_000)

    def update(self, fleet: list[Vehicle], arrivals: int) -> Update:
        """Return what tracking says of ``fleet`` now."""
        return Update(
            as_of_ms=self.now_ms,
            vehicles=[vehicle.position(self.now_ms) for vehicle in fleet],
            arrivals=[arrival for vehicle in fleet for arrival in vehicle.arrivals(self.now_ms, arrivals)],
            withdrawn=[],
        )

    def round(self, profile: cProfile.Profile | None = None) -> tuple[float, float, int]:
        """Return seconds to take what came in a round, seconds to renew boards, and the number of messages."""
        updates = []
        for _ in range(BATCHES_A_ROUND):
            updates.append(self.update(self.fleet[self.batch % BATCHES_PER_S :: BATCHES_PER_S], self.arrivals))
            self.batch += 1
            self.now_ms += 1_000 // BATCHES_PER_S
        if profile is not None:
            profile.enable()
        began_s = time.process_time()
        for update in updates:
            self.hub.apply(update)
        taken_s, wall_s = time.process_time(), self.now_ms / 1_000
        frames = [self.hub.renew(stop_id, self.now_ms, wall_s) for stop_id in self.hub.due(self.now_ms, wall_s)]
        renewed_s = time.process_time()
        if profile is not None:
            profile.disable()
        return taken_s - began_s, renewed_s - taken_s, sum(frame is not None for frame in frames)


def main() -> int:
    """Print what a round costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vehicles", type=int, default=2_000)
    parser.add_argument("--arrivals", type=int, default=3, help="that each report of a vehicle changes")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--date", type=dt.date.fromisoformat, default=MONDAY)
    parser.add_argument("--hour", type=float, default=8.0, help="of that day, local time")
    parser.add_argument("--feed", type=Path, help="GTFS zip, else the sample city")
    parser.add_argument("--profile", action="store_true", help="say where the time goes (slows it down)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-rounds") as folder:
        feed = options.feed or demo.build_sample_feed(Path(folder))
        network = load_network(feed, cache=Path(folder) / "cache")
    now_ms = day_zero_ms(options.date, network.time_zone) + round(options.hour * HOUR_MS)
    city = City(network, options.vehicles, options.arrivals, now_ms)
    profile = cProfile.Profile() if options.profile else None
    for _ in range(WARM_UP):
        city.round()
    rounds = np.array([city.round(profile) for _ in range(options.rounds)])
    print(f"{options.vehicles} vehicles, {rounds[:, 2].mean():.0f} messages a round of 0.2 s, on average")
    print(f"  {'':<10}{'least ms':>10}{'p50 ms':>10}{'p99 ms':>10}")
    for name, spent_s in (("take", rounds[:, 0]), ("renew", rounds[:, 1]), ("both", rounds[:, :2].sum(axis=1))):
        least, middle, most = 1e3 * np.percentile(spent_s, [0, 50, 99])
        print(f"  {name:<10}{least:>10.1f}{middle:>10.1f}{most:>10.1f}")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    return 0


if __name__ == "__main__":
    sys.exit(main())
