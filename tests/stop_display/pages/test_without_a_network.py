"""A board without its server: the timetable kept for the day, a start without a network, wrong clocks, midnight."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from playwright.async_api import Page, expect

from ayaldama.web.vendor import INSTALLED
from stop_display.model import Subscribe
from stop_display.timetable import Headway
from tests.dispatch.pages import Seen, until
from tests.patience import PATIENCE_S
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.page_time import cut, cut_off, hears, let_time_pass_until, settled
from tests.stop_display.pages.scripted import (
    BAZAAR,
    MINUTE_MS,
    NOON_MS,
    STOP,
    Script,
    board,
    line,
    live,
    planned,
    scripted,
    timetable_line,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

TODAY, TOMORROW = "2026-09-22", "2026-09-23"
HOUR_MIN, DAY_MIN = 60, 24 * 60
TIMETABLES = {
    TODAY: [
        timetable_line(-200, 30, 90, 300, 680, route="1"),
        timetable_line(200, 400, route="2"),
        timetable_line(-300, -20, route="3"),
        timetable_line(
            route="5",
            headways=[Headway(start_ms=NOON_MS - 60 * MINUTE_MS, end_ms=NOON_MS + 600 * MINUTE_MS, headway_s=540)],
        ),
    ],
    TOMORROW: [
        timetable_line(DAY_MIN - 340, DAY_MIN + 30, route="1"),
        timetable_line(DAY_MIN - 330, route="3"),
        timetable_line(DAY_MIN - 320, route="4"),
        timetable_line(route="2"),
        timetable_line(route="5"),
    ],
}
LOST = "Connection lost. No live data. Times are from the timetable."

READ = """
    () => Array.from(document.querySelectorAll(".row")).map(row =>
        [".badge", ".figure span", ".kind span", ".note > span"]
            .map(name => row.querySelector(name).textContent).filter(Boolean).join(" "))
