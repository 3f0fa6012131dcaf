"""Every state of a line in three languages, as a passenger reads it in a real Chromium."""

import re

import pytest
from playwright.async_api import Page, expect

from ayaldama.web.vendor import INSTALLED
from commons.texts import LANGUAGES
from stop_display.outcomes import LineState
from tests.stop_display.pages.conftest import Opened
from tests.stop_display.pages.page_time import cut_off, hears
from tests.stop_display.pages.scripted import MINUTE_MS, NOON_MS, STOP, Script, board, line, live, planned, scripted

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(not (INSTALLED / "@fontsource").exists(), reason="fonts are missing: make vendor"),
]

TOMORROW_MS = NOON_MS + 18 * 3_600_000 + 30 * MINUTE_MS  # 06:30

EVERY_STATE = board(
    line(live(0.4), live(9.5, key="b"), live(22.5, key="c"), route="1"),
    line(live(3.5, stops_away=2), planned(31), route="2"),
    line(live(6.5, p10_ms=NOON_MS, p90_ms=NOON_MS + 14 * MINUTE_MS, stops_away=21), route="3"),
    line(live(11.5, state="live_terminal"), route="4", headway_s=(600, 600)),
    line(planned(17), planned(37, key="b"), route="5"),
    line(planned(5, state="cancelled"), planned(25), route="6"),
    line(planned(45, state="cancelled"), route="7", state="cancelled"),
    line(live(75), route="8"),
    line(route="9", state="headway", headway_s=(480, 600)),
    line(route="10", state="before_first_trip", first_ms=NOON_MS + 90 * MINUTE_MS),
    line(route="11", state="service_ended", first_ms=TOMORROW_MS),
    line(route="12", state="no_service", first_ms=NOON_MS + 5 * 24 * 60 * MINUTE_MS),
    line(route="13", state="no_data"),
    line(route="14", state="no_service"),
    line(route="15", state="detour"),
)

READ = {
    "kk": """
        1   қазір     жолда           одан кейін 9, 22 мин
        2   3 мин     жолда           2 аялдама қалды · кесте бойынша 12:31
        3   ~6 мин    жолда           21 аялдама қалды
        4   ~11 мин   соңғы аялдамада әр 10 мин сайын
        5   12:17     кесте бойынша   одан кейін 12:37
        6   12:25     кесте бойынша   [12:05 болмайды]
        7   12:45     болмайды
        8   13:15     жолда
        9   әр 8–10 мин сайын
        10  бірінші автобус 13:30
        11  бүгінгі қозғалыс аяқталды  келесі автобус ертең 06:30
        12  бүгін жүрмейді  келесі автобус 27.09 12:00
        13  дерек жоқ
        14  бүгін жүрмейді
        15  қазір мұнда тоқтамайды  айналма жол
    """,
    "ru": """
        1   сейчас    в пути         затем 9, 22 мин
        2   3 мин     в пути         осталось 2 остановки · по расписанию 12:31
        3   ~6 мин    в пути         осталась 21 остановка
        4   ~11 мин   на конечной    каждые 10 мин
        5   12:17     по расписанию  затем в 12:37
        6   12:25     по расписанию  [12:05 отменён]
        7   12:45     отменён
        8   13:15     в пути
        9   каждые 8–10 мин
        10  первый автобус 13:30
        11  движение на сегодня завершено  следующий автобус завтра 06:30
        12  сегодня не ходит  следующий автобус 27.09 12:00
        13  нет данных
        14  сегодня не ходит
        15  сейчас здесь не останавливается  объезд
    """,
    "en": """
        1   now       live         then 9, 22 min
        2   3 min     live         2 stops away · timetable 12:31
        3   ~6 min    live         21 stops away
        4   ~11 min   at terminus  every 10 min
        5   12:17     timetable    then 12:37
        6   12:25     timetable    [12:05 cancelled]
        7   12:45     cancelled
        8   13:15     live
        9   every 8–10 min
        10  first bus 13:30
        11  service ended for today  next bus tomorrow 06:30
        12  no service today  next bus 27.09 12:00
        13  no data
        14  no service today
        15  does not stop here now  detour
    """,
}

READ_ROWS = """
    () => Array.from(document.querySelectorAll(".row")).map(row => {
        const text = name => row.querySelector(name).textContent;
        const gone = row.querySelector(".gone");
        return [
            text(".badge"), (text(".figure span") + " " + text(".figure small")).trim(), text(".kind"),
            text(".note > span"), text(".access em") && `(${text(".access em")})`,
            gone.dataset.shown === "yes" ? `[${text(".gone s")} ${text(".gone span")}]` : "",
        ].filter(Boolean).join(" ");
    })
"""


async def read(page: Page) -> list[str]:
    return sorted(await page.evaluate(READ_ROWS), key=lambda row: int(row.split()[0]))


