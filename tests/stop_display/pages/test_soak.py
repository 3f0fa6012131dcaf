"""A panel for hours of its own time: as large at the end as at the beginning.

One hour by default; ``AYALDAMA_SOAK_HOURS=24`` for a day, which takes about ten minutes. The page's clock is
driven by the test, so all its timers run as often as in those hours, in a real Chromium whose memory is measured.
"""

import itertools
import os
import statistics
import sys
from typing import Final

import numpy as np
import pytest
from playwright.async_api import CDPSession, Page, expect

from ayaldama.web.vendor import INSTALLED
from stop_display.model import BoardAlert, Line, Snapshot
from tests.dispatch.pages import until
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.page_time import cut
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
    timetable_line,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

HOURS: Final = int(os.environ.get("AYALDAMA_SOAK_HOURS", "1"))
STEP_S: Final = 10
STEPS_PER_SAMPLE: Final = 90  # a quarter of an hour
NODES_APART: Final = 8  # signs of rows that differ with the time of day
GROWN_MAX_BYTES: Final = 100_000  # between the middle and the end; one string kept of each message would be more


def lines_at(now_ms: int, chance: np.random.Generator) -> list[Line]:
    """Lines of all kinds, other buses each time."""
    minute = (now_ms - NOON_MS) / MINUTE_MS
    return [
        line(*(live(minute + m, key=f"{now_ms}-{m}") for m in sorted(chance.uniform(0, 50, 3))), route="1"),
        line(live(minute + chance.uniform(0, 9), key=f"{now_ms}", delay_s=int(chance.integers(-300, 900))), route="2"),
        line(planned(minute + chance.uniform(1, 60), key=f"|{now_ms}"), route="3"),
        line(route="4", state=str(chance.choice(["no_data", "no_service", "detour"]))),
        *(line(planned(minute + n), route=str(n)) for n in range(5, 5 + int(chance.integers(1, 6)))),
    ]


def alerts_at(step: int) -> list[BoardAlert]:
    found = [alert("bridge", routes=["1"])] if step % 60 < 30 else []
    return [*found, alert("storm", takeover=True)] if step % 90 < 9 else found


async def size(page: Page, client: CDPSession) -> tuple[int, int, int]:
    """Return nodes, listeners and bytes of the heap, after all that is not needed was let go."""
    for _ in range(2):
        await client.send("HeapProfiler.collectGarbage")
    counted = await client.send("Memory.getDOMCounters")
    heap = await client.send("Runtime.getHeapUsage")
    return counted["nodes"], counted["jsEventListeners"], heap["usedSize"]


async def live_through(page: Page, script: Script, steps: range, chance: np.random.Generator) -> None:
    """Ten seconds a step, a change in each; alerts come and go, connections are cut, the server starts anew."""
    for step in steps:
        script.now_ms += STEP_S * 1000
        if step % 360 == 200:
            await cut(page, script)  # the page goes on where it was
        if step % 720 == 400:
            script.session, script.sequence = f"run-{step}", 1
            await cut(page, script)  # and with snapshots
        await page.clock.run_for(STEP_S * 1000)
        await until(page, "boardPage.feed.spoken")
        lines = lines_at(script.now_ms, chance)
        script.board = board(*lines, alerts=alerts_at(step))
        await script.change(*lines, alerts=alerts_at(step))
        await until(page, f"boardPage.feed.sequence === {script.sequence}")


async def show_the_same(page: Page, script: Script) -> None:
    """Show what was shown at each time before, so that sizes can be compared."""
    script.sequence += 1
    same = board(*lines_at(script.now_ms, np.random.default_rng(1)))
    await script.tell(Snapshot(sequence=script.sequence, server_ms=script.now_ms, as_of_ms=script.now_ms, board=same))
    await until(page, f"boardPage.feed.sequence === {script.sequence}")


async def test_a_panel_does_not_grow(opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(11)
    timetables = {
        f"2026-09-{day}": [timetable_line(*range(-600, 600, 7), route=str(n)) for n in range(1, 12)]
        for day in range(21, 30)
    }
    other = board(line(planned(900), route="7"), stop="bazar", name=BAZAAR)
    script = Script(board=board(*lines_at(NOON_MS, chance)), others=[other], timetables=timetables)
    async with scripted(script) as url, opened(width=1280, height=720, virtual_time=True) as (page, seen):
        await page.goto(f"{url}{STOP}?mode=panel&lang=rotate&stops=bazar")
        await expect(page.locator(".row").first).to_be_visible()
        await page.evaluate("boardPage.renewAtNight = () => {}")  # which would hide what has grown
        client = await page.context.new_cdp_session(page)
        await client.send("HeapProfiler.enable")
        sizes = []
        for sample in range(HOURS * 3600 // STEP_S // STEPS_PER_SAMPLE + 1):
            await live_through(page, script, range(sample * STEPS_PER_SAMPLE, (sample + 1) * STEPS_PER_SAMPLE), chance)
            await show_the_same(page, script)
            await page.clock.run_for(1_000)
            sizes.append(await size(page, client))
        said = [f"{n / 4:6.2f} h {one[0]:6} {one[1]:4} {one[2]:10}" for n, one in enumerate(sizes, start=1)]
        with capsys.disabled():
            sys.stdout.write("\n".join([f"\nsoak of {HOURS} h: time, nodes, listeners, bytes of heap", *said, ""]))
        assert seen.errors == []
        assert len({listeners for _, listeners, _ in sizes}) == 1
        nodes = [one[0] for one in sizes]
        assert max(nodes) - min(nodes) <= NODES_APART, nodes
        heaps = [heap for _, _, heap in sizes[1:]]
        third = -(-len(heaps) // 3)
        grown = statistics.median(heaps[-third:]) - statistics.median(heaps[-2 * third : -third])
        assert grown < GROWN_MAX_BYTES, [later - heap for heap, later in itertools.pairwise(heaps)]
