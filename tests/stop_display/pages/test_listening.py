"""The button that has the board read out, and the key beside a panel that does the same."""

import io
import wave

import pytest
from playwright.async_api import expect

from ayaldama.web.vendor import INSTALLED
from tests.dispatch.pages import until
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.scripted import BAZAAR, STOP, Script, board, line, live, scripted

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]


def sound(seconds: float) -> bytes:
    """A WAV of silence."""
    made = io.BytesIO()
    with wave.open(made, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(bytes(round(16_000 * seconds)))
    return made.getvalue()


async def test_the_board_is_read_out_stop_by_stop_in_the_language_shown(opened: Opened) -> None:
    other = board(line(live(4)), stop="bazar", name=BAZAAR)
    script = Script(board=board(line(live(9.5))), others=[other], voice=sound(0.1))
    async with scripted(script) as url, opened() as (page, seen):
        await page.goto(url + STOP + "?lang=ru&stops=bazar")
        await expect(page.locator(".row")).to_have_count(2)
        button = page.locator("#listen")
        await button.click()
        await until(page, "boardPage.audio === null")
        assert script.spoken == [f"{STOP} ru", "bazar ru"]
        await expect(button).to_have_text("Послушать")
        assert seen.errors == []


async def test_a_second_press_makes_it_silent(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5))), voice=sound(30))
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(".row")).to_have_count(1)
        button = page.locator("#listen")
        await button.click()
        await expect(button).to_have_text("Stop")
        await until(page, "boardPage.audio.currentTime > 0")
        await page.evaluate("globalThis.playing = boardPage.audio")
        await button.click()
        await expect(button).to_have_text("Listen")
        assert await page.evaluate("globalThis.playing.paused")


async def test_where_there_is_no_voice_the_button_says_so_for_a_while(opened: Opened) -> None:
    async with scripted(Script(board=board(line(live(9.5))))) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=kk")
        await expect(page.locator(".row")).to_have_count(1)
        button = page.locator("#listen")
        await button.click()
        await expect(button).to_have_text("Дауыс жоқ")
        await page.clock.run_for(11_000)
        await expect(button).to_have_text("Тыңдау")


async def test_the_key_beside_a_panel_has_it_read_out(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5))), voice=sound(30))
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + "?mode=panel&lang=en")
        await expect(page.locator(".row")).to_have_count(1)
        await page.keyboard.press("a")
        assert await page.evaluate("boardPage.audio === null")
        await page.keyboard.press("Enter")
        await until(page, "boardPage.audio && boardPage.audio.currentTime > 0")
        assert script.spoken == [f"{STOP} en"]
