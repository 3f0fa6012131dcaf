"""Make the pictures of docs/boards.md anew, each from the real page in a real Chromium.

    python -m tests.stop_display.pages.pictures docs/pictures            # all
    python -m tests.stop_display.pages.pictures /tmp/look board-stale    # those whose names begin so

What stands on the boards is invented; how it is shown is not.
"""

import argparse
import asyncio
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from stop_display.model import BoardAlert, BoardArrival, Line, StopBoard
from tests.chromium import find_chromium
from tests.dispatch.pages import FLAGS
from tests.stop_display.pages.page_time import cut_off, let_time_pass, watch
from tests.stop_display.pages.scripted import MINUTE_MS, NOON_MS, STOP, Script, board, line, live, planned, scripted

WIDE: Final = (1280, 720)
TALL: Final = (720, 1280)
PHONE: Final = (360, 780)
COLOURS: Final = 96  # of a picture: enough for flat surfaces and smooth letters
TOMORROW_MS: Final = NOON_MS + 18 * 3_600_000 + 30 * MINUTE_MS


def named(kk: str, ru: str, en: str) -> Mapping[str, str]:
    return {"kk": kk, "ru": ru, "en": en}


AIRPORT: Final = named("Әуежай", "Аэропорт", "Airport")
STATION: Final = named("Теміржол вокзалы", "Железнодорожный вокзал", "Railway station")
HOSPITAL: Final = named("Облыстық аурухана", "Областная больница", "Regional hospital")
MICRO: Final = named("Шұғыла мөлтек ауданы", "мкр Шугыла", "Shugyla district")
SYRDARIA: Final = named("Сырдария жағалауы", "Набережная Сырдарьи", "Syrdaria embankment")
SCHOOL: Final = named("№ 264 мектеп", "Школа № 264", "School 264")
BUS_STATION: Final = named("Автовокзал", "Автовокзал", "Bus station")
LONG: Final = named(
    "Қызылорда облыстық көпбейінді аурухана – Нұрсұлтан Назарбаев атындағы зияткерлік мектеп",
    "Кызылординская областная многопрофильная больница – Назарбаев интеллектуальная школа",
    "Kyzylorda regional multidisciplinary hospital – Nazarbayev intellectual school",
)
BAZAAR: Final = named("Орталық базар", "Центральный базар", "Central bazaar")

CLOSED: Final = BoardAlert(
    id="closed",
    header=named("Абай даңғылы жабық", "Проспект Абая закрыт", "Abai avenue is closed"),
    text=named(
        "10 және 12-бағыттар Қорқыт ата көшесімен жүреді.",
        "Маршруты 10 и 12 идут по улице Коркыт ата.",
        "Routes 10 and 12 go by Korkyt Ata street.",
    ),
    effect="detour",
    routes=["10", "12"],
    until_ms=NOON_MS + 6 * 3_600_000,
)
STORM: Final = BoardAlert(
    id="storm",
    header=named(
        "Шаңды дауыл: автобустар сағат 13:00-ден кейін жүрмейді",
        "Пыльная буря: после 13:00 автобусы не ходят",
        "Dust storm: no buses after 13:00",
    ),
    text=named(
        "Үйде болыңыз. Қозғалыс қайта басталғанда осында хабарланады.",
        "Оставайтесь дома. О возобновлении движения будет сказано здесь.",
        "Stay at home. It will be said here when buses run again.",
    ),
    effect="no_service",
    takeover=True,
    until_ms=TOMORROW_MS,
)


def usual() -> list[Line]:
    return [
        line(live(0.3, at_stop=True, wheelchair="accessible"), live(11.5, key="b"), route="1", destination=STATION),
        line(
            live(3.5, stops_away=2, delay_s=260, wheelchair="accessible"), live(14.2, key="b"), route="10",
            destination=AIRPORT, colour="B3261E",
        ),
        line(
            live(6.4, stops_away=4, occupancy="standing_room_only", wheelchair="inaccessible"), planned(22),
            route="12", destination=HOSPITAL, colour="0A7D4B",
        ),
        line(live(9.5, state="live_terminal"), route="3", destination=MICRO, colour="FFD23F"),
        line(
            planned(17, wheelchair="accessible"), planned(37, key="b"), route="16", destination=SCHOOL, colour="6B4FA0"
        ),
        line(route="18", destination=BUS_STATION, state="headway", headway_s=(480, 600), colour="00718F"),
    ]  # fmt: skip


def every_state() -> list[Line]:
    return [
        *usual()[:2],
        line(planned(5, state="cancelled"), planned(25), route="4", destination=SYRDARIA),
        line(planned(45, state="cancelled"), route="5", destination=STATION, state="cancelled"),
        line(route="6", destination=MICRO, state="before_first_trip", first_ms=NOON_MS + 90 * MINUTE_MS),
        line(route="7", destination=AIRPORT, state="service_ended", first_ms=TOMORROW_MS),
        line(route="8", destination=HOSPITAL, state="no_service", first_ms=NOON_MS + 5 * 24 * 60 * MINUTE_MS),
        line(route="9", destination=BUS_STATION, state="detour"),
        line(route="13", destination=SCHOOL, state="no_data"),
    ]


def twelve() -> list[Line]:
    places = (AIRPORT, STATION, HOSPITAL, MICRO, SYRDARIA, SCHOOL, BUS_STATION, BAZAAR)
    colours = ("1F6FB2", "B3261E", "0A7D4B", "FFD23F", "6B4FA0", "00718F")
    return [
        line(
            *_twelfth(n), route=f"{n + 1}", destination=places[n % len(places)], colour=colours[n % len(colours)]
        )
        for n in range(12)
    ]  # fmt: skip


