"""1,000 boards on one server: messages per second, delay from publish to received, processor and memory.

    python bench/boards.py [--boards 1000] [--vehicles 1000] [--every 1] [--arrivals 3] [--stalled 0] [--at 08:05] …

The board server, tracking's place (a ``StateWriter`` on a real Valkey) and the boards are processes of their own. Every
vehicle reports every ``--every`` seconds, ten batches a second as tracking makes them, and each report changes its
position and ``--arrivals`` of its arrivals; runs and stops are those of a network, the sample city if none is named.
The delay is from publish to the moment when a board has the message. All processes run by one city clock that begins at
``--at`` on ``--date``, because it depends on the hour how many lines are planned.

Floor beside it, in the same run: aiohttp that sends ready texts of the same size to as many connections as often.

26 November 2026, two cores, nothing else running, the sample city, ``--boards 10000 --vehicles 2000 --stalled 100``:

                        messages/s   p50 ms   p99 ms    core  kB/board
    --every 5   boards       5,115       13       63     17%      19.5
                floor        5,115        2        5      7%      13.3
    --every 1   boards      18,747       54      182     57%      20.7
                floor       18,745        8       19     23%      13.3

These runs were at half past four in the morning, before there was ``--at``; by night fewer lines are planned.

Changes are gathered for 50 ms on purpose. The memory of boards includes that of their 357 open stops.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import multiprocessing
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import psutil
import uvloop
from aiohttp import web
from redis.asyncio import Redis
from websocket_libraries import connect_all

from ayaldama import demo
from ayaldama.embedded import open_home, start_valkey
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from stop_display.model import Subscribe
from stop_display.server import Boards, BoardSettings
from transit.keys import Keys
from transit.model import Arrival, Update, VehiclePosition
from transit.store.redis_state import StateReader, StateWriter

KEYS: Final = Keys("bench")
BATCHES_PER_S: Final = 10
AHEAD: Final = 12  # arrivals that a vehicle has
WARM_UP_S: Final = 5.0
SETTLE_S: Final = 3.0
START_MAX_S: Final = 240.0  # also where other work holds the machine
CONNECT_MAX_S: Final = 180.0
ROLE: Final = "bench-boards"
MONDAY: Final = dt.date(2026, 3, 2)  # in the sample city's feed
BUSY: Final = dt.time(8, 5)


def anchor_at(date: dt.date, at: dt.time, time_zone: str) -> ClockAnchor:
    """Return the city clock of a run: ``at`` on ``date`` now, then as fast as the wall's."""
    city_ms = round(dt.datetime.combine(date, at, tzinfo=ZoneInfo(time_zone)).timestamp() * 1_000)
    return ClockAnchor(wall_ms=wall_ms(), city_ms=city_ms)


def local_time(text: str) -> dt.time:
    """Read ``HH:MM``."""
    return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - local time of the city


class Caused(msgspec.Struct):
    """What is read of a message."""

    type: str
    fix_ms: int | None = None


class Vehicle:
    """One bus on one pattern, whose arrivals move a little with each report."""

    def __init__(self, network: Network, number: int, rng: random.Random, now_ms: int) -> None:
        patterns = network.patterns
        self.id = f"bus-{number}"
        self.pattern = rng.randrange(len(patterns))
        rows = list(range(int(patterns.first[self.pattern]), int(patterns.first[self.pattern + 1])))
        begin = rng.randrange(max(len(rows) - AHEAD, 1))
        self.rows = rows[begin : begin + AHEAD]
        self.last = rows[-1]
        self.run_key = f"20260302:{number}@0"
        self.route_id = network.routes.ids[int(patterns.route[self.pattern])]
        self.arrival_ms = [now_ms + 3_600_000 + 90_000 * place for place in range(len(self.rows))]
        self._network = network
        self._rng = rng

    def position(self, fix_ms: int) -> VehiclePosition:
        """Return where the bus is."""
        return VehiclePosition(
            vehicle_id=self.id,
            fix_ms=fix_ms,
            lat=44.85,
            lon=65.5,
            heading_deg=90.0,
            speed_mps=8.0,
            phase="in_service",
            route_id=self.route_id,
            direction_id=0,
            trip_id="",
            run_key=self.run_key,
            offset_m=float(self._network.patterns.offset_m[self.rows[0]]),
            next_stop_id="",
            deviation_s=None,
            pattern=self.pattern,
        )

    def arrivals(self, fix_ms: int, count: int) -> list[Arrival]:
        """Return ``count`` of its arrivals, each expected some seconds earlier or later than before."""
        found = []
        patterns, stops = self._network.patterns, self._network.stops
        for place in self._rng.sample(range(len(self.rows)), min(count, len(self.rows))):
            row = self.rows[place]
            self.arrival_ms[place] += self._rng.randint(-9, 9) * 1_000
            arrival_ms, sequence = self.arrival_ms[place], int(patterns.stop_sequence[row])
            found.append(
                Arrival(
                    key=f"{self.id}|{self.run_key}|{sequence}",
                    stop_id=stops.ids[int(patterns.stop[row])],
                    vehicle_id=self.id,
                    route_id=self.route_id,
                    direction_id=int(patterns.direction[self.pattern]),
                    trip_id="",
                    run_key=self.run_key,
                    stop_sequence=sequence,
                    arrival_ms=arrival_ms,
                    arrival_p10_ms=arrival_ms - 30_000,
                    arrival_p90_ms=arrival_ms + 60_000,
                    state="live",
                    fix_ms=fix_ms,
                    scheduled_ms=arrival_ms - 20_000,
                    headsign=patterns.headsigns[self.pattern],
                    last_stop=row == self.last,
                )
            )
        return found


