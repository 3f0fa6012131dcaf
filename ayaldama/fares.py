"""A city's fares as the role, the commands and the demo open them: tariff, rules, keys, carriers."""

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from ayaldama.settings import InspectionSection, Settings, ValidatorsSection
from commons.logs import get_logger
from fare.inspection.values import InspectionRules
from fare.media.tokens import TokenKey
from fare.model import CarrierId, MediumKind, RiderCategory
from fare.store.postgres_people import PostgresPeople
from fare.store.sealed_seeds import SeedKey
from fare.tariff.model import Tariff, TariffVersion, build_tariff
from fare.validator.rules import ADULT, Configuration, KindRules
from fare.validator.signing import SigningKey
from gtfs_data.agencies import agencies_of_routes
from gtfs_data.fares import FaresError, check_fares, read_fares

KINDS: Final = (MediumKind.TRANSPORT_CARD, MediumKind.BANK_CARD, MediumKind.PHONE)
TIYN_PER_TENGE: Final = 100
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
NOBODY: Final = CarrierId("unknown")  # carries where neither line nor agency is known

_CODES: Final = b"ayaldama inspection codes 1"
_PHONES: Final = b"ayaldama phones 1"
_ONE_TIME_CODES: Final = b"ayaldama one-time codes 1"
_SEEDS: Final = b"ayaldama seeds 1"

_log = get_logger(__name__)


class NoFaresError(Exception):
    """The feed has no fares; a city may run without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CityFares:
    """What the feed says about fares. ``carriers``: by line; ``carrier``: of a line that is not known."""

    tariff: Tariff
    carriers: Mapping[str, CarrierId]
    carrier: CarrierId


def read_city_fares(feed: Path) -> CityFares:
    """Return the fares of a feed.

    Raises:
        NoFaresError: if it has none.
        FaresError: if there is any fault in them.
        FeedUnreadableError: if it cannot be read.
    """
    try:
        tables = read_fares(feed)
    except FaresError:
        if check_fares(feed).errors:
            raise
        raise NoFaresError(f"{feed.name} has no fares (GTFS Fares v2)") from None
    by_route, first = agencies_of_routes(feed)
    carriers = {route_id: CarrierId(agency_id or NOBODY) for route_id, agency_id in by_route.items()}
    return CityFares(tariff=build_tariff([tables]), carriers=carriers, carrier=CarrierId(first or NOBODY))


async def open_city_fares(settings: Settings) -> CityFares | None:
    """Return the fares of the settings' feed, None where the city must do without: the rest of the system goes on."""
    feed = settings.gtfs.feed
    if feed is None:
        return None
    try:
        return await asyncio.to_thread(read_city_fares, feed)
    except NoFaresError as none:
        _log.info("no fares: nobody is served who pays", reason=str(none))
    except FaresError as error:
        _log.error("the feed's fares have faults: nobody is served who pays", error=str(error))
    return None


def configuration_of(tariff: Tariff, now_ms: int, chosen: ValidatorsSection) -> Configuration:
    """Return the rules of a city's validators: what the operator chose, and the categories of the tariff in force."""
    version = _version_at(tariff, now_ms)
    return Configuration(
        kinds=tuple(_kind_rules(kind, chosen) for kind in KINDS),
        retap_ms=chosen.retap_min * MINUTE_MS,
        ride_max_ms=chosen.ride_max_min * MINUTE_MS,
        default_category=default_category_at(tariff, now_ms),
        concessions=tuple(category for category in version.categories if category in version.concessions),
    )


def default_category_at(tariff: Tariff, at_ms: int) -> RiderCategory:
    """Return as what somebody rides who has no rights to anything else, by the tariff in force at ``at_ms``."""
    return _version_at(tariff, at_ms).default_category or ADULT


def companions_at(tariff: Tariff, at_ms: int) -> tuple[RiderCategory, ...]:
    """Return what others who ride along may be because somebody says so, by the tariff in force at ``at_ms``."""
    concessions = _version_at(tariff, at_ms).concessions
    return tuple(RiderCategory(name) for name, rule in concessions.items() if not rule.proof)


def inspection_rules_of(chosen: InspectionSection) -> InspectionRules:
    """Return the rules of the city's inspectors."""
    return InspectionRules(
        list_age_max_ms=chosen.list_age_max_s * 1_000,
        round_ms=chosen.round_min * MINUTE_MS,
        fine_tiyn=chosen.fine * TIYN_PER_TENGE,
        appeal_days=chosen.appeal_days,
        warning_first=chosen.warning_first,
    )


def _version_at(tariff: Tariff, at_ms: int) -> TariffVersion:
    return tariff.at(at_ms)[1] or tariff.versions[-1]


def _kind_rules(kind: MediumKind, chosen: ValidatorsSection) -> KindRules:
    return KindRules(
        kind=kind,
        list_age_max_ms=chosen.list_age_max_h * HOUR_MS,
        offline_rides_max=chosen.offline_rides_max,
        offline_tiyn_max=chosen.offline_max * TIYN_PER_TENGE,
        first_rides_max=chosen.first_rides_max,
        first_ride_max_tiyn=chosen.first_ride_max * TIYN_PER_TENGE,
    )


def city_key_path(settings: Settings) -> Path:
    """Return where the city's signing key is kept; its folder is made."""
    folder = settings.data_folder.expanduser().resolve() / "fare"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / "city-key"


def code_key_of(city_key: SigningKey) -> bytes:
    """Return the key of passengers' check codes: derived, so that one secret file is enough."""
    return hmac.digest(city_key.to_bytes(), _CODES, "sha256")


def phone_key_of(city_key: SigningKey) -> TokenKey:
    """Return the key under which a phone's number is a medium, for ``fare.media.phone``: derived likewise."""
    return TokenKey(version=1, secret=hmac.digest(city_key.to_bytes(), _PHONES, "sha256"))


def one_time_code_key_of(city_key: SigningKey) -> bytes:
    """Return the key of the digests of one-time codes: derived likewise."""
    return hmac.digest(city_key.to_bytes(), _ONE_TIME_CODES, "sha256")


def seed_key_of(city_key: SigningKey) -> SeedKey:
    """Return the key that seals the seeds of people's one-time codes: derived likewise."""
    return SeedKey(hmac.digest(city_key.to_bytes(), _SEEDS, "sha256"))


async def open_people(pool: asyncpg.Pool, city_key: SigningKey) -> PostgresPeople:
    """Give the people of a city whose key this is; seeds that were kept unsealed before are sealed.

    Raises:
        OSError, asyncpg.PostgresError: if the database does not answer.
    """
    people = PostgresPeople(pool, seed_key_of(city_key))
    sealed = await people.seal_seeds()
    if sealed:
        _log.info("seeds of one-time codes are sealed now", seeds=sealed)
    return people
