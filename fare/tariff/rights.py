"""How long a right counts that a passenger has bought or proven: passes and concessions. Days are those of the city."""

import datetime as dt
from typing import Final

from fare.model import Concession, PassHeld, RiderCategory
from fare.tariff.model import Tariff, TariffVersion
from gtfs_data.fare_tables import PassProduct, PassUnit

FOR_EVER: Final = ""
MS: Final = 1_000


def pass_held(product_id: str, from_ms: int, tariff: Tariff) -> PassHeld:
    """Return a pass whose first ride may be at ``from_ms``.

    Hours count from that moment. Days are service days, and the one of ``from_ms`` is the first. A calendar month ends
    with the last service day of the month of ``from_ms``.

    Raises:
        ValueError: if the tariff of that day sells no such pass.
    """
    moment, version = tariff.at(from_ms)
    products = version.passes.get(product_id, ()) if version is not None else ()
    if version is None or not products:
        raise ValueError(f"product_id {product_id}: no such pass on {moment.date}")
    product = products[0]  # others differ in their networks only
    if product.unit is PassUnit.HOURS:
        return PassHeld(product_id=product_id, from_ms=from_ms, until_ms=from_ms + product.length * 3_600 * MS)
    until_ms = _day_start_ms(_after(product, moment.service_date), version, tariff)
    return PassHeld(product_id=product_id, from_ms=from_ms, until_ms=until_ms)


def concession(
    category: RiderCategory, from_date: dt.date, tariff: Tariff, *, born: dt.date | None = None, evidence: str = ""
) -> Concession:
    """Return the right to ride as ``category`` from a day on; with an age limit it ends on the eve of that birthday.

    Who is born on 29 February has the birthday on 1 March in other years.

    Raises:
        ValueError: if the tariff of ``from_date`` knows no such concession, or needs to know when they were ``born``.
    """
    version = tariff.version_on(from_date)
    rule = version.concessions.get(category) if version is not None else None
    if rule is None:
        raise ValueError(f"category {category}: no such concession on {from_date}")
    if rule.ends_at_age and born is None:
        raise ValueError(f"born: must be given, as the concession of {category} ends at {rule.ends_at_age}")
    until_date = FOR_EVER
    if rule.ends_at_age and born is not None:
        until_date = (_birthday(born, rule.ends_at_age) - dt.timedelta(days=1)).isoformat()
    return Concession(category=category, from_date=from_date.isoformat(), until_date=until_date, evidence=evidence)


def _after(product: PassProduct, first: dt.date) -> dt.date:
    """Return the first day on which a pass does not count any more."""
    if product.unit is PassUnit.DAYS:
        return first + dt.timedelta(days=product.length)
    months = first.month - 1 + product.length
    return dt.date(first.year + months // 12, months % 12 + 1, 1)


def _day_start_ms(date: dt.date, version: TariffVersion, tariff: Tariff) -> int:
    start = dt.datetime.combine(date, dt.time(), tzinfo=tariff.zone) + dt.timedelta(seconds=version.day_start_s)
    return round(start.timestamp()) * MS


def _birthday(born: dt.date, years: int) -> dt.date:
    try:
        return born.replace(year=born.year + years)
    except ValueError:
        return dt.date(born.year + years, 3, 1)
