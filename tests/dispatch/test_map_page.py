"""The live map page in a real Chromium: what a dispatcher sees, and that nobody else hears of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

import ayaldama.web
from ayaldama.web.vendor import INSTALLED
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from dispatch.live import LiveMap
from tests.dispatch.pages import Seen, opened, served, until
from tests.dispatch.sightings import NOON_MS, arrival, detour, position, update
from tests.dispatch.small_city import ALAN, AUEZHAI, BAZAR, SHUGYLA, network_of
from tests.patience import PATIENCE_MS
from transit.keys import Keys
from transit.store.redis_state import StateReader, StateWriter

KEYS = Keys("test")
RATE = 0.001  # the city's time all but stands still, so that what is said of it does not hang on a machine's speed
FAINT_TEXTS = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "maplibre-gl").exists(), reason="browser files are missing: make vendor"),
]


@dataclass(slots=True)
class City:
    """The server of the pages, which a test can take away and bring back on the same port."""

    redis: Redis
    writer: StateWriter
    clock: SystemClock
    port: int = 0

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        network, stop = network_of(), asyncio.Event()
        live = LiveMap(network, state=StateReader(self.redis, KEYS), clock=self.clock, metrics=Metrics())
        pages = ayaldama.web.routes(network, redis=self.redis, keys=KEYS, clock=self.clock)
        async with asyncio.TaskGroup() as tasks, served([*live.routes(), *pages], port=self.port) as port:
            self.port = port
            tasks.create_task(live.run(stop))
            yield
            stop.set()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


async def city_with_buses(redis: Redis) -> City:
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS, rate=RATE))
    writer = StateWriter(redis, KEYS)
    await writer.replace(
        update(
            position("101", lat=44.8510, lon=65.5050),
            position("102", phase="layover", lat=44.8420, lon=65.5240, next_stop_id=SHUGYLA.id),
            position("103", phase="silent", fix_ms=NOON_MS - 600_000, lat=44.8450, lon=65.5150),
            position(
                "104", route_id="2", pattern=2, run_key="2-0|2026-09-21", lat=44.80, lon=65.55, next_stop_id=AUEZHAI.id
            ),
            position(
                "105", phase="unassigned", route_id="", pattern=-1, run_key="", next_stop_id="", deviation_s=None,
                offset_m=None, lat=44.84, lon=65.51,
            ),
            arrival(ALAN.id, in_s=200),
            arrival(BAZAR.id, in_s=420, sequence=2),
        )
    )  # fmt: skip
    return City(redis=redis, writer=writer, clock=clock)


async def ready(page: Page) -> None:
    await expect(page.locator("#feed")).to_have_attribute("data-state", "live")


def drawn(layer: str) -> str:
    """Return JavaScript for what the map draws of a layer."""
    return f"(liveMap.map.getLayer('{layer}') ? liveMap.map.queryRenderedFeatures({{layers: ['{layer}']}}) : [])"


async def shown_at(page: Page, vehicle_id: str) -> tuple[float, float]:
    """Where the marker of a vehicle is on the map, in pixels of the page."""
    found = await page.evaluate(
        """id => {
            liveMap.markers.draw(performance.now());
            const marker = liveMap.markers.drawn.find(one => one.id === id);
            const box = document.getElementById("vehicles").getBoundingClientRect();
            return marker && [marker.x + box.left, marker.y + box.top];
        }""",
        vehicle_id,
    )
    return found[0], found[1]


def no_complaints(seen: Seen, city: City) -> None:
    assert seen.hosts == {f"127.0.0.1:{city.port}"}
    assert seen.errors == []
    assert seen.failures == []


async def test_the_map_shows_the_city_in_kazakh_and_asks_nobody_but_us(redis: Redis, chromium: str) -> None:
    city = await city_with_buses(redis)
    async with city.served(), opened(chromium, language="kk") as (page, seen):
        await page.goto(city.url("/map"))
        await ready(page)
        await expect(page.locator("h1")).to_have_text("Автобустар картасы")
        await expect(page.locator("#phases button[data-phase=silent]")).to_contain_text("Байланыс жоқ1")
        rows = page.locator("#list .row")
        await expect(rows).to_have_count(5)
        await expect(rows.nth(0)).to_have_text(re.compile(r"2→ Қызылорда әуежайыҚызылорда әуежайы\+1104"))
        await page.evaluate("liveMap.map.jumpTo({center: [65.515, 44.845], zoom: 14.2})")
        await until(page, f"{drawn('stop-names')}.length >= 3")
        labels = await page.evaluate(f"{drawn('stop-names')}.map(one => one.properties.name_kk)")
        assert {"Орталық алаң", "Сыбаға базары", "Теміржол вокзалы"} <= set(labels)
        assert {f"/vendor/fonts/golos-text-{subset}-500.woff2" for subset in ("cyrillic", "cyrillic-ext")} <= seen.paths

        await page.mouse.click(*await shown_at(page, "101"))
        card = page.locator("#card")
        await expect(card.locator("h2")).to_have_text("Автобус 101")
        await page.locator("#languages button", has_text="ru").click()
        await expect(card.locator(".card-facts")).to_contain_text("Центральная площадь · 3 мин")
        await expect(card.locator(".card-facts")).to_contain_text("опаздывает на 1 мин")
        await expect(card.locator(".card-ahead li")).to_have_count(2)
        await expect(page.locator('.row[data-vehicle="101"]')).to_have_attribute("aria-pressed", "true")
        chosen = f"{drawn('route-chosen')}.map(one => one.properties.route)"
        await until(page, f"{chosen}.includes('10') && !{chosen}.includes('2')")
        await card.locator(".card-ahead button", has_text="Рынок").click()
        await expect(card.locator("a.button")).to_have_attribute("href", "/board/bazar?lang=ru")
        await page.keyboard.press("Escape")
        await expect(card).to_be_hidden()
        no_complaints(seen, city)


async def test_vehicles_glide_to_where_they_are_known_to_be_and_filters_find_them(redis: Redis, chromium: str) -> None:
    city = await city_with_buses(redis)
    async with city.served(), opened(chromium, language="en") as (page, seen):
        await page.goto(city.url("/map"))
        await ready(page)
        before = await shown_at(page, "101")
        moved = update(position("101", lat=44.8510, lon=65.5080, fix_ms=NOON_MS + 1_000), as_of_ms=NOON_MS + 1_000)
        await city.writer.publish(moved)
        await until(page, "liveMap.fleet.vehicles.get('101').lon === 65.508")
        between = await shown_at(page, "101")
        await until(page, "!liveMap.fleet.moving(performance.now())")
        after = await shown_at(page, "101")
        assert before[0] <= between[0] <= after[0]
        assert after[0] > before[0] + 2

        rows = page.locator("#list .row")
        await page.locator("#routes button", has_text=re.compile("^2$")).click()
        await expect(rows).to_have_count(1)
        await page.locator("#all-routes").click()
        await page.locator("#phases button[data-phase=layover]").click()
        await expect(rows).to_have_count(1)
        await page.locator("#phases button[data-phase=layover]").click()
        await page.locator("#search").fill("105")
        await expect(rows).to_have_text(["–Bus 105No route105"])
        await page.locator("#search").fill("sybaga")
        await expect(page.locator("#found-stops button")).to_have_text(["Sybaga market"])
        await page.locator("#search").fill("")
        await expect(rows).to_have_count(5)
        await rows.first.focus()
        for key in ("ArrowDown", "ArrowDown", "Enter"):
            await page.keyboard.press(key)
        await expect(page.locator("#card h2")).to_have_text("Bus 102")
        assert await page.evaluate("document.querySelectorAll('#list [tabindex=\"0\"]').length") == 1

        await city.writer.publish(update(as_of_ms=NOON_MS + 2_000, gone=("101",)))
        await expect(rows).to_have_count(4)
        no_complaints(seen, city)


DETOUR_WORDS = {
    "kk": ("Айналма жол расталды", "Теміржол вокзалы – Сыбаға базары аралығында", "Айналма жолмен келеді"),
    "ru": ("Объезд подтверждён", "Между остановками Ж/д вокзал и Рынок «Сыбага»", "Едет в объезд"),
    "en": ("Detour confirmed", "Between Railway station and Sybaga market", "On a detour"),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_detour_is_told_listed_and_drawn_until_it_is_over(
    redis: Redis, chromium: str, theme: Literal["light", "dark"]
) -> None:
    city = await city_with_buses(redis)
    async with city.served(), opened(chromium, language="en", width=1200, height=820, theme=theme) as (page, seen):
        await page.goto(city.url("/map"))
        await ready(page)
        listed = page.locator("#detours")
        await expect(listed).to_be_hidden()
        await city.writer.publish(
            update(detour(under_way=["101"]), position("101", phase="off_route", lat=44.8500, lon=65.5020))
        )
        await expect(listed.locator(".detour")).to_have_count(1)
        await listed.locator(".detour").click()
        card = page.locator("#card")
        for language, (state, place, doing) in DETOUR_WORDS.items():
            await page.locator("#languages button", has_text=language).click()
            await expect(listed.locator(".detour-place")).to_have_text(place)
            await expect(listed.locator(".detour-state")).to_have_text(state)
            await expect(card.locator(".card-facts")).to_contain_text("101, 102")
            await expect(card.locator(".missed li")).to_have_count(1)
            await expect(page.locator('.row[data-vehicle="101"]')).to_contain_text(doing)
        for layer in ("detour-left-out", "detour-path", "detour-missed", "detour-missed-cross"):
            await until(page, f"{drawn(layer)}.length >= 1")
        assert await page.evaluate(FAINT_TEXTS) == []
        await card.locator(".missed button").click()
        await expect(card.locator("a.button")).to_have_attribute("href", "/board/alan?lang=en")

        standing = detour(since_ms=NOON_MS - 200_000_000, standing=True)
        await city.writer.publish(update(standing))
        await expect(listed.locator(".detour-state")).to_have_text("Line in the feed probably wrong")
        await expect(listed.locator(".row-detail")).to_contain_text("since 19.09 ")
        await city.writer.publish(update(detour(state="over")))
        await expect(listed).to_be_hidden()
        await until(page, f"{drawn('detour-left-out')}.length === 0")
        no_complaints(seen, city)


async def test_the_map_says_that_it_is_cut_off_or_old_and_recovers_by_itself(redis: Redis, chromium: str) -> None:
    city = await city_with_buses(redis)
    feed, banner = "#feed", "#banner"
    async with AsyncExitStack() as first, opened(chromium, language="en", theme="dark") as (page, _):
        await first.enter_async_context(city.served())
        await page.goto(city.url("/map"))
        await ready(page)
        await page.evaluate("globalThis.sameDocument = true")
        await first.aclose()
        await expect(page.locator(feed)).to_have_attribute("data-state", "lost")
        await expect(page.locator(banner)).to_contain_text("No connection to the server")
        await city.writer.publish(update(position("106")))
        city.clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS + 45_000, rate=RATE))
        async with city.served():
            await expect(page.locator(feed)).to_have_attribute("data-state", "old")
            await expect(page.locator(banner)).to_contain_text("What you see is old")
            await expect(page.locator("#list .row")).to_have_count(6)
            await city.writer.publish(update(as_of_ms=NOON_MS + 46_000))  # told by the next heartbeat
            await expect(page.locator(feed)).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
            await expect(page.locator(banner)).to_be_hidden()
            assert await page.evaluate("globalThis.sameDocument")


async def test_a_telephone_shows_map_or_list_and_changes_language_at_once(redis: Redis, chromium: str) -> None:
    city = await city_with_buses(redis)
    async with city.served(), opened(chromium, language="en", width=360, height=720) as (page, seen):
        await page.goto(city.url("/map?lang=ru"))
        await ready(page)
        await expect(page.locator("#list")).to_be_hidden()
        await page.locator("#switch-view").click()
        await expect(page.locator("h1")).to_have_text("Карта автобусов")
        await page.locator("#languages button", has_text="kk").click()
        await expect(page.locator("h1")).to_have_text("Автобустар картасы")
        assert await page.evaluate("document.documentElement.lang") == "kk"
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
        await page.locator(".row").first.click()
        await expect(page.locator("#card h2")).to_have_text("Автобус 104")
        await expect(page.locator("#map")).to_be_visible()
        no_complaints(seen, city)
