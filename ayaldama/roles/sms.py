"""SMS: riders' messages through their operators, in and out. A process of its own: the rest goes on without it."""

import asyncio
import functools
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final, Protocol

import aiohttp
import asyncpg
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ayaldama import bridges
from ayaldama.fares import (
    CityFares,
    city_key_path,
    code_key_of,
    configuration_of,
    default_category_at,
    open_city_fares,
    phone_key_of,
)
from ayaldama.health import ServersHealth
from ayaldama.http import address_of, application, serve_application
from ayaldama.money import read_tariff
from ayaldama.next_buses import NextBusesByStop
from ayaldama.roles._base import RoleContext, RoleError, open_network, open_postgres, open_redis
from ayaldama.sms_gateways import SmsGateways, SmsGatewaysError, read_gateways
from commons.logs import get_logger
from commons.texts import load_catalogue
from fare.buying import BuyingRules, open_buying
from fare.gateways.operator_charging import OperatorHttpSettings, open_operator_charging
from fare.gateways.smpp import SmppClient
from fare.gateways.sms_desk import Door
from fare.gateways.sms_kannel import Kannel
from fare.gateways.sms_webhook import SmsWebhook
from fare.keys import FareKeys
from fare.model import LocatedTap
from fare.operator_paying import OperatorCharges
from fare.pricing import CityPricing
from fare.service import Charging
from fare.sms.acceptance import SmsRules
from fare.sms_service import SmsKeys, SmsNames, SmsService
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_sms import PostgresSms
from fare.store.redis_boardings import boardings_of, publish_boardings
from fare.validator.signing import SigningKey
from gtfs_data.network import Network
from transit.store.redis_notices import NoticesStore
from transit.store.redis_state import StateReader
from transit.tracking.occupancy import Capacity, Loads
from transit.tracking.whereabouts import Whereabouts

CONNECTIONS_MAX: Final = 24

_log = get_logger(__name__)


class Gateway(Protocol):
    """One way to an operator, kept up until cancelled."""

    async def run(self) -> None:
        """Work until cancelled."""


async def serve(context: RoleContext) -> None:
    """Answer messages until ``context.stop``; without fares in the feed, or without agreements, wait for it."""
    agreed = _agreed(context)
    fares = await open_city_fares(context.settings)
    if fares is None or agreed == SmsGateways():
        context.ready({})
        await context.stop.wait()
        return
    network = await open_network(context.settings)
    try:
        key = open_city_key(city_key_path(context.settings))
    except CityKeyError as error:
        raise RoleError(str(error)) from error
    async with (
        open_redis(context.settings) as redis,
        open_postgres(context.settings, connections_max=CONNECTIONS_MAX, resets=False) as pool,
        AsyncExitStack() as closing,
        asyncio.TaskGroup() as tasks,
    ):
        room = _Room(context, network, fares, agreed, key=key, redis=redis, pool=pool)
        gateways, routes = await room.open(closing)
        working = [tasks.create_task(one.run(), name=type(one).__name__) for one in gateways]
        working.append(tasks.create_task(room.follow_places(), name="places"))
        app = application(
            routes,
            (),
            health=ServersHealth(redis=redis, pool=pool),
            metrics=context.metrics,
            settings=context.settings.web,
            sockets=context.sockets,
            role="sms",
        )
        sms = context.settings.sms
        try:
            async with serve_application(app, host=sms.host, port=sms.port) as port:
                context.ready({"sms": port})
                await context.stop.wait()
        finally:
            for task in working:
                task.cancel()


