"""10,000 boards that come back to a server that has just begun: how soon all have everything, and who suffers.

    python bench/boards_returning.py [--boards 10000] [--steady 100] [--vehicles 500] [--spread SECONDS] [--feed FEED]

The server is a process of its own and fresh, as after a restart. ``--steady`` boards come first; then all others, each
as soon as it can (``--spread 0``, the worst case) or at a random moment of so many seconds, as our boards do. A board
that is told to come later does so after a random half to three seconds. Counted are the time until each has its
snapshot, the server's processor time for each, and the delay from publish to received at the steady boards meanwhile
and before. The city's clock begins at 08:05 on a Monday of the sample city's feed; the runs below
were at the hour of the day.

26 November 2026, two cores, the sample city; with a spread, shared with much other work (load 8 to 15, so times are
long), at once with nothing else running:

                        all there   come to snapshot      core   kB/board   others' fix to board
                                       p50      p99                          before      meanwhile
    3,000 over 6 s           6.1 s    0.00     0.17 s    3.3 s       19    10, 65 ms     7, 153 ms
    10,000 over 20 s        24.1 s    2.34     5.82 s    9.6 s       17    18, 476 ms   101, 1,762 ms
    10,000 at once          20.7 s   10.3     20.0 s    15.9 s       18     8, 10 ms    25, 856 ms

The door lets in 500 a second, so 10,000 take 20 s; at once, half of them were sent away once before.
"""

import argparse
import asyncio
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psutil
import uvloop
from boards import BUSY, MONDAY, Caused, anchor_at, publisher_process, server_process
from websocket_libraries import UPGRADE, connect_all, masked

from ayaldama import demo
from ayaldama.embedded import open_home, start_valkey
from commons.clock import ClockAnchor, SystemClock
from gtfs_data.compile import load_network
from stop_display.model import Subscribe

ROLE: Final = "bench-boards-returning"
CALM_S: Final = 8.0
GIVE_UP_S: Final = 180.0
SNAPSHOT: Final = b'{"type":"snapshot"'
PING: Final = b"\x89\x00"
PONG: Final = b"\x8a\x80\0\0\0\0"


