"""Text in the code pages of older Cyrillic panels. A letter that a page lacks becomes one that looks like it.

It never becomes "?"; and one character stays one character, so that padding holds.
"""

import functools
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePage:
    """One encoding. ``codec``: Python's name; ``charset``: IANA's, as HTTP says it."""

    codec: str
    charset: str


CODE_PAGES: Final[Mapping[str, CodePage]] = {
    "utf-8": CodePage(codec="utf-8", charset="utf-8"),
    "cp1251": CodePage(codec="cp1251", charset="windows-1251"),
    "cp866": CodePage(codec="cp866", charset="IBM866"),
    "kz1048": CodePage(codec="kz1048", charset="KZ-1048"),
    "iso8859-5": CodePage(codec="iso8859-5", charset="ISO-8859-5"),
}

# What looks most like it. Kazakh letters, as people write it with a Russian keyboard.
LOOK_ALIKES: Final[Mapping[str, str]] = {
    "ә": "а",
    "ғ": "г",
    "қ": "к",
    "ң": "н",
    "ө": "о",
    "ұ": "у",
    "ү": "у",
    "һ": "h",
    "і": "i",
    "ё": "е",
    "–": "-",
    "—": "-",
    "‑": "-",
    "−": "-",
    "·": "-",
    "•": "-",
    "…": ".",
    "№": "N",
    "«": '"',
    "»": '"',
    "“": '"',
    "”": '"',
    "„": '"',
    "’": "'",
    "‘": "'",
    "₸": "T",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
}
NOTHING_ALIKE: Final = "."
LINE_ENDS: Final = "\r\n"


def encoded(text: str, code_page: CodePage) -> bytes:
    """Return ``text`` in a code page, as many bytes as it has characters (UTF-8 excepted)."""
    return "".join(_fitting(letter, code_page.codec) for letter in text).encode(code_page.codec)


@functools.lru_cache(maxsize=2_048)
def _fitting(letter: str, codec: str) -> str:
    """Return the letter, or what stands for it in the code page."""
    if unicodedata.category(letter) == "Cc" and letter not in LINE_ENDS:
        return NOTHING_ALIKE  # a panel may obey it
    plain = unicodedata.normalize("NFD", letter)[:1]
    alike = LOOK_ALIKES.get(letter.lower(), "")
    for one in (letter, alike.upper() if letter.isupper() else alike, plain):
        if one and _has(one, codec):
            return one
    return NOTHING_ALIKE


def _has(letter: str, codec: str) -> bool:
    try:
        letter.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
