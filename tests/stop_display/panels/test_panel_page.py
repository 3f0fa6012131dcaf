"""A registered board in a real Chromium: from its key to the picture, what it is told, and that it is found out."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import asyncpg
import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from ayaldama.web.vendor import INSTALLED
from fare.people import Role
from stop_display.panels import desk as desk_module
from stop_display.panels import judgement, store
from stop_display.panels.judgement import Standing
from tests.axe import needs_axe, violations
from tests.dispatch.pages import Seen, opened, until
from tests.dispatch.sightings import arrival, position, update
from tests.dispatch.small_city import ALAN, BAZAR, TWO_ROUTES, Line, Stop
from tests.patience import PATIENCE_MS, PATIENCE_S
from tests.stop_display.panels.city import KEYS, PASSWORD, FleetCity, employed, fleet_city, registered
from transit.store.redis_state import StateWriter

FAINT_TEXTS = (Path(__file__).parents[2] / "dispatch" / "contrast.js").read_text(encoding="utf-8")
STREET = tuple(
    Stop(id=f"s{n}", kk=f"Көше {n}", ru=f"Улица {n}", en=f"Street {n}", lat=44.8 + n / 5_000, lon=65.5)
    for n in range(301)
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes minutes at a stop takes seconds here."""
    monkeypatch.setattr(desk_module, "REPORT_MIN_S", 0)
    monkeypatch.setattr(desk_module, "SHARE_S", 0.1)


@asynccontextmanager
async def on_the_wall(
    redis: Redis, pool: asyncpg.Pool, chromium: str, **config: Any
) -> AsyncIterator[tuple[FleetCity, Page, Seen]]:
    """Register a board at the central square and open it with its key; a bus comes in 239 s."""
    await StateWriter(redis, KEYS).replace(update(position("101"), arrival(ALAN.id, in_s=239)))
    async with opened(chromium) as (page, seen), fleet_city(redis, pool, report_every_s=0.6) as city:
        key = await registered(city, **{"language": "kk", **config})
        await page.goto(f"{city.at}/panel#{key}")
        await expect(page.locator(".row").first).to_be_visible(timeout=PATIENCE_MS)
        yield city, page, seen


async def told(city: FleetCity, **changes: Any) -> None:
    panel = await store.find_panel(city.pool, "kiosk-4")
    assert panel is not None
    await store.set_config(city.pool, panel.name, dataclasses.replace(panel.config, **changes))


async def stands(page: Page, city: FleetCity, standing: Standing, code: str = "") -> None:
    """Wait until the server judges the board so."""
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s:
        judged = city.desk.judgements()["kiosk-4"]
        if judged.standing is standing and (not code or code in {remark.code for remark in judged.remarks}):
            return
        await page.wait_for_timeout(50)
    raise AssertionError(f"{judged} and not {standing} {code}")


