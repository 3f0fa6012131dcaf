"""What money needs of the settings: the city's tariff, its carriers' names, and what was agreed with them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from ayaldama.database import open_database
from ayaldama.settings import Settings
from commons.texts import Language, load_catalogue
from fare.model import CarrierId, MediumId, MediumKind, Profile
from fare.refund_service import Refunds
from fare.settlement_service import Settlement, SettlementRules
from fare.store.postgres_settlement import Profiles
from fare.tariff.model import Tariff, build_tariff
from fare.tariff.pricing import TariffPricing
from fare.tariff.wording import Words
from gtfs_data import fields
from gtfs_data.fares import FaresError, read_fares
from gtfs_data.read import FeedUnreadableError, read_texts

BASIS_POINTS_PER_PERCENT: Final = 100


class NoTariffError(Exception):
    """The city has no tariff that could be read; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CityMoney:
    """The services of money over one database."""

    pool: asyncpg.Pool
    tariff: Tariff
    carrier_names: Mapping[CarrierId, str]
    settlement: Settlement
    refunds: Refunds
    rules: SettlementRules

    def words(self, language: Language) -> Words:
        """Return how to speak of this city's money in a language."""
        return Words(catalogue=load_catalogue("fare"), language=language, tariff=self.tariff, route_names={})


def rules_of(settings: Settings) -> SettlementRules:
    """Return what the settings say of settlement."""
    agreed = settings.settlement
    percent = {
        MediumKind.TRANSPORT_CARD: agreed.commission_transport_card,
        MediumKind.BANK_CARD: agreed.commission_bank_card,
        MediumKind.PHONE: agreed.commission_phone,
        MediumKind.SMS: agreed.commission_sms,
    }
    return SettlementRules(
        commission_bp={kind: round(value * BASIS_POINTS_PER_PERCENT) for kind, value in percent.items()},
        alone_tiyn=agreed.refund_alone * 100,
        acquirer=agreed.acquirer,
        bank=agreed.bank,
    )


def read_tariff(feed: Path | None) -> tuple[Tariff, Mapping[CarrierId, str]]:
    """Return the tariff of a feed and the names of its agencies.

    Raises:
        NoTariffError: if there is no feed, or none that can be read.
    """
    if feed is None:
        raise NoTariffError("gtfs.feed is not set: name the city's GTFS feed (AYALDAMA_GTFS__FEED)")
    try:
        tariff = build_tariff([read_fares(feed)])
        agencies = read_texts(feed, ("agency",)).get("agency")
    except (FeedUnreadableError, FaresError) as error:
        raise NoTariffError(f"gtfs.feed: {error}") from error
    ids, names = fields.texts(agencies, "agency_id"), fields.texts(agencies, "agency_name")
    return tariff, {CarrierId(key): name for key, name in zip(ids, names, strict=True)}


def city_money(
    pool: asyncpg.Pool,
    settings: Settings,
    tariff: Tariff,
    profiles: Profiles,
    carrier_names: Mapping[CarrierId, str],
) -> CityMoney:
    """Return the services of money over ``pool``."""
    pricing, rules = TariffPricing(tariff), rules_of(settings)
    return CityMoney(
        pool=pool,
        tariff=tariff,
        carrier_names=carrier_names,
        settlement=Settlement(pool, pricing=pricing, profiles=profiles, rules=rules),
        refunds=Refunds(pool, pricing=pricing, rules=rules),
        rules=rules,
    )


def profiles_in(pool: asyncpg.Pool) -> Profiles:
    """Return who holds media, as the database knows."""

    async def nobody(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
        return {}

    return nobody


@asynccontextmanager
async def open_money(settings: Settings) -> AsyncIterator[CityMoney]:
    """Give the services for a single command. Call it from the main thread, as ``open_database``.

    Raises:
        NoTariffError: if the settings name no feed with fares.
        ServerError, OSError, asyncpg.PostgresError: as ``open_database``.
    """
    tariff, names = read_tariff(settings.gtfs.feed)
    async with open_database(settings) as pool:
        yield city_money(pool, settings, tariff, profiles_in(pool), names)
