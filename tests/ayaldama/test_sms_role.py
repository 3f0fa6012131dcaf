"""The sms role on real servers and a true SMPP line: a bus's number becomes a ticket, once and paid once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import pytest
from redis.asyncio import Redis

from ayaldama import demo
from ayaldama.database import bring_up_to_date
from ayaldama.demo_sms.phones import READY
from ayaldama.demo_sms.prepare import prepare_sms
from ayaldama.roles import functions_of, sms
from ayaldama.roles._base import RoleContext, RoleError, open_network
from ayaldama.settings import Demo, Gtfs, Settings, SmsSection
from commons.clock import SystemClock, wall_ms
from commons.metrics import Metrics
from fare.sms_service import SmsNames, SmsService
from fare.store.ledger_books import verify
from fare.store.postgres_vehicles import PostgresVehicles
from fare.vehicles import Vehicle
from gtfs_data.network import Network
from tests.patience import PATIENCE_S
from transit.keys import Keys
from transit.model import Arrival, Update, VehiclePosition
from transit.store.redis_state import StateWriter

BUS: Final = "101"
PAYS, NO_CREDIT = READY[0].number, READY[2].number
MINUTE_MS: Final = 60_000


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.build_sample_feed(tmp_path_factory.mktemp("feed"))


@pytest.fixture
async def settings(
    feed: Path, tmp_path: Path, valkey_url: str, redis: Redis, postgres_dsn: str, postgres: asyncpg.Pool
) -> Settings:
    await bring_up_to_date(postgres)
    await PostgresVehicles(postgres).register([Vehicle(vehicle_id=BUS, fleet_number=BUS)])
    name = await postgres.fetchval("SELECT current_database()")
    known = Settings(
        data_folder=tmp_path,
        redis_url=valkey_url,
        postgres_url=urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}")),
        gtfs=Gtfs(feed=feed, cache=feed.parent / "cache"),
        sms=SmsSection(port=0),
        demo=Demo(sms_port=0, smpp_port=0),
    )
    return prepare_sms(known, tmp_path / "gateways.toml")


@asynccontextmanager
async def role(settings: Settings, name: str) -> AsyncIterator[Mapping[str, int]]:
    """Give the ports of a role while the block runs."""
    ready: asyncio.Future[Mapping[str, int]] = asyncio.get_running_loop().create_future()
    context = RoleContext(
        settings=settings,
        roles=frozenset({name}),
        clock=SystemClock(),
        metrics=Metrics(),
        sockets=None,
        stop=asyncio.Event(),
        ready=ready.set_result,
    )
    (serve,) = functions_of(frozenset({name})).values()
    running = asyncio.create_task(serve(context))
    done, _ = await asyncio.wait({running, ready}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    if running in done:
        await running
    try:
        yield await ready
    finally:
        context.stop.set()
        await running


class Telephone:
    """One of the page's telephones."""

    def __init__(self, client: aiohttp.ClientSession, url: str, number: str) -> None:
        self._client, self._url, self._number = client, url, number
        self.texts: list[str] = []  # of answers

    async def send(self, text: str) -> None:
        typed = {"number": self._number, "short_code": "2505", "text": text}
        async with self._client.post(f"{self._url}/sms/emulator/send", json=typed, headers={"X-Emulator": "1"}) as sent:
            assert sent.status == 202

    async def answered(self, text: str, so: Callable[[str], bool] = bool) -> str:
        """Return the answer to ``text``."""
        before = len(self.texts)
        await self.send(text)
        await self.got(before + 1)
        assert so(self.texts[-1]), self.texts[-1]
        return self.texts[-1]

    async def got(self, count: int) -> None:
        """Return once the telephone has got ``count`` answers."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.texts) < count:
                await self._look()

    async def _look(self) -> None:
        query = {"number": self._number, "after": "0"}
        async with self._client.get(f"{self._url}/sms/emulator/messages", params=query) as screen:
            messages = json.loads(await screen.read())["messages"]
        self.texts = [one["text"] for one in messages if not one["mine"]]
        await asyncio.sleep(0.02)


@asynccontextmanager
async def telephones(settings: Settings) -> AsyncIterator[Callable[[str], Telephone]]:
    async with role(settings, "sms_centre") as ports, aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{ports['sms_emulator']}"
        yield lambda number: Telephone(client, url, number)


async def drive(redis: Redis, network: Network, *, arrives_in_ms: int = 0) -> str:
    """Let tracking say that the bus is on the first pattern, and coming to a stop; return the stop's number."""
    patterns = network.patterns
    row = int(patterns.first[0]) + 2
    stop, route_id = int(patterns.stop[row]), network.routes.ids[int(patterns.route[0])]
    now_ms = wall_ms()
    position = VehiclePosition(
        *(BUS, now_ms, 44.85, 65.5, None, 0.0, "in_service", route_id, 0),
        *("trip", "trip|today", float(patterns.offset_m[row]), "", None, 0),
    )
    arrival = Arrival(
        *("101|trip|3", str(network.stops.ids[stop]), BUS, str(route_id), 0, "trip", "trip|today", 3),
        *(now_ms + arrives_in_ms, now_ms, now_ms, "live", now_ms, None),
    )
    update = Update(as_of_ms=now_ms, vehicles=[position], arrivals=[arrival], withdrawn=[])
    await StateWriter(redis, Keys("kzo")).replace(update)
    return network.stops.codes[stop]


