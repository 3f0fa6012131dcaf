"""The passengers' page over HTTP, on the street of ``tests.notation.market``: phones, and what they are told."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
from aiohttp import web

from ayaldama.http import serve_application
from ayaldama.web.vendor import vendor_routes
from commons.metrics import Metrics
from fare.api.phone_account import CityNames, PhoneAccount
from fare.api.phone_codes import PhoneCodes
from fare.api.phone_door import BROWSER_COOKIE, CSRF_HEADER, SESSION_COOKIE, PhoneDoor
from fare.api.phone_page import CityOfPhones, page_routes
from fare.api.phone_rides import BusNow, PhoneRides
from fare.api.phone_top_ups import PhoneTopUps
from fare.buying import Buying
from fare.media.phone import phone_medium
from fare.media.tokens import TokenKey
from fare.model import AccountCode, CarrierId, MediumId, PhoneNumber, RiderCategory
from fare.phone.bus_code import bus_link
from fare.phone.cose import key_id_of
from fare.phone_sign_in import PhoneSignIn
from fare.store.postgres_bus_codes import PostgresBusCodes
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.store.postgres_phones import PostgresPhones
from fare.top_ups import BankName, TopUpRules
from fare.topping_up import Channels, TopUps
from fare.validator.signing import SigningKey
from tests.fare.paper_bank import PaperBank
from tests.notation.market import Market, market

VALID_MS = 120 * 60_000
CITY_NAME = "kzo"
BANK = BankName("epay")
CITY_KEY = SigningKey.from_bytes(bytes(range(32)))
CODE_KEY = b"printed codes of a test"
PHONE_KEY = TokenKey(version=1, secret=b"phones of a test")
NAMES = CityNames(routes={"12": "12"}, stops={"market": "Базар"}, carriers={CarrierId("k1"): "Автопарк"})
CITY = CityOfPhones(
    city=CITY_NAME,
    zone="Asia/Almaty",
    default_category=RiderCategory("adult"),
    companions=(RiderCategory("child"),),
    categories={},
)
BUSES = (BusNow(vehicle_id="bus-1", number="0451", route="12", lat=44.85, lon=65.5),)
AIGUL, BOLAT = "+77011234567", "+77027654321"


def medium_of(number: str) -> MediumId:
    return phone_medium(PhoneNumber(number), PHONE_KEY)


@dataclass
class Sms:
    """What was sent, by number."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    late: bool = False

    async def send(self, _key: str, number: PhoneNumber, text: str) -> None:
        self.texts.setdefault(number, []).append(text)

    async def are_late(self) -> bool:
        return self.late

    def code(self, number: str) -> str:
        return "".join(character for character in self.texts[number][-1].split(".")[0] if character.isdigit())


class PhoneTown:
    start: Callable[[], AbstractAsyncContextManager[int]]

    def __init__(self, shop: Market, sms: Sms) -> None:
        self.market, self.sms, self.port = shop, sms, 0
        self.clock = shop.clock
        self.bank = PaperBank()
        self.metrics = Metrics()
        self.running = AsyncExitStack()
        self.top_ups = TopUps(
            shop.pool,
            Channels(banks={BANK: self.bank}, accounts={BANK: AccountCode("bank_qr:epay")}),
            rules=TopUpRules(),
            clock=shop.clock,
            metrics=self.metrics,
            new_echo=lambda: "an echo",
        )

    async def go_away(self) -> None:
        """Let the server be down."""
        await self.running.aclose()

    async def come_back(self) -> None:
        """Let it be up again, on the same port."""
        self.port = await self.running.enter_async_context(self.start())

    async def bus_link(self, vehicle_id: str) -> str:
        """Return what the QR in a bus says."""
        codes = PostgresBusCodes(self.market.pool, city=CITY_NAME, keys={})
        issue = (await codes.in_force(vehicle_id, 0)).issue
        base = f"http://127.0.0.1:{self.port}"
        return bus_link(base, vehicle_id, issue, city=CITY_NAME, key=CITY_KEY.private)

    async def top_up(self, number: str, tiyn: int) -> None:
        media, at_ms = PostgresMedia(self.market.pool), self.clock.city_ms
        await media.top_up(medium_of(number), tiyn, desk="kiosk", key=f"{number[-2:]}-{tiyn}", occurred_ms=at_ms)


