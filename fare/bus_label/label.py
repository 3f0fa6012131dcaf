"""What hangs in a bus to pay by phone: its QR and its number, in three languages, as SVG of A6 (105 × 148 mm). Pure."""

import html
import io
from typing import Final

import segno

from commons.texts import LANGUAGES, load_catalogue

LEVEL: Final = "q"  # a quarter of the modules may be scratched off
QUIET: Final = 4  # modules around, ISO/IEC 18004, 9.1

WIDTH_MM: Final = 105
HEIGHT_MM: Final = 148
QR_MM: Final = 76
TOP_MM: Final = 32
LINE_MM: Final = 5.6


def bus_label_svg(link: str, number: str, issue: int) -> str:
    """Return the label of a bus; ``link`` is what its QR says, ``number`` what riders know the bus by."""
    catalogue = load_catalogue("fare.bus_label")
    titles = " · ".join(catalogue[language]["title"] for language in LANGUAGES)
    below_mm = TOP_MM + QR_MM + 8
    lines = [
        _text(below_mm + LINE_MM * row, 3.6, catalogue[language]["how"].format(vehicle=number), language)
        for row, language in enumerate(LANGUAGES)
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" font-family="Golos Text, Noto Sans, sans-serif" text-anchor="middle">'
    )
    parts = [
        head,
        f'<rect width="{WIDTH_MM}" height="{HEIGHT_MM}" fill="#fff"/>',
        _text(12, 4.2, titles),
        _text(26, 12, number, weight=700),
        f'<svg x="{(WIDTH_MM - QR_MM) / 2}" y="{TOP_MM}" width="{QR_MM}" height="{QR_MM}">{_qr(link)}</svg>',
        *lines,
        _text(HEIGHT_MM - 6, 2.8, f"№ {issue}"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def bus_qr_png(link: str, *, scale: int = 12) -> bytes:
    """Return the QR alone, ``scale`` pixels a module."""
    file = io.BytesIO()
    segno.make_qr(link, error=LEVEL, boost_error=False).save(file, kind="png", scale=scale, border=QUIET)
    return file.getvalue()


def _qr(link: str) -> str:
    return str(segno.make_qr(link, error=LEVEL, boost_error=False).svg_inline(border=QUIET, omitsize=True))


def _text(y_mm: float, size_mm: float, text: str, language: str = "", *, weight: int = 400) -> str:
    spoken = f' lang="{language}"' if language else ""
    return (
        f'<text x="{WIDTH_MM / 2}" y="{y_mm}" font-size="{size_mm}" font-weight="{weight}"{spoken}>'
        f"{html.escape(text)}</text>"
    )
