"""E-ink: a picture of one bit a pixel, made to stand for minutes. Pure.

It says until when it is true, so a panel that died cannot lie for long; and buses have a time of day, never "in 6
minutes", because such a figure is wrong as soon as it is drawn. The picture has a weak ETag of what it says: while that
is the same a panel gets 304 and need not flash, but at the end of each slot it is drawn anew to show that it lives.
"""

import bisect
import functools
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stop_display.model import BoardAlert
from stop_display.outcomes import LineState
from stop_display.renderings._base import LANGUAGE, Form, Kit, Options, Rendered, Rendering, whole
from stop_display.renderings._canvas import BOLD, REGULAR, WHITE, Canvas, largest
from stop_display.wording import FAR, MINUTE_MS, Coming, Row, Showing, Words, alerts_shown, rows

SLOT_MS: Final = 5 * MINUTE_MS  # a picture is drawn anew at least so often
QUIET_SLOT_MS: Final = 30 * MINUTE_MS  # and where no bus comes
GRACE_MS: Final = 2 * MINUTE_MS  # for a panel to fetch the next one
LIVE_REFRESH_MS: Final = MINUTE_MS
BEFORE_FIRST_MS: Final = 20 * MINUTE_MS  # from then on the first bus may be followed
LONG_SIDE: Final = 800  # sizes below are for a panel of 800 × 480
SHORT_SIDE: Final = 480
MARGIN: Final = 14
HEADER: Final = 98
ROW_MAX: Final = 76
ROW_MIN: Final = 28
TWO_LINES_FROM: Final = 54
ALERTS_WITH_TEXT: Final = 1
ALERTS_MAX: Final = 4
TEXT_PART: Final = 0.72  # of the size of its header
LEADING: Final = 1.35
TEXT_LINES_MAX: Final = 3  # of an alert beside buses
BAND_LINES_MAX: Final = 2  # so that four alerts leave room for buses
NOTES_AFTER: Final = 2
STRIKE_PART: Final = 0.1  # of the height of figures
BETWEEN: Final = " · "
FIGURE: Final = 34  # size of the time in a row of two lines
BADGE: Final = 78
GAP: Final = 10
NOTES_PART: Final = 0.55  # of a narrow row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    """When a picture is made, until when it is true, and after how long to ask for the next."""

    slot: int
    until_ms: int
    refresh_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """One line of an alert."""

    text: str
    size: int
    weight: int

    @property
    def height(self) -> int:
        """Pixels from this line to the next."""
        return round(self.size * LEADING)