def publisher_process(
    redis_url: str, feed: Path, cache: Path, anchor: ClockAnchor, vehicles: int, every_s: int, count: int, said: Any
) -> None:
    """Publish until killed; say when the first state is there."""

    async def publish() -> None:
        network, clock, rng = load_network(feed, cache=cache), SystemClock(anchor), random.Random(7)  # noqa: S311
        fleet = [Vehicle(network, number, rng, clock.now_ms()) for number in range(vehicles)]
        writer = StateWriter(Redis.from_url(redis_url), KEYS)
        await writer.replace(update(clock.now_ms(), fleet, AHEAD))
        said.put("ready")
        began_s, batch, batches = time.monotonic(), 0, BATCHES_PER_S * every_s
        while True:
            await asyncio.sleep(max(0.0, began_s + batch / BATCHES_PER_S - time.monotonic()))
            await writer.publish(update(clock.now_ms(), fleet[batch % batches :: batches], count))
            batch += 1

    def update(now_ms: int, fleet: list[Vehicle], arrivals: int) -> Update:
        return Update(
            as_of_ms=now_ms,
            vehicles=[vehicle.position(now_ms) for vehicle in fleet],
            arrivals=[arrival for vehicle in fleet for arrival in vehicle.arrivals(now_ms, arrivals)],
            withdrawn=[],
        )

    uvloop.run(publish())


def server_process(redis_url: str, feed: Path, cache: Path, anchor: ClockAnchor, profile: str, said: Any) -> None:
    """Serve boards until killed; with a file named by ``profile``, write there where its time goes."""
    import cProfile  # noqa: PLC0415
    import signal  # noqa: PLC0415

    async def serve() -> None:
        boards = Boards(
            load_network(feed, cache=cache),
            state=StateReader(Redis.from_url(redis_url), KEYS),
            clock=SystemClock(anchor),
            metrics=Metrics(),
            settings=BoardSettings(boards_per_address=BoardSettings().boards_max),  # all come from this machine
        )
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await _served(boards.routes(), said)
        await boards.run(stop)

    if not profile:
        uvloop.run(serve())
        return
    with cProfile.Profile() as profiled:
        uvloop.run(serve())
    profiled.dump_stats(profile)


def floor_process(per_s: float, size: int, anchor: ClockAnchor, said: Any) -> None:
    """Send ready texts of ``size`` bytes to all connections in turn, ``per_s`` in all, until killed."""
    sockets: list[web.WebSocketResponse] = []
    clock = SystemClock(anchor)

    async def speak(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.receive()
        sockets.append(socket)
        await socket.receive()
        return socket

    async def serve() -> None:
        await _served([web.get("/board/ws", speak)], said)
        began_s, sent = time.monotonic(), 0
        while True:
            await asyncio.sleep(1 / BATCHES_PER_S / 2)
            due = int((time.monotonic() - began_s) * per_s)
            text = json.dumps({"type": "change", "fix_ms": clock.now_ms()}).ljust(size)
            while sent < due:
                socket = sockets[sent % len(sockets)] if sockets else None
                if socket is not None and not socket.closed:
                    with contextlib.suppress(ConnectionError):  # the boards are going away
                        await socket.send_str(text)
                sent += 1

    uvloop.run(serve())


async def _served(routes: list[web.RouteDef], said: Any) -> None:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1_024).start()
    said.put(runner.addresses[0][1])


