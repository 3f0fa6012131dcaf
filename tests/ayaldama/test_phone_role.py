"""The phone role alone on real servers: no fare role, no SMS role, no web; a bus is paid for all the same."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from ayaldama import demo
from ayaldama.database import bring_up_to_date
from ayaldama.fares import city_key_path, phone_key_of
from ayaldama.openapi_phone import OPERATIONS
from ayaldama.roles._base import RoleContext, open_network
from ayaldama.roles.phone import serve
from ayaldama.settings import Gtfs, PhoneSection, Settings
from commons.clock import SystemClock, wall_ms
from commons.metrics import Metrics
from fare.media.phone import phone_medium
from fare.model import PhoneNumber
from fare.store.city_key import open_city_key
from fare.store.ledger_books import verify
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_vehicles import PostgresVehicles
from fare.vehicles import Vehicle
from tests.ayaldama.test_fare_role import BUS, drive
from tests.patience import PATIENCE_S

NUMBER = "+77011234567"


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.build_sample_feed(tmp_path_factory.mktemp("feed"))


@pytest.fixture
async def settings(
    feed: Path, tmp_path: Path, valkey_url: str, redis: Redis, postgres_dsn: str, postgres: asyncpg.Pool
) -> Settings:
    await bring_up_to_date(postgres)
    name = await postgres.fetchval("SELECT current_database()")
    return Settings(
        data_folder=tmp_path,
        redis_url=valkey_url,
        postgres_url=urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}")),
        gtfs=Gtfs(feed=feed, cache=feed.parent / "cache"),
        phone=PhoneSection(port=0, code_operator="alma", code_from="2505"),
    )


@asynccontextmanager
async def role(settings: Settings) -> AsyncIterator["Browser"]:
    ready: asyncio.Future[Mapping[str, int]] = asyncio.get_running_loop().create_future()
    context = RoleContext(
        settings=settings,
        roles=frozenset({"phone"}),
        clock=SystemClock(),
        metrics=Metrics(),
        sockets=None,
        stop=asyncio.Event(),
        ready=ready.set_result,
    )
    running = asyncio.create_task(serve(context))
    done, _ = await asyncio.wait({running, ready}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    if running in done:
        await running
    try:
        yield Browser(f"http://127.0.0.1:{(await ready)['phone']}")
    finally:
        context.stop.set()
        await running


class Browser:
    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: SimpleCookie = SimpleCookie()
        self.csrf = ""

    async def ask(self, path: str, sent: object = None) -> tuple[int, Any, Mapping[str, str]]:
        headers = {
            "Cookie": "; ".join(f"{name}={one.value}" for name, one in self.cookies.items()),
            "X-CSRF-Token": self.csrf,
        }
        async with (
            aiohttp.ClientSession(self.url, cookie_jar=aiohttp.DummyCookieJar()) as client,
            client.request("GET" if sent is None else "POST", path, json=sent, headers=headers) as answer,
        ):
            self.cookies.update(answer.cookies)
            text = await answer.text()
            return (
                answer.status,
                json.loads(text) if answer.content_type == "application/json" else text,
                answer.headers,
            )

    async def sign_in(self, pool: asyncpg.Pool) -> None:
        status, asked, _ = await self.ask("/api/phone/code", {"number": NUMBER, "language": "kk"})
        assert status == 200, asked
        row = await pool.fetchrow("SELECT operator, number, short_code, text FROM sms_outgoing WHERE state = 'due'")
        assert (row["operator"], row["number"], row["short_code"]) == ("alma", NUMBER, "2505")
        code = re.findall(r"\d{6}", row["text"])[0]
        status, said, _ = await self.ask("/api/phone/sign-in", {"challenge": asked["challenge"], "code": code})
        assert status == 200, said
        self.csrf = said["csrf"]


async def test_a_bus_is_paid_for_while_nothing_else_runs(
    settings: Settings, postgres: asyncpg.Pool, redis: Redis
) -> None:
    medium_id = phone_medium(PhoneNumber(NUMBER), phone_key_of(open_city_key(city_key_path(settings))))
    await PostgresMedia(postgres).top_up(medium_id, 50_000, desk="d", key="r", occurred_ms=wall_ms())
    await PostgresVehicles(postgres).register([Vehicle(vehicle_id=BUS, fleet_number="0101", plate="123 ABC 11")])
    network = await open_network(settings)
    stop_id = await drive(redis, network, stop_number=2)
    async with role(settings) as browser:
        await browser.sign_in(postgres)

        async def quoted() -> Any:
            status, quote, _ = await browser.ask("/api/phone/quotes", {"bus": "123 авс 11"})
            return quote if status == 200 else None

        async with asyncio.timeout(PATIENCE_S):
            while (quote := await quoted()) is None:  # noqa: ASYNC110 - another process's words come through Redis
                await asyncio.sleep(1)  # asking has its limits
        assert quote["price_tiyn"] > 0
        assert quote["carrier"]
        wanted = {"key": str(uuid.uuid4()), "vehicle_id": BUS, "shown_tiyn": quote["price_tiyn"]}
        status, ticket, _ = await browser.ask("/api/phone/tickets", wanted)
        assert (status, ticket["number"]) == (200, "0101")
        row = await postgres.fetchrow("SELECT * FROM tap WHERE medium_id = $1", medium_id)
        assert (row["stop_id"], row["medium_kind"], row["rides"]) == (stop_id, "phone", True)
        status, buses, _ = await browser.ask("/api/phone/buses")
        assert [bus["number"] for bus in buses["buses"]] == ["0101"]
        assert (await browser.ask("/api/phone/banks"))[1]["banks"] == []
    assert (await verify(postgres)).findings == []


async def test_the_page_its_description_and_its_health_are_served(settings: Settings) -> None:
    async with role(settings) as browser:
        status, page, headers = await browser.ask("/phone/")
        assert (status, "<!doctype html>" in page) == (200, True)
        assert "camera=(self)" in headers["Permissions-Policy"]
        _, described, _ = await browser.ask("/openapi.json")
        assert {path for path in described["paths"] if path.startswith("/api/")} == {
            operation.path for operation in OPERATIONS if operation.path.startswith("/api/")
        }
        assert (await browser.ask("/readyz"))[0] == 200
        assert (await browser.ask("/b/not-a-code!"))[0] == 404


async def test_without_an_operator_nobody_signs_in_anew_and_is_told_so(settings: Settings) -> None:
    async with role(msgspec.structs.replace(settings, phone=PhoneSection(port=0))) as browser:
        status, said, _ = await browser.ask("/api/phone/code", {"number": NUMBER, "language": "kk"})
        assert (status, said["error"]) == (409, "no_sms")


async def test_messages_that_nobody_takes_are_told_before_anybody_waits(
    settings: Settings, postgres: asyncpg.Pool
) -> None:
    async with role(settings) as browser:
        sent = {"number": NUMBER, "language": "kk"}
        assert (await browser.ask("/api/phone/code", sent))[1]["late"] is False
        await postgres.execute("UPDATE sms_outgoing SET made_ms = made_ms - 60000")
        assert (await browser.ask("/api/phone/code", sent))[1]["late"] is True
