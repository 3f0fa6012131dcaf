"""A page whose clock stands still until a test moves it on, and then only while nothing is under way to its server.

So a busy machine cannot make an answer late: what takes minutes of real time takes none of the page's. Frames are drawn
as ever, because what is heard is shown in the next of them; only timers and the clock itself are the test's.
"""

from collections.abc import Coroutine
from typing import Any, Final

from playwright.async_api import Page

from tests.dispatch.pages import stand_still, until
from tests.stop_display.pages.scripted import Script

STEP_S: Final = 5  # longer than most timers, shorter than what a page puts up with
UNTIL_MAX_S: Final = 60  # of the page's time

_BEFORE_CLOCK: Final = "globalThis.ownFrame = globalThis.requestAnimationFrame.bind(globalThis);"
_AFTER_CLOCK: Final = """
(() => {
  const wire = { asked: 0, open: 0, heard: 0, said: 0 };
  globalThis.wire = wire;
  globalThis.requestAnimationFrame = globalThis.ownFrame;
  const { send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (...sent) {
    wire.asked += 1;
    this.addEventListener("loadend", () => (wire.asked -= 1));
    return send.apply(this, sent);
  };
  const { fetch } = globalThis;
  globalThis.fetch = (...asked) => {
    wire.asked += 1;
    return fetch(...asked).finally(() => (wire.asked -= 1));
  };
  const watched = (Stream, end) =>
    class extends Stream {
      constructor(...where) {
        super(...where);
        wire.asked += 1;
        let answered = false;
        let open = false;
        const became = (now) => {
          wire.asked -= answered ? 0 : 1;
          wire.open += Number(now) - Number(open);
          answered = true;
          open = now;
        };
        this.addEventListener("message", () => {
          became(true);
          wire.heard += 1;
        });
        this.addEventListener(end, () => became(false));
      }
      send(...sent) {
        wire.said += 1;
        super.send(...sent);
      }
    };
  globalThis.WebSocket = watched(WebSocket, "close");
  globalThis.EventSource = watched(EventSource, "error");
})();
"""


async def watch(page: Page) -> None:
    """Take the clock of all documents that ``page`` opens from now on, and note what is under way."""
    await page.add_init_script(_BEFORE_CLOCK)
    await stand_still(page)
    await page.add_init_script(_AFTER_CLOCK)


async def settled(page: Page) -> None:
    """Wait until the page waits for no answer: what is asked has been answered, what is opened has spoken or failed."""
    await until(page, "wire.asked === 0")


async def let_time_pass(page: Page, seconds: int) -> None:
    """Let the page live through ``seconds`` in steps, as timers would, and have its answer to each before the next."""
    await settled(page)
    for start_s in range(0, seconds, STEP_S):
        await page.clock.fast_forward(1000 * min(STEP_S, seconds - start_s))
        await settled(page)
    await page.clock.run_for(100)


async def let_time_pass_until(page: Page, condition: str) -> None:
    """Let time pass until the JavaScript ``condition`` holds; a minute must do."""
    for _ in range(UNTIL_MAX_S // STEP_S):
        await let_time_pass(page, STEP_S)
        if await page.evaluate(f"() => Boolean({condition})"):
            return
    raise AssertionError(f"{condition} did not come true in {UNTIL_MAX_S} s of the page's time")


async def hears(page: Page, telling: Coroutine[Any, Any, None]) -> None:
    """Tell the page something by a socket, and wait until it has heard it."""
    before = await page.evaluate("wire.heard")
    await telling
    await until(page, f"wire.heard > {before}")


async def cut_off(page: Page, script: Script) -> None:
    """Close the connection, refuse others, and wait until the page knows."""
    script.sockets_refused = script.polls_refused = True
    await cut(page, script)


async def cut(page: Page, script: Script) -> None:
    """Close the connection, and wait until the page knows."""
    await script.cut()
    await until(page, "wire.open === 0")
