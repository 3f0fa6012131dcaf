"""The page against the real board server: from a published update to the screen, and back after a restart."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

from ayaldama.web.vendor import INSTALLED, vendor_routes
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from stop_display.server import Boards, BoardSettings
from tests.dispatch.pages import opened, served, until
from tests.dispatch.sightings import NOON_MS, arrival, position, update
from tests.dispatch.small_city import ALAN, network_of
from transit.keys import Keys
from transit.store.redis_state import StateReader, StateWriter

KEYS = Keys("test")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]


@asynccontextmanager
async def boards(redis: Redis, *, port: int = 0, boards_per_address: int = 2_000) -> AsyncIterator[int]:
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS, rate=0.001))  # as good as still
    server = Boards(
        network_of(),
        state=StateReader(redis, KEYS),
        clock=clock,
        metrics=Metrics(),
        settings=BoardSettings(boards_per_address=boards_per_address),
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks, served([*server.routes(), *vendor_routes()], port=port) as at:
        tasks.create_task(server.run(stop))
        yield at
        stop.set()


async def test_what_tracking_publishes_is_on_the_board_and_is_there_again_after_a_restart(
    redis: Redis, chromium: str
) -> None:
    writer = StateWriter(redis, KEYS)
    await writer.replace(update(position("101"), arrival(ALAN.id, in_s=230)))
    async with AsyncExitStack() as first, opened(chromium) as (page, seen):
        port = await first.enter_async_context(boards(redis))
        await page.goto(f"http://127.0.0.1:{port}/board/alan?lang=kk")
        await expect(page.locator("h1")).to_have_text("Орталық алаң")
        row = page.locator(".row[data-state=live]")
        await expect(row.locator(".destination")).to_have_text("Шұғыла мөлтек ауданы")
        await expect(row.locator(".figure span")).to_have_text("3")
        await expect(page.locator(".row")).to_have_count(3)
        await writer.publish(update(arrival(ALAN.id, in_s=700)))
        await expect(row.locator(".figure span")).to_have_text("11")
        assert seen.errors == []
        await page.evaluate("globalThis.sameDocument = true")
        await first.aclose()
        await writer.publish(update(arrival(ALAN.id, in_s=1_300)))
        async with boards(redis, port=port):
            await expect(row.locator(".figure span")).to_have_text("21")
            assert await page.evaluate("globalThis.sameDocument")
            answer = await page.request.get(f"http://127.0.0.1:{port}/board/nowhere")
            assert answer.status == 404
            await page.goto(f"http://127.0.0.1:{port}/board/nowhere?lang=en")
            await expect(page.locator("h1")).to_have_text("There is no such stop: nowhere")


async def test_a_telephone_beyond_the_share_of_its_address_polls(redis: Redis, chromium: str) -> None:
    await StateWriter(redis, KEYS).replace(update(position("101"), arrival(ALAN.id, in_s=230)))
    async with (
        boards(redis, boards_per_address=1) as port,
        opened(chromium) as (first, _),
        opened(chromium) as (second, seen),
    ):
        await first.goto(f"http://127.0.0.1:{port}/board/alan?lang=en")
        await expect(first.locator(".row[data-state=live]")).to_have_count(1)
        await second.goto(f"http://127.0.0.1:{port}/board/alan?lang=en")
        await expect(second.locator(".row[data-state=live]")).to_have_count(1)
        assert await second.evaluate("boardPage.feed.session") == ""  # of a socket there would be one
        assert seen.errors == []


async def test_a_board_keeps_the_real_timetable_and_shows_it_when_the_server_has_gone(
    redis: Redis, chromium: str
) -> None:
    writer = StateWriter(redis, KEYS)
    await writer.replace(update(position("101"), arrival(ALAN.id, in_s=230)))
    async with AsyncExitStack() as serving, opened(chromium) as (page, _):
        port = await serving.enter_async_context(boards(redis))
        await page.goto(f"http://127.0.0.1:{port}/board/alan?lang=en")
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)
        await page.evaluate("boardPage.kept.renew(boardPage.feed)")
        await until(page, "boardPage.kept.of('alan') && Object.keys(boardPage.kept.of('alan').days).length === 2")
        await page.evaluate("keepPage()")
        await until(page, "navigator.serviceWorker.controller")
        cached = "caches.open('ayaldama-board-1').then(cache => cache.keys()).then(all => window.cached = all.length)"
        await until(page, f"({cached}, window.cached > 15)")
        await serving.aclose()
        await page.reload()
        await expect(page.locator("h1")).to_have_text("Central square")
        await expect(page.locator("#banner")).to_contain_text("No live data.")
        await expect(page.locator(".row")).to_have_count(3)
        assert await page.locator("[data-state=live]").count() == 0
        async with boards(redis, port=port):
            await expect(page.locator(".row[data-state=live]")).to_have_count(1)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is missing: make voices")
async def test_the_board_is_heard_in_ranges_of_one_sound(redis: Redis, chromium: str) -> None:
    await StateWriter(redis, KEYS).replace(update(position("101"), arrival(ALAN.id, in_s=230)))
    async with boards(redis) as port, opened(chromium) as (page, _):
        address = f"http://127.0.0.1:{port}/api/stops/alan/speech?"
        asked = []
        page.on("response", lambda answer: asked.append((answer.url, answer.status)))
        await page.goto(f"http://127.0.0.1:{port}/board/alan?lang=ru")
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)
        await page.locator("#listen").click()
        await until(page, "boardPage.audio.currentTime > 0")
        await page.evaluate("boardPage.audio.currentTime = boardPage.audio.duration - 0.5")
        await until(page, "boardPage.audio === null")  # it came to the end
        sounds = {(url, status) for url, status in asked if url.startswith(address)}
        assert len({url for url, _ in sounds}) == 1
        assert {status for _, status in sounds} == {206}


async def test_the_timetable_of_a_stop_is_served_by_date_and_refused_clearly(redis: Redis) -> None:
    await StateWriter(redis, KEYS).replace(update())
    async with boards(redis) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        async with http.get("/api/stops/alan/timetable") as answer:
            today = await answer.json()
            assert (answer.status, today["stop"], today["date"], len(today["lines"])) == (200, "alan", "2026-09-21", 3)
            tag = answer.headers["ETag"]
        async with http.get("/api/stops/alan/timetable?date=2026-09-21", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
        async with http.get("/api/stops/nowhere/timetable") as answer:
            assert (answer.status, (await answer.json())["field"]) == (404, "stop")
        async with http.get("/api/stops/alan/timetable?date=yesterday") as answer:
            refused = await answer.json()
            assert (answer.status, refused["field"], refused["value"]) == (400, "date", "yesterday")
            assert "YYYY-MM-DD from 2026-09-20 to 2026-09-28" in refused["rule"]
        async with http.get("/board-worker.js") as answer:
            assert (answer.status, answer.content_type) == (200, "text/javascript")
