"""From GPS fix to board: 1,000 vehicles that report every second, 1,000 boards, the whole system on this machine.

Real processes (intake, tracking, web, Valkey, PostgreSQL), real sockets: vehicles speak Wialon IPS over 1,000 TCP
connections, boards are WebSocket clients, both in processes of their own beside the system. Vehicles are simulated
buses on the sample city, five times as many as it has, each with its own moment in the second. The delay is that from
the time in the fix to the moment when a board has read the change that the fix led to.

The limit printed beside it: one Redis stream entry written and read by another process, the least that any way from
intake to boards through Redis can take.

    python bench/fix_to_board.py [--vehicles 1000] [--boards 1000] [--seconds 60]
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
import numpy as np
import psutil
import pyproj
from redis.asyncio import Redis

from ayaldama import demo
from ayaldama.commands._base import console
from ayaldama.settings import ClockSection, Settings
from ayaldama.simulate.motion import Motion
from ayaldama.simulate.run import motion_of
from ayaldama.simulate.wire import Fix, WialonUnit
from ayaldama.system import CITY, run_system
from ayaldama.terminal import Steps
from commons.clock import ClockAnchor, SystemClock, wall_ms
from gtfs_data.compile import load_network
from stop_display.client import BoardClient
from stop_display.model import Change

WARM_UP_S: Final = 30
LAYERS: Final = 5  # of buses, each a little later than the one before
DATE: Final = dt.date(2026, 11, 24)  # a weekday of the sample city's feed


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the two processes beside the system are told."""

    feed: Path
    cache: Path
    clock: ClockSection
    keys: dict[str, str]
    wialon_port: int
    boards_url: str
    vehicles: int
    boards: int
    seconds: float

    @property
    def city_clock(self) -> SystemClock:
        """The clock that the system runs by."""
        return SystemClock(ClockAnchor(wall_ms=self.clock.wall_ms, city_ms=self.clock.city_ms))


async def drive(job: Job) -> None:
    """Be the vehicles until killed."""
    network, clock = load_network(job.feed, cache=job.cache), job.city_clock
    to_degrees = pyproj.Transformer.from_crs(network.epsg, 4326, always_xy=True)
    layers = [_layer(job, layer, clock.now_ms()) for layer in range(LAYERS)]
    units = [
        WialonUnit(device_id, key, host="127.0.0.1", port=job.wialon_port, clock=clock, checked=True)
        for device_id, key in job.keys.items()
    ]
    rng = np.random.default_rng(7)
    moment_ms = np.sort(rng.integers(0, 1_000, len(units)))
    tasks = [asyncio.create_task(unit.run()) for unit in units]
    start_ms = clock.now_ms() // 1_000 * 1_000 + 1_000
    for second in range(1_000_000):
        for layer in layers:
            layer.step()
        places = [(layer, bus) for layer in layers for bus in range(len(layer))][: len(units)]
        xy = np.concatenate([layer.place(np.arange(len(layer)))[0] for layer in layers])[: len(units)]
        lon, lat = to_degrees.transform(*(xy + rng.normal(0, 5, xy.shape)).T)
        for number, (layer, bus) in enumerate(places):
            due_ms = start_ms + second * 1_000 + int(moment_ms[number])
            if due_ms > clock.now_ms():
                await asyncio.sleep((due_ms - clock.now_ms()) / 1_000)
            route, direction = layer.route_of(bus)
            units[number].offer(
                Fix(
                    fix_ms=due_ms,
                    lat=float(lat[number]),
                    lon=float(lon[number]),
                    speed_mps=float(layer.speed[bus]),
                    heading_deg=0.0,
                    route=route,
                    direction=direction,
                )
            )
    del tasks


