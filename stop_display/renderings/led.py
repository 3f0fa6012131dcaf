"""LED panels of lines of characters: pages as JSON, or plain lines in a Cyrillic code page. Pure.

A panel shows the pages in turn, each for its ``duration``, asks again every ``refresh_s``, goes on with the page after
the one it was at, and goes dark when ``expiration_s`` have passed since the last answer: a panel whose server died says
nothing rather than something old.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from stop_display.board import HEARD_MAX_MS
from stop_display.outcomes import LineState
from stop_display.renderings._base import LANGUAGE_OR_ROTATE, Form, Kit, Options, Rendered, Rendering, one_of, whole
from stop_display.renderings._code_pages import CODE_PAGES, encoded
from stop_display.wording import Coming, Row, Showing, Words, alerts_shown, headway_min, rows

PAGE_S: Final = 5.0
PAGE_MIN_S: Final = 2.0
EXPIRATION_S: Final = 180.0
EXPIRATION_MIN_S: Final = 5.0
REFRESH_S: Final = 20.0
DESTINATION_PART: Final = 3  # the part of a line that a destination has at least, else its row takes two lines
ALL: Final = "all"
TURN: Final = "turn"
NEW_LINE: Final = "\r\n"

_encoder: Final = msgspec.json.Encoder()


class LedPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the panel shows for ``duration`` seconds: all ``lines``; ``top`` and ``bottom`` are the first two."""

    top: str
    bottom: str
    duration: float
    lines: list[str]
    language: str