def _twelfth(n: int) -> list[BoardArrival]:
    return [planned(3 + 4 * n)] if n % 4 == 3 else [live(2.4 + 3 * n, stops_away=n + 1), live(20.4 + 3 * n, key="b")]


def other(stop: str, name: Mapping[str, str], code: str, *lines: Line) -> StopBoard:
    return board(*lines, stop=stop, name=name, code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One picture: what the server says, how the page is asked for, and how long the server has been silent."""

    board: StopBoard
    query: str
    size: tuple[int, int] = WIDE
    others: Sequence[StopBoard] = ()
    silent_s: int = 0
    tracking_silent_s: int = 0


def scenes() -> Mapping[str, Scene]:
    usual_board = board(*usual())
    found = {
        "board-wide-kk": Scene(board=usual_board, query="mode=panel&lang=kk"),
        "board-states-ru": Scene(board=board(*every_state()), query="mode=panel&lang=ru", size=TALL),
        "board-states-en": Scene(board=board(*every_state()), query="lang=en&theme=light", size=PHONE),
        "board-old-kk": Scene(board=usual_board, query="mode=panel&lang=kk", silent_s=70),
        "board-lost-ru": Scene(board=usual_board, query="mode=panel&lang=ru", silent_s=95),
        "board-silent-en": Scene(
            board=board(*(line(route=one.route, destination=one.destination) for one in usual())),
            query="mode=panel&lang=en",
            tracking_silent_s=120,
        ),
        "board-ended-kk": Scene(
            board=board(
                *(
                    line(route=one.route, destination=one.destination, state="service_ended", first_ms=TOMORROW_MS)
                    for one in usual()
                )
            ),
            query="mode=panel&lang=kk",
        ),
        "board-long-ru": Scene(
            board=board(
                *(line(live(n + 2.4), live(n + 20, key="b"), route=f"{n + 1}Ә", destination=LONG) for n in range(6)),
                line(live(40), route="Экспресс", destination=LONG),
                name=LONG,
            ),
            query="mode=panel&lang=ru",
        ),
        "board-twelve-en": Scene(board=board(*twelve()), query="mode=panel&lang=en&rows=12", size=TALL),
        "board-strip-kk": Scene(board=board(*usual(), alerts=[CLOSED]), query="mode=panel&lang=kk&theme=light"),
        "board-two-ru": Scene(
            board=usual_board,
            query="mode=panel&lang=ru&stops=bazar",
            others=[other("bazar", BAZAAR, "018", *reversed(twelve()))],
        ),
        "board-four-en": Scene(
            board=board(*twelve()),
            query="mode=panel&lang=en&stops=b,c,d",
            others=[
                other("b", BAZAAR, "018", *usual()),
                other("c", STATION, "021", *every_state()[2:]),
                other("d", AIRPORT, "030", *usual()[3:]),
            ],
        ),
        "board-three-tall-kk": Scene(
            board=usual_board,
            query="mode=panel&lang=kk&stops=b,c",
            size=TALL,
            others=[other("b", BAZAAR, "018", *usual()), other("c", STATION, "021", *every_state()[2:])],
        ),
        "board-two-phone-kk": Scene(
            board=board(*usual()[:3], alerts=[CLOSED]),
            query="lang=kk&stops=b",
            size=PHONE,
            others=[other("b", BAZAAR, "018", *usual()[3:])],
        ),
        "board-takeover-four-kk": Scene(
            board=board(*twelve(), alerts=[STORM]),
            query="mode=panel&lang=kk&stops=b,c,d",
            others=[other(stop, BAZAAR, "018", *usual()) for stop in "bcd"],
        ),
        "board-takeover-phone-ru": Scene(
            board=board(*usual(), alerts=[STORM]), query="lang=ru", size=PHONE
        ),
    }  # fmt: skip
    for language in ("kk", "ru", "en"):
        found[f"board-takeover-{language}"] = Scene(
            board=board(*usual(), alerts=[STORM, CLOSED]), query=f"mode=panel&lang={language}"
        )
    return found


async def taken(browser: Browser, scene: Scene) -> bytes:
    """Return a picture as PNG."""
    script = Script(board=scene.board, others=scene.others, tracking_silent_ms=1000 * scene.tracking_silent_s)
    width, height = scene.size
    async with (
        scripted(script) as url,
        await browser.new_context(
            viewport={"width": width, "height": height}, service_workers="block", reduced_motion="reduce"
        ) as context,
    ):
        page = await context.new_page()
        await watch(page)
        await page.goto(f"{url}{STOP}?{scene.query}")
        await expect(page.locator(".row").first).to_be_visible()
        await _be_silent(page, script, scene.silent_s)
        await page.evaluate("document.fonts.ready.then(() => 0)")
        return await page.screenshot()


async def _be_silent(page: Page, script: Script, seconds: int) -> None:
    await page.clock.run_for(600)
    if not seconds:
        return
    await cut_off(page, script)
    await let_time_pass(page, seconds)
    await page.clock.run_for(600)


def small(png: bytes) -> bytes:
    """Return a picture with few colours: a tenth of the bytes, the same to the eye."""
    made = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        made, "PNG", optimize=True
    )
    return made.getvalue()


def write(path: Path, png: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small(png))
    sys.stdout.write(f"{path} {path.stat().st_size}\n")


async def make(folder: Path, wanted: Sequence[str]) -> None:
    """Write the wanted pictures, all if none is named."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("no Chromium: apt install chromium, or name one by AYALDAMA_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name, scene in scenes().items():
            if not wanted or name.startswith(tuple(wanted)):
                await asyncio.to_thread(write, folder / f"{name}.png", await taken(browser, scene))
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    asyncio.run(make(asked.folder, asked.names))
