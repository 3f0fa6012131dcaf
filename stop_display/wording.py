"""What a board says in words, for renderings that the server makes: LED panels, e-ink, speech. Pure.

The rules are those of the page (``web/told.js``): live rows only while tracking is heard, minutes only of buses that
are followed, a planned bus has a time of day, and a line without buses says why. Plural forms are CLDR's.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale

from commons.texts import Language
from stop_display.board import HEARD_MAX_MS, natural
from stop_display.model import BoardAlert, BoardArrival, Line, StopBoard, Text
from stop_display.outcomes import LineState
from transit.outcomes import ArrivalState

NOW_MS: Final = 30_000  # nearer than that is "now"; so long a bus whose time has come is still shown
MINUTE_MS: Final = 60_000
AS_CLOCK_MS: Final = 60 * MINUTE_MS  # farther than that is a time of day
UNSURE_MS: Final = 3 * MINUTE_MS  # p10 to p90 wider than that and a quarter of the wait is "about"
UNSURE_PART: Final = 4
FAR: Final = 1 << 62
LIVE_STATES: Final = frozenset({ArrivalState.LIVE.value, ArrivalState.LIVE_TERMINAL.value})
FORMS: Final[Mapping[str, str]] = {"one": "one", "few": "few", "many": "many", "other": "many"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """A board at one moment. ``as_of_ms``: up to when tracking has spoken; ``rate``: city seconds per wall second."""

    board: StopBoard
    now_ms: int
    as_of_ms: int | None
    time_zone: str
    rate: float = 1.0

    @property
    def heard(self) -> bool:
        """Whether live rows may be shown."""
        return self.age_ms <= HEARD_MAX_MS

    @property
    def age_ms(self) -> int:
        """How old the newest word of tracking is; never is very old."""
        return FAR if self.as_of_ms is None else max(0, self.now_ms - self.as_of_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """One bus to come. ``minutes`` is None where a time of day is said. One at the stop may wait there to begin."""

    ms: int
    live: bool
    minutes: int | None = None
    due: bool = False  # within 30 s, or here
    at_stop: bool = False
    at_terminus: bool = False
    unsure: bool = False
    arrival: BoardArrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line and what comes, soonest first. ``cancelled`` is the first bus that does not come, if there is one."""

    line: Line
    state: LineState
    coming: tuple[Coming, ...]
    cancelled: Coming | None
    headway_s: tuple[int, int] | None
    headway_planned: bool  # it is the plan's: too few buses were seen lately to say better
    first_ms: int | None


def rows(showing: Showing) -> list[Row]:
    """Return what each line of a board shows, in the order in which boards list them."""
    found = [_row(line, showing) for line in showing.board.lines]
    return sorted(found, key=_rank)


def _row(line: Line, showing: Showing) -> Row:
    told = [_as_heard(arrival, showing) for arrival in line.arrivals]
    shown = [one for one in told if one.at_stop or one.arrival_ms - showing.now_ms > -NOW_MS]
    shown.sort(key=lambda one: one.arrival_ms)
    all_coming = [(one.state, _coming(one, showing.now_ms)) for one in shown]
    coming = tuple(one for state, one in all_coming if state != ArrivalState.CANCELLED)
    cancelled = next((one for state, one in all_coming if state == ArrivalState.CANCELLED), None)
    state = _still_true(line, showing)
    if coming:
        state = LineState.LIVE if coming[0].live else LineState.TIMETABLE
    elif cancelled is not None:
        state = LineState.CANCELLED
    first_ms = line.first_ms if line.first_ms is not None and not _overtaken(line, showing) else None
    return Row(
        line=line,
        state=state,
        coming=coming,
        cancelled=cancelled,
        headway_s=line.headway_s,
        headway_planned=line.headway_planned,
        first_ms=first_ms,
    )


def _as_heard(arrival: BoardArrival, showing: Showing) -> BoardArrival:
    """Return the arrival as it may be shown: of a bus that is no longer heard only the planned time remains."""
    if showing.heard or arrival.state not in LIVE_STATES:
        return arrival
    return BoardArrival(key=arrival.key, state=ArrivalState.TIMETABLE, arrival_ms=arrival.scheduled_ms or 0)


