"""The fare role on real servers: a card at a real validator becomes a ride with its stop, money, riders, a check."""

import asyncio
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis

from ayaldama import demo
from ayaldama.database import bring_up_to_date
from ayaldama.fares import city_key_path, code_key_of
from ayaldama.roles._base import RoleContext, open_network
from ayaldama.roles.fare import serve
from ayaldama.settings import FareSection, Gtfs, Settings
from commons.clock import SystemClock, wall_ms
from commons.metrics import Metrics
from fare.inspection.cases import PersonId, Role
from fare.inspection.check_code import check_code, ticket_code
from fare.ledger.accounts import debt, wallet
from fare.model import DeviceId, MediumId
from fare.phone.own_qr import own_code
from fare.store.city_key import open_city_key
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_devices import PostgresDevices
from fare.store.postgres_inspection import set_pin
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.store.postgres_releases import PostgresReleases
from fare.validator.batches import make_batch
from fare.validator.drawer import CARDS, EmulatedReader
from fare.validator.enrolment import CODE_LIFE_MS, Code, IssuedCode, make_request
from fare.validator.home import Home
from fare.validator.journal_file import JournalFile
from fare.validator.link import Link
from fare.validator.program import Validator
from fare.validator.release import Shifted
from fare.validator.run import enrol_device, open_program
from fare.validator.signing import SigningKey
from gtfs_data.network import Network
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_journal import tap
from tests.patience import PATIENCE_S
from transit.keys import Keys
from transit.model import Update, VehiclePosition
from transit.store.redis_occupancy import read_loads
from transit.store.redis_state import StateWriter

BUS: Final = "101"
ADULT: Final = next(card.medium_id for card in CARDS if card.name == "adult")


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
        fare=FareSection(port=0),
    )