@dataclass
class Phone:
    """Somebody's browser: cookies that come with it, and the token that the page knows."""

    town: PhoneTown
    number: str = AIGUL
    jar: dict[str, str] = field(default_factory=dict)
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # of what it asks, beside the usual ones

    async def ask(self, path: str, sent: object = None) -> tuple[int, Any]:
        given = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items()), CSRF_HEADER: self.csrf}
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{self.town.port}", cookie_jar=aiohttp.DummyCookieJar()) as client,
            client.request(
                "GET" if sent is None else "POST", f"/api/phone/{path}", json=sent, headers=given | self.headers
            ) as answer,
        ):
            for name, morsel in answer.cookies.items():
                assert morsel["httponly"]
                assert morsel["secure"]
                assert morsel["samesite"] == "Strict"
                if morsel.value:
                    self.jar[name] = morsel.value
                else:
                    self.jar.pop(name, None)
            return answer.status, await answer.json()

    async def challenge(self, purpose: str = "sign_in") -> str:
        sent = {"number": self.number, "language": "ru", "purpose": purpose}
        status, asked = await self.ask("code", sent)
        assert status == 200, asked
        return str(asked["challenge"])

    async def sign_in(self) -> "Phone":
        challenge = await self.challenge()
        status, said = await self.ask("sign-in", {"challenge": challenge, "code": self.town.sms.code(self.number)})
        assert status == 200, said
        assert set(self.jar) == {SESSION_COOKIE, BROWSER_COOKIE}
        self.csrf = said["csrf"]
        return self

    async def ticket(self, key: str, bus: str = "bus-1", shown_tiyn: int = 100, **also: object) -> tuple[int, Any]:
        sent = {"key": key, "vehicle_id": bus, "shown_tiyn": shown_tiyn} | also
        return await self.ask("tickets", sent)


def phone_routes(town: "PhoneTown", buying: Buying) -> list[web.RouteDef]:
    shop, sms, metrics = town.market, town.sms, town.metrics
    phones = PostgresPhones(shop.pool)
    sign_in = PhoneSignIn(
        phones,
        PostgresPhoneKeys(shop.pool, CITY_NAME),
        medium_of=lambda number: phone_medium(number, PHONE_KEY),
        out=sms,
        key=b"k" * 32,
        clock=shop.clock,
    )
    door = PhoneDoor(sign_in, clock=shop.clock, metrics=metrics, address_of=lambda request: request.remote or "")

    async def buses() -> tuple[BusNow, ...]:
        return BUSES

    account = PhoneAccount(shop.pool, door, phones, names=NAMES, code_key=CODE_KEY, clock=shop.clock)
    rides = PhoneRides(
        shop.pool,
        door,
        buying,
        bus_codes=PostgresBusCodes(shop.pool, city=CITY_NAME, keys={key_id_of(CITY_KEY.public): CITY_KEY.public}),
        buses=buses,
        names=NAMES,
        code_key=CODE_KEY,
        valid_ms=VALID_MS,
        clock=shop.clock,
        metrics=metrics,
    )
    codes = PhoneCodes(door, PostgresPhoneKeys(shop.pool, CITY_NAME), clock=shop.clock)
    parts = (door, account, rides, codes, PhoneTopUps(door, town.top_ups, banks=(BANK,), rules=TopUpRules()))
    return [*page_routes(lambda: CITY), *vendor_routes(), *(route for part in parts for route in part.routes())]


@asynccontextmanager
async def phone_town(pool: asyncpg.Pool) -> AsyncIterator[PhoneTown]:
    async with market(pool) as shop, shop.opened() as buying:
        town = PhoneTown(shop, Sms())
        routes = phone_routes(town, buying)
        town.start = lambda: serve_routes(routes, town.port)
        async with AsyncExitStack() as town.running:
            await town.come_back()
            yield town


def serve_routes(routes: list[web.RouteDef], port: int) -> AbstractAsyncContextManager[int]:
    application = web.Application()
    application.add_routes(routes)
    return serve_application(application, host="127.0.0.1", port=port)
