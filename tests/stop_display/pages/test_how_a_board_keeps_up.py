"""The connection of a board: resumed after a cut, replaced by polling, aged honestly, acknowledged when painted."""

from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Page, expect

from ayaldama.web.vendor import INSTALLED
from stop_display.model import Ack, Subscribe
from tests.dispatch.pages import until
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.page_time import cut_off, hears, let_time_pass, let_time_pass_until, settled
from tests.stop_display.pages.scripted import NOON_MS, STOP, Script, board, line, live, planned, scripted

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

LIVE_AND_PLANNED = board(
    line(live(20.5, scheduled_ms=NOON_MS + 19 * 60_000), route="1"),
    line(live(30.5), route="2"),
    line(planned(25), route="3"),
)


async def rows(page: Page) -> list[str]:
    return await page.evaluate(
        "() => Array.from(document.querySelectorAll('.row'))"
        ".map(row => row.querySelector('.badge').textContent + ' ' + row.dataset.state)"
    )


async def test_a_board_that_was_cut_off_goes_on_where_it_was(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5))))
    async with scripted(script) as url, opened() as (page, seen):
        await page.goto(url + STOP + "?lang=en&board=panel-7")
        assert await script.heard(Subscribe) == Subscribe(stops=[STOP], board="panel-7")
        await script.change(line(live(7.5)))
        await expect(page.locator(".figure span")).to_have_text("7")
        await script.cut()
        again = await script.heard(Subscribe)
        assert isinstance(again, Subscribe)
        assert again.resume is not None
        assert (again.resume.session, again.resume.sequence) == ("first", 2)
        await until(page, "boardPage.feed.spoken")
        await script.change(line(live(6.5)))
        await expect(page.locator(".figure span")).to_have_text("6")
        assert seen.errors == []


async def test_a_board_is_back_within_seconds_of_its_server_however_long_it_was_away(opened: Opened) -> None:
    async with AsyncExitStack() as first, opened(virtual_time=True) as (page, _):
        url = await first.enter_async_context(scripted(Script(board=LIVE_AND_PLANNED)))
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(".row")).to_have_count(3)
        await page.evaluate("globalThis.sameDocument = true")
        await first.aclose()
        await let_time_pass(page, 600)
        assert await page.evaluate("boardPage.feed.pauseMs") == 3_000
        port = int(url.split(":")[2].split("/")[0])
        second = Script(board=board(line(live(14.5), route="8")), session="second", now_ms=NOON_MS + 600_000)
        async with scripted(second, port=port):
            await page.clock.fast_forward(3_000)
            await expect(page.locator(".badge")).to_have_text(["8"])
            await expect(page.locator("#banner")).to_be_hidden()
            await expect(page.locator("#clock")).to_have_text("12:10")
            assert await page.evaluate("globalThis.sameDocument")


async def test_a_socket_that_has_gone_silent_is_replaced(opened: Opened) -> None:
    script = Script(board=LIVE_AND_PLANNED)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP)
        await expect(page.locator(".row")).to_have_count(3)
        await script.heard(Subscribe)
        for _ in range(2):
            await page.clock.fast_forward(24_000)
            await page.clock.fast_forward(1_000)
            await settled(page)
            assert script.connected == 1
            await hears(page, script.beat())
        await page.clock.fast_forward(26_000)
        await page.clock.fast_forward(1_000)
        assert isinstance(await script.heard(Subscribe), Subscribe)
        assert script.connected == 2


async def test_what_is_old_is_marked_after_a_minute_and_live_rows_go_after_a_minute_and_a_half(opened: Opened) -> None:
    script = Script(board=LIVE_AND_PLANNED)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(".row")).to_have_count(3)
        fresh = await page.evaluate("getComputedStyle(document.querySelector('.row[data-state=live] .when')).color")
        await cut_off(page, script)
        await let_time_pass(page, 55)
        await expect(page.locator("#banner")).to_be_hidden()
        await let_time_pass(page, 10)
        await expect(page.locator("#banner")).to_have_text(
            "Connection lost. Latest data: 12:00. Bus times may be wrong."
        )
        assert await rows(page) == ["1 live", "3 timetable", "2 live"]
        grey = await page.evaluate("getComputedStyle(document.querySelector('.row[data-state=live] .when')).color")
        assert grey != fresh
        await let_time_pass(page, 30)
        await expect(page.locator("#banner")).to_have_text(
            "Connection lost. No live data. Times are from the timetable."
        )
        assert await rows(page) == ["1 timetable", "3 timetable", "2 no_data"]
        await expect(page.locator(".figure span").first).to_have_text("12:19")
        await expect(page.locator("#clock")).to_have_text("12:01")
        await expect(page.locator("h1")).to_have_text("Central square")
        script.sockets_refused = script.polls_refused = False
        await let_time_pass(page, 5)
        await expect(page.locator("#banner")).to_be_hidden()
        assert await rows(page) == ["1 live", "3 timetable", "2 live"]


async def test_a_board_says_when_the_server_itself_does_not_hear_the_buses(opened: Opened) -> None:
    script = Script(board=LIVE_AND_PLANNED)
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=ru")
        await expect(page.locator(".row")).to_have_count(3)
        script.tracking_silent_ms = 95_000
        await script.change(line(planned(19), route="1"), line(route="2"))
        await expect(page.locator("#banner")).to_have_text(
            "От автобусов не приходят данные. Время показано по расписанию."
        )
        script.tracking_silent_ms = 5_000
        await script.beat()
        await expect(page.locator("#banner")).to_be_hidden()


