"""Which library should speak to boards: the same broadcast to 1,000 connections by aiohttp and by websockets.

    python bench/websocket_libraries.py [--boards 1000] [--seconds 4] [--size 700]

Each server and its listeners are processes of their own; listeners parse no more than frame headers and a time at the
start of each message. First every connection is sent messages as fast as it takes them, then ten a second, when the
delay from send to received is counted. Both servers run without compression, on uvloop, as ours does.

Floor beside them: the same frames written to plain asyncio streams, without any library.

23 November 2026, two cores, one of them for the listeners, 3 s each:

                messages/s    p50 ms    p99 ms   kB/connection
    streams         42,667      16.8      53.6             5.3
    aiohttp         39,000      19.6      68.6            13.4
    websockets      21,667      28.6     115.2            14.3
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import aiohttp.web
import numpy as np
import psutil
import uvloop
import websockets.asyncio.server

UPGRADE: Final = (
    b"GET /board/ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CALM_PER_S: Final = 10
SETTLE_S: Final = 1.0
OPEN_MAX_S: Final = 120.0
OPEN_PER_S: Final = 400  # our own server lets in no more at a time, and says so to others
OPEN_AT_ONCE: Final = 20
TEXT: Final = 1
PING: Final = 9
PONG: Final = b"\x8a\x80\0\0\0\0"
Send = Callable[[str], Awaitable[None]]


class Listener(asyncio.Protocol):
    """One connection that upgrades, says ``first`` and hands every message to ``heard``."""

    def __init__(self, first: bytes, heard: Callable[[bytes], None], opened: Callable[[], None]) -> None:
        self._first = first
        self._heard = heard
        self._opened = opened
        self._upgraded = False
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport: Any = transport
        self._transport.write(UPGRADE)

    def data_received(self, data: bytes) -> None:
        """Take bytes cut anywhere."""
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._buffer.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(bytes(self._buffer[:80]))
            del self._buffer[: end + 4]
            self._upgraded = True
            self._transport.write(masked(self._first))
            self._opened()
        taken = 0
        while (frame := _frame(self._buffer, taken)) is not None:
            start, end, kind = frame
            if kind == TEXT:
                self._heard(bytes(self._buffer[start:end]))
            elif kind == PING:
                self._transport.write(PONG)
            taken = end
        del self._buffer[:taken]


def masked(text: bytes) -> bytes:
    """Return a text frame as clients send it, under the mask of zeros."""
    size = bytes((0x80 | len(text),)) if len(text) < 126 else struct.pack("!BH", 0x80 | 126, len(text))
    return b"\x81" + size + b"\0\0\0\0" + text


def _frame(buffer: bytearray, at: int) -> tuple[int, int, int] | None:
    """Return where the payload of the frame at ``at`` begins and ends, and its opcode; None while not all is there."""
    held = len(buffer) - at
    if held < 2:
        return None
    size, head = buffer[at + 1], 2
    if size >= 126:
        head = 4 if size == 126 else 10
        if held < head:
            return None
        size = int.from_bytes(buffer[at + 2 : at + head], "big")
    if held < head + size:
        return None
    return at + head, at + head + size, buffer[at] & 0x0F


async def connect_all(
    port: int, firsts: Sequence[bytes], heard: Callable[[bytes], None]
) -> list[asyncio.BaseTransport]:
    """Open a connection for each of ``firsts``; return when all are upgraded."""
    left, done = len(firsts), asyncio.Event()

    def opened() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    loop, found, began_s = asyncio.get_running_loop(), [], time.monotonic()
    for number, first in enumerate(firsts):
        if number % OPEN_AT_ONCE == 0:
            await asyncio.sleep(max(0.0, began_s + number / OPEN_PER_S - time.monotonic()))
        transport, _ = await loop.create_connection(
            lambda first=first: Listener(first, heard, opened), "127.0.0.1", port
        )
        found.append(transport)
    async with asyncio.timeout(OPEN_MAX_S):
        await done.wait()
    return found


async def broadcast(sends: Sequence[Send], size: int, seconds: float) -> None:
    """Send to all, first as fast as it goes, then ``CALM_PER_S`` times a second. The first byte says which it is."""
    for kind, pause_s in (("f", 0.0), ("c", 1 / CALM_PER_S)):
        until_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < until_s:
            await asyncio.gather(*(send(f"{kind}{time.time_ns():020d}".ljust(size, ".")) for send in sends))
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - now_s)))


def server_process(library: str, boards: int, size: int, seconds: float, said: Any) -> None:  # noqa: PLR0915
    """Serve with ``library``: say the port, then the memory, then broadcast, until killed."""
    sends: list[Send] = []
    full = asyncio.Event()

    def joined(send: Send) -> None:
        sends.append(send)
        if len(sends) == boards:
            full.set()

    async def by_aiohttp(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.receive()
        joined(socket.send_str)
        await socket.receive()
        return socket

    async def by_websockets(socket: websockets.asyncio.server.ServerConnection) -> None:
        await socket.recv()
        joined(socket.send)
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            await socket.recv()

    async def by_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        await reader.read(1_024)

        async def send(text: str) -> None:
            body = text.encode()
            writer.write(
                b"\x81" + (bytes((len(body),)) if len(body) < 126 else struct.pack("!BH", 126, len(body))) + body
            )
            await writer.drain()

        joined(send)
        await reader.read()

    async def serve() -> None:
        port = 0
        if library == "aiohttp":
            app = aiohttp.web.Application()
            app.router.add_get("/board/ws", by_aiohttp)
            runner = aiohttp.web.AppRunner(app, access_log=None)
            await runner.setup()
            site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0, backlog=1_024)
            await site.start()
            port = runner.addresses[0][1]
        elif library == "websockets":
            server = await websockets.asyncio.server.serve(
                by_websockets, "127.0.0.1", 0, compression=None, backlog=1_024
            )
            port = server.sockets[0].getsockname()[1]
        else:
            plain = await asyncio.start_server(by_streams, "127.0.0.1", 0, backlog=1_024)
            port = plain.sockets[0].getsockname()[1]
        said.put(port)
        before = psutil.Process().memory_info().rss
        await full.wait()
        await asyncio.sleep(SETTLE_S)
        said.put((psutil.Process().memory_info().rss - before) / boards)
        await broadcast(sends, size, seconds)
        said.put(time.process_time())
        await asyncio.Event().wait()

    uvloop.run(serve())


def listeners_process(port: int, boards: int, seconds: float, result: Any) -> None:
    """Listen with ``boards`` connections; give the messages of the fast part, and the delays of the calm one."""
    fast, delays = 0, []

    def heard(message: bytes) -> None:
        nonlocal fast
        if message.startswith(b"f"):
            fast += 1
        else:
            delays.append((time.time_ns() - int(message[1:21])) / 1e6)

    async def listen() -> None:
        transports = await connect_all(port, [b"hello"] * boards, heard)
        await asyncio.sleep(SETTLE_S + 2 * seconds + 3)
        result.put((fast, delays, len(transports)))

    uvloop.run(listen())


def measure(library: str, boards: int, size: int, seconds: float) -> str:
    """Return a line of figures for one library."""
    spawn = multiprocessing.get_context("spawn")
    said, result = spawn.Queue(), spawn.Queue()
    server = spawn.Process(target=server_process, args=(library, boards, size, seconds, said), daemon=True)
    server.start()
    port = said.get(timeout=20)
    listeners = spawn.Process(target=listeners_process, args=(port, boards, seconds, result), daemon=True)
    listeners.start()
    memory = said.get(timeout=60)
    fast, delays, _ = result.get(timeout=60 + 3 * seconds)
    listeners.join()
    server.kill()
    server.join()
    p50, p99 = np.percentile(delays, [50, 99])
    return f"{library:<12}{fast / seconds:>14,.0f}{p50:>12.1f}{p99:>12.1f}{memory / 1024:>16.1f}"


def main() -> int:
    """Print a line for each library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each of the two parts")
    parser.add_argument("--size", type=int, default=700, help="bytes of a message, as many as a change has")
    options = parser.parse_args()
    print(f"{options.boards} connections, messages of {options.size} bytes")
    print(f"{'':<12}{'messages/s':>14}{'p50 ms':>12}{'p99 ms':>12}{'kB/connection':>16}")
    for library in ("streams", "aiohttp", "websockets"):
        print(measure(library, options.boards, options.size, options.seconds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
