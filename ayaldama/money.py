"""What money needs of the settings: the city's tariff, its carriers' names, and what was agreed with them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from aiohttp import web

from ayaldama.database import open_database
from ayaldama.fares import configuration_of
from ayaldama.settings import Settings
from ayaldama.web.vendor import INSTALLED
from commons.clock import Clock, SystemClock
from commons.metrics import Metrics
from commons.texts import Language, load_catalogue
from fare.api.accounting import Books
from fare.api.accounting_routes import accounting_routes, new_export_key, new_history_token
from fare.api.accounting_top_ups import MediumOfPhone
from fare.api.history import History
from fare.model import AccountCode, CarrierId, MediumKind
from fare.pricing import CityPricing
from fare.refund_service import Refunds
from fare.settlement.reports import Dimension
from fare.settlement.statement_pdf import font_files, statement_pdf
from fare.settlement_service import Settlement, SettlementRules
from fare.sign_in import SignIn
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_people import PostgresPeople
from fare.store.postgres_settlement import Profiles, StoredStatement
from fare.tariff.model import Tariff, build_tariff
from fare.tariff.wording import Words
from fare.top_up_desk import TopUpDesk
from fare.top_ups import BankName
from fare.write_off_desk import WriteOffDesk
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

    def paper(self, one: StoredStatement, language: Language) -> bytes:
        """Return a statement as PDF.

        Raises:
            FileNotFoundError: if the font is not installed (``make vendor``).
        """
        of = one.statement
        words = Words(catalogue=load_catalogue("fare"), language=language, tariff=self.tariff, route_names={})
        fonts = font_files(INSTALLED / "@fontsource" / "golos-text")
        return statement_pdf(of, self.carrier_names.get(of.carrier_id, of.carrier_id), words, fonts, part=one.part)

    def routes(
        self,
        people: PostgresPeople,
        names: Mapping[Dimension, Mapping[str, str]],
        *,
        refunding: Mapping[BankName, AccountCode],
        medium_of_phone: MediumOfPhone,
        clock: Clock,
        metrics: Metrics,
        address_of: Callable[[web.Request], str],
    ) -> list[web.RouteDef]:
        """Return the routes of the accountant's page and of passengers' histories.

        ``names`` as in ``Books``, ``refunding`` as the accounts of ``TopUpDesk``.
        """
        books = Books(
            pool=self.pool,
            people=people,
            settlement=self.settlement,
            zone=self.tariff.zone,
            currency=self.tariff.currency,
            carrier_names=self.carrier_names,
            names=names,
            paper=self.paper,
            new_key=new_export_key,
        )
        history = History(self.pool, clock=clock, new_token=new_history_token, address_of=address_of)
        sign_in = SignIn(people, clock=clock)
        return [
            *accounting_routes(
                books,
                sign_in=sign_in,
                refunds=self.refunds,
                write_offs=WriteOffDesk(self.pool, rules=self.rules),
                top_ups=TopUpDesk(self.pool, refunding, rules=self.rules),
                medium_of_phone=medium_of_phone,
                clock=clock,
                metrics=metrics,
                address_of=address_of,
            ),
            *history.routes(),
        ]


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
        write_off_alone_tiyn=agreed.write_off_alone_tiyn,
        write_off_day_tiyn=agreed.write_off_day_tiyn,
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
    pricing: CityPricing,
    profiles: Profiles,
    carrier_names: Mapping[CarrierId, str],
) -> CityMoney:
    """Return the services of money over ``pool``."""
    rules = rules_of(settings)
    return CityMoney(
        pool=pool,
        tariff=pricing.tariff,
        carrier_names=carrier_names,
        settlement=Settlement(pool, pricing=pricing, profiles=profiles, rules=rules),
        refunds=Refunds(pool, pricing=pricing, rules=rules),
        rules=rules,
    )


@asynccontextmanager
async def open_money(settings: Settings) -> AsyncIterator[CityMoney]:
    """Give the services for a single command. Call it from the main thread, as ``open_database``.

    Raises:
        NoTariffError: if the settings name no feed with fares.
        ServerError, OSError, asyncpg.PostgresError: as ``open_database``.
    """
    tariff, names = read_tariff(settings.gtfs.feed)
    configuration = configuration_of(tariff, SystemClock().now_ms(), settings.validators)
    pricing = CityPricing(tariff=tariff, configuration=configuration)
    async with open_database(settings) as pool:
        yield city_money(pool, settings, pricing, PostgresMedia(pool).profiles, names)