class LedPages(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/stops/{stop_id}/led``. What ends in ``_s`` is seconds of the wall clock."""

    stop: str
    width: int
    server_ms: int
    as_of_ms: int | None
    expires_ms: int  # by the server's clock; a panel counts ``expiration_s`` from when it got this
    expiration_s: float
    refresh_s: float
    pages: list[LedPage]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    lines: tuple[str, ...]
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """How many characters and lines, and which language, of one run of pages."""

    words: Words
    kit: Kit
    width: int
    lines: int

    def pages(self, showing: Showing) -> list[_Page]:
        alerts, filling = alerts_shown(showing.board, showing.now_ms)
        notices = [text for alert in alerts for text in self.words.alert(alert) if text]
        if not filling:
            shown = rows(showing)
            if not showing.heard and shown:
                notices.append(self.words.say("silent"))
            notices += [] if shown else [self.words.say("no_lines")]
            blocks = self._blocks(shown)
        else:
            blocks = []
        pages = [page for notice in notices for page in self._packed([[line] for line in self.wrapped(notice)])]
        return pages + self._packed(blocks) or self._packed([[""]])  # of an alert that fills the board and says nothing

    def wrapped(self, text: str) -> list[str]:
        """Return ``text`` in lines; a word that is longer than a line is broken with a hyphen."""
        found = [""]
        for word in text.split():
            rest = word
            if found[-1] and len(found[-1]) + 1 + len(rest) <= self.width:
                found[-1] += f" {rest}"
                continue
            while len(rest) > self.width:
                found.append(rest[: self.width - 1] + "-")
                rest = rest[self.width - 1 :]
            found.append(rest)
        return [line for line in found if line]

    def _packed(self, blocks: Sequence[Sequence[str]]) -> list[_Page]:
        """Return blocks of lines on pages; a block is only divided if it is longer than a page."""
        found: list[list[str]] = []
        for block in blocks:
            if not found or len(found[-1]) + len(block) > self.lines:
                found.append([])
            for line in block:
                if len(found[-1]) == self.lines:
                    found.append([])
                found[-1].append(line)
        return [self._page(lines) for lines in found]

    def _page(self, lines: Sequence[str]) -> _Page:
        blank = [""] * (self.lines - len(lines))
        return _Page(lines=(*lines, *blank), language=self.words.language)

    def _blocks(self, shown: Sequence[Row]) -> list[list[str]]:
        """Return the lines of each row. Rows to one destination name it alike, as short as the narrowest needs.

        Words about a line that has no bus shorten no destination: they take a line of their own instead.
        """
        said = [(row, when, timed) for row in shown for when, timed in self._whens(row)]
        room: dict[str, int] = {}
        for row, when, timed in sorted(said, key=lambda one: not one[2]):
            destination = self.words.name(row.line.destination)
            least = min(self.width // DESTINATION_PART, len(destination))
            beside = self.width - len(row.line.route) - len(when) - 2
            if timed:
                room[destination] = min(room.get(destination, self.width), max(beside, least))
            elif beside >= least:
                room.setdefault(destination, beside)
            else:
                room.setdefault(destination, self.width - len(row.line.route) - 1)
        return [self._block(row, when, room) for row, when, _ in said]

    def _block(self, row: Row, when: str, room: Mapping[str, int]) -> list[str]:
        destination = self.words.name(row.line.destination)
        route = row.line.route[: self.width]
        short = self.kit.abbreviations.fit(destination, self.words.language, max(0, room[destination]))
        head = f"{route} {short}".rstrip()[: self.width]
        gap = self.width - len(head) - len(when)
        if gap >= 1:
            return [head + " " * gap + when]
        return [head, *(line.rjust(self.width) for line in self.wrapped(when))]

    def _whens(self, row: Row) -> list[tuple[str, bool]]:
        """Return what stands at the right of a line, and whether it is a time; once more for a cancelled bus."""
        found = []
        if row.coming:
            found.append((self._figure(row.coming[0]), True))
        elif row.state is not LineState.CANCELLED:
            found.append((self._quiet(row), False))
        if row.cancelled is not None:
            found.append((self.words.say("led.cancelled", time=self.words.clock(row.cancelled.ms)), False))
        return found

    def _figure(self, coming: Coming) -> str:
        return self.words.say("led.at_stop") if coming.at_stop and coming.due else self.words.figure(coming)

    def _quiet(self, row: Row) -> str:
        match row.state:
            case LineState.HEADWAY if row.headway_s is not None:
                low, high = headway_min(row.headway_s)
                minutes = str(low) if low == high else f"{low}–{high}"
                return self.words.say("led.headway_planned" if row.headway_planned else "led.headway", minutes=minutes)
            case LineState.BEFORE_FIRST_TRIP if row.first_ms is not None:
                return self.words.say("led.first", time=self.words.clock(row.first_ms))
            case LineState.SERVICE_ENDED:
                return self.words.say("led.ended")
            case LineState.NO_SERVICE | LineState.DETOUR as state:
                return self.words.say(f"led.{state}")
            case _:
                return self.words.say("led.no_data")


def _pages(showing: Showing, options: Options, kit: Kit) -> list[_Page]:
    width, lines = int(options["width"]), int(options["lines"])
    return [
        page
        for language in kit.languages(options)
        for page in _Panel(words=kit.words[language], kit=kit, width=width, lines=lines).pages(showing)
    ]


def _expiration_s(showing: Showing) -> float:
    """Return for how long the pages may be shown: what is live no longer than it may be called so."""
    if not any(coming.live for row in rows(showing) for coming in row.coming):
        return EXPIRATION_S
    left_s = (HEARD_MAX_MS - showing.age_ms) / 1000 / showing.rate
    return max(EXPIRATION_MIN_S, min(EXPIRATION_S, left_s))


def _duration_s(count: int, showing: Showing) -> float:
    """Return for how long a page is shown: all of them once before what they say is too old."""
    cycle_max_s = HEARD_MAX_MS / 1000 / showing.rate
    return round(max(PAGE_MIN_S, min(PAGE_S, cycle_max_s / max(1, count))), 1)


def _refresh_s(expiration_s: float) -> float:
    return round(min(REFRESH_S, max(2.0, expiration_s / 3)), 1)


def _json(showing: Showing, options: Options, kit: Kit) -> Rendered:
    pages, expiration_s = _pages(showing, options, kit), _expiration_s(showing)
    duration_s, refresh_s = _duration_s(len(pages), showing), _refresh_s(expiration_s)
    answer = LedPages(
        stop=showing.board.stop,
        width=int(options["width"]),
        server_ms=showing.now_ms,
        as_of_ms=showing.as_of_ms,
        expires_ms=showing.now_ms + round(expiration_s * 1000 * showing.rate),
        expiration_s=round(expiration_s, 1),
        refresh_s=refresh_s,
        pages=[
            LedPage(
                top=page.lines[0],
                bottom=page.lines[1] if len(page.lines) > 1 else "",
                duration=duration_s,
                lines=list(page.lines),
                language=page.language,
            )
            for page in pages
        ],
    )
    return Rendered(
        body=_encoder.encode(answer),
        says=tuple(line for page in pages for line in page.lines if line),
        refresh_s=round(refresh_s),
        valid_s=round(expiration_s),
    )


def _text(showing: Showing, options: Options, kit: Kit) -> Rendered:
    pages, expiration_s = _pages(showing, options, kit), _expiration_s(showing)
    shown = list(_turned(pages, showing)) if options["page"] == TURN else pages
    width, code_page = int(options["width"]), CODE_PAGES[str(options["encoding"])]
    lines = [line.ljust(width) for page in shown for line in page.lines]
    return Rendered(
        body=encoded("".join(line + NEW_LINE for line in lines), code_page),
        says=tuple(line.strip() for line in lines if line.strip()),
        charset=code_page.charset,
        refresh_s=round(_duration_s(len(pages), showing) if options["page"] == TURN else _refresh_s(expiration_s)),
        valid_s=round(expiration_s),
    )


def _turned(pages: Sequence[_Page], showing: Showing) -> Iterable[_Page]:
    """Give the page whose turn it is by the server's clock, for panels that cannot turn pages."""
    wall_s = showing.now_ms / 1000 / showing.rate
    yield pages[int(wall_s // _duration_s(len(pages), showing)) % len(pages)]


_PARAMETERS: Final = (
    whole("width", "Characters of a line", default=24, low=16, high=40),
    whole("lines", "Lines of the panel", default=2, low=1, high=8),
    LANGUAGE_OR_ROTATE,
)

RENDERING = Rendering(
    forms=(
        Form(
            path="led",
            summary="Pages for an LED panel, to be shown in turn until they expire",
            content_type="application/json",
            render=_json,
            parameters=_PARAMETERS,
            answer=LedPages,
        ),
        Form(
            path="led.txt",
            summary="The same as lines of text, each padded to the width and ended by CR LF",
            content_type="text/plain",
            render=_text,
            parameters=(
                *_PARAMETERS,
                one_of("encoding", "Code page", *CODE_PAGES),
                one_of("page", "All pages, or the one whose turn it is", ALL, TURN),
            ),
        ),
    )
)
