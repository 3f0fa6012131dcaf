"""The passengers' page in a real Chromium: one hand, a bus stop, a network that comes and goes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import asyncpg
import pytest
from playwright.async_api import Page, Route, expect

from fare.api.phone_page import OWN
from fare.phone.own_qr import read_own_code
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from tests.dispatch.pages import Seen, opened, until
from tests.fare.api.phone_town import AIGUL, CITY_NAME, PhoneTown, medium_of, phone_town
from tests.fare.api.test_inspector_page import FAINT_TEXTS, SMALL, UNNAMED

SCRIPT_AND_STYLE_MAX = 60_000  # bytes, before compression
PAGE_FILES = Path(__file__).parents[3] / "fare" / "web"

pytestmark = pytest.mark.browser


@asynccontextmanager
async def at_the_page(
    chromium: str,
    pool: asyncpg.Pool,
    *,
    language: str = "en",
    theme: Literal["light", "dark"] = "light",
    width: int = 360,
    tiyn: int = 50_000,
) -> AsyncIterator[tuple[Page, Seen, PhoneTown]]:
    """Open the page on a phone and sign in by the code that the SMS brought."""
    async with phone_town(pool) as town:
        await town.top_up(AIGUL, tiyn)
        async with opened(chromium, language=language, theme=theme, width=width, height=720) as (page, seen):
            await page.goto(f"http://127.0.0.1:{town.port}/phone/")
            await until(page, "document.body.dataset.ready")
            await page.fill("#number", "8 701 123 45 67")
            await page.click("#number-form button")
            await expect(page.locator("#code-form")).to_be_visible()
            await page.fill("#code", town.sms.code(AIGUL))
            await page.click("#code-form .main")
            await expect(page.locator("#bus-form")).to_be_visible()
            yield page, seen, town


async def buy(page: Page, bus: str = "0451") -> None:
    await page.fill("#bus", bus)
    await page.click("#bus-form .main")
    await expect(page.locator("#quote")).to_be_visible()
    await page.click("#buy")
    await expect(page.locator(".ticket")).to_be_visible()


def faults(seen: Seen) -> list[str]:
    """Return what went wrong in the page; that nobody is signed in and that a server is down are answers."""
    return [error for error in seen.errors if not error.startswith("Failed to load resource")]


async def picture(page: Page, name: str, tmp_path: Path) -> None:
    await page.screenshot(path=tmp_path / f"{name}.png")


async def test_a_bus_is_paid_by_its_number_and_the_ticket_stays_without_a_network(
    chromium: str, fare_postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, seen, town):
        await page.fill("#bus", "123 авс 11")
        await page.click("#bus-form .main")
        await expect(page.locator("#quote-bus")).to_have_text("Bus 0451, 123 ABC 11")
        await expect(page.locator("#quote-line")).to_have_text("Line 12")
        await expect(page.locator("#quote-carrier")).to_have_text("Paid to: Автопарк")
        await expect(page.locator("#buy")).to_have_text("Pay 1 ₸")
        await picture(page, "quote", tmp_path)
        assert await town.market.rides() == 0
        await page.click("#buy")
        await expect(page.locator(".ticket h3")).to_have_text("Bus 123 ABC 11, line 12")
        code = await page.locator(".ticket .code").inner_text()
        await picture(page, "ticket", tmp_path)
        assert await town.market.rides() == 1
        assert faults(seen) == []
        assert seen.hosts == {f"127.0.0.1:{town.port}"}
        await until(page, "navigator.serviceWorker.controller")
        await town.go_away()
        await page.reload()
        await until(page, "document.body.dataset.ready")
        await expect(page.locator(".ticket .code")).to_have_text(code)
        await expect(page.locator("#offline")).to_be_visible()
        await page.fill("#bus", "0451")
        await page.click("#bus-form .main")
        await expect(page.locator("#complaint")).to_contain_text("The server does not answer")
        await picture(page, "offline", tmp_path)
        await page.click("#tabs a[href='#wallet']")
        await expect(page.locator("#balance")).to_have_text("499 ₸")
        await expect(page.locator("#as-of")).to_be_visible()
        await town.come_back()
        await page.evaluate("() => dispatchEvent(new Event('online'))")
        await expect(page.locator("#offline")).to_be_hidden()


async def test_i6_any_camera_opens_the_bus_and_a_pasted_over_qr_is_found_out(
    chromium: str, fare_postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, _, town):
        link = await town.bus_link("bus-1")
        await page.goto(link)
        await expect(page.locator("#quote-bus")).to_contain_text("0451")
        await expect(page.locator("#quote-signed")).to_be_visible()
        await picture(page, "signed", tmp_path)
        await page.click("#buy")
        await expect(page.locator(".ticket")).to_be_visible()
        await page.goto(link[:-4] + "AAAA")
        await expect(page.locator("#complaint")).to_contain_text("not of a bus of ours")
        await expect(page.locator("#quote")).to_be_hidden()


async def test_a_lost_answer_is_said_to_be_lost_and_the_ride_is_paid_once(
    chromium: str, fare_postgres: asyncpg.Pool
) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, _, town):
        await page.fill("#bus", "0451")
        await page.click("#bus-form .main")
        await expect(page.locator("#quote")).to_be_visible()

        async def lose(route: Route) -> None:
            await route.fetch()
            await route.abort()

        await page.route("**/api/phone/tickets", lose, times=1)
        await page.click("#buy")
        await expect(page.locator("#complaint")).to_contain_text("not known whether you have paid")
        await page.click("#buy")
        await expect(page.locator(".ticket")).to_be_visible()
        assert await town.market.rides() == 1


async def test_children_ride_on_the_same_ticket_and_the_price_follows(
    chromium: str, fare_postgres: asyncpg.Pool
) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, _, town):
        await page.fill("#bus", "0451")
        await page.click("#bus-form .main")
        await page.click("[aria-label='More: child']")
        await page.click("[aria-label='More: child']")
        await page.click("[aria-label='Fewer: child']")
        await expect(page.locator("[data-step='child-1']")).to_be_focused()
        await page.click("#buy")
        await expect(page.locator(".ticket")).to_contain_text("adult, child")
        riders = await town.market.pool.fetchval("SELECT riders::text FROM tap WHERE rides")
        assert '"child"' in riders


async def test_own_qr_is_the_phones_is_verified_offline_and_cannot_be_read_out(
    chromium: str, fare_postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, seen, town):
        await page.click("#tabs a[href='#qr']")
        await expect(page.locator("#own-code svg")).to_be_visible()
        await picture(page, "own", tmp_path)
        code = read_own_code(str(await page.get_attribute("#own-code", "data-code")))
        assert code is not None
        (key,) = await PostgresPhoneKeys(fare_postgres, CITY_NAME).in_force(town.clock.now_ms())
        assert key.medium_id == medium_of(AIGUL)
        assert key.key_id == code.key_id
        assert code.refusal(key, city=CITY_NAME, now_ms=code.second * 1_000) is None
        assert not await page.evaluate(
            "async () => (await (await import('/phone/keys.js')).ownKeys.read()).keys.privateKey.extractable"
        )
        await until(page, "navigator.serviceWorker.controller")
        await town.go_away()
        await page.reload()
        await expect(page.locator("#own-code svg")).to_be_visible()
        await town.come_back()
        assert faults(seen) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_language_and_theme_is_readable(
    chromium: str, fare_postgres: asyncpg.Pool, tmp_path: Path, theme: Literal["light", "dark"]
) -> None:
    async with at_the_page(chromium, fare_postgres, theme=theme, width=320, tiyn=150) as (page, _, _):
        await buy(page)
        for language in ("kk", "ru", "en"):
            await page.click(f"#languages [lang={language}]")
            for tab in ("pay", "qr", "wallet", "history"):
                await page.click(f"#tabs a[href='#{tab}']")
                await expect(page.locator(f"#{tab}")).to_be_visible()
                if tab == "history":
                    await expect(page.locator("#rides li")).to_have_count(2)
                await picture(page, f"{language}-{theme}-{tab}", tmp_path)
                assert await page.evaluate(FAINT_TEXTS) == [], "WCAG 2.2, 1.4.3: 4.5 to 1"
                fits = await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
                assert fits, "WCAG 2.2, 1.4.10: no scrolling in two directions at 320 pixels"
                assert await page.evaluate(UNNAMED) == 0, "WCAG 2.2, 4.1.2: every control has a name"
                assert await page.evaluate(SMALL) == 0, "WCAG 2.2, 2.5.8: targets of 24 pixels"


async def test_the_phone_finds_near_buses_and_tells_nobody_where_it_is(
    chromium: str, fare_postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, seen, town):
        await page.context.grant_permissions(["geolocation"])
        await page.context.set_geolocation({"latitude": 44.8505, "longitude": 65.5})
        bodies: list[str] = []
        page.on("request", lambda request: bodies.append(f"{request.url} {request.post_data or ''}"))
        await page.click("#near")
        await expect(page.locator("#near-list button")).to_contain_text("Bus 0451, Line 12")
        await picture(page, "near", tmp_path)
        await page.click("#near-list button")
        await expect(page.locator("#quote-bus")).to_contain_text("0451")
        assert not any("44.8" in one for one in bodies)
        await page.context.set_geolocation({"latitude": 44.9, "longitude": 65.5})
        await page.goto(await town.bus_link("bus-1"))
        await expect(page.locator("#complaint")).to_contain_text("this bus is elsewhere")
        await page.click("#not-this")
        await page.click("#near")
        await expect(page.locator("#near-list")).to_contain_text("No bus in service within 300 m")
        assert faults(seen) == []


async def test_a_top_up_leads_to_the_bank_and_the_money_is_there_when_it_is_paid(
    chromium: str, fare_postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, seen, town):
        await page.click("#tabs a[href='#wallet']")
        await page.fill("#amount", "5")
        await page.click("#banks button")
        await expect(page.locator("#complaint")).to_have_text("From 100\u00a0₸ to 20\u00a0000\u00a0₸.")
        await page.fill("#amount", "700")
        await page.click("text=With Halyk")
        await expect(page.locator("#top-up-way .go")).to_be_visible()
        await picture(page, "top-up", tmp_path)
        (invoice,) = town.bank.payments
        assert await page.get_attribute("#top-up-way .go", "href") == f"https://bank.example/{invoice}"
        town.bank.says(invoice)
        await town.top_ups.ask(invoice)
        await expect(page.locator("#top-up-way")).to_have_text("700\u00a0₸ came in.")
        await expect(page.locator("#balance")).to_have_text("1\u00a0200\u00a0₸")
        assert faults(seen) == []


READ_BACK = """async (text) => {
    const { drawCode } = await import("/phone/own_qr.js");
    const { qrReader } = await import("/phone/scanning.js");
    const picture = new Image();
    picture.src = "data:image/svg+xml," + encodeURIComponent(drawCode(text));
    await picture.decode();
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: 400, height: 300 });
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, 400, 300);
    const read = await qrReader();
    const before = await read(canvas, 400, 300);
    context.drawImage(picture, 80, 30, 240, 240);
    return [before, await read(canvas, 400, 300)];
}"""


async def test_a_qr_is_read_also_where_the_browser_cannot(chromium: str, fare_postgres: asyncpg.Pool) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, _, _):
        await page.evaluate("() => { delete window.BarcodeDetector; }")
        assert await page.evaluate(READ_BACK, "AY1:0123 ABC") == [None, "AY1:0123 ABC"]


async def test_a_receipt_says_who_carried_whom_for_how_much(chromium: str, fare_postgres: asyncpg.Pool) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, _, _):
        await buy(page)
        await page.click("#tabs a[href='#history']")
        await page.click("#rides button")
        for said in ("phone:", "Автопарк", "0451, 12", "Базар", "1\u00a0₸"):
            await expect(page.locator("#receipt")).to_contain_text(said)


async def test_who_signs_out_leaves_nothing_on_the_phone(chromium: str, fare_postgres: asyncpg.Pool) -> None:
    async with at_the_page(chromium, fare_postgres) as (page, _, _):
        await buy(page)
        await page.click("#tabs a[href='#qr']")
        await expect(page.locator("#own-code svg")).to_be_visible()
        await page.click("#tabs a[href='#wallet']")
        await page.click("#sign-out")
        await expect(page.locator("#sign-in")).to_be_visible()
        assert await page.evaluate("() => Object.keys(localStorage).filter((key) => key.includes('phone'))") == []
        assert await page.evaluate("async () => (await import('/phone/keys.js')).ownKeys.read()") is None


def test_every_file_of_the_page_is_served_and_kept_for_when_there_is_no_network() -> None:
    files = {file.name for file in (PAGE_FILES / "phone").iterdir()} - {"page.html"}
    assert files == set(OWN)
    kept = (PAGE_FILES / "phone" / "worker.js").read_text(encoding="utf-8")
    assert [name for name in files - {"icon.png", "worker.js"} if f'"{name}"' not in kept] == []


def test_the_page_stays_small() -> None:
    files = [*PAGE_FILES.glob("phone/*.js"), *PAGE_FILES.glob("phone/*.css"), PAGE_FILES / "inspector" / "words.js"]
    assert sum(file.stat().st_size for file in files) <= SCRIPT_AND_STYLE_MAX
