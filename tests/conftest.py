"""Real servers for all tests: one Valkey and one PostgreSQL for the session, emptied or made anew for each test."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from ayaldama.embedded import ServerHome, open_home, start_postgres, start_valkey
from tests.chromium import find_chromium


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
    name = f"test_{uuid.uuid4().hex[:12]}_{os.getpid()}"
    parts = urlsplit(postgres_dsn)
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    async with asyncpg.create_pool(urlunsplit(parts._replace(path=f"/{name}")), min_size=1, max_size=8) as pool:
        yield pool
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a real Chromium for tests marked ``browser``."""
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium: apt install chromium, or name one by AYALDAMA_CHROMIUM")
    return found
