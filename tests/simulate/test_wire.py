"""Units over real sockets: what a real tracker would keep is not lost, whatever dies on the other side."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
from redis.asyncio import Redis

from ayaldama.simulate import wire
from ayaldama.simulate.wire import BLACK_BOX_MAX, KEPT_MAX, Fix, OsmAndUnit, WialonUnit
from commons.clock import ClockAnchor, SystemClock
from commons.metrics import Metrics
from tests.patience import PATIENCE_S
from transit.intake.devices import DeviceRow, Devices, new_key, with_key
from transit.intake.serve import IntakeSettings, serve_intake
from transit.keys import Keys
from transit.model import PositionReport
from transit.store.redis_reports import ReportsReader

KEYS = Keys("test")
KEY = new_key()
NOW_MS = 1_789_970_400_000
HOST = "127.0.0.1"
UNITS = ("wialon-2.0", "wialon-1.1", "osmand")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PAUSE_FIRST_S", 0.05)
    monkeypatch.setattr(wire, "PAUSE_MAX_S", 0.2)


class Intake:
    """Intake that can be taken away and brought back on the same ports."""

    def __init__(self, redis: Redis, tasks: asyncio.TaskGroup) -> None:
        self._redis, self._tasks = redis, tasks
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self.ports: Mapping[str, int] = {"wialon_ips": 0, "osmand": 0}

    async def start(self) -> None:
        self._stop = asyncio.Event()
        opened: asyncio.Future[Mapping[str, int]] = asyncio.get_running_loop().create_future()
        rows = [DeviceRow(device_id=unit, vehicle_id=unit) for unit in UNITS]
        self._task = self._tasks.create_task(
            serve_intake(
                IntakeSettings(ports=self.ports),
                devices=Devices([with_key(row, KEY) for row in rows]),
                redis=self._redis,
                keys=KEYS,
                clock=SystemClock(ClockAnchor(wall_ms=0, city_ms=NOW_MS)),
                metrics=Metrics(),
                stop=self._stop,
                started=opened.set_result,
            )
        )
        self.ports = dict(await opened)

    async def end(self) -> None:
        self._stop.set()
        if self._task is not None:
            await self._task

    async def kill(self) -> None:
        """End it as kill -9 does for those outside: connections break, nothing more is written or answered."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


@asynccontextmanager
async def intake(redis: Redis) -> AsyncIterator[Intake]:
    async with asyncio.TaskGroup() as tasks:
        running = Intake(redis, tasks)
        await running.start()
        try:
            yield running
        finally:
            await running.end()


@asynccontextmanager
async def units(ports: Mapping[str, int], now_ms: int = NOW_MS) -> AsyncIterator[dict[str, WialonUnit | OsmAndUnit]]:
    clock = SystemClock(ClockAnchor(wall_ms=SystemClock().now_ms(), city_ms=now_ms))
    port, url = ports["wialon_ips"], f"http://{HOST}:{ports['osmand']}/"
    patience = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=patience) as session, asyncio.TaskGroup() as tasks:
        found: dict[str, WialonUnit | OsmAndUnit] = {
            "wialon-2.0": WialonUnit("wialon-2.0", KEY, host=HOST, port=port, clock=clock, checked=True),
            "wialon-1.1": WialonUnit("wialon-1.1", KEY, host=HOST, port=port, clock=clock, checked=False),
            "osmand": OsmAndUnit("osmand", KEY, url=url, session=session),
        }
        running = [tasks.create_task(unit.run()) for unit in found.values()]
        try:
            yield found
        finally:
            for task in running:
                task.cancel()


def fix(second: int, *, route: str = "") -> Fix:
    return Fix(
        fix_ms=NOW_MS + 1_000 * second,
        lat=44.848812,
        lon=65.508934,
        speed_mps=7.5,
        heading_deg=90.0,
        route=route,
        direction=1 if route else -1,
    )


async def stored(redis: Redis) -> list[PositionReport]:
    entries = await ReportsReader(redis, KEYS, Metrics()).read("0-0", count=10_000)
    return [report for entry in entries for report in entry.reports]


