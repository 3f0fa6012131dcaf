"""The accountant's page over HTTP, on a town with a day of rides and people of every role."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import asyncpg
from aiohttp import web

from ayaldama.http import serve_application
from commons.metrics import Metrics
from commons.migrate import migrate
from commons.texts import Language
from fare.api.accounting import Books
from fare.api.accounting_routes import accounting_routes
from fare.model import AccountCode, CarrierId, MediumKind
from fare.people import Person, PersonName, Role
from fare.settlement.reports import Dimension
from fare.sign_in import SignIn, hash_of_password
from fare.store.postgres_people import PostgresPeople
from fare.store.postgres_settlement import StoredStatement
from fare.store.sealed_seeds import SeedKey
from fare.top_up_desk import TopUpDesk
from fare.top_ups import BankName
from tests.fare.api.town import Clock
from tests.fare.edges.money import MORNING_AFTER_MS, RULES, MoneyTown, money_town, of_carrier
from tests.notation.rides import medium, tap

SEED_KEY = SeedKey(bytes(range(32)))
PASSWORD = "sary-arqa-1830"
HASH = hash_of_password(PASSWORD)
PEOPLE = (
    ("aigul", Role.ACCOUNTANT, None),
    ("bolat", Role.ACCOUNTANT, None),
    ("depot1", Role.CARRIER, "k1"),
    ("inspector7", Role.INSPECTOR, None),
    ("operator1", Role.OPERATOR, None),
    ("auditor1", Role.AUDITOR, None),
)


def paper(one: StoredStatement, language: Language) -> bytes:
    return f"%PDF {one.statement.carrier_id} {language}".encode()


@dataclass(kw_only=True)
class BooksTown:
    money: MoneyTown
    clock: Clock
    port: int
    jars: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, who: str, path: str, sent: object = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask as somebody who is signed in; whoever sends something repeats their token."""
        jar = self.jars.get(who, {})
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
        given = {"Cookie": cookies, "X-CSRF-Token": self.tokens.get(who, "")} | dict(headers or {})
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{self.port}", cookie_jar=aiohttp.DummyCookieJar()) as client,
            client.request("GET" if sent is None else "POST", f"/api/books/{path}", json=sent, headers=given) as answer,
        ):
            for name, morsel in answer.cookies.items():
                self.jars.setdefault(who, {})[name] = morsel.value
                assert morsel["httponly"]
                assert morsel["secure"]
                assert morsel["samesite"] == "Strict"
            if answer.content_type == "application/json":
                return answer.status, await answer.json()
            return answer.status, await answer.read()

    async def sign_in(self, who: str) -> None:
        status, me = await self.ask(who, "sign-in", {"name": who, "password": PASSWORD})
        assert status == 200, me
        self.tokens[who] = me["csrf"]

    async def as_(self, who: str, path: str, sent: object = None) -> tuple[int, Any]:
        """Sign in where that was not done, and ask."""
        if who not in self.tokens:
            await self.sign_in(who)
        return await self.ask(who, path, sent)


@asynccontextmanager
async def books_town(pool: asyncpg.Pool) -> AsyncIterator[BooksTown]:
    money = await money_town(pool)
    await migrate(pool, "fare.gateways")
    clock = Clock()
    clock.city_ms = MORNING_AFTER_MS
    people = PostgresPeople(pool, SEED_KEY)
    for name, role, carrier in PEOPLE:
        carrier_id = CarrierId(carrier) if carrier else None
        await people.add(Person(name=PersonName(name), role=role, carrier_id=carrier_id), HASH, 0)
    await money.ride(
        tap("v:1", "08:00", 7),
        of_carrier(tap("v:2", "10:00", 7), "k2", route="5"),
        tap("v:3", "08:30", 8),
        of_carrier(tap("v:4", "09:00", 9, kind=MediumKind.BANK_CARD), "k2", route="5"),
        tap("v:5", "09:10", 10, kind=MediumKind.CASH),
    )
    books = Books(
        pool=pool,
        people=people,
        settlement=money.settlement,
        zone=ZoneInfo("UTC"),
        currency="KZT",
        carrier_names={CarrierId("k1"): "Қызылорда автобус паркі", CarrierId("k2"): "Сыр Көлік ЖШС"},
        names={Dimension.LINE: {"5": "Сырдария"}},
        paper=paper,
        new_key=lambda: b"k" * 32,
    )
    routes = accounting_routes(
        books,
        sign_in=SignIn(people, clock=clock),
        refunds=money.refunds,
        write_offs=money.write_offs,
        top_ups=TopUpDesk(pool, {BankName("redirect"): AccountCode("acquirer:redirect")}, rules=RULES),
        medium_of_phone={"+7 701 123 45 67": medium(7)}.get,
        clock=clock,
        metrics=Metrics(),
    )
    application = web.Application()
    application.add_routes(routes)
    # As in the product, which writes no access log: a path is what anybody types.
    async with serve_application(application, host="127.0.0.1", port=0) as port:
        yield BooksTown(money=money, clock=clock, port=port)
