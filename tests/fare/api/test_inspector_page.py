"""The inspector's page in a real Chromium: one hand, a moving bus, no connection."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from commons.logs import configure_logs
from tests.dispatch.pages import Seen, opened, served, until
from tests.fare.api.desk import PIN
from tests.fare.api.town import Town
from tests.fare.inspection.bus import Bus, code_of
from tests.fare.inspection.verdict_cases import TAPS

FAINT_TEXTS = (Path(__file__).parents[2] / "dispatch" / "contrast.js").read_text(encoding="utf-8")

BUS = Bus(taps=TAPS)

pytestmark = pytest.mark.browser


class Server:
    """The server of the page, which a test can take away and bring back on the same port."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self._running = AsyncExitStack()

    async def start(self) -> None:
        self.town.port = await self._running.enter_async_context(
            served(self.town.inspection().routes(), port=self.town.port)
        )

    async def stop(self) -> None:
        await self._running.aclose()


@asynccontextmanager
async def inspecting(
    chromium: str,
    *,
    language: str = "en",
    bus: Bus | None = None,
    theme: Literal["light", "dark"] = "light",
    width: int = 390,
) -> AsyncIterator[tuple[Page, Seen, Server]]:
    """Open the page on a phone, sign in and open the bus."""
    server = Server(Town(bus))
    await server.start()
    async with opened(chromium, language=language, theme=theme, width=width, height=780) as (page, seen):
        await page.goto(f"http://127.0.0.1:{server.town.port}/inspector/")
        await until(page, "document.body.dataset.ready")
        await page.fill("#number", "7")
        await page.fill("#pin", PIN)
        await page.click("#sign-in button")
        await page.fill("#vehicle", "bus-7")
        await page.click("#bus button")
        await expect(page.locator("#on-bus")).to_be_visible()
        yield page, seen, server
    await server.stop()


async def check(page: Page, code: str, *, boarded_before: bool = True) -> None:
    await page.fill("#code", code)
    await page.set_checked("#boarded-before", boarded_before)
    await page.click("#check .main")


async def picture(page: Page, name: str, tmp_path: Path) -> None:
    await page.screenshot(path=tmp_path / f"{name}.png")


async def test_paid_four_minutes_ago_on_this_bus_adult_valid_until(chromium: str, tmp_path: Path) -> None:
    async with inspecting(chromium) as (page, seen, server):
        await check(page, code_of("paid"))
        await expect(page.locator("#standing")).to_have_text("Paid")
        await expect(page.locator("#detail")).to_have_text(
            re.compile(r"paid 4 min ago on this bus, adult, valid until \d\d:\d\d")
        )
        await expect(page.locator("#warn")).to_be_hidden()
        await picture(page, "paid", tmp_path)
    assert seen.hosts == {f"127.0.0.1:{server.town.port}"}
    assert seen.errors == []


UNNAMED = """() => [...document.querySelectorAll("input, button")].filter(
    (one) => one.checkVisibility() && !one.labels?.length && !one.textContent.trim()).length"""
SMALL = """() => [...document.querySelectorAll("input, button")].filter(
    (one) => one.checkVisibility() && Math.min(one.offsetHeight, one.offsetWidth) < 24).length"""


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_language_and_theme_is_readable(
    chromium: str, tmp_path: Path, theme: Literal["light", "dark"]
) -> None:
    said = {"kk": "Төленбеген", "ru": "Не оплачено", "en": "Not paid"}
    async with inspecting(chromium, theme=theme, width=320) as (page, _, _):
        await check(page, code_of("nobody"))
        for language, standing in said.items():
            await page.click(f"#languages [lang={language}]")
            await expect(page.locator("#standing")).to_have_text(standing)
            await picture(page, f"{language}-{theme}", tmp_path)
            assert await page.evaluate(FAINT_TEXTS) == [], "WCAG 2.2, 1.4.3: 4.5 to 1"
            fits = await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
            assert fits, "WCAG 2.2, 1.4.10: no scrolling in two directions at 320 pixels"
            assert await page.evaluate(UNNAMED) == 0, "WCAG 2.2, 4.1.2: every control has a name"
            assert await page.evaluate(SMALL) == 0, "WCAG 2.2, 2.5.8: targets of 24 pixels"


