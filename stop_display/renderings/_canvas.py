"""Black on white, one bit a pixel: text in two weights, lines, codes. Remembers all that was written."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Final

import segno
from PIL import Image, ImageDraw

from stop_display.renderings._fonts import BOLD, REGULAR, Fonts

BLACK: Final = 0
WHITE: Final = 255
WHITE_FROM: Final = 140  # a pixel that is less grey than that stays white
QUIET_MODULES: Final = 2  # ISO 18004 asks for four; the white around the code in our pictures is the rest
CUT: Final = "…"
COMPRESS_LEVEL: Final = 6  # 9 saves four bytes of a hundred and takes six times as long


class Canvas:
    """A picture of ``width`` × ``height`` pixels. Heights of text are those of its line, y that of its foot."""

    def __init__(self, width: int, height: int, fonts: Fonts) -> None:
        self.width = width
        self.height = height
        self.said: list[str] = []
        self._fonts = fonts
        self._image = Image.new("L", (width, height), WHITE)
        self._draw = ImageDraw.Draw(self._image)

    def length(self, text: str, size: int, weight: int = REGULAR) -> float:
        """Return how wide a text is."""
        return self._fonts.runs(text, size, weight)[1]

    def write(self, x: float, foot: float, text: str, size: int, weight: int = REGULAR, *, ink: int = BLACK) -> float:
        """Write ``text`` from ``x`` on; return where it ends."""
        runs, width = self._fonts.runs(text, size, weight)
        for run in runs:
            self._draw.text((round(x + run.x), round(foot)), run.text, fill=ink, font=run.font, anchor="ls")
        if text:
            self.said.append(text)
        return x + width

    def write_left_of(self, right: float, foot: float, text: str, size: int, weight: int = REGULAR) -> float:
        """Write ``text`` so that it ends at ``right``; return where it begins."""
        x = right - self.length(text, size, weight)
        self.write(x, foot, text, size, weight)
        return x

    def fill(self, x: float, y: float, right: float, bottom: float, *, radius: float = 0) -> None:
        """Fill a rectangle with black."""
        self._draw.rounded_rectangle((round(x), round(y), round(right), round(bottom)), radius=radius, fill=BLACK)

    def line(self, x: float, y: float, right: float, thick: int) -> None:
        """Draw a line from left to right."""
        self._draw.line((round(x), round(y), round(right), round(y)), fill=BLACK, width=max(1, thick))

    def code(self, right: float, y: float, side_max: float, link: str) -> float:
        """Draw a QR code with its right upper corner at (``right``, ``y``); return its width, 0 if it has no room."""
        code = segno.make_qr(link, error="l", boost_error=False)
        rows = [list(row) for row in code.matrix_iter(border=QUIET_MODULES)]
        scale = int(side_max // len(rows))
        if scale < 2:  # cameras do not read less
            return 0.0
        left = round(right) - scale * len(rows)
        for place, row in enumerate(rows):
            for column, dark in enumerate(row):
                if dark:
                    x, top = left + column * scale, round(y) + place * scale
                    self._draw.rectangle((x, top, x + scale - 1, top + scale - 1), fill=BLACK)
        return float(scale * len(rows))

    def wrapped(self, text: str, width: float, size: int, weight: int = REGULAR) -> list[str]:
        """Return ``text`` in lines; a word that is wider than a line is broken with a hyphen."""
        found = [""]
        for word in text.split():
            rest = word
            joined = f"{found[-1]} {rest}".strip()
            if self.length(joined, size, weight) <= width:
                found[-1] = joined
                continue
            while len(rest) > 1 and self.length(rest, size, weight) > width:
                part = self._longest(rest, lambda some: f"{some}-", width, size, weight)
                found.append(f"{part}-")
                rest = rest[len(part) :]
            found.append(rest)
        return [line for line in found if line]

    def first_lines(
        self, lines: Sequence[str], count: int, width: float, size: int, weight: int = REGULAR
    ) -> list[str]:
        """Return at most ``count`` lines, at least one; the last ends with "…" if more would follow."""
        if len(lines) <= count:
            return list(lines)
        kept = list(lines[: max(1, count)])
        kept[-1] = self._longest(kept[-1], lambda some: some.rstrip() + CUT, width, size, weight).rstrip() + CUT
        return kept

    def fitted(self, text: str, width: float, size: int, weight: int = REGULAR) -> str:
        """Return ``text``, or its beginning with "…" where it is too wide."""
        if self.length(text, size, weight) <= width:
            return text
        return self._longest(text, lambda some: some.rstrip() + CUT, width, size, weight).rstrip() + CUT

    def png(self) -> bytes:
        """Return the picture."""
        file = BytesIO()
        # Drawn in grey and divided here: Pillow's own one-bit text sits a pixel higher where it has a tall letter.
        halves = [WHITE if grey >= WHITE_FROM else BLACK for grey in range(256)]
        self._image.point(halves, mode="1").save(file, format="PNG", compress_level=COMPRESS_LEVEL)
        return file.getvalue()

    def _longest(self, text: str, ended: Callable[[str], str], width: float, size: int, weight: int) -> str:
        """Return the longest beginning of ``text``, at least a letter, that fits when it is ``ended``."""
        low, high = 1, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.length(ended(text[:middle]), size, weight) <= width:
                low = middle
            else:
                high = middle - 1
        return text[:low]


def largest(sizes: Sequence[int], fits: Callable[[int], bool]) -> int:
    """Return the first of ``sizes``, largest first, that fits; the last if none does."""
    return next((size for size in sizes if fits(size)), sizes[-1])


__all__ = ["BLACK", "BOLD", "REGULAR", "WHITE", "Canvas", "largest"]
