"""Intake over real sockets on a real Valkey: what is acknowledged is stored, and strangers get nothing."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from ayaldama.embedded import ServerHome, open_home, start_valkey
from commons.clock import SystemClock
from commons.metrics import Metrics
from tests.patience import PATIENCE_S
from transit.intake import http, tcp
from transit.intake.devices import DeviceRow, Devices, new_key, with_key
from transit.intake.serve import IntakeSettings, serve_intake
from transit.keys import Keys
from transit.model import PositionReport
from transit.store.redis_reports import ReportsReader

KEYS = Keys("test")
KEY = new_key()
PORTS = {"wialon_ips": 0, "osmand": 0}
NOT_YET_S = 0.3  # how long we listen to be sure that nothing comes


def devices(*more: str) -> Devices:
    ids = ("8601", *more)
    return Devices([with_key(DeviceRow(device_id=each, vehicle_id=f"bus-{each}"), KEY) for each in ids])


class Intake:
    """A running intake and what a test asks of it."""

    def __init__(self, ports: dict[str, int], stop: asyncio.Event, metrics: Metrics, registry: Devices) -> None:
        self.ports = ports
        self.stop = stop
        self.metrics = metrics
        self.registry = registry

    def outcomes(self, outcome: str) -> float:
        lines = self.metrics.exposition().decode().splitlines()
        label = f'outcome="{outcome}"'
        return sum(float(line.split()[-1]) for line in lines if "intake_reports_total{" in line and label in line)


@asynccontextmanager
async def intake(redis: Redis, registry: Devices | None = None, **settings: object) -> AsyncIterator[Intake]:
    stop = asyncio.Event()
    metrics = Metrics()
    opened: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
    registry = registry or devices()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve_intake(
                IntakeSettings(ports=PORTS, **settings),
                devices=registry,
                redis=redis,
                keys=KEYS,
                clock=SystemClock(),
                metrics=metrics,
                stop=stop,
                started=lambda ports: opened.set_result(dict(ports)),
            )
        )
        try:
            yield Intake(await opened, stop, metrics, registry)
        finally:
            stop.set()


class Tracker:
    """A Wialon tracker of version 1.1 on a real socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, intake: Intake, device: str = "8601", key: str = KEY) -> "Tracker":
        tracker = cls(*await asyncio.open_connection("127.0.0.1", intake.ports["wialon_ips"]))
        tracker.writer.write(f"#L#{device};{key}\r\n".encode())
        return tracker

    async def heard(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return (await self.reader.readline()).decode().strip()

    async def heard_nothing(self) -> bool:
        try:
            async with asyncio.timeout(NOT_YET_S):
                return not await self.reader.readline()
        except TimeoutError:
            return True


def packet(second: int) -> bytes:
    at = dt.datetime(2026, 9, 21, 6, tzinfo=dt.UTC) + dt.timedelta(seconds=second)
    return f"#SD#{at:%d%m%y;%H%M%S};4450.9280;N;06528.9380;E;28;90;120;9\r\n".encode()


async def stored(redis: Redis) -> list[PositionReport]:
    entries = await ReportsReader(redis, KEYS, Metrics()).read("0-0", count=10_000)
    return [report for entry in entries for report in entry.reports]


async def test_a_report_is_in_redis_when_its_tracker_hears_so(redis: Redis) -> None:
    async with intake(redis) as running:
        tracker = await Tracker.connect(running)
        assert await tracker.heard() == "#AL#1"
        for second in range(20):
            tracker.writer.write(packet(second))
            assert await tracker.heard() == "#ASD#1"
            assert len(await stored(redis)) == second + 1
    report = (await stored(redis))[0]
    assert (report.vehicle_id, report.fix_ms, round(report.lat, 4)) == ("bus-8601", 1_789_970_400_000, 44.8488)
    assert abs(report.received_ms - SystemClock().now_ms()) < 60_000


@pytest.mark.parametrize("moment", range(5))
async def test_what_was_acknowledged_is_stored_also_when_intake_is_stopped_at_once(redis: Redis, moment: int) -> None:
    async with intake(redis, devices("8602", "8603")) as running:
        trackers = [await Tracker.connect(running, device) for device in ("8601", "8602", "8603")]
        for number, tracker in enumerate(trackers):
            assert await tracker.heard() == "#AL#1"
            tracker.writer.write(b"".join(packet(second) for second in range(100 * (number + 1))))
        for _ in range(moment):
            await asyncio.sleep(0)
        running.stop.set()
        answers = [(await tracker.reader.read()).decode().count("#ASD#1\r\n") for tracker in trackers]
    found = await stored(redis)
    for tracker_number, acknowledged in enumerate(answers):
        mine = [report for report in found if report.vehicle_id == f"bus-860{tracker_number + 1}"]
        assert len(mine) >= acknowledged


@pytest.mark.parametrize(
    ("device", "key", "answer"),
    [("9999", KEY, "#AL#0"), ("8601", "guess", "#AL#01")],
    ids=["unknown device", "wrong key"],
)
async def test_a_stranger_is_turned_away_as_the_protocol_says(redis: Redis, device: str, key: str, answer: str) -> None:
    async with intake(redis) as running:
        tracker = await Tracker.connect(running, device, key)
        tracker.writer.write(packet(0))
        assert await tracker.heard() == answer
        assert await tracker.heard() == "", "the connection is ended"
        assert await stored(redis) == []
        assert running.outcomes("unknown_device") + running.outcomes("wrong_key") == 1


async def test_a_device_disabled_while_connected_is_not_taken_any_more(redis: Redis) -> None:
    async with intake(redis) as running:
        tracker = await Tracker.connect(running)
        assert await tracker.heard() == "#AL#1"
        running.registry.replace([])
        tracker.writer.write(packet(0))
        assert await tracker.heard() == ""
        assert await stored(redis) == []


async def test_the_newest_connection_of_a_device_wins(redis: Redis) -> None:
    async with intake(redis) as running:
        older, newer = await Tracker.connect(running), None
        assert await older.heard() == "#AL#1"
        newer = await Tracker.connect(running)
        assert await newer.heard() == "#AL#1"
        assert await older.heard() == "", "a line that died unnoticed is ended"
        newer.writer.write(packet(0))
        assert await newer.heard() == "#ASD#1"


async def test_there_is_a_limit_of_connections(redis: Redis) -> None:
    async with intake(redis, connections_max=1) as running:
        first = await Tracker.connect(running)
        assert await first.heard() == "#AL#1"
        with suppress(OSError):  # reset or ended, as the kernel likes
            second = await Tracker.connect(running)
            assert await second.heard() == ""
        first.writer.write(packet(0))
        assert await first.heard() == "#ASD#1"


@pytest.mark.parametrize("name", PORTS)
async def test_who_says_nothing_is_not_kept(redis: Redis, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for server in (tcp, http):
        monkeypatch.setattr(server, "SWEEP_S", 0.02)
    async with intake(redis, sign_in_s=0.05) as running:
        silent, _ = await asyncio.open_connection("127.0.0.1", running.ports[name])
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionResetError):
                assert await silent.read() == b""


async def test_who_says_nothing_more_is_not_kept(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "SWEEP_S", 0.02)
    async with intake(redis, idle_s=1.0) as running:
        tracker = await Tracker.connect(running)
        assert await tracker.heard() == "#AL#1"
        with suppress(ConnectionResetError):
            assert await tracker.heard() == "", "signed in, then silent for too long"


async def test_http_has_a_limit_of_connections_too(redis: Redis) -> None:
    place = "lat=44.8488&lon=65.4823&timestamp=1789970400"
    async with intake(redis, connections_max=1) as running:
        address = f"http://127.0.0.1:{running.ports['osmand']}/?id=8601&key={KEY}&{place}"
        async with aiohttp.ClientSession() as first, aiohttp.ClientSession() as second:
            async with first.get(address) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientConnectionError):
                await second.get(address)
            async with first.get(address) as answer:
                assert answer.status == 200


