"""The page of a stop on a telephone, in a real Chromium, against the real servers of boards and pages."""

import json

import msgspec
import pytest
import zxingcpp
from aiohttp import web
from PIL import Image
from playwright.async_api import Request, expect

from ayaldama.http import RequestLimit
from ayaldama.web.vendor import INSTALLED
from stop_display.model import BoardAlert, Change
from stop_display.server import WEB
from stop_display.stop_page import vehicle_streams
from tests.dispatch.pages import until
from tests.dispatch.sightings import NOON_MS as THEN_MS
from tests.dispatch.sightings import arrival, position, update
from tests.dispatch.small_city import ALAN, BAZAR, VOKZAL
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.page_time import cut_off, hears, let_time_pass
from tests.stop_display.pages.scripted import NAME, NOON_MS, STOP, Script, board, line, live, planned, scripted
from tests.stop_display.pages.stop_city import KeptInMemory, Tracking, stop_city, stop_pages

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

COMING = (
    arrival(ALAN.id, in_s=230),
    arrival(ALAN.id, in_s=700, vehicle_id="102", run_key="r2", trip_id=""),
)
BUSES = (
    position("101"),
    position("102", run_key="r2", lat=44.8600, lon=65.5000, heading_deg=140.0, next_stop_id=VOKZAL.id),
)
LISTED = "() => Array.from(document.querySelectorAll('.buses .bus-when'), one => one.textContent)"
PLACES = "() => Array.from(document.querySelectorAll('.map-buses .bus'), one => one.style.transform)"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vehicle_streams, "TICK_S", 0.05)


async def test_a_stop_is_shown_as_its_board_with_what_is_beside_it(opened: Opened) -> None:
    async with stop_city(Tracking(BUSES, COMING)) as url, opened(width=360, height=740) as (page, seen):
        await page.goto(f"{url}/stop/{ALAN.id}?lang=kk")
        await expect(page.locator("h1")).to_have_text("Орталық алаң")
        await expect(page.locator("#code")).to_have_text("№ 001")
        row = page.locator(".row[data-state=live]")
        await expect(row.locator(".destination")).to_have_text("Шұғыла мөлтек ауданы")
        await expect(row.locator(".figure span")).to_have_text("3")
        await expect(page.locator("#beside .stop-link")).to_have_count(1)
        await expect(page.locator("#beside .stop-far")).to_contain_text("м · солтүстік-батысқа")
        for language, name in (("ru", "Центральная площадь"), ("en", "Central square"), ("kk", "Орталық алаң")):
            await page.locator("#languages button", has_text=language).click()
            await expect(page.locator("h1")).to_have_text(name)
            assert await page.evaluate("document.documentElement.lang") == language
            assert await page.evaluate("document.documentElement.scrollWidth") == 360
        await page.reload()
        await expect(page.locator("h1")).to_have_text("Орталық алаң")
        assert seen.errors == []
        assert len(seen.hosts) == 1  # nobody but us is asked
        assert not {
            path for path in seen.paths if "maplibre" in path or path.endswith(("stop_map.js", "stop_report.js"))
        }


async def test_a_stop_that_does_not_exist_is_said_so_and_another_can_be_found(opened: Opened) -> None:
    async with stop_city(Tracking()) as url, opened() as (page, _):
        await page.goto(f"{url}/stop/nowhere?lang=en")
        await expect(page.locator("h1")).to_have_text("There is no such stop: nowhere")
        await expect(page.locator("#parts")).to_be_hidden()
        await page.goto(f"{url}/s/777?lang=en")
        await expect(page.locator("#unknown")).to_have_text("There is no stop with the number 777.")
        await page.fill("#query", "вокз")
        await expect(page.locator("#found b")).to_have_text(["Railway station"])
        await page.locator("#found a").click()
        await expect(page.locator("h1")).to_have_text("Railway station")
        await page.goto(f"{url}/stop?lang=en&query=nothing-at-all")
        await expect(page.locator("#found-words")).to_have_text("No stop of that name or number.")


