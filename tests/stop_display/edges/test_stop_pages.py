"""The pages of stops over HTTP, on a real Valkey and PostgreSQL."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from redis.asyncio import Redis

from ayaldama.http import RequestLimit
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from commons.migrate import migrate
from stop_display.hub import Hub
from stop_display.server import Boards, BoardSettings
from stop_display.stop_page import routes as module
from stop_display.stop_page import vehicle_streams
from stop_display.stop_page.coming import ApproachMaps
from stop_display.stop_page.model import Approaches
from stop_display.stop_page.report_desk import ReportDesk
from stop_display.stop_page.report_store import ReportStore
from stop_display.stop_page.routes import StopPages
from stop_display.stop_page.values import StopPageSettings
from stop_display.stop_page.vehicle_streams import VehicleStreams
from tests.dispatch.pages import served
from tests.dispatch.sightings import NOON_MS, arrival, position, update
from tests.dispatch.small_city import ALAN, BAZAR, TWO_ROUTES, VOKZAL, Line, Stop, network_of
from tests.patience import PATIENCE_S
from transit.keys import Keys
from transit.store.redis_state import StateReader, StateWriter

KEYS = Keys("test")
REPORT = {"key": "a" * 32, "trouble": "board_dark", "language": "ru"}


@dataclass(frozen=True, slots=True)
class Running:
    url: str
    metrics: Metrics
    http: aiohttp.ClientSession
    stop: asyncio.Event

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        async with self.http.get(self.url + path, allow_redirects=False, **more) as answer:
            body = await answer.read()
            return answer.status, json.loads(body) if answer.content_type == "application/json" else body.decode()

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"} | headers
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.post(self.url + path, data=data, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    def counted(self, name: str) -> str:
        lines = self.metrics.exposition().decode().splitlines()
        return " ".join(line.removeprefix("ayaldama_") for line in lines if line.startswith(f"ayaldama_{name}"))


def nobody_waits() -> RequestLimit:
    return RequestLimit(per_s=1_000, burst=1_000)


@asynccontextmanager
async def running(
    redis: Redis,
    pool: asyncpg.Pool,
    *,
    lines: tuple[Line, ...] = TWO_ROUTES,
    settings: StopPageSettings | None = None,
    by_address: RequestLimit | None = None,
    address_of: Callable[[web.Request], str] = lambda request: request.headers.get("X-Who", ""),
) -> AsyncIterator[Running]:
    metrics, stop = Metrics(), asyncio.Event()
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS))
    boards = Boards(
        network_of(lines), state=StateReader(redis, KEYS), clock=clock, metrics=metrics, settings=BoardSettings()
    )
    desk = ReportDesk(
        boards.hub,
        ReportStore(pool, "Asia/Qyzylorda"),
        clock=clock,
        metrics=metrics,
        by_address=by_address or nobody_waits(),
        by_city=nobody_waits(),
        address_of=address_of,
    )
    pages = StopPages(
        boards.hub,
        boards.search,
        reports=desk,
        clock=clock,
        metrics=metrics,
        settings=settings or StopPageSettings(),
        address_of=address_of,
    )
    async with (
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as tasks,
        aiohttp.ClientSession() as http,
        served([*boards.routes(), *pages.routes()]) as port,
    ):
        tasks.create_task(boards.run(stop))
        tasks.create_task(pages.run(stop))
        yield Running(url=f"http://127.0.0.1:{port}", metrics=metrics, http=http, stop=stop)
        stop.set()


@pytest.fixture
async def writer(redis: Redis) -> StateWriter:
    writer = StateWriter(redis, KEYS)
    await writer.replace(update(position("101"), arrival(ALAN.id, in_s=230)))
    return writer


@pytest.fixture
async def pool(postgres: asyncpg.Pool) -> asyncpg.Pool:
    await migrate(postgres, "stop_display.stop_page")
    return postgres


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/stops/near?lon=65.5", "lat"),
        ("/api/stops/near?lat=44.8", "lon"),
        ("/api/stops/near?lat=44,8&lon=65.5", "lat"),
        ("/api/stops/near?lat=91&lon=65.5", "lat"),
        ("/api/stops/near?lat=nan&lon=65.5", "lat"),
        ("/api/stops/near?lat=44.8&lon=181", "lon"),
        ("/api/stops/near?lat=44.8&lon=65.5&limit=0", "limit"),
        ("/api/stops/near?lat=44.8&lon=65.5&limit=31", "limit"),
        ("/api/stops/near?lat=0&lon=0", "lat,lon"),
        (f"/api/stops/{ALAN.id}/near?limit=x", "limit"),
    ],
)
async def test_bad_places_are_refused_by_field_and_counted(
    redis: Redis, pool: asyncpg.Pool, path: str, field: str
) -> None:
    async with running(redis, pool) as pages:
        status, problem = await pages.get(path)
        assert (status, problem["field"]) == (400, field)
        assert problem["rule"]
        reason = "outside" if field == "lat,lon" else "unreadable"
        assert f'stop_page_refused_total{{reason="{reason}"}} 1.0' in pages.counted("stop_page_refused_total{")


async def test_stops_near_a_place_are_told_with_distance_and_direction(redis: Redis, pool: asyncpg.Pool) -> None:
    async with running(redis, pool) as pages:
        status, found = await pages.get(f"/api/stops/near?lat={ALAN.lat}&lon={ALAN.lon}&limit=2")
        assert status == 200
        first, second = found["stops"]
        assert (first["stop"], first["distance_m"], first["routes"]) == (ALAN.id, 0, ["2", "10"])
        assert (second["stop"], second["name"]["en"]) == (VOKZAL.id, "Railway station")
        assert 300 <= second["bearing_deg"] <= 320
        _, beside = await pages.get(f"/api/stops/{ALAN.id}/near")
        assert [one["stop"] for one in beside["stops"]] == [VOKZAL.id]


@pytest.mark.parametrize("path", ["near", "approaches", "vehicles", "qr.svg", "reports"])
async def test_a_stop_that_does_not_exist_is_a_problem(redis: Redis, pool: asyncpg.Pool, path: str) -> None:
    async with running(redis, pool) as pages:
        asking = (
            pages.post(f"/api/stops/nowhere/{path}", REPORT)
            if path == "reports"
            else pages.get(f"/api/stops/nowhere/{path}")
        )
        status, problem = await asking
        assert (status, problem["code"], problem["value"]) == (404, "unknown_stop", "nowhere")


async def test_pages_and_codes_lead_to_stops(redis: Redis, pool: asyncpg.Pool) -> None:
    async with running(redis, pool) as pages:
        for path, status in ((f"/stop/{ALAN.id}", 200), ("/stop/nowhere", 404), ("/stop", 200), ("/s/999", 404)):
            answered, page = await pages.get(path)
            assert answered == status, path
            assert "<!doctype html>" in page
        async with pages.http.get(f"{pages.url}/s/001", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, f"/stop/{ALAN.id}")
        status, texts = await pages.get("/static/stop/texts.json")
        assert {"page.map_open", "now"} <= texts["kk"].keys()


async def test_the_vehicles_of_a_stop_are_those_of_its_board(
    redis: Redis, pool: asyncpg.Pool, writer: StateWriter
) -> None:
    async with running(redis, pool) as pages:
        while True:
            _, told = await pages.get(f"/api/stops/{ALAN.id}/vehicles")
            if told["vehicles"]:
                break
            await asyncio.sleep(0.05)
        (vehicle,) = told["vehicles"]
        assert vehicle["line"].startswith("10|")
        assert vehicle["place"] == [44.851, 65.505]
        assert (await pages.get(f"/api/stops/{BAZAR.id}/vehicles"))[1]["vehicles"] == []


async def test_a_stream_tells_what_moved_and_ends_with_the_server(
    redis: Redis, pool: asyncpg.Pool, writer: StateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vehicle_streams, "TICK_S", 0.05)
    async with running(redis, pool) as pages, pages.http.get(f"{pages.url}/stop/{ALAN.id}/vehicles") as stream:
        assert stream.content_type == "text/event-stream"
        while (told := await event(stream)) is not None and not told["vehicles"]:
            pass
        assert "stop_page_streams 1.0" in pages.counted("stop_page_streams")
        await writer.publish(update(position("101", lat=44.8495), as_of_ms=NOON_MS + 1_000))
        while (told := await event(stream)) is not None and told["vehicles"][0]["place"][0] != 44.8495:
            pass
        pages.stop.set()
        while await event(stream) is not None:
            pass


async def event(stream: aiohttp.ClientResponse) -> Any:
    """Return the next event, None at the end."""
    while line := await stream.content.readline():
        if line.startswith(b"data: "):
            return json.loads(line[6:])
    return None


async def test_who_comes_to_a_full_house_is_sent_away_and_who_leaves_makes_room(
    redis: Redis, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vehicle_streams, "TICK_S", 0.05)
    monkeypatch.setattr(vehicle_streams, "STILL_THERE_S", 0.1)
    monkeypatch.setattr(vehicle_streams, "STREAMS_MAX", 1)
    async with running(redis, pool) as pages:
        async with pages.http.get(f"{pages.url}/stop/{ALAN.id}/vehicles"):
            assert (await pages.get(f"/stop/{BAZAR.id}/vehicles"))[0] == 503
        while "stop_page_streams 0.0" not in pages.counted("stop_page_streams"):  # noqa: ASYNC110 - a gauge cannot be waited for
            await asyncio.sleep(0.02)
        async with pages.http.get(f"{pages.url}/stop/{BAZAR.id}/vehicles") as again:
            assert again.status == 200


async def test_one_address_cannot_take_all_streams(
    redis: Redis, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vehicle_streams, "STREAMS_PER_ADDRESS_MAX", 1)
    async with running(redis, pool) as pages:
        url = f"{pages.url}/stop/{ALAN.id}/vehicles"
        async with pages.http.get(url, headers={"X-Who": "one"}):
            for who, status in (("one", 429), ("other", 200)):
                async with pages.http.get(url, headers={"X-Who": who}) as answer:
                    assert answer.status == status


async def test_the_ways_to_a_stop_are_drawn_once_and_told_with_an_etag(
    redis: Redis, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    draw = ApproachMaps.of

    def noted(maps: ApproachMaps, stop: int) -> Approaches:
        drawn.append(stop)
        return draw(maps, stop)

    monkeypatch.setattr(ApproachMaps, "of", noted)
    async with running(redis, pool) as pages:
        url = f"{pages.url}/api/stops/{BAZAR.id}/approaches"
        answers = await asyncio.gather(*(pages.get(f"/api/stops/{BAZAR.id}/approaches") for _ in range(5)))
        assert all(answer == answers[0] for answer in answers)
        lines = sorted(stretch["lines"] for stretch in answers[0][1]["stretches"])
        assert [sorted({name.split("|")[0] for name in one}) for one in lines] == [["10"], ["10"], ["10", "2"]]
        async with pages.http.get(url) as first:
            etag = first.headers["ETag"]
        async with pages.http.get(url, headers={"If-None-Match": etag}) as again:
            assert again.status == 304
    assert len(drawn) == 1


async def test_the_qr_leads_to_the_address_that_was_asked_or_that_is_set(redis: Redis, pool: asyncpg.Pool) -> None:
    async with running(redis, pool) as pages:
        status, label = await pages.get(f"/stop/{ALAN.id}/label")
        assert status == 200
        assert f">{pages.url}/s/001</text>" in label
        assert "SMS" not in label
        assert (await pages.get(f"/api/stops/{ALAN.id}/qr.svg"))[1].startswith("<svg xmlns")
        status, problem = await pages.get(f"/stop/{ALAN.id}/label", headers={"Host": "<script>"})
        assert (status, problem["field"]) == (400, "Host")
        # aiohttp reads bytes that are no UTF-8 as lone surrogates, which cannot be encoded again.
        assert await raw_status(pages.url, f"/api/stops/{ALAN.id}/qr.svg", host=b"\xff\xfe") == 400
        behind_tls = {"X-Forwarded-Proto": "https"}
        _, label = await pages.get(f"/stop/{ALAN.id}/label", headers=behind_tls)
        assert f">{pages.url.replace('http', 'https')}/s/001</text>" in label
    settings = StopPageSettings(public_url="https://bus.kz/", sms_code="2505")
    async with running(redis, pool, settings=settings) as pages:
        _, label = await pages.get(f"/stop/{ALAN.id}/label", headers={"Host": "<script>"})
        assert ">https://bus.kz/s/001</text>" in label
        assert "STOP 001 to 2505" in label


async def test_a_label_is_drawn_once_for_all_who_print_it(
    redis: Redis, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def draw(link: str, *texts: object, **options: object) -> str:
        drawn.append(link)
        return "<svg></svg>"

    monkeypatch.setattr(module, "stop_label_svg", draw)
    monkeypatch.setattr(module, "LABELS_HELD", 2)
    async with running(redis, pool) as pages:
        for host in ("one", "one", "two", "three", "one"):  # whoever invents hosts drives others out, and no more
            await pages.get(f"/stop/{ALAN.id}/label", headers={"Host": host})
    assert [link.split("/")[2] for link in drawn] == ["one", "two", "three", "one"]


async def test_boards_come_in_between_the_stops_whose_vehicles_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    looked: list[int] = []
    monkeypatch.setattr(VehicleStreams, "_look", lambda *_of_one_stop: looked.append(turns))
    streams = VehicleStreams(Hub(network_of()), clock=SystemClock(), metrics=Metrics(), address_of=lambda _request: "")
    monkeypatch.setattr(streams, "_watched", dict.fromkeys(("a", "b", "c")))
    stop = asyncio.Event()
    running_streams = asyncio.create_task(streams.run(stop))
    while len(looked) < 3:
        await asyncio.sleep(0)
        turns += 1
    assert len(set(looked)) == 3
    running_streams.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running_streams


async def raw_status(url: str, path: str, *, host: bytes) -> int:
    """Return the status of a request with a ``Host`` that no client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    status = (await reader.readline()).split()[1]
    writer.close()
    return int(status)