def as_rows(table: str) -> list[str]:
    return [re.sub(r"\s+", " ", row.strip()) for row in table.strip().splitlines()]


async def test_each_state_has_its_words_in_three_languages(opened: Opened) -> None:
    assert {one.state for one in EVERY_STATE.lines} == set(LineState)
    async with scripted(Script(board=EVERY_STATE)) as url, opened(virtual_time=True) as (page, seen):
        await page.goto(url + STOP)
        await expect(page.locator(".row")).to_have_count(15)
        for language in LANGUAGES:
            await page.locator("#languages button", has_text=language).click()
            assert await read(page) == as_rows(READ[language])
            assert await page.evaluate("document.documentElement.lang") == language
        assert (
            await page.locator(".row[data-state=live] .kind .mark path").count() == 3 * 5
        )  # a sign, not only a colour
        assert await page.locator(".row[data-state=timetable] .kind .mark path").count() == 2 * 2
        struck = "getComputedStyle(document.querySelector('[data-state=cancelled] .figure')).textDecorationLine"
        assert await page.evaluate(struck) == "line-through"
        assert seen.errors == []


ACCESS = board(
    line(live(0.9, at_stop=True), live(9.5, key="b"), route="1"),
    line(live(-2, at_stop=True, stops_away=0), route="2"),
    line(live(3.5, delay_s=119, stops_away=2), route="3"),
    line(live(4.5, delay_s=239, wheelchair="inaccessible"), route="4"),
    line(live(5.5, delay_s=-185, wheelchair="accessible"), route="5"),
    line(live(11.5, state="live_terminal", at_stop=True), route="6"),
    line(planned(17, wheelchair="accessible"), route="7"),
    line(planned(18, wheelchair="inaccessible"), route="8"),
)

READ_ACCESS = {
    "kk": """
        1  қазір    аялдамада тұр  одан кейін 9 мин
        2  қазір    аялдамада тұр
        3  3 мин    жолда          2 аялдама қалды
        4  4 мин    жолда          арбамен кіру мүмкін емес · 3 мин кешігуде
        5  5 мин    жолда          3 мин ерте (мүгедектер арбасына қолайлы)
        6  ~11 мин  аялдамада тұр
        7  12:17    кесте бойынша  (мүгедектер арбасына қолайлы)
        8  12:18    кесте бойынша  арбамен кіру мүмкін емес
    """,
    "ru": """
        1  сейчас   на остановке   затем 9 мин
        2  сейчас   на остановке
        3  3 мин    в пути         осталось 2 остановки
        4  4 мин    в пути         нет доступа для колясок · опаздывает на 3 мин
        5  5 мин    в пути         раньше на 3 мин (доступен для колясок)
        6  ~11 мин  на остановке
        7  12:17    по расписанию  (доступен для колясок)
        8  12:18    по расписанию  нет доступа для колясок
    """,
    "en": """
        1  now      at the stop  then 9 min
        2  now      at the stop
        3  3 min    live         2 stops away
        4  4 min    live         no wheelchair access · 3 min late
        5  5 min    live         3 min early (takes wheelchairs)
        6  ~11 min  at the stop
        7  12:17    timetable    (takes wheelchairs)
        8  12:18    timetable    no wheelchair access
    """,
}


async def test_wheelchairs_delays_and_the_bus_at_the_stop_have_their_words(opened: Opened) -> None:
    async with scripted(Script(board=ACCESS)) as url, opened(virtual_time=True) as (page, seen):
        await page.goto(url + STOP)
        await expect(page.locator(".row")).to_have_count(8)
        for language in LANGUAGES:
            await page.locator("#languages button", has_text=language).click()
            assert await read(page) == as_rows(READ_ACCESS[language])
        assert (
            await page.locator(".access:visible .mark-access path").count() == 2 * 4
        )  # a sign beside the unseen words
        assert seen.errors == []


async def test_a_headway_of_the_plan_is_said_to_be_that(opened: Opened) -> None:
    async with scripted(Script()) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator("h1")).to_have_text("Central square")
        said = [
            await page.evaluate(
                "line => { const said = boardPage.teller.tell(line); return [said.figure, said.note]; }",
                {"key": "1", "route": "1", "headway_s": [480, 600], "headway_planned": planned, **more},
            )
            for planned in (False, True)
            for more in (
                {"state": "headway", "arrivals": []},
                {"state": "live", "arrivals": [{"state": "live", "arrival_ms": NOON_MS + 5.5 * MINUTE_MS}]},
            )
        ]
        assert said == [
            ["every 8–10 min", ""],
            ["5", "every 8–10 min"],
            ["every 8–10 min", "timetable"],
            ["5", "every 8–10 min · timetable"],
        ]


