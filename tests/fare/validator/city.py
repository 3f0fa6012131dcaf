"""A real server for validators: handlers over PostgreSQL, a key, documents; it can go away and come back."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
from aiohttp import web

from ayaldama.http import address_of
from commons.clock import SystemClock, wall_ms
from commons.metrics import Metrics
from commons.migrate import migrate
from fare.api.devices import Devices, Record, Surroundings, TakeTaps
from fare.model import DeviceId, MediumId, MediumKind, RiderCategory, Tap
from fare.store.postgres_devices import PostgresDevices
from fare.store.postgres_releases import PostgresReleases
from fare.validator.decide import Place
from fare.validator.deny_list import DENY, SEEN, Snapshot, build_list
from fare.validator.documents import CityKey, DocumentKind, KeySet, publish
from fare.validator.drawer import CARDS
from fare.validator.enrolment import CODE_LIFE_MS, SECRET_BYTES, Code, IssuedCode
from fare.validator.rules import Configuration, FarePeriod, FareTable, KindRules, Price
from fare.validator.signing import SigningKey

DAY_MS = 86_400_000
PUPIL, PENSIONER, ADULT = RiderCategory("pupil"), RiderCategory("pensioner"), RiderCategory("adult")


class City:
    """Serve with ``served``; ``taps`` is what came in for the ledger."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.key = SigningKey.generate()
        self.store = PostgresDevices(pool, "kzo")
        self.pool = pool
        self.releases = PostgresReleases(pool)
        self.behind_proxy = False
        self.taps: list[Tap] = []
        self.balances: dict[MediumId, int] = {}
        self.ledger_fails = False
        self.take: TakeTaps = self._take
        self.record: Record | None = None
        self.port = 0
        self.metrics = Metrics()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def address_of(self, request: web.Request) -> str:
        return address_of(request, behind_proxy=self.behind_proxy)

    def devices(self) -> Devices:
        return Devices(
            self.store,
            city="kzo",
            key=self.key,
            clock=SystemClock(),
            metrics=self.metrics,
            surroundings=Surroundings(
                take_taps=self.take, record=self.record, place_of=self._place, balances_of=self._balances
            ),
            releases=self.releases,
            address_of=self.address_of,
        )

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        devices = self.devices()
        application = web.Application()
        application.add_routes(devices.routes())
        async with AsyncExitStack() as around:
            await around.enter_async_context(devices.running())
            runner = web.AppRunner(application, shutdown_timeout=1)
            await runner.setup()
            around.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True).start()
            self.port = runner.addresses[0][1]
            yield

    async def code(self, device_id: str = "v-1", vehicle_id: str = "bus-7") -> Code:
        code = Code.make(secrets.token_bytes(SECRET_BYTES), self.key.public)
        await self.store.issue(
            IssuedCode(
                digest=code.digest,
                device_id=DeviceId(device_id),
                vehicle_id=vehicle_id,
                expires_ms=wall_ms() + CODE_LIFE_MS,
            )
        )
        return code

    async def publish_documents(self) -> None:
        now_ms = wall_ms()
        until_ms = now_ms + 90 * DAY_MS
        keys = KeySet(keys=(CityKey(public=self.key.public, from_ms=0, until_ms=until_ms),))
        card, bank = MediumKind.TRANSPORT_CARD, MediumKind.BANK_CARD
        configuration = Configuration(
            kinds=(KindRules(kind=card, first_rides_max=10), KindRules(kind=bank)),
            concessions=(PUPIL, PENSIONER),
            clash_ms=0,  # tests tap faster than people
        )
        prices = (
            Price(kind=card, category=ADULT, tiyn=10_000),
            Price(kind=card, category=PUPIL, tiyn=5_000),
            Price(kind=card, category=PENSIONER, tiyn=0),
            Price(kind=bank, category=ADULT, tiyn=12_000),
        )
        fares = FareTable(periods=(FarePeriod(version="2026-1", from_ms=0, until_ms=until_ms, prices=prices),))
        for kind, content in (
            (DocumentKind.KEYS, keys),
            (DocumentKind.CONFIGURATION, configuration),
            (DocumentKind.FARES, fares),
        ):
            await self.store.publish(
                publish(content, kind=kind, city="kzo", version=1, made_ms=now_ms, until_ms=until_ms, key=self.key)
            )
        await self.publish_list(1, DENY, ["denied"])
        await self.publish_list(1, SEEN, [])
        await self.publish_list(1, PUPIL, ["pupil"])
        await self.publish_list(1, PENSIONER, ["pensioner"])

    async def publish_list(self, version: int, name: str, cards: Sequence[str]) -> None:
        now_ms = wall_ms()
        listed = build_list(card.medium_id for card in CARDS if card.name in cards)
        await self.store.publish(
            publish(
                Snapshot(tokens=listed.packed()), kind=DocumentKind.LIST, name=name, city="kzo", version=version,
                made_ms=now_ms, until_ms=now_ms + 90 * DAY_MS, key=self.key,
            )
        )  # fmt: skip

    async def _take(self, taps: list[Tap]) -> None:
        if self.ledger_fails:
            raise ConnectionError("the ledger is away")
        self.taps.extend(taps)

    async def _place(self, vehicle_id: str) -> Place:
        return Place(vehicle_id=vehicle_id, route_id="12")

    async def _balances(self, media: Sequence[MediumId]) -> dict[MediumId, int]:
        return {medium: self.balances[medium] for medium in media if medium in self.balances}


@asynccontextmanager
async def city_of(pool: asyncpg.Pool) -> AsyncIterator[City]:
    """Give a city that is served and has published its documents."""
    await migrate(pool, "fare.store")
    city = City(pool)
    await city.publish_documents()
    async with city.served():
        yield city