@asynccontextmanager
async def role(settings: Settings) -> AsyncIterator[str]:
    """Give the address of a fare role while the block runs; "" if it serves none."""
    ready: asyncio.Future[Mapping[str, int]] = asyncio.get_running_loop().create_future()
    context = RoleContext(
        settings=settings,
        roles=frozenset({"fare"}),
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
        ports = await ready
        yield f"http://127.0.0.1:{ports['fare']}" if "fare" in ports else ""
    finally:
        context.stop.set()
        await running


async def eventually(holds: Callable[[], Awaitable[Any]], within_s: float = PATIENCE_S) -> Any:
    """Return what ``holds`` once it is something; the limit is only there to end a test that fails."""
    async with asyncio.timeout(within_s):
        while not (found := await holds()):  # noqa: ASYNC110 - other processes change what is asked
            await asyncio.sleep(0.05)
        return found


async def drive(redis: Redis, network: Network, *, stop_number: int) -> str:
    """Let tracking say that the bus stands at a stop of the first pattern; return the stop's id."""
    patterns = network.patterns
    row = int(patterns.first[0]) + stop_number
    position = VehiclePosition(
        *(BUS, wall_ms(), 44.85, 65.5, None, 0.0, "in_service", network.routes.ids[int(patterns.route[0])], 0),
        *("trip", "trip|today", float(patterns.offset_m[row]), "", None, 0),
    )
    writer = StateWriter(redis, Keys("kzo"))
    await writer.replace(Update(as_of_ms=wall_ms(), vehicles=[position], arrivals=[], withdrawn=[]))
    return network.stops.ids[int(patterns.stop[row])]


@asynccontextmanager
async def validator(settings: Settings, pool: asyncpg.Pool, url: str) -> AsyncIterator[Validator]:
    """Give a validator that is enrolled with a code, has its documents, and runs."""
    folder = settings.data_folder / "validator"
    if Home(folder).identity() is None:
        code = Code.make(bytes(range(10)), open_city_key(city_key_path(settings)).public)
        issued = IssuedCode(
            digest=code.digest, device_id=DeviceId("v-1"), vehicle_id=BUS, expires_ms=wall_ms() + CODE_LIFE_MS
        )
        await PostgresDevices(pool, settings.city).issue(issued)
        await enrol_device(folder, url, code)
    home = Home(folder)
    identity = home.identity()
    assert identity is not None
    async with (
        aiohttp.ClientSession() as session,
        open_program(home, identity, clock=SystemClock(), show=lambda _: None, session=session, server=url) as program,
    ):

        async def in_service() -> bool:
            return program.holdings() is not None

        await eventually(in_service)
        yield program


async def hold(program: Validator, name: str) -> str:
    reader = EmulatedReader(program.device_ms)
    reader.hold([name])
    decision = await program.present(await anext(aiter(reader)), name)
    return decision.outcome.value


async def test_a_tap_becomes_a_ride_at_its_stop_and_money_and_riders(
    settings: Settings, postgres: asyncpg.Pool, redis: Redis
) -> None:
    await PostgresMedia(postgres).top_up(ADULT, 50_000, desk="d", key="r", occurred_ms=1)
    network = await open_network(settings)
    async with role(settings) as url, validator(settings, postgres, url) as program:
        stop_id = await drive(redis, network, stop_number=2)
        assert await hold(program, "adult") == "accepted"
        row = await eventually(lambda: postgres.fetchrow("SELECT * FROM tap WHERE rides AND medium_id = $1", ADULT))
        assert (row["stop_id"], row["route_id"], row["trip_id"]) == (
            stop_id,
            network.routes.ids[int(network.patterns.route[0])],
            "trip",
        )
        assert row["carrier_id"] in {"kyzylorda", "carrier_a", "carrier_b"}
        price_tiyn = row["shown_tiyn"]
        assert (await balances_tiyn(postgres))[wallet(ADULT)] == price_tiyn - 50_000
        assert await hold(program, "adult") == "already_paid"

        async def load() -> list[float]:
            return [one.riders for one in await read_loads(redis, Keys("kzo")) if one.vehicle_id == BUS]

        assert await eventually(load) == [1.0]
    assert (await verify(postgres)).findings == []


async def test_who_cannot_pay_is_on_every_validators_deny_list_and_off_it_when_paid(
    settings: Settings, postgres: asyncpg.Pool, redis: Redis
) -> None:
    network = await open_network(settings)
    async with role(settings) as url, validator(settings, postgres, url) as program:
        await drive(redis, network, stop_number=0)
        assert await hold(program, "adult") == "accepted"
        await eventually(lambda: postgres.fetchrow("SELECT 1 FROM account WHERE code = $1", debt(ADULT)))

        async def listed(version: int) -> bool:
            rows = await PostgresDevices(postgres, settings.city).published(wall_ms(), name="deny")
            return rows[-1].version >= version

        await eventually(lambda: listed(2))
        await PostgresMedia(postgres).top_up(ADULT, 50_000, desk="d", key="r", occurred_ms=wall_ms())
        await eventually(lambda: listed(3))


async def test_an_inspector_checks_the_card_on_the_bus(
    settings: Settings, postgres: asyncpg.Pool, redis: Redis
) -> None:
    await set_pin(postgres, PersonId("7"), Role.INSPECTOR, "4711")
    network = await open_network(settings)
    async with role(settings) as url, validator(settings, postgres, url) as program:
        await drive(redis, network, stop_number=1)
        await hold(program, "adult")
        await eventually(lambda: postgres.fetchrow("SELECT 1 FROM tap WHERE rides"))
        code = check_code(ADULT, code_key_of(open_city_key(city_key_path(settings))))
        async with aiohttp.ClientSession(url) as session:
            wrong = await session.post("/api/inspection/sign-in", json={"person_id": "7", "pin": "4712"})
            assert wrong.status == 401
            signed_in = await session.post("/api/inspection/sign-in", json={"person_id": "7", "pin": "4711"})
            headers = {"Authorization": f"Bearer {(await signed_in.json())['token']}"}
            question = {"vehicle_id": BUS, "code": code}
            checked = await session.post("/api/inspection/checks", json=question, headers=headers)
            assert (await checked.json())["standing"] == "paid"
            page = await session.get("/inspector/")
            assert "camera=(self)" in page.headers["Permissions-Policy"]
            ready = await session.get("/readyz")
            assert (ready.status, (await ready.json())["ok"]) == (200, True)
    assert await postgres.fetchval("SELECT standing FROM inspection_look") == "paid"


async def test_i8_without_the_phones_server_phones_ride_and_inspectors_say_yes_and_no(
    settings: Settings, postgres: asyncpg.Pool, redis: Redis
) -> None:
    """The fare role alone: a live code rides and is paid, a screenshot of it and a made-up code are not."""
    phone, medium_id = Ed25519PrivateKey.generate(), MediumId("5b" * 16)

    def code(ago_ms: int = 0) -> str:
        return own_code(phone, city=settings.city, now_ms=wall_ms() - ago_ms)

    keys = PostgresPhoneKeys(postgres, settings.city)
    await keys.register(medium_id, phone.public_key().public_bytes_raw(), code(), wall_ms())
    await PostgresMedia(postgres).top_up(medium_id, 50_000, desk="d", key="r", occurred_ms=1)
    await set_pin(postgres, PersonId("7"), Role.INSPECTOR, "4711")
    network = await open_network(settings)
    async with role(settings) as url, validator(settings, postgres, url) as program:
        await drive(redis, network, stop_number=1)
        for text, outcome in ((code(31_000), "refused_unknown"), (code(), "accepted")):
            decision = await program.present_code(text, "scanner")
            assert decision is not None
            assert decision.outcome.value == outcome
        row = await eventually(lambda: postgres.fetchrow("SELECT * FROM tap WHERE rides"))
        assert (row["medium_id"], row["medium_kind"]) == (medium_id, "phone")
        async with aiohttp.ClientSession(url) as session:
            signed_in = await session.post("/api/inspection/sign-in", json={"person_id": "7", "pin": "4711"})
            headers = {"Authorization": f"Bearer {(await signed_in.json())['token']}"}
            ticket = ticket_code(f"{row['device_id']}:{row['sequence']}", medium_id, code_key_of(city_key(settings)))
            said: list[str] = []
            for shown in (code(), code(31_000), "1234567897", ticket, ticket):
                question = {"vehicle_id": BUS, "code": shown, "boarded_before": True, "showing_id": str(len(said))}
                checked = await session.post("/api/inspection/checks", json=question, headers=headers)
                said.append((await checked.json())["standing"])
    assert said == ["paid", "not_live", "not_paid", "shown", "shown"]
    assert (await balances_tiyn(postgres))[wallet(medium_id)] == row["shown_tiyn"] - 50_000


def city_key(settings: Settings) -> SigningKey:
    return open_city_key(city_key_path(settings))


async def test_what_a_validator_kept_while_the_role_was_away_is_stored_once(
    settings: Settings, postgres: asyncpg.Pool, redis: Redis
) -> None:
    async with role(settings) as url, validator(settings, postgres, url):
        fixed = msgspec.structs.replace(settings, fare=FareSection(port=int(url.rpartition(":")[2])))
    async with validator(settings, postgres, url) as program:
        assert await hold(program, "adult") == "accepted"
        assert await hold(program, "pupil") == "accepted"
        async with role(fixed):
            await eventually(lambda: postgres.fetchval("SELECT count(*) = 2 FROM tap WHERE rides"))
    async with role(fixed):
        await eventually(lambda: postgres.fetchval("SELECT count(*) = 0 FROM validator WHERE handed < sequence"))
    assert await postgres.fetchval("SELECT count(*) FROM tap WHERE rides") == 2


async def test_a_quarantined_tap_is_charged_by_the_running_role_once_it_is_released(
    settings: Settings, postgres: asyncpg.Pool
) -> None:
    await PostgresMedia(postgres).top_up(ADULT, 50_000, desk="d", key="r", occurred_ms=1)
    key, now_ms = SigningKey.generate(), wall_ms()
    code = Code.make(bytes(range(10)), open_city_key(city_key_path(settings)).public)
    store, releases = PostgresDevices(postgres, settings.city), PostgresReleases(postgres)
    device_id = DeviceId("v-1")
    await store.issue(
        IssuedCode(digest=code.digest, device_id=device_id, vehicle_id=BUS, expires_ms=now_ms + CODE_LIFE_MS)
    )
    journal = JournalFile(UnsafeDisk(), now_ms=now_ms)
    journal.append_tap(msgspec.structs.replace(tap(0), tapped_ms=now_ms + 7_200_000, medium_id=ADULT, vehicle_id=BUS))
    stretch = journal.after(0, 500, 10**6)
    assert stretch is not None
    batch = make_batch(stretch, city=settings.city, device_id=device_id, sent_ms=now_ms, waiting=0, key=key)
    async with role(settings) as url, aiohttp.ClientSession() as session:
        link = Link(session, url)
        await link.enrol(make_request(code, key))
        await link.send(batch)
        assert [one.tap.sequence for one in await releases.waiting()] == [1]
        await releases.decide(device_id, [1], Shifted(by_ms=-3 * 3_600_000), now_ms, who="command", why="ahead")
        row = await eventually(lambda: postgres.fetchrow("SELECT * FROM tap WHERE rides"))
        assert (row["device_id"], row["sequence"], row["tapped_ms"]) == ("v-1", 1, now_ms - 3_600_000)

        async def handed() -> bool:
            return not await releases.behind()

        await eventually(handed)
    assert (await verify(postgres)).findings == []


async def test_a_city_without_fares_runs_without_the_role(settings: Settings, tmp_path: Path) -> None:
    bare = tmp_path / "bare.zip"
    assert settings.gtfs.feed is not None
    with zipfile.ZipFile(settings.gtfs.feed) as whole, zipfile.ZipFile(bare, "w") as written:
        for name in whole.namelist():
            if not name.startswith("fare_") and name not in {"rider_categories.txt", "networks.txt"}:
                written.writestr(name, whole.read(name))
    async with role(msgspec.structs.replace(settings, gtfs=Gtfs(feed=bare))) as url:
        assert url == ""