@dataclass(slots=True, kw_only=True)
class _Drawing:
    """One picture on its way from top to bottom; ``y`` is where there is room."""

    canvas: Canvas
    words: Words
    kit: Kit
    showing: Showing
    unit: float
    y: float = 0.0

    def px(self, size: float) -> int:
        return max(1, round(size * self.unit))

    @property
    def left(self) -> int:
        return self.px(MARGIN)

    @property
    def right(self) -> int:
        return self.canvas.width - self.px(MARGIN)

    def name(self, text: str, width: float, size: int, weight: int) -> str:
        """Return a name as long as fits in ``width`` pixels."""
        measure = functools.partial(self.canvas.length, size=size, weight=weight)
        return text if measure(text) <= width else self.kit.abbreviations.fit(text, self.words.language, width, measure)

    def largest(self, sizes: Sequence[int], text: str, width: float, weight: int = REGULAR) -> int:
        """Return the first of ``sizes`` in which ``text`` is no wider than ``width`` pixels, else the last."""
        return largest([self.px(size) for size in sizes], lambda one: self.canvas.length(text, one, weight) <= width)

    def joined(self, notes: Sequence[str], width: float, size: int) -> str:
        """Return as many notes as fit in a line: whole ones, because half a time of day is a wrong one."""
        told = ""
        for note in notes:
            longer = f"{told}{BETWEEN}{note}" if told else self.canvas.fitted(note, width, size)
            told = longer if self.canvas.length(longer, size) <= width else told
        return told

    def header(self, stamp: str) -> None:
        canvas, board = self.canvas, self.showing.board
        side = canvas.code(self.right, self.px(4), self.px(HEADER - 8), self.kit.link) if self.kit.link else 0.0
        width = self.right - self.left - side - self.px(10)
        title = self.words.name(board.name) or board.stop
        size = self.largest((40, 34, 28, 24), title, width, BOLD)
        canvas.write(self.left, self.px(46), self.name(title, width, size, BOLD), size, BOLD)
        small = self.largest((21, 18, 16, 14), stamp, width, BOLD)
        x = canvas.write(self.left, self.px(80), stamp, small, BOLD)
        code = f" · {self.words.say('code', code=board.code)}" if board.code else ""
        if x + canvas.length(code, small) <= self.left + width:
            canvas.write(x, self.px(80), code, small)
        self.y = self.px(HEADER)
        canvas.line(0, self.y, canvas.width, self.px(3))
        self.y += self.px(3)

    def band(self, text: str) -> None:
        """Write white on black: something is not as always."""
        size, width = self.px(21), self.right - self.left
        lines = self.canvas.wrapped(text, width, size, BOLD)
        for line in self.canvas.first_lines(lines, BAND_LINES_MAX, width, size, BOLD):
            self.canvas.fill(0, self.y, self.canvas.width, self.y + self.px(32))
            self.canvas.write(self.left, self.y + self.px(23), line, size, BOLD, ink=WHITE)
            self.y += self.px(32)

    def alerts(self, alerts: Sequence[BoardAlert]) -> None:
        """Write headers, and the text where there is one alert only."""
        for alert in alerts[:ALERTS_MAX]:
            header, text = self.words.alert(alert)
            self.band(header or text)
            if header and text and len(alerts) <= ALERTS_WITH_TEXT:
                size = self.px(20)
                width = self.right - self.left
                lines = self.canvas.wrapped(text, width, size)
                for line in self.canvas.first_lines(lines, TEXT_LINES_MAX, width, size):
                    self.y += self.px(27)
                    self.canvas.write(self.left, self.y - self.px(5), line, size)
                self.y += self.px(4)
                self.canvas.line(0, self.y, self.canvas.width, self.px(2))

    def take_over(self, alerts: Sequence[BoardAlert]) -> None:
        """Fill the picture with alerts, as large as they fit; what does not even fit small ends with "…"."""
        room = self.canvas.height - self.y - self.px(MARGIN)
        sizes = [self.px(size) for size in range(64, 17, -4)]
        size = largest(sizes, lambda one: sum(line.height for line in self._told(alerts, one)) <= room)
        lines = self._told(alerts, size)
        fitting = bisect.bisect_right(list(itertools.accumulate(line.height for line in lines)), room)
        for place, line in enumerate(lines[:fitting], start=1):
            text = line.text
            if place == fitting < len(lines):
                width = self.right - self.left
                text = self.canvas.first_lines([text, ""], 1, width, line.size, line.weight)[0]
            self.y += line.height
            self.canvas.write(self.left, self.y - line.size * 0.3, text, line.size, line.weight)

    def _told(self, alerts: Sequence[BoardAlert], size: int) -> list[_Text]:
        """Return alerts in lines: headers in ``size``, texts smaller."""
        styles = ((size, BOLD), (round(size * TEXT_PART), REGULAR))
        return [
            _Text(text=line, size=one, weight=weight)
            for alert in alerts
            for (one, weight), text in zip(styles, self.words.alert(alert), strict=True)
            for line in self.canvas.wrapped(text, self.right - self.left, one, weight)
        ]

    def table(self, shown: Sequence[Row]) -> None:
        """Write the rows; those that have no room are named in the last line."""
        room = self.canvas.height - self.y - self.px(4)
        fitting = max(1, int(room // self.px(ROW_MIN)))
        rest = shown[fitting - 1 :] if len(shown) > fitting else []
        first = shown[: len(shown) - len(rest)]
        height = min(self.px(ROW_MAX), int(room // max(1, len(first) + bool(rest))))
        rooms = self._rooms(first, height)
        for row in first:
            destination = self.words.name(row.line.destination)
            if height >= self.px(TWO_LINES_FROM):
                self._row(row, height, destination, rooms[destination])
            else:
                self._narrow_row(row, height, destination, rooms[destination])
            self.y += height
            self.canvas.line(self.left, self.y, self.right, 1)
        if rest:
            routes = ", ".join(dict.fromkeys(row.line.route for row in rest))
            size = self.px(20)
            more = self.words.say("picture.more", n=len(rest), routes=routes)
            told = self.canvas.fitted(more, self.right - self.left, size, BOLD)
            self.canvas.write(self.left, self.y + height * 0.75, told, size, BOLD)

    def _rooms(self, shown: Sequence[Row], height: int) -> Mapping[str, float]:
        """Return the width for each destination: it is called alike in all rows, as short as the narrowest needs."""
        found: dict[str, float] = {}
        for row in shown:
            destination = self.words.name(row.line.destination)
            if height >= self.px(TWO_LINES_FROM):
                right = self._figure_left(row, self.px(FIGURE))
            else:
                size, small = self._narrow_sizes(height)
                right = self._notes_right(row, size) - self.canvas.length(self._narrow_notes(row, small), small)
            room = right - self.beside_badge - self.px(GAP)
            found[destination] = min(found.get(destination, room), room)
        return found

    def _row(self, row: Row, height: int, destination: str, width: float) -> None:
        """Write a row of two lines: what comes when, and below it what that rests on and what follows."""
        first, second = self.y + height * 0.5, self.y + height * 0.87
        self._badge(row, self.y + height * 0.14, height * 0.72, self.px(FIGURE))
        self._figure(row, first, self.px(FIGURE))
        x = self.beside_badge
        size = self.largest((29, 25, 22), destination, width, BOLD)
        self.canvas.write(x, first, self.name(destination, width, size, BOLD), size, BOLD)
        notes = self._notes(row)
        small = self.largest((20, 18, 16), BETWEEN.join(notes), self.right - x)
        self.canvas.write(x, second, self.joined(notes, self.right - x, small), small)

    def _narrow_row(self, row: Row, height: int, destination: str, width: float) -> None:
        """Write a row of one line."""
        size, small = self._narrow_sizes(height)
        foot = self.y + height * 0.76
        self._badge(row, self.y + height * 0.1, height * 0.8, size)
        self._figure(row, foot, size)
        self.canvas.write_left_of(self._notes_right(row, size), foot, self._narrow_notes(row, small), small)
        self.canvas.write(self.beside_badge, foot, self.name(destination, width, size, REGULAR), size)

    def _narrow_sizes(self, height: int) -> tuple[int, int]:
        """Return the sizes of a row of one line: of its figure, and of its notes."""
        return min(self.px(26), round(height * 0.8)), min(self.px(18), round(height * 0.58))

    def _narrow_notes(self, row: Row, size: int) -> str:
        return self.joined(self._notes(row), (self.right - self.beside_badge) * NOTES_PART, size)

    def _notes_right(self, row: Row, size: int) -> float:
        """Return where the notes of a row of one line end."""
        left = self._figure_left(row, size)
        return left - self.px(GAP) * (left < self.right)

    @property
    def beside_badge(self) -> int:
        """Where destinations begin."""
        return self.left + self.px(BADGE) + self.px(12)

    def _badge(self, row: Row, top: float, height: float, size: int) -> None:
        """Write the route, white on black."""
        width = self.px(BADGE)
        text = self.canvas.fitted(row.line.route, width - self.px(8), size, BOLD)
        length = self.canvas.length(text, size, BOLD)
        self.canvas.fill(self.left, top, self.left + width, top + height, radius=self.px(6))
        foot = top + height / 2 + size * 0.36
        self.canvas.write(self.left + (width - length) / 2, foot, text, size, BOLD, ink=WHITE)

    def _figure(self, row: Row, foot: float, size: int) -> None:
        """Write when the first bus comes; struck out where it does not."""
        first = row.coming[0] if row.coming else row.cancelled
        if first is None:
            return
        x = self.canvas.write_left_of(self.right, foot, self._time(first), size, BOLD)
        if not row.coming:
            self.canvas.line(x - self.px(3), foot - size * 0.34, self.right + self.px(2), round(size * STRIKE_PART))

    def _figure_left(self, row: Row, size: int) -> float:
        """Return where the figure of a row begins."""
        first = row.coming[0] if row.coming else row.cancelled
        return self.right - (self.canvas.length(self._time(first), size, BOLD) if first is not None else 0)

    def _time(self, coming: Coming) -> str:
        ms = max(coming.ms, self.showing.now_ms) if coming.at_stop else coming.ms
        return ("~" if coming.unsure else "") + self.words.clock(ms)

    def _notes(self, row: Row) -> list[str]:
        """Return in words what the figure rests on, what follows and what does not come."""
        if not row.coming and row.cancelled is not None:
            return [self.words.say("cancelled")]
        if not row.coming:
            notes = [self.words.quiet(row), self._planned(row), self.words.later(row, self.showing.now_ms)]
            return [note for note in notes if note]
        first, *others = row.coming
        # That a bus stands here would be wrong as soon as it leaves.
        notes = [self.words.say("live") if first.at_stop and first.due else self.words.kind(first)]
        if row.cancelled is not None:
            notes.append(self.words.say("picture.cancelled", time=self.words.clock(row.cancelled.ms)))
        followed = [self._time(one) for one in others[:NOTES_AFTER] if one.live or not first.live]
        planned = [self._time(one) for one in others[:NOTES_AFTER] if first.live and not one.live]
        notes += [self.words.say("then_at", list=", ".join(followed))] if followed else []
        notes += [self.words.say("then_planned", list=", ".join(planned))] if planned else []
        if not others and row.headway_s is not None:
            notes.append(" ".join(part for part in (self._planned(row), self.words.headway(row.headway_s)) if part))
        return notes

    def _planned(self, row: Row) -> str:
        """Return that a headway is only the plan's."""
        shown = row.state is LineState.HEADWAY or row.coming
        return self.words.say("timetable") if row.headway_planned and row.headway_s is not None and shown else ""


def _draw(showing: Showing, options: Options, kit: Kit) -> Rendered:
    if kit.fonts is None:
        raise FileNotFoundError("the font of the pages is not installed")
    width, height = int(options["width"]), int(options["height"])
    words = kit.words[kit.languages(options)[0]]
    shown, times = rows(showing), _times(showing)
    unit = min(max(width, height) / LONG_SIDE, min(width, height) / SHORT_SIDE)
    drawing = _Drawing(canvas=Canvas(width, height, kit.fonts), words=words, kit=kit, showing=showing, unit=unit)
    stamp = words.say("picture.as_of", time=words.clock(showing.now_ms), until=words.clock(times.until_ms))
    drawing.header(stamp)
    alerts, filling = alerts_shown(showing.board, showing.now_ms)
    if filling:
        drawing.take_over(alerts)
    else:
        drawing.alerts(alerts)
        if shown and not showing.heard:
            drawing.band(f"{words.say('silent')} {words.say('from_timetable')}")
        if shown:
            drawing.table(shown)
        else:
            drawing.band(words.say("no_lines"))
    said = tuple(drawing.canvas.said)
    same = "\n".join((*(text for text in said if text != stamp), str(times.slot), f"{width}×{height}", kit.link))
    return Rendered(
        body=drawing.canvas.png(),
        says=said,
        same=hashlib.sha256(same.encode()).hexdigest()[:20],
        refresh_s=max(1, round(times.refresh_ms / 1000 / showing.rate)),
        valid_s=max(1, round((times.until_ms - showing.now_ms) / 1000 / showing.rate)),
    )


def _times(showing: Showing) -> _Times:
    shown = rows(showing)
    coming = [one for row in shown for one in (*row.coming, *((row.cancelled,) if row.cancelled else ()))]
    firsts = [row.first_ms for row in shown if row.first_ms is not None]
    now_ms = showing.now_ms
    soonest_ms = min([one.ms for one in coming] + [first - BEFORE_FIRST_MS for first in firsts], default=FAR)
    ends = [alert.until_ms for alert in showing.board.alerts if alert.until_ms is not None]
    headways = any(row.state is LineState.HEADWAY for row in shown)
    slot_ms = SLOT_MS if coming or headways or not showing.heard else QUIET_SLOT_MS
    end_ms = (now_ms // slot_ms + 1) * slot_ms
    if any(one.live for one in coming):
        next_ms = now_ms + LIVE_REFRESH_MS
    else:
        next_ms = min([end_ms, *(at_ms for at_ms in (soonest_ms, *ends) if at_ms > now_ms)])
    return _Times(
        slot=now_ms // slot_ms,
        until_ms=end_ms + GRACE_MS,
        refresh_ms=max(LIVE_REFRESH_MS, min(next_ms, end_ms + LIVE_REFRESH_MS) - now_ms),
    )


_SIZES: Final[Mapping[str, tuple[int, int, int]]] = {"width": (800, 400, 3_200), "height": (480, 400, 2_400)}

RENDERING = Rendering(
    forms=(
        Form(
            path="eink.png",
            summary="A picture of one bit a pixel for an e-ink panel, with times of day and until when it is true",
            content_type="image/png",
            render=_draw,
            parameters=(
                *(
                    whole(name, f"Pixels of {name}", default=default, low=low, high=high)
                    for name, (default, low, high) in _SIZES.items()
                ),
                LANGUAGE,
            ),
            slow=True,
        ),
    )
)
