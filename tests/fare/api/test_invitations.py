"""A validator that has much to send asks first, and sends when it is told to: HTTP, byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import pytest

from fare.api import devices
from fare.api.outage_lane import COMING_MAX
from fare.validator.batches import Receiving
from fare.validator.signing import Purpose, SigningKey
from tests.fare.validator.city import City, city_of
from tests.patience import PATIENCE_S

BODY = msgspec.msgpack.encode(SigningKey.generate().sign(Purpose.BATCH, b"x" * 50_000))
REFUSED = f"\r\n\r\n{Receiving.WRONG_KEY.value}".encode()


class Client:
    """A connection that sends what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, expect: str = "100-continue", version: str = "1.1") -> None:
        self.writer.write(
            f"POST /validators/records HTTP/{version}\r\nHost: city\r\nContent-Length: {len(BODY)}\r\n"
            f"Expect: {expect}\r\n\r\n".encode()
        )
        await self.writer.drain()

    async def invited(self) -> bool:
        """Wait a moment for the invitation."""
        try:
            async with asyncio.timeout(0.2):
                return await self.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        except TimeoutError:
            return False

    async def answered(self, body: bytes = BODY) -> bytes:
        self.writer.write(body)
        async with asyncio.timeout(PATIENCE_S):
            answer = await self.reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return answer + await self.reader.readexactly(length)


@asynccontextmanager
async def client_of(city: City) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", city.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def test_who_asks_is_invited_and_answered_and_may_ask_again(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, client_of(city) as client:
        for _ in range(2):
            await client.ask()
            assert await client.invited()
            answer = await client.answered()
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert answer.endswith(REFUSED)


async def test_who_does_not_wait_for_the_invitation_is_served_too(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, client_of(city) as client:
        await client.ask()
        client.writer.write(BODY)
        assert await client.invited()
        assert (await client.answered(b"")).endswith(REFUSED)


async def test_http_1_0_knows_no_invitation(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, client_of(city) as client:
        await client.ask(version="1.0")
        assert (await client.answered()).startswith(b"HTTP/1.0 403 ")


async def test_something_else_that_is_expected_is_refused(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, client_of(city) as client:
        await client.ask(expect="tea")
        assert (await client.answered(b"")).startswith(b"HTTP/1.1 417 ")


async def test_those_who_were_invited_and_send_nothing_keep_nobody_out_for_long(postgres: asyncpg.Pool) -> None:
    async with city_of(postgres) as city, asyncio.TaskGroup() as tasks:
        over = asyncio.Event()

        async def stall(invited: asyncio.Event) -> None:
            async with client_of(city) as client:
                await client.ask()
                assert await client.invited()
                invited.set()
                await over.wait()

        stalled = [asyncio.Event() for _ in range(COMING_MAX)]
        for one in stalled:
            tasks.create_task(stall(one))
        await asyncio.gather(*(one.wait() for one in stalled))
        async with client_of(city) as client, asyncio.timeout(PATIENCE_S):
            await client.ask()
            while not await client.invited():
                pass
            assert (await client.answered()).endswith(REFUSED)
        over.set()


async def test_who_is_not_invited_in_time_is_told_to_come_again(
    postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "STORE_MAX_S", 0.0)
    async with city_of(postgres) as city, client_of(city) as client:
        await client.ask()
        answer = await client.answered(b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in answer
