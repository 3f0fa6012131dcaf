"""Leg and transfer rules match as the GTFS reference says."""

from pathlib import Path

import pytest

from fare.tariff.model import Tariff
from tests.notation.fares import check, tariff

BASE = """
networks
network_id  network_name
bus         Bus
rail        Rail

route_networks
network_id  route_id
bus         R1
rail        R2

routes
route_id  agency_id  route_short_name  route_long_name  route_type
R1        A          1                 One              3
R2        A          2                 Two              2
R3        A          3                 Three            3

areas
area_id
centre
edge

stop_areas
area_id  stop_id
centre   S1
edge     S3

fare_products
fare_product_id  amount  currency
bus              1       KZT
rail             4       KZT
other            9       KZT
peak             2       KZT
half             0.50    KZT
less             -0.30   KZT
whole            4.20    KZT
"""


def made(folder: Path, tables: str) -> Tariff:
    return tariff(folder, BASE + tables)


def test_without_priority_an_empty_field_means_all_that_no_row_names(tmp_path: Path) -> None:
    of = made(
        tmp_path,
        """
fare_leg_rules
network_id  from_area_id  fare_product_id
bus         -             bus
rail        centre        rail
-           -             other
""",
    )
    check("08:00 | R1 | 0.00 | no_fare", of)  # from the centre, which a row names
    check("08:00 | R1 | 1.00 | full", of, stop_id="S3")
    check("08:00 | R2 | 4.00 | full", of)
    check("08:00 | R2 | 0.00 | no_fare", of, stop_id="S3")
    check("08:00 | R3 | 9.00 | full", of, stop_id="S0")


def test_with_priority_an_empty_field_means_anything_and_the_highest_counts(tmp_path: Path) -> None:
    of = made(
        tmp_path,
        """
fare_leg_rules
network_id  from_area_id  fare_product_id  rule_priority
bus         -             bus              1
rail        centre        rail             2
-           -             other            -
""",
    )
    check("08:00 | R1 | 1.00 | full", of)
    check("08:00 | R2 | 4.00 | full", of)
    check("08:00 | R2 | 9.00 | full", of, stop_id="S3")


def test_of_products_for_the_same_leg_the_cheapest_counts(tmp_path: Path) -> None:
    of = made(tmp_path, "\nfare_leg_rules\nfare_product_id\nrail\nbus\nother\n")
    check("08:00 | R2 | 1.00 | full", of)


def test_peak_hours_cost_more_on_the_days_of_their_service(tmp_path: Path) -> None:
    of = made(
        tmp_path,
        """
calendar
service_id  monday  tuesday  wednesday  thursday  friday  saturday  sunday  start_date  end_date
daily       1       1        1          1         1       1         1       20260301    20260331
workdays    1       1        1          1         1       0         0       20260301    20260331

calendar_dates
service_id  date      exception_type
workdays    20260303  2
workdays    20260307  1

timeframes
timeframe_group_id  start_time  end_time  service_id
peak                07:00:00    09:00:00  workdays

fare_leg_rules
from_timeframe_group_id  fare_product_id  rule_priority
peak                     peak             2
-                        bus              1
""",
    )
    check(
        """
        Mon 06:59:59 | R1 | 1.00 | full
        Mon 07:00    | R1 | 2.00 | full
        Mon 08:59:59 | R1 | 2.00 | full
        Mon 09:00    | R1 | 1.00 | full
        Tue 08:00    | R1 | 1.00 | full
        Wed 08:00    | R1 | 2.00 | full
        Sat 08:00    | R1 | 2.00 | full
        Sun 08:00    | R1 | 1.00 | full
        """,
        of,
    )


LEGS = """
fare_leg_rules
leg_group_id  network_id  fare_product_id
bus           bus         bus
rail          rail        rail

fare_transfer_rules
from_leg_group_id to_leg_group_id transfer_count duration_limit duration_limit_type fare_transfer_type fare_product_id
"""


@pytest.mark.parametrize(
    ("kind", "product", "price"),
    [
        (0, "-", "0.00"),  # A + AB, AB for nothing
        (0, "half", "0.50"),
        (0, "other", "4.00"),  # never more than alone
        (1, "-", "4.00"),  # A + AB + B
        (1, "less", "3.70"),
        (2, "whole", "3.20"),  # AB in all, of which A is paid
        (2, "half", "0.00"),  # nothing is given back
    ],
)
def test_a_journey_of_two_legs_costs_what_its_transfer_type_says(
    tmp_path: Path, kind: int, product: str, price: str
) -> None:
    of = made(tmp_path, LEGS + f"bus rail - 3600 1 {kind} {product}\n")
    reason = "full" if price == "4.00" else "transfer"
    check(f"08:00 | R1 | 1.00 | full\n08:30 | R2 | {price} | {reason}", of)


def test_transfers_may_be_counted(tmp_path: Path) -> None:
    check(
        """
        08:00 | R1 | 1.00 | full
        08:10 | R1 | 0.00 | transfer
        08:20 | R1 | 0.00 | transfer
        08:30 | R1 | 1.00 | full
        """,
        made(tmp_path, LEGS + "bus bus 2 7200 1 0 -\n"),
    )


def test_a_transfer_without_a_limit_of_time_ends_with_the_service_day(tmp_path: Path) -> None:
    check(
        """
        Mon 08:00 | R1 | 1.00 | full
        Mon 23:59 | R1 | 0.00 | transfer
        Tue 00:00 | R1 | 1.00 | full
        """,
        made(tmp_path, LEGS + "bus bus -1 - - 0 -\n"),
    )


def test_an_empty_group_of_a_transfer_means_all_that_no_rule_names(tmp_path: Path) -> None:
    of = made(tmp_path, LEGS + "bus - - 3600 1 0 half\nbus bus -1 3600 1 0 -\n")
    check(
        """
        08:00 | R1 | 1.00 | full
        08:10 | R1 | 0.00 | transfer
        08:20 | R2 | 0.50 | transfer
        08:30 | R1 | 1.00 | full
        """,
        of,
    )


def test_of_two_transfer_rules_the_cheaper_one_counts(tmp_path: Path) -> None:
    of = made(tmp_path, LEGS + "bus rail - 3600 1 0 half\nbus rail - 600 1 0 -\n")
    check("08:00 | R1 | 1.00 | full\n08:10 | R2 | 0.00 | transfer", of)
    check("08:00 | R1 | 1.00 | full\n08:11 | R2 | 0.50 | transfer", of)
