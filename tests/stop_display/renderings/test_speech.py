"""Sentences for listeners: the stop, the time and how much follows; then what matters; numbers in their right form."""

import pytest

from commons.texts import Language
from stop_display.outcomes import LineState
from tests.stop_display.renderings.boards import NOON_MS, STATION, Case, alert, arrival, board, line, rendered


def told(case: Case, language: Language = "en", **options: str) -> list[str]:
    return list(rendered(case, "speech.txt", language, **options).says)


def line_told(case: Case, language: Language = "en") -> str:
    return told(case, language)[3]


def test_first_where_then_when_then_how_much() -> None:
    case = Case(board=board(line(arrival(6), arrival(14)), line(arrival(9), route="3", to=STATION)))
    assert told(case) == [
        "Stop Central square.",
        "It is 12:00.",
        "2 routes.",
        "Route 10 to Shugyla district: in 6 minutes, then in 14 minutes.",
        "Route 3 to Railway Station: in 9 minutes.",
    ]


@pytest.mark.parametrize(
    ("minutes", "kk", "ru", "en"),
    [
        (1, "1 минуттан кейін", "через 1 минуту", "in 1 minute"),
        (3, "3 минуттан кейін", "через 3 минуты", "in 3 minutes"),
        (11, "11 минуттан кейін", "через 11 минут", "in 11 minutes"),
        (21, "21 минуттан кейін", "через 21 минуту", "in 21 minutes"),
        (22, "22 минуттан кейін", "через 22 минуты", "in 22 minutes"),
        (59, "59 минуттан кейін", "через 59 минут", "in 59 minutes"),
    ],
)
def test_numbers_take_the_form_that_the_language_asks_for(minutes: int, kk: str, ru: str, en: str) -> None:
    case = Case(board=board(line(arrival(minutes + 0.6))))
    assert line_told(case, "kk") == f"10 нөмірлі бағыт, Шұғыла мөлтек ауданы: {kk}."
    assert line_told(case, "ru") == f"Маршрут 10, микрорайон Шугыла: {ru}."
    assert line_told(case, "en") == f"Route 10 to Shugyla district: {en}."


@pytest.mark.parametrize(
    ("headway_s", "ru"),
    [((60, 60), "каждую 1 минуту"), ((120, 120), "каждые 2 минуты"), ((480, 600), "каждые 8–10 минут")],
)
def test_headways_too(headway_s: tuple[int, int], ru: str) -> None:
    assert line_told(Case(board=board(line(state=LineState.HEADWAY, headway_s=headway_s))), "ru").endswith(f": {ru}.")


def test_what_is_planned_is_told_once_as_planned() -> None:
    both = Case(board=board(line(arrival(18, "timetable"), arrival(48, "timetable"))))
    assert line_told(both).endswith("by timetable at 12:18, then at 12:48.")
    mixed = Case(board=board(line(arrival(6), arrival(48, "timetable"))))
    assert line_told(mixed).endswith("in 6 minutes, then by timetable at 12:48.")


def test_a_bus_at_the_stop_one_for_wheelchairs_and_a_full_one_are_told() -> None:
    here = line(arrival(0.2, at_stop=True, wheelchair="accessible"))
    assert line_told(Case(board=board(here))).endswith("at the stop now; wheelchair accessible.")
    full = line(arrival(4, occupancy="full"))
    assert line_told(Case(board=board(full))).endswith("in 4 minutes; full.")
    waiting = line(arrival(11, "live_terminal"))
    assert line_told(Case(board=board(waiting))).endswith("in 11 minutes or so, still at its terminus.")


def test_a_bus_that_does_not_come_is_told_after_the_one_that_does() -> None:
    case = Case(board=board(line(arrival(5, "cancelled"), arrival(15))))
    assert line_told(case).endswith("in 15 minutes; the bus at 12:05 is cancelled.")


def test_alerts_come_before_buses_and_alone_when_they_fill_the_board() -> None:
    told_first = told(Case(board=board(line(arrival(6)), alerts=(alert(routes=("10",)),))))
    assert told_first[3:5] == ["10: Abay Street is closed.", "The stop has moved."]
    filling = told(Case(board=board(line(arrival(6)), alerts=(alert(takeover=True),))))
    assert filling[2:] == ["Attention!", "Abay Street is closed.", "The stop has moved."]


def test_the_soonest_are_told_and_the_others_counted() -> None:
    case = Case(board=board(*(line(arrival(number), route=str(number)) for number in range(1, 8))))
    assert told(case)[-1] == "And 2 more routes."
    assert len(told(case, lines="7")) == 3 + 7
    assert told(case, "ru", lines="6")[-1] == "И ещё 1 маршрут."


def test_silence_is_told_before_the_timetable() -> None:
    case = Case(board=board(line(arrival(6, scheduled=8))), silent_s=120, now_ms=NOON_MS)
    assert told(case)[3] == "Buses are not being heard. Times are from the timetable."
    assert told(case)[4].endswith("by timetable at 12:08.")
