"""Let axe-core judge a page: the accessibility rules of Deque, by which most people's tools judge."""

import asyncio
from typing import Final

import pytest
from playwright.async_api import Page

from ayaldama.web.vendor import INSTALLED
from tests.patience import PATIENCE_S

AXE: Final = INSTALLED / "axe-core" / "axe.min.js"
RUN: Final = """
    () => axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(one =>
        `${one.id} (${one.impact}): ${one.help} – `
        + one.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(" | ")))
"""

needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is missing: make vendor")


async def violations(page: Page) -> list[str]:
    """Return what axe finds wrong with the page as it is now, by all of its rules; a sentence for each rule broken.

    Raises:
        TimeoutError: if it comes to no end, as where the page's clock stands still.
    """
    if not await page.evaluate("typeof axe === 'object'"):
        await page.evaluate(
            AXE.read_text(encoding="utf-8")
        )  # by the browser's own door: our pages admit no foreign script
    async with asyncio.timeout(PATIENCE_S):
        found: list[str] = await page.evaluate(RUN)
    return found
