"""The boards on the index page: previews say what each line is in, the search leads to the right platform."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Route, expect
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


@asynccontextmanager
async def served_index(redis: Redis) -> AsyncIterator[str]:
    """Serve the index page, boards and map of what Redis knows; give the address."""
    clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS, rate=0.001))  # as good as still
    network, state, stop = network_of(), StateReader(redis, KEYS), asyncio.Event()
    live = LiveMap(network, state=state, clock=clock, metrics=Metrics())
    boards = Boards(network, state=state, clock=clock, metrics=Metrics(), settings=BoardSettings())
    index = ayaldama.web.routes(network, redis=redis, keys=KEYS, clock=clock)
    async with asyncio.TaskGroup() as tasks, served([*index, *live.routes(), *boards.routes()]) as port:
        tasks.create_task(live.run(stop))
        tasks.create_task(boards.run(stop))
        yield f"http://127.0.0.1:{port}/"
        stop.set()


async def test_previews_and_search_lead_to_boards(redis: Redis, chromium: str) -> None:
    await StateWriter(redis, KEYS).replace(
        update(
            position("101"),
            arrival(ALAN.id, in_s=20),
            arrival(ALAN.id, in_s=200, vehicle_id="102", run_key="10-0|b"),
        )
    )
    async with served_index(redis) as url, opened(chromium, language="ru") as (page, seen):
        await page.goto(url)
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


async def test_lines_by_headway_say_how_often_and_one_number_where_it_is_one(redis: Redis, chromium: str) -> None:
    async def by_headway(route: Route) -> None:
        answer = await (await route.fetch()).json()
        (line, *_) = answer["board"]["lines"]
        often = (("1", [900, 900]), ("2", [600, 1_200]))
        answer["board"]["lines"] = [
            {**line, "key": name, "route": name, "state": "headway", "arrivals": [], "headway_s": headway_s}
            for name, headway_s in often
        ]
        await route.fulfill(json=answer)

    await StateWriter(redis, KEYS).replace(update(position("101"), arrival(ALAN.id, in_s=20)))
    async with served_index(redis) as url, opened(chromium, language="en") as (page, seen):
        await page.route("**/api/stops/*/board", by_headway)
        await page.goto(url)
        card = page.locator("#cards > li", has_text="Central square")
        await expect(card.locator(".when")).to_have_text(["every 15 min", "every 10–20 min"])
        await page.unroute_all(behavior="wait")
        assert seen.errors == []
