"""What a day of sales says."""

from fare.settlement.model import Sale
from fare.settlement.refunds import AmnestyWindow, under_amnesty
from fare.settlement.reports import Dimension, concessions_by, origins_and_destinations, totals, totals_by
from fare.tariff.model import Tariff
from tests.notation.sales import day_of_sales


def test_the_totals_of_every_dimension_are_those_of_the_day(town: Tariff, sales: tuple[Sale, ...]) -> None:
    day = totals(sales)
    assert (day.rides, day.riders, day.concessions, day.transfers) == (7, 9, 2, 1)
    assert day.revenue_tiyn == sum(sale.settled_tiyn for sale in sales)
    for dimension in Dimension:
        groups = totals_by(sales, dimension, town.zone).values()
        assert sum(group.rides for group in groups) == day.rides
        assert sum(group.revenue_tiyn for group in groups) == day.revenue_tiyn


def test_rides_that_the_tariff_has_no_price_for_are_counted(town: Tariff) -> None:
    sales = day_of_sales(town, "2025-12-31 12:00 | card c1 | R1 | bus1 | m | S0 | adult×2")
    assert (totals(sales).rides, totals(sales).unpriced, totals(sales).revenue_tiyn) == (1, 2, 0)


def test_sales_are_counted_by_line_hour_carrier_and_payment(town: Tariff, sales: tuple[Sale, ...]) -> None:
    def rides(dimension: Dimension) -> dict[str, int]:
        return {value: group.rides for value, group in totals_by(sales, dimension, town.zone).items()}

    assert rides(Dimension.LINE) == {"E": 1, "R1": 2, "R2": 4}
    assert rides(Dimension.HOUR) == {"03": 1, "08": 2, "09": 1, "12": 1, "17": 1, "18": 1}
    assert rides(Dimension.CARRIER) == {"municipal": 2, "private": 5}
    assert rides(Dimension.PAYMENT) == {"cash": 1, "transport_card": 6}


def test_concessions_are_counted_by_who_pays_them(sales: tuple[Sale, ...]) -> None:
    assert concessions_by(sales) == {("city", "pupil"): (1, 4_251)}
    window = AmnestyWindow(amnesty_id="a", from_ms=0, until_ms=2**53)
    assert concessions_by(under_amnesty(sales, [window])) == {}


def test_a_ride_ends_where_the_next_one_begins_and_the_last_where_the_first_one_began(sales: tuple[Sale, ...]) -> None:
    assert origins_and_destinations(sales) == {
        ("S0", "S1"): 1 + 3,  # the card c1 and the family of c2, which comes back at night
        ("S1", "S3"): 1,
        ("S3", "S0"): 1,
        ("S1", "S0"): 1,
        ("S1", ""): 1 + 1,  # the pupil's only ride, and cash
    }
    assert sum(origins_and_destinations(sales).values()) == totals(sales).riders