async def test_from_a_key_to_the_picture_and_the_key_is_not_in_the_address(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    async with on_the_wall(redis, fare_postgres, chromium) as (city, page, seen):
        await expect(page.locator("h1")).to_have_text(ALAN.kk)
        await expect(page.locator(".row[data-state=live] .figure span")).to_have_text("3")
        assert page.url == f"{city.at}/board/alan?mode=panel&lang=kk&theme=dark&board=kiosk-4&fleet=1"
        await stands(page, city, Standing.OK)
        report = city.desk.reported("kiosk-4")
        assert report is not None
        assert report.differs == []
        assert ("10", "3", "live") in {(row.route, row.figure, row.state) for row in report.health.rows}
        assert report.health.frames >= 1
        assert report.health.heap_bytes
        assert city.desk.connected("kiosk-4") == 1
        await page.goto(f"{city.at}/panel")  # as when the kiosk starts again
        await expect(page.locator("h1")).to_have_text(ALAN.kk)
        assert seen.errors == []
        assert not any("#" in path for path in seen.paths)


async def test_it_becomes_what_it_is_told_within_seconds_and_reloads_when_asked(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    async with on_the_wall(redis, fare_postgres, chromium) as (city, page, seen):
        await told(city, language="ru", theme="light")
        await expect(page.locator("h1")).to_have_text(ALAN.ru)
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")
        await told(city, stops=(BAZAR.id,), language="ru")
        await expect(page.locator("h1")).to_have_text(BAZAR.ru)
        await stands(page, city, Standing.OK)
        await page.evaluate("globalThis.sameDocument = true")
        async with page.expect_event("load"):
            assert await store.ask_reload(city.pool, "kiosk-4") == 1
        assert not await page.evaluate("globalThis.sameDocument")
        await expect(page.locator(".row").first).to_be_visible()
        assert seen.errors == []


async def test_it_does_not_leave_its_page_for_one_that_cannot_be_had(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    async with on_the_wall(redis, fare_postgres, chromium) as (city, page, _):
        await page.evaluate("globalThis.sameDocument = true")
        await page.route("**/board/alan?*", lambda route: route.abort())
        async with page.expect_event("requestfailed"):
            await store.ask_reload(city.pool, None)
        await page.wait_for_timeout(300)
        assert await page.evaluate("globalThis.sameDocument")
        await expect(page.locator(".row").first).to_be_visible()
        async with page.expect_event("load", timeout=PATIENCE_MS):
            await page.unroute("**/board/alan?*")
        assert not await page.evaluate("globalThis.sameDocument")


async def test_outside_its_hours_it_is_black_and_nobody_is_called(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    # It is 18:13 in the small city.
    async with on_the_wall(redis, fare_postgres, chromium, hours="05:30-23:00") as (city, page, seen):
        await expect(page.locator(".black")).to_have_count(0)
        await told(city, hours="05:30-17:00")
        await expect(page.locator(".black")).to_be_visible()
        async with asyncio.timeout(PATIENCE_S):
            while not ((last := city.desk.reported("kiosk-4")) and last.health.off):
                await page.wait_for_timeout(50)
        judged = city.desk.judgements()["kiosk-4"]
        assert (judged.standing, judged.remarks) == (Standing.OFF, ())
        await told(city, hours="17:00-01:00")
        await expect(page.locator(".black")).to_be_hidden()
        await stands(page, city, Standing.OK)
        assert seen.errors == []


async def test_a_board_that_shows_something_else_is_found_out(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    async with on_the_wall(redis, fare_postgres, chromium) as (city, page, _):
        await stands(page, city, Standing.OK)
        await page.evaluate("() => setInterval(() => (document.querySelector('.figure span').textContent = '77'), 20)")
        await stands(page, city, Standing.WRONG, "figure")


async def test_a_board_whose_page_died_is_dark_and_one_with_errors_says_so(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_the_wall(redis, fare_postgres, chromium) as (city, page, _):
        # The two hundredth half letter is the first half of one: cut there, the report would be no text.
        await page.evaluate("() => setTimeout(() => { throw new Error('a screw is loose!' + '🔩'.repeat(100)) })")
        await stands(page, city, Standing.OK, "script_errors")
        monkeypatch.setattr(judgement, "DARK_AFTER_S", 2.0)
        await page.goto("about:blank")
        await stands(page, city, Standing.DARK, "not_heard")


async def test_a_revoked_board_says_so_and_takes_another_key(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    async with on_the_wall(redis, fare_postgres, chromium) as (city, page, _):
        await store.revoke(city.pool, "kiosk-4")
        for language, word in (("kk", "кілті"), ("ru", "Ключ"), ("en", "key")):
            await expect(page.locator(f"#said p[lang={language}]")).to_contain_text(word)
        await page.fill("#key", await registered(city, "kiosk-5", BAZAR.id, language="en"))
        await page.click("button")
        await expect(page.locator("h1")).to_have_text(BAZAR.en)


@pytest.mark.parametrize(
    ("language", "dark", "in_turn"),
    [
        ("kk", "үнсіз", "үш тілде кезекпен"),
        ("ru", "не слышно", "три языка по очереди"),
        ("en", "dark", "three languages in turn"),
    ],
)
async def test_the_control_room_sees_who_needs_somebody_first(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str, tmp_path: Path, language: str, dark: str, in_turn: str
) -> None:
    async with on_the_wall(redis, fare_postgres, chromium) as (city, board, _):
        await registered(city, "depot")
        await stands(board, city, Standing.OK)
        await employed(fare_postgres, "nurlan", Role.DISPATCHER)
        async with opened(chromium, language=language, width=390, height=800) as (page, seen):
            await page.goto(f"{city.at}/boards")
            await expect(page.locator("#sign-in")).to_be_visible()
            await expect(page.locator("#fleet")).to_be_hidden()
            seen.errors.clear()  # the browser writes down that nobody was signed in
            await page.fill("#name", "nurlan")
            await page.fill("#password", PASSWORD)
            await page.click("#sign-in button")
            rows = page.locator("#rows tr")
            await expect(rows).to_have_count(2)
            names = [await rows.nth(n).get_attribute("data-panel") for n in range(2)]
            assert names == ["depot", "kiosk-4"]
            await expect(rows.nth(0).locator(".standing")).to_have_text(dark)
            await expect(page.locator("[data-count=dark] b")).to_have_text("1")
            await expect(rows.nth(0)).to_contain_text(in_turn)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert await page.evaluate(FAINT_TEXTS) == []
            await page.screenshot(path=tmp_path / f"fleet-{language}.png", full_page=True)
            async with board.expect_event("load"):
                await rows.nth(1).locator("button").click()
            await expect(page.locator("#said")).to_contain_text("kiosk-4")
            async with page.expect_response("**/api/boards/fleet"):
                pass  # the list is asked for again, and made anew
            await page.wait_for_timeout(100)
            assert await page.evaluate("document.activeElement.closest('tr').dataset.panel") == "kiosk-4"
            await page.click("#sign-out")
            await expect(page.locator("#sign-in")).to_be_visible()
            await page.goto(f"{city.at}/boards/wall")  # in the language that was chosen, whatever the browser's
            await expect(page.locator("html")).to_have_attribute("lang", language)
            assert [error for error in seen.errors if "401" not in error] == []


async def test_the_wall_shows_three_hundred_boards_as_they_are_told(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    writer = StateWriter(redis, KEYS)
    await writer.replace(update(position("101"), arrival(ALAN.id, in_s=239)))
    lines = (*TWO_ROUTES, Line(route="7", direction=0, stops=STREET))
    async with opened(chromium, language="en") as (page, seen), fleet_city(redis, fare_postgres, lines=lines) as city:
        await page.goto(f"{city.at}/boards/wall")
        await expect(page.locator(".board")).to_have_count(300)
        await expect(page.locator("#shown")).to_have_text("1–300 of 306 stops")
        await expect(page.locator("#connected")).to_have_text("all 15 connections are up")
        await until(page, "document.querySelectorAll('.board:not([data-quality])').length === 0")
        live = page.locator(".board[data-stop=alan] [data-state=live] .figure")
        await expect(live).to_have_text("3 min")
        await writer.publish(update(arrival(ALAN.id, in_s=719)))
        await expect(live).to_have_text("11 min")
        await page.fill("#filter", "street 12")
        shown = page.locator(".board:visible")
        await expect(shown).to_have_count(11)
        await expect(shown.first.locator("h2 a")).to_have_text("Street 12")
        await page.click("#after")
        await expect(page.locator(".board")).to_have_count(6)
        assert seen.errors == []


@needs_axe
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_wrong_with_the_pages_of_the_fleet(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str, theme: Literal["light", "dark"]
) -> None:
    async with on_the_wall(redis, fare_postgres, chromium) as (city, board, _):
        assert await violations(board) == []
        await registered(city, "depot", hours="05:30-17:00")
        await employed(fare_postgres, "nurlan", Role.DISPATCHER)
        async with opened(chromium, theme=theme) as (page, _):
            await page.goto(f"{city.at}/panel#nonsense")
            await expect(page.locator("#form")).to_be_visible()
            assert await violations(page) == []
            await page.goto(f"{city.at}/boards")
            await expect(page.locator("#sign-in")).to_be_visible()
            assert await violations(page) == []
            await page.fill("#name", "nurlan")
            await page.fill("#password", PASSWORD)
            await page.click("#sign-in button")
            await expect(page.locator("#rows tr")).to_have_count(2)
            assert await violations(page) == []
            await page.goto(f"{city.at}/boards/wall")
            await until(page, "document.querySelectorAll('.board[data-quality=live] li').length >= 5")
            assert await violations(page) == []


async def test_several_stops_stand_as_the_configuration_says_and_speech_is_as_loud(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    await StateWriter(redis, KEYS).replace(update(position("101"), arrival(ALAN.id, in_s=239)))
    async with fleet_city(redis, fare_postgres, report_every_s=0.6) as city, opened(chromium) as (page, seen):
        key = await registered(city, "kiosk-4", ALAN.id, BAZAR.id, layout="stacked", volume=40)
        await page.goto(f"{city.at}/panel#{key}")
        await expect(page.locator(".stop")).to_have_count(2)
        await expect(page.locator("body")).to_have_attribute("data-columns", "1")
        await stands(page, city, Standing.OK)
        report = city.desk.reported("kiosk-4")
        assert report is not None
        assert {row.stop for row in report.health.rows} == {ALAN.id, BAZAR.id}
        assert await page.evaluate("(boardPage.listen(), boardPage.audio.volume)") == pytest.approx(0.4)
        seen.errors.clear()  # there is no voice here
        await told(city, layout="columns")
        await expect(page.locator("body")).to_have_attribute("data-columns", "2")


async def test_a_kiosk_that_starts_without_its_server_goes_to_its_board(
    redis: Redis, fare_postgres: asyncpg.Pool, chromium: str
) -> None:
    await StateWriter(redis, KEYS).replace(update(position("101"), arrival(ALAN.id, in_s=239)))
    async with AsyncExitStack() as serving, opened(chromium) as (page, _):
        city = await serving.enter_async_context(fleet_city(redis, fare_postgres, report_every_s=0.6))
        await page.goto(f"{city.at}/panel#{await registered(city)}")
        await expect(page.locator(".row").first).to_be_visible(timeout=PATIENCE_MS)
        await until(page, "boardPage.kept.of('alan')")
        for name in ("/panel", "/board", "/static/panel/panel.js", "/static/board/health.js"):
            async with asyncio.timeout(PATIENCE_S):
                while not await page.evaluate(f"caches.match('{name}').then(Boolean)"):
                    await page.wait_for_timeout(50)
        await serving.aclose()
        await page.goto(f"{city.at}/panel")
        await expect(page.locator("h1")).to_have_text(ALAN.kk)
        assert "/board/alan?" in page.url
        assert await page.locator("[data-state=live]").count() == 0
