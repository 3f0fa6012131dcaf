"""One Chromium for all tests of boards; each test has a profile of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.dispatch.pages import FLAGS, Seen
from tests.patience import PATIENCE_MS
from tests.stop_display.pages.page_time import watch

Opened = Callable[..., AbstractAsyncContextManager[tuple[Page, Seen]]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def opened(browser: Browser) -> Opened:
    @asynccontextmanager
    async def open_page(
        *, language: str = "kk", width: int = 1000, height: int = 640, virtual_time: bool = False, worker: bool = False
    ) -> AsyncIterator[tuple[Page, Seen]]:
        async with await browser.new_context(
            viewport={"width": width, "height": height},
            locale=language,
            color_scheme="light",
            service_workers="allow" if worker else "block",
        ) as context:
            page = await context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            if virtual_time:
                await watch(page)
            seen = Seen()
            seen.watch(page)
            yield page, seen

    return open_page


@pytest.fixture(scope="session")
def low_contrast() -> str:
    """A function for pages: texts that differ too little from what lies behind them."""
    return (Path(__file__).parents[2] / "dispatch" / "contrast.js").read_text(encoding="utf-8").strip().rstrip(";")