async def stored_of_all(redis: Redis, count: int) -> dict[str, list[PositionReport]]:
    """Return the reports of each unit once each has told ``count`` different fixes."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found: dict[str, list[PositionReport]] = {unit: [] for unit in UNITS}
            for report in await stored(redis):
                found[report.vehicle_id].append(report)
            if all(len({report.fix_ms for report in reports}) >= count for reports in found.values()):
                return found
            await asyncio.sleep(0.02)


async def test_a_fix_arrives_as_it_was_made(redis: Redis) -> None:
    async with intake(redis) as running, units(running.ports) as all_units:
        for unit in all_units.values():
            unit.offer(fix(0, route="12"))
        for reports in (await stored_of_all(redis, 1)).values():
            report = reports[0]
            assert report.fix_ms == NOW_MS
            assert (report.lat, report.lon) == pytest.approx((44.848812, 65.508934), abs=2e-6)
            assert report.speed_mps == pytest.approx(7.5, abs=0.06)
            assert report.heading_deg == 90.0
            assert (report.route_id, report.direction_id) == ("12", 1)
            assert not report.archived


async def test_a_bus_without_a_terminal_tells_no_line(redis: Redis) -> None:
    async with intake(redis) as running, units(running.ports) as all_units:
        for unit in all_units.values():
            unit.offer(fix(0))
        for reports in (await stored_of_all(redis, 1)).values():
            assert (reports[0].route_id, reports[0].direction_id) == ("", -1)


@pytest.mark.parametrize("how", ["end", "kill"])
async def test_no_fix_is_lost_when_intake_goes_and_comes_back(redis: Redis, how: str) -> None:
    async with intake(redis) as running, units(running.ports) as all_units:
        for second in range(10):
            for unit in all_units.values():
                unit.offer(fix(second))
        await asyncio.sleep(0.01)  # some are acknowledged now, some are on their way, some wait
        await (running.end() if how == "end" else running.kill())
        for second in range(10, 30):
            for unit in all_units.values():
                unit.offer(fix(second))
        assert len({(report.vehicle_id, report.fix_ms) for report in await stored(redis)}) < 90
        await running.start()
        found = await stored_of_all(redis, 30)
    for reports in found.values():
        assert {report.fix_ms for report in reports} == {NOW_MS + 1_000 * second for second in range(30)}
        assert len(reports) <= 31  # at most the one that was under way is told twice


async def test_what_waited_for_long_comes_as_black_box_and_the_newest_as_live(redis: Redis) -> None:
    fixes = BLACK_BOX_MAX + 20
    async with intake(redis) as running, units(running.ports, now_ms=NOW_MS + 600_000) as all_units:
        for name, unit in all_units.items():
            unit.memory.online.clear()
            for second in range(fixes - 1):
                unit.offer(fix(second))
            unit.offer(fix(600))
            assert not [report for report in await stored(redis) if report.vehicle_id == name]
        for unit in all_units.values():
            unit.memory.online.set()
        found = await stored_of_all(redis, fixes)
    for name in ("wialon-2.0", "wialon-1.1"):
        assert Counter(report.archived for report in found[name]) == {True: fixes - 1, False: 1}
        assert max(found[name], key=lambda report: report.fix_ms).archived is False


async def test_memory_is_bounded_and_the_oldest_goes_first(redis: Redis) -> None:
    async with intake(redis) as running, units(running.ports) as all_units:
        for unit in all_units.values():
            unit.memory.online.clear()
            for second in range(KEPT_MAX + 25):
                unit.offer(fix(second))
            unit.memory.online.set()
        for reports in (await stored_of_all(redis, KEPT_MAX)).values():
            assert min(report.fix_ms for report in reports) == NOW_MS + 25_000


async def test_a_fix_that_intake_refuses_does_not_hold_up_the_next(redis: Redis) -> None:
    wrong = Fix(fix_ms=NOW_MS, lat=95.0, lon=65.5, speed_mps=0.0, heading_deg=0.0)
    async with intake(redis) as running, units(running.ports) as all_units:
        for unit in all_units.values():
            unit.offer(wrong)
            unit.offer(fix(1))
        for reports in (await stored_of_all(redis, 1)).values():
            assert [report.fix_ms for report in reports] == [NOW_MS + 1_000]


async def test_places_south_and_west_are_told_right(redis: Redis) -> None:
    there = Fix(fix_ms=NOW_MS, lat=-30.0331, lon=-51.2300, speed_mps=0.0, heading_deg=359.9)
    async with intake(redis) as running, units(running.ports) as all_units:
        for unit in all_units.values():
            unit.offer(there)
        for reports in (await stored_of_all(redis, 1)).values():
            assert (reports[0].lat, reports[0].lon) == pytest.approx((-30.0331, -51.2300), abs=2e-6)
            assert reports[0].heading_deg == 0.0
