"""What a panel painted, compared with what the server says now. Pure.

Compared is what the page really holds, as text: badge, figure and clock. Minutes may differ by one, as a change may be
under way; whether that is all right twice in a row is for ``judgement``. Words are known by the texts of the catalogue,
in any language: which one is shown at the moment only the panel knows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from commons.texts import Catalogue
from stop_display.model import BoardArrival, Line, StopBoard
from stop_display.outcomes import LineState
from stop_display.panels.judgement import STALE_AFTER_S, RemarkCode
from stop_display.panels.model import PaintedRow, Panel, PanelHealth, Remark, hours_of, is_open

MINUTE_MS: Final = 60_000
DAY_MINUTES: Final = 24 * 60
SLACK_MS: Final = 60_000  # a minute, and what is painted was told a while ago:
LATENCY_S: Final = 5.0  # of the wall
DUE_MS: Final = 30_000
SOON_MS: Final = 15 * MINUTE_MS  # what comes so soon must be on the board
REMARKS_MAX: Final = 5
DUE_TEXTS: Final = ("now", "at_stop")
PHRASES: Final[Mapping[str, tuple[str, ...]]] = {  # state of a row → texts that may stand in its figure
    LineState.HEADWAY: ("headway", "headway_one"),
    LineState.BEFORE_FIRST_TRIP: ("first",),
    LineState.SERVICE_ENDED: ("ended",),
    LineState.NO_SERVICE: ("no_service",),
    LineState.DETOUR: ("detour",),
    LineState.NO_DATA: ("no_data",),
    LineState.CANCELLED: ("cancelled",),
}

_MINUTES: Final = re.compile(r"~?(\d{1,3})")
_TIME: Final = re.compile(r"~?(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """What a figure may say in words: of a bus that is here, and of each state without buses."""

    due: frozenset[str]
    of_state: Mapping[str, re.Pattern[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """City time, how fast it runs, and the city's offset from UTC."""

    ms: int
    rate: float
    utc_offset_s: int

    @property
    def slack_ms(self) -> float:
        """Return how far a painted time may be off."""
        return SLACK_MS + LATENCY_S * 1000 * self.rate

    def minute_of(self, ms: int) -> int:
        """Return the minute of the local day of ``ms``."""
        return (ms // 1000 + self.utc_offset_s) // 60 % DAY_MINUTES

    def is_about(self, minute: int, ms: int) -> bool:
        """Return whether ``minute`` of the day is that of ``ms``, or as near as slack allows."""
        ahead = (minute - self.minute_of(ms)) % DAY_MINUTES
        return min(ahead, DAY_MINUTES - ahead) <= self.slack_ms / MINUTE_MS


def phrases_of(catalogue: Catalogue) -> Phrases:
    """Return the phrases of the boards' texts; texts that a catalogue does not have yet are none."""
    said = list(catalogue.values())
    return Phrases(
        due=frozenset(texts[key] for texts in said for key in DUE_TEXTS if key in texts),
        of_state={
            state: re.compile("|".join(_form(texts[key]) for texts in said for key in keys if key in texts))
            for state, keys in PHRASES.items()
        },
    )


def differences(
    panel: Panel, health: PanelHealth, boards: Sequence[StopBoard], now: Now, phrases: Phrases
) -> list[Remark]:
    """Return how what ``panel`` paints differs from ``boards``, those of its stops; at most ``REMARKS_MAX`` remarks.

    A panel that is black or stale does not claim to show what is, so its rows are not compared.
    """
    if health.off:
        on = is_open(hours_of(panel.config.hours), now.minute_of(now.ms))
        return [Remark(code=RemarkCode.NOT_ON)] if on else []
    if health.content_age_s is None or health.content_age_s > STALE_AFTER_S:
        return []
    found = [*_stops(panel, health), *_clock(health, now)]
    rows: dict[tuple[str, str], list[PaintedRow]] = {}
    for row in health.rows:
        rows.setdefault((row.stop, row.route), []).append(row)
    lines: dict[tuple[str, str], list[Line]] = {}
    for board in boards:
        for line in board.lines:
            lines.setdefault((board.stop, line.route), []).append(line)
    for key, painted in rows.items():
        if key not in lines:
            found.append(Remark(code=RemarkCode.ROUTE_UNKNOWN, detail=f"{key[1]} @ {key[0]}"))
            continue
        found += [
            Remark(code=RemarkCode.FIGURE, detail=f"{row.route} @ {row.stop}: {row.figure}")
            for row in painted
            if not _may_show(row, lines[key], now, phrases)
        ]
    found += [
        Remark(code=RemarkCode.ROUTE_MISSING, detail=f"{route} @ {stop}")
        for (stop, route), all_of in lines.items()
        if stop in health.stops and (stop, route) not in rows and any(_comes_soon(line, now) for line in all_of)
    ]
    return found[:REMARKS_MAX]


def _stops(panel: Panel, health: PanelHealth) -> Iterable[Remark]:
    wanted = panel.config.stops
    yield from (Remark(code=RemarkCode.STOP_MISSING, detail=stop) for stop in wanted if stop not in health.stops)
    yield from (Remark(code=RemarkCode.STOP_OTHER, detail=stop) for stop in health.stops if stop not in wanted)


def _clock(health: PanelHealth, now: Now) -> Iterable[Remark]:
    shown = _TIME.fullmatch(health.clock)
    if shown is None or not now.is_about(int(shown[1]) * 60 + int(shown[2]), now.ms):
        yield Remark(code=RemarkCode.CLOCK, detail=health.clock or "–")


def _may_show(row: PaintedRow, lines: Sequence[Line], now: Now, phrases: Phrases) -> bool:
    arrivals = [arrival for line in lines for arrival in line.arrivals]
    minutes, time = _MINUTES.fullmatch(row.figure), _TIME.fullmatch(row.figure)
    if minutes is not None:
        return any(_is_in(int(minutes[1]), arrival, now) for arrival in arrivals if arrival.state != "cancelled")
    if time is not None:
        minute = int(time[1]) * 60 + int(time[2])
        planned = [ms for arrival in arrivals for ms in (arrival.arrival_ms, arrival.scheduled_ms) if ms is not None]
        return any(now.is_about(minute, ms) for ms in planned)
    if row.figure in phrases.due:
        return any(arrival.at_stop or arrival.arrival_ms - now.ms <= DUE_MS + now.slack_ms for arrival in arrivals)
    return _may_say(row, lines, now, phrases)


def _is_in(minutes: int, arrival: BoardArrival, now: Now) -> bool:
    """Return whether a bus is so many whole minutes away; boards say one for less than one, too."""
    left_ms = arrival.arrival_ms - now.ms
    from_ms = minutes * MINUTE_MS if minutes > 1 else 0
    return from_ms - now.slack_ms <= left_ms < (minutes + 1) * MINUTE_MS + now.slack_ms


def _may_say(row: PaintedRow, lines: Sequence[Line], now: Now, phrases: Phrases) -> bool:
    """Return whether a row may say in words what it does: the words are those of its state, and the state is true."""
    words = phrases.of_state.get(row.state)
    if words is None or not words.fullmatch(row.figure):
        return False
    if any(line.state == row.state for line in lines):
        return True
    # What the server said a moment ago may be over, or not be there yet; but no bus may be kept from those who wait.
    return row.state in {LineState.NO_DATA, LineState.HEADWAY} and not any(_comes_soon(line, now) for line in lines)


def _comes_soon(line: Line, now: Now) -> bool:
    return any(
        arrival.state in {"live", "live_terminal"} and now.slack_ms < arrival.arrival_ms - now.ms < SOON_MS
        for arrival in line.arrivals
    )


def _form(text: str) -> str:
    """Return the pattern of a text with ``{names}`` to be filled in."""
    return "".join(".{1,20}" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", text))