async def test_a_request_under_way_is_answered_when_intake_stops(redis: Redis) -> None:
    place = "lat=44.8488&lon=65.4823&timestamp=1789970400"
    async with intake(redis) as running, aiohttp.ClientSession() as client:
        address = f"http://127.0.0.1:{running.ports['osmand']}/?id=8601&key={KEY}&{place}"
        async with client.get(address) as answer:
            assert answer.status == 200
        under_way = [asyncio.create_task(client.get(address)) for _ in range(20)]
        await asyncio.sleep(0.01)
        running.stop.set()
        answers = await asyncio.gather(*under_way, return_exceptions=True)
    acknowledged = [each for each in answers if isinstance(each, aiohttp.ClientResponse) and each.status == 200]
    assert len(await stored(redis)) >= 1 + len(acknowledged)


async def test_noise_ends_its_own_connection_only(redis: Redis) -> None:
    async with intake(redis) as running:
        good = await Tracker.connect(running)
        assert await good.heard() == "#AL#1"
        for noise in (b"\x00" * 5_000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 400, b"#SD#" + b"9" * 70_000):
            bad = Tracker(*await asyncio.open_connection("127.0.0.1", running.ports["wialon_ips"]))
            bad.writer.write(noise)
            bad.writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                with suppress(ConnectionResetError):
                    await bad.reader.read()
        good.writer.write(packet(0))
        assert await good.heard() == "#ASD#1"
        assert len(await stored(redis)) == 1


