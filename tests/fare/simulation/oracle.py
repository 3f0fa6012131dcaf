"""The city's fares once more, as plainly as they can be said: what each tap costs, from the taps alone.

150 by day one and 120 from midnight on, half for pupils; free within an hour of the first of a journey; at most 300 in
a service day, which begins at 04:00. A second validator of a bus charges nobody who paid at the first in the last 20
minutes, or two hours on the same trip.
"""

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

FEED = """
agency
agency_id  agency_name  agency_url          agency_timezone
A          Town         https://example.kz  Asia/Qyzylorda

routes
route_id  agency_id  route_short_name  route_long_name  route_type
R1        A          1                 One              3
R2        A          2                 Two              3

networks
network_id  network_name
city        City

route_networks
network_id  route_id
city        R1
city        R2

rider_categories
rider_category_id  rider_category_name  is_default_fare_category
adult              Adult                1
pupil              Pupil                0

fare_media
fare_media_id  fare_media_name  fare_media_type
card           Card             2

fare_products
fare_product_id  fare_product_name  amount  currency
single           Single             150     KZT

fare_leg_rules
leg_group_id  fare_product_id
city          single

fare_transfer_rules
from_leg_group_id to_leg_group_id transfer_count duration_limit duration_limit_type fare_transfer_type fare_product_id
city              city            -1             3600           1                   0                  -

fare_versions
fare_version_id  start_date  end_date  day_start_time
old              20250101    20260302  04:00:00
new              20260303    -         04:00:00

fare_version_amounts
fare_version_id  fare_product_id  amount
new              single           120

fare_caps
fare_cap_id  cap_period  amount
day          day         300

fare_concessions
rider_category_id  share_percent  paid_by  proof_required
pupil              50             city     1
"""
ZONE = dt.timezone(dt.timedelta(hours=5))
CHANGE_MS = round(dt.datetime(2026, 3, 3, tzinfo=ZONE).timestamp() * 1_000)
OLD_TIYN, NEW_TIYN, CAP_TIYN = 15_000, 12_000, 30_000
HOUR_MS = 3_600_000


class Fact(NamedTuple):
    """A ride as somebody with a notebook would see it."""

    at_ms: int
    key: str
    medium: str
    vehicle: str
    trip: str
    pupil: bool  # as the validator let them ride; one that has no list of pupils yet takes the full fare


def fares_tiyn(facts: Iterable[Fact]) -> dict[str, int]:
    """Return what each ride costs its passenger; those that cost nothing are there too."""
    fares: dict[str, int] = {}
    taken: dict[str, tuple[Fact, set[str]]] = {}
    journeys_ms: dict[tuple[str, bool], int] = {}
    spent_tiyn: dict[tuple[str, bool, dt.date], int] = {}
    for fact in sorted(facts):
        device = fact.key.split(":")[0]
        if fact.medium in taken:
            first, doors = taken[fact.medium]
            if device not in doors and _is_one_ride(first, fact):
                doors.add(device)
                fares[fact.key] = 0
                continue
        taken[fact.medium] = (fact, {device})
        begun_ms = journeys_ms.get((fact.medium, fact.pupil))
        if begun_ms is not None and fact.at_ms - begun_ms <= HOUR_MS:
            fares[fact.key] = 0
            continue
        journeys_ms[fact.medium, fact.pupil] = fact.at_ms
        day = dt.datetime.fromtimestamp((fact.at_ms - 4 * HOUR_MS) / 1_000, ZONE).date()
        full_tiyn = OLD_TIYN if fact.at_ms < CHANGE_MS else NEW_TIYN
        own_tiyn = full_tiyn // 2 if fact.pupil else full_tiyn
        before_tiyn = spent_tiyn.get((fact.medium, fact.pupil, day), 0)
        fares[fact.key] = min(own_tiyn, CAP_TIYN - before_tiyn)
        spent_tiyn[fact.medium, fact.pupil, day] = before_tiyn + fares[fact.key]
    return fares


def _is_one_ride(first: Fact, later: Fact) -> bool:
    since_ms = later.at_ms - first.at_ms
    on_trip = bool(later.trip) and later.trip == first.trip and since_ms <= 2 * HOUR_MS
    return later.vehicle == first.vehicle and (since_ms <= HOUR_MS // 3 or on_trip)
