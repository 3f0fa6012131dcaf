"""No rule of axe-core is broken by our pages; boards are in ``tests/stop_display/pages/test_axe.py``."""

from pathlib import Path
from typing import Literal

import asyncpg
import pytest
from playwright.async_api import expect
from redis.asyncio import Redis

from ayaldama.web.vendor import INSTALLED
from tests.axe import needs_axe, violations
from tests.ayaldama.test_demo_sms_page import emulator
from tests.dispatch.pages import opened, until
from tests.dispatch.test_accuracy_watch import City as AccuracyCity
from tests.dispatch.test_accuracy_watch import city as city  # noqa: PLC0414 - a fixture
from tests.dispatch.test_accuracy_watch import pages, with_figures
from tests.dispatch.test_map_page import city_with_buses, ready
from tests.fare.api.test_books_page import reading, view
from tests.fare.api.test_inspector_page import check, inspecting
from tests.fare.api.test_phone_page import at_the_page, buy
from tests.fare.validator.city import city_of
from tests.fare.validator.test_page import in_bus
from tests.notation.rides import tap

pytestmark = [
    pytest.mark.browser,
    needs_axe,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

Theme = Literal["light", "dark"]
both_looks = pytest.mark.parametrize("theme", ["light", "dark"])


@both_looks
async def test_the_front_page(redis: Redis, chromium: str, theme: Theme) -> None:
    city = await city_with_buses(redis)
    async with city.served(), opened(chromium, language="kk", theme=theme) as (page, _):
        await page.goto(city.url("/"))
        await until(page, "!document.querySelector('[data-text]:empty')")
        assert await violations(page) == []


@both_looks
async def test_the_live_map_with_a_vehicle_chosen(redis: Redis, chromium: str, theme: Theme) -> None:
    city = await city_with_buses(redis)
    async with city.served(), opened(chromium, language="kk", theme=theme) as (page, _):
        await page.goto(city.url("/map"))
        await ready(page)
        assert await violations(page) == []


@both_looks
async def test_the_accuracy_page(city: AccuracyCity, chromium: str, theme: Theme) -> None:
    await with_figures(city)
    async with pages(city) as base, opened(chromium, language="ru", theme=theme) as (page, _):
        await page.goto(f"{base}/accuracy")
        await expect(page.locator("#rows tr")).to_have_count(2)
        assert await violations(page) == []


@both_looks
async def test_the_passengers_page(fare_postgres: asyncpg.Pool, chromium: str, theme: Theme) -> None:
    async with at_the_page(chromium, fare_postgres, theme=theme) as (page, _, _):
        assert await violations(page) == []
        await buy(page)
        assert await violations(page) == []


@both_looks
async def test_the_inspectors_page(chromium: str, theme: Theme) -> None:
    async with inspecting(chromium, theme=theme) as (page, _, _):
        assert await violations(page) == []
        await check(page, "1234567890")
        assert await violations(page) == []


@both_looks
async def test_the_accountants_page(fare_postgres: asyncpg.Pool, chromium: str, theme: Theme) -> None:
    async with reading(chromium, fare_postgres, theme=theme) as (page, _, town):
        assert await violations(page) == []
        sent = {"dispute_id": "d", "ride_key": "v:1", "claimed_tiyn": 100}
        await town.as_("bolat", "disputes", sent)
        await town.money.ride(tap("v:20", "11:00", 77))  # a wallet that never had money: a debt
        for name in ("Disputes", "Debts"):
            await view(page, name)
            for width in (1200, 360):  # as a table and as cards
                await page.set_viewport_size({"width": width, "height": 800})
                await expect(page.locator("tbody button").first).to_be_visible()
                assert await violations(page) == []


async def test_the_validators_screen(postgres: asyncpg.Pool, tmp_path: Path, chromium: str) -> None:
    async with city_of(postgres) as city, in_bus(city, tmp_path, chromium, "kk", still=False) as (page, _, _):
        assert await violations(page) == []


@both_looks
async def test_the_telephones_of_the_demo(chromium: str, theme: Theme) -> None:
    async with emulator(chromium, theme=theme) as (page, _, _, _):
        assert await violations(page) == []
