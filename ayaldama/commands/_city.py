"""What commands about money share: the city's time, which is a demo's own, and the zone of its days."""

import datetime as dt

from ayaldama.commands._base import EXIT_USAGE, fail
from ayaldama.money import NoTariffError, read_tariff
from ayaldama.settings import Settings
from commons.clock import SystemClock


def city_ms(settings: Settings) -> int:
    """Return the city's time now."""
    return SystemClock(settings.clock_anchor).now_ms()


def city_zone(settings: Settings) -> dt.tzinfo:
    """Return the zone of the city's days, UTC where no feed says it; ends the program if the feed cannot be read."""
    try:
        return zone_if_known(settings)
    except NoTariffError as error:
        fail(str(error), EXIT_USAGE)


def zone_if_known(settings: Settings) -> dt.tzinfo:
    """Return the zone of the city's days, UTC where no feed is set.

    Raises:
        NoTariffError: if it cannot be read.
    """
    return dt.UTC if settings.gtfs.feed is None else read_tariff(settings.gtfs.feed)[0].zone


def shown(at_ms: int, zone: dt.tzinfo) -> str:
    """Return a moment of the city's time; one that no calendar has as it was said, in milliseconds."""
    try:
        return f"{dt.datetime.fromtimestamp(at_ms / 1_000, zone):%Y-%m-%d %H:%M:%S}{'Z' if zone is dt.UTC else ''}"
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
