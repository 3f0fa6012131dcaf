"""Speech: the board in sentences, for a button at the stop and for whoever would rather listen. Pure.

First where and when, and how many routes, so that a listener knows early whether to stay; then alerts; then the soonest
buses. One sentence a line: sentences are what the voice keeps (``stop_display.voice``).
"""

from typing import Final

from stop_display.abbreviations import Abbreviations
from stop_display.outcomes import LineState
from stop_display.renderings._base import LANGUAGE, Form, Kit, Options, Rendered, Rendering, name_of_ones_own, whole
from stop_display.wording import Coming, Row, Showing, Words, alerts_shown, headway_min, rows

LINES: Final = 5  # half a minute
LINES_MAX: Final = 30
AFTER_MAX: Final = 1  # buses told after the first: more is not kept in mind
VALID_S: Final = 60
REFRESH_S: Final = 30
ENDS: Final = (".", "!", "?", "…", ":")
NEW_LINE: Final = "\n"
ROOM_TOLD: Final = frozenset({"crushed_standing_room_only", "full"})


def sentences(showing: Showing, words: Words, abbreviations: Abbreviations, lines: int = LINES) -> list[str]:
    """Return what is said at a stop, ``lines`` routes at most."""
    board = showing.board

    def spoken(name: str) -> str:
        return abbreviations.spoken(name, words.language)

    told = [
        words.say("speech.stop", stop=spoken(words.name(board.name)) or board.stop),
        words.say("speech.clock", time=words.clock(showing.now_ms)),
    ]
    alerts, filling = alerts_shown(board, showing.now_ms)
    if filling:
        told.append(words.say("speech.takeover"))
    alerted = [_sentence(spoken(part)) for alert in alerts for part in words.alert(alert) if part]
    if filling:
        return told + alerted
    shown = rows(showing)
    if not shown:
        return [*told, *alerted, words.say("speech.no_lines")]
    told += [words.count("speech.lines", len(shown)), *alerted]
    if not showing.heard:
        told.append(words.say("speech.silent"))
    told += [_line(row, spoken(words.name(row.line.destination)), words, showing.now_ms) for row in shown[:lines]]
    if len(shown) > lines:
        told.append(words.count("speech.more", len(shown) - lines))
    return told


def _line(row: Row, destination: str, words: Words, now_ms: int) -> str:
    key = "speech.line" if destination else "speech.line_bare"
    return words.say(key, route=row.line.route, destination=destination, when=_when(row, words, now_ms))


def _when(row: Row, words: Words, now_ms: int) -> str:
    gone = ""
    if row.cancelled is not None:
        gone = words.say("speech.cancelled", time=words.clock(row.cancelled.ms))
    if not row.coming:
        return gone or _quiet(row, words, now_ms)
    first, *others = row.coming
    said = _first(first, words)
    if others[:AFTER_MAX]:
        said = words.say("speech.then", first=said, then=_after(others[0], words, said_planned=not first.live))
    more = [words.say("speech.wheelchair")] if first.arrival.wheelchair == "accessible" else []
    more += [words.say("room_full")] if first.live and first.arrival.occupancy in ROOM_TOLD else []
    return "; ".join(part for part in (said, *more, gone) if part)


def _first(coming: Coming, words: Words) -> str:
    if coming.at_stop and coming.due:
        return words.say("speech.at_stop")
    if coming.due:
        return words.say("speech.now")
    if not coming.live:
        return words.say("speech.planned", time=words.clock(coming.ms))
    when = _after(coming, words)
    return words.say("speech.terminal", when=when) if coming.at_terminus else when


def _after(coming: Coming, words: Words, *, said_planned: bool = False) -> str:
    """Return when a bus comes: in minutes if it is followed and near, else by the clock."""
    if coming.minutes is None:
        key = "speech.clock_at" if coming.live or said_planned else "speech.planned"
        return words.say(key, time=words.clock(coming.ms))
    when = words.count("speech.minutes", coming.minutes)
    return words.say("speech.about", when=when) if coming.unsure else when


def _quiet(row: Row, words: Words, now_ms: int) -> str:
    match row.state:
        case LineState.HEADWAY if row.headway_s is not None:
            low, high = headway_min(row.headway_s)
            key = "speech.every" if low == high else "speech.every_between"
            every = words.count(key, high, **{"from": low})
            return words.say("speech.by_plan", when=every) if row.headway_planned else every
        case LineState.BEFORE_FIRST_TRIP if row.first_ms is not None:
            return words.say("speech.first", time=words.clock(row.first_ms))
        case LineState.SERVICE_ENDED:
            said = words.say("speech.ended")
        case LineState.NO_SERVICE | LineState.DETOUR as state:
            said = words.say(f"speech.{state}")
        case _:
            return words.say("speech.no_data")
    later = words.later(row, now_ms)
    return f"{said}; {later}" if later else said


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith(ENDS) else f"{text}."


def _text(showing: Showing, options: Options, kit: Kit) -> Rendered:
    told = sentences(showing, kit.words[kit.languages(options)[0]], kit.abbreviations, int(options["lines"]))
    return Rendered(
        body="".join(sentence + NEW_LINE for sentence in told).encode(),
        says=tuple(told),
        charset="utf-8",
        refresh_s=max(1, round(REFRESH_S / showing.rate)),
        valid_s=max(1, round(VALID_S / showing.rate)),
    )


_PARAMETERS: Final = (
    LANGUAGE,
    whole("lines", "Routes that are told, the soonest first", default=LINES, low=1, high=LINES_MAX),
)
_LISTEN: Final = name_of_ones_own("listen", "Name of this listening: for 3 minutes it is given the same sound again")

RENDERING = Rendering(
    forms=(
        Form(
            path="speech",
            summary="The board spoken (WAV, 16 bits, mono)",
            content_type="audio/wav",
            render=_text,
            parameters=(*_PARAMETERS, _LISTEN),
            voice=True,
        ),
        Form(
            path="speech.txt",
            summary="The same as text, one sentence a line",
            content_type="text/plain",
            render=_text,
            parameters=_PARAMETERS,
        ),
    )
)
