"""Values of the fleet of boards: what a board is told to be, what it reports of itself, what became of a key. Pure.

A *panel* is a registered board: it has a name, a key, and its configuration from the server. Boards without a key
work as before and are no part of the fleet. Times ending in ``_ms`` are UTC epoch milliseconds of the wall unless said
otherwise; local times of day are minutes after midnight.
"""

import enum
import re
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

STOPS_SHOWN_MAX: Final = 4  # on one board
NAME_FORM: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
HOURS_FORM: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
DAY_MINUTES: Final = 24 * 60
VOLUME_MAX: Final = 100
NOTE_MAX: Final = 200

Layout = Literal["auto", "columns", "stacked"]
PanelLanguage = Literal["kk", "ru", "en", "rotate"]
Theme = Literal["dark", "light"]
Short = Annotated[str, Meta(max_length=80)]


class PanelError(ValueError):
    """A panel cannot be as asked; the message names field, value and rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelConfig:
    """What a panel is to be. ``hours``: ``05:30-00:30``, "" for always; outside of them the screen is black."""

    stops: tuple[str, ...]
    layout: str = "auto"
    language: str = "rotate"
    volume: int = 0  # of speech, per cent
    hours: str = ""
    theme: str = "dark"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A registered board. ``reload`` counts how often it was told to load its page anew."""

    name: str
    config: PanelConfig
    key_digest: bytes = field(repr=False)
    reload: int = 0
    revoked: bool = False


class KeyProblem(enum.StrEnum):
    """Why a board with a key is turned away. Metric label."""

    UNKNOWN_KEY = enum.auto()  # forged, mistyped, or of another city
    REVOKED_KEY = enum.auto()
    TOO_MANY_WRONG = enum.auto()  # wrong, as so many of this address lately that it was hardly looked at


class Configuration(msgspec.Struct, frozen=True, kw_only=True, tag="configuration", tag_field="type"):
    """What a panel is told: by socket when it changes and after ``subscribe`` with a key, and in answers by HTTP.

    ``hours``: minutes after midnight, local, from and to; to is at most a day later than from. None: always.
    """

    server_ms: int  # city time
    name: str
    address: str  # of its page: what it shows, and how
    volume: int
    hours: tuple[int, int] | None
    reload: int
    version: str  # of the page as the server has it
    report_every_s: float


class PaintedRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row as it is in the page: text of badge and figure, and the state under which it is drawn."""

    stop: Short
    route: Short
    figure: Short
    state: Annotated[str, Meta(max_length=40)] = ""


class Signal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the browser says of its connection (Network Information API)."""

    kind: Annotated[str, Meta(max_length=20)] = ""  # "4g", "3g"
    downlink_mbps: float | None = None
    rtt_ms: float | None = None


class PanelHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a panel reports of itself. What its browser cannot say is None."""

    version: Annotated[str, Meta(max_length=40)] = ""
    uptime_s: Annotated[float, Meta(ge=0)]
    content_age_s: Annotated[float, Meta(ge=0)] | None  # since the server was last heard; None: never
    stops: Annotated[list[Short], Meta(max_length=20)]
    clock: Annotated[str, Meta(max_length=20)] = ""  # as painted, "14:05"
    rows: Annotated[list[PaintedRow], Meta(max_length=200)] = []
    frames: Annotated[int, Meta(ge=0)] = 0  # contents painted since the page was loaded
    errors: Annotated[int, Meta(ge=0)] = 0
    last_error: Annotated[str, Meta(max_length=200)] = ""
    heap_bytes: Annotated[int, Meta(ge=0)] | None = None
    battery: Annotated[float, Meta(ge=0, le=1)] | None = None
    charging: bool | None = None
    signal: Signal | None = None
    off: bool = False  # black, because it is outside its hours


class Remark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a panel is judged as it is, or what is worth knowing of it. ``code``: ``judgement.RemarkCode``."""

    code: str
    detail: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report as it is kept: when it came, and how it differs from what the server would have shown."""

    at_ms: int
    health: PanelHealth
    differs: list[Remark] = []
    differed_before: bool = False  # the report before did too: one alone may be a change under way


def checked(name: str, config: PanelConfig, known_stops: frozenset[str] | None = None) -> PanelConfig:
    """Return ``config`` if a panel can be so. ``known_stops``: of the city's network, None if that is not at hand.

    Raises:
        PanelError: at the first field that breaks its rule.
    """
    if not NAME_FORM.fullmatch(name):
        raise PanelError(f"name: {name!r} must be 1 to 40 of a-z, 0-9, '.', '_', '-', the first a letter or digit")
    if not 1 <= len(config.stops) <= STOPS_SHOWN_MAX or len(set(config.stops)) < len(config.stops):
        raise PanelError(f"stops: {','.join(config.stops)!r} must be 1 to {STOPS_SHOWN_MAX} stop_ids, each once")
    for stop in config.stops:
        if known_stops is not None and stop not in known_stops:
            raise PanelError(f"stops: {stop!r} is no stop_id of the city's feed")
    for name_of, value, allowed in (
        ("layout", config.layout, get_args(Layout)),
        ("language", config.language, get_args(PanelLanguage)),
        ("theme", config.theme, get_args(Theme)),
    ):
        if value not in allowed:
            raise PanelError(f"{name_of}: {value!r} must be one of {', '.join(allowed)}")
    if not 0 <= config.volume <= VOLUME_MAX:
        raise PanelError(f"volume: {config.volume} must be a number from 0 to {VOLUME_MAX}")
    if len(config.note) > NOTE_MAX or not config.note.isprintable():
        raise PanelError(f"note: must be at most {NOTE_MAX} printable characters")
    hours_of(config.hours)
    return config


def hours_of(text: str) -> tuple[int, int] | None:
    """Return ``05:30-00:30`` as minutes after midnight (330, 1470); None for "", which is always.

    Raises:
        PanelError: if it is neither.
    """
    if not text:
        return None
    match = HOURS_FORM.fullmatch(text)
    opens, closes = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (0, 0)
    if match is None or closes > DAY_MINUTES or opens == closes % DAY_MINUTES:
        raise PanelError(f"hours: {text!r} must be HH:MM-HH:MM, local time, two different times; leave out for always")
    return opens, closes if closes > opens else closes + DAY_MINUTES


def is_open(hours: tuple[int, int] | None, minute: int) -> bool:
    """Return whether a panel is on at ``minute`` of the local day."""
    if hours is None:
        return True
    opens, closes = hours
    return opens <= minute < closes or minute + DAY_MINUTES < closes