"""


async def kept(page: Page, script: Script, days: int = 2) -> None:
    """Wait until the page keeps today's and tomorrow's timetable."""
    await page.clock.run_for(7_000)
    await until(page, f"boardPage.kept.of('{STOP}') && Object.keys(boardPage.kept.of('{STOP}').days).length === {days}")
    assert script.timetables_asked[:days] == [TODAY, TOMORROW][:days]


async def lose(page: Page, script: Script, minutes: float) -> None:
    """Cut the board off and let ``minutes`` pass."""
    await cut_off(page, script)
    await page.clock.fast_forward(round(minutes * MINUTE_MS))
    await page.clock.run_for(600)


@asynccontextmanager
async def left_alone(
    opened: Opened, script: Script, minutes: float, *, query: str = "?lang=en"
) -> AsyncIterator[tuple[Page, Seen]]:
    """A board that kept the timetables and has been cut off for so long."""
    async with scripted(script) as url, opened(virtual_time=True) as (page, seen):
        await page.goto(url + STOP + query)
        await expect(page.locator(".row").first).to_be_visible()
        await kept(page, script)
        await lose(page, script, minutes)
        yield page, seen


async def test_after_hours_without_a_server_the_timetable_is_still_there(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5), planned(30), route="1")), timetables=TIMETABLES)
    async with left_alone(opened, script, 120) as (page, _):
        await expect(page.locator("#clock")).to_have_text("14:00")
        await expect(page.locator("#banner")).to_have_text(LOST)
        assert await page.evaluate(READ) == [
            "2 15:20 timetable then 18:40",
            "1 17:00 timetable then 23:20",
            "5 every 9 min timetable",
            "3 service ended for today next bus tomorrow 06:30",
            "4 no service today next bus tomorrow 06:40",
        ]
        script.sockets_refused = script.polls_refused = False
        script.now_ms = NOON_MS + 121 * MINUTE_MS
        await page.evaluate("globalThis.sameDocument = true")
        await let_time_pass_until(page, "document.querySelector('#banner').hidden")
        assert await page.evaluate("globalThis.sameDocument")
        await expect(page.locator(".badge")).to_have_text(["1"])


async def test_what_is_known_to_be_cancelled_stays_so_without_a_server(opened: Opened) -> None:
    lines = [line(planned(30, state="cancelled"), planned(90), route="1")]
    async with left_alone(opened, Script(board=board(*lines), timetables=TIMETABLES), 2) as (page, _):
        row = page.locator(".row", has=page.locator(".badge", has_text="1"))
        await expect(row.locator(".figure span")).to_have_text("13:30")
        await expect(row.locator(".gone s")).to_have_text("12:30")


async def test_midnight_passes_on_a_board_without_a_server(opened: Opened) -> None:
    script = Script(board=board(line(planned(30), route="1")), timetables=TIMETABLES)
    async with left_alone(opened, script, 11 * HOUR_MIN + 50) as (page, _):
        await expect(page.locator("#clock")).to_have_text("23:50")
        assert "3 service ended for today next bus tomorrow 06:30" in await page.evaluate(READ)
        await page.clock.fast_forward(20 * MINUTE_MS)
        await page.clock.run_for(600)
        await expect(page.locator("#clock")).to_have_text("00:10")
        assert await page.evaluate(READ) == [
            "1 first bus 06:20",
            "2 no service today",
            "3 first bus 06:30",
            "4 first bus 06:40",
            "5 no service today",
        ]
        await page.clock.fast_forward(DAY_MIN * MINUTE_MS)  # the day after tomorrow is not kept
        await page.clock.run_for(600)
        assert await page.evaluate(READ) == [f"{n} no data" for n in range(1, 6)]


async def test_a_board_that_is_heard_passes_midnight_and_asks_for_the_next_day(opened: Opened) -> None:
    evening_ms = NOON_MS + 719 * MINUTE_MS  # 23:59
    ended = line(route="1", state="service_ended", first_ms=NOON_MS + (DAY_MIN - 340) * MINUTE_MS)
    script = Script(board=board(ended), timetables=TIMETABLES, now_ms=evening_ms)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=ru")
        await expect(page.locator(".note > span").first).to_have_text("следующий автобус завтра 06:20")
        await kept(page, script)
        for _ in range(8):
            await page.clock.fast_forward(15_000)
            script.now_ms += 15_000
            await hears(page, script.beat())
        await page.clock.run_for(600)
        await settled(page)
        await expect(page.locator("#clock")).to_have_text("00:01")
        await expect(page.locator(".note > span").first).to_have_text("следующий автобус 06:20")  # no longer "tomorrow"
        assert "2026-09-24" in script.timetables_asked


async def test_the_timetables_of_all_stops_of_a_board_are_kept(opened: Opened) -> None:
    other = board(line(planned(17), route="5"), stop="bazar", name=BAZAAR, code="018")
    script = Script(board=board(line(planned(30), route="1")), others=[other], timetables=TIMETABLES)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=en&stops=bazar")
        await expect(page.locator(".row")).to_have_count(2)
        await kept(page, script)
        await until(page, "Object.keys((boardPage.kept.of('bazar') || {days: {}}).days).length === 2")
        assert len(script.timetables_asked) == 4
        await page.clock.fast_forward(30 * MINUTE_MS)
        await page.clock.run_for(5_000)
        await until(page, "boardPage.feed.quality === 'live'")
        await page.evaluate("boardPage.kept.renew(boardPage.feed)")
        await settled(page)
        assert len(script.timetables_asked) == 4  # asked for once


async def test_what_was_kept_for_other_stops_is_forgotten_after_two_days(opened: Opened) -> None:
    script = Script(board=board(line(planned(30))), timetables=TIMETABLES)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + "nowhere")
        for name, at_ms in (("old", NOON_MS - 3 * DAY_MIN * MINUTE_MS), ("new", NOON_MS - DAY_MIN * MINUTE_MS)):
            held = json.dumps(json.dumps({"at_ms": at_ms, "name": BAZAAR, "code": "", "days": {}}))
            await page.evaluate(f"localStorage.setItem('ayaldama.timetable.{name}', {held})")
        await page.evaluate("localStorage.setItem('ayaldama.timetable.broken', '{')")
        await page.goto(url + STOP)
        await expect(page.locator(".row")).to_have_count(1)
        await kept(page, script)
        names = await page.evaluate("Object.keys(localStorage).filter(one => one.includes('timetable')).sort()")
        assert names == [f"ayaldama.timetable.{STOP}", "ayaldama.timetable.new"]


@asynccontextmanager
async def started_without_a_network(
    opened: Opened, *, device_ms: int = -5 * MINUTE_MS
) -> AsyncIterator[tuple[Page, Script, str]]:
    """A board whose worker and timetable were kept; then its server goes and the page is loaded anew.

    ``device_ms``: by how much the device's clock was changed before the network was lost. Earlier then is later now.
    """
    script = Script(board=board(line(live(9.5), planned(30), route="1")), timetables=TIMETABLES)
    async with AsyncExitStack() as serving, opened(worker=True) as (page, _):
        url = await serving.enter_async_context(scripted(script))
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(".row").first).to_be_visible()
        await page.evaluate("boardPage.kept.renew(boardPage.feed)")
        await until(page, f"boardPage.kept.of('{STOP}') && Object.keys(boardPage.kept.of('{STOP}').days).length === 2")
        await page.evaluate("keepPage()")
        await _all_kept(page)
        await serving.aclose()
        await page.evaluate(
            "by => { boardPage.kept.renew = () => {}; const last = JSON.parse(localStorage.getItem('ayaldama.clock'));"
            " last.device_ms += by; localStorage.setItem('ayaldama.clock', JSON.stringify(last)); }",
            device_ms,
        )
        await page.reload()
        yield page, script, url


async def _all_kept(page: Page) -> None:
    """Wait until the worker keeps the page, scripts, styles, texts and fonts."""
    wanted = {"/board", "/static/board/board.js", "/static/board/texts.json", "/vendor/fonts.css"}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            names: list[str] = await page.evaluate(
                "caches.open('ayaldama-board-1').then(cache => cache.keys())"
                ".then(all => all.map(one => new URL(one.url).pathname))"
            )
            if wanted <= set(names) and any(name.endswith(".woff2") for name in names):
                return
            await page.wait_for_timeout(50)


async def test_a_page_started_without_a_network_shows_clock_name_and_timetable_and_comes_back(opened: Opened) -> None:
    async with started_without_a_network(opened) as (page, script, url):
        await expect(page.locator("h1")).to_have_text("Central square")
        await expect(page.locator(".code")).to_have_text("No. 017")
        await expect(page.locator("#banner")).to_have_text(f"{LOST} The time is the device's own.")
        await expect(page.locator("#clock")).to_have_text("12:05")
        assert await page.locator("#clock").get_attribute("data-known") == "guessed"
        assert (await page.evaluate(READ))[0] == "1 12:30 timetable then 13:30, 17:00"
        assert await page.locator("[data-state=live]").count() == 0
        assert await page.evaluate("document.fonts.check('600 20px \"Golos Text\"', 'Central')")
        await page.evaluate("globalThis.sameDocument = true")
        port = int(url.split(":")[2].split("/")[0])
        script.now_ms = NOON_MS + 7 * MINUTE_MS
        async with scripted(script, port=port):
            await expect(page.locator("#banner")).to_be_hidden()
            await expect(page.locator("#clock")).to_have_text("12:07")
            assert await page.locator("#clock").get_attribute("data-known") == "yes"
            await expect(page.locator(".row[data-state=live] .figure span")).to_have_text("2")
            assert await page.evaluate("globalThis.sameDocument")


async def test_a_device_that_lost_its_time_shows_no_clock_and_no_times(opened: Opened) -> None:
    year_ms = 365 * DAY_MIN * MINUTE_MS  # it wakes a year before it fell asleep
    async with started_without_a_network(opened, device_ms=year_ms) as (page, _, _url):
        await expect(page.locator("h1")).to_have_text("Central square")
        await expect(page.locator("#clock")).to_be_hidden()
        await expect(page.locator("#banner")).to_have_text("Connection lost. No live data. The time is not known.")
        assert await page.locator(".row").count() == 0
        await expect(page.locator(".empty")).to_have_text("Nothing is known about buses now.")


async def test_a_device_whose_clock_is_wrong_is_put_right_by_what_it_was_wrong_before(opened: Opened) -> None:
    async with scripted(Script(board=board(line(planned(30)), name=BAZAAR))) as url, opened() as (page, _):
        await page.goto(url + STOP)
        await expect(page.locator(".row")).to_have_count(1)
        guessed: Mapping[str, object] = await page.evaluate(
            """() => {
                const clock = new CityClock();
                const last = {server_ms: 1790060400000, device_ms: 5000000, rate: 1, offset_s: 18000};
                clock.guess(last, 5000000 + 3600000);
                const found = {time: clock.time(clock.now()), known: clock.known, guessed: clock.guessed};
                clock.take(1790060400000);
                return Object.assign(found, {after: clock.time(clock.now()), still: clock.guessed});
            }"""
        )
        assert guessed == {"time": "13:00", "known": False, "guessed": True, "after": "12:00", "still": False}


async def test_the_clock_of_the_device_may_jump_as_it_likes(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5), route="1")), timetables=TIMETABLES)
    async with scripted(script) as url, opened() as (page, seen):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator("#clock")).to_have_text("12:00")
        for year in (1970, 2031):
            moved = dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp() * 1000
            await page.evaluate(
                f"""(() => {{
                    const before = Object.getPrototypeOf(Date);
                    const Real = before === Function.prototype ? Date : before;
                    const by = {moved} - Real.now();
                    window.Date = class extends Real {{
                        constructor(...parts) {{ if (parts.length) super(...parts); else super(Real.now() + by); }}
                        static now() {{ return Real.now() + by; }}
                    }};
                }})()"""
            )
            await page.evaluate("boardPage.show()")
            await expect(page.locator("#clock")).to_have_text("12:00")
            await expect(page.locator(".figure span")).to_have_text("9")
            await script.beat()
            await expect(page.locator("#clock")).to_have_text("12:00")
            assert await page.evaluate("boardPage.feed.quality") == "live"
        assert seen.errors == []


async def test_boards_of_a_server_that_went_away_do_not_all_come_back_at_once(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5))), spread_s=20)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP)
        await script.heard(Subscribe)
        await expect(page.locator(".row")).to_have_count(1)
        await page.evaluate("Math.random = () => 0.75")
        await cut(page, script)
        await page.clock.run_for(14_900)  # 0.75 × 20 s, and a little
        await settled(page)
        assert script.connected == 1
        await page.clock.run_for(600)
        await script.heard(Subscribe)
        assert script.connected == 2


async def test_a_server_that_was_never_reached_is_tried_again_without_waiting_for_others(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5))), spread_s=20, sockets_refused=True, polls_refused=True)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP)
        await settled(page)
        await page.clock.run_for(2_000)
        await until(page, "boardPage.feed.failures >= 2")
        assert script.connected >= 2
