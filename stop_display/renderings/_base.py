"""What a rendering is: one or more forms, each a pure function from what a board shows to bytes.

A form is served at ``/api/stops/{stop_id}/{path}``; its parameters are read and refused here, in one way for all. What
it shows is told beside the bytes as text (``says``), so that one suite of rules holds for pictures, pages and speech.
"""

import enum
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from commons.plugins import discover
from commons.texts import LANGUAGES, Language
from stop_display.abbreviations import Abbreviations
from stop_display.renderings._fonts import Fonts
from stop_display.wording import Showing, Words

Options = Mapping[str, int | str]
DIGITS_MAX: Final = 6
NAME_MAX: Final = 64
ROTATE: Final = "rotate"


class Unrendered(enum.StrEnum):
    """Why a rendering was not given. Codes of problems and labels of metrics."""

    UNKNOWN_STOP = enum.auto()
    BAD_PARAMETER = enum.auto()
    NO_VOICE = enum.auto()  # the program that speaks is not installed
    NO_FONT = enum.auto()
    BUSY = enum.auto()  # more is asked for than can be made now
    FAILED = enum.auto()
    BAD_RANGE = enum.auto()  # bytes are asked for that there are none of


class ParameterError(ValueError):
    """A parameter that is not what its rule says."""

    def __init__(self, name: str, value: str, rule: str) -> None:
        super().__init__(f"{name}: {value!r} is not {rule}")
        self.name = name
        self.value = value
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a form. ``read`` gives None for what is not allowed; ``rule`` completes "must be …"."""

    name: str
    meaning: str
    default: int | str
    rule: str
    read: Callable[[str], int | str | None]


def whole(name: str, meaning: str, *, default: int, low: int, high: int) -> Parameter:
    """Return a parameter that is a whole number from ``low`` to ``high``."""

    def read(text: str) -> int | None:
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX else -1
        return number if low <= number <= high else None

    rule = f"a whole number from {low} to {high}"
    return Parameter(name=name, meaning=f"{meaning}, {low} to {high}; {default}", default=default, rule=rule, read=read)


def one_of(name: str, meaning: str, *choices: str) -> Parameter:
    """Return a parameter that is one of ``choices``, the first if it is not given."""

    def read(text: str) -> str | None:
        return text if text in choices else None

    meaning = f"{meaning}: {', '.join(f'`{choice}`' for choice in choices)}; the first if not given"
    return Parameter(name=name, meaning=meaning, default=choices[0], rule=f"one of {', '.join(choices)}", read=read)


def name_of_ones_own(name: str, meaning: str) -> Parameter:
    """Return a parameter that whoever asks makes up, "" if it is not given."""
    rule = f"1 to {NAME_MAX} letters of A to Z, digits, - and _"

    def read(text: str) -> str | None:
        return text if re.fullmatch(rf"[A-Za-z0-9_-]{{1,{NAME_MAX}}}", text) else None

    return Parameter(name=name, meaning=f"{meaning}; {rule}", default="", rule=rule, read=read)


LANGUAGE: Final = one_of("lang", "Language", *LANGUAGES)
LANGUAGE_OR_ROTATE: Final = one_of("lang", "Language, or all in turn", *LANGUAGES, ROTATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What renderings work with. ``link``: address of the stop's page, "" if not known; ``fonts``: None if absent."""

    words: Mapping[Language, Words]
    abbreviations: Abbreviations
    fonts: Fonts | None = None
    link: str = ""

    def languages(self, options: Options) -> Sequence[Language]:
        """Return the languages that are asked for, in the order in which they are shown."""
        return [one for one in LANGUAGES if options["lang"] in {one, ROTATE}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a form gives.

    ``says``: all that people see or hear, in order. ``same``: equal for what means the same, though made a minute
    later; None if only equal bytes are the same. ``refresh_s``, ``valid_s``: wall seconds after which to ask again, and
    after which it must not be shown any more.
    """

    body: bytes
    says: tuple[str, ...]
    refresh_s: int
    valid_s: int
    same: str | None = None
    charset: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One thing that can be asked for. ``slow``: made beside the loop; ``voice``: spoken before it is sent."""

    path: str
    summary: str
    content_type: str
    render: Callable[[Showing, Options, Kit], Rendered]
    parameters: tuple[Parameter, ...] = (LANGUAGE,)
    answer: Any = None  # a type that msgspec knows, for the description of the API
    slow: bool = False
    voice: bool = False

    def options(self, query: Mapping[str, str]) -> Options:
        """Return the form's parameters as ``query`` has them; what it does not know is left alone.

        Raises:
            ParameterError: if one of them is not allowed.
        """
        found: dict[str, int | str] = {}
        for parameter in self.parameters:
            text = query.get(parameter.name)
            value = parameter.default if text is None else parameter.read(text)
            if value is None:
                raise ParameterError(parameter.name, text or "", parameter.rule)
            found[parameter.name] = value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """A way to show a board, in its forms."""

    forms: tuple[Form, ...]


@functools.cache
def renderings() -> Mapping[str, Rendering]:
    """Return all renderings by name."""
    return discover("stop_display.renderings", "RENDERING", Rendering)
