"""The screen in a real Chromium: green and red for real taps, in three languages, readable, talking to nobody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from playwright.async_api import Page, expect

from ayaldama.web.vendor import INSTALLED, vendor_routes
from commons.clock import SystemClock
from fare.history import history_code
from fare.validator.drawer import CARDS
from fare.validator.run import ValidatorSettings, enrol_device, open_validator
from tests.dispatch.pages import Seen, opened, stand_still
from tests.fare.validator.city import City, city_of

FAINT_TEXTS = Path(__file__).parents[2].joinpath("dispatch", "contrast.js").read_text(encoding="utf-8")
IDS = {card.name: card.medium_id for card in CARDS}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="browser files are missing: make vendor"),
]


@asynccontextmanager
async def in_bus(
    city: City, folder: Path, chromium: str, language: str, *, still: bool = True
) -> AsyncIterator[tuple[Page, Seen, int]]:
    """Give the page of a validator; ``still``: an answer stays on the screen until the test moves the page's clock."""
    await enrol_device(folder, city.url, await city.code())
    settings = ValidatorSettings(folder=folder, port=0, emulate=True)
    async with (
        open_validator(settings, clock=SystemClock(), more_routes=vendor_routes()) as port,
        opened(chromium, language=language, width=1024, height=900) as (page, seen),
    ):
        if still:
            await stand_still(page)
        await page.goto(f"http://127.0.0.1:{port}/")
        await expect(page.locator("#screen")).to_have_attribute("data-light", "idle")
        yield page, seen, port


async def hold(page: Page, card: str, light: str, outcome: str) -> None:
    await page.locator(f'[data-card="{card}"]').click()
    await expect(page.locator("#outcome")).to_have_text(outcome)
    await expect(page.locator("#screen")).to_have_attribute("data-light", light)
    assert await page.evaluate(FAINT_TEXTS) == []


async def test_i9_the_code_of_a_touch_is_shown_to_who_asks_and_is_the_one_that_the_server_knows(
    postgres: asyncpg.Pool, tmp_path: Path, chromium: str
) -> None:
    async with city_of(postgres) as city, in_bus(city, tmp_path, chromium, "en") as (page, _, _):
        await expect(page.locator("#trips")).to_be_hidden()
        await hold(page, "adult", "green", "Paid")
        await expect(page.locator("#trips-code")).to_have_text("")
        await page.locator("#trips").click()
        await expect(page.locator("#waiting")).to_have_text("0 to send")
        rows = await postgres.fetch("SELECT hash FROM validator_record ORDER BY sequence DESC LIMIT 1")
        code = history_code(rows[0]["hash"])
        await expect(page.locator("#trips-code")).to_contain_text(f"code {code[:4]} {code[4:]}")
        assert await page.evaluate(FAINT_TEXTS) == []
        await hold(page, "denied", "red", "Card blocked")
        await expect(page.locator("#trips-code")).to_have_text("")


