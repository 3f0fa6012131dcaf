"""A board of two to four stops: one conversation, a section for each stop, sizes that follow the screen."""

import pytest
from playwright.async_api import Page, expect

from ayaldama.web.vendor import INSTALLED
from stop_display.model import Subscribe
from tests.dispatch.pages import until
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.scripted import BAZAAR, NOON_MS, STOP, Script, board, line, live, planned, scripted

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

BAZAAR_BOARD = board(line(planned(17), route="5"), stop="bazar", name=BAZAAR, code="018")


async def sections(page: Page) -> list[str]:
    return await page.evaluate(
        "() => Array.from(document.querySelectorAll('.stop'))"
        ".map(stop => stop.querySelector('.stop-name span').textContent"
        " + ': ' + Array.from(stop.querySelectorAll('.badge')).map(one => one.textContent).join(' '))"
    )


async def test_a_board_of_two_stops_goes_on_with_both_after_a_cut(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5), route="1")), others=[BAZAAR_BOARD])
    async with scripted(script) as url, opened() as (page, seen):
        await page.goto(url + STOP + "?lang=en&stops=bazar")
        assert await script.heard(Subscribe) == Subscribe(stops=[STOP, "bazar"])
        await until(page, "boardPage.feed.sequence === 1")
        await expect(page.locator("h1")).to_have_text("Next buses")
        assert await sections(page) == ["Central square: 1", "Bazaar: 5"]
        assert await page.title() == "Stop Central square, Bazaar"
        await script.change(line(planned(18), route="6"), stop="bazar")
        await expect(page.locator(".stop").nth(1).locator(".badge")).to_have_text(["5", "6"])
        await script.cut()
        again = await script.heard(Subscribe)
        assert isinstance(again, Subscribe)
        assert again.stops == [STOP, "bazar"]
        assert again.resume is not None
        assert again.resume.sequence == 2
        await until(page, "boardPage.feed.spoken")
        await script.change(line(live(4.5), route="1"))
        await expect(page.locator(".stop").first.locator(".figure span")).to_have_text("4")
        assert await sections(page) == ["Central square: 1", "Bazaar: 5 6"]
        assert seen.errors == []


async def test_a_cut_between_the_snapshots_leads_to_all_of_them_anew(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5), route="1")), others=[BAZAAR_BOARD])
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + "?stops=bazar")
        await script.heard(Subscribe)
        await until(page, "boardPage.feed.sequence === 1")
        await page.evaluate("boardPage.feed.sequence = 0")  # as after the first of two
        await script.cut()
        again = await script.heard(Subscribe)
        assert isinstance(again, Subscribe)
        assert again.resume is not None
        assert again.resume.sequence == 0  # no server goes on from there


async def test_stops_of_one_name_are_told_apart_by_their_numbers(opened: Opened) -> None:
    across = board(line(planned(17), route="5"), stop="across", code="018")
    async with scripted(Script(board=board(line(live(9))), others=[across])) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=ru&stops=across")
        await expect(page.locator("h1")).to_have_text("Центральная площадь")
        await expect(page.locator(".stop-name small")).to_have_text(["№ 017", "№ 018"])


async def test_a_stop_that_does_not_exist_leaves_the_others_as_they_are(opened: Opened) -> None:
    async with scripted(Script(board=board(line(live(9.5), route="1")))) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=en&stops=nowhere")
        await expect(page.locator(".stop-name span")).to_have_text(["Central square", "There is no such stop: nowhere"])
        assert await page.evaluate("boardPage.feed.failures") == 0
        await expect(page.locator(".badge")).to_have_text(["1"])


async def test_at_most_four_stops_are_shown_and_each_once(opened: Opened) -> None:
    script = Script(board=board(line(live(9))))
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + f"?stops=b,{STOP},c,d,e,f")
        said = await script.heard(Subscribe)
        assert isinstance(said, Subscribe)
        assert said.stops == [STOP, "b", "c", "d"]


async def test_where_sockets_fail_every_stop_is_polled(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5), route="1")), others=[BAZAAR_BOARD], sockets_refused=True)
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=en&stops=bazar,nowhere")
        await expect(page.locator(".badge")).to_have_text(["1", "5"])
        await expect(page.locator(".stop-name span").nth(2)).to_have_text("There is no such stop: nowhere")
        assert await page.evaluate("boardPage.feed.quality") == "live"


async def test_other_stops_may_be_asked_for_without_a_new_page(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5), route="1")), others=[BAZAAR_BOARD])
    async with scripted(script) as url, opened() as (page, seen):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(".badge")).to_have_text(["1"])
        await page.evaluate("boardPage.showStops(['bazar'])")
        await expect(page.locator(".badge")).to_have_text(["5"])
        await expect(page.locator("h1")).to_have_text("Bazaar")
        await page.evaluate(f"boardPage.showStops(['bazar', '{STOP}'])")
        await expect(page.locator(".badge")).to_have_text(["5", "1"])
        await page.evaluate(f"boardPage.showStops(['{STOP}'])")
        await expect(page.locator(".badge")).to_have_text(["1"])
        assert await page.locator(".stop").count() == 1
        assert seen.errors == []


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (1280, 720), (800, 480)])
@pytest.mark.parametrize("stops", [1, 2, 3, 4])
async def test_stops_share_a_panel_and_every_line_has_its_turn(
    opened: Opened, stops: int, width: int, height: int
) -> None:
    boards = [
        board(*(line(live(n + 1.5), route=f"{stop}-{n}") for n in range(9)), stop=stop, code=stop, name=BAZAAR)
        for stop in (STOP, "b", "c", "d")[:stops]
    ]
    wanted = {f"{one.stop}-{n}" for one in boards for n in range(9)}
    script = Script(board=boards[0], others=boards[1:])
    query = ",".join(one.stop for one in boards[1:])
    async with scripted(script) as url, opened(width=width, height=height, virtual_time=True) as (page, _):
        await page.goto(f"{url}{STOP}?mode=panel&stops={query}")
        await until(page, f"document.querySelectorAll('.row').length === {9 * stops}")
        seen: set[str] = set()
        for _ in range(await page.evaluate("boardPage.pages")):
            rows = await page.evaluate(
                """() => Array.from(document.querySelectorAll(".row")).filter(row => !row.hidden).map(row => {
                    const box = row.getBoundingClientRect(), outer = row.closest(".stop").getBoundingClientRect();
                    const inside = box.right <= outer.right + 1 && box.bottom <= outer.bottom + 1;
                    return [row.querySelector(".badge").textContent, inside && outer.bottom <= innerHeight];
                })"""
            )
            assert all(inside for _, inside in rows)
            seen |= {route for route, _ in rows}
            await page.evaluate("boardPage.turn()")
        assert seen == wanted
        figure_px = await page.evaluate("parseFloat(getComputedStyle(document.querySelector('.figure')).fontSize)")
        assert figure_px >= min(width, height) * (0.05 if stops == 1 else 0.03)


async def test_a_panel_may_be_asked_for_more_rows_than_fit_at_full_size(opened: Opened) -> None:
    script = Script(board=board(*(line(live(n + 1.5), route=str(n)) for n in range(12))))
    async with scripted(script) as url, opened(width=1080, height=1920) as (page, _):
        await page.goto(url + STOP + "?mode=panel&rows=12")
        await expect(page.locator(".row:visible")).to_have_count(12)
        await page.goto(url + STOP + "?mode=panel&rows=nonsense")
        await expect(page.locator(".row:visible")).to_have_count(8)
        assert await page.evaluate("boardPage.clock.now()") >= NOON_MS
