"""How fast rides are priced: one ride, a day and a week of one passenger, by the sample city's tariff.

A validator has a millisecond for the price of a ride after the day's others; a server prices again what arrives late.
"""

import tempfile
from pathlib import Path

import gtfs_data
from commons.clock import monotonic_s
from fare.model import CarrierId, MediumId, MediumKind, Profile, Ride
from fare.tariff.model import Tariff, build_tariff
from fare.tariff.price import price
from gtfs_data.build import build_feed
from gtfs_data.fares import read_fares

START_MS = 1_772_409_600_000  # a Monday of the sample tariff, 05:00 in the city
HOUR_MS = 3_600_000
ROUNDS = 8
ROUND_S = 0.2
ROUTES = ("3", "14", "101", "12")


def week(per_day: int) -> list[Ride]:
    """Return rides of seven days, two within each transfer, on city, suburban and express lines."""
    return [
        Ride(
            key=f"{day}:{place}",
            tapped_ms=START_MS + day * 24 * HOUR_MS + place * 40 * 60_000,
            medium_id=MediumId("medium"),
            medium_kind=MediumKind.TRANSPORT_CARD,
            vehicle_id=f"{place}",
            carrier_id=CarrierId("kyzylorda"),
            route_id=ROUTES[place % len(ROUTES)],
            stop_id="115b",
        )
        for day in range(7)
        for place in range(per_day)
    ]


def measure(rides: list[Ride], tariff: Tariff) -> float:
    """Return seconds per bill, of several rounds the best: others use the machine too."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        bills, start_s = 0, monotonic_s()
        while monotonic_s() - start_s < ROUND_S:
            price(rides, tariff, Profile())
            bills += 1
        best_s = min(best_s, (monotonic_s() - start_s) / bills)
    return best_s


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        feed = Path(folder) / "feed.zip"
        build_feed(Path(gtfs_data.__file__).parent / "kyzylorda", feed)
        tariff = build_tariff([read_fares(feed)])
    rides = week(12)
    for count in (1, 12, len(rides)):
        bill_s = measure(rides[:count], tariff)
        print(f"{count:3} rides  {bill_s * 1e3:7.3f} ms a bill  {count / bill_s:9,.0f} rides/s")


if __name__ == "__main__":
    main()
