"""The accountant's page in a real Chromium: on a desk, on a phone, in three languages."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import asyncpg
import pytest
from playwright.async_api import Page, expect

from tests.dispatch.pages import Seen, opened, until
from tests.fare.api.books_town import PASSWORD, BooksTown, books_town
from tests.fare.api.test_inspector_page import SMALL, UNNAMED
from tests.fare.edges.money import DAY
from tests.fare.edges.test_topping_up import Town
from tests.notation.rides import medium, tap

FAINT_TEXTS = (Path(__file__).parents[2] / "dispatch" / "contrast.js").read_text(encoding="utf-8")

pytestmark = pytest.mark.browser


@asynccontextmanager
async def reading(
    chromium: str,
    pool: asyncpg.Pool,
    who: str = "aigul",
    *,
    language: str = "en",
    width: int = 1200,
    theme: Literal["light", "dark"] = "light",
) -> AsyncIterator[tuple[Page, Seen, BooksTown]]:
    """Open the page, sign in, and wait for the first view."""
    async with (
        books_town(pool) as town,
        opened(chromium, language=language, width=width, height=800, theme=theme) as (page, seen),
    ):
        await page.goto(f"http://127.0.0.1:{town.port}/books/")
        await until(page, "document.body.dataset.ready")
        seen.errors.clear()  # the browser writes down that nobody was signed in
        await page.fill("#name", who)
        await page.fill("#password", PASSWORD)
        await page.click("#sign-in button")
        await expect(page.locator("#me")).to_be_visible()
        yield page, seen, town


async def view(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()
    await expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-current", "page")
    await expect(page.locator("body")).to_have_attribute("aria-busy", "false")


async def test_a_day_is_closed_paid_out_and_the_books_balance(
    chromium: str, postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with reading(chromium, postgres) as (page, seen, town):
        await expect(page.locator(".balanced")).to_have_text("Debits equal credits: the difference is 0.00 ₸")
        await view(page, "Settlement")
        for place in (0, 1):
            await page.locator("input[type=date]").nth(place).fill(str(DAY))
        await page.get_by_role("button", name="Close the last day").click()
        await expect(page.locator("#said")).to_have_text(f"{DAY} is closed.")
        await expect(page.locator("tfoot .number").first).to_have_text("3.92")
        await page.screenshot(path=tmp_path / "settlement.png")
        paid = page.get_by_role("button", name="Book as paid")
        await paid.first.click()
        await expect(page.locator("#said")).to_have_text(re.compile(r"Paid out: 1\.9\d ₸"))
        await view(page, "Trial balance")
        await expect(page.locator(".balanced")).to_be_visible()
        await page.screenshot(path=tmp_path / "balance.png", full_page=True)
        await page.reload()
        await until(page, "document.body.dataset.ready")
        await expect(page.locator("#who")).to_have_text("aigul, accountant")
        assert seen.hosts == {f"127.0.0.1:{town.port}"}
        assert seen.errors == []


async def test_a_refund_above_the_limit_waits_and_who_asked_has_no_button(
    chromium: str, postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    async with reading(chromium, postgres) as (page, _, town):
        for key in ("a", "b"):
            await town.as_("bolat", "refunds", {"key": key, "ride_key": f"v:{'12'['ab'.index(key)]}", "why": "asked"})
        await view(page, "Refunds")
        await page.get_by_label("Ride (device:number)").fill("v:4")
        await page.get_by_label("Why").fill("two touches")
        await page.get_by_role("button", name="Give back").click()
        await expect(page.locator("#said")).to_have_text("Taken: 1.00 ₸")
        await page.screenshot(path=tmp_path / "refunds.png")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.locator("#said")).to_have_text("Decided.")
        await expect(page.get_by_role("button", name="Approve")).to_have_count(0)


async def test_a_carrier_is_offered_its_own_statements_only(chromium: str, postgres: asyncpg.Pool) -> None:
    async with reading(chromium, postgres, "depot1") as (page, _, _):
        await expect(page.locator("#views button")).to_have_text(["Settlement"])
        await expect(page.get_by_role("button", name="Close the last day")).to_have_count(0)


async def test_an_inspector_is_told_that_there_is_nothing(chromium: str, postgres: asyncpg.Pool) -> None:
    async with reading(chromium, postgres, "inspector7") as (page, _, _):
        await expect(page.locator("#complaint")).to_have_text("There is nothing for you on this page.")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_language_is_readable_on_a_phone(
    chromium: str, postgres: asyncpg.Pool, tmp_path: Path, theme: Literal["light", "dark"]
) -> None:
    named = {"kk": "Есеп айырысу", "ru": "Расчёты", "en": "Settlement"}
    async with reading(chromium, postgres, width=320, theme=theme) as (page, _, town):
        await town.as_("aigul", f"days/{DAY}/close", {})
        for language, name in named.items():
            await page.click(f"#languages [lang={language}]")
            await view(page, name)
            for place in (0, 1):
                await page.locator("#view input[type=date]").nth(place).fill(str(DAY))
            await page.locator("#view form button").first.click()
            await expect(page.locator("tbody tr")).to_have_count(2)
            await page.screenshot(path=tmp_path / f"{language}-{theme}.png", full_page=True)
            assert await page.evaluate(FAINT_TEXTS) == [], "WCAG 2.2, 1.4.3: 4.5 to 1"
            fits = await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
            assert fits, "WCAG 2.2, 1.4.10: no scrolling in two directions at 320 pixels"
            assert await page.evaluate(UNNAMED) == 0, "WCAG 2.2, 4.1.2: every control has a name"
            assert await page.evaluate(SMALL) == 0, "WCAG 2.2, 2.5.8: targets of 24 pixels"


@pytest.mark.parametrize("width", [320, 1200])
async def test_a_dispute_says_what_was_done_and_needs_a_word_to_be_answered(
    chromium: str, postgres: asyncpg.Pool, tmp_path: Path, width: int
) -> None:
    async with reading(chromium, postgres, width=width) as (page, _, town):
        sent = {"dispute_id": "d", "ride_key": "v:1", "claimed_tiyn": 100}
        await town.as_("bolat", "disputes", sent)
        await view(page, "Disputes")
        await page.get_by_role("button", name="Answered").click()
        await expect(page.locator("#complaint")).to_have_text("Write a note: the other side will read it.")
        await page.get_by_label("Note").fill("two buses, two touches")
        await page.get_by_role("button", name="Answered").click()
        await expect(page.locator(".history li")).to_have_text(re.compile("aigul: answered – two buses, two touches$"))
        for element in ("th[role=rowheader]", ".claim button"):
            box = await page.locator(element).last.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width, "nothing is beyond the edge of a phone"
        await page.screenshot(path=tmp_path / "dispute.png", full_page=True)
        await page.get_by_role("button", name="Accept").click()
        await expect(page.locator("#said")).to_have_text("Done. Refund: granted.")


async def test_an_unused_top_up_is_given_back_on_a_phone(chromium: str, postgres: asyncpg.Pool, tmp_path: Path) -> None:
    async with reading(chromium, postgres, width=360) as (page, _, town):
        paying = Town(town.money.pool)
        paying.now_ms = town.clock.now_ms()
        invoice = await paying.paid(10_000)
        await view(page, "Top-ups")
        await page.get_by_label("Number of the top-up, or telephone").fill(invoice)
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator("body")).to_have_attribute("aria-busy", "false")  # the list is another then
        await page.get_by_role("button", name="Give back", exact=True).click()
        await page.get_by_role("button", name="Give back 100.00 ₸").click()
        await expect(page.locator("#said")).to_have_text("Write why.")
        await page.get_by_label("Why").fill("moved away")
        await page.get_by_role("button", name="Give back 100.00 ₸").click()
        await expect(page.locator("#said")).to_have_text("Waits for a second person: 100.00 ₸")
        await page.screenshot(path=tmp_path / "top-ups.png", full_page=True)
        assert await page.evaluate(FAINT_TEXTS) == []
        assert await page.evaluate(UNNAMED) == 0
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await town.as_("bolat", "me")
        (asked,) = (await town.as_("bolat", "top-ups", {}))[1]["asked"]
        await town.as_("bolat", f"top-up-refunds/decision?key={asked['key']}", {"grant": True})
        await paying.refunds.sweep()
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_role("table", name="Asked back").locator("td").last).to_have_text(
            "given back by the bank"
        )


async def test_a_debt_is_given_up_only_when_asked_twice(chromium: str, postgres: asyncpg.Pool) -> None:
    async with reading(chromium, postgres) as (page, _, town):
        await town.money.ride(tap("v:20", "11:00", 77))
        await view(page, "Debts")
        await page.get_by_role("button", name="Give up", exact=True).click()
        assert await town.money.balances("write_off") == {}
        await page.get_by_role("button", name="Keep").click()
        await page.get_by_role("button", name="Give up", exact=True).click()
        await page.get_by_role("button", name="Give up 1.00 ₸").click()
        await expect(page.locator("#said")).to_have_text("Write why.")
        await page.get_by_label("Why").fill("cannot be found")
        await page.get_by_role("button", name="Give up 1.00 ₸").click()
        await expect(page.locator("#said")).to_have_text("Given up: 1.00 ₸")
        assert await town.money.balances("write_off") == {"write_off": 100}


@pytest.mark.parametrize("width", [360, 1280])
async def test_a_large_debt_waits_for_a_second_person(
    chromium: str, postgres: asyncpg.Pool, tmp_path: Path, width: int
) -> None:
    async with reading(chromium, postgres, width=width) as (page, _, town):
        await town.money.ride(tap("v:20", "11:00", 77), tap("v:21", "13:00", 77), tap("v:22", "14:00", 78))
        await town.as_("bolat", "me")
        asked = {"key": "b", "medium_id": medium(78), "amount_tiyn": 100, "why": "a child's card"}
        assert (await town.as_("bolat", "write-offs", asked))[1]["state"] == "granted"
        await view(page, "Debts")
        await page.get_by_label("Why").fill("cannot be found")
        await page.get_by_role("button", name="Give up", exact=True).click()
        await page.get_by_role("button", name="Give up 2.00 ₸").click()
        await expect(page.locator("#said")).to_have_text("Waits for a second person: 2.00 ₸")
        own = page.get_by_role("table", name="Given up").get_by_role("row").filter(has_text="cannot be found")
        await expect(own).to_contain_text("waits for a second person")
        (waiting,) = [one for one in (await town.as_("bolat", "write-offs"))[1] if one["state"] == "waiting"]
        await town.as_("bolat", f"write-offs/decision?key={waiting['key']}", {"grant": False})
        large = {"key": "c", "medium_id": medium(77), "amount_tiyn": 200, "why": "moved away"}
        assert (await town.as_("bolat", "write-offs", large))[1]["state"] == "waiting"
        await view(page, "Debts")
        await expect(own).to_contain_text("declined")
        await page.screenshot(path=tmp_path / f"debts-{width}.png", full_page=True)
        assert await page.evaluate(FAINT_TEXTS) == []
        assert await page.evaluate(UNNAMED) == 0
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.locator("#said")).to_have_text("Decided.")
        assert await town.money.balances("write_off", "debt") == {"write_off": 300}


async def test_what_a_new_price_takes_back_is_named(chromium: str, postgres: asyncpg.Pool) -> None:
    async with reading(chromium, postgres) as (page, _, town):
        asked = {"key": "r", "ride_key": "v:1", "why": "two touches"}
        assert (await town.as_("aigul", "refunds", asked))[1]["outcome"] == "granted"
        await town.money.ride(tap("w:1", "07:30", 7))  # 08:00 is a transfer now, and free
        await view(page, "Refunds")
        row = page.get_by_role("table", name="Refunds").get_by_role("row").filter(has_text="−1.00")
        await expect(row).to_contain_text("by a new price")
        await expect(row).to_contain_text("the books")


async def test_who_signs_out_leaves_nothing_to_be_seen(chromium: str, postgres: asyncpg.Pool) -> None:
    async with reading(chromium, postgres) as (page, _, _):
        await page.click("#sign-out")
        await expect(page.locator("#sign-in")).to_be_visible()
        assert await page.locator("#view").inner_text() == ""
        await page.reload()
        await until(page, "document.body.dataset.ready")
        await expect(page.locator("#sign-in")).to_be_visible()