async def test_a_message_becomes_a_ride_paid_by_the_operator_and_a_ticket(
    settings: Settings, redis: Redis, postgres: asyncpg.Pool
) -> None:
    await drive(redis, await open_network(settings))
    async with telephones(settings) as telephone, role(settings, "sms") as ports:
        rider, poor = telephone(PAYS), telephone(NO_CREDIT)
        await rider.answered("РУС", lambda text: "по-русски" in text)
        ticket = await rider.answered(BUS, lambda text: BUS in text and len(text) <= 70)
        again = await rider.answered(f"№ {BUS}")
        await poor.answered(BUS, lambda text: BUS not in text)
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{ports['sms']}/readyz") as ready:
            assert ready.status == 200
    assert ticket == again  # the same ride, asked for twice within its three minutes
    assert await postgres.fetchval("SELECT count(*) FROM tap") == 1
    assert (await verify(postgres)).findings == []


async def test_the_number_of_a_stop_is_answered_with_its_next_buses(settings: Settings, redis: Redis) -> None:
    network = await open_network(settings)
    code = await drive(redis, network, arrives_in_ms=8 * MINUTE_MS - 1_000)
    async with telephones(settings) as telephone, role(settings, "sms"):
        rider = telephone(PAYS)
        await rider.answered("ENG")
        line = network.routes.short_names[int(network.patterns.route[0])]
        await rider.answered(code, lambda text: f"{line} 7 min" in text)


async def test_what_is_sent_while_the_role_is_down_is_answered_when_it_is_up(settings: Settings) -> None:
    async with telephones(settings) as telephone:
        rider = telephone(PAYS)
        await rider.send("БАЛАНС")
        async with role(settings, "sms"):
            await rider.got(1)
    assert "0" in rider.texts[0]


async def test_a_city_without_agreements_waits(settings: Settings) -> None:
    nobody = Settings(
        **{name: getattr(settings, name) for name in ("data_folder", "redis_url", "postgres_url", "gtfs")}
    )
    async with role(nobody, "sms") as ports, role(nobody, "sms_centre") as others:
        assert (ports, others) == ({}, {})


async def test_the_role_asks_the_tariff_of_the_moment_who_rides_along(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[SmsNames] = []

    def seen(*arguments: Any, names: SmsNames, **more: Any) -> SmsService:
        named.append(names)
        return SmsService(*arguments, names=names, **more)

    monkeypatch.setattr(sms, "SmsService", seen)
    monkeypatch.setattr(sms, "default_category_at", lambda tariff, at_ms: f"{type(tariff).__name__} at {at_ms}")
    async with role(settings, "sms"):
        assert [named[0].default_category_at(at_ms) for at_ms in (1, 2)] == ["Tariff at 1", "Tariff at 2"]


async def test_agreements_that_others_may_read_stop_the_role(settings: Settings) -> None:
    assert settings.sms.gateways is not None
    settings.sms.gateways.chmod(0o644)
    with pytest.raises(RoleError, match="chmod 600"):
        async with role(settings, "sms"):
            pass


def test_agreements_of_an_earlier_start_keep_their_passwords(settings: Settings) -> None:
    kept = settings.sms.gateways
    assert kept is not None
    before = kept.read_text()
    prepare_sms(settings, kept)
    assert kept.read_text() == before