async def test_a_bus_stands_at_the_stop_only_as_long_as_the_server_is_heard(opened: Opened) -> None:
    script = Script(board=board(line(live(0, at_stop=True), planned(25))))
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=en")
        await expect(page.locator(".figure span")).to_have_text("now")
        for _ in range(4):  # a minute at the stop, the server speaking
            await page.clock.fast_forward(15_000)
            await hears(page, script.beat())
        await page.clock.run_for(600)
        await expect(page.locator(".kind span")).to_have_text("at the stop")
        await cut_off(page, script)
        await page.clock.fast_forward(26_000)
        await page.clock.run_for(600)
        await expect(page.locator(".kind span")).to_have_text("timetable")


async def test_buses_come_first_in_order_of_time_then_headways_then_the_silent_by_number(opened: Opened) -> None:
    async with scripted(Script(board=EVERY_STATE)) as url, opened() as (page, _):
        await page.goto(url + STOP)
        await expect(page.locator(".badge")).to_have_text(
            ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"]
        )


async def test_a_countdown_goes_on_by_itself_against_the_clock_of_the_server(opened: Opened) -> None:
    script = Script(board=board(line(live(3.2), live(9.2, key="b"))))
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=en")
        figure, note = page.locator(".figure span"), page.locator(".note > span").first
        await expect(figure).to_have_text("3")
        await page.clock.fast_forward(20_000)
        await expect(figure).to_have_text("2")
        await expect(note).to_have_text("then 8 min")
        script.now_ms = NOON_MS + 5_000  # a frame that was long under way does not turn the clock back
        await hears(page, script.beat())
        await page.clock.fast_forward(1_000)
        await expect(figure).to_have_text("2")
        script.now_ms = NOON_MS + 130_000  # one that was faster than any before puts it right
        await script.beat()
        await expect(figure).to_have_text("1")
        await expect(page.locator("#clock")).to_have_text("12:02")
        await page.clock.fast_forward(20_000)
        script.now_ms = NOON_MS + 165_000
        await script.beat()
        await expect(figure).to_have_text("now")


async def test_a_city_that_runs_faster_is_counted_faster(opened: Opened) -> None:
    script = Script(board=board(line(live(30.5))), rate=60.0)
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=ru")
        await expect(page.locator(".figure")).to_contain_text("мин")
        before = int(await page.locator(".figure span").inner_text())
        await page.clock.fast_forward(10_000)
        await page.clock.run_for(500)
        assert before - 12 <= int(await page.locator(".figure span").inner_text()) <= before - 10


async def test_a_board_on_which_nothing_is_known_says_so(opened: Opened) -> None:
    script = Script(board=board(line(route="1"), line(route="2")))
    async with scripted(script) as url, opened() as (page, _):
        await page.goto(url + STOP + "?lang=kk")
        await expect(page.locator(".empty")).to_have_text("Қазір автобустар туралы дерек жоқ.")
        await script.change(line(planned(3), route="1"))
        await expect(page.locator(".empty")).to_be_hidden()
        script.board, script.session = board(), "next"
        await script.cut()
        await expect(page.locator(".empty")).to_have_text("Бұл аялдамадан автобус шықпайды.")


async def test_an_unknown_stop_is_said_to_be_unknown(opened: Opened) -> None:
    async with scripted(Script()) as url, opened() as (page, _):
        await page.goto(url + "nowhere?lang=ru")
        await expect(page.locator("h1")).to_have_text("Такой остановки нет: nowhere")
        await expect(page.locator(".empty")).to_contain_text("на главной странице")


async def test_whoever_listens_hears_the_next_buses_in_sentences_at_most_once_a_minute(opened: Opened) -> None:
    script = Script(board=board(line(live(2.5)), line(live(5.5), route="3"), line(planned(17), route="5")))
    async with scripted(script) as url, opened(virtual_time=True) as (page, _):
        await page.goto(url + STOP + "?lang=ru")
        spoken = page.locator("#spoken[aria-live=polite]")
        first = "Маршрут 10, мкр Шугыла: через 2 минуты, в пути."
        await expect(spoken).to_have_text(
            f"{first} Маршрут 3, мкр Шугыла: через 5 минут, в пути. Маршрут 5, мкр Шугыла: 12:17, по расписанию."
        )
        await hears(page, script.change(line(live(21.5))))
        await page.clock.fast_forward(20_000)
        await expect(page.locator(".row").nth(2)).to_contain_text("21")
        await expect(spoken).to_contain_text(first)
        for minutes in (31, 34):
            await hears(page, script.change(line(live(minutes + 0.8), route="3")))
            await expect(page.locator(".row", has_text=str(minutes))).to_have_count(1)
            await expect(spoken).to_contain_text(first)
            await page.clock.fast_forward(20_500)
        await expect(spoken).to_contain_text("Маршрут 10, мкр Шугыла: через 20 минут, в пути.")
