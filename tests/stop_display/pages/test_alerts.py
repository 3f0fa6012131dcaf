"""Alerts: in a list on a page, one after the other on a panel, filling it when they must, gone when they end."""

import pytest
from playwright.async_api import Page, expect

from ayaldama.web.vendor import INSTALLED
from tests.dispatch.pages import until
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.page_time import cut_off
from tests.stop_display.pages.scripted import (
    BAZAAR,
    MINUTE_MS,
    NOON_MS,
    STOP,
    Script,
    alert,
    board,
    line,
    live,
    planned,
    scripted,
)
from tests.stop_display.pages.test_how_a_board_looks import worst_contrast

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

STRIP, FILLING = "#alerts .alert", "#takeover .alert"


async def texts(page: Page, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in await page.locator(selector).all_inner_texts()]


async def test_a_page_lists_all_alerts_with_their_routes_text_and_end(opened: Opened) -> None:
    alerts = [
        alert("bridge", routes=["10", "12"], text="Go round.", until_ms=NOON_MS + 90 * MINUTE_MS),
        alert("sand", until_ms=NOON_MS + 20 * 60 * MINUTE_MS),
        alert("storm", takeover=True),
    ]
    async with scripted(Script(board=board(line(live(5)), alerts=alerts))) as url, opened() as (page, seen):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(STRIP)).to_have_count(2)
        assert await texts(page, STRIP) == [
            "Routes: 10, 12 · en: bridge en: Go round. Until: 13:30",
            "en: sand Until: tomorrow 08:00",
        ]
        assert await texts(page, FILLING) == ["en: storm"]
        assert await texts(page, ".alert strong") == ["en: storm", "en: bridge", "en: sand"]  # the gravest first
        await page.locator("#languages button", has_text="kk").click()
        assert await texts(page, FILLING) == ["kk: storm"]
        await expect(page.locator(".row")).to_be_visible()
        assert seen.errors == []


async def test_alerts_come_change_and_go_with_what_the_server_says(opened: Opened) -> None:
    script = Script(board=board(line(live(5))))
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=ru")
        await expect(page.locator(".row")).to_have_count(1)
        await expect(page.locator("#alerts")).to_be_hidden()
        await script.change(alerts=[alert("bridge")])
        await expect(page.locator(STRIP)).to_have_text(["ru: bridge"])
        await script.change(line(live(4)))  # says nothing of alerts: they stay
        await until(page, f"boardPage.feed.sequence === {script.sequence}")
        await expect(page.locator(STRIP)).to_have_text(["ru: bridge"])
        await script.change(alerts=[])
        await expect(page.locator(STRIP)).to_have_count(0)


async def test_an_alert_ends_by_itself_and_one_without_an_end_is_not_believed_for_ever(opened: Opened) -> None:
    alerts = [alert("short", until_ms=NOON_MS + 2 * MINUTE_MS), alert("open")]
    script = Script(board=board(line(planned(50)), alerts=alerts))
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(STRIP)).to_have_count(2)
        await cut_off(page, script)
        await page.clock.fast_forward(121_000)
        await page.clock.run_for(600)
        assert await texts(page, STRIP) == ["en: open"]
        await page.clock.fast_forward(29 * MINUTE_MS)
        await page.clock.run_for(600)
        assert await texts(page, STRIP) == []


async def test_an_alert_of_two_stops_is_shown_once(opened: Opened) -> None:
    other = board(line(planned(17)), stop="bazar", name=BAZAAR, alerts=[alert("bridge"), alert("sand")])
    script = Script(board=board(line(live(5)), alerts=[alert("bridge")]), others=[other])
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=en&stops=bazar")
        await expect(page.locator(STRIP)).to_have_text(["en: bridge", "en: sand"])


async def test_alerts_of_a_panel_take_turns_each_in_every_language(opened: Opened) -> None:
    script = Script(board=board(line(live(50)), alerts=[alert("a"), alert("b"), alert("c")]))
    async with scripted(script) as url, opened(width=1280, height=720, virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?mode=panel&lang=rotate")
        await expect(page.locator(STRIP)).to_have_count(1)
        heard = []
        for _ in range(9):
            heard += await texts(page, STRIP)
            await page.evaluate("boardPage.turn()")
        assert heard == [f"{language}: {name}" for language in ("kk", "ru", "en") for name in "abc"]


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (800, 480)])
@pytest.mark.parametrize("stops", [1, 4])
async def test_a_take_over_fills_a_panel_but_leaves_clock_name_and_next_buses(
    opened: Opened, stops: int, width: int, height: int
) -> None:
    lines = [line(live(n + 1.5), route=str(n)) for n in range(12)]
    others = [board(*lines, stop=stop, name=BAZAAR, code=stop) for stop in ("b", "c", "d")[: stops - 1]]
    long = alert("Storm " * 12, takeover=True, text="Stay where you are. " * 12, until_ms=NOON_MS + 60 * MINUTE_MS)
    script = Script(board=board(*lines, alerts=[long, alert("bridge")]), others=others)
    async with scripted(script) as url, opened(width=width, height=height) as (page, _):
        await page.goto(f"{url}{STOP}?mode=panel&lang=en&stops={','.join(one.stop for one in others)}")
        await expect(page.locator(FILLING)).to_be_visible()
        box = await page.locator("#takeover").bounding_box()
        assert box is not None
        assert box["height"] * box["width"] > 0.3 * width * height
        assert await page.evaluate("takeover.scrollHeight <= takeover.clientHeight"), "all of it can be read"
        for selector in ("h1", "#clock", STRIP):
            await expect(page.locator(selector)).to_be_visible()
        for stop in await page.locator(".stop").all():
            assert await stop.locator(".row:visible .figure").count() >= 2
            assert "1" in await stop.locator(".row:visible .figure").first.inner_text()
        assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        await script.change(alerts=[])
        await expect(page.locator("#takeover")).to_be_hidden()
        await expect(page.locator(".row:visible .destination").first).to_be_visible()


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_alerts_can_be_read_in_both_looks(opened: Opened, theme: str) -> None:
    alerts = [
        alert("a", routes=["1"], text="b", until_ms=NOON_MS + 60 * MINUTE_MS),
        alert("c", takeover=True, text="d"),
    ]
    async with scripted(Script(board=board(line(live(5)), alerts=alerts))) as url, opened() as (page, _):
        await page.goto(f"{url}{STOP}?lang=kk&theme={theme}")
        await expect(page.locator(STRIP)).to_have_count(1)
        words = ".alert-head strong, .alert-text, .alert-until, .alert-routes"
        assert await worst_contrast(page, words) >= (7.0, "")


async def test_words_of_an_alert_are_text_whatever_is_in_them(opened: Opened) -> None:
    script = Script(board=board(line(live(5)), alerts=[alert("<img src=x onerror=alert(1)>", routes=["<b>1</b>"])]))
    async with scripted(script) as url, opened() as (page, seen):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(STRIP)).to_contain_text("<img src=x")
        assert await page.locator(".alert img, .alert b").count() == 0
        assert seen.errors == []
