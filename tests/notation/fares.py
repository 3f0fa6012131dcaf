"""Tariffs and bills written as text: a feed's fare tables, and rides as ``8:00 route`` with what each costs."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fare.model import Bill, CarrierId, MediumId, MediumKind, Profile, Ride, RiderCategory, Riders
from fare.tariff.model import Tariff, build_tariff
from fare.tariff.price import price
from gtfs_data.fares import read_fares
from tests.notation.feed import files, write_zip

MONDAY = dt.date(2026, 3, 2)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NOBODY = Profile()

# A town of three carriers: city lines R1 and R2, an express E, a suburban line V to a village.
TOWN = """
agency
agency_id  agency_name  agency_url          agency_timezone
A          Town         https://example.kz  Asia/Qyzylorda

routes
route_id  agency_id  route_short_name  route_long_name  route_type
R1        A          1                 Depot~-~Station  3
R2        A          2                 Bazaar           3
E         A          E                 Express          3
V         A          101               Village          3

networks
network_id  network_name
city        City
express     Express
suburban    Suburban

route_networks
network_id  route_id
city        R1
city        R2
express     E
suburban    V

areas
area_id  area_name
town     Town
village  Village

stop_areas
area_id  stop_id
town     S0
town     S1
village  S3

rider_categories
rider_category_id  rider_category_name  is_default_fare_category
adult              Adult                1
pupil              Pupil                0
student            Student              0
veteran            Veteran              0
child              Child                0

fare_media
fare_media_id  fare_media_name  fare_media_type
cash           Cash             0
card           Card             2
phone          Phone            4

fare_products
fare_product_id  fare_product_name  rider_category_id  fare_media_id  amount  currency
single           Single             -                  cash           150     KZT
single           Single             -                  -              85.01   KZT
village          Village~ride       -                  -              200     KZT
month            Month              -                  -              7500    KZT
upgrade          City~to~village    -                  -              110     KZT

fare_leg_rules
leg_group_id  network_id  from_area_id  to_area_id  fare_product_id  rule_priority
city          city        -             -           single           1
city          express     -             -           single           1
suburb        suburban    -             -           village          1
city          suburban    town          town        single           2
city          -           -             -           month            1

fare_transfer_rules
from_leg_group_id to_leg_group_id transfer_count duration_limit duration_limit_type fare_transfer_type fare_product_id
city              city            -1             3600           1                   0                  -
city              suburb          -              3600           1                   0                  upgrade

fare_versions
fare_version_id  start_date  end_date  day_start_time
old              20260101    20260331  04:00:00
new              20260401    -         04:00:00

fare_version_amounts
fare_version_id  fare_product_id  rider_category_id  fare_media_id  amount
new              single           -                  -              100

fare_caps
fare_cap_id  cap_period  amount  network_id
day          day         340     city
week         week        1500    -

fare_passes
fare_product_id  duration_unit   duration  network_id
month            calendar_month  1         city

fare_concessions
rider_category_id  share_percent  free_rides_per_day  paid_by  proof_required  ends_at_age
veteran            0              -                   oblast   1               -
pupil              50             -                   city     1               18
student            100            2                   city     1               -
child              0              -                   -        0               7

fare_multipliers
network_id  percent
express     200
"""


def fare_feed(path: Path, text: str = TOWN) -> Path:
    """Write a feed with the fare tables of ``text``."""
    return write_zip(path / "fares.zip", files(text))


def tariff(path: Path, text: str = TOWN) -> Tariff:
    """Return the tariff of ``text``."""
    return build_tariff([read_fares(fare_feed(path, text))])


def at_ms(when: str, of: Tariff, date: dt.date = MONDAY) -> int:
    """Return ``08:00``, ``Tue 08:00:30`` or ``2026-04-01 00:00`` of the week of ``date`` as epoch milliseconds."""
    day, _, time = when.rpartition(" ")
    date = date + dt.timedelta(days=WEEKDAYS.index(day)) if day in WEEKDAYS else dt.date.fromisoformat(day or str(date))
    return round(dt.datetime.combine(date, dt.time.fromisoformat(time), tzinfo=of.zone).timestamp() * 1000)


def riders(text: str) -> tuple[Riders, ...]:
    """Return ``adult×2 child×1``."""
    pairs = [one.split("×") for one in text.split()]
    return tuple(Riders(category=RiderCategory(category), count=int(count)) for category, count in pairs)


def ride(when: str, route_id: str, of: Tariff, **more: Any) -> Ride:
    """Return a ride on a bus of its own; its key is its time, as ``more`` may say otherwise."""
    given = {
        "key": f"{when}/{route_id}",
        "medium_id": MediumId("m1"),
        "medium_kind": MediumKind.TRANSPORT_CARD,
        "vehicle_id": f"bus-{when}",
        "carrier_id": CarrierId("A"),
        "stop_id": "S1",
    }
    return Ride(tapped_ms=at_ms(when, of), route_id=route_id, **(given | more))


def check(text: str, of: Tariff, profile: Profile = NOBODY, **more: Any) -> None:
    """Compare a bill: each line is ``when | route | charged | reason``, in the unit of the currency."""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    rides = [ride(when, route, of, **more) for when, route, *_ in lines]
    told = {one.key: said(price(rides, of, profile), one.key) for one in rides}
    assert told == {one.key: [(line[2], line[3])] for one, line in zip(rides, lines, strict=True)}


def said(bill: Bill, key: str) -> list[tuple[str, str]]:
    """Return the lines of a bill for one ride as amount and reason."""
    return [
        (f"{charge.charged_tiyn // 100}.{charge.charged_tiyn % 100:02}", charge.reason.value)
        for charge in bill.charges
        if charge.ride_key == key
    ]


def total_tiyn(rides: Iterable[Ride], of: Tariff, profile: Profile = NOBODY) -> int:
    """Return what rides cost together."""
    return price(rides, of, profile).total_tiyn
