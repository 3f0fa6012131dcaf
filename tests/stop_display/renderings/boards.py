"""Boards as renderings must cope with: every state of a line, alerts, silence, long names. Times around noon."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from commons.texts import Language
from stop_display.abbreviations import Abbreviations, load_abbreviations
from stop_display.model import BoardAlert, BoardArrival, Line, StopBoard
from stop_display.outcomes import LineState
from stop_display.rendering_routes import load_words
from stop_display.renderings._base import Form, Kit, Options, Rendered, renderings
from stop_display.renderings._fonts import FOLDER, Fonts
from stop_display.wording import Showing

ZONE: Final = "Asia/Qyzylorda"
NOON_MS: Final = 1_790_060_400_000  # 22 September 2026, 12:00 at UTC+5
MINUTE_MS: Final = 60_000
LINK: Final = "http://boards.example/board/alan"
NAME: Final = {"kk": "Орталық алаң", "ru": "Центральная площадь", "en": "Central square"}
SHUGYLA: Final = {"kk": "Шұғыла мөлтек ауданы", "ru": "мкр Шугыла", "en": "Shugyla district"}
STATION: Final = {"kk": "Теміржол вокзалы", "ru": "Железнодорожный вокзал", "en": "Railway Station"}
LONG: Final = {
    "kk": "Қазақстан Республикасының Тұңғыш Президенті атындағы облысаралықкөпсалалыауруханасы",
    "ru": "Областная многопрофильная больница имени Первого Президента Республики Казахстан",
    "en": "Regional Multidisciplinary Hospital named after the First President of the Republic",
}
FONTS_THERE: Final = FOLDER.is_dir()

FORMS: Final = {form.path: form for rendering in renderings().values() for form in rendering.forms}


def arrival(minutes: float, state: str = "live", *, scheduled: float | None = None, **more: object) -> BoardArrival:
    """A bus so many minutes after noon; ``scheduled``: minutes of its planned time."""
    values: dict[str, Any] = {
        "key": f"v|{minutes}|{state}",
        "state": state,
        "arrival_ms": NOON_MS + round(minutes * MINUTE_MS),
        "scheduled_ms": None if scheduled is None else NOON_MS + round(scheduled * MINUTE_MS),
    }
    return msgspec.convert(values | more, BoardArrival)


def line(
    *arrivals: BoardArrival,
    route: str = "10",
    to: Mapping[str, str] = SHUGYLA,
    state: LineState | None = None,
    first_min: float | None = None,
    headway_s: tuple[int, int] | None = None,
    headway_planned: bool = False,
) -> Line:
    assumed = LineState.LIVE if arrivals else LineState.NO_DATA
    return Line(
        key=f"{route}|{to['kk']}",
        route_id=route,
        route=route,
        destination=to,
        state=state or assumed,
        arrivals=list(arrivals),
        first_ms=None if first_min is None else NOON_MS + round(first_min * MINUTE_MS),
        headway_s=headway_s,
        headway_planned=headway_planned,
    )


def board(*lines: Line, alerts: tuple[BoardAlert, ...] = (), name: Mapping[str, str] = NAME) -> StopBoard:
    return StopBoard(stop="alan", code="017", name=name, lines=list(lines), alerts=list(alerts))


def alert(*, takeover: bool = False, routes: tuple[str, ...] = (), until_min: float | None = None) -> BoardAlert:
    return BoardAlert(
        id="a1",
        header={"kk": "Абай көшесі жабық", "ru": "Улица Абая закрыта", "en": "Abay Street is closed"},
        text={"kk": "Аялдама көшірілді", "ru": "Остановка перенесена", "en": "The stop has moved"},
        takeover=takeover,
        routes=list(routes),
        until_ms=None if until_min is None else NOON_MS + round(until_min * MINUTE_MS),
    )


STATES: Final[Mapping[LineState, Line]] = {
    LineState.LIVE: line(arrival(6)),
    LineState.TIMETABLE: line(arrival(17, "timetable"), state=LineState.TIMETABLE),
    LineState.HEADWAY: line(state=LineState.HEADWAY, headway_s=(480, 600)),
    LineState.BEFORE_FIRST_TRIP: line(state=LineState.BEFORE_FIRST_TRIP, first_min=95),
    LineState.SERVICE_ENDED: line(state=LineState.SERVICE_ENDED, first_min=18 * 60 + 30),
    LineState.NO_SERVICE: line(state=LineState.NO_SERVICE, first_min=42 * 60 + 30),
    LineState.NO_DATA: line(state=LineState.NO_DATA),
    LineState.CANCELLED: line(arrival(9, "cancelled"), state=LineState.CANCELLED),
    LineState.DETOUR: line(state=LineState.DETOUR),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is on a board, and for how long tracking has been silent."""

    board: StopBoard
    silent_s: int | None = 1
    now_ms: int = NOON_MS
    rate: float = 1.0
    link: str = LINK

    @property
    def showing(self) -> Showing:
        as_of_ms = None if self.silent_s is None else self.now_ms - self.silent_s * 1000
        return Showing(board=self.board, now_ms=self.now_ms, as_of_ms=as_of_ms, time_zone=ZONE, rate=self.rate)


