"""Phone: the page on which passengers pay. A process of its own, so that validators, SMS and inspection go on without.

It needs PostgreSQL for everything that is money, and Redis to know on which line a bus is.
"""

import asyncio
import functools
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import asyncpg
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ayaldama import bridges
from ayaldama.banks import open_banks, rules_of
from ayaldama.fares import (
    CityFares,
    city_key_path,
    code_key_of,
    companions_at,
    configuration_of,
    default_category_at,
    one_time_code_key_of,
    open_city_fares,
    phone_key_of,
)
from ayaldama.health import ServersHealth
from ayaldama.http import address_of, application, serve_application
from ayaldama.money import read_tariff
from ayaldama.openapi_phone import OPERATIONS
from ayaldama.roles._base import RoleContext, RoleError, end_tasks, open_network, open_postgres, open_redis
from ayaldama.web.vendor import vendor_routes
from commons.clock import Clock
from commons.logs import get_logger
from fare.api.phone_account import CityNames, PhoneAccount
from fare.api.phone_codes import PhoneCodes
from fare.api.phone_door import PhoneDoor
from fare.api.phone_page import CityOfPhones, page_routes
from fare.api.phone_rides import BusNow, PhoneRides
from fare.api.phone_top_ups import PhoneTopUps
from fare.buying import BuyingRules, open_buying
from fare.keys import FareKeys
from fare.media.phone import phone_medium, phone_number
from fare.model import LocatedTap, MediumId, PhoneNumber
from fare.phone.cose import key_id_of
from fare.phone.one_time_code import CodeRules
from fare.phone_sign_in import PhoneSignIn
from fare.pricing import CityPricing
from fare.service import Charging
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.postgres_bus_codes import PostgresBusCodes
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.store.postgres_phones import PostgresPhones
from fare.store.postgres_vehicles import PostgresVehicles
from fare.store.redis_boardings import boardings_of, publish_boardings
from fare.store.sms_outbox import add_message, is_late
from fare.validator.signing import SigningKey
from gtfs_data.network import Network
from transit.store.redis_state import StateReader
from transit.tracking.occupancy import Capacity, Loads
from transit.tracking.whereabouts import Whereabouts

CONNECTIONS_MAX: Final = 12
HEARD_MS: Final = 120_000  # a bus that has been silent for longer is not offered to who looks for one near

_log = get_logger(__name__)


async def serve(context: RoleContext) -> None:
    """Serve phones until ``context.stop``; without fares in the feed, wait for it."""
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
        open_postgres(context.settings, connections_max=CONNECTIONS_MAX) as pool,
        AsyncExitStack() as closing,
        asyncio.TaskGroup() as tasks,
    ):
        room = _Room(context, network, fares, key=key, redis=redis, pool=pool)
        following = tasks.create_task(room.follow_places(), name="places")
        app = application(
            [*await room.routes(closing), *vendor_routes()],
            OPERATIONS,
            health=ServersHealth(redis=redis, pool=pool),
            metrics=context.metrics,
            settings=context.settings.web,
            sockets=context.sockets,
            role="phone",
        )
        app.on_response_prepare.append(_let_passengers_scan)
        phone = context.settings.phone
        try:
            async with serve_application(app, host=phone.host, port=phone.port) as port:
                context.ready({"phone": port})
                await context.stop.wait()
        finally:
            await end_tasks([following])