def _layer(job: Job, layer: int, now_ms: int) -> Motion:
    network = load_network(job.feed, cache=job.cache)
    start_ms = now_ms - now_ms % 1_000 - (20 + 7 * layer) * 60_000
    motion = motion_of(network, buses=job.vehicles // LAYERS, seed=layer, start_ms=start_ms)
    while motion.now_ms < start_ms + 20 * 60_000:
        motion.step()
    return motion


async def watch(job: Job) -> None:
    """Be the boards; print delays as JSON."""
    network, clock = load_network(job.feed, cache=job.cache), job.city_clock
    served = [network.stops.ids[stop] for stop, rows in enumerate(network.rows_of_stop) if len(rows)]
    delays: list[float] = []
    counting = asyncio.Event()
    messages = 0

    async def board(number: int) -> None:
        nonlocal messages
        client = BoardClient(job.boards_url, [served[number % len(served)]], jitter=random.Random(number))  # noqa: S311
        async for message in client.messages():
            if counting.is_set():
                messages += 1
                if isinstance(message, Change) and message.fix_ms is not None:
                    delays.append(clock.now_ms() - message.fix_ms)

    tasks = [asyncio.create_task(board(number)) for number in range(job.boards)]
    await asyncio.sleep(WARM_UP_S)
    counting.set()
    await asyncio.sleep(job.seconds)
    for task in tasks:
        task.cancel()
    print(json.dumps({"delays": delays, "messages": messages}))


async def redis_limit_ms(url: str, count: int = 2_000) -> tuple[float, float]:
    """Return p50 and p99 of one stream entry from XADD to a blocked reader on another connection."""
    delays: list[float] = []
    async with Redis.from_url(url) as writer, Redis.from_url(url) as reader:

        async def read() -> None:
            last = b"$"
            while len(delays) < count:
                for _, entries in await reader.xread({"bench:limit": last}, block=1_000):
                    for entry_id, fields in entries:
                        last = entry_id
                        delays.append((time.perf_counter() - float(fields[b"t"])) * 1_000)

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        for _ in range(count):
            await writer.xadd("bench:limit", {"t": repr(time.perf_counter())})
            await asyncio.sleep(0.001)
        await reading
        await writer.delete("bench:limit")
    return float(np.percentile(delays, 50)), float(np.percentile(delays, 99))


def _processes(running: Path, beside: Mapping[str, int]) -> dict[str, psutil.Process]:
    found = {name: psutil.Process(pid) for name, pid in beside.items()}
    for record in running.glob("*.pid"):
        with contextlib.suppress(psutil.Error, ValueError):
            found[record.stem] = psutil.Process(int(record.read_text()))
    return found


async def _cpu_shares(running: Path, beside: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Return what part of a core each process needs, while delays are counted."""
    await asyncio.sleep(WARM_UP_S)
    found = _processes(running, beside)
    before = {name: sum(process.cpu_times()[:2]) for name, process in found.items()}
    await asyncio.sleep(seconds * 0.9)
    after = {}
    for name, process in found.items():
        with contextlib.suppress(psutil.Error):
            after[name] = (sum(process.cpu_times()[:2]) - before[name]) / (seconds * 0.9)
    return {name: share for name, share in after.items() if share > 0.01}


def main() -> None:
    """Start the system, the vehicles and the boards; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vehicles", type=int, default=1_000)
    parser.add_argument("--boards", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long is counted, after a warm-up of 30 s")
    parser.add_argument("--part", choices=("drive", "watch"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job, dec_hook=lambda kind, value: kind(value))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(drive(job) if chosen.part == "drive" else watch(job))
        return
    with tempfile.TemporaryDirectory(prefix="ayaldama-bench-") as folder:
        _run(Path(folder), chosen)


def _run(folder: Path, chosen: argparse.Namespace) -> None:
    feed = demo.build_sample_feed(folder)
    eight = dt.datetime.combine(DATE, dt.time(8), tzinfo=ZoneInfo("Asia/Qyzylorda"))
    clock = ClockSection(wall_ms=wall_ms(), city_ms=round(eight.timestamp() * 1_000), rate=1.0)
    replace, settings = msgspec.structs.replace, Settings()
    ports = dict.fromkeys(settings.for_intake.ports, 0)
    settings = replace(
        settings,
        data_folder=folder / "data",
        gtfs=replace(settings.gtfs, feed=feed, cache=folder / "cache"),
        clock=clock,
        intake=replace(settings.intake, ports=replace(settings.intake.ports, **ports)),
        web=replace(settings.web, port=0),
        log_level="WARNING",
    )
    keys: dict[str, str] = {}

    async def prepare(settings: Settings, pool: asyncpg.Pool, _: Steps) -> Settings:
        keys.update(await demo.register_devices(pool, [f"bench-{i}" for i in range(chosen.vehicles)], {}))
        return settings

    async def alongside(settings: Settings, _: asyncio.Event) -> None:
        job = Job(
            feed=feed,
            cache=folder / "cache",
            clock=clock,
            keys=keys,
            wialon_port=settings.for_intake.ports["wialon_ips"],
            boards_url=f"ws://127.0.0.1:{settings.web.port}/board/ws",
            vehicles=chosen.vehicles,
            boards=chosen.boards,
            seconds=chosen.seconds,
        )
        limit = await redis_limit_ms(settings.redis_url)
        await _measure(job, settings.data_folder / "run", limit)

    def announce(_: Settings, ports: Mapping[str, int]) -> None:
        print(f"{chosen.vehicles} vehicles, one fix a second each; {chosen.boards} boards; ports {dict(ports)}")

    run_system(settings, steps=Steps(console()), announce=announce, prepare=prepare, planned=CITY, alongside=alongside)


async def _measure(job: Job, running: Path, limit: tuple[float, float]) -> None:
    told = msgspec.json.encode(job, enc_hook=str)
    this = [sys.executable, __file__, "--part"]
    driving = await asyncio.create_subprocess_exec(*this, "drive", stdin=asyncio.subprocess.PIPE)
    watching = await asyncio.create_subprocess_exec(
        *this, "watch", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 28
    )
    if driving.stdin is not None:
        driving.stdin.write(told)
        driving.stdin.close()
    try:
        shares = asyncio.create_task(
            _cpu_shares(running, {"vehicles": driving.pid, "boards": watching.pid}, job.seconds)
        )
        out, _ = await watching.communicate(told)
    finally:
        driving.kill()
        await driving.wait()
    found = json.loads(out)
    delays = np.array(found["delays"])
    if not len(delays):
        print("no board heard of any fix")
        return
    p50, p90, p99, worst = np.percentile(delays, [50, 90, 99, 100])
    print(f"changes read by boards      {found['messages'] / job.seconds:10.0f} /s")
    print(f"fix to board, p50           {p50:10.0f} ms")
    print(f"fix to board, p90           {p90:10.0f} ms")
    print(f"fix to board, p99           {p99:10.0f} ms   (goal: at most 500)")
    print(f"fix to board, worst         {worst:10.0f} ms of {len(delays)}")
    print("share of one core            " + ", ".join(f"{name} {share:.0%}" for name, share in (await shares).items()))
    print(f"limit: one hop through Redis, p50 {limit[0]:.1f} ms, p99 {limit[1]:.1f} ms")


if __name__ == "__main__":
    main()
