"""Boards on telephones, panels and old browsers: room for everything, contrast for everybody, nothing that grows."""

import itertools
import re

import numpy as np
import pytest
from playwright.async_api import Page, expect

from ayaldama.web.vendor import INSTALLED
from tests.dispatch.pages import until
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.page_time import hears
from tests.stop_display.pages.scripted import NAME, NOON_MS, STOP, Script, board, line, live, planned, scripted

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

LONG = {
    "kk": "Қызылорда облыстық көпбейінді аурухана – Нұрсұлтан Назарбаев атындағы зияткерлік мектеп",
    "ru": "Кызылординская областная многопрофильная больница – Назарбаев интеллектуальная школа",
    "en": "Kyzylorda regional multidisciplinary hospital – Nazarbayev intellectual school",
}
HOSTILE = "<b>Автовокзал</b><img src=x onerror=alert(1)>&amp;"

READ_COLOURS = """
    selector => Array.from(document.querySelectorAll(selector)).map(one => {
        if (!one.offsetParent || !one.textContent) return null;
        let behind = one;
        while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
        return [one.className, getComputedStyle(one).color, getComputedStyle(behind).backgroundColor];
    }).filter(Boolean)
"""


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two CSS colours."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def worst_contrast(page: Page, selector: str) -> tuple[float, str]:
    found = await page.evaluate(READ_COLOURS, selector)
    assert found
    return min((contrast(ink, paper), f"{name}: {ink} on {paper}") for name, ink, paper in found)


async def test_every_badge_can_be_read_whatever_colours_the_feed_has(opened: Opened) -> None:
    chance = np.random.default_rng(7)
    colours = ["FFFF00", "FFFFFF", "000000", "808080", "777777", "FF0000", "00FF00", ""]
    colours += [f"{chance.integers(1 << 24):06X}" for _ in range(60)]
    inks = ["FFFFFF", "000000", "", "FFFF00", "zzzzzz"]
    lines = [
        line(planned(n + 1), route=str(n), colour=colour, text_colour=inks[n % len(inks)])
        for n, colour in enumerate(colours)
    ]
    lines.append(line(planned(80), route="own", colour="003366", text_colour="FFD400"))
    async with scripted(Script(board=board(*lines))) as url, opened() as (page, _):
        await page.goto(url + STOP)
        await expect(page.locator(".badge")).to_have_count(len(lines))
        assert (await worst_contrast(page, ".badge"))[0] >= 4.5
        own = page.locator(".badge", has_text="own")
        assert await own.evaluate("one => getComputedStyle(one).color") == "rgb(255, 212, 0)"  # legible: honoured


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_the_main_text_has_more_contrast_than_the_law_asks(opened: Opened, theme: str) -> None:
    script = Script(
        board=board(
            line(live(0.2), live(9), route="1"),
            line(live(5.5, stops_away=2), route="2"),
            line(planned(17), planned(30, key="b"), route="3"),
            line(planned(5, state="cancelled"), planned(25), route="4"),
            line(planned(25, state="cancelled"), route="5"),
            line(route="6", state="headway", headway_s=(480, 600)),
            line(route="7", state="service_ended", first_ms=NOON_MS + 18 * 3_600_000),
            line(route="8", state="detour"),
        )
    )
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(f"{url}{STOP}?lang=kk&theme={theme}")
        await expect(page.locator(".row")).to_have_count(8)
        script.tracking_silent_ms = 100_000
        await script.beat()
        await expect(page.locator("#banner")).to_be_visible()
        texts = "h1, .clock span, .banner, .destination, .note, .gone, .figure span, .figure small, .kind, .code"
        assert await worst_contrast(page, texts) >= (7.0, "")
        assert await worst_contrast(page, ".bar a, .bar button, .legend, .empty, .bottom") >= (4.5, "")
        stale = "document.body.dataset.quality = 'stale'"
        await page.evaluate(stale)
        assert await worst_contrast(page, ".figure span, .kind") >= (7.0, "")


async def test_names_are_text_whatever_is_in_them(opened: Opened) -> None:
    hostile = {"kk": HOSTILE, "ru": HOSTILE, "en": HOSTILE}
    script = Script(board=board(line(live(5), route="<i>7", destination=hostile, colour="red;}"), name=hostile))
    async with scripted(script) as url, opened() as (page, seen):
        await page.goto(url + STOP)
        await expect(page.locator("h1")).to_have_text(HOSTILE)
        await expect(page.locator(".destination")).to_have_text(HOSTILE)
        await expect(page.locator(".badge")).to_have_text("<i>7")
        assert await page.locator("img, h1 b, .destination b, .badge i").count() == 0
        assert seen.errors == []


