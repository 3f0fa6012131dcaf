"""The QR that leads to a stop's page, and the label with it that hangs at the stop (SVG, A5: 148 × 210 mm). Pure."""

import html
import urllib.parse
from typing import Final

import segno

from commons.texts import LANGUAGES, Catalogue
from stop_display.model import Text

LEVEL: Final = "q"  # a quarter of the modules may be scratched off or under snow
QUIET: Final = 4  # modules around, ISO/IEC 18004, 9.1

WIDTH_MM: Final = 148
HEIGHT_MM: Final = 210
MARGIN_MM: Final = 10
QR_MM: Final = 84
NAME_MM: Final = 11.0  # size of the first language's name, where it fits
NAME_MIN_MM: Final = 5.0
CUT: Final = "…"
LETTER: Final = 0.56  # mean width of a letter, in parts of its size
NAME_LINES_MAX: Final = 2
SMALL_LINES_MAX: Final = 3  # in the smallest size; what is longer ends with "…"


def stop_link(base: str, stop_id: str, code: str) -> str:
    """Return what the QR of a stop says: by its number where it has one of its own, the shorter form."""
    return f"{base}/s/{_quoted(code)}" if code else f"{base}/stop/{_quoted(stop_id)}"


def qr_svg(link: str) -> str:
    """Return the QR alone; it fills whatever room it is given."""
    code = segno.make_qr(link, error=LEVEL, boost_error=False).svg_inline(border=QUIET, omitsize=True, light="#fff")
    return str(code).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def stop_label_svg(link: str, name: Text, code: str, texts: Catalogue, *, sms_code: str = "") -> str:
    """Return the label of a stop. ``texts`` has ``label.…``; ``sms_code``: number that riders write to, "" if none."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" font-family="Golos Text, Noto Sans, sans-serif" text-anchor="middle">'
    )
    parts = [
        head,
        f'<rect width="{WIDTH_MM}" height="{HEIGHT_MM}" fill="#fff"/>',
    ]
    y_mm = 13.0
    for language, most_mm, weight in (("kk", NAME_MM, 700), ("ru", 8.0, 500)):
        size_mm, rows = fitted(name[language], most_mm)
        for row in rows:
            y_mm += size_mm
            parts.append(_text(y_mm, size_mm, row, language, weight=weight))
            y_mm += size_mm * 0.2
        y_mm += 3.0
    if code:
        parts.append(_text(62, 7, f"№ {code}", weight=600))
    left_mm, top_mm = (WIDTH_MM - QR_MM) / 2, 66
    parts.append(f'<svg x="{left_mm}" y="{top_mm}" width="{QR_MM}" height="{QR_MM}">{qr_svg(link)}</svg>')
    y_mm = top_mm + QR_MM + 7.0
    for language in LANGUAGES:
        parts.append(_text(y_mm, 4.6, texts[language]["label.how"], language, weight=600 if language == "kk" else 400))
        y_mm += 6.4
    if sms_code and code:
        y_mm += 4.0
        for language in LANGUAGES:
            told = texts[language]["label.sms"].format(code=code, number=sms_code)
            parts.append(_text(y_mm, 4.0, told, language))
            y_mm += 5.6
    parts += [_text(HEIGHT_MM - 6, 3.0, link), "</svg>"]
    return "\n".join(parts) + "\n"


def fitted(text: str, most_mm: float) -> tuple[float, list[str]]:
    """Return the size in which ``text`` fits the width in at most two lines, and the lines; cut if none is so small."""
    width_mm = WIDTH_MM - 2 * MARGIN_MM
    size_mm = most_mm
    while True:
        rows = _wrapped(text, int(width_mm / (size_mm * LETTER)))
        fits = len(rows) <= NAME_LINES_MAX and all(len(row) * size_mm * LETTER <= width_mm for row in rows)
        if fits:
            return size_mm, rows
        if size_mm <= NAME_MIN_MM:
            return size_mm, _cut(rows, int(width_mm / (size_mm * LETTER)))
        size_mm -= 0.5


def _cut(rows: list[str], letters: int) -> list[str]:
    """Return as many rows as there is room for; "…" stands where something is left out."""
    kept = rows[:SMALL_LINES_MAX]
    if len(kept) < len(rows):
        kept[-1] += CUT
    return [row if len(row) <= letters else row[: letters - len(CUT)].rstrip(CUT) + CUT for row in kept]


def _wrapped(text: str, letters: int) -> list[str]:
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if rows[-1] and len(longer) > letters:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows


def _quoted(part: str) -> str:
    return urllib.parse.quote(part, safe="")


def _text(y_mm: float, size_mm: float, text: str, language: str = "", *, weight: int = 400) -> str:
    spoken = f' lang="{language}"' if language else ""
    return (
        f'<text x="{WIDTH_MM / 2}" y="{y_mm:.1f}" font-size="{size_mm}" font-weight="{weight}"{spoken}>'
        f"{html.escape(text)}</text>"
    )
