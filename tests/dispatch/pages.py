"""Pages in a real Chromium, drawn in software, with every request written down."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from aiohttp import web
from playwright.async_api import Page, async_playwright

from tests.patience import PATIENCE_MS, PATIENCE_S

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


DEVICE_S: Final = 1_800_000_000  # January 2027: no page of ours believes its device


@dataclass(slots=True)
class Seen:
    """What a page asked for and complained of."""

    hosts: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda socket: self._asked(socket.url))
        page.on("requestfailed", lambda request: self.failures.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"}:
            self.hosts.add(parts.netloc)
            self.paths.add(parts.path)


async def stand_still(page: Page) -> None:
    """Let the clock of all documents that ``page`` opens from now on move only when the test moves it."""
    await page.clock.install(time=DEVICE_S - 3_600)
    await page.clock.pause_at(DEVICE_S)


async def until(page: Page, condition: str) -> None:
    """Wait for a JavaScript expression to hold. Playwright's own waiting needs ``eval``, which our pages forbid."""
    async with asyncio.timeout(PATIENCE_S):
        while not await page.evaluate(f"() => Boolean({condition})"):
            await page.wait_for_timeout(50)


@asynccontextmanager
async def opened(
    chromium: str,
    *,
    language: str = "kk",
    width: int = 1000,
    height: int = 640,
    theme: Literal["light", "dark"] = "light",
    flags: Sequence[str] = (),
) -> AsyncIterator[tuple[Page, Seen]]:
    """Give an empty page; its browser, started with ``flags`` too, is closed on leaving."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags])
        context = await browser.new_context(
            viewport={"width": width, "height": height}, locale=language, color_scheme=theme
        )
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        seen = Seen()
        seen.watch(page)
        yield page, seen
        await browser.close()


@asynccontextmanager
async def served(routes: Sequence[web.RouteDef], *, port: int = 0) -> AsyncIterator[int]:
    """Serve ``routes`` on a free port of this machine, or on ``port``; give the port."""
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    yield runner.addresses[0][1]
    await runner.cleanup()
