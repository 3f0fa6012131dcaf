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
    if settings.gtfs.feed is None:
        return dt.UTC
    try:
        return read_tariff(settings.gtfs.feed)[0].zone
    except NoTariffError as error:
        fail(str(error), EXIT_USAGE)