class _Room:
    """The parts of one city's phones."""

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
        self.context, self.network, self.fares, self.key = context, network, fares, key
        self.redis, self.pool = redis, pool
        self.media = PostgresMedia(pool)
        self.vehicles = PostgresVehicles(pool)
        self.fare_keys = FareKeys(context.settings.city)
        self.whereabouts = Whereabouts(network)
        self.locator = bridges.Locator(
            whereabouts=self.whereabouts,
            pool=pool,
            carriers=fares.carriers,
            carrier=fares.carrier,
            clock=context.clock,
            metrics=context.metrics,
        )
        _, carriers = read_tariff(context.settings.gtfs.feed)
        self.names = CityNames(
            routes={
                str(one): name or one for one, name in zip(network.routes.ids, network.routes.short_names, strict=True)
            },
            stops={str(one): name for one, name in zip(network.stops.ids, network.stops.names, strict=True)},
            carriers=carriers,
        )

    async def follow_places(self) -> None:
        """Keep where buses are, for ever. How full they are is the fare role's to follow."""
        fare = self.context.settings.fare
        loads = Loads(Capacity(seats=fare.seats, places=fare.places))
        state = StateReader(self.redis, self.context.keys)
        await bridges.follow_places(state, self.whereabouts, loads, metrics=self.context.metrics)

    async def routes(self, closing: AsyncExitStack) -> list[web.RouteDef]:
        """Return the routes of the page and of what it asks; what they keep open is closed by ``closing``."""
        context = self.context
        configuration = configuration_of(self.fares.tariff, context.clock.now_ms(), context.settings.validators)
        pricing = CityPricing(tariff=self.fares.tariff, configuration=configuration)
        rules = BuyingRules(valid_ms=configuration.ride_max_ms)
        buying = await closing.enter_async_context(
            open_buying(
                self.pool,
                charging=Charging(pricing=pricing, profiles=self.media.profiles),
                locating=self.locator,
                told=self._hear_rides,
                rules=rules,
                clock=context.clock,
            )
        )
        address = functools.partial(address_of, behind_proxy=context.settings.web.behind_proxy)
        phones = PostgresPhones(self.pool)
        keys = PostgresPhoneKeys(self.pool, context.settings.city)
        code_key = code_key_of(self.key)
        door = PhoneDoor(
            self._sign_in(phones, keys),
            clock=context.clock,
            metrics=context.metrics,
            address_of=address,
        )
        account = PhoneAccount(self.pool, door, phones, names=self.names, code_key=code_key, clock=context.clock)
        rides = PhoneRides(
            self.pool,
            door,
            buying,
            bus_codes=PostgresBusCodes(
                self.pool, city=context.settings.city, keys={key_id_of(self.key.public): self.key.public}
            ),
            buses=self._buses,
            names=self.names,
            code_key=code_key,
            valid_ms=rules.valid_ms,
            clock=context.clock,
            metrics=context.metrics,
        )
        codes = PhoneCodes(door, keys, clock=context.clock)
        banks = await closing.enter_async_context(
            open_banks(
                context.settings.banks,
                self.pool,
                clock=context.clock,
                metrics=context.metrics,
                medium_of=self._topped_up,
                address_of=address,
            )
        )
        top_ups = PhoneTopUps(door, banks.top_ups, banks=banks.offered, rules=rules_of(context.settings.banks))
        parts = (door, account, rides, codes, top_ups)
        return [*page_routes(self._city), *banks.routes, *(route for part in parts for route in part.routes())]

    async def _topped_up(self, digits: str) -> MediumId | None:
        """Return the medium of a number as riders type it in a bank's app."""
        number = phone_number(digits)
        return None if number is None else phone_medium(number, phone_key_of(self.key))

    def _sign_in(self, phones: PostgresPhones, keys: PostgresPhoneKeys) -> PhoneSignIn:
        phone_key = phone_key_of(self.key)
        return PhoneSignIn(
            phones,
            keys,
            medium_of=lambda number: phone_medium(number, phone_key),
            out=self._codes_out(),
            key=one_time_code_key_of(self.key),
            clock=self.context.clock,
            rules=CodeRules(in_all=self.context.settings.phone.codes_per_hour),
        )

    def _codes_out(self) -> "_Outbox | None":
        phone = self.context.settings.phone
        if not phone.code_operator:
            _log.warning("phone.code_operator is not set: no code is sent, nobody can sign in anew")
            return None
        return _Outbox(self.pool, self.context.clock, operator=phone.code_operator, short_code=phone.code_from)

    def _city(self) -> CityOfPhones:
        tariff, now_ms = self.fares.tariff, self.context.clock.now_ms()
        return CityOfPhones(
            city=self.context.settings.city,
            zone=tariff.zone.key,
            default_category=default_category_at(tariff, now_ms),
            companions=companions_at(tariff, now_ms),
            categories=tariff.category_names,
        )

    async def _buses(self) -> Sequence[BusNow]:
        """Return the registered buses that are on a line now."""
        written = {vehicle.vehicle_id: vehicle for vehicle in await self.vehicles.all()}
        heard = self.whereabouts.heard_since(self.context.clock.now_ms() - HEARD_MS)
        return [
            BusNow(
                vehicle_id=position.vehicle_id,
                number=written[position.vehicle_id].fleet_number,
                route=self.names.routes.get(position.route_id, position.route_id),
                lat=position.lat,
                lon=position.lon,
            )
            for position in heard
            if position.route_id and position.vehicle_id in written
        ]

    async def _hear_rides(self, rides: Sequence[LocatedTap]) -> None:
        try:
            await publish_boardings(self.redis, self.fare_keys, boardings_of(rides))
        except (RedisError, OSError) as error:  # the ride is paid; only occupancy misses it
            self.context.metrics.count("role_errors_total", role="phone", where="boardings")
            _log.warning("boardings are not counted", error=repr(error))


@dataclass(frozen=True, slots=True)
class _Outbox:
    """The way of one-time codes: the outbox of SMS, for one operator."""

    pool: asyncpg.Pool
    clock: Clock
    operator: str
    short_code: str

    async def send(self, key: str, number: PhoneNumber, text: str) -> None:
        """Let a text be sent."""
        await add_message(
            self.pool,
            key=key,
            operator=self.operator,
            number=number,
            short_code=self.short_code,
            text=text,
            now_ms=self.clock.now_ms(),
        )

    async def are_late(self) -> bool:
        """Return whether the operator's gateway takes nothing."""
        return await is_late(self.pool, self.operator, self.clock.now_ms())


async def _let_passengers_scan(request: web.Request, response: web.StreamResponse) -> None:
    """Allow the camera on the passengers' page, and to know where the phone is, which it does not tell."""
    if request.path.startswith("/phone/"):
        response.headers["Permissions-Policy"] = "camera=(self), microphone=(), payment=(), usb=(), geolocation=(self)"