async def test_each_answer_has_its_words(chromium: str) -> None:
    bus = Bus(taps=TAPS)
    answers = [
        (
            Bus(taps=TAPS, left_stop="9:30"),
            "nobody",
            False,
            "Still time to pay",
            "Not paid; the passenger has time until the next stop: Базар",
        ),
        (Bus(taps=TAPS, reported="6:59"), "nobody", True, "Not known", "nobody may be warned now"),
        (Bus(rides_free=True), "nobody", True, "Rides free", "nothing is to be paid on this bus"),
        (bus, "family", True, "Paid", "paid 5 min ago on this bus, adult, child × 2"),
        (bus, "over", True, "Ride is over", "paid 10 min ago on this bus, was valid until"),
        (bus, "other", True, "Paid on another bus", "paid 9 min ago on another bus"),
        (bus, "refused", True, "Refused by the validator", "held to the validator 3 min ago"),
    ]
    async with inspecting(chromium) as (page, _, server):
        for seen_bus, who, before, standing, detail in answers:
            server.town.desk.vehicles["bus-7"] = seen_bus.facts()
            await check(page, code_of(who), boarded_before=before)
            await expect(page.locator("#standing")).to_have_text(standing)
            await expect(page.locator("#detail")).to_contain_text(detail)
            founded = standing in {"Ride is over", "Paid on another bus", "Refused by the validator"}
            await expect(page.locator("#warn")).to_be_visible(visible=founded)


async def test_without_a_connection_it_goes_on_and_sends_what_was_recorded_later(chromium: str, tmp_path: Path) -> None:
    async with inspecting(chromium) as (page, _, server):
        await until(page, "navigator.serviceWorker.controller")
        await server.stop()
        await check(page, code_of("paid"))
        await expect(page.locator("#standing")).to_have_text("Paid")
        await expect(page.locator("#offline")).to_be_visible()
        await check(page, code_of("nobody"))
        await expect(page.locator("#standing")).to_have_text("Not paid")
        await page.click("#warn")
        await page.click("#protocol")
        await expect(page.locator("#waiting")).to_have_text("To be sent: 2")
        await picture(page, "offline", tmp_path)
        await page.reload()
        await until(page, "document.body.dataset.ready")
        await expect(page.locator("#waiting")).to_have_text("To be sent: 2")
        await check(page, code_of("family"))
        await expect(page.locator("#standing")).to_have_text("Paid")
        assert server.town.desk.records == []
        await server.start()
        await page.evaluate("() => dispatchEvent(new Event('online'))")
        await expect(page.locator("#waiting")).to_be_hidden()
        entries = [record.entry for record in server.town.desk.records]
    assert [(entry.step.value, entry.person_id, entry.fine_tiyn) for entry in entries] == [
        ("warning", "7", 0),
        ("protocol", "7", 865_000),
    ]
    assert entries[0].case_id == entries[1].case_id


