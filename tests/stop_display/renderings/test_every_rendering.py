"""What holds for all renderings and all boards: something is always said, nothing is called live that is not heard."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons.texts import LANGUAGES, Language, load_catalogue
from stop_display.model import BoardArrival, Line, StopBoard
from stop_display.outcomes import LineState
from stop_display.rendering_routes import load_words
from stop_display.renderings._base import ParameterError
from tests.stop_display.renderings.boards import (
    CASES,
    FONTS_THERE,
    FORMS,
    NOON_MS,
    SHUGYLA,
    STATES,
    ZONE,
    Case,
    alert,
    arrival,
    board,
    line,
    rendered,
)

pytestmark = pytest.mark.skipif(not FONTS_THERE, reason="fonts are missing: make vendor")

WORDS = load_words(ZONE)
each_form = pytest.mark.parametrize("path", list(FORMS))
each_language = pytest.mark.parametrize("language", LANGUAGES)

# What each state is told by, in each rendering: keys of texts of which one must be there, without their values.
TOLD_BY = {
    LineState.TIMETABLE: ("timetable", "speech.planned"),
    LineState.HEADWAY: ("headway", "led.headway", "speech.every_between.many"),
    LineState.BEFORE_FIRST_TRIP: ("first", "led.first", "speech.first"),
    LineState.SERVICE_ENDED: ("ended", "led.ended", "speech.ended"),
    LineState.NO_SERVICE: ("no_service", "led.no_service", "speech.no_service"),
    LineState.NO_DATA: ("no_data", "led.no_data", "speech.no_data"),
    LineState.CANCELLED: ("cancelled", "led.cancelled", "speech.cancelled"),
    LineState.DETOUR: ("detour", "led.detour", "speech.detour"),
}
LIVE_KEYS = ("now", "live", "terminal", "approaching", "led.at_stop", "speech.now", "speech.at_stop")


def texts(language: Language) -> dict[str, str]:
    return {**load_catalogue("stop_display")[language], **load_catalogue("stop_display.renderings")[language]}


def letters(text: str) -> str:
    """Return letters and figures only: a panel breaks lines and words."""
    return "".join(character for character in text.casefold() if character.isalnum())


def said(case: Case, path: str, language: Language, **more: str) -> str:
    return " ".join(rendered(case, path, language, **more).says)


@each_language
@each_form
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_something_is_always_said(case: Case, path: str, language: Language) -> None:
    found = rendered(case, path, language)
    assert found.body
    assert any(letters(text) for text in found.says)
    assert 1 <= found.refresh_s <= found.valid_s


@each_language
@each_form
@pytest.mark.parametrize("silent_s", [91, 600, None])
def test_what_is_not_heard_is_not_called_live(path: str, language: Language, silent_s: int | None) -> None:
    lines = (
        line(arrival(6), route="10"),
        line(arrival(9, scheduled=20), route="11"),
        line(arrival(0.2, at_stop=True), route="12"),
        line(arrival(8, "live_terminal", scheduled=25), route="13"),
    )
    told = said(Case(board=board(*lines), silent_s=silent_s), path, language)
    words, catalogue = WORDS[language], texts(language)
    assert not [key for key in LIVE_KEYS if re.search(rf"\b{re.escape(catalogue[key])}\b", told)]
    assert not re.search(rf"\d {catalogue['unit']}\b", told)
    assert words.count("speech.minutes", 6) not in told
    assert "12:06" not in told
    assert "12:09" not in told
    assert "12:20" in told  # the planned time of the bus that is not heard
    assert "12:25" in told
    assert letters(catalogue["silent"][:20]) in letters(told)


@each_language
@each_form
def test_what_is_heard_is_told_as_live(path: str, language: Language) -> None:
    told = said(Case(board=board(line(arrival(6))), silent_s=89), path, language)
    assert any(
        one in told for one in (f"6 {texts(language)['unit']}", WORDS[language].count("speech.minutes", 6), "12:06")
    )


@each_language
@each_form
@pytest.mark.parametrize("state", TOLD_BY)
def test_every_state_is_told_in_its_words(path: str, language: Language, state: LineState) -> None:
    """``TIMETABLE`` needs no word on a narrow panel: only planned buses have a time of day there."""
    told, catalogue = said(Case(board=board(STATES[state])), path, language), texts(language)
    worded = [re.sub(r"\{\w+\}", "", catalogue[key]).strip(" –") for key in TOLD_BY[state]]
    planned = state is LineState.TIMETABLE and path.startswith("led") and "12:17" in told
    pieces = [letters(part) for one in worded for part in [re.split(r"\s{2,}|–", one)[0]]]
    assert planned or any(piece and piece in letters(told) for piece in pieces)
    if state is not LineState.LIVE:
        assert not re.search(rf"\d {catalogue['unit']}\b", told) or state is LineState.HEADWAY


@each_language
@each_form
def test_a_headway_of_the_plan_is_not_told_as_seen(path: str, language: Language) -> None:
    told = said(CASES["headway of the plan"], path, language)
    seen = said(Case(board=board(STATES[LineState.HEADWAY])), path, language)
    worded = ("timetable", "led.headway_planned", "speech.by_plan")
    marks = [letters(re.split(r"[:{]", texts(language)[key])[0]) for key in worded]
    assert any(mark in letters(told) for mark in marks)
    assert not any(mark in letters(seen) for mark in marks)


@each_language
@each_form
def test_every_line_is_told(path: str, language: Language) -> None:
    more = {"lines": "30"} if path.startswith("speech") else {}
    told = said(CASES["twelve lines"], path, language, **more)
    assert {str(route) for route in range(1, 13)} <= set(re.findall(r"\d+", told))


@each_language
@each_form
def test_a_bus_that_does_not_come_is_told_beside_the_next(path: str, language: Language) -> None:
    told = said(CASES["cancelled and another"], path, language)
    assert "12:05" in told
    assert any(
        one in told for one in (f"15 {texts(language)['unit']}", "12:15", WORDS[language].count("speech.minutes", 15))
    )


@each_language
@each_form
def test_an_alert_is_told_first_and_ends_by_itself(path: str, language: Language) -> None:
    case = Case(board=board(line(arrival(6), route="777"), alerts=(alert(routes=("10", "12"), until_min=5),)))
    told = said(case, path, language)
    header = letters(f"10, 12: {alert().header[language]}")
    assert header in letters(told)
    assert letters(alert().text[language]) in letters(told)
    assert letters(told).index(header) < letters(told).index("777")
    later = Case(board=case.board, now_ms=NOON_MS + 5 * 60_000)
    assert header not in letters(said(later, path, language))


@each_language
@each_form
def test_an_alert_that_takes_over_leaves_nothing_else(path: str, language: Language) -> None:
    case = Case(board=board(line(arrival(6), route="777"), alerts=(alert(takeover=True),)))
    told = said(case, path, language)
    assert letters(alert().header[language]) in letters(told)
    assert letters(alert().text[language]) in letters(told)
    assert "777" not in told


@each_form
def test_what_is_not_allowed_is_refused_with_field_value_and_rule(path: str) -> None:
    for parameter in FORMS[path].parameters:
        named = ("", "²", "24 ", "a/b", "x" * 65)  # a name may be nearly anything
        for wrong in named if parameter.name == "listen" else ("", "nonsense", "-1", "0", "999999999", "²", "24 "):
            with pytest.raises(ParameterError) as caught:
                FORMS[path].options({parameter.name: wrong})
            assert (caught.value.name, caught.value.value, caught.value.rule) == (parameter.name, wrong, parameter.rule)


@each_form
def test_what_panels_say_of_themselves_is_left_alone(path: str) -> None:
    assert FORMS[path].options({"battery": "40", "age": "x"}) == FORMS[path].options({})


arrivals = st.builds(
    lambda minutes, state, scheduled: arrival(minutes, state, scheduled=scheduled),
    st.floats(-1, 120, width=16),
    st.sampled_from(["live", "live_terminal", "timetable", "cancelled"]),
    st.none() | st.floats(-5, 120, width=16),
)
names = st.fixed_dictionaries({language: st.text(st.characters(codec="cp1251"), max_size=40) for language in LANGUAGES})


@st.composite
def lines(draw: st.DrawFn) -> Line:
    coming: list[BoardArrival] = draw(st.lists(arrivals, max_size=3))
    headway_s = draw(
        st.none() | st.tuples(st.integers(1, 3_600), st.integers(1, 3_600)).map(lambda two: tuple(sorted(two)))
    )
    return line(
        *coming,
        route=draw(st.from_regex(r"[0-9]{1,3}[А-Г]?", fullmatch=True)),
        to=draw(names | st.just(SHUGYLA)),
        state=draw(st.sampled_from(LineState)),
        first_min=draw(st.none() | st.floats(-10, 3_000, width=16)),
        headway_s=headway_s,
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(lines(), max_size=14), names, st.integers(0, 300), st.sampled_from(LANGUAGES), st.integers(16, 40))
def test_any_board_is_told(
    found: list[Line], name: dict[str, str], silent_s: int, language: Language, width: int
) -> None:
    case = Case(board=StopBoard(stop="alan", code="", name=name, lines=found), silent_s=silent_s)
    for path in FORMS:
        more = {"width": str(width)} if path.startswith("led") else {}
        told = rendered(case, path, language, **more)
        assert any(letters(text) for text in told.says)
        if silent_s > 90:
            catalogue = texts(language)
            assert not re.search(rf"\d {catalogue['unit']}\b(?! сайын)", " ".join(told.says)) or any(
                one.headway_s for one in found
            )
