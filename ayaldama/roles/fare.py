"""Fare: validators' taps to the books, documents to validators, the inspectors' desk, riders to occupancy."""

import asyncio
import datetime as dt
import functools
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import msgspec
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ayaldama import bridges
from ayaldama.banks import refunding_accounts
from ayaldama.fares import (
    KINDS,
    CityFares,
    city_key_path,
    code_key_of,
    configuration_of,
    inspection_rules_of,
    open_city_fares,
    open_people,
    phone_key_of,
)
from ayaldama.health import ServersHealth
from ayaldama.http import address_of, application, serve_application
from ayaldama.money import city_money, read_tariff
from ayaldama.openapi_fare import OPERATIONS
from ayaldama.roles._base import RoleContext, RoleError, end_tasks, open_network, open_postgres, open_redis
from ayaldama.web.vendor import vendor_routes
from commons.clock import monotonic_s
from commons.logs import get_logger
from fare.api.devices import Devices, Surroundings
from fare.api.inspection import Inspection
from fare.collecting import Collector, Days
from fare.expiry import HoldExpiry
from fare.gateways.acquirer import Acquirer
from fare.gateways.iso8583 import Iso8583Settings, open_acquirer
from fare.gateways.postgres_attempts import PostgresAttempts
from fare.keys import FareKeys
from fare.ledger.accounts import revenue, subsidy
from fare.media.phone import phone_medium, phone_number
from fare.model import AccountCode, LocatedTap, MediumId, RiderCategory
from fare.precedence import Precedence
from fare.pricing import CityPricing
from fare.risk.values import RiskRules
from fare.service import TapIntake, open_taps
from fare.settlement.reports import Dimension
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.documents import DocumentKeeper
from fare.store.postgres_devices import PostgresDevices
from fare.store.postgres_inspection import PostgresInspection
from fare.store.postgres_ledger import open_ledger
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.store.postgres_releases import PostgresReleases
from fare.store.postgres_taps import media_in_debt
from fare.store.postgres_to_charge import count_to_charge
from fare.store.publishing import Publisher
from fare.store.redis_boardings import boardings_of, publish_boardings
from fare.store.shared_codes import shared_codes
from fare.taking import TapTaking
from fare.tariff.pricing import service_day_ms
from fare.validator.price_table import fare_table
from fare.validator.rules import Configuration
from fare.validator.signing import SigningKey
from gtfs_data.network import Network
from transit.store.redis_state import StateReader
from transit.tracking.occupancy import Capacity, Loads
from transit.tracking.whereabouts import Whereabouts

CONNECTIONS_MAX: Final = 13
FIGURES_S: Final = 5.0
RATE_S: Final = 60.0
BILLS_EVERY_S: Final = 120.0
BILLS_PAUSE_S: Final = 0.1
BILLS_AT_A_TIME: Final = 20  # media: taps wait for as long as these are derived
SALT_BYTES: Final = 16

_ACCOUNTS: Final[Mapping[str, Callable[[RiderCategory], AccountCode]]] = MappingProxyType(
    {"revenue": revenue, "subsidy": subsidy}
)

_log = get_logger(__name__)


class FareFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the role has done lately. Amounts are all that was ever posted."""

    as_of_ms: int
    taps_per_minute: float
    revenue_tiyn: int
    subsidy_tiyn: int
    denied: int  # media on the deny list


async def serve(context: RoleContext) -> None:
    """Serve fares until ``context.stop``; without fares in the feed, wait for it."""
    network = await open_network(context.settings)
    fares = await open_city_fares(context.settings)
    if fares is None:
        context.ready({})
        await context.stop.wait()
        return
    try:
        key = open_city_key(city_key_path(context.settings))
    except CityKeyError as error:
        raise RoleError(str(error)) from error
    async with (
        open_redis(context.settings) as redis,
        open_postgres(context.settings, connections_max=CONNECTIONS_MAX, resets=False) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        room = _Room(context, network, fares, key=key, redis=redis, pool=pool)
        await room.keeper.publish()
        async with (
            open_taps(
                pool,
                pricing=room.pricing,
                profiles=room.media.profiles,
                owing=room.hear_owing,
                metrics=context.metrics,
                precedence=room.precedence,
            ) as intake,
            room.devices(intake) as devices,
        ):
            working = [tasks.create_task(work, name=name) for name, work in room.works().items()]
            working += [tasks.create_task(_run_money(room), name="money")]
            app = application(
                [*devices.routes(), *room.inspection().routes(), *await room.books(), *vendor_routes()],
                OPERATIONS,
                health=ServersHealth(redis=redis, pool=pool),
                metrics=context.metrics,
                settings=msgspec.structs.replace(
                    context.settings.web, host=context.settings.fare.host, port=context.settings.fare.port
                ),
                sockets=context.sockets,
                role="fare",
            )
            app.on_response_prepare.append(_let_inspectors_scan)
            fare = context.settings.fare
            try:
                async with serve_application(app, host=fare.host, port=fare.port) as port:
                    context.ready({"fare": port})
                    await context.stop.wait()
            finally:
                await end_tasks(working)


class _Room:
    """The parts of one city's fares, and what they tell each other."""

    def __init__(
        self,
        context: RoleContext,
        network: Network,
        fares: CityFares,
        *,
        key: SigningKey,
        redis: Redis,
        pool: asyncpg.Pool,
    ) -> None:
        self.context, self.fares, self.key, self.redis, self.pool = context, fares, key, redis, pool
        self._denied: set[MediumId] = set()  # of those whose debt was told
        self._taken: deque[tuple[float, int]] = deque()  # when, how many
        self.precedence = Precedence()
        settings = context.settings
        self.configuration = self.configuration_at(context.clock.now_ms())  # what of it is settings never changes
        self.pricing = CityPricing(tariff=fares.tariff, configuration=self.configuration)
        self.media = PostgresMedia(pool)
        _, carrier_names = read_tariff(settings.gtfs.feed)
        self.money = city_money(pool, settings, self.pricing, self.media.profiles, carrier_names)
        self.store = PostgresDevices(pool, settings.city)
        self.fare_keys = FareKeys(settings.city)
        self.whereabouts = Whereabouts(network)
        self.names: Mapping[Dimension, Mapping[str, str]] = {
            Dimension.LINE: dict(zip(network.routes.ids, network.routes.short_names, strict=True)),
            # Both sides of a street have one name.
            Dimension.STOP: {
                stop_id: f"{name} · {code or stop_id}"
                for stop_id, name, code in zip(network.stops.ids, network.stops.names, network.stops.codes, strict=True)
            },
        }
        try:
            self.loads = Loads(Capacity(seats=settings.fare.seats, places=settings.fare.places))
        except ValueError as error:
            raise RoleError(str(error)) from error
        self.locator = bridges.Locator(
            whereabouts=self.whereabouts,
            pool=self.pool,
            carriers=fares.carriers,
            carrier=fares.carrier,
            clock=context.clock,
            metrics=context.metrics,
        )
        self.keeper = DocumentKeeper(
            publisher=Publisher(self.store, city=settings.city, key=key),
            media=self.media,
            phones=PostgresPhoneKeys(self.pool, settings.city),
            pool=self.pool,
            tariff=fares.tariff,
            configuration_at=self.configuration_at,
            fares=fare_table(fares.tariff, network.routes.ids, KINDS),
            clock=context.clock,
            metrics=context.metrics,
        )

    def configuration_at(self, at_ms: int) -> Configuration:
        """Return the rules of validators at a moment; their concessions are those of the tariff version of then."""
        return configuration_of(self.fares.tariff, at_ms, self.context.settings.validators)

    def works(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs beside the requests, by name."""
        context = self.context
        state = StateReader(self.redis, context.keys)
        return {
            "documents": self.keeper.run(),
            "places": bridges.follow_places(state, self.whereabouts, self.loads, metrics=context.metrics),
            "boardings": bridges.count_riders(self.redis, context.keys, self.fare_keys, self.loads, context.metrics),
            "loads": bridges.tell_loads(self.redis, context.keys, self.loads, metrics=context.metrics),
            "figures": self._tell_figures(),
            "bills": self._keep_bills(),
        }

    def inspection(self) -> Inspection:
        """Return the inspectors' pages and their desk."""
        desk = PostgresInspection(
            self.pool,
            configuration=self.configuration,
            where_is=self.locator.vehicle_now,
            cash_aboard=self.context.settings.inspection.cash_aboard,
        )
        return Inspection(
            desk,
            rules=inspection_rules_of(self.context.settings.inspection),
            code_key=code_key_of(self.key),
            new_salt=functools.partial(secrets.token_bytes, SALT_BYTES),
            city=self.context.settings.city,
            zone=self.fares.tariff.zone.key,
            clock=self.context.clock,
            metrics=self.context.metrics,
            address_of=functools.partial(address_of, behind_proxy=self.context.settings.web.behind_proxy),
        )

    async def _keep_bills(self) -> None:
        """Derive the lines of what was posted lately, some media at a time, so that no report waits for them."""
        while True:
            try:
                await self.money.settlement.keep_bills(
                    self.context.clock.now_ms(), media_at_a_time=BILLS_AT_A_TIME, pause_s=BILLS_PAUSE_S
                )
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self.context.metrics.count("role_errors_total", role="fare", where="bills")
                _log.warning("bills wait", error=repr(error))
            await asyncio.sleep(BILLS_EVERY_S)

    async def books(self) -> list[web.RouteDef]:
        """Return the accountant's page and passengers' own histories."""
        context, settings = self.context, self.context.settings
        address = functools.partial(address_of, behind_proxy=settings.web.behind_proxy)
        people = await open_people(self.pool, self.key)
        return self.money.routes(
            people,
            self.names,
            refunding=refunding_accounts(settings.banks),
            medium_of_phone=self._medium_of_phone,
            clock=context.clock,
            metrics=context.metrics,
            address_of=address,
        )

    def _medium_of_phone(self, typed: str) -> MediumId | None:
        number = phone_number(typed)
        return phone_medium(number, phone_key_of(self.key)) if number is not None else None

    def collector(self, acquirer: Acquirer) -> Collector:
        """Return who charges bank cards."""
        context = self.context
        return Collector(
            self.pool,
            acquirer,
            name=context.settings.settlement.acquirer,
            rules=RiskRules(),
            days=Days(bounds=self._day_bounds, minute=self._minute),
            clock=context.clock,
            metrics=context.metrics,
            denials_changed=self.keeper.wake,
        )

    def _day_bounds(self, day: dt.date) -> tuple[int, int]:
        return service_day_ms(self.fares.tariff, day), service_day_ms(self.fares.tariff, day + dt.timedelta(days=1))

    def _minute(self, at_ms: int) -> int:
        return self.fares.tariff.at(at_ms)[0].time_s // 60

    def hear_owing(self, owed: Mapping[MediumId, int]) -> None:
        """Wake who keeps the deny list, if somebody came into debt or paid."""
        now = {medium_id for medium_id, tiyn in owed.items() if tiyn > 0}
        before = self._denied & owed.keys()
        if now != before:
            self._denied = (self._denied - owed.keys()) | now
            self.keeper.wake()

    @asynccontextmanager
    async def devices(self, intake: TapIntake) -> AsyncIterator[Devices]:
        """Give the validators' side while the block runs; what an earlier failure left behind is handed over."""
        taking = TapTaking(
            intake=intake,
            locating=self.locator,
            told=self._hear_taps,
            clock=self.context.clock,
            metrics=self.context.metrics,
        )
        devices = Devices(
            self.store,
            city=self.context.settings.city,
            key=self.key,
            clock=self.context.clock,
            metrics=self.context.metrics,
            surroundings=Surroundings(
                take_taps=taking.take,
                record=taking.record,
                place_of=self.locator.place_of,
                balances_of=self.media.balances_tiyn,
            ),
            precedence=self.precedence,
            releases=PostgresReleases(self.pool),
            address_of=functools.partial(address_of, behind_proxy=self.context.settings.web.behind_proxy),
        )
        self._denied = set(await media_in_debt(self.pool))
        async with devices.running():
            yield devices

    async def _hear_taps(self, taps: Sequence[LocatedTap]) -> None:
        self._taken.append((monotonic_s(), len(taps)))
        try:
            await publish_boardings(self.redis, self.fare_keys, boardings_of(taps))
        except (RedisError, OSError) as error:  # the taps are stored; only occupancy misses them
            self.context.metrics.count("role_errors_total", role="fare", where="boardings")
            _log.warning("boardings are not counted", error=repr(error))
        await self._look_for_shared_codes(taps)

    async def _look_for_shared_codes(self, taps: Sequence[LocatedTap]) -> None:
        try:
            shared = await shared_codes(self.pool, [one.tap for one in taps])
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:  # they can be looked for again
            self.context.metrics.count("role_errors_total", role="fare", where="shared_codes")
            _log.warning("shared codes are not looked for", error=repr(error))
            return
        for one in shared:
            self.context.metrics.count("fare_codes_shared_total")
            _log.error("one code on two vehicles", taps=one.keys, vehicles=one.vehicles)

    async def _tell_figures(self) -> None:
        while True:
            await asyncio.sleep(FIGURES_S)
            try:
                figures = msgspec.json.encode(await self._figures())
                await self.redis.set(self.fare_keys.figures, figures, ex=60)
            except (RedisError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self.context.metrics.count("role_errors_total", role="fare", where="figures")
                _log.warning("figures wait", error=repr(error))

    async def _figures(self) -> FareFigures:
        since_s = monotonic_s() - RATE_S
        while self._taken and self._taken[0][0] < since_s:
            self._taken.popleft()
        categories = {category for version in self.fares.tariff.versions for category in version.categories}
        categories |= {self.configuration.default_category}
        names = {one: [name(category) for category in categories] for one, name in _ACCOUNTS.items()}
        sums_tiyn = {
            one: await self.pool.fetchval(
                "SELECT coalesce(sum(balance_tiyn), 0)::bigint FROM account WHERE code = ANY ($1::text[])", codes
            )
            for one, codes in names.items()
        }
        self.context.metrics.set("fare_media_to_charge", await count_to_charge(self.pool))
        return FareFigures(
            as_of_ms=self.context.clock.now_ms(),
            taps_per_minute=sum(count for _, count in self._taken) * 60 / RATE_S,
            revenue_tiyn=-sums_tiyn["revenue"],
            subsidy_tiyn=sums_tiyn["subsidy"],
            denied=len(await self.media.blocked() | (await media_in_debt(self.pool)).keys()),
        )


async def _run_money(room: _Room) -> None:
    """Free holds that nobody resolved; charge bank cards where an acquirer is known."""
    context, fare = room.context, room.context.settings.fare
    async with open_ledger(room.pool) as ledger, asyncio.TaskGroup() as tasks:
        expiry = HoldExpiry(room.pool, ledger, clock=context.clock, metrics=context.metrics)
        tasks.create_task(expiry.run(), name="holds")
        if not fare.acquirer_host:
            return
        settings = Iso8583Settings(host=fare.acquirer_host, port=fare.acquirer_port, merchant_id=fare.merchant_id)
        attempts = PostgresAttempts(room.pool)
        async with open_acquirer(settings, attempts, context.clock, context.metrics) as acquirer:
            await room.collector(acquirer).run()


async def _let_inspectors_scan(request: web.Request, response: web.StreamResponse) -> None:
    """Allow the camera on the inspectors' page, where codes are scanned."""
    if request.path.startswith("/inspector/"):
        response.headers["Permissions-Policy"] = "camera=(self), microphone=(), payment=(), usb=(), geolocation=()"