class _Room:
    """The parts of one city's messages."""

    def __init__(
        self,
        context: RoleContext,
        network: Network,
        fares: CityFares,
        agreed: SmsGateways,
        *,
        key: SigningKey,
        redis: Redis,
        pool: asyncpg.Pool,
    ) -> None:
        self.context, self.network, self.fares, self.agreed = context, network, fares, agreed
        self.key, self.redis, self.pool = key, redis, pool
        self.state = StateReader(redis, context.keys)
        self.notices = NoticesStore(redis, context.keys)
        self.whereabouts = Whereabouts(network)
        self.fare_keys = FareKeys(context.settings.city)
        self.locator = bridges.Locator(
            whereabouts=self.whereabouts,
            pool=pool,
            carriers=fares.carriers,
            carrier=fares.carrier,
            clock=context.clock,
            metrics=context.metrics,
        )

    async def follow_places(self) -> None:
        """Keep where buses are, for ever. How full they are is the fare role's to follow."""
        fare = self.context.settings.fare
        loads = Loads(Capacity(seats=fare.seats, places=fare.places))
        await bridges.follow_places(self.state, self.whereabouts, loads, metrics=self.context.metrics)

    async def open(self, closing: AsyncExitStack) -> tuple[list[Gateway], list[web.RouteDef]]:
        """Return what runs, and where operators call us; what they keep open is closed by ``closing``."""
        context, agreed = self.context, self.agreed
        client = await closing.enter_async_context(aiohttp.ClientSession())
        charges = await self._charges(closing)
        service = await self._service(closing, charges)
        door = Door(service, clock=context.clock)
        address = functools.partial(address_of, behind_proxy=context.settings.web.behind_proxy)
        chance = random.SystemRandom().random
        kannels = [
            Kannel(one, door, client=client, address_of=address, metrics=context.metrics) for one in agreed.kannel
        ]
        webhooks = [SmsWebhook(one, door, client=client, metrics=context.metrics) for one in agreed.webhook]
        binds = [
            SmppClient(one, door, chance=chance, clock=context.clock, metrics=context.metrics) for one in agreed.smpp
        ]
        routes = [route for kannel in kannels for route in kannel.routes()]
        routes += [route for webhook in webhooks for route in webhook.routes()]
        return [*binds, *kannels, *webhooks, service, charges], routes

    async def _charges(self, closing: AsyncExitStack) -> OperatorCharges:
        operators = {
            one.operator: await closing.enter_async_context(
                open_operator_charging(
                    OperatorHttpSettings(url=one.url, secret=one.secret.encode()), self.context.clock
                )
            )
            for one in self.agreed.charging
        }
        return OperatorCharges(self.pool, operators, clock=self.context.clock, metrics=self.context.metrics)

    async def _service(self, closing: AsyncExitStack, charges: OperatorCharges) -> SmsService:
        context, settings = self.context, self.context.settings
        # What is read of this one are settings, which do not change with the tariff.
        configuration = configuration_of(self.fares.tariff, context.clock.now_ms(), settings.validators)
        media = PostgresMedia(self.pool)
        buying = await closing.enter_async_context(
            open_buying(
                self.pool,
                charging=Charging(
                    pricing=CityPricing(tariff=self.fares.tariff, configuration=configuration), profiles=media.profiles
                ),
                locating=self.locator,
                told=self._hear_rides,
                rules=BuyingRules(valid_ms=configuration.ride_max_ms),
                clock=context.clock,
            )
        )
        _, carriers = read_tariff(settings.gtfs.feed)
        routes = self.network.routes
        return SmsService(
            PostgresSms(self.pool),
            buying=buying,
            charges=charges,
            media=media,
            next_buses=NextBusesByStop(self.network, self.state, self.notices, context.clock),
            rules=SmsRules(
                short_codes=frozenset(settings.sms.short_codes.split()),
                ranges={operator: frozenset(names) for operator, names in self.agreed.ranges.items()},
            ),
            keys=SmsKeys(phone_key=phone_key_of(self.key), code_key=code_key_of(self.key)),
            names=SmsNames(
                catalogue=load_catalogue("fare.sms"),
                zone=self.fares.tariff.zone,
                lines={str(one): name or one for one, name in zip(routes.ids, routes.short_names, strict=True)},
                carriers=carriers,
                default_category_at=functools.partial(default_category_at, self.fares.tariff),
            ),
            clock=context.clock,
            metrics=context.metrics,
        )

    async def _hear_rides(self, rides: Sequence[LocatedTap]) -> None:
        try:
            await publish_boardings(self.redis, self.fare_keys, boardings_of(rides))
        except (RedisError, OSError) as error:  # the ride is paid; only occupancy misses it
            self.context.metrics.count("role_errors_total", role="sms", where="boardings")
            _log.warning("boardings are not counted", error=repr(error))


def _agreed(context: RoleContext) -> SmsGateways:
    path = context.settings.sms.gateways
    if path is None:
        _log.info("no agreements with mobile operators (sms.gateways): no messages")
        return SmsGateways()
    try:
        return read_gateways(path)
    except SmsGatewaysError as error:
        raise RoleError(str(error)) from error
