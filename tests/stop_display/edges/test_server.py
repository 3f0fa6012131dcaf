"""The board server on a real Valkey with real WebSocket connections."""

import asyncio
import contextlib
import functools
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ayaldama.embedded import ServerHome, open_home, start_valkey
from ayaldama.http import address_of
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from stop_display import link as link_module
from stop_display import server as module
from stop_display.admission import Admission
from stop_display.client import BoardClient
from stop_display.hub import Frame, Hub
from stop_display.link import Link
from stop_display.model import BoardAnswer, Change, Heartbeat, Hello, Snapshot, StopBoard, ToBoard
from stop_display.server import Boards, BoardSettings
from tests.dispatch.pages import served
from tests.dispatch.sightings import NOON_MS, arrival, position, update
from tests.dispatch.small_city import ALAN, BAZAR, SHUGYLA, network_of
from tests.patience import PATIENCE_S
from tests.stop_display.hearing import decoded
from transit.keys import Keys
from transit.store.redis_state import StateReader, StateWriter

KEYS = Keys("test")
BUS_10 = "10|Шұғыла мөлтек ауданы"


@dataclass(frozen=True, slots=True)
class Running:
    port: int
    metrics: Metrics
    stop: asyncio.Event

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/board/ws"

    @asynccontextmanager
    async def opened(self, *stops: str, forwarded_for: str = "", **more: Any) -> AsyncIterator[ClientConnection]:
        headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
        async with connect(self.url, compression=None, additional_headers=headers) as socket:
            if stops:
                await socket.send(json.dumps({"type": "subscribe", "stops": stops} | more))
            yield socket

    async def get(self, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}{path}", headers=headers) as answer,
        ):
            return answer, await answer.read()

    async def until(self, metric: str) -> None:
        while metric.encode() not in self.metrics.exposition():  # noqa: ASYNC110 - a counter cannot be waited for
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(
    redis: Redis, *, port: int = 0, settings: BoardSettings | None = None, behind_proxy: bool = False
) -> AsyncIterator[Running]:
    metrics, stop = Metrics(), asyncio.Event()
    boards = Boards(
        network_of(),
        state=StateReader(redis, KEYS),
        clock=SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS)),
        metrics=metrics,
        settings=settings or BoardSettings(),
        address_of=functools.partial(address_of, behind_proxy=behind_proxy),
    )
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks, served(boards.routes(), port=port) as at:
        tasks.create_task(boards.run(stop))
        yield Running(port=at, metrics=metrics, stop=stop)
        stop.set()


@pytest.fixture
async def writer(redis: Redis) -> StateWriter:
    writer = StateWriter(redis, KEYS)
    await writer.replace(update(position("101"), arrival(ALAN.id, in_s=230)))
    return writer


async def hear(socket: ClientConnection) -> ToBoard:
    return decoded(str(await socket.recv()))


async def hear_change(socket: ClientConnection, arrival_ms: int) -> Change:
    """Return the first change after which the bus is expected at ``arrival_ms``."""
    while True:
        message = await hear(socket)
        if isinstance(message, Change) and live_ms(message.lines[0].arrivals) == [arrival_ms]:
            return message


def live_ms(rows: Any) -> list[int]:
    return [row.arrival_ms for row in rows if row.state == "live"]


async def listening(socket: ClientConnection, in_s: int = 230) -> tuple[Hello, int]:
    """Take hello and snapshot, and changes until the bus of the fixture is known; return hello and the sequence."""
    hello, snapshot = await hear(socket), await hear(socket)
    assert isinstance(hello, Hello)
    assert isinstance(snapshot, Snapshot)
    if live_of(snapshot.board) == [NOON_MS + 1000 * in_s]:
        return hello, snapshot.sequence
    return hello, (await hear_change(socket, NOON_MS + 1000 * in_s)).sequence


def live_of(board: StopBoard) -> list[int]:
    return [ms for line in board.lines for ms in live_ms(line.arrivals)]


