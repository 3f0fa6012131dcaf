"""Two processes that serve boards behind one Redis: either shows what the other does, and takes over its boards."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect

from commons.clock import wall_ms
from stop_display.model import Hello, Line, Snapshot
from tests.dispatch.sightings import NOON_MS, arrival, position, update
from tests.dispatch.small_city import ALAN
from tests.stop_display.edges.test_server import ended, hear, hear_change, listening, live_of, writer
from transit.store.redis_state import StateWriter

__all__ = ["writer"]  # a fixture


class Server:
    """One process, and the way to it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self._url = f"ws://127.0.0.1:{port}/board/ws"

    @asynccontextmanager
    async def opened(self, **more: object) -> AsyncIterator[ClientConnection]:
        async with connect(self._url, compression=None) as socket:
            await socket.send(json.dumps({"type": "subscribe", "stops": [ALAN.id]} | more))
            yield socket


@asynccontextmanager
async def server(valkey_url: str, started_ms: int) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.stop_display.edges.board_process", valkey_url, str(started_ms)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield Server(process, int(await process.stdout.readline()))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def shown(line: Line) -> list[tuple[str, int, str]]:
    return [(row.key, row.arrival_ms, row.state) for row in line.arrivals]


async def test_boards_of_either_process_show_the_same_and_are_taken_over_by_the_other(
    valkey_url: str, redis: Redis, writer: StateWriter
) -> None:
    started_ms = wall_ms()
    async with server(valkey_url, started_ms) as one, server(valkey_url, started_ms) as other:
        async with one.opened() as here, other.opened() as there:
            await listening(here)
            await listening(there)
            for number, in_s in enumerate((700, 500, 640), start=1):
                await writer.publish(update(position("101", fix_ms=NOON_MS + number), arrival(ALAN.id, in_s=in_s)))
                changes = [await hear_change(socket, NOON_MS + in_s * 1_000) for socket in (here, there)]
                assert shown(changes[0].lines[0]) == shown(changes[1].lines[0])
                assert changes[0].fix_ms == changes[1].fix_ms == NOON_MS + number
            one.process.terminate()
            assert await ended(here) == 1012, "come back"
            await writer.publish(update(position("101", fix_ms=NOON_MS + 9), arrival(ALAN.id, in_s=320)))
            await hear_change(there, NOON_MS + 320_000)
        resume = {"session": "of-the-other-server", "sequence": changes[0].sequence}
        async with other.opened(resume=resume) as again:
            hello = await hear(again)
            assert isinstance(hello, Hello)
            assert not hello.resumed, "numbers are of the server that gave them: snapshots follow"
            snapshot = await hear(again)
            assert isinstance(snapshot, Snapshot)
            assert live_of(snapshot.board) == [NOON_MS + 320_000]