class Returning(asyncio.Protocol):
    """A board that comes: ``told`` becomes True with its snapshot, False if it is sent away or cut off before."""

    def __init__(self, first: bytes) -> None:
        self.told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._first = first
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport: Any = transport
        self._transport.write(UPGRADE)

    def data_received(self, data: bytes) -> None:
        """Take bytes: the answer of HTTP, then frames, of which it looks at no more than it must."""
        if not self._upgraded:
            self._upgraded = data.startswith(b"HTTP/1.1 101")
            if not self._upgraded:
                self._transport.close()
                return
            self._transport.write(masked(self._first))
        if data.startswith(PING):
            self._transport.write(PONG)
        if not self.told.done() and SNAPSHOT in data:
            self.told.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so if nothing was told."""
        if not self.told.done():
            self.told.set_result(False)


class Crowd:
    """The boards that come back."""

    def __init__(self, port: int, spread_s: float) -> None:
        self._port = port
        self._spread_s = spread_s
        self._rng = random.Random(7)  # noqa: S311
        self.took_s: list[float] = []
        self.refusals = 0

    async def come(self, stop_id: str) -> asyncio.BaseTransport:
        """Be one board until it has its snapshot."""
        loop, first = asyncio.get_running_loop(), msgspec.json.encode(Subscribe(stops=[stop_id]))
        await asyncio.sleep(self._rng.uniform(0, self._spread_s))
        came_s = time.monotonic()
        while True:
            try:
                transport, board = await loop.create_connection(lambda: Returning(first), "127.0.0.1", self._port)
                if await board.told:
                    self.took_s.append(time.monotonic() - came_s)
                    return transport
            except OSError:
                pass
            self.refusals += 1
            await asyncio.sleep(self._rng.uniform(0.5, 3.0))


def returning_process(port: int, stop_ids: list[str], spread_s: float, result: Any) -> None:
    """Be the boards that come back; say when all are there, how long each waited, and how often one was sent away."""

    async def run() -> None:
        crowd, began_s = Crowd(port, spread_s), time.monotonic()
        kept = await asyncio.gather(*map(crowd.come, stop_ids))
        result.put((time.monotonic() - began_s, crowd.took_s, crowd.refusals, len(kept)))
        await asyncio.sleep(GIVE_UP_S)

    uvloop.run(run())


def steady_process(port: int, stop_ids: list[str], anchor: ClockAnchor, result: Any, asked: Any) -> None:
    """Be the boards that are there: give the delays since the last question whenever asked."""
    clock, decoder, delays = SystemClock(anchor), msgspec.json.Decoder(Caused), []

    def heard(message: bytes) -> None:
        caused = decoder.decode(message)
        if caused.type == "change" and caused.fix_ms is not None:
            delays.append(clock.now_ms() - caused.fix_ms)

    async def run() -> None:
        kept = await connect_all(port, [msgspec.json.encode(Subscribe(stops=[one])) for one in stop_ids], heard)
        result.put("connected")
        while True:
            await asyncio.to_thread(asked.get)
            result.put(list(delays))
            delays.clear()
            result.put(len(kept))

    uvloop.run(run())


def main() -> int:  # noqa: PLR0915 - one run from top to bottom
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=10_000)
    parser.add_argument("--steady", type=int, default=100)
    parser.add_argument("--vehicles", type=int, default=500)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--profile", default="", help="file to write a cProfile of the server to (slows it down)")
    parser.add_argument("--feed", type=Path, help="GTFS zip that covers that Monday, else the sample city")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix=ROLE) as folder:
        feed, cache = options.feed or demo.build_sample_feed(Path(folder)), Path(folder) / "cache"
        network = load_network(feed, cache=cache)
        stops = [stop for stop, rows in zip(network.stops.ids, network.rows_of_stop, strict=True) if len(rows)]
        stop_ids = [stops[number % len(stops)] for number in range(options.boards)]
        anchor = anchor_at(MONDAY, BUSY, network.time_zone)
        valkey = start_valkey(open_home(Path(folder)))
        processes: list[Any] = []
        try:
            said, result, asked, told = spawn.Queue(), spawn.Queue(), spawn.Queue(), spawn.Queue()
            publishing = (valkey.url, feed, cache, anchor, options.vehicles, 1, 3, said)
            processes.append(spawn.Process(target=publisher_process, args=publishing, daemon=True))
            processes[-1].start()
            said.get(timeout=60)
            server = spawn.Process(
                target=server_process, args=(valkey.url, feed, cache, anchor, options.profile, said), daemon=True
            )
            processes.append(server)
            server.start()
            port = said.get(timeout=60)
            steady = spawn.Process(
                target=steady_process, args=(port, stop_ids[: options.steady], anchor, told, asked), daemon=True
            )
            processes.append(steady)
            steady.start()
            told.get(timeout=60)
            time.sleep(CALM_S)
            asked.put("forget")
            _answer(told)
            time.sleep(CALM_S)
            asked.put("calm")
            calm = _answer(told)
            used = psutil.Process(server.pid)
            cpu_s, memory = sum(used.cpu_times()[:2]), used.memory_info().rss
            coming = (port, stop_ids, options.spread, result)
            processes.append(spawn.Process(target=returning_process, args=coming, daemon=True))
            processes[-1].start()
            all_s, took_s, refusals, _ = result.get(timeout=GIVE_UP_S)
            cpu_s, memory = sum(used.cpu_times()[:2]) - cpu_s, used.memory_info().rss - memory
            asked.put("storm")
            storm = _answer(told)
        finally:
            for process in processes:
                process.kill()
            valkey.stop()
    print(f"{options.boards} boards of {len(stops)} stops, spread over {options.spread:g} s; {refusals} refusals")
    print(f"  all have everything after {all_s:.1f} s; from coming to snapshot: {_said(took_s, 's', 2)}")
    print(f"  the server used {cpu_s:.1f} s of a core meanwhile, and {memory / 1024 / options.boards:.0f} kB a board")
    print(
        f"  fix to board at {options.steady} others: before {_said(calm, 'ms', 0)}; meanwhile {_said(storm, 'ms', 0)}"
    )
    return 0


def _answer(told: Any) -> list[float]:
    delays: list[float] = told.get(timeout=60)
    told.get(timeout=60)
    return delays


def _said(values: list[float], unit: str, digits: int) -> str:
    p50, p99 = np.percentile(values, [50, 99]) if values else (float("nan"), float("nan"))
    return f"p50 {p50:.{digits}f}, p99 {p99:.{digits}f} {unit}"


if __name__ == "__main__":
    sys.exit(main())
