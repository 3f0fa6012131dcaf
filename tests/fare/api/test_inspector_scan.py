"""The inspector's camera sees a passenger's phone: a video of its QR, in a browser that reads no codes itself."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from ayaldama.web.vendor import INSTALLED, vendor_routes
from tests.dispatch.pages import opened, served, until
from tests.fare.api.desk import PIN
from tests.fare.api.town import Town
from tests.fare.inspection.bus import Bus
from tests.fare.inspection.verdict_cases import TAPS
from tests.fare.phone.camera import camera_that_sees

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "qr").exists(), reason="browser files are missing: make vendor"),
]


@pytest.mark.parametrize(
    ("what", "standing"), [("phone family", "Paid"), ("picture family", "Not the live code"), ("family", "Paid")]
)
async def test_a_code_is_scanned_where_the_browser_has_no_detector(
    chromium: str, tmp_path: Path, what: str, standing: str
) -> None:
    flags = camera_that_sees(Bus(taps=TAPS).code(what), tmp_path / "code.y4m")
    async with (
        served([*Town().inspection().routes(), *vendor_routes()]) as port,
        opened(chromium, language="en", width=390, height=780, flags=flags) as (page, seen),
    ):
        await page.add_init_script("delete window.BarcodeDetector")
        await page.goto(f"http://127.0.0.1:{port}/inspector/")
        await until(page, "document.body.dataset.ready")
        await page.fill("#number", "7")
        await page.fill("#pin", PIN)
        await page.click("#sign-in button")
        await page.fill("#vehicle", "bus-7")
        await page.click("#bus button")
        await page.set_checked("#boarded-before", True)
        await page.click("#scan")
        await expect(page.locator("#standing")).to_have_text(standing)
        await expect(page.locator("#camera-frame")).to_be_hidden()
        assert seen.errors == []