async def test_two_stops_of_one_number_are_told_apart(
    redis: Redis, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Stop(id="a", kk="А", ru="А", en="A", lat=44.85, lon=65.50)
    there = Stop(id="b", kk="Б", ru="Б", en="B", lat=44.86, lon=65.50)
    network = network_of([Line(route="1", direction=0, stops=(here, there))], unused=())
    object.__setattr__(network.stops, "codes", ("12", "12"))
    monkeypatch.setattr("tests.stop_display.edges.test_stop_pages.network_of", lambda _: network)
    async with running(redis, pool) as pages:
        async with pages.http.get(f"{pages.url}/s/12", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/stop?query=12"
        assert f">{pages.url}/stop/b</text>" in (await pages.get("/stop/b/label"))[1]


async def test_a_report_is_kept_with_what_the_server_had_and_counts_once(
    redis: Redis, pool: asyncpg.Pool, writer: StateWriter
) -> None:
    async with running(redis, pool) as pages:
        first = await pages.post(f"/api/stops/{ALAN.id}/reports", REPORT)
        again = await pages.post(f"/api/stops/{ALAN.id}/reports", REPORT)
        assert first == again == (200, {"number": 1})
        kept = await ReportStore(pool).report(1)
        assert kept is not None
        assert kept.board.stop == ALAN.id
        assert {line.route for line in kept.board.lines} == {"2", "10"}
        counted = pages.counted("stop_reports_")
        assert 'stop_reports_total{outcome="taken",trouble="board_dark"} 1.0' in counted
        assert 'stop_reports_total{outcome="repeated",trouble="board_dark"} 1.0' in counted
        assert "stop_reports_open 1.0" in counted


@pytest.mark.parametrize(
    ("body", "headers", "field"),
    [
        (REPORT | {"trouble": "boring"}, {}, "trouble"),
        (REPORT | {"text": "x" * 501}, {}, "text"),
        (b"not json", {}, "body"),
        (b"{" + b" " * 40_000, {}, "body"),
        (REPORT, {"Content-Type": "text/plain"}, "Content-Type"),
    ],
)
async def test_a_bad_report_is_refused_by_field_and_nothing_is_kept(
    redis: Redis, pool: asyncpg.Pool, body: Any, headers: dict[str, str], field: str
) -> None:
    async with running(redis, pool) as pages:
        status, problem = await pages.post(f"/api/stops/{ALAN.id}/reports", body, **headers)
        assert (status, problem["field"]) == (400, field)
        assert 'outcome="unreadable",trouble="unknown"} 1.0' in pages.counted("stop_reports_total{")
        assert await ReportStore(pool).open_count() == 0


async def test_a_body_that_says_no_length_is_bounded_too(redis: Redis, pool: asyncpg.Pool) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000

    async with running(redis, pool) as pages:
        url, headers = f"{pages.url}/api/stops/{ALAN.id}/reports", {"Content-Type": "application/json"}
        async with pages.http.post(url, data=endless(), headers=headers) as answer:
            assert (answer.status, (await answer.json())["field"]) == (400, "body")


async def test_one_address_cannot_fill_the_list(redis: Redis, pool: asyncpg.Pool) -> None:
    async with running(redis, pool, by_address=RequestLimit(per_s=0.001, burst=2)) as pages:
        for number, status in ((1, 200), (2, 200), (3, 429)):
            said = REPORT | {"key": f"{number:032x}"}
            answered, problem = await pages.post(f"/api/stops/{ALAN.id}/reports", said, **{"X-Who": "one"})
            assert answered == status
        assert problem["code"] == "too_many"
        assert (await pages.post(f"/api/stops/{ALAN.id}/reports", REPORT, **{"X-Who": "other"}))[0] == 200


async def test_a_database_that_is_away_is_said_and_survived(redis: Redis, pool: asyncpg.Pool) -> None:
    async with running(redis, pool) as pages:
        await pool.execute("ALTER TABLE problem_report RENAME TO away")
        assert (await pages.post(f"/api/stops/{ALAN.id}/reports", REPORT))[0] == 503
        await pool.execute("ALTER TABLE away RENAME TO problem_report")
        assert (await pages.post(f"/api/stops/{ALAN.id}/reports", REPORT))[0] == 200
        assert 'outcome="not_kept",trouble="board_dark"} 1.0' in pages.counted("stop_reports_total{")
