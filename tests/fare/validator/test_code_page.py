"""A phone's code shown to a validator at work: pasted, or typed by a scanner that is a keyboard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Page, expect

from ayaldama.web.vendor import INSTALLED, vendor_routes
from commons.clock import SystemClock, wall_ms
from fare.model import MediumKind
from fare.phone.own_qr import listed, own_code
from fare.store.publishing import Publisher
from fare.validator.deny_list import PHONES, SEEN, build_list_of_values
from fare.validator.rules import Configuration, FarePeriod, FareTable, KindRules, Price
from fare.validator.run import ValidatorSettings, enrol_device, open_validator
from tests.dispatch.pages import opened, stand_still
from tests.fare.phone.camera import camera_that_sees
from tests.fare.phone.phones import MEDIUM, key, private
from tests.fare.validator.cards import ADULT
from tests.fare.validator.city import City, city_of
from tests.patience import PATIENCE_S

AHEAD_MS = -8_000  # a phone's clock may be ahead a little: its code is good for the longer then
UNKNOWN = "This code is not known here yet. Show it again in a moment, or pay by the bus's code"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="browser files are missing: make vendor"),
]


def code(name: str = "ann", *, ago_ms: int = 0) -> str:
    return own_code(private(name), city="kzo", now_ms=wall_ms() - ago_ms)


async def take_phones(city: City) -> None:
    """Publish that phones are taken, what they pay, and the key of one."""
    publisher, now_ms = Publisher(city.store, city="kzo", key=city.key), wall_ms()
    price = Price(kind=MediumKind.PHONE, category=ADULT, tiyn=9_000)
    period = FarePeriod(version="2026-2", from_ms=0, until_ms=2 * now_ms, prices=(price,))
    await publisher.configuration(Configuration(kinds=(KindRules(kind=MediumKind.PHONE),)), now_ms, from_ms=0)
    await publisher.fares(FareTable(periods=(period,)), now_ms)
    await publisher.tokens(PHONES, build_list_of_values(dict([listed(key("ann", until_ms=2 * now_ms))])), now_ms)
    await publisher.media(SEEN, [MEDIUM], now_ms)


@asynccontextmanager
async def in_bus(
    pool: asyncpg.Pool, folder: Path, chromium: str, flags: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Page, City]]:
    async with city_of(pool) as city:
        await take_phones(city)
        await enrol_device(folder, city.url, await city.code())
        settings = ValidatorSettings(folder=folder, port=0, emulate=True)
        async with (
            open_validator(settings, clock=SystemClock(), more_routes=vendor_routes()) as port,
            opened(chromium, language="en", width=1024, height=900, flags=flags) as (page, _),
        ):
            await stand_still(page)  # an answer stays on the screen until it was read
            await page.goto(f"http://127.0.0.1:{port}/")
            await expect(page.locator("#facts")).to_have_text("Phone 90 ₸")
            yield page, city


async def test_a_live_code_is_green_a_picture_and_a_strangers_code_are_red(
    postgres: asyncpg.Pool, tmp_path: Path, chromium: str
) -> None:
    async with in_bus(postgres, tmp_path, chromium) as (page, city):
        for name, ago_ms, light, reason in (
            ("ann", 31_000, "red", "Show the live code, not a picture. If it is live, the phone must go online once"),
            ("bob", AHEAD_MS, "red", UNKNOWN),
            ("ann", AHEAD_MS, "green", "Have a good trip"),
        ):
            await page.locator("#code").fill(code(name, ago_ms=ago_ms))
            await page.locator("#code-form button[type=submit]").click()
            await expect(page.locator("#reason")).to_have_text(reason)
            await expect(page.locator("#screen")).to_have_attribute("data-light", light)
        await expect(page.locator("#price")).to_have_text("90 ₸")
        await expect(page.locator("#waiting")).to_have_text("0 to send")
        assert [(tap.medium_id, tap.medium_kind) for tap in city.taps if tap.outcome.rides] == [
            (MEDIUM, MediumKind.PHONE)
        ]


async def typed_by_a_scanner(page: Page, text: str) -> None:
    """Press keys five milliseconds after one another by their own time stamps, however slow this machine is."""
    browser = await page.context.new_cdp_session(page)
    names = {" ": ("Space", 32), "\r": ("Enter", 13)}
    began_s = wall_ms() / 1_000
    for number, typed in enumerate(f"{text}\r"):
        physical, number_of_key = names.get(typed, ("", 0))
        pressed = {
            "key": "Enter" if typed == "\r" else typed,
            "code": physical,
            "windowsVirtualKeyCode": number_of_key,
            "timestamp": began_s + number * 0.005,
        }
        await browser.send("Input.dispatchKeyEvent", {"type": "keyDown", "text": typed, **pressed})
        await browser.send("Input.dispatchKeyEvent", {"type": "keyUp", **pressed})


async def test_a_scanner_that_is_a_keyboard_types_into_the_page_and_presses_none_of_its_buttons(
    postgres: asyncpg.Pool, tmp_path: Path, chromium: str
) -> None:
    async with in_bus(postgres, tmp_path, chromium) as (page, city):
        await page.locator("#free").focus()
        await typed_by_a_scanner(page, code(ago_ms=AHEAD_MS))
        await expect(page.locator("#outcome")).to_have_text("Paid")
        await expect(page.locator("#waiting")).to_have_text("0 to send")
        assert [tap.medium_kind for tap in city.taps] == [MediumKind.PHONE], "spaces in a code press no button"


async def test_the_camera_is_a_scanner_and_what_stays_before_it_is_shown_once(
    postgres: asyncpg.Pool, tmp_path: Path, chromium: str
) -> None:
    flags = camera_that_sees(code(ago_ms=60_000), tmp_path / "code.y4m")
    async with in_bus(postgres, tmp_path, chromium, flags) as (page, _):
        await page.locator("#scan").click()
        screen = page.locator("#screen")
        async with asyncio.timeout(PATIENCE_S):
            while await screen.get_attribute("data-number") is None:
                await page.clock.run_for(200)  # and it looks
        await expect(page.locator("#reason")).to_contain_text("Show the live code, not a picture")
        await page.clock.run_for(4_000)
        await expect(screen).to_have_attribute("data-light", "idle")
        for _ in range(20):
            await page.clock.run_for(200)
        await expect(screen).to_have_attribute("data-light", "idle")  # and it stays so
        await expect(screen).to_have_attribute("data-number", "1")
        await page.locator("#scan").click()
        await expect(page.locator("#camera")).to_be_hidden()