async def test_saved_stops_stay_on_the_telephone_and_are_listed(opened: Opened) -> None:
    async with stop_city(Tracking()) as url, opened() as (page, seen):
        await page.goto(f"{url}/stop?lang=en")
        await expect(page.locator("#favourites-words")).to_contain_text("None yet")
        for stop in (ALAN, BAZAR):
            await page.goto(f"{url}/stop/{stop.id}?lang=en")
            await page.locator("#favourite").click()
            await expect(page.locator("#favourite")).to_have_text("★ Saved")
        await expect(page.locator("#favourites-part")).to_be_visible()
        await page.reload()
        await expect(page.locator("#favourite")).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#favourites b")).to_have_text([ALAN.en])  # not this one itself
        await page.goto(f"{url}/stop?lang=ru")
        await expect(page.locator("#favourites b")).to_have_text([BAZAR.ru, ALAN.ru])
        await page.goto(f"{url}/stop/{ALAN.id}?lang=en")
        await page.locator("#favourite").click()
        await page.goto(f"{url}/stop?lang=ru")
        await expect(page.locator("#favourites b")).to_have_text([BAZAR.ru])
        await page.evaluate("localStorage.setItem('ayaldama.favourites', '{broken')")
        await page.reload()
        await expect(page.locator("#favourites-words")).to_be_visible()
        assert seen.errors == []


async def test_where_nothing_can_be_kept_the_page_goes_on(opened: Opened) -> None:
    async with stop_city(Tracking()) as url, opened() as (page, seen):
        await page.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }});"
        )
        await page.goto(f"{url}/stop/{ALAN.id}?lang=en")
        await page.locator("#favourite").click()
        await expect(page.locator("#favourite")).to_have_text("☆ Save stop")
        assert seen.errors == []


async def test_the_map_follows_the_buses_of_the_board_and_says_the_same_in_words(opened: Opened) -> None:
    tracking = Tracking(BUSES, COMING)
    async with stop_city(tracking) as url, opened(width=360, height=740) as (page, seen):
        await page.goto(f"{url}/stop/{ALAN.id}?lang=en")
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)
        assert f"/stop/{ALAN.id}/vehicles" not in seen.paths
        await page.locator("#open-map").click()
        await expect(page.locator("#open-map")).to_have_attribute("aria-expanded", "true")
        await until(page, f"({LISTED})().join() === '3 min,11 min'")
        await expect(page.locator(".buses .bus-where").first).to_contain_text("live")
        await until(page, f"({PLACES})().length === 2")  # drawn after the list: ways are asked for by themselves
        assert await page.evaluate("document.querySelector('.map-ways path').getAttribute('d')") != ""
        before = (await page.evaluate(PLACES))[0]
        await tracking.updates.put(
            update(position("101", lat=44.8495, lon=65.5080, offset_m=700.0), as_of_ms=THEN_MS + 1_000)
        )
        await until(page, f"({PLACES})()[0] !== '{before}'")
        await page.locator(".bus-item").first.click()
        await expect(page.locator(".bus-item").first).to_have_attribute("aria-pressed", "true")
        assert await page.locator(".bus-chosen").count() == 1
        await page.get_by_label("Closer").click()
        await tracking.updates.put(update(as_of_ms=THEN_MS + 2_000, gone=("102",)))
        await until(page, f"({LISTED})().length === 1")
        assert len(await page.evaluate(PLACES)) == 1
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
        assert seen.errors == []
        assert not {path for path in seen.paths if "maplibre" in path}


async def test_a_bus_that_its_board_does_not_show_is_on_no_map(opened: Opened) -> None:
    tracking = Tracking((*BUSES, position("909", run_key="elsewhere")), COMING)
    async with stop_city(tracking) as url, opened() as (page, _):
        await page.goto(f"{url}/stop/{ALAN.id}?lang=en")
        await page.locator("#open-map").click()
        await until(page, f"({LISTED})().length === 2")
        await page.goto(f"{url}/stop/{BAZAR.id}?lang=en")
        await page.locator("#open-map").click()
        await expect(page.locator("#map > p.small")).to_have_text("No bus on its way here is being followed now.")