async def test_an_entry_whose_number_is_taken_is_said_to_be_refused_and_can_be_recorded_again(
    chromium: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logs("test", level="INFO")
    said = {
        "kk": ("Жазылмады", "Ескерту, bus-7 автобусы", "Осы нөмірмен басқа жазба бар"),
        "ru": ("Не записано", "Предупреждение, автобус bus-7", "Под её номером уже есть другая запись"),
        "en": ("Not recorded", "Warning, bus bus-7", "Check the passenger and record it again; tell the office."),
    }
    async with inspecting(chromium, width=320) as (page, _, server):
        await page.evaluate("() => { crypto.real = crypto.randomUUID; crypto.randomUUID = () => 'always the same'; }")
        await check(page, code_of("nobody"))
        await page.click("#warn")
        await expect(page.locator("#waiting")).to_be_hidden()
        await expect(page.locator("#refused")).to_be_hidden()
        await check(page, code_of("over"))
        await page.click("#warn")
        await expect(page.locator("#refused")).to_be_visible()
        await expect(page.locator("#waiting")).to_be_hidden()
        await expect(page.locator("#recorded")).to_be_hidden()
        for language, (title, entry, why) in said.items():
            await page.click(f"#languages [lang={language}]")
            await expect(page.locator("#refused h2")).to_have_text(title)
            await expect(page.locator("#refused li")).to_contain_text(entry)
            await expect(page.locator("#refused li")).to_contain_text(why)
            await picture(page, f"refused-{language}", tmp_path)
            assert await page.evaluate(FAINT_TEXTS) == [], "WCAG 2.2, 1.4.3: 4.5 to 1"
            assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
            assert await page.evaluate(SMALL) == 0
        await page.reload()
        await until(page, "document.body.dataset.ready")
        await expect(page.locator("#refused li")).to_have_count(1)
        await page.click("#refused-read")
        await expect(page.locator("#refused")).to_be_hidden()
        await check(page, code_of("over"))
        await page.click("#warn")
        await expect(page.locator("#recorded")).to_be_visible()
        await expect(page.locator("#waiting")).to_be_hidden()
        assert [record.entry.verdict.standing for record in server.town.desk.records] == ["not_paid", "expired"]
        counted = server.town.metrics.exposition().decode()
        assert re.search(r'inspection_entries_total\{(?=.*step="warning").*outcome="key_reused".*\} 1', counted)
    logged = capfd.readouterr()
    assert "entry of a case refused" in logged.out + logged.err
    assert "always the same" in logged.out + logged.err


async def test_a_live_phone_is_paid_and_a_screenshot_of_it_is_not_the_live_code(chromium: str, tmp_path: Path) -> None:
    async with inspecting(chromium) as (page, _, server):
        await until(page, "navigator.serviceWorker.controller")
        for _ in range(2):  # with the server, and then without
            await check(page, BUS.code("phone family"))
            await expect(page.locator("#standing")).to_have_text("Paid")
            await check(page, BUS.code("picture family"))
            await expect(page.locator("#standing")).to_have_text("Not the live code")
            await expect(page.locator("#warn")).to_be_visible()
            await check(page, BUS.code("stranger family"))
            await expect(page.locator("#standing")).to_have_text("Not paid")
            await server.stop()
        await picture(page, "screenshot-refused", tmp_path)


@pytest.mark.parametrize("connected", [True, False])
async def test_a_forwarded_message_is_shown_already_and_the_page_says_when(chromium: str, *, connected: bool) -> None:
    async with inspecting(chromium) as (page, _, server):
        await until(page, "navigator.serviceWorker.controller")
        if not connected:
            await server.stop()
        ticket = BUS.code("ticket paid")
        await check(page, ticket)
        await expect(page.locator("#standing")).to_have_text("Paid")
        await page.click("#check .main")
        await expect(page.locator("#standing")).to_have_text("Paid")  # the same passenger, asked again
        await check(page, ticket)
        await expect(page.locator("#standing")).to_have_text("Shown already")
        await expect(page.locator("#detail")).to_contain_text(re.compile(r"for adult, and that was shown at \d\d:\d\d"))
        if not connected:
            await server.start()
            await page.evaluate("() => dispatchEvent(new Event('online'))")
            await expect(page.locator("#offline")).to_be_hidden()
        taps = server.town.desk.vehicles["bus-7"].taps
        assert [len(tap.shown) for tap in taps if tap.medium_id == "paid"] == [1], "the server knows it too"


async def test_the_answer_to_one_passenger_does_not_stand_beside_the_code_of_the_next(chromium: str) -> None:
    async with inspecting(chromium) as (page, _, _):
        await check(page, code_of("nobody"))
        await expect(page.locator("#verdict")).to_be_visible()
        await page.fill("#code", code_of("paid")[:4])
        await expect(page.locator("#verdict")).to_be_hidden()
        await expect(page.locator("#boarded-before")).not_to_be_checked()


async def test_a_mistyped_code_is_said_to_be_one_and_costs_nobody_a_warning(chromium: str) -> None:
    async with inspecting(chromium) as (page, _, server):
        code = code_of("paid")
        await check(page, code[:-1] + str((int(code[-1]) + 1) % 10))
        await expect(page.locator("#complaint")).to_have_text("This is no code: ten digits, please check them.")
        await expect(page.locator("#verdict")).to_be_hidden()
    assert server.town.desk.looks == []


async def test_who_signs_out_leaves_nothing_on_the_phone(chromium: str) -> None:
    async with inspecting(chromium) as (page, _, _):
        await page.click("#sign-out")
        await expect(page.locator("#sign-in")).to_be_visible()
        assert await page.evaluate("() => Object.keys(localStorage).filter((key) => key.includes('inspector'))") == []


async def test_a_wrong_pin_is_said_in_the_language_chosen(chromium: str) -> None:
    server = Server(Town())
    await server.start()
    async with opened(chromium, language="ru", width=390) as (page, _):
        await page.goto(f"http://127.0.0.1:{server.town.port}/inspector/")
        await until(page, "document.body.dataset.ready")
        await page.fill("#number", "7")
        await page.fill("#pin", "0000")
        await page.click("#sign-in button")
        await expect(page.locator("#complaint")).to_have_text("Неверный номер или ПИН-код.")
        assert await page.input_value("#pin") == ""
        await page.click("#languages [lang=kk]")
        await expect(page.locator("h1")).to_have_text("Бақылау")
        assert await page.evaluate("() => document.documentElement.lang") == "kk"
    await server.stop()
