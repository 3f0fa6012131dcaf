"""Pages of an LED panel: their widths, their abbreviations, their turns, their end."""

import dataclasses
import itertools
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons.texts import LANGUAGES
from stop_display.renderings._code_pages import CODE_PAGES, encoded
from stop_display.renderings.led import LedPages
from tests.stop_display.renderings.boards import (
    CASES,
    LONG,
    NOON_MS,
    SHUGYLA,
    STATION,
    Case,
    alert,
    arrival,
    board,
    line,
    rendered,
)

SENTENCE = "Әр қаңтар өңірі үшін ұлы һәм ғажап іс – «Щётка» № 5… ₸ ő 漢"


def led(case: Case, **options: str) -> LedPages:
    options = {"lang": "kk"} | options
    return msgspec.json.decode(rendered(case, "led", **options).body, type=LedPages)  # type: ignore[arg-type]


def shown(case: Case, **options: str) -> list[str]:
    return [text for page in led(case, **options).pages for text in page.lines]


@pytest.mark.parametrize("width", [16, 19, 24, 40])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_every_line_fits(case: Case, width: int) -> None:
    for language, lines in (("kk", "1"), ("ru", "2"), ("en", "5"), ("rotate", "2")):
        pages = led(case, width=str(width), lang=language, lines=lines).pages
        assert all(len(page.lines) == int(lines) for page in pages)
        assert all(len(text) <= width for page in pages for text in page.lines)


@pytest.mark.parametrize(
    ("width", "line_shown"),
    [
        (16, "10 Шұғыла  6 мин"),
        (20, "10 Шұғыла м/а  6 мин"),
        (24, "10 Шұғыла м/а      6 мин"),
        (40, "10 Шұғыла мөлтек ауданы            6 мин"),
    ],
)
def test_a_destination_is_the_longest_abbreviation_that_fits(width: int, line_shown: str) -> None:
    assert shown(Case(board=board(line(arrival(6)))), width=str(width))[0] == line_shown


def test_rows_to_one_destination_name_it_alike() -> None:
    one, other = arrival(6), arrival(8)
    for first, second in ((one, other), (other, one)):
        _name_alike(Case(board=board(line(first, route="1"), line(second, route="101"), line(route="7", to=STATION))))


def _name_alike(case: Case) -> None:
    for language, width in itertools.product(LANGUAGES, range(16, 41)):
        lines = [one for one in shown(case, width=str(width), lang=language) if one.split(" ")[0] in {"1", "101"}]
        named = {re.sub(r"^\d+ | +\d+ \w+$", "", one) for one in lines}
        assert len(lines) == 2
        assert all(re.search(r" \d \w+$", one) for one in lines)  # in one line each
        assert len(named) == 1, named


def test_words_about_a_line_without_buses_shorten_no_destination() -> None:
    case = Case(board=board(line(arrival(6), route="10"), line(arrival(9, "cancelled"), arrival(25), route="12")))
    lines = shown(case, width="20")
    assert lines[0] == "10 Шұғыла м/а  6 мин"
    assert lines[2:4] == ["12 Шұғыла м/а", "      12:09 болмайды"]


def test_a_word_longer_than_a_line_is_broken_with_a_sign() -> None:
    long = alert()
    header = {language: text + " " + LONG["kk"].split()[-1] for language, text in long.header.items()}
    lines = shown(Case(board=board(alerts=(msgspec.structs.replace(long, header=header),))), width="16")
    broken = [one for one in lines if one.endswith("-")]
    assert broken
    joined = "".join(one.removesuffix("-") if one in broken else f"{one} " for one in lines)
    assert LONG["kk"].split()[-1] in joined


def test_all_languages_take_turns_and_every_page_comes_before_the_pages_are_old() -> None:
    answer = led(CASES["twelve lines"], lang="rotate")
    languages = [language for language, _ in itertools.groupby(page.language for page in answer.pages)]
    assert languages == ["kk", "ru", "en"]
    assert sum(page.duration for page in answer.pages) <= 90
    assert all(page.duration >= 2 for page in answer.pages)


@pytest.mark.parametrize(("silent_s", "expires_s"), [(0, 90), (40, 50), (84, 6), (89, 5), (200, 180)])
def test_what_is_live_expires_when_it_may_not_be_called_so_any_more(silent_s: int, expires_s: float) -> None:
    answer = led(Case(board=board(line(arrival(6))), silent_s=silent_s))
    assert answer.expiration_s == expires_s
    assert answer.expires_ms == NOON_MS + expires_s * 1000
    assert answer.refresh_s < answer.expiration_s