async def test_a_telephone_shows_thirty_lines_with_long_names_without_scrolling_sideways(opened: Opened) -> None:
    lines = [line(live(n + 1, stops_away=n), live(40), route=f"{n}Ұ", destination=LONG) for n in range(28)]
    lines.append(line(route="28", destination=LONG, state="service_ended", first_ms=NOON_MS + 18 * 3_600_000))
    lines.append(line(planned(50), route="Экспресс-1", destination=LONG))
    script = Script(board=board(*lines, name=LONG))
    async with scripted(script) as url, opened(width=360, height=720) as (page, seen):
        await page.goto(url + STOP)
        await expect(page.locator(".row")).to_have_count(30)
        for language in ("kk", "ru", "en"):
            await page.locator("#languages button", has_text=language).click()
            assert await page.evaluate("document.documentElement.scrollWidth") == 360
        assert {f"/vendor/fonts/golos-text-{subset}-500.woff2" for subset in ("cyrillic", "cyrillic-ext")} <= seen.paths
        assert len(seen.hosts) == 1  # nobody but us is asked
        await page.keyboard.press("Shift+Tab")
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (1024, 600)])
async def test_a_panel_fills_its_screen_and_the_rows_that_do_not_fit_take_turns(
    opened: Opened, size: tuple[int, int]
) -> None:
    width, height = size
    lines = [line(live(n + 1.5), route=str(n + 1), destination=LONG) for n in range(25)]
    script = Script(board=board(*lines, name=LONG))
    async with scripted(script) as url, opened(width=width, height=height, virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?mode=panel&lang=ru")
        await expect(page.locator("#pages")).to_contain_text("1 / ")
        await expect(page.locator("#bar")).to_be_hidden()
        seen: set[str] = set()
        for _ in range(await page.evaluate("boardPage.pages")):
            shown = page.locator(".row:not([hidden]) .badge")
            numbers = await shown.all_inner_texts()
            assert numbers[0] == "1"  # the soonest bus is always shown
            seen.update(numbers)
            room = await page.evaluate(
                "[document.querySelector('main').scrollHeight - document.querySelector('main').clientHeight,"
                " document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
            )
            assert room == [0, width, height]
            await page.evaluate("boardPage.turn()")
        assert seen == {str(n + 1) for n in range(25)}
        font_px = await page.evaluate("parseFloat(getComputedStyle(document.querySelector('.figure')).fontSize)")
        assert font_px >= min(width, height) * 0.05


async def test_a_street_panel_changes_its_language_when_all_rows_were_shown_in_it(opened: Opened) -> None:
    script = Script(board=board(*(line(live(n + 1.5), route=str(n)) for n in range(8))))
    async with scripted(script) as url, opened(width=1920, height=1080, virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?mode=panel&lang=rotate")
        await expect(page.locator("#pages")).to_have_text("1 / 2")
        heard = []
        for _ in range(7):
            heard.append((await page.evaluate("document.documentElement.lang"), await page.locator("h1").inner_text()))
            await page.clock.fast_forward(10_000)
            await hears(page, script.beat())
        names = [(language, NAME[language]) for language in ("kk", "kk", "ru", "ru", "en", "en", "kk")]
        assert heard == names


async def test_two_thousand_changes_leave_the_page_as_small_as_it_was(opened: Opened) -> None:
    async with scripted(script := Script(board=board(line(live(9))))) as url, opened() as (page, _):
        await page.goto(url + STOP + "?mode=panel")
        await expect(page.locator(".row")).to_have_count(1)
        client = await page.context.new_cdp_session(page)

        async def size_after(changes: int) -> tuple[int, int, int]:
            for n in range(changes):
                arrivals = [live(2 + n % 7 + m, key=f"{n}-{m}") for m in range(3)]
                await script.change(line(*arrivals), line(planned(n % 50 + 1), route=str(n % 5)))
            await until(page, f"boardPage.feed.sequence === {script.sequence}")
            for _ in range(2):
                await client.send("HeapProfiler.collectGarbage")
            counted = await client.send("Memory.getDOMCounters")
            heap = await client.send("Runtime.getHeapUsage")
            return counted["nodes"], counted["jsEventListeners"], heap["usedSize"]

        await client.send("HeapProfiler.enable")
        sizes = [await size_after(1_000)]  # by then the browser has compiled most of what it runs often
        sizes += [await size_after(500) for _ in range(4)]
        assert len({(nodes, listeners) for nodes, listeners, _ in sizes}) == 1
        grown = [later - heap for (_, _, heap), (_, _, later) in itertools.pairwise(sizes)]
        assert min(grown) < 20_000, "what leaks grows each time; what the browser still compiles does not"


async def test_a_line_that_is_gone_from_a_snapshot_is_gone_from_the_page(opened: Opened) -> None:
    script = Script(board=board(line(live(5), route="1"), line(live(6), route="2")))
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP)
        await expect(page.locator(".badge")).to_have_text(["1", "2"])
        await page.evaluate("document.querySelectorAll('.row')[1].dataset.kept = 'yes'")
        script.board, script.session = board(line(live(9), route="3"), line(live(4), route="2")), "next"
        await script.cut()
        await expect(page.locator(".badge")).to_have_text(["2", "3"])
        await expect(page.locator(".row[data-kept=yes] .badge")).to_have_text(["2"])  # the row lives on
