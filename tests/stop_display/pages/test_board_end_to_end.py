"""The page against the real board server: from a published update to the screen, and back after a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

from ayaldama.web.vendor import INSTALLED, vendor_routes
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from stop_display.server import Boards, BoardSettings
from tests.dispatch.pages import opened, served
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
async def boards(redis: Redis, *, port: int = 0) -> AsyncIterator[int]:
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS))
    server = Boards(
        network_of(),
        state=StateReader(redis, KEYS),
        clock=clock,
        metrics=Metrics(),
        settings=BoardSettings(),
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
