"""Pictures for e-ink: one bit, readable codes, honest about their age, the same while they say the same."""

import dataclasses
import io
import itertools

import msgspec
import pytest
import zxingcpp
from PIL import Image

from stop_display.outcomes import LineState
from stop_display.renderings._base import Rendered
from stop_display.renderings._canvas import Canvas
from stop_display.renderings._fonts import Fonts
from tests.stop_display.renderings.boards import (
    CASES,
    FONTS_THERE,
    LINK,
    MINUTE_MS,
    Case,
    alert,
    arrival,
    board,
    line,
    rendered,
)

pytestmark = pytest.mark.skipif(not FONTS_THERE, reason="fonts are missing: make vendor")

LIVE = Case(board=board(line(arrival(6), arrival(14)), line(arrival(21, "timetable"), route="12")))


def picture(case: Case, **options: str) -> tuple[Rendered, Image.Image]:
    options = {"language": "kk"} | options
    found = rendered(case, "eink.png", **options)  # type: ignore[arg-type]
    return found, Image.open(io.BytesIO(found.body))


def later(case: Case, minutes: float) -> Case:
    return dataclasses.replace(case, now_ms=case.now_ms + round(minutes * MINUTE_MS))


@pytest.mark.parametrize(("width", "height"), [(800, 480), (480, 800), (400, 400), (1_872, 1_404), (3_200, 2_400)])
def test_a_picture_is_of_the_size_asked_for_and_of_one_bit(width: int, height: int) -> None:
    _, image = picture(LIVE, width=str(width), height=str(height))
    assert (image.format, image.mode, image.size) == ("PNG", "1", (width, height))


@pytest.mark.parametrize("size", [(800, 480), (480, 800)])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_nothing_runs_over_the_edge(case: Case, size: tuple[int, int]) -> None:
    """The margin at the right has only lines and bands, which go from edge to edge: its rows are of one colour."""
    for language in ("kk", "ru"):
        _, image = picture(case, language=language, width=str(size[0]), height=str(size[1]))
        for y in range(size[1]):
            margin = image.crop((size[0] - 10, y, size[0], y + 1)).getextrema()
            assert margin[0] == margin[1], (language, y)


def test_buses_have_times_of_day_not_minutes() -> None:
    said = picture(LIVE)[0].says
    assert {"12:06", "12:21"} <= set(said)
    assert any("12:14" in text for text in said)
    assert not any("мин" in text.split() for text in said)


def test_the_code_leads_to_the_page_of_the_stop() -> None:
    _, image = picture(LIVE)
    grey = image.convert("L").resize((1_600, 960), Image.Resampling.NEAREST)
    assert [code.text for code in zxingcpp.read_barcodes(grey)] == [LINK]


def test_a_host_that_is_not_known_gives_no_code() -> None:
    case = dataclasses.replace(LIVE, link="")
    assert not zxingcpp.read_barcodes(picture(case)[1].convert("L"))


def test_a_picture_says_of_when_it_is_and_until_when_it_is_true() -> None:
    found, _ = picture(LIVE, language="en")
    assert "As of 12:00. True until 12:07" in found.says
    assert found.valid_s == 7 * 60


def test_a_picture_is_the_same_until_it_says_something_else_or_its_time_is_over() -> None:
    same = picture(LIVE)[0].same
    assert picture(later(LIVE, 4.9))[0].same == same
    assert picture(later(LIVE, 5))[0].same != same
    assert picture(LIVE, language="ru")[0].same != same
    changed = dataclasses.replace(LIVE, board=board(line(arrival(7), arrival(14)), *LIVE.board.lines[1:]))
    assert picture(changed)[0].same != same


def test_a_panel_asks_each_minute_while_a_bus_is_followed_and_seldom_at_night() -> None:
    assert picture(LIVE)[0].refresh_s == 60
    planned = Case(board=board(line(arrival(3, "timetable"))))
    assert picture(planned)[0].refresh_s == 180
    night = Case(board=board(line(state=LineState.SERVICE_ENDED, first_min=18 * 60)))
    assert picture(night)[0].refresh_s == 30 * 60
    assert picture(night, language="en")[0].says[1] == "As of 12:00. True until 12:32"
    morning = Case(board=board(line(state=LineState.SERVICE_ENDED, first_min=30)))
    assert picture(morning)[0].refresh_s == 10 * 60


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_picture_is_true_until_the_next_can_be_there(case: Case) -> None:
    for minutes in (0, 3, 4.9, 29.5):
        found, _ = picture(later(case, minutes))
        assert found.refresh_s <= found.valid_s


def test_lines_that_have_no_room_are_named() -> None:
    said = " ".join(picture(CASES["forty lines"], language="en")[0].says)
    assert "28 more: 13, 14," in said


def test_a_time_that_is_cancelled_is_struck_out() -> None:
    cancelled = Case(board=board(line(arrival(6, "cancelled"))))
    assert "болмайды" in picture(cancelled)[0].says
    assert _longest_stroke(cancelled) > 80 > _longest_stroke(Case(board=board(line(arrival(6, "timetable")))))


