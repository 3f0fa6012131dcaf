"""Renderings over HTTP: what is given, what is refused and how, what panels are told to do next."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
import zxingcpp
from PIL import Image

from ayaldama.openapi import describe
from ayaldama.openapi_web import OPERATIONS
from commons.metrics import Metrics
from stop_display import rendering_routes as module
from stop_display.hub import Hub
from stop_display.rendering_routes import Renderings
from stop_display.renderings._fonts import FOLDER
from stop_display.voice import Voice
from tests.dispatch.pages import served
from tests.dispatch.sightings import NOON_MS, arrival, position
from tests.dispatch.small_city import ALAN, network_of

with_fonts = pytest.mark.skipif(not FOLDER.is_dir(), reason="fonts are missing: make vendor")


@dataclass(slots=True)
class StillClock:
    """The city's clock, moved by the test."""

    ms: int = NOON_MS
    rate: float = 1.0

    def now_ms(self) -> int:
        return self.ms


@dataclass(frozen=True, slots=True)
class Running:
    port: int
    hub: Hub
    clock: StillClock
    metrics: Metrics

    async def get(self, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}{path}", headers=headers) as answer,
        ):
            return answer, await answer.read()


@asynccontextmanager
async def running(*, voice: Voice | None = None, fonts: Path = FOLDER, public_url: str = "") -> AsyncIterator[Running]:
    hub, clock, metrics = Hub(network_of()), StillClock(), Metrics()
    hub.replace([arrival(ALAN.id, in_s=370)], [position("101")], NOON_MS)
    renderings = Renderings(
        hub,
        clock=clock,  # type: ignore[arg-type]
        metrics=metrics,
        voice=voice,
        fonts=fonts,
        public_url=public_url,
    )
    async with served(renderings.routes()) as port:
        yield Running(port=port, hub=hub, clock=clock, metrics=metrics)


@with_fonts
@pytest.mark.parametrize(
    ("public_url", "link"),
    [
        ("", "http://boards.example/stop/alan"),
        ("https://bus.example/", "https://bus.example/stop/alan"),
    ],
)
async def test_the_code_on_a_picture_leads_to_the_stops_page_for_phones(public_url: str, link: str) -> None:
    async with running(public_url=public_url) as city:
        _, body = await city.get(f"/api/stops/{ALAN.id}/eink.png", Host="boards.example")
        found = zxingcpp.read_barcodes(Image.open(io.BytesIO(body)).convert("L"))
        assert [code.text for code in found] == [link]


async def test_an_led_panel_gets_pages_and_dark_ones_when_nothing_is_heard_any_more() -> None:
    async with running() as city:
        answer, body = await city.get(f"/api/stops/{ALAN.id}/led?lang=kk")
        pages = json.loads(body)
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert pages["pages"][0]["top"] == "10 Шұғыла м/а      6 мин"
        assert (pages["expiration_s"], pages["refresh_s"]) == (90, 20)
        city.clock.ms += 91_000
        _, body = await city.get(f"/api/stops/{ALAN.id}/led?lang=kk")
        assert not [page for page in json.loads(body)["pages"] if "мин" in page["top"].split()]


async def test_lines_of_text_come_in_the_code_page_asked_for() -> None:
    async with running() as city:
        answer, body = await city.get(f"/api/stops/{ALAN.id}/led.txt?encoding=cp866&width=30")
        assert answer.headers["Content-Type"] == "text/plain; charset=IBM866"
        lines = body.split(b"\r\n")
        assert {len(one) for one in lines[:-1]} == {30}
        assert lines[0].decode("cp866").startswith("10 Шугыла молтек ауданы  ")


@with_fonts
async def test_a_picture_is_sent_once_and_then_only_when_it_says_something_else() -> None:
    async with running() as city:
        answer, body = await city.get(f"/api/stops/{ALAN.id}/eink.png")
        assert (answer.status, answer.content_type) == (200, "image/png")
        assert Image.open(io.BytesIO(body)).size == (800, 480)
        assert answer.headers["X-Next-Refresh-S"] == "60"
        etag = answer.headers["ETag"]
        city.clock.ms += 60_000
        answer, body = await city.get(f"/api/stops/{ALAN.id}/eink.png", **{"If-None-Match": etag})
        assert (answer.status, body, answer.headers["ETag"]) == (304, b"", etag)
        assert answer.headers["X-Valid-S"]
        city.hub.replace([arrival(ALAN.id, in_s=500)], [position("101")], city.clock.ms)
        answer, _ = await city.get(f"/api/stops/{ALAN.id}/eink.png", **{"If-None-Match": etag})
        assert answer.status == 200
        assert answer.headers["ETag"] != etag