def test_what_is_planned_may_be_shown_for_three_minutes() -> None:
    assert led(Case(board=board(line(arrival(6, "timetable"))))).expiration_s == 180


def test_a_city_that_runs_fast_expires_sooner() -> None:
    assert led(Case(board=board(line(arrival(60))), rate=6, silent_s=0)).expiration_s == 15


def test_the_text_is_the_pages_line_by_line() -> None:
    case = CASES["twelve lines"]
    text = rendered(case, "led.txt", "kk", width="20").body.decode()
    lines = text.split("\r\n")
    assert lines.pop() == ""
    assert {len(one) for one in lines} == {20}
    assert [one.rstrip() for one in lines] == shown(case, width="20")


def test_a_panel_that_cannot_turn_pages_is_given_each_in_its_turn() -> None:
    case = CASES["twelve lines"]
    pages = led(case).pages
    seen = [
        rendered(dataclasses.replace(case, now_ms=NOON_MS + 1_000 * second), "led.txt", "kk", page="turn").body
        for second in range(round(sum(page.duration for page in pages)))
    ]
    turns = [text.decode().split("\r\n")[0].split()[0] for text, _ in itertools.groupby(seen)]
    routes = [page.top.split()[0] for page in pages]
    assert turns[0] in routes
    assert set(turns) == set(routes)


@pytest.mark.parametrize("name", CODE_PAGES)
def test_no_code_page_turns_a_letter_into_a_question(name: str) -> None:
    page = CODE_PAGES[name]
    body = encoded(SENTENCE, page)
    assert b"?" not in body
    assert len(body.decode(page.codec)) == len(SENTENCE)


@pytest.mark.parametrize(
    ("name", "kazakh"),
    [
        ("utf-8", "қазір Әң"),
        ("kz1048", "қазір Әң"),
        ("cp1251", "казір Ан"),  # і is Ukrainian, too
        ("cp866", "казiр Ан"),
        ("iso8859-5", "казір Ан"),
    ],
)
def test_kazakh_letters_become_what_people_write_for_them(name: str, kazakh: str) -> None:
    assert encoded("қазір Әң", CODE_PAGES[name]).decode(CODE_PAGES[name].codec) == kazakh


@pytest.mark.parametrize("name", CODE_PAGES)
def test_a_panel_is_given_nothing_to_obey_but_line_ends(name: str) -> None:
    assert encoded("а\x1b[2J\x00\t\x85\r\n", CODE_PAGES[name]).decode(CODE_PAGES[name].codec) == "а.[2J...\r\n"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.sampled_from(sorted(CODE_PAGES)))
def test_any_text_keeps_its_length(text: str, name: str) -> None:
    body = encoded(text, CODE_PAGES[name])
    assert len(body.decode(CODE_PAGES[name].codec)) == len(text)
    assert body.count(b"?") == text.count("?")


def test_a_time_an_hour_away_is_a_time_of_day() -> None:
    def at(minutes: float, **more: Any) -> str:
        return shown(Case(board=board(line(arrival(minutes, **more), to=SHUGYLA))))[0].split("  ")[-1].strip()

    assert at(59) == "59 мин"
    assert at(60) == "13:00"
    assert at(60 + 1 / 60, state="live_terminal") == "~13:00"
    assert at(0.5) == "қазір"
    assert at(0.51) == "1 мин"
    assert at(0.2, at_stop=True) == "аялдамада"
    assert at(-3, at_stop=True) == "аялдамада"  # it stands here longer than was foretold
    assert at(12, state="live_terminal", at_stop=True) == "~12 мин"  # here it begins


def test_a_bus_is_shown_for_half_a_minute_after_its_time() -> None:
    assert "қазір" in shown(Case(board=board(line(arrival(-0.49)))))[0]
    assert "қазір" not in "".join(shown(Case(board=board(line(arrival(-0.5))))))


@pytest.mark.parametrize("form", ["led", "led.txt"])
def test_an_alert_that_fills_the_board_and_says_nothing_is_an_empty_page(form: str) -> None:
    silent = msgspec.structs.replace(alert(takeover=True), header={}, text={"kk": " "})
    more = {"page": "turn"} if form == "led.txt" else {}
    found = rendered(Case(board=board(line(arrival(6)), alerts=(silent,))), form, **more)
    assert found.says == ()
    assert form == "led.txt" or len(msgspec.json.decode(found.body, type=LedPages).pages) == 1