async def test_where_sockets_do_not_get_through_a_board_polls_and_goes_on_trying(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5))), sockets_refused=True)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=en")
        await let_time_pass_until(page, "boardPage.feed.known")
        await expect(page.locator(".figure span")).to_have_text("9")
        assert script.polled[0] is None
        await let_time_pass(page, 100)  # nothing new: 304, and that is word from the server
        assert await page.evaluate("boardPage.feed.quality") == "live"
        assert script.polled[-1] is not None
        assert script.connected >= 5
        assert len(script.polled) >= 3
        script.board = board(line(live(4.5)))
        # the page's clock went on: what would be 4 minutes at its start are 2 by now
        await let_time_pass_until(page, "document.querySelector('.figure span').textContent === '2'")
        script.sockets_refused = False
        script.now_ms, script.board = NOON_MS + 130_000, board(line(live(30.9)))
        await let_time_pass_until(page, "boardPage.feed.spoken")
        subscribed = await script.heard(Subscribe)
        assert isinstance(subscribed, Subscribe)
        assert subscribed.resume is None
        await expect(page.locator(".figure span")).to_have_text("28")
        polls = len(script.polled)
        for _ in range(3):
            await hears(page, script.beat())
            await let_time_pass(page, 15)
        assert len(script.polled) == polls


async def test_a_board_that_polls_says_that_buses_are_silent_though_nothing_changes(opened: Opened) -> None:
    script = Script(board=board(line(planned(45))), sockets_refused=True)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=en")
        await let_time_pass_until(page, "boardPage.feed.known")  # polled once
        await expect(page.locator("#banner")).to_be_hidden()
        script.tracking_silent_ms = 120_000
        polls = len(script.polled)
        await let_time_pass_until(page, "!document.querySelector('#banner').hidden")
        assert script.polled[polls:]
        assert None not in script.polled[polls:], "each time it was the same board"


async def test_what_is_painted_is_acknowledged_four_times_a_second_at_most(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5))))
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP)
        await until(page, "boardPage.feed.painted")
        await page.clock.run_for(10)
        first = await script.heard(Ack)
        assert isinstance(first, Ack)
        assert first.sequence == 1
        assert NOON_MS <= first.painted_ms < NOON_MS + 1_000
        await page.clock.run_for(1_000)
        for _ in range(20):
            await script.change(line(live(8.5)))
        await until(page, "boardPage.feed.painted.sequence === 21")
        await page.clock.run_for(10)
        second = await script.heard(Ack)
        assert isinstance(second, Ack)
        assert second.sequence == 21
        said = await page.evaluate("wire.said")
        await script.change(line(live(7.5)))
        await until(page, "boardPage.feed.painted.sequence === 22")
        await page.clock.run_for(200)
        assert await page.evaluate("wire.said") == said
        await page.clock.run_for(50)
        third = await script.heard(Ack)
        assert isinstance(third, Ack)
        assert third.sequence == 22
        assert not script.waiting
        assert third.painted_ms - second.painted_ms < 250  # when it was painted, not when it was said


async def test_words_that_cannot_be_understood_lead_to_a_fresh_start(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5))))
    async with scripted(script) as url, opened() as (page, seen):
        await page.goto(url + STOP)
        await script.heard(Subscribe)
        await expect(page.locator(".figure span")).to_have_text("9")
        await script.tell_raw('{"type": "snapshot", "board": null}')
        again = await script.heard(Subscribe)
        assert isinstance(again, Subscribe)
        assert again.resume is None
        await expect(page.locator(".figure span")).to_have_text("9")
        assert seen.errors == []


async def test_a_panel_renews_itself_at_night_only_if_its_page_can_be_had(opened: Opened) -> None:
    evening_ms = NOON_MS + (8 * 60 + 5) * 60_000  # 20:05, seven hours before 03:05
    script = Script(board=board(line(planned(600))), now_ms=evening_ms)
    async with AsyncExitStack() as stack, opened(virtual_time=True) as (page, _):
        url = await stack.enter_async_context(scripted(script))
        await page.goto(url + STOP + "?mode=panel")
        await expect(page.locator(".row")).to_have_count(1)
        await page.evaluate("globalThis.sameDocument = true; Math.random = () => 0")
        assert not await page.evaluate("boardPage.mayRenew()")
        script.page_missing = True
        await page.clock.fast_forward("07:00:00")
        script.now_ms += 7 * 3_600_000
        await page.clock.fast_forward(3_000)
        await until(page, "boardPage.mayRenew()")
        await page.evaluate("boardPage.renewAtNight()")
        await page.clock.run_for(100)
        await settled(page)
        assert script.page_asked
        assert await page.evaluate("boardPage.mayRenew()")
        assert await page.evaluate("globalThis.sameDocument === true")
        script.page_missing = False
        async with page.expect_event("framenavigated"):
            await page.evaluate("boardPage.renewAtNight()")
            await page.clock.run_for(100)
        await expect(page.locator(".row")).to_have_count(1)
        assert await page.evaluate("globalThis.sameDocument === undefined")