@with_fonts
async def test_a_picture_that_was_drawn_is_not_drawn_again_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    original = Renderings._drawn

    def counted(self: Renderings, *more: object) -> object:
        drawn.append("one")
        return original(self, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Renderings, "_drawn", counted)
    async with running() as city:
        bodies = [(await city.get(f"/api/stops/{ALAN.id}/eink.png"))[1] for _ in range(3)]
        assert len(set(bodies)) == 1
        assert len(drawn) == 1
        await city.get(f"/api/stops/{ALAN.id}/eink.png", Host="other.example")
        assert len(drawn) == 2  # another address in its code


@with_fonts
async def test_more_pictures_than_can_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 0)
    async with running() as city:
        answer, body = await city.get(f"/api/stops/{ALAN.id}/eink.png")
        assert (answer.status, json.loads(body)["code"], answer.headers["Retry-After"]) == (503, "busy", "2")


async def test_without_a_font_there_is_no_picture_but_all_else(tmp_path: Path) -> None:
    async with running(fonts=tmp_path) as city:
        answer, body = await city.get(f"/api/stops/{ALAN.id}/eink.png")
        assert (answer.status, json.loads(body)["code"]) == (503, "no_font")
        assert (await city.get(f"/api/stops/{ALAN.id}/led"))[0].status == 200


async def test_without_a_voice_the_text_is_there() -> None:
    async with running(voice=Voice("no-such-program")) as city:
        answer, body = await city.get(f"/api/stops/{ALAN.id}/speech?lang=en")
        problem = json.loads(body)
        assert (answer.status, problem["code"]) == (503, "no_voice")
        assert "speech.txt" in problem["rule"]
        answer, body = await city.get(f"/api/stops/{ALAN.id}/speech.txt?lang=en")
        assert answer.status == 200
        assert "Route 10 to Shugyla district: in 6 minutes." in body.decode().splitlines()


async def test_what_is_spoken_is_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[tuple[str, ...], str]] = []

    async def wav(self: Voice, sentences: tuple[str, ...], language: str) -> list[bytes]:
        heard.append((sentences, language))
        return [b"RI", b"FF"]

    monkeypatch.setattr(Voice, "wav", wav)
    async with running() as city:
        answer, body = await city.get(f"/api/stops/{ALAN.id}/speech?lang=ru")
        assert (answer.headers["Content-Type"], body) == ("audio/wav", b"RIFF")
        _, text = await city.get(f"/api/stops/{ALAN.id}/speech.txt?lang=ru")
        assert heard == [(tuple(text.decode().splitlines()), "ru")]
        answer, _ = await city.get(f"/api/stops/{ALAN.id}/speech?lang=ru", **{"If-None-Match": answer.headers["ETag"]})
        assert answer.status == 304
        assert len(heard) == 1