def _longest_stroke(case: Case) -> int:
    """Return the longest black stretch from left to right where the first time is written."""
    _, image = picture(case)
    stretches = [
        len(list(run))
        for y in range(110, 150)
        for colour, run in itertools.groupby(image.getpixel((x, y)) for x in range(640, 800))
        if colour == 0
    ]
    return max(stretches)


def test_an_alert_that_fills_the_picture_is_as_large_as_it_fits() -> None:
    short = picture(Case(board=board(alerts=(alert(takeover=True),))))[1]
    assert _tallest(short) >= 40


def _tallest(image: Image.Image) -> int:
    rows = [any(image.getpixel((x, y)) == 0 for x in range(800)) for y in range(110, 480)]
    return max(len(list(run)) for dark, run in itertools.groupby(rows) if dark)


def test_what_follows_a_followed_bus_by_plan_is_not_told_as_followed() -> None:
    both = Case(board=board(line(arrival(6), arrival(14), arrival(22, "timetable"))))
    assert "live · then 12:14 · timetable 12:22" in picture(both, language="en")[0].says
    planned = Case(board=board(line(arrival(6, "timetable"), arrival(22, "timetable"))))
    assert "timetable · then 12:22" in picture(planned, language="en")[0].says


def test_a_bus_that_stands_here_is_on_its_way_now() -> None:
    said = picture(Case(board=board(line(arrival(-3, at_stop=True)))), language="en")[0].says
    assert {"12:00", "live"} <= set(said)
    assert "at the stop" not in said  # nobody can say that of the minutes to come


def test_letters_stand_on_one_line() -> None:
    """Pillow's one-bit text does not: a run with a tall letter is a pixel higher."""
    canvas = Canvas(400, 60, Fonts())
    for x, text in ((10, "автобус"), (110, "нй"), (210, "тұрақ"), (310, "xb")):
        canvas.write(x, 40, text[0], 18)
        canvas.write(x + 30, 40, text, 18)
    image = Image.open(io.BytesIO(canvas.png())).convert("L").point(lambda grey: 255 - grey)
    feet = [image.crop((x, 0, x + 8, 60)).getbbox() for x in (10, 40, 110, 140, 210, 240, 310, 340)]
    assert {foot[3] for foot in feet if foot is not None} == {40}


@pytest.mark.parametrize("width", ["400", "480", "800", "1200"])
def test_no_time_is_cut_in_half(width: str) -> None:
    for language in ("kk", "ru", "en"):
        for state in (LineState.SERVICE_ENDED, LineState.NO_SERVICE):
            case = Case(board=board(line(state=state, first_min=18 * 60 + 30)))
            said = " ".join(picture(case, language=language, width=width, height="480")[0].says)
            assert said.count("06:30") == 1 or "…" not in said


def test_an_alert_that_is_too_long_says_so() -> None:
    long = dict.fromkeys(("kk", "ru", "en"), "жол жөнделуде " * 43)
    longer = msgspec.structs.replace(alert(takeover=True), text=long)
    assert not any("…" in text for text in picture(Case(board=board(alerts=(longer,))))[0].says)  # 600 letters fit
    four = tuple(msgspec.structs.replace(longer, id=str(number)) for number in range(4))
    assert picture(Case(board=board(alerts=four)))[0].says[-1].endswith("…")
    beside = msgspec.structs.replace(longer, takeover=False)
    said = picture(Case(board=board(line(arrival(6)), alerts=(beside,))))[0].says
    assert [text for text in said if text.endswith("…")]
    assert "12:06" in said


@pytest.mark.parametrize("size", [{}, {"width": "400", "height": "400"}, {"width": "3200", "height": "400"}])
def test_however_many_alerts_there_are_buses_have_room(size: dict[str, str]) -> None:
    long = dict.fromkeys(("kk", "ru", "en"), "жол жөнделуде " * 9)
    four = tuple(
        msgspec.structs.replace(alert(routes=("4", "5", "11", "12", "101")), header=long, id=i) for i in "abcd"
    )
    said = picture(Case(board=board(line(arrival(6)), alerts=four), silent_s=1), **size)[0].says
    assert "12:06" in said


@pytest.mark.parametrize(("count", "width"), [(2, "440"), (9, "720")], ids=["rows of two lines", "rows of one line"])
def test_a_destination_is_called_alike_in_all_rows(count: int, width: str) -> None:
    """As on an LED panel: a row with more beside it does not name the same place by another name."""
    to = dict.fromkeys(("kk", "ru", "en"), "Поликлиника на улице Ахмета Байтурсынова (вход со двора)")
    last = line(arrival(6), arrival(8, "timetable"), arrival(12, "timetable"), route="99", to=to)
    alone = line(state=LineState.NO_DATA, route="1", to=to)
    others = [line(arrival(20 + number), route=f"{number}") for number in range(2, count)]
    said = picture(Case(board=board(last, alone, *others)), language="ru", width=width, height="480")[0].says
    assert len([text for text in said if text.startswith("П")]) == 2
    assert len({text for text in said if text.startswith("П")}) == 1
    by_itself = picture(Case(board=board(alone, *others)), language="ru", width=width, height="480")[0].says
    assert not {text for text in by_itself if text.startswith("П")} & set(said)  # it alone would have had more room