def _coming(arrival: BoardArrival, now_ms: int) -> Coming:
    live = arrival.state in LIVE_STATES
    left_ms = arrival.arrival_ms - now_ms
    counted = live and left_ms < AS_CLOCK_MS
    at_terminus = arrival.state == ArrivalState.LIVE_TERMINAL
    at_stop = live and arrival.at_stop
    return Coming(
        ms=arrival.arrival_ms,
        live=live,
        minutes=max(1, left_ms // MINUTE_MS) if counted else None,
        due=live and (left_ms <= NOW_MS or (at_stop and not at_terminus)),
        at_stop=at_stop,
        at_terminus=at_terminus,
        unsure=live and _unsure(arrival, left_ms),
        arrival=arrival,
    )


def _unsure(arrival: BoardArrival, left_ms: int) -> bool:
    if arrival.state == ArrivalState.LIVE_TERMINAL:
        return True
    if arrival.p10_ms is None or arrival.p90_ms is None:
        return False
    return arrival.p90_ms - arrival.p10_ms > UNSURE_MS + max(0, left_ms) / UNSURE_PART


def _overtaken(line: Line, showing: Showing) -> bool:
    return line.first_ms is not None and line.first_ms < showing.now_ms - NOW_MS


def _still_true(line: Line, showing: Showing) -> LineState:
    """Return the state of a line of which nothing comes, as far as time has not overtaken it."""
    state = LineState(line.state)
    if line.headway_s is not None and (state is LineState.HEADWAY or line.arrivals):
        return LineState.HEADWAY
    if line.arrivals or _overtaken(line, showing) or state in {LineState.LIVE, LineState.TIMETABLE, LineState.HEADWAY}:
        return LineState.NO_DATA
    if state is LineState.BEFORE_FIRST_TRIP and line.first_ms is None:
        return LineState.NO_DATA
    return state


def _rank(row: Row) -> tuple[int, tuple[int, str], str]:
    first = row.coming[0] if row.coming else row.cancelled
    when = first.ms if first is not None else FAR - (row.state is LineState.HEADWAY)
    return when, natural(row.line.route), row.line.key


class Words:
    """Texts of one language. ``texts``: dotted key → text; times are said in ``time_zone``."""

    def __init__(self, language: Language, texts: Mapping[str, str], time_zone: str) -> None:
        self.language = language
        self._texts = texts
        self._zone = ZoneInfo(time_zone)

    @cached_property
    def _locale(self) -> Locale:
        return Locale.parse(self.language)

    def say(self, key: str, **values: object) -> str:
        """Return the text for ``key`` with its ``{names}`` filled in.

        Raises:
            KeyError: if there is no such text, or it names a value that is not given.
        """
        return self._texts[key].format(**values)

    def form(self, n: int) -> str:
        """Return the plural form of ``n`` things, as catalogues name it: one, few or many."""
        return FORMS[self._locale.plural_form(n)]

    def count(self, key: str, n: int, **values: object) -> str:
        """Return the text of ``key`` for ``n`` things."""
        return self.say(f"{key}.{self.form(n)}", n=n, **values)

    def name(self, names: Text) -> str:
        """Return a name in this language, else in Kazakh, else in any."""
        return names.get(self.language) or names.get("kk") or next((name for name in names.values() if name), "")

    def clock(self, ms: int) -> str:
        """Return local time, ``14:05``."""
        return f"{self._local(ms):%H:%M}"

    def figure(self, coming: Coming) -> str:
        """Return when a bus comes: ``now``, ``6 min``, ``~6 min`` or ``14:05``."""
        if coming.due:
            return self.say("now")
        about = "~" if coming.unsure else ""
        if coming.minutes is None:
            return about + self.clock(coming.ms)
        return f"{about}{coming.minutes} {self.say('unit')}"

    def kind(self, coming: Coming) -> str:
        """Return what that rests on: a bus that is followed, stands here, waits at its terminus; or the timetable."""
        if not coming.live:
            return self.say("timetable")
        if coming.at_stop:
            return self.say("at_stop")
        return self.say("terminal" if coming.at_terminus else "live")

    def quiet(self, row: Row) -> str:
        """Return why nothing comes on a line, in a few words."""
        match row.state:
            case LineState.HEADWAY if row.headway_s is not None:
                return self.headway(row.headway_s)
            case LineState.BEFORE_FIRST_TRIP if row.first_ms is not None:
                return self.say("first", time=self.clock(row.first_ms))
            case LineState.SERVICE_ENDED:
                return self.say("ended")
            case LineState.NO_SERVICE:
                return self.say("no_service")
            case LineState.DETOUR:
                return self.say("detour")
            case _:
                return self.say("no_data")

    def headway(self, headway_s: tuple[int, int]) -> str:
        """Return ``every 8–10 min``."""
        low, high = headway_min(headway_s)
        return self.say("headway_one", n=low) if low == high else self.say("headway", **{"from": low, "to": high})

    def later(self, row: Row, now_ms: int) -> str:
        """Return when a line that is over for now runs again, "" if that is not known."""
        if row.first_ms is None or row.state not in {LineState.SERVICE_ENDED, LineState.NO_SERVICE}:
            return ""
        first, now = self._local(row.first_ms), self._local(now_ms)
        time = self.clock(row.first_ms)
        days = (first.date() - now.date()).days
        if days == 0:
            return self.say("next_time", time=time)
        day = self.say("tomorrow") if days == 1 else f"{first:%d.%m}"
        return self.say("next_day", day=day, time=time)

    def alert(self, alert: BoardAlert) -> tuple[str, str]:
        """Return header and text of an alert; the routes concerned stand before the header."""
        header = self.name(alert.header)
        routes = ", ".join(alert.routes)
        return (f"{routes}: {header}" if routes and header else header or routes), self.name(alert.text)

    def _local(self, ms: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(ms / 1000, tz=self._zone)


def headway_min(headway_s: tuple[int, int]) -> tuple[int, int]:
    """Return the least and the greatest headway in whole minutes."""
    low = max(1, round(headway_s[0] / 60))
    return low, max(low, round(headway_s[1] / 60))


def alerts_shown(board: StopBoard, now_ms: int) -> tuple[Sequence[BoardAlert], bool]:
    """Return the alerts to show now and whether they fill the board: then only those that do are shown."""
    now = [alert for alert in board.alerts if alert.until_ms is None or alert.until_ms > now_ms]
    filling = [alert for alert in now if alert.takeover]
    return (filling, True) if filling else (now, False)