def speak_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speak what is told as its own bytes, in two parts, as a voice does that keeps sentences."""

    async def wav(_voice: Voice, sentences: tuple[str, ...], _language: str) -> list[bytes]:
        said = "|".join(sentences).encode()
        return [said[:20], said[20:]]

    monkeypatch.setattr(Voice, "wav", wav)


async def test_sound_is_given_in_ranges_as_players_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    speak_bytes(monkeypatch)
    async with running() as city:
        path = f"/api/stops/{ALAN.id}/speech?lang=en"
        answer, whole = await city.get(path)
        size = len(whole)
        assert (answer.status, answer.headers["Accept-Ranges"], answer.content_length) == (200, "bytes", size)
        for asked, first, end in (("0-1", 0, 2), ("0-", 0, size), ("18-25", 18, 26), ("-5", size - 5, size)):
            answer, part = await city.get(path, Range=f"bytes={asked}")
            assert (answer.status, part) == (206, whole[first:end])
            assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{size}"
            assert (answer.content_length, answer.headers["Content-Type"]) == (end - first, "audio/wav")
        answer, body = await city.get(path, Range=f"bytes={size}-")
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{size}")
        assert json.loads(body)["code"] == "bad_range"
        for ignored in ("bytes=5-1", "bytes=0-1,3-4", "lines=0-1"):
            answer, body = await city.get(path, Range=ignored)
            assert (answer.status, body) == (200, whole)
        assert b'renderings_total{form="speech",outcome="bad_range"} 1.0' in city.metrics.exposition()


async def test_the_head_of_a_sound_says_its_size_whatever_range_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    speak_bytes(monkeypatch)
    async with running() as city, aiohttp.ClientSession() as http:
        _, whole = await city.get(f"/api/stops/{ALAN.id}/speech?lang=en")
        address = f"http://127.0.0.1:{city.port}/api/stops/{ALAN.id}/speech?lang=en"
        async with http.head(address, headers={"Range": "bytes=0-1"}) as answer:
            assert (answer.status, answer.content_length) == (200, len(whole))


async def test_the_rest_of_a_sound_is_given_only_of_the_sound_that_it_belongs_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speak_bytes(monkeypatch)
    async with running() as city:
        path = f"/api/stops/{ALAN.id}/speech?lang=en"
        answer, before = await city.get(path)
        tag = answer.headers["ETag"]
        assert not tag.startswith("W/")
        answer, part = await city.get(path, **{"Range": "bytes=3-6", "If-Range": tag})
        assert (answer.status, part) == (206, before[3:7])
        city.clock.ms += 60_000
        answer, after = await city.get(path, **{"Range": "bytes=3-6", "If-Range": tag})
        assert (answer.status, len(after) > 20, after != before) == (200, True, True)
        answer, _ = await city.get(path, **{"Range": "bytes=3-6", "If-Range": "Mon, 21 Sep 2026 07:00:00 GMT"})
        assert answer.status == 200
        answer, _ = await city.get(path, **{"Range": "bytes=3-6", "If-None-Match": answer.headers["ETag"]})
        assert answer.status == 304


async def test_a_listening_with_a_name_gets_the_sound_with_which_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    speak_bytes(monkeypatch)
    async with running() as city:
        path = f"/api/stops/{ALAN.id}/speech?lang=en"
        _, whole = await city.get(f"{path}&listen=one")
        city.clock.ms += 60_000
        _, part = await city.get(f"{path}&listen=one", Range="bytes=4-")
        assert part == whole[4:]
        assert (await city.get(f"{path}&listen=two"))[1] != whole
        assert (await city.get(path))[1] != whole
        answer, body = await city.get(f"{path}&listen=%20")
        assert (answer.status, json.loads(body)["field"]) == (400, "listen")


async def test_who_does_not_listen_holds_little_memory_and_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = bytes(200_000)

    async def wav(_voice: Voice, _sentences: tuple[str, ...], _language: str) -> list[bytes]:
        return [sentence] * 100

    limits: list[asyncio.Timeout] = []

    def limit(seconds: float) -> asyncio.Timeout:
        assert seconds == module.LISTEN_MAX_S
        limits.append(asyncio.timeout(seconds))
        return limits[-1]

    monkeypatch.setattr(Voice, "wav", wav)
    monkeypatch.setattr(module, "LISTENERS_MAX", 1)
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**vars(asyncio) | {"timeout": limit}))
    async with running() as city:
        path = f"/api/stops/{ALAN.id}/speech"
        reader, writer = await asyncio.open_connection("127.0.0.1", city.port, limit=1_024)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b"200 OK" in await reader.readline()
        answer, body = await city.get(path)
        assert (answer.status, json.loads(body)["code"]) == (503, "busy")
        limits[0].reschedule(0)  # of the one who does not listen
        while (await city.get(path))[0].status == 503:  # noqa: ASYNC110 - nothing tells that it was let go
            await asyncio.sleep(0.05)
        came = 0
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 20):
                came += len(piece)
        assert came < 20_000_000
        writer.close()


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("/api/stops/nowhere/led", 404, ("unknown_stop", "stop", "nowhere", "no such stop in this city")),
        ("/api/stops/alan/led?width=41", 400, ("bad_parameter", "width", "41", "a whole number from 16 to 40")),
        ("/api/stops/alan/led.txt?encoding=koi8-r", 400, None),
        ("/api/stops/alan/eink.png?width=100000", 400, None),
        ("/api/stops/alan/speech?lang=de", 400, ("bad_parameter", "lang", "de", "one of kk, ru, en")),
        ("/api/stops/alan/eink.png?lang=" + "x" * 2_000, 400, None),
    ],
)
async def test_what_is_wrong_is_refused_with_field_value_and_rule_and_counted(
    path: str, status: int, problem: tuple[str, str, str, str] | None
) -> None:
    async with running() as city:
        answer, body = await city.get(path)
        told = json.loads(body)
        assert answer.status == status
        assert len(body) < 500
        assert problem is None or (told["code"], told["field"], told["value"], told["rule"]) == problem
        assert f'outcome="{told["code"]}"'.encode() in city.metrics.exposition()


async def test_the_page_of_a_panel_is_there_for_stops_that_are() -> None:
    async with running() as city:
        assert (await city.get(f"/led/{ALAN.id}"))[0].status == 200
        assert (await city.get("/led/nowhere"))[0].status == 404
        for name in module.LED_FILES:
            assert (await city.get(f"/static/led/{name}"))[0].status == 200


async def test_every_form_is_described() -> None:
    async with running() as city:
        renderings = Renderings(city.hub, clock=city.clock, metrics=Metrics())  # type: ignore[arg-type]
        paths = describe(OPERATIONS, renderings.routes())["paths"]
    assert set(paths) == {
        f"/api/stops/{{stop_id}}/{form}" for form in ("led", "led.txt", "eink.png", "speech", "speech.txt")
    }
    assert "image/png" in paths["/api/stops/{stop_id}/eink.png"]["get"]["responses"]["200"]["content"]


async def test_requests_beside_each_other_are_all_answered() -> None:
    async with running() as city:
        answers = await asyncio.gather(*(city.get(f"/api/stops/{ALAN.id}/led?width={16 + one}") for one in range(20)))
        assert {answer.status for answer, _ in answers} == {200}
