"""Real servers for all tests: one Valkey and one PostgreSQL for the session, emptied or made anew for each test."""

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

from ayaldama.embedded import ServerHome, open_home, start_postgres, start_valkey
from commons.migrate import migrate
from tests.chromium import find_chromium
from tests.patience import PATIENCE_MS

# How long an example takes, to be made or to be tried, says how busy the machine is; no test may fail for that.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(autouse=True)
def logs_end_with_their_test() -> Iterator[None]:
    """A test that sets up the logs of a process leaves a handler to a stream that is closed when the next one runs."""
    root = logging.getLogger()
    level = root.level
    yield
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
    root.setLevel(level)


@pytest.fixture(scope="session")
def server_home(tmp_path_factory: pytest.TempPathFactory) -> ServerHome:
    return open_home(tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="session")
def valkey_url(server_home: ServerHome) -> Iterator[str]:
    server = start_valkey(server_home)
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def postgres_dsn(server_home: ServerHome) -> Iterator[str]:
    # Nothing of a test outlives it, so durability would only cost time here; tests/ayaldama tries the durable one.
    server = start_postgres(
        server_home, options={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    )
    yield server.url
    server.stop()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def postgres(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with new_database(postgres_dsn, template="template1") as pool:
        yield pool


@pytest.fixture(scope="session")
def fare_template(postgres_dsn: str) -> str:
    """A database with all tables of fares, to be copied: that is quicker than making them for each test."""
    name = f"fares_{uuid.uuid4().hex[:12]}"

    async def make() -> None:
        admin = await asyncpg.connect(postgres_dsn)
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
        async with asyncpg.create_pool(dsn_of(postgres_dsn, name), min_size=1) as pool:
            for package in ("fare.store", "fare.gateways"):
                await migrate(pool, package)

    with ThreadPoolExecutor(1) as beside:  # the tests' own event loop is not to be touched
        beside.submit(asyncio.run, make()).result()
    return name


@pytest.fixture
async def fare_postgres(postgres_dsn: str, fare_template: str) -> AsyncIterator[asyncpg.Pool]:
    """A database with all tables of fares, empty."""
    async with new_database(postgres_dsn, template=fare_template) as pool:
        yield pool


@asynccontextmanager
async def new_database(dsn: str, *, template: str) -> AsyncIterator[asyncpg.Pool]:
    name = f"test_{uuid.uuid4().hex[:12]}_{os.getpid()}"
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    async with asyncpg.create_pool(dsn_of(dsn, name), min_size=1, max_size=12) as pool:
        yield pool
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


def dsn_of(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a real Chromium for tests marked ``browser``."""
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium: apt install chromium, or name one by AYALDAMA_CHROMIUM")
    return found
