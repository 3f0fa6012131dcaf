"""The page of telephones in a real Chromium: by keyboard, in three languages, on a narrow screen, in the dark."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from ayaldama.demo_sms.centre import MessageCentre, ToPhone
from ayaldama.demo_sms.page import EmulatorPage
from ayaldama.demo_sms.phones import READY, PhoneMessage, Phones
from ayaldama.web.vendor import vendor_routes
from commons.clock import SystemClock, wall_ms
from commons.metrics import Metrics
from fare.gateways.smpp import SmppBind, SmppClient
from tests.dispatch.pages import Seen, opened, served, until
from tests.fare.gateways.message_centre import CODE, Desk, door_to

FAINT_TEXTS = (Path(__file__).parents[1] / "dispatch" / "contrast.js").read_text(encoding="utf-8")
TICKET = "Билет 101 №1 90₸ 26.11 16:53-18:53 код 4904819937"

pytestmark = pytest.mark.browser


class Network:
    """The network behind the page, and a city that answers each message with a ticket once it is bound."""

    def __init__(self) -> None:
        self.phones = Phones()
        self.centre = MessageCentre({"kcell": "s3cret", "beeline": "s3cret"}, show=self._show)
        self.desk = Desk(lambda _: TICKET)

    def page(self) -> EmulatorPage:
        return EmulatorPage(self.centre, self.phones, short_code=CODE, clock=SystemClock())

    async def _show(self, message: ToPhone) -> None:
        shown = PhoneMessage(number=0, at_ms=wall_ms(), mine=False, short_code=message.short_code, text=message.text)
        await self.phones.add(message.number, shown)

    @asynccontextmanager
    async def answering(self, port: int) -> AsyncIterator[None]:
        bind = SmppBind(operator="kcell", host="127.0.0.1", port=port, system_id="kcell", password="s3cret")
        client = SmppClient(bind, door_to(self.desk), chance=lambda: 0.0, clock=SystemClock(), metrics=Metrics())
        running = asyncio.create_task(client.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def emulator(
    chromium: str, *, language: str = "en", theme: Literal["light", "dark"] = "light", width: int = 1000
) -> AsyncIterator[tuple[Page, Seen, Network, int]]:
    """Open the page; give the port of its centre too."""
    network = Network()
    async with (
        network.centre.serving("127.0.0.1", 0) as smpp_port,
        served([*network.page().routes(), *vendor_routes()]) as port,
        opened(chromium, language=language, theme=theme, width=width, height=900) as (page, seen),
    ):
        await page.goto(f"http://127.0.0.1:{port}/sms/emulator")
        await until(page, "document.body.dataset.ready")
        yield page, seen, network, smpp_port
        await page.goto("about:blank")  # it holds a request open


async def test_a_number_typed_and_sent_by_keyboard_is_answered_with_a_ticket(chromium: str, tmp_path: Path) -> None:
    async with emulator(chromium) as (page, seen, network, port), network.answering(port):
        await page.focus("#text")
        await page.keyboard.type("101")
        await expect(page.locator("#count")).to_have_text("3 characters, 1 SMS")
        await page.keyboard.press("Enter")
        await expect(page.locator("#messages li")).to_have_count(2)
        await expect(page.locator("#messages li").last).to_contain_text(TICKET)
        await expect(page.locator("#messages li").first).to_contain_text("You")
        await page.screenshot(path=tmp_path / "ticket.png")
        assert seen.errors == []
    assert [one.text for one in network.desk.taken] == ["101"]


async def test_while_the_city_is_away_the_page_says_that_messages_wait(chromium: str) -> None:
    async with emulator(chromium) as (page, _, network, port):
        await page.fill("#text", "101")
        await page.click("#compose button[type=submit]")
        await expect(page.locator("#messages li")).to_have_count(1)
        await expect(page.locator("#network")).to_contain_text("waits and arrives later")
        async with network.answering(port):
            await expect(page.locator("#messages li")).to_have_count(2)


async def test_each_telephone_has_its_own_messages_and_any_number_can_be_taken(chromium: str) -> None:
    async with emulator(chromium) as (page, _, network, port), network.answering(port):
        await page.fill("#text", "101")
        await page.click("#compose button[type=submit]")
        await expect(page.locator("#messages li")).to_have_count(2)
        await page.fill("#other-number", "12345")
        await page.press("#other-number", "Enter")
        await expect(page.locator("#other-wrong")).to_have_text("This is no mobile number of Kazakhstan.")
        await page.fill("#other-number", "8 (701) 555-44-33")
        await page.press("#other-number", "Enter")
        await expect(page.locator("#messages li")).to_have_count(0)
        await expect(page.locator("#phones label")).to_have_count(len(READY) + 1)
        await page.check(f"#phones input[value='{READY[0].number}']")
        await expect(page.locator("#messages li")).to_have_count(2)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_text_is_there_and_readable_also_on_a_narrow_screen(
    chromium: str, theme: Literal["light", "dark"]
) -> None:
    async with emulator(chromium, theme=theme, width=320) as (page, seen, network, port):
        async with network.answering(port):
            await page.fill("#text", "101")
            await page.click("#compose button[type=submit]")
            await expect(page.locator("#messages li")).to_have_count(2)
        for language in ("kk", "ru", "en"):
            await page.click(f"#languages button[lang={language}]")
            empty = await page.evaluate(
                "() => [...document.querySelectorAll('[data-text]')].filter((e) => !e.textContent.trim()).length"
            )
            wide = await page.evaluate("() => document.documentElement.scrollWidth")
            assert (empty, wide, await page.evaluate(FAINT_TEXTS), seen.hosts) == (0, 320, [], {page.url.split("/")[2]})
            assert await page.locator("html").get_attribute("lang") == language