async def test_a_closed_map_asks_for_nothing_more(opened: Opened) -> None:
    async with stop_city(Tracking(BUSES, COMING)) as url, opened() as (page, seen):
        await page.goto(f"{url}/stop/{ALAN.id}?lang=en")
        await page.locator("#open-map").click()
        await until(page, f"({LISTED})().length === 2")
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/vehicles")):
            await page.locator("#open-map").click()
        await expect(page.locator("#map-part")).to_be_hidden()
        await page.locator("#open-map").click()
        await expect(page.locator("#map-part")).to_be_visible()
        assert seen.errors == []


async def test_old_places_of_buses_are_marked_and_then_go(opened: Opened) -> None:
    """The stream is cut at once; the page's clock goes on while its board is heard."""
    told = {
        "server_ms": NOON_MS,
        "as_of_ms": NOON_MS,
        "vehicles": [
            {"key": "v1|run|3", "line": f"10|{line().destination['kk']}", "place": [44.85, 65.5], "fix_ms": NOON_MS}
        ],
    }

    async def once(_: web.Request) -> web.Response:
        if asked:
            return web.Response(status=503)
        asked.append(1)
        return web.Response(body=f"data: {json.dumps(told)}\n\n".encode(), content_type="text/event-stream")

    asked: list[int] = []
    script = Script(board=board(line(live(9.5))))
    more = [web.get("/stop/{stop_id}/vehicles", once), *stop_pages(KeptInMemory()).routes()]
    async with scripted(script, more=more) as url, opened(virtual_time=True) as (page, _):
        await page.goto(f"{url.removesuffix('board/')}stop/{STOP}?lang=en")
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)
        await page.locator("#open-map").click()
        await until(page, f"({LISTED})().length === 1")
        note = page.locator("#map > p.small")
        for seconds, said, listed in (
            (55, "", 1),
            (10, "Connection lost. The buses were here at 12:00.", 1),
            (30, "Connection lost: nobody knows where the buses are now.", 0),
        ):
            for _ in range(seconds // 5):
                await page.clock.fast_forward(5_000)
                script.now_ms += 5_000
                await hears(page, script.beat())
            await page.clock.run_for(600)
            await expect(note).to_have_text(said)
            assert len(await page.evaluate(LISTED)) == listed
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)  # the board itself is heard


async def test_a_page_without_its_server_ages_as_a_board_does(opened: Opened) -> None:
    script = Script(board=board(line(live(9.5, scheduled_ms=NOON_MS)), line(planned(30), route="3")))
    more = stop_pages(KeptInMemory()).routes()
    async with scripted(script, more=more) as url, opened(virtual_time=True) as (page, _):
        await page.goto(f"{url.removesuffix('board/')}stop/{STOP}?lang=en")
        await expect(page.locator(".row")).to_have_count(2)
        await cut_off(page, script)
        await let_time_pass(page, 55)
        await expect(page.locator("#banner")).to_be_hidden()
        await let_time_pass(page, 10)
        await expect(page.locator("#banner")).to_contain_text("Latest data: 12:00.")
        assert await page.evaluate("document.body.dataset.quality") == "stale"
        await let_time_pass(page, 30)
        await expect(page.locator("#banner")).to_contain_text("No live data. Times are from the timetable.")
        await expect(page.locator(".row[data-state=live]")).to_have_count(0)
        await expect(page.locator("h1")).to_have_text(NAME["en"])
        script.sockets_refused = script.polls_refused = False
        await let_time_pass(page, 5)
        await expect(page.locator("#banner")).to_be_hidden()
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)


