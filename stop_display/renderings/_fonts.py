"""The font of our pages for pictures: Golos Text, which comes in parts, each with some of the letters.

A letter is taken from the first part that has it, so ``қазір`` is drawn from two files and looks as one word.
"""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fontTools.ttLib import TTFont
from PIL import ImageFont

PARTS: Final = ("latin", "cyrillic", "cyrillic-ext", "latin-ext")
REGULAR: Final = 400
BOLD: Final = 700
SIZES_HELD: Final = 128
TEXTS_HELD: Final = 8_192
FOLDER: Final = Path(__file__).parents[2] / "vendor" / "node_modules" / "@fontsource" / "golos-text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Letters that are in one part of the font, and where they begin, pixels from the beginning of the text."""

    text: str
    font: ImageFont.FreeTypeFont
    x: float


class Fonts:
    """Regular and bold in any size.

    Raises:
        FileNotFoundError: if a part of the font is not there.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            weight: [folder / "files" / f"golos-text-{part}-{weight}-normal.woff" for part in PARTS]
            for weight in (REGULAR, BOLD)
        }
        self._letters = [_letters(file) for file in self._files[REGULAR]]
        for file in self._files[BOLD]:
            if not file.is_file():
                raise FileNotFoundError(file)
        self._part_of = functools.lru_cache(maxsize=1_024)(self._find_part)
        self._sized = functools.lru_cache(maxsize=SIZES_HELD)(self._open)
        self._runs = functools.lru_cache(maxsize=TEXTS_HELD)(self._measured)  # names and times come again and again

    def runs(self, text: str, size: int, weight: int = REGULAR) -> tuple[tuple[Run, ...], float]:
        """Return ``text`` in runs of one part each, and its width in pixels."""
        return self._runs(text, size, weight)

    def _measured(self, text: str, size: int, weight: int) -> tuple[tuple[Run, ...], float]:
        found: list[Run] = []
        x = 0.0
        for part, letters in itertools.groupby(text, key=self._part_of):
            font = self._sized(part, size, weight)
            run = "".join(letters)
            found.append(Run(text=run, font=font, x=x))
            x += font.getlength(run)
        return tuple(found), x

    def ascent(self, size: int, weight: int = REGULAR) -> int:
        """Return how far letters rise above the line, accents included."""
        return int(self._sized(0, size, weight).getmetrics()[0])

    def _find_part(self, letter: str) -> int:
        return next((part for part, letters in enumerate(self._letters) if ord(letter) in letters), 0)

    def _open(self, part: int, size: int, weight: int) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(self._files[weight][part], size, layout_engine=ImageFont.Layout.BASIC)


def _letters(file: Path) -> frozenset[int]:
    with TTFont(file, lazy=True) as font:
        return frozenset(font.getBestCmap())