async def test_taps_light_the_screen_green_and_red_with_the_reason(
    postgres: asyncpg.Pool, tmp_path: Path, chromium: str
) -> None:
    async with city_of(postgres) as city, in_bus(city, tmp_path, chromium, "ru") as (page, seen, port):
        city.balances[IDS["adult"]] = 145_000
        await expect(page.locator("#outcome")).to_have_text("Приложите карту")
        await expect(page.locator("#facts")).to_have_text("Транспортная карта 100 ₸ · Банковская карта 120 ₸")
        assert await page.evaluate(FAINT_TEXTS) == []
        await hold(page, "adult", "green", "Оплачено")
        await expect(page.locator("#price")).to_have_text("100 ₸")
        await expect(page.locator("#waiting")).to_have_text("К отправке: 0")
        await hold(page, "adult", "green", "Уже оплачено")
        await expect(page.locator("#facts")).to_have_text("Баланс 1450 ₸")
        await expect(page.locator("#price")).to_be_hidden()
        await hold(page, "pupil", "green", "Оплачено")
        await expect(page.locator("#facts")).to_have_text("Школьник")
        await hold(page, "denied", "red", "Карта заблокирована")
        await expect(page.locator("#reason")).to_have_text("Погасите долг в приложении или в офисе")
        await hold(page, "expired", "red", "Срок карты истёк")
        await hold(page, "foreign", "red", "Не принято")
        await page.locator("#torn").check()
        await hold(page, "bank", "red", "Приложите ещё раз")
        await page.locator("#together").check()
        await hold(page, "bank", "red", "Только одну карту")
        await page.clock.run_for(3_500)
        await expect(page.locator("#screen")).to_have_attribute("data-light", "red")
        await page.clock.run_for(1_000)
        await expect(page.locator("#screen")).to_have_attribute("data-light", "idle")
        assert seen.hosts == {f"127.0.0.1:{port}"}
        assert (seen.errors, seen.failures) == ([], [])


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("kk", ("Төленді", "Жолыңыз болсын")),
        ("ru", ("Оплачено", "Счастливого пути")),
        ("en", ("Paid", "Have a good trip")),
    ],
)
async def test_a_passenger_reads_the_answer_in_their_language(
    postgres: asyncpg.Pool, tmp_path: Path, chromium: str, language: str, words: tuple[str, str]
) -> None:
    async with city_of(postgres) as city, in_bus(city, tmp_path, chromium, "de") as (page, _, _port):
        await page.locator("#languages button", has_text=language).click()
        await expect(page.locator("html")).to_have_attribute("lang", language)
        await page.locator('[data-card="pensioner"]').click()
        await expect(page.locator("#outcome")).to_have_text(words[0])
        await expect(page.locator("#reason")).to_have_text(words[1])


async def test_one_card_pays_for_friends_and_the_driver_lets_ride(
    postgres: asyncpg.Pool, tmp_path: Path, chromium: str
) -> None:
    async with city_of(postgres) as city, in_bus(city, tmp_path, chromium, "en") as (page, _, _port):
        await page.locator("#companions button", has_text="Pupil").click()
        await expect(page.locator("#chosen")).to_have_text("1 more with the next card")
        await hold(page, "adult", "green", "Paid")
        await expect(page.locator("#price")).to_have_text("150 ₸")
        await expect(page.locator("#facts")).to_contain_text("2 riders")
        await page.locator("#free").click()
        await expect(page.locator("#outcome")).to_have_text("Free ride")


async def test_without_a_tariff_the_screen_says_that_it_is_not_ready(
    postgres: asyncpg.Pool, tmp_path: Path, chromium: str
) -> None:
    async with city_of(postgres) as city:
        await enrol_device(tmp_path, city.url, await city.code())
    settings = ValidatorSettings(folder=tmp_path, port=0, emulate=True)
    async with (
        open_validator(settings, clock=SystemClock(), more_routes=vendor_routes()) as port,
        opened(chromium, language="en") as (page, _),
    ):
        await page.goto(f"http://127.0.0.1:{port}/")
        await expect(page.locator("#outcome")).to_have_text("Not ready: no tariff yet")
        await expect(page.locator("#screen")).to_have_attribute("data-light", "off")
        await expect(page.locator("#online")).to_have_text("No network")
        assert await page.evaluate(FAINT_TEXTS) == []


@pytest.mark.parametrize("path", ["/hold", "/free", "/companions"])
async def test_no_other_page_can_press_the_buttons(postgres: asyncpg.Pool, tmp_path: Path, path: str) -> None:
    async with city_of(postgres) as city:
        await enrol_device(tmp_path, city.url, await city.code())
    settings = ValidatorSettings(folder=tmp_path, port=0, emulate=True)
    async with (
        open_validator(settings, clock=SystemClock()) as port,
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}{path}", data="{}") as response,
    ):
        assert response.status == 403