NOTICES = [
    BoardAlert(
        id="wind",
        header={"kk": "Қатты жел", "ru": "Сильный ветер", "en": "Strong wind"},
        effect="significant_delays",
        takeover=True,
    ),
    BoardAlert(
        id="works",
        header=dict.fromkeys(("kk", "ru", "en"), "<b>Bridge</b> works"),
        text={"kk": "Көпір жабық", "ru": "Мост закрыт", "en": "The bridge is closed"},
        routes=["4", "10"],
        until_ms=NOON_MS + 120_000,
    ),
]


@pytest.mark.skipif("alerts" not in (WEB / "feed.js").read_text(), reason="the boards' feed keeps no alerts yet")
async def test_notices_are_told_with_their_text_until_they_end(opened: Opened) -> None:
    script = Script(board=msgspec.structs.replace(board(line(live(9.5))), alerts=NOTICES))
    more = stop_pages(KeptInMemory()).routes()
    async with scripted(script, more=more) as url, opened(virtual_time=True, width=360) as (page, seen):
        await page.goto(f"{url.removesuffix('board/')}stop/{STOP}?lang=en")
        notices = page.locator(".notice")
        await expect(notices).to_have_text(
            ["Strong wind", "Routes 4, 10: <b>Bridge</b> worksThe bridge is closeduntil 12:02"]
        )
        await expect(page.locator(".notice-urgent")).to_have_text(["Strong wind"])
        await page.locator("#languages button", has_text="ru").click()
        await expect(notices.nth(1)).to_contain_text("Мост закрыт")
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
        for _ in range(25):
            await page.clock.fast_forward(5_000)
            script.now_ms += 5_000
            await hears(page, script.beat())
        await page.clock.run_for(600)
        await expect(notices).to_have_text(["Сильный ветер"])
        await script.tell(
            Change(sequence=9, server_ms=script.now_ms, as_of_ms=script.now_ms, stop=STOP, lines=[], alerts=[])
        )
        await expect(page.locator("#notices")).to_be_hidden()
        assert seen.errors == []


async def test_a_report_takes_along_what_the_page_showed(opened: Opened) -> None:
    store = KeptInMemory()
    async with stop_city(Tracking(BUSES, COMING), store=store) as url, opened(width=360, height=740) as (page, seen):
        await page.goto(f"{url}/stop/{ALAN.id}?lang=en")
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)
        await page.locator("#open-report").click()
        send, answer = page.locator(".report button[type=submit]"), page.locator(".report-answer")
        await send.click()
        await expect(answer).to_have_text("Please choose what is wrong.")
        await page.get_by_label("Something else").check()
        await send.click()
        await expect(answer).to_have_text("Please write what is wrong.")
        await page.get_by_label("The bus did not come").check()
        await page.select_option("#report-route", "10")
        await page.fill("#report-text", "I waited <b>20 minutes</b> 🚌")
        store.away = True
        await send.click()
        await expect(answer).to_have_text("Not sent. Check the connection and send again.")
        store.away = False
        await send.click()
        await expect(answer).to_have_text("Thank you. Your report has number 1.")
        (stop, report), *more = store.reports
        assert (stop, more, report.trouble, report.route) == (ALAN.id, [], "bus_missing", "10")
        assert report.text == "I waited <b>20 minutes</b> 🚌"
        assert report.shown is not None
        shown = report.shown.rows[0]
        assert (report.shown.quality, shown.route, shown.destination) == ("live", "10", "Shugyla district")
        assert shown.said.startswith("3 min · live")
        assert shown.age_s is not None
        assert shown.age_s < 60
        await page.locator("#open-report").click()
        await page.locator("#open-report").click()  # for another one
        await page.get_by_label("The stop is damaged or dirty").check()
        await send.click()
        await expect(answer).to_have_text("Thank you. Your report has number 2.")
        assert [error for error in seen.errors if "503" not in error] == []


async def test_who_sends_too_many_reports_is_told(opened: Opened) -> None:
    limit = RequestLimit(per_s=0.001, burst=0)
    async with stop_city(Tracking(), by_address=limit) as url, opened() as (page, _):
        await page.goto(f"{url}/stop/{ALAN.id}?lang=en")
        await page.locator("#open-report").click()
        await page.get_by_label("The stop is damaged or dirty").check()
        await page.locator(".report button[type=submit]").click()
        await expect(page.locator(".report-answer")).to_have_text("Too many reports just now. Please try later.")


