"""The page that draws an LED panel does what a panel must: pages in turn, on where it was, dark when it is too old."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from ayaldama.web.vendor import vendor_routes
from commons.assets import asset_route
from commons.texts import LANGUAGES, load_catalogue
from stop_display.rendering_routes import LED_FILES, WEB, led_texts
from tests.axe import needs_axe, violations
from tests.dispatch.pages import served
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.page_time import settled

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGES = [["10 Шұғыла      6 мин", "3 Вокзал       қазір"], ["12 Базар       12:17", ""], ["Көше жабық", ""]]


@dataclass(slots=True)
class Panel:
    """The server's side; ``down`` makes it fail."""

    pages: list[list[str]] = field(default_factory=lambda: list(PAGES))
    expiration_s: float = 90
    down: bool = False
    refused: int = 0
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if self.refused:
            told = {"code": "", "field": "width", "value": "99", "rule": "a whole number from 16 to 40"}
            return web.json_response(told, status=self.refused)
        if self.down:
            raise web.HTTPServiceUnavailable(text="{}", content_type="application/json")
        pages: list[dict[str, Any]] = [
            {"top": lines[0], "bottom": lines[1], "lines": lines, "duration": 5, "language": "kk"}
            for lines in self.pages
        ]
        told = {"pages": pages, "width": 20, "expiration_s": self.expiration_s, "refresh_s": 20}
        return web.json_response(text=json.dumps(told))

    def routes(self) -> list[web.RouteDef]:
        async def texts(_: web.Request) -> web.Response:
            return web.json_response(led_texts())

        async def name(_: web.Request) -> web.Response:
            return web.json_response({"board": {"name": {"kk": "Алаң", "ru": "Площадь", "en": "Square"}}})

        return [
            asset_route("/led/{stop}", WEB / "led.html"),
            web.get("/api/stops/{stop}/led", self.answer),
            web.get("/api/stops/{stop}/board", name),
            web.get("/static/led/texts.json", texts),
            *(asset_route(f"/static/led/{name}", WEB / name) for name in LED_FILES),
            *vendor_routes(),
        ]


@asynccontextmanager
async def watched(opened: Opened, panel: Panel, query: str = "") -> AsyncIterator[Page]:
    async with served(panel.routes()) as port, opened(virtual_time=True) as (page, seen):
        await page.goto(f"http://127.0.0.1:{port}/led/alan{query}")
        yield page
        assert [error for error in seen.errors if "503" not in error] == []


async def live_through(page: Page, seconds: int) -> None:
    """Let the panel ask and turn its pages; each answer is there before time goes on."""
    for _ in range(seconds):
        await page.clock.run_for(1_000)
        await settled(page)


async def shows(page: Page, lines: list[str]) -> None:
    await expect(page.locator("#panel")).to_have_attribute("aria-label", "\n".join(lines).strip() or "LED")


async def lit(page: Page) -> int:
    """Return how many pixels of the panel shine."""
    return int(
        await page.evaluate(
            """() => {
              const panel = document.getElementById("panel");
              const dots = panel.getContext("2d").getImageData(0, 0, panel.width, panel.height).data;
              let count = 0;
              for (let at = 0; at < dots.length; at += 4) if (dots[at] > 200) count += 1;
              return count;
            }"""
        )
    )


async def test_pages_come_in_turn_and_an_answer_does_not_begin_anew(opened: Opened) -> None:
    panel = Panel()
    async with watched(opened, panel) as page:
        await shows(page, PAGES[0])
        assert await lit(page) > 1_000
        for turn in range(1, 9):  # 40 s: two more answers come meanwhile
            await live_through(page, 5)
            await shows(page, PAGES[turn % 3])
        assert len(panel.asked) >= 2


async def test_what_is_too_old_goes_dark_and_comes_back(opened: Opened) -> None:
    panel = Panel()
    async with watched(opened, panel) as page:
        await shows(page, PAGES[0])
        panel.down = True
        await live_through(page, 85)
        assert await lit(page) > 500
        await live_through(page, 6)
        await shows(page, ["", ""])
        assert await lit(page) == 0
        panel.down = False
        await live_through(page, 25)
        await expect(page.locator("#panel")).not_to_have_attribute("data-dark", "yes")
        assert await lit(page) > 500


async def test_what_the_address_says_is_asked_for(opened: Opened) -> None:
    panel = Panel()
    async with watched(opened, panel, "?width=20&lang=rotate&lines=2&other=1") as page:
        await shows(page, PAGES[0])
        assert panel.asked[0] == "/api/stops/alan/led?width=20&lines=2&lang=rotate"


async def test_what_is_chosen_goes_into_the_address_and_languages_are_those_of_all_pages(opened: Opened) -> None:
    panel = Panel()
    async with served(panel.routes()) as port, opened(language="ru", width=360) as (page, seen):
        await page.goto(f"http://127.0.0.1:{port}/led/alan?other=1")
        await expect(page.locator("h1")).to_have_text("LED · Площадь")
        await expect(page.locator("#stop")).to_have_attribute("href", "/board/alan")
        await page.select_option("#lang", "rotate")
        await page.wait_for_url("**/led/alan?other=1&lang=rotate")
        await page.select_option("#width", "16")
        await page.wait_for_url("**/led/alan?other=1&lang=rotate&width=16")
        await shows(page, PAGES[0])
        assert panel.asked[-1] == "/api/stops/alan/led?width=16&lang=rotate"
        await page.click("#languages [lang=en]")
        await expect(page.locator("h1")).to_have_text("LED · Square")
        await page.reload()
        await expect(page.locator("label[for=lines]")).to_have_text("Lines")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert seen.errors == []


@pytest.mark.parametrize(
    ("status", "said"), [(404, "This city has no stop 99."), (400, "width = 99: a whole number from 16 to 40")]
)
async def test_what_is_wrong_is_said_in_words(opened: Opened, status: int, said: str) -> None:
    async with served(Panel(refused=status).routes()) as port, opened(language="en") as (page, _):
        await page.goto(f"http://127.0.0.1:{port}/led/99")
        await expect(page.locator("#state")).to_have_text(said)


async def test_the_font_has_every_letter_that_is_said(opened: Opened) -> None:
    said = {
        letter
        for room in ("stop_display", "stop_display.renderings")
        for language in LANGUAGES
        for text in load_catalogue(room)[language].values()
        for letter in text + text.upper()
    } | set("ӘәҒғҚқҢңӨөҰұҮүҺһІіЁё0123456789~:/-«»№")
    async with watched(opened, Panel()) as page:
        lacking = await page.evaluate("(said) => said.filter((one) => !LED_FONT.glyphs[one])", sorted(said))
        assert lacking == []


@needs_axe
@pytest.mark.parametrize("down", [False, True])
async def test_axe_finds_nothing_wrong(opened: Opened, down: bool) -> None:
    async with served(Panel(down=down).routes()) as port, opened() as (page, _):
        await page.goto(f"http://127.0.0.1:{port}/led/alan")
        if down:
            await expect(page.locator("#state")).not_to_be_empty()
        else:
            await shows(page, PAGES[0])
        assert await violations(page) == []
