"""Bad input over real sockets: refused with the reason, counted, and nobody else notices."""

import asyncio
import contextlib
import functools
import json
import random
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis
from websockets.exceptions import ConnectionClosed, InvalidStatus

from stop_display import client as client_module
from stop_display import link as link_module
from stop_display import server as module
from stop_display.admission import Admission
from stop_display.client import BoardClient
from stop_display.model import Heartbeat, Hello, Refusal, ToBoard
from stop_display.server import BoardSettings
from stop_display.shares import Shares
from tests.dispatch.sightings import NOON_MS, arrival, update
from tests.dispatch.small_city import ALAN
from tests.stop_display.edges.test_server import Running, ended, hear, hear_change, listening, running, writer
from transit.store.redis_state import StateWriter

__all__ = ["writer"]  # the fixture

SUBSCRIBE = json.dumps({"type": "subscribe", "stops": [ALAN.id]})


@pytest.mark.parametrize(
    ("said", "code", "field", "rule"),
    [
        ('{"type":"subscribe","stops":["nowhere"]}', "unknown_stop", "stops", "no such stop in this city"),
        (json.dumps({"type": "subscribe", "stops": ["a"] * 30 + list("bcdefghijklmnopqrstuvwxyz")}), *("unreadable",),
         "stops", "name 1 to 20 stops"),
        ("\x00\x01garbage", "unreadable", "", "a message is a JSON object"),
        (b"\x00\xff\xfe", "unreadable", "", "this one was binary"),
        (SUBSCRIBE.encode(), "unreadable", "", "this one was binary"),
        ('{"type":"subscribe","stops":[null]}', "unreadable", "stops[0]", "Expected `str`"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_counted_and_the_board_may_go_on(
    redis: Redis, writer: StateWriter, said: str | bytes, code: str, field: str, rule: str
) -> None:
    async with running(redis) as city, city.opened() as socket:
        await socket.send(said)
        refusal = json.loads(await socket.recv())
        assert (refusal["type"], refusal["code"], refusal["field"]) == ("problem", code, field)
        assert rule in refusal["rule"]
        await city.until(f'boards_refused_total{{reason="{code}"}} 1.0')
        await socket.send(SUBSCRIBE)
        assert isinstance(await hear(socket), Hello)


async def test_a_frame_larger_than_allowed_is_refused_before_it_is_read(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city:
        for said in ("x" * 10_000_000, json.dumps({"type": "subscribe", "stops": [f"s{i}" for i in range(10_000)]})):
            async with city.opened() as socket:
                with contextlib.suppress(ConnectionClosed):
                    await socket.send(said)
                assert await ended(socket) in (1009, 1006)  # the socket may be gone before the reason is read
        await city.until('boards_refused_total{reason="bad_frame"} 2.0')


async def test_ten_thousand_subscriptions_on_one_socket_end_it_and_the_others_are_served(
    redis: Redis, writer: StateWriter
) -> None:
    async with running(redis) as city, city.opened(ALAN.id) as good:
        await listening(good)
        async with city.opened(ALAN.id) as greedy:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(10_000):
                    await greedy.send(SUBSCRIBE)
            assert await ended(greedy) in (1008, 1006)
        await city.until('boards_dropped_total{reason="bad_messages"} 1.0')
        assert b'boards_refused_total{reason="too_fast"} 6.0' in city.metrics.exposition()
        await writer.publish(update(arrival(ALAN.id, in_s=700)))
        await hear_change(good, NOON_MS + 700_000)


async def test_a_crowd_waits_for_its_turn_and_who_would_wait_too_long_is_told_so(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Admission", lambda: Admission(rate_per_s=1, burst=0, wait_max_s=1.5))

    async def come(city: Running) -> int:
        try:
            async with city.opened(ALAN.id) as socket:
                return 200 if isinstance(await hear(socket), Hello) else 0
        except InvalidStatus as refused:
            return refused.response.status_code if "Retry-After" in refused.response.headers else 0

    async with running(redis) as city:
        answers = await asyncio.gather(*(come(city) for _ in range(30)))
        assert set(answers) == {200, 503}
        await city.until(f'boards_refused_total{{reason="crowd"}} {answers.count(503)}.0')


async def test_one_address_has_its_share_of_boards_and_others_come_all_the_same(
    redis: Redis, writer: StateWriter
) -> None:
    settings = BoardSettings(boards_per_address=2)
    async with running(redis, settings=settings, behind_proxy=True) as city, AsyncExitStack() as stack:
        crowd = [
            await stack.enter_async_context(city.opened(ALAN.id, forwarded_for=f"203.0.113.{number}, 198.51.100.7"))
            for number in range(2)  # what a client says of itself is not believed
        ]
        for socket in crowd:
            await listening(socket)
        async with city.opened(ALAN.id, forwarded_for="198.51.100.7") as socket:
            assert json.loads(await socket.recv()) == {
                "type": "problem",
                "code": "address_full",
                "field": "address",
                "value": "198.51.100.7",
                "rule": "at most 2 boards of one address at once; those that show a key do not count",
            }
            assert await ended(socket) == 1013
        await city.until('boards_refused_total{reason="address_full"} 1.0')
        await city.until('boards_dropped_total{reason="address_full"} 1.0')
        async with city.opened(ALAN.id, forwarded_for="198.51.100.8") as socket:
            await listening(socket)
        await crowd[0].close()
        await city.until("boards_connected 1.0")
        async with city.opened(ALAN.id, forwarded_for="198.51.100.7") as socket:
            await listening(socket)


async def test_who_comes_beyond_the_share_and_says_nothing_makes_room_for_the_next(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Shares", functools.partial(Shares, asking_max=2))
    async with running(redis, settings=BoardSettings(boards_per_address=1)) as city, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(city.opened()) for _ in range(4)]
        assert await ended(silent[1]) == 1006
        await city.until("boards_connected 3.0")
        await city.until('boards_refused_total{reason="address_full"} 1.0')
        await silent[0].send(SUBSCRIBE)  # it came first and keeps its place
        assert isinstance(await hear(silent[0]), Hello)


class Pauses:
    """A log that keeps how long a board says it waits."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[float] = asyncio.Queue()

    def info(self, _event: str, *, again_in_s: float, **_more: object) -> None:
        self.said.put_nowait(again_in_s)


async def test_a_program_that_is_refused_comes_back_ever_more_slowly(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = Pauses()
    monkeypatch.setattr(client_module, "_log", pauses)
    monkeypatch.setattr(client_module, "PAUSE_FIRST_S", 0.01)

    async def follow(url: str) -> None:
        async for message in BoardClient(url, [ALAN.id], jitter=Noted()).messages():
            assert isinstance(message, Refusal)

    async with running(redis, settings=BoardSettings(boards_per_address=1)) as city, city.opened(ALAN.id) as socket:
        await listening(socket)
        following = asyncio.create_task(follow(city.url))
        assert [await pauses.said.get() for _ in range(3)] == [0.01, 0.02, 0.04]
        following.cancel()


async def test_a_board_that_takes_nothing_for_long_is_let_go_though_little_waits_for_it(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(link_module, "STALLED_MAX_S", 0.1)
    monkeypatch.setattr(link_module, "BEHIND_MAX_BYTES", 1_000_000_000)
    async with running(redis) as city:
        reader, slow = await asyncio.open_connection("127.0.0.1", city.port, limit=1_024)
        said = SUBSCRIBE.encode()
        slow.write(
            b"GET /board/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        slow.write(bytes((0x81, 0x80 | len(said), 0, 0, 0, 0)) + said)
        await city.until("boards_connected 1.0")
        step = 0
        while b'boards_dropped_total{reason="slow"} 1.0' not in city.metrics.exposition():
            step += 1
            if step < 40:  # then heartbeats alone
                await writer.publish(update(arrival(ALAN.id, in_s=300 + 60 * step, vehicle_id="x" * 1_000_000)))
            await asyncio.sleep(0.05)
        slow.close()


class Noted(random.Random):
    """Chance that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.asked.append((a, b))
        return 0.0


async def test_hello_and_heartbeats_say_over_how_long_boards_spread_their_return_and_boards_do(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(module, "spread_s", lambda boards: 2.5 * boards)
    heard: asyncio.Queue[ToBoard] = asyncio.Queue()
    jitter = Noted()

    async def follow(url: str) -> None:
        async for message in BoardClient(url, [ALAN.id], jitter=jitter).messages():
            heard.put_nowait(message)

    async with running(redis) as city:
        following = asyncio.create_task(follow(city.url))
        hello = await heard.get()
        assert isinstance(hello, Hello)
        assert hello.spread_s == 2.5
        async with city.opened(ALAN.id) as second:
            await listening(second)
            while not (isinstance(message := await heard.get(), Heartbeat) and message.spread_s == 5.0):
                pass
            city.stop.set()
            while not jitter.asked:  # noqa: ASYNC110 - chance cannot be waited for
                await asyncio.sleep(0.01)
        following.cancel()
    assert jitter.asked[0] == (0, 5.0)