async def test_stops_near_me_are_asked_for_only_when_somebody_wants_them(opened: Opened) -> None:
    async with stop_city(Tracking()) as url, opened() as (page, seen):
        await page.context.grant_permissions(["geolocation"])
        await page.context.set_geolocation({"latitude": BAZAR.lat + 0.001, "longitude": BAZAR.lon})
        await page.goto(f"{url}/stop?lang=en")
        await expect(page.locator("#near-part")).to_be_hidden()
        assert "/api/stops/near" not in seen.paths
        await page.locator("#open-near").click()
        await expect(page.locator("#near b").first).to_have_text(BAZAR.en)
        await expect(page.locator("#near .stop-far").first).to_have_text("110 m · south")
        far = "{latitude: 51.17, longitude: 71.45}"  # Astana
        await page.evaluate(
            f"() => {{ navigator.geolocation.getCurrentPosition = found => found({{coords: {far}}}); }}"
        )
        await page.locator("#open-near").click()
        await expect(page.locator("#near-words")).to_contain_text("You are not in this city")


async def test_a_telephone_that_does_not_say_where_it_is_can_still_search(opened: Opened) -> None:
    async with stop_city(Tracking()) as url, opened() as (page, _):
        await page.goto(f"{url}/stop?lang=ru")
        await page.locator("#open-near").click()
        await expect(page.locator("#near-words")).to_contain_text("ищите по названию")


async def test_the_label_is_read_by_a_scanner_and_leads_to_the_stop(
    opened: Opened, tmp_path_factory: pytest.TempPathFactory
) -> None:
    picture = tmp_path_factory.mktemp("label") / "label.png"
    async with stop_city(Tracking()) as url, opened(width=600, height=900) as (page, seen):
        await page.goto(f"{url}/stop/{ALAN.id}/label")
        await page.screenshot(path=picture)
        (read,) = zxingcpp.read_barcodes(Image.open(picture))
        assert read.text == f"{url}/s/001"
        await page.goto(f"{read.text}?lang=en")
        await expect(page.locator("h1")).to_have_text(ALAN.en)
        assert seen.errors == []


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_every_text_can_be_read(opened: Opened, theme: str, low_contrast: str) -> None:
    async with stop_city(Tracking(BUSES, COMING)) as url, opened(width=360, height=740) as (page, _):
        await page.goto(f"{url}/stop/{ALAN.id}?lang=kk&theme={theme}")
        await expect(page.locator(".row[data-state=live]")).to_have_count(1)
        await page.locator("#favourite").click()
        await page.locator("#open-map").click()
        await page.locator("#open-report").click()
        await expect(page.locator(".bus-item")).to_have_count(2)
        await expect(page.locator(".choice")).to_have_count(5)
        assert await page.evaluate(low_contrast) == []
        await page.goto(f"{url}/stop?lang=kk&theme={theme}&query=а")
        await expect(page.locator("#found b").first).to_be_visible()
        assert await page.evaluate(low_contrast) == []


async def test_the_page_is_light(opened: Opened) -> None:
    """What a telephone loads before anything is opened, without fonts and compressed as a browser asks for it."""
    sizes: dict[str, int] = {}
    async with stop_city(Tracking(BUSES, COMING)) as url, opened() as (page, _):
        finished: list[Request] = []

        def note(request: Request) -> None:
            finished.append(request)

        page.on("requestfinished", note)
        await page.goto(f"{url}/stop/{ALAN.id}?lang=kk")
        await expect(page.locator("#beside .stop-link")).to_have_count(1)
        for request in finished:
            sizes[request.url.removeprefix(url).partition("?")[0]] = (await request.sizes())["responseBodySize"]
    own = {path: size for path, size in sizes.items() if not path.startswith("/vendor/fonts/")}
    assert sum(own.values()) < 60_000, own
