"""London's buses as Transport for London published them for 2025: £1.75 a ride, any number of buses within an hour of
the first touch, no more than £5.25 a day and £24.70 a week, days from 04:30 to 04:29, weeks from Monday to Sunday.
"""

import pytest

from fare.model import MediumId
from fare.tariff.model import Tariff
from fare.tariff.price import price
from tests.notation.fares import NOBODY, check, ride, tariff, total_tiyn

LONDON = """
agency
agency_id  agency_name  agency_url           agency_timezone
A          London       https://example.org  Europe/London

fare_media
fare_media_id  fare_media_name  fare_media_type
oyster         Oyster           2
bank           Contactless      3

fare_products
fare_product_id  fare_product_name  amount  currency
bus              Bus                1.75    GBP

fare_leg_rules
leg_group_id  fare_product_id
bus           bus

fare_transfer_rules
from_leg_group_id  to_leg_group_id  transfer_count  duration_limit  duration_limit_type  fare_transfer_type
bus                bus              -1              3600            1                    0

fare_versions
fare_version_id  start_date  day_start_time
2025             20250302    04:30:00

fare_caps
fare_cap_id  cap_period  amount
day          day         5.25
week         week        24.70
"""


@pytest.fixture(scope="module")
def london(tmp_path_factory: pytest.TempPathFactory) -> Tariff:
    return tariff(tmp_path_factory.mktemp("london"), LONDON)


def test_the_hopper_counts_from_the_first_touch(london: Tariff) -> None:
    check(
        """
        08:00    | R1 | 1.75 | full
        08:30    | R1 | 0.00 | transfer
        08:59    | R1 | 0.00 | transfer
        09:00    | R1 | 0.00 | transfer
        09:00:01 | R1 | 1.75 | full
        09:59    | R1 | 0.00 | transfer
        """,
        london,
    )


def test_four_buses_more_than_an_hour_apart_cost_the_day_cap(london: Tariff) -> None:
    check(
        """
        08:00 | R1 | 1.75 | full
        10:00 | R1 | 1.75 | full
        13:00 | R1 | 1.75 | full
        17:00 | R1 | 0.00 | day_cap
        """,
        london,
    )


def test_the_day_ends_at_half_past_four(london: Tariff) -> None:
    check(
        """
        Mon 09:00 | R1 | 1.75 | full
        Mon 12:00 | R1 | 1.75 | full
        Mon 15:00 | R1 | 1.75 | full
        Tue 03:20 | R1 | 0.00 | day_cap
        Tue 04:29 | R1 | 0.00 | day_cap
        Wed 04:30 | R1 | 1.75 | full
        """,
        london,
    )
    capped = [ride(when, "R1", london) for when in ("Mon 09:00", "Mon 12:00", "Mon 15:00")]
    last, first = ride("Tue 04:29", "R1", london), ride("Tue 04:30", "R1", london)
    assert total_tiyn([*capped, last], london) == 525
    assert total_tiyn([*capped, first], london) == 700


def test_five_days_at_the_cap_cost_the_week_cap(london: Tariff) -> None:
    week = [
        ride(f"{day} {hour}", "R1", london)
        for day in ("Mon", "Tue", "Wed", "Thu", "Fri")
        for hour in ("07:00", "09:00", "11:00", "13:00")
    ]
    assert total_tiyn(week[:16], london) == 4 * 525
    assert total_tiyn(week, london) == 2470 != 5 * 525
    bill = price([*week, ride("Sat 10:00", "R1", london), ride("Sun 23:00", "R1", london)], london, NOBODY)
    assert [charge.reason for charge in bill.charges[-2:]] == ["week_cap", "week_cap"]
    assert bill.charges[-1].capped_tiyn == 2470
    assert total_tiyn([*week, ride("2026-03-09 04:29", "R1", london)], london) == 2470
    assert total_tiyn([*week, ride("2026-03-09 04:30", "R1", london)], london) == 2470 + 175


def test_a_cap_is_of_one_and_the_same_card(london: Tariff) -> None:
    rides = [
        ride(hour, "R1", london, medium_id=MediumId(medium), key=f"{medium}{hour}")
        for medium in ("oyster", "phone")
        for hour in ("07:00", "09:00", "11:00", "13:00")
    ]
    assert total_tiyn(rides, london) == 2 * 525


def test_the_hour_of_the_hopper_is_an_hour_also_when_the_clocks_go_forward(london: Tariff) -> None:
    rides = [ride(f"2026-03-29 {hour}", "R1", london) for hour in ("00:30", "02:30", "03:45", "04:29", "04:30")]
    assert [charge.charged_tiyn for charge in price(rides, london, NOBODY).charges] == [175, 0, 175, 0, 0]
