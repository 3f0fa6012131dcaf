"""No rule of axe-core is broken by a board, whatever it shows, nor by the page of a stop."""

import pytest
from playwright.async_api import expect

from ayaldama.web.vendor import INSTALLED
from tests.axe import needs_axe, violations
from tests.dispatch.small_city import ALAN
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.pictures import scenes
from tests.stop_display.pages.scripted import STOP, Script, alert, board, line, live, scripted
from tests.stop_display.pages.stop_city import Tracking, stop_city
from tests.stop_display.pages.test_stop_page import BUSES, COMING

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    needs_axe,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]


@pytest.mark.parametrize("name", scenes())
async def test_no_board_breaks_a_rule(opened: Opened, name: str) -> None:
    scene = scenes()[name]
    width, height = scene.size
    script = Script(board=scene.board, others=scene.others, tracking_silent_ms=1000 * scene.tracking_silent_s)
    async with scripted(script) as url, opened(width=width, height=height) as (page, _):
        await page.goto(f"{url}{STOP}?{scene.query}")
        await expect(page.locator(".row").first).to_be_visible()
        for theme in ("dark", "light"):
            await page.evaluate("theme => boardPage.look(theme)", theme)
            assert await violations(page) == []
        if scene.silent_s:
            await page.evaluate("document.body.dataset.quality = 'stale'")
            assert await violations(page) == []


async def test_a_page_before_anything_is_heard_and_of_no_stop_breaks_no_rule(opened: Opened) -> None:
    async with scripted(Script(sockets_refused=True, polls_refused=True)) as url, opened() as (page, _):
        await page.goto(url + STOP)
        await expect(page.locator("h1")).to_have_text("Қосылуда…")
        assert await violations(page) == []
    async with scripted(Script()) as url, opened() as (page, _):
        await page.goto(url + "nowhere")
        await expect(page.locator(".empty")).to_be_visible()
        assert await violations(page) == []


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_the_pages_of_a_stop_break_no_rule(opened: Opened, theme: str) -> None:
    async with stop_city(Tracking(BUSES, COMING)) as url, opened(width=360, height=740) as (page, _):
        await page.goto(f"{url}/stop/{ALAN.id}?lang=kk&theme={theme}")
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)
        assert await violations(page) == []
        await page.goto(f"{url}/stop?lang=ru&theme={theme}")
        await expect(page.locator("h1")).to_be_visible()
        assert await violations(page) == []


async def test_the_judge_is_awake(opened: Opened) -> None:
    script = Script(board=board(line(live(5)), alerts=[alert("a")]))
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP)
        await expect(page.locator(".row")).to_have_count(1)
        await page.evaluate("document.documentElement.lang = ''; document.querySelector('.code').style.color = '#888'")
        found = await violations(page)
        assert [one.split()[0] for one in found] == ["color-contrast", "html-has-lang"]
