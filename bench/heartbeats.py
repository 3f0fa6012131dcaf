"""How long one server's loop is held by the heartbeats of 10,000 boards: in turns, and in one step for all.

    python bench/heartbeats.py [--boards 10000] [--seconds 25]

``Boards`` runs as it is served, at an hour of the night at which nothing else changes, once as it is and once with all
heartbeats in one step, as it was before. Processor time of each step is counted, so that other work on the machine
disturbs little.

27 November 2026, two cores, much other work (load 10 to 30), 9,000 boards, the longest step of two runs:

    in one step    67.2, 116.8 ms
    in turns        1.7,   2.2 ms
"""

import argparse
import asyncio
import datetime as dt
import multiprocessing
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from aiohttp import web
from boards import MONDAY, anchor_at
from fan_out import process
from websocket_libraries import connect_all

from ayaldama import demo
from commons.clock import SystemClock
from commons.metrics import Metrics
from gtfs_data.compile import load_network
from stop_display import server
from stop_display.model import Subscribe
from transit.model import Update
from transit.store.redis_state import StateSnapshot

NIGHT: Final = dt.time(2, 30)
ALL: Final = sys.maxsize
CONNECT_MAX_S: Final = 300.0
SETTLE_S: Final = 3.0


class Silence:
    """Tracking that has nothing to say."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock

    async def snapshot(self) -> StateSnapshot:
        """Return that nothing is known."""
        return StateSnapshot(vehicles=[], arrivals=[], as_of_ms=self._clock.now_ms(), stream_id="0", detours=[])

    async def follow(self, from_id: str) -> AsyncIterator[tuple[str, Update]]:
        """Wait for ever."""
        await asyncio.Event().wait()
        yield from_id, Update(as_of_ms=0, vehicles=[], arrivals=[], withdrawn=[])


class Timed(server.Boards):
    """Boards that note what each step of heartbeats took of a processor, seconds."""

    steps_s: list[float]

    def _beat_for(self, boards: Iterable[Any]) -> None:
        began_s = time.thread_time()
        super()._beat_for(boards)
        self.steps_s.append(time.thread_time() - began_s)


def server_process(feed: Path, cache: Path, in_turns: bool, asked: Any, result: Any, said: Any) -> None:
    """Serve boards; whenever asked, forget what was noted, and after so many seconds give it."""
    if not in_turns:
        vars(server).update(BEATS=1, BEATEN_AT_ONCE=ALL)

    async def serve() -> None:
        network = load_network(feed, cache=cache)
        clock = SystemClock(anchor_at(MONDAY, NIGHT, network.time_zone))
        settings = server.BoardSettings(boards_per_address=server.BoardSettings().boards_max)
        boards = Timed(network, state=Silence(clock), clock=clock, metrics=Metrics(), settings=settings)
        boards.steps_s = []
        app = web.Application()
        app.add_routes(boards.routes())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4_096).start()
        said.put(runner.addresses[0][1])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(boards.run(asyncio.Event()))
            seconds = await asyncio.to_thread(asked.get)
            boards.steps_s.clear()
            await asyncio.sleep(seconds)
            result.put(list(boards.steps_s))

    uvloop.run(serve())


def boards_process(port: int, stop_ids: list[str], result: Any) -> None:
    """Be the boards, until killed; say when all are there."""

    async def listen() -> None:
        firsts = [msgspec.json.encode(Subscribe(stops=[stop_id])) for stop_id in stop_ids]
        kept = await connect_all(port, firsts, lambda _message: None)
        result.put(len(kept))
        await asyncio.Event().wait()

    uvloop.run(listen())


def measure(feed: Path, cache: Path, stop_ids: list[str], seconds: float, *, in_turns: bool) -> list[float]:
    """Return processor seconds of each step."""
    spawn = multiprocessing.get_context("spawn")
    asked, result = spawn.Queue(), spawn.Queue()
    with process(server_process, feed, cache, in_turns, asked, result) as (port, _):
        boards = spawn.Process(target=boards_process, args=(port, stop_ids, result), daemon=True)
        boards.start()
        try:
            result.get(timeout=CONNECT_MAX_S)
            time.sleep(SETTLE_S)
            asked.put(seconds)
            steps_s: list[float] = result.get(timeout=seconds + CONNECT_MAX_S)
            return steps_s
        finally:
            boards.kill()
            boards.join()


def main() -> int:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=25.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-heartbeats") as folder:
        feed, cache = demo.build_sample_feed(Path(folder)), Path(folder) / "cache"
        network = load_network(feed, cache=cache)
        stops = [stop for stop, rows in zip(network.stops.ids, network.rows_of_stop, strict=True) if len(rows)]
        stop_ids = [stops[number % len(stops)] for number in range(options.boards)]
        found = {
            name: measure(feed, cache, stop_ids, options.seconds, in_turns=in_turns)
            for name, in_turns in (("in one step", False), ("in turns", True))
        }
    print(f"{options.boards} boards, heartbeats of {options.seconds:g} s")
    print(f"  {'':<12}{'steps':>7}{'longest':>11}{'all':>10}")
    for name, steps_s in found.items():
        longest, whole = 1e3 * max(steps_s), 1e3 * sum(steps_s)
        print(f"  {name:<12}{len(steps_s):>7}{longest:>8.1f} ms{whole:>7.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