def full_board() -> StopBoard:
    """Twelve lines in all states."""
    lines = [
        msgspec.structs.replace(one, route=str(number), key=str(number))
        for number, one in enumerate([*STATES.values(), *list(STATES.values())[:3]], start=1)
    ]
    return board(*lines)


CASES: Final[Mapping[str, Case]] = {
    **{state: Case(board=board(one)) for state, one in STATES.items()},
    **{f"{state}, silent": Case(board=board(one), silent_s=600) for state, one in STATES.items()},
    "never heard": Case(board=full_board(), silent_s=None),
    "twelve lines": Case(board=full_board()),
    "forty lines": Case(board=board(*(line(arrival(one), route=str(one)) for one in range(1, 41)))),
    "no lines": Case(board=board()),
    "headway of the plan": Case(board=board(line(state=LineState.HEADWAY, headway_s=(480, 600), headway_planned=True))),
    "due": Case(board=board(line(arrival(0.3)))),
    "at the stop": Case(board=board(line(arrival(0.4, at_stop=True)))),
    "at the terminus": Case(board=board(line(arrival(12, "live_terminal")))),
    "unsure": Case(
        board=board(
            line(arrival(9, p10_ms=NOON_MS, p90_ms=NOON_MS + 6 * MINUTE_MS)),
            line(arrival(9.1, p10_ms=NOON_MS, p90_ms=NOON_MS + 5 * MINUTE_MS), route="11"),
        )
    ),
    "in two hours": Case(board=board(line(arrival(125)))),
    "cancelled and another": Case(board=board(line(arrival(5, "cancelled"), arrival(15)))),
    "alert": Case(board=board(line(arrival(6)), alerts=(alert(routes=("10", "12")),))),
    "take-over": Case(board=board(line(arrival(6)), alerts=(alert(takeover=True), alert()))),
    "long names": Case(
        board=board(line(arrival(6), route="10", to=LONG), line(arrival(7), route="101", to=LONG), name=LONG)
    ),
    "no name, no destination": Case(
        board=StopBoard(stop="alan", code="", name={}, lines=[line(arrival(6), to={"kk": ""})])
    ),
    "fast city": Case(board=board(line(arrival(6))), rate=60.0),
}


def kit(*, link: str = LINK) -> Kit:
    return Kit(words=load_words(ZONE), abbreviations=abbreviations(), fonts=fonts(), link=link)


@functools.cache
def abbreviations() -> Abbreviations:
    return load_abbreviations()


@functools.cache
def fonts() -> Fonts | None:
    return Fonts() if FONTS_THERE else None


def options(form: Form, language: Language, **more: str) -> Options:
    return form.options({"lang": language} | more)


def rendered(case: Case, path: str, language: Language = "kk", **more: str) -> Rendered:
    form = FORMS[path]
    return form.render(case.showing, options(form, language, **more), kit(link=case.link))
