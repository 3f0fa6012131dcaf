"""Messages a second from one board server, on one core, to boards at one stop; beside npm's ws and a bare loop.

    python bench/fan_out.py [--boards 10000] [--seconds 8]

Every board shows the same stop, so each change of it goes to all of them. Changes are made faster than they can be sent
(``Boards``, fed with updates as tracking publishes them: from arrival to frame nothing is left out), and the listeners,
a process of their own, count whole messages.

Peers in the same run, with messages of the same size to as many connections: npm's ``ws`` without compression, as its
manual broadcasts; and the least there is, a loop that writes ready frames to bare sockets, one system call for each.

26 November 2026, two cores, nothing else running, messages of 999 bytes:

                messages/s    core  kB/board
    boards          76,165     65%      15.6
    npm ws         108,881     98%       7.2
    bare loop      158,805     91%       0.1

Ours rests 50 ms between two changes of a stop, on purpose, and so does not use all of its core.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
import uvloop
from aiohttp import web
from websocket_libraries import connect_all

from ayaldama import demo
from commons.clock import SystemClock
from commons.metrics import Metrics
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from stop_display.frames import text_frame
from stop_display.model import Subscribe
from stop_display.server import Boards, BoardSettings
from transit.model import Arrival, Update
from transit.store.redis_state import StateSnapshot

VENDOR: Final = Path(__file__).parents[1] / "vendor" / "node_modules"
HERE: Final = Path(__file__).parent
UPDATE_EVERY_S: Final = 0.01
WARM_UP_S: Final = 3.0
LISTENERS_S: Final = 300.0
UPGRADED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class Busy:
    """Tracking at one stop: three buses whose arrivals change with every update."""

    def __init__(self, network: Network, stop: int) -> None:
        patterns = network.patterns
        row = int(network.rows_of_stop[stop][0])
        self._pattern = int(network.pattern_of_row[row])
        self._stop_id, self._sequence = network.stops.ids[stop], int(patterns.stop_sequence[row])
        self._route_id = network.routes.ids[int(patterns.route[self._pattern])]
        self._headsign = patterns.headsigns[self._pattern]

    async def snapshot(self) -> StateSnapshot:
        """Return that nothing is known yet."""
        return StateSnapshot(vehicles=[], arrivals=[], as_of_ms=SystemClock().now_ms(), stream_id="0", detours=[])

    async def follow(self, from_id: str) -> AsyncIterator[tuple[str, Update]]:
        """Yield updates, for ever."""
        for number in range(sys.maxsize):
            now_ms = SystemClock().now_ms()
            arrivals = [self._arrival(bus, now_ms, number) for bus in range(3)]
            yield from_id, Update(as_of_ms=now_ms, vehicles=[], arrivals=arrivals, withdrawn=[])
            await asyncio.sleep(UPDATE_EVERY_S)

    def _arrival(self, bus: int, now_ms: int, number: int) -> Arrival:
        arrival_ms = now_ms + (bus + 3) * 300_000 + number % 60_000
        return Arrival(
            key=f"bus-{bus}|run|{self._sequence}",
            stop_id=self._stop_id,
            vehicle_id=f"bus-{bus}",
            route_id=self._route_id,
            direction_id=0,
            trip_id="",
            run_key=f"20260302:{bus}@0",
            stop_sequence=self._sequence,
            arrival_ms=arrival_ms,
            arrival_p10_ms=arrival_ms - 30_000,
            arrival_p90_ms=arrival_ms + 60_000,
            state="live",
            fix_ms=now_ms,
            scheduled_ms=arrival_ms - 20_000,
            headsign=self._headsign,
            last_stop=False,
        )


def our_process(feed: Path, cache: Path, stop: int, said: Any) -> None:
    """Serve boards until killed; say the port."""

    async def serve() -> None:
        network = load_network(feed, cache=cache)
        boards = Boards(
            network,
            state=Busy(network, stop),
            clock=SystemClock(),
            metrics=Metrics(),
            settings=BoardSettings(boards_per_address=BoardSettings().boards_max),  # all come from this machine
        )
        app = web.Application()
        app.add_routes(boards.routes())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4_096).start()
        said.put(runner.addresses[0][1])
        await boards.run(asyncio.Event())

    uvloop.run(serve())


def loop_process(size: int, boards: int, said: Any) -> None:
    """Accept ``boards`` connections, then write ready frames to each in turn, until killed."""
    server = socket.create_server(("127.0.0.1", 0), backlog=4_096)
    said.put(server.getsockname()[1])
    frame = text_frame(b'{"type":"change"}'.ljust(size))
    taken = []
    while len(taken) < boards:
        connection, _ = server.accept()
        connection.recv(4_096)
        connection.sendall(UPGRADED)
        connection.setblocking(False)
        taken.append(connection)
    while True:
        for connection in taken:
            rest = frame
            while rest:
                try:
                    rest = rest[connection.send(rest) :]
                except BlockingIOError:
                    select.select([], [], [], 0.001)
                except ConnectionError:
                    return


def listening_process(port: int, boards: int, first: bytes, seconds: float, result: Any) -> None:
    """Be the boards: give how many messages, and of how many bytes, came in ``seconds``."""
    count, size = 0, 0

    def heard(message: bytes) -> None:
        nonlocal count, size
        count += 1
        size += len(message)

    async def listen() -> None:
        transports = await connect_all(port, [first] * boards, heard)
        await asyncio.sleep(WARM_UP_S)
        result.put("counting")
        before, began_s = (count, size), time.monotonic()
        await asyncio.sleep(seconds)
        took_s = time.monotonic() - began_s
        lost = sum(transport.is_closing() for transport in transports)
        result.put(((count - before[0]) / took_s, (size - before[1]) / max(count - before[0], 1), lost))

    uvloop.run(listen())


def measure(port: int, pid: int, boards: int, first: bytes, seconds: float) -> tuple[float, float, int, float, float]:
    """Return messages a second, their size, connections lost, the share of a core and kB a connection."""
    spawn = multiprocessing.get_context("spawn")
    result, used = spawn.Queue(), psutil.Process(pid)
    memory = used.memory_info().rss
    listeners = spawn.Process(target=listening_process, args=(port, boards, first, seconds, result), daemon=True)
    listeners.start()
    result.get(timeout=LISTENERS_S)
    cpu, began_s = sum(used.cpu_times()[:2]), time.monotonic()
    kb = (used.memory_info().rss - memory) / 1024 / boards
    per_s, size, lost = result.get(timeout=LISTENERS_S)
    share = (sum(used.cpu_times()[:2]) - cpu) / (time.monotonic() - began_s)
    listeners.kill()
    listeners.join()
    return per_s, size, lost, share, kb


@contextlib.contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[tuple[int, int]]:
    """Run ``target`` as a process; give its port and its id."""
    spawn = multiprocessing.get_context("spawn")
    said = spawn.Queue()
    server = spawn.Process(target=target, args=(*arguments, said), daemon=True)
    server.start()
    try:
        yield said.get(timeout=60), server.pid or 0
    finally:
        server.kill()
        server.join()


@contextlib.contextmanager
def peer(size: int, boards: int) -> Iterator[tuple[int, int]]:
    """Run the server of npm's ``ws``, which begins when ``boards`` are there; give its port and its id."""
    command = ["node", HERE / "fan_out.js", VENDOR, str(size), str(boards)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        try:
            yield int(next(iter(node.stdout or ()))), node.pid
        finally:
            node.kill()


def main() -> int:
    """Print the figures of our server and of its peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        feed, cache = demo.build_sample_feed(Path(folder)), Path(folder) / "cache"
        network = load_network(feed, cache=cache)
        stop = max(range(len(network.stops.ids)), key=lambda one: len(network.rows_of_stop[one]))
        first = msgspec.json.encode(Subscribe(stops=[network.stops.ids[stop]]))
        with process(our_process, feed, cache, stop) as (port, pid):
            found = {"boards": measure(port, pid, options.boards, first, options.seconds)}
    size = round(found["boards"][1])
    with peer(size, options.boards) as (port, pid):
        found["npm ws"] = measure(port, pid, options.boards, first, options.seconds)
    with process(loop_process, size, options.boards) as (port, pid):
        found["bare loop"] = measure(port, pid, options.boards, first, options.seconds)
    print(f"{options.boards} boards at one stop, messages of {size} bytes")
    print(f"  {'':<10}{'messages/s':>12}{'core':>8}{'kB/board':>10}{'lost':>7}")
    for name, (per_s, _, lost, share, kb) in found.items():
        print(f"  {name:<10}{per_s:>12,.0f}{share:>8.0%}{kb:>10.1f}{lost:>7}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