async def test_http_answers_when_stored_and_says_what_is_wrong(redis: Redis) -> None:
    place = "lat=44.8488&lon=65.4823&timestamp=1789970400"
    async with intake(redis) as running, aiohttp.ClientSession() as client:
        address = f"http://127.0.0.1:{running.ports['osmand']}/any/path"
        async with client.get(f"{address}?id=8601&key={KEY}&{place}&speed=15&route_id=12") as answer:
            assert (answer.status, await answer.text()) == (200, "")
        (report,) = await stored(redis)
        assert (report.vehicle_id, report.route_id, report.fix_ms) == ("bus-8601", "12", 1_789_970_400_000)
        async with client.get(f"{address}?id=8601&key={KEY}&lat=91&lon=65&timestamp=1789970400") as answer:
            assert (answer.status, await answer.text()) == (400, "lat: '91' must be a number from -90 to 90")
        for wrong in (f"id=9999&key={KEY}", "id=8601&key=guess", "id=8601"):
            async with client.get(f"{address}?{wrong}&{place}") as answer:
                assert (answer.status, await answer.text()) == (401, "unknown device or wrong key")
        async with client.get(f"{address}?id=8601&{place}", headers={"Authorization": f"Bearer {KEY}"}) as answer:
            assert answer.status == 200
        async with client.post(address, data=b"x" * 300_000) as answer:
            assert answer.status == 413
        assert len(await stored(redis)) == 2


async def test_a_device_that_is_too_fast_is_told_to_wait(redis: Redis) -> None:
    async with intake(redis, reports_per_s=0.001, reports_burst=2) as running, aiohttp.ClientSession() as client:
        address = f"http://127.0.0.1:{running.ports['osmand']}/?id=8601&key={KEY}&lat=44.8&lon=65.4&timestamp=17899704"
        statuses = []
        for second in range(4):
            async with client.get(f"{address}{second:02}") as answer:
                statuses.append(answer.status)
        assert statuses == [200, 200, 429, 429]
        assert len(await stored(redis)) == 2
        assert running.outcomes("too_many") == 2


async def test_failing_sign_ins_over_http_are_answered_429_but_the_right_key_is_taken(redis: Redis) -> None:
    place = "lat=44.8488&lon=65.4823&timestamp=1789970400"
    async with intake(redis, failures_per_minute=2) as running, aiohttp.ClientSession() as client:
        address = f"http://127.0.0.1:{running.ports['osmand']}/?id=8601&{place}&key="
        statuses = []
        for key in ("a", "b", "c", KEY):
            async with client.get(address + key) as answer:
                statuses.append(answer.status)
        assert statuses == [401, 401, 429, 200]


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[ServerHome]:
    return open_home(tmp_path / "data")


async def test_while_redis_is_away_nothing_is_acknowledged_and_nothing_is_lost(own_home: ServerHome) -> None:
    server = start_valkey(own_home)
    redis = Redis.from_url(server.url)
    place = "lat=44.8488&lon=65.4823&timestamp=1789970400"
    try:
        async with intake(redis, devices("8602"), http_store_s=0.2) as running, aiohttp.ClientSession() as client:
            tracker = await Tracker.connect(running)
            assert await tracker.heard() == "#AL#1"
            tracker.writer.write(packet(0))
            assert await tracker.heard() == "#ASD#1"
            server.process.kill()
            server.process.wait()
            tracker.writer.write(packet(1))
            assert await tracker.heard_nothing()
            osmand = f"http://127.0.0.1:{running.ports['osmand']}/?id=8602&key={KEY}&{place}"
            async with client.get(osmand) as answer:
                assert answer.status == 503
            server = start_valkey(own_home)
            assert await tracker.heard() == "#ASD#1", "it comes by itself, without a new connection"
            async with asyncio.timeout(PATIENCE_S):
                while (await client.get(osmand)).status != 200:  # as its app would, that has stored nothing else
                    pass
            assert [report.fix_ms for report in await stored(redis) if report.vehicle_id == "bus-8601"] == [
                1_789_970_400_000,
                1_789_970_401_000,
            ]
    finally:
        await redis.aclose()
        server.stop()


async def test_intake_can_be_stopped_while_redis_is_away_and_acknowledges_nothing(own_home: ServerHome) -> None:
    server = start_valkey(own_home)
    redis = Redis.from_url(server.url)
    try:
        async with intake(redis, closing_s=0.2) as running:
            tracker = await Tracker.connect(running)
            assert await tracker.heard() == "#AL#1"
            server.stop()
            tracker.writer.write(packet(1))
            assert await tracker.heard_nothing()
            running.stop.set()
            assert await tracker.heard() == ""
    finally:
        await redis.aclose()
        server.stop()
