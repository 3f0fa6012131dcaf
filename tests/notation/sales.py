"""A day of sales written as text: who rode when, on which line and bus of which carrier, paid how."""

from fare.model import CarrierId, Concession, MediumId, MediumKind, Profile, RiderCategory
from fare.settlement.model import Sale, sales_of
from fare.tariff.model import Tariff
from fare.tariff.price import price
from tests.notation.fares import ride, riders

DAY = """
08:00     | card   c1 | R1 | bus1 | municipal | S0 |
08:30     | card   c1 | R2 | bus2 | private   | S1 |
09:00     | card   c2 | R1 | bus1 | municipal | S0 | adult×2 child×1
12:00     | pupil  c3 | R2 | bus2 | private   | S1 |
17:00     | card   c1 | R2 | bus2 | private   | S3 |
18:00     | cash   -  | R2 | bus2 | private   | S1 |
Tue 03:00 | card   c2 | E  | bus3 | private   | S1 |
"""
PUPIL = Profile(concessions=(Concession(category=RiderCategory("pupil"), from_date="", until_date=""),))


def day_of_sales(of: Tariff, text: str = DAY) -> tuple[Sale, ...]:
    """Return the sales of ``text``, each medium priced by itself; the tap of line n is ``v:n``."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    media: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        media.setdefault(row[1], []).append(place)
    sales: list[Sale] = []
    for who, places in media.items():
        kind, medium = who.split()
        taken = [
            ride(
                rows[place][0],
                rows[place][2],
                of,
                key=f"v:{place + 1}",
                medium_id=MediumId(medium),
                medium_kind=MediumKind.CASH if kind == "cash" else MediumKind.TRANSPORT_CARD,
                vehicle_id=rows[place][3],
                carrier_id=CarrierId(rows[place][4]),
                stop_id=rows[place][5],
                riders=riders(rows[place][6]),
            )
            for place in places
        ]
        sales += sales_of(price(taken, of, PUPIL if kind == "pupil" else Profile()), taken, of)
    return tuple(sorted(sales, key=lambda sale: sale.ride.tapped_ms))
