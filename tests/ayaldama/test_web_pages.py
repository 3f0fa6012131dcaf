"""Index page, figures and browser files: from our own server, from a closed list, in three languages."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

import ayaldama.web
import dispatch
from ayaldama.web.city import city_of
from ayaldama.web.vendor import INSTALLED, SUBSETS, WEIGHTS, vendor_files
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from dispatch.live import LiveMap
from fare.keys import FareKeys
from tests.dispatch.pages import opened, served
from tests.dispatch.sightings import NOON_MS, position, update
from tests.dispatch.small_city import ALAN, BAZAR, SHUGYLA, VOKZAL, Line, Stop, network_of
from transit.keys import Keys
from transit.store.redis_state import StateReader, StateWriter

KEYS = Keys("test")
KAZAKH = "ӘәҒғҚқҢңӨөҰұҮүҺһІі"
FIGURES = {
    "as_of_ms": NOON_MS,
    "buses": 187,
    "positions_per_s": 4.5,
    "mae_s_by_horizon": {"0-3": 14.2, "12-30": 71.3},
    "within_bounds_pct": 91.4,
    "fix_to_board_ms": {"p50": 212, "p99": 431},
}
MONEY = {"as_of_ms": NOON_MS, "taps_per_minute": 140, "revenue_tiyn": 90_000, "subsidy_tiyn": 900, "denied": 3}
TAPS = {
    "taps": {"taps_per_minute": 140, "green_pct": 97.1, "screen_port": 8090, "screen_vehicle": "101"},
    "fares": {
        "inspector": "7001",
        "pin": "471100",
        "check_codes": {"adult": "1078510595"},
        "phone": "+77011112210",
        "bus_paths": {"101": "/b/signed"},
    },
    "fare_port": 8070,
    "phone_port": 8072,
}

needs_browser_files = pytest.mark.skipif(
    not (INSTALLED / "maplibre-gl").exists(), reason="browser files are missing: make vendor"
)


@asynccontextmanager
async def pages(redis: Redis, *, installed: Path = INSTALLED) -> AsyncIterator[str]:
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS))
    live, stop = LiveMap(network_of(), state=StateReader(redis, KEYS), clock=clock, metrics=Metrics()), asyncio.Event()
    index = ayaldama.web.routes(network_of(), redis=redis, keys=KEYS, clock=clock, installed=installed)
    async with asyncio.TaskGroup() as tasks, served([*index, *live.routes()]) as port:
        tasks.create_task(live.run(stop))
        yield f"http://127.0.0.1:{port}"
        stop.set()


async def get(url: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with aiohttp.ClientSession(auto_decompress=False) as http, http.get(url, headers=headers) as answer:
        return answer, await answer.read()


def code_points(ranges: str) -> set[int]:
    found: set[int] = set()
    for first, last in re.findall(r"U\+([0-9A-F]+)(?:-([0-9A-F]+))?", ranges):
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


def faces() -> dict[tuple[str, int], set[int]]:
    """Return subset, weight → code points, as ``fonts.css`` says."""
    css = Path(ayaldama.web.__file__).with_name("fonts.css").read_text()
    rule = re.compile(r"golos-text-([a-z-]+)-(\d+)\.woff2.*?unicode-range: ([^;]+);", re.DOTALL)
    return {(subset, int(weight)): code_points(ranges) for subset, weight, ranges in rule.findall(css)}


def test_every_letter_is_in_exactly_one_font_file_of_each_weight() -> None:
    assert faces().keys() == {(subset, weight) for subset in SUBSETS for weight in WEIGHTS}
    for weight in WEIGHTS:
        parts = [faces()[subset, weight] for subset in SUBSETS]
        assert sum(map(len, parts)) == len(set.union(*parts)), weight
        assert set(map(ord, KAZAKH + "ЁёЯя№₸Az09–→"[:-1])) <= set.union(*parts)
    assert {ord("Ұ"), ord("ұ"), ord("І"), ord("і")} <= faces()["cyrillic", 400]
    assert {ord(letter) for letter in "ӘәҒғҚқҢңӨөҮүҺһ"} <= faces()["cyrillic-ext", 400]


def test_map_labels_take_letters_from_the_same_files_as_the_page() -> None:
    script = (Path(dispatch.__file__).parent / "web" / "basemap.js").read_text()
    table = script.partition("const RANGES = {")[2].partition("};")[0]
    labels = {subset: code_points(ranges) for subset, ranges in re.findall(r'"?([a-z-]+)"?: \[([^\]]+)\]', table)}
    assert labels.keys() == set(SUBSETS)
    assert all(labels[subset] <= faces()[subset, 500] for subset in SUBSETS)
    assert set(map(ord, KAZAKH)) <= set.union(*labels.values())


@needs_browser_files
async def test_browser_files_are_served_with_type_tag_and_gzip(redis: Redis) -> None:
    async with pages(redis) as base:
        for path, file in vendor_files().items():
            answer, body = await get(base + path, **{"Accept-Encoding": "identity"})
            assert (answer.status, len(body)) == (200, (INSTALLED / file).stat().st_size), path
        script, packed = await get(base + "/vendor/maplibre/maplibre-gl.mjs", **{"Accept-Encoding": "gzip"})
        assert (script.content_type, script.headers["Content-Encoding"]) == ("text/javascript", "gzip")
        assert gzip.decompress(packed) == (INSTALLED / "maplibre-gl/dist/maplibre-gl.mjs").read_bytes()
        font, _ = await get(base + "/vendor/fonts/golos-text-cyrillic-ext-400.woff2", **{"Accept-Encoding": "gzip"})
        assert (font.content_type, font.headers.get("Content-Encoding")) == ("font/woff2", None)
        assert "max-age=86400" in font.headers["Cache-Control"]
        first, _ = await get(base + "/vendor/fonts.css")
        again, body = await get(base + "/vendor/fonts.css", **{"If-None-Match": f'"x", {first.headers["ETag"]}'})
        assert (again.status, body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/vendor/maplibre/../../package.json",
        "/vendor/..%2f..%2fpyproject.toml",
        "/vendor/%2e%2e/%2e%2e/pyproject.toml",
        "/vendor/maplibre-gl/package.json",
        "/vendor/maplibre/maplibre-gl-dev.mjs",
        "/vendor/fonts/golos-text-latin-900.woff2",
        "/vendor/",
        "//etc/passwd",
        "/static/index/__init__.py",
    ],
)
async def test_nothing_beside_the_list_can_be_had(redis: Redis, path: str) -> None:
    async with pages(redis) as base:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
        writer.write(f"GET {path} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == b"404"
        writer.close()


async def test_files_that_are_not_installed_say_what_to_do(redis: Redis, tmp_path: Path) -> None:
    async with pages(redis, installed=tmp_path) as base:
        answer, body = await get(base + "/vendor/maplibre/maplibre-gl.mjs")
        assert (answer.status, body) == (404, b"browser library or font is not installed: run make vendor")


async def test_figures_are_passed_on_or_absent(redis: Redis) -> None:
    async with pages(redis) as base:
        _, body = await get(base + "/api/demo")
        assert json.loads(body)["figures"] is None
        await redis.set(KEYS.demo, json.dumps(FIGURES))
        answer, body = await get(base + "/api/demo")
        assert json.loads(body)["figures"] == FIGURES
        assert answer.headers["Cache-Control"] == "no-store"


def near(stop: Stop, number: int) -> Stop:
    return Stop(
        id=f"{stop.id}-{number}", kk=f"{stop.kk} {number}", ru=stop.ru, en=stop.en, lat=stop.lat + 1e-4, lon=stop.lon
    )


def test_featured_stops_are_busy_and_not_all_of_one_place() -> None:
    lines = [Line(route=str(i), direction=0, stops=(ALAN, near(ALAN, 1), BAZAR)) for i in range(3)]
    lines.append(Line(route="9", direction=0, stops=(VOKZAL, SHUGYLA)))
    city = city_of(network_of(lines))
    featured: list[Any] = [stop.id for stop in city.featured]
    assert featured == ["alan", "vokzal"]  # nobody boards where lines end
    assert city.featured[0].name == {"kk": ALAN.kk, "ru": ALAN.ru, "en": ALAN.en}
    assert (city.routes, city.stops) == (4, 5)


@needs_browser_files
@pytest.mark.browser
async def test_the_index_page_speaks_three_languages_and_shows_what_is_known(redis: Redis, chromium: str) -> None:
    await StateWriter(redis, KEYS).replace(update(position("101"), position("102", phase="silent")))
    async with pages(redis) as base, opened(chromium, language="kk-KZ", width=390, height=800) as (page, seen):
        await page.goto(base)
        await expect(page.locator("h1")).to_have_text("Автобустың қайда екенін аялдама біледі")
        await expect(page.locator("#no-figures")).to_contain_text("Симулятор істеп тұрған жоқ")
        await expect(page.locator("#figures")).to_be_hidden()
        await expect(page.locator("#sketch circle")).to_have_count(1)  # a silent bus is not shown as driving
        await redis.set(KEYS.demo, json.dumps(FIGURES))
        await expect(page.locator("[data-figure=buses]")).to_contain_text("187")
        await expect(page.locator("[data-figure=positions]")).to_contain_text("4,5")
        await expect(page.locator("[data-figure=delay]")).to_contain_text("212 мс")
        await expect(page.locator("#errors li")).to_have_count(2)
        await expect(page.locator("#fares")).to_be_hidden()
        await redis.set(FareKeys(KEYS.city).figures, json.dumps(MONEY))
        await redis.set(KEYS.demo, json.dumps(FIGURES | TAPS))
        await expect(page.locator("[data-figure=taps]")).to_contain_text("140")
        await expect(page.locator("[data-figure=revenue]")).to_contain_text("900 ₸")
        await expect(page.locator("#open-validator")).to_have_text("101 автобусының валидаторы")
        await expect(page.locator("#open-inspector")).to_have_attribute(
            "href", re.compile(r":8070/inspector/\?lang=kk")
        )
        await expect(page.locator("#inspector-text")).to_contain_text("7001")
        await expect(page.locator("#phone-text")).to_contain_text("+77011112210")
        await expect(page.locator("#open-bus-qr")).to_have_attribute("href", re.compile(":8072/b/signed"))
        await page.locator("#languages button", has_text="en").click()
        await expect(page.locator("h1")).to_have_text("The stop knows where the bus is")
        await expect(page.locator("#errors li").first).to_contain_text("0–3 min ahead")
        await expect(page.locator("[data-figure=positions]")).to_contain_text("4.5")
        await redis.set(KEYS.demo, json.dumps({"as_of_ms": NOON_MS - 120_000, "buses": 5}))
        await expect(page.locator("#age")).to_contain_text("The simulator is not running")
        await expect(page.locator("[data-figure=delay]")).to_be_hidden()
        await expect(page.locator("#three a")).to_have_count(3)
        await expect(page.locator("#cards > li")).to_have_count(4)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        assert seen.hosts == {base.removeprefix("http://")}
        assert "/vendor/fonts/golos-text-cyrillic-ext-700.woff2" in seen.paths