def boards_process(
    port: int, stop_ids: list[str], anchor: ClockAnchor, stalled: int, seconds: float, result: Any
) -> None:
    """Be the boards: say when all are connected and when counting begins, then give delays and bytes."""
    decoder, delays, read = msgspec.json.Decoder(Caused), [], [0, 0]
    clock, counting = SystemClock(anchor), False

    def heard(message: bytes) -> None:
        if not counting:
            return
        caused = decoder.decode(message)
        read[0] += 1
        read[1] += len(message)
        if caused.type == "change" and caused.fix_ms is not None:
            delays.append(clock.now_ms() - caused.fix_ms)

    async def listen() -> None:
        nonlocal counting
        firsts = [msgspec.json.encode(Subscribe(stops=[stop_id])) for stop_id in stop_ids]
        transports = await connect_all(port, firsts, heard)
        for transport in transports[:stalled]:
            transport.pause_reading()
        result.put("connected")
        await asyncio.sleep(WARM_UP_S)
        counting = True
        result.put("counting")
        await asyncio.sleep(seconds)
        counting = False
        result.put((read, delays, sum(transport.is_closing() for transport in transports[stalled:])))

    uvloop.run(listen())


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one server."""

    messages_per_s: float
    size: float
    p50_ms: float
    p99_ms: float
    share: float  # of one core
    kb_per_board: float
    dropped: int


def measure(server: Any, said: Any, stop_ids: list[str], anchor: ClockAnchor, stalled: int, seconds: float) -> Figures:
    """Return what boards of ``stop_ids``, the first ``stalled`` of which do not read, get from ``server``."""
    spawn = multiprocessing.get_context("spawn")
    result = spawn.Queue()
    server.start()
    port = said.get(timeout=START_MAX_S)
    time.sleep(SETTLE_S)
    used = psutil.Process(server.pid)
    before = used.memory_info().rss
    boards = spawn.Process(target=boards_process, args=(port, stop_ids, anchor, stalled, seconds, result), daemon=True)
    boards.start()
    result.get(timeout=CONNECT_MAX_S), result.get(timeout=START_MAX_S)
    memory, cpu = used.memory_info().rss - before, sum(used.cpu_times()[:2])
    (count, size), delays, dropped = result.get(timeout=60 + seconds)
    share = (sum(used.cpu_times()[:2]) - cpu) / seconds
    boards.join()
    server.terminate()
    server.join(10)
    p50_ms, p99_ms = np.percentile(delays, [50, 99])
    return Figures(count / seconds, size / count, p50_ms, p99_ms, share, memory / 1024 / len(stop_ids), dropped)


def main() -> int:
    """Print the figures of our server and of the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=1_000)
    parser.add_argument("--vehicles", type=int, default=1_000)
    parser.add_argument("--every", type=int, default=1, help="seconds between two reports of a vehicle")
    parser.add_argument("--stalled", type=int, default=0, help="boards that stop reading; they count for no figure")
    parser.add_argument("--arrivals", type=int, default=3, help="that each report of a vehicle changes")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--at", type=local_time, default=BUSY, help="city time at which it begins, HH:MM")
    parser.add_argument("--date", type=dt.date.fromisoformat, default=MONDAY, help="one that the feed covers")
    parser.add_argument("--feed", type=Path, help="GTFS zip, else the sample city")
    parser.add_argument("--profile", default="", help="file to write a cProfile of the server to (slows it down)")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix=ROLE) as folder:
        feed, cache = options.feed or demo.build_sample_feed(Path(folder)), Path(folder) / "cache"
        network = load_network(feed, cache=cache)
        stops = [stop for stop, rows in zip(network.stops.ids, network.rows_of_stop, strict=True) if len(rows)]
        stop_ids = [stops[number % len(stops)] for number in range(options.boards)]
        anchor = anchor_at(options.date, options.at, network.time_zone)
        valkey = start_valkey(open_home(Path(folder)))
        try:
            said = spawn.Queue()
            publisher = spawn.Process(
                target=publisher_process,
                args=(valkey.url, feed, cache, anchor, options.vehicles, options.every, options.arrivals, said),
                daemon=True,
            )
            publisher.start()
            said.get(timeout=START_MAX_S)
            server = spawn.Process(
                target=server_process, args=(valkey.url, feed, cache, anchor, options.profile, said), daemon=True
            )
            ours = measure(server, said, stop_ids, anchor, options.stalled, options.seconds)
            publisher.kill()
            floor = spawn.Process(
                target=floor_process, args=(ours.messages_per_s, round(ours.size), anchor, said), daemon=True
            )
            least = measure(floor, said, stop_ids, anchor, 0, options.seconds)
        finally:
            valkey.stop()
    print(
        f"{options.boards} boards of {len(set(stop_ids))} stops; {options.vehicles} vehicles, "
        f"a report every {options.every} s each, from {options.at:%H:%M} on {options.date},"
    )
    print(f"{options.arrivals} arrivals changed by each report; messages of {ours.size:.0f} bytes on average")
    print(f"  {'':<8}{'messages/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'core':>8}{'kB/board':>10}{'dropped':>9}")
    for name, one in (("boards", ours), ("floor", least)):
        print(
            f"  {name:<8}{one.messages_per_s:>12,.0f}{one.p50_ms:>9.0f}{one.p99_ms:>9.0f}"
            f"{one.share:>8.0%}{one.kb_per_board:>10.1f}{one.dropped:>9}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
