"""What validators show, from the tariff: the full price of each line, medium and category, version by version. Pure.

A validator knows neither where the ride will end nor what was ridden before, so the table holds the dearest price that
the tariff allows for a line at any hour of a week. Transfers, free rides of a day and caps lower it on the bill.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fare.model import MediumKind, RiderCategory
from fare.tariff.model import Moment, Tariff, TariffVersion
from fare.validator.rules import FarePeriod, FareTable, Price

FOREVER_MS: Final = 253_402_300_800_000  # the year 10000
HOURS_OF_A_WEEK: Final = 7 * 24
MS: Final = 1_000


def fare_table(tariff: Tariff, route_ids: Sequence[str], kinds: Iterable[MediumKind]) -> FareTable:
    """Return the prices of all versions of ``tariff`` for the lines of a network.

    Lines with the prices that most lines have are left to the entry without a line, which is also what counts while a
    vehicle does not know its line.
    """
    kinds = tuple(kinds)
    return FareTable(
        periods=tuple(
            FarePeriod(
                version=version.version_id,
                from_ms=_midnight_ms(tariff, version.from_date),
                until_ms=_midnight_ms(tariff, version.until_date, days=1),
                prices=tuple(_prices(version, route_ids, kinds)),
            )
            for version in tariff.versions
        )
    )


def _prices(version: TariffVersion, route_ids: Sequence[str], kinds: Sequence[MediumKind]) -> Iterator[Price]:
    moments = tuple(_moments(version))
    for kind in kinds:
        for category in version.categories:
            tiyn = {route_id: _dearest(version, route_id, moments, kind, category) for route_id in route_ids}
            priced = Counter(amount for amount in tiyn.values() if amount is not None)
            if not priced:
                continue
            usual = max(priced, key=lambda amount: (priced[amount], amount))
            yield Price(kind=kind, category=category, tiyn=usual)
            for route_id, amount in tiyn.items():
                if amount is not None and amount != usual:
                    yield Price(kind=kind, category=category, tiyn=amount, route_id=route_id)


def _dearest(
    version: TariffVersion, route_id: str, moments: Iterable[Moment], kind: MediumKind, category: RiderCategory
) -> int | None:
    fares = (version.fare(route_id, "", "", moment, kind, category) for moment in moments)
    return max((fare.own_tiyn for fare in fares if fare is not None), default=None)


def _moments(version: TariffVersion) -> Iterator[Moment]:
    """Yield each hour of the first week, because a tariff may have prices of the hour."""
    first = version.from_date if version.from_date > dt.date.min else version.until_date - dt.timedelta(days=7)
    for hour in range(HOURS_OF_A_WEEK):
        date = first + dt.timedelta(days=hour // 24)
        yield Moment(at_ms=0, date=date, time_s=hour % 24 * 3_600, service_date=date)


def _midnight_ms(tariff: Tariff, date: dt.date, *, days: int = 0) -> int:
    """Return when a day of the city begins, ``days`` later; the ends of time are the ends of what a table can say."""
    if date == dt.date.min:
        return 0
    if date == dt.date.max:
        return FOREVER_MS
    start = dt.datetime.combine(date + dt.timedelta(days=days), dt.time(), tzinfo=tariff.zone)
    return round(start.timestamp()) * MS
