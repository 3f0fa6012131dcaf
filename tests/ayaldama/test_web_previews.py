"""The boards on the index page: previews say what each line is in, the search leads to the right platform."""

import asyncio

import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

import ayaldama.web
from ayaldama.web.vendor import INSTALLED
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from dispatch.live import LiveMap
from stop_display.server import Boards, BoardSettings
from tests.dispatch.pages import opened, served
from tests.dispatch.sightings import NOON_MS, arrival, position, update
from tests.dispatch.small_city import ALAN, network_of
from transit.keys import Keys
from transit.store.redis_state import StateReader, StateWriter

KEYS = Keys("test")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "maplibre-gl").exists(), reason="browser files are missing: make vendor"),
]


async def test_previews_and_search_lead_to_boards(redis: Redis, chromium: str) -> None:
    await StateWriter(redis, KEYS).replace(
        update(
            position("101"),
            arrival(ALAN.id, in_s=20),
            arrival(ALAN.id, in_s=200, vehicle_id="102", run_key="10-0|b"),
        )
    )
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS, rate=0.001))  # as good as still
    network, state, stop = network_of(), StateReader(redis, KEYS), asyncio.Event()
    live = LiveMap(network, state=state, clock=clock, metrics=Metrics())
    boards = Boards(network, state=state, clock=clock, metrics=Metrics(), settings=BoardSettings())
    index = ayaldama.web.routes(network, redis=redis, keys=KEYS, clock=clock)
    async with (
        asyncio.TaskGroup() as tasks,
        served([*index, *live.routes(), *boards.routes()]) as port,
        opened(chromium, language="ru") as (page, seen),
    ):
        tasks.create_task(live.run(stop))
        tasks.create_task(boards.run(stop))
        await page.goto(f"http://127.0.0.1:{port}/")
        card = page.locator("#cards > li", has_text="Центральная площадь")
        rows = card.locator("li")
        await expect(rows.nth(0)).to_contain_text("мкр Шугыла")
        await expect(rows.nth(0).locator(".when[data-live=yes]")).to_have_text("прибывает")
        await expect(rows.nth(1).locator(".when")).to_have_text("3 мин")
        await expect(page.locator("#cards > li", has_text="Аэропорт")).to_have_count(0)  # only ends lines: no board
        await page.locator("#find").fill("алан")
        found = page.locator("#found a")
        await expect(found).to_have_count(1)
        await expect(found.locator("small")).to_have_text("→ Ж/д вокзал, мкр Шугыла · 2, 10")
        await found.click()
        await expect(page.locator("h1")).to_have_text("Центральная площадь")
        assert seen.errors == []
        stop.set()