async def ended(socket: ClientConnection) -> int | None:
    """Return the code with which the server ends the conversation."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


async def test_a_board_hears_hello_then_everything_then_what_changes(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city, city.opened(ALAN.id) as socket:
        hello, sequence = await listening(socket)
        assert (hello.protocol, hello.rate, hello.time_zone, hello.utc_offset_s) == (1, 1.0, "Asia/Qyzylorda", 18_000)
        assert (hello.heartbeat_s, hello.stale_after_s, hello.drop_after_s, hello.resumed) == (10.0, 60.0, 90.0, False)
        await writer.publish(update(position("101", fix_ms=NOON_MS + 1), arrival(ALAN.id, in_s=700)))
        change = await hear_change(socket, NOON_MS + 700_000)
        assert (change.stop, [line.key for line in change.lines]) == (ALAN.id, [BUS_10])
        assert change.sequence > sequence
        assert change.fix_ms == NOON_MS + 1


async def test_a_board_of_several_stops_hears_of_each_and_of_no_other(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city, city.opened(ALAN.id, BAZAR.id) as socket:
        hello, *snapshots = [await hear(socket) for _ in range(3)]
        assert isinstance(hello, Hello)
        assert [one.board.stop for one in snapshots if isinstance(one, Snapshot)] == [ALAN.id, BAZAR.id]
        await writer.publish(update(arrival(SHUGYLA.id, in_s=800, sequence=3)))
        await writer.publish(update(arrival(BAZAR.id, in_s=700, sequence=2)))
        assert (await hear_change(socket, NOON_MS + 700_000)).stop == BAZAR.id


async def test_a_stop_that_cannot_be_made_is_counted_and_keeps_no_other_waiting(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew = Hub.renew

    def broken(hub: Hub, stop_id: str, now_ms: int, wall_s: float) -> Frame | None:
        if stop_id == ALAN.id:
            raise ValueError(stop_id)
        return renew(hub, stop_id, now_ms, wall_s)

    monkeypatch.setattr(Hub, "renew", broken)
    async with running(redis) as city, city.opened(ALAN.id, BAZAR.id) as socket:
        for _ in range(3):  # hello and two snapshots
            await hear(socket)
        await writer.publish(update(arrival(ALAN.id, in_s=700), arrival(BAZAR.id, in_s=700, sequence=2)))
        assert (await hear_change(socket, NOON_MS + 700_000)).stop == BAZAR.id
        await city.until('role_errors_total{role="boards",where="tell"}')


async def test_a_board_may_turn_to_another_stop(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city, city.opened(ALAN.id) as socket:
        await listening(socket)
        await socket.send(json.dumps({"type": "subscribe", "stops": [BAZAR.id]}))
        while not isinstance(await hear(socket), Hello):
            pass
        await writer.publish(update(arrival(ALAN.id, in_s=900)))
        await writer.publish(update(arrival(BAZAR.id, in_s=700, sequence=2)))
        assert (await hear_change(socket, NOON_MS + 700_000)).stop == BAZAR.id


async def test_a_quiet_board_hears_that_tracking_is_alive(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.1)
    async with running(redis) as city, city.opened(ALAN.id) as socket:
        await listening(socket)
        await writer.publish(update(as_of_ms=NOON_MS + 7_000))
        while not (isinstance(message := await hear(socket), Heartbeat) and message.as_of_ms == NOON_MS + 7_000):
            pass
        assert (message.utc_offset_s, message.sequence > 0) == (18_000, True)


async def test_heartbeats_of_many_boards_are_not_written_in_one_step(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(module, "BEATEN_AT_ONCE", 2)
    steps: list[int] = []  # boards that got one in each step of the loop
    writing, taken = 0, Link.send

    def next_step() -> None:
        nonlocal writing
        steps.append(writing)
        writing = 0

    def noted(link: Link, frame: bytes) -> None:
        nonlocal writing
        if b'"type":"heartbeat"' in frame:
            if not writing:
                asyncio.get_running_loop().call_soon(next_step)
            writing += 1
        taken(link, frame)

    monkeypatch.setattr(Link, "send", noted)
    boards = 3 * module.BEATS  # so three have each turn
    async with running(redis) as city, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(city.opened(ALAN.id)) for _ in range(boards)]
        for socket in sockets:
            for _ in range(2):
                while not isinstance(await hear(socket), Heartbeat):
                    pass
        city.stop.set()
    assert sum(steps) >= 2 * boards
    assert max(steps) == 2


async def test_wrong_messages_are_answered_and_a_board_that_goes_on_is_let_go(
    redis: Redis, writer: StateWriter
) -> None:
    async with running(redis) as city, city.opened("nowhere") as socket:
        refusal = json.loads(await socket.recv())
        assert (refusal["type"], refusal["code"], refusal["value"]) == ("problem", "unknown_stop", "nowhere")
        for text in ("no json", '{"type":"ack","sequence":1,"painted_ms":1}', "[]", "{}", "0"):
            await socket.send(text)
        assert await ended(socket) == 1008
        await city.until('boards_dropped_total{reason="bad_messages"} 1.0')


async def test_a_message_larger_than_allowed_ends_the_connection(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city, city.opened(ALAN.id) as socket:
        await listening(socket)
        await socket.send("x" * 5_000)
        assert await ended(socket) == 1009
        await city.until('boards_dropped_total{reason="bad_messages"} 1.0')


async def test_too_many_messages_end_the_connection(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city, city.opened(ALAN.id) as socket:
        await listening(socket)
        with contextlib.suppress(ConnectionClosed):
            for _ in range(500):
                await socket.send('{"type":"ack","sequence":1,"painted_ms":1}')
        assert await ended(socket) == 1008
        await city.until('boards_dropped_total{reason="bad_messages"} 1.0')


async def test_a_connection_that_says_nothing_is_ended(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_MESSAGE_MAX_S", 0.05)
    async with running(redis) as city, city.opened() as socket:
        assert await ended(socket) == 1008
        await city.until('boards_dropped_total{reason="no_subscription"} 1.0')


async def test_more_boards_than_allowed_are_told_so(redis: Redis, writer: StateWriter) -> None:
    async with running(redis, settings=BoardSettings(boards_max=1)) as city, city.opened(ALAN.id) as socket:
        await listening(socket)
        with pytest.raises(InvalidStatus) as refused:
            async with city.opened(ALAN.id):
                pass
        assert refused.value.response.status_code == 503


async def test_who_waited_for_a_turn_is_refused_if_there_is_no_room_left(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Admission, "wait_s", lambda _door, _now_s: 1.0)  # all of them come while nobody is in
    refused = asyncio.Semaphore(0)

    async def come(city: Running) -> bool:
        try:
            async with city.opened(ALAN.id) as socket, asyncio.timeout(PATIENCE_S):
                await listening(socket)
                for _ in range(4):
                    await refused.acquire()
                return True
        except InvalidStatus:
            refused.release()
            return False

    async with running(redis, settings=BoardSettings(boards_max=1)) as city:
        assert sum(await asyncio.gather(*(come(city) for _ in range(5)))) == 1


async def test_a_board_that_does_not_read_is_let_go_and_the_others_are_served(
    redis: Redis, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "BEHIND_MAX_BYTES", 2_000_000)  # some messages, for these are large
    monkeypatch.setattr(module, "GATHER_S", 0.0)
    stalled = b'{"type":"subscribe","stops":["alan"]}'
    async with running(redis) as city, city.opened(ALAN.id) as good:
        await listening(good)
        reader, slow = await asyncio.open_connection("127.0.0.1", city.port, limit=1_024)
        slow.write(
            b"GET /board/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        slow.write(bytes((0x81, 0x80 | len(stalled), 0, 0, 0, 0)) + stalled)
        await city.until("boards_connected 2.0")
        step = 0
        while b'boards_dropped_total{reason="slow"} 1.0' not in city.metrics.exposition():
            step += 1
            crowd = [
                arrival(ALAN.id, in_s=300 * step + i, vehicle_id=f"{'x' * 100_000}{i}", run_key=f"r{i}")
                for i in range(3)
            ]
            await writer.publish(update(*crowd))
            await hear(good)
        slow.close()
        await city.until("boards_connected 1.0")
        await writer.publish(update(arrival(BAZAR.id, in_s=700, sequence=2)))
        assert good.close_code is None


async def test_a_board_that_was_cut_off_goes_on_where_it_was(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city:
        async with city.opened(ALAN.id) as socket:
            hello, sequence = await listening(socket)
        async with city.opened(ALAN.id) as other:
            await listening(other)
            await writer.publish(update(arrival(ALAN.id, in_s=700)))
            await hear_change(other, NOON_MS + 700_000)
        resume = {"session": hello.session, "sequence": sequence}
        async with city.opened(ALAN.id, resume=resume) as socket:
            again = await hear(socket)
            assert isinstance(again, Hello)
            assert (again.resumed, again.session) == (True, hello.session)
            assert (await hear_change(socket, NOON_MS + 700_000)).sequence > sequence
        async with city.opened(ALAN.id, resume={"session": "another", "sequence": sequence}) as socket:
            fresh = await hear(socket)
            assert isinstance(fresh, Hello)
            assert not fresh.resumed
            assert isinstance(await hear(socket), Snapshot)


async def test_after_a_restart_boards_come_back_by_themselves_and_get_everything(
    redis: Redis, writer: StateWriter
) -> None:
    told: asyncio.Queue[ToBoard] = asyncio.Queue()

    async def follow(url: str) -> None:
        jitter = random.Random(1)  # noqa: S311
        async for message in BoardClient(url, [ALAN.id], board="kiosk", jitter=jitter).messages():
            told.put_nowait(message)

    async def hello() -> Hello:
        while not isinstance(message := await told.get(), Hello):
            pass
        return message

    async with AsyncExitStack() as first:
        city = await first.enter_async_context(running(redis))
        following = asyncio.create_task(follow(city.url))
        before = await hello()
        await first.aclose()
    await writer.publish(update(arrival(ALAN.id, in_s=900)))
    async with running(redis, port=city.port):
        after = await hello()
        assert (after.resumed, after.session != before.session) == (False, True)
        while True:
            match await told.get():
                case Snapshot() as snapshot if live_of(snapshot.board) == [NOON_MS + 900_000]:
                    break
                case Change() as change if live_ms(change.lines[0].arrivals) == [NOON_MS + 900_000]:
                    break
        following.cancel()


async def test_boards_are_asked_to_come_back_when_the_server_stops(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city, city.opened(ALAN.id) as socket:
        await listening(socket)
        city.stop.set()
        assert await ended(socket) == 1012


async def test_boards_live_through_the_loss_of_redis(tmp_path: Any) -> None:
    home: ServerHome = open_home(tmp_path)
    valkey = start_valkey(home)
    redis = Redis.from_url(valkey.url)
    try:
        await StateWriter(redis, KEYS).replace(update(position("101"), arrival(ALAN.id, in_s=230)))
        async with running(redis) as city, city.opened(ALAN.id) as socket:
            await listening(socket)
            valkey.stop()
            answer, _ = await city.get(f"/api/stops/{ALAN.id}/board")
            assert answer.status == 200
            valkey = start_valkey(home)
            await redis.flushall()
            await StateWriter(redis, KEYS).replace(update(position("101"), arrival(ALAN.id, in_s=700)))
            await hear_change(socket, NOON_MS + 700_000)
    finally:
        await redis.aclose()
        valkey.stop()


async def test_how_long_a_fix_took_to_a_screen_is_measured(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city, city.opened(ALAN.id) as socket:
        await listening(socket)
        await writer.publish(update(position("101", fix_ms=NOON_MS + 1), arrival(ALAN.id, in_s=700)))
        change = await hear_change(socket, NOON_MS + 700_000)
        for painted_ms in (NOON_MS + 3_600_000, NOON_MS - 1, change.server_ms):  # wrong clocks, then a right one
            await socket.send(json.dumps({"type": "ack", "sequence": change.sequence, "painted_ms": painted_ms}))
        await city.until("boards_fix_to_painted_seconds_count 1.0")


async def test_a_board_that_polls_is_answered_only_if_something_changed(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city:
        while True:
            answer, body = await city.get(f"/api/stops/{ALAN.id}/board")
            if polled(body) == [NOON_MS + 230_000]:
                break
        assert (answer.headers["X-As-Of-Ms"], json.loads(body)["time_zone"]) == (str(NOON_MS), "Asia/Qyzylorda")
        etag = answer.headers["ETag"]
        answer, body = await city.get(f"/api/stops/{ALAN.id}/board", **{"If-None-Match": etag})
        assert (answer.status, body) == (304, b"")
        assert int(answer.headers["X-Server-Ms"]) >= NOON_MS
        await writer.publish(update(arrival(ALAN.id, in_s=700)))
        while answer.status == 304:
            answer, body = await city.get(f"/api/stops/{ALAN.id}/board", **{"If-None-Match": etag})
        assert polled(body) == [NOON_MS + 700_000]


async def test_unknown_stops_are_not_found(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city:
        answer, body = await city.get("/api/stops/nowhere/board")
        assert (answer.status, json.loads(body)["code"], json.loads(body)["value"]) == (404, "unknown_stop", "nowhere")
        assert (await city.get("/board/nowhere"))[0].status == 404
        assert (await city.get(f"/board/{ALAN.id}"))[0].status == 200


async def test_stops_are_found_in_kazakh_typed_as_russian(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city:
        _, body = await city.get("/api/stops?query=кызылорда ауеж&limit=3")
        assert [stop["stop"] for stop in json.loads(body)["stops"]] == ["auezhai"]
        _, body = await city.get("/api/stops?query=орталык алан&limit=3")
        assert [stop["stop"] for stop in json.loads(body)["stops"]] == ["alan"]
        for limit in ("0", "51", "-1", "x", "1" * 5_000):
            assert (await city.get(f"/api/stops?query=a&limit={limit}"))[0].status == 400


async def test_a_hundred_boards_hear_the_same_bytes(redis: Redis, writer: StateWriter) -> None:
    async with running(redis) as city, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(city.opened(ALAN.id)) for _ in range(100)]
        for socket in sockets:
            await listening(socket)
        await writer.publish(update(arrival(ALAN.id, in_s=700)))
        changes = await asyncio.gather(*(hear_change(socket, NOON_MS + 700_000) for socket in sockets))
        assert len({change.sequence for change in changes}) == 1
        await city.until("boards_connected 100.0")


def polled(body: bytes) -> list[int]:
    return live_of(msgspec.json.decode(body, type=BoardAnswer).board)
