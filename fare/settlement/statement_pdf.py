"""A carrier's statement on paper, in Kazakh, Russian or English. The same statement gives the same bytes.

The font is that of our pages, given as files: it comes in parts (Latin, Cyrillic, Kazakh letters and the sign of the
tenge apart), of which each completes the one before.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.fonts import FontFace

from fare.settlement.closing import Part
from fare.settlement.model import Statement
from fare.tariff.wording import Words

FONT_PARTS: Final = ("latin", "latin-ext", "cyrillic", "cyrillic-ext")
MARGIN_MM: Final = 18
TITLE_PT: Final = 16
TEXT_PT: Final = 10
LINE_MM: Final = 7
WIDTHS: Final = (40, 26, 26, 28, 27, 27)
AMOUNT_MM: Final = 60


def font_files(folder: Path) -> tuple[Path, ...]:
    """Return the parts of the font in the folder of ``@fontsource/golos-text``."""
    return tuple(folder / "files" / f"golos-text-{part}-400-normal.woff" for part in FONT_PARTS)


def statement_pdf(
    statement: Statement, carrier_name: str, words: Words, fonts: Sequence[Path], *, part: Part = Part.DAY
) -> bytes:
    """Return a statement as PDF. ``part``: a late one says so, as a day may have both.

    Raises:
        FileNotFoundError: if a part of the font is not there.
    """
    pdf = FPDF(format="A4", unit="mm")
    pdf.set_margin(MARGIN_MM)
    pdf.set_lang(words.language)
    # A statement is of its day: the moment of printing would make every copy another file.
    pdf.set_creation_date(dt.datetime.combine(statement.service_date, dt.time(), tzinfo=words.tariff.zone))
    for place, font in enumerate(fonts):
        pdf.add_font(f"part{place}", fname=font)
    pdf.set_title(words.text("statement.title"))
    pdf.add_page()
    pdf.set_font("part0", size=TITLE_PT)
    pdf.set_fallback_fonts([f"part{place}" for place in range(1, len(fonts))])
    pdf.cell(h=LINE_MM * 1.5, text=words.text("statement.title"), new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("part0", size=TEXT_PT)
    for name, value in (
        ("carrier", f"{carrier_name} ({statement.carrier_id})"),
        ("day", statement.service_date.strftime("%d.%m.%Y")),
        ("rides", str(statement.rides)),
    ):
        pdf.cell(h=LINE_MM, text=f"{words.text(f'statement.{name}')}: {value}", new_x="LMARGIN", new_y="NEXT")
    if part is Part.LATE:
        pdf.cell(h=LINE_MM, text=words.text("statement.late"), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(LINE_MM / 2)
    _table(pdf, statement, words)
    pdf.ln(LINE_MM / 2)
    _sums(pdf, statement, words)
    return bytes(pdf.output())


def _table(pdf: FPDF, statement: Statement, words: Words) -> None:
    plain = FontFace(family="part0", emphasis=None)
    columns = ("medium", "category", "riders", "full", "charged", "subsidy")
    align = ("LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT", "RIGHT")
    with pdf.table(col_widths=WIDTHS, text_align=align, headings_style=plain, line_height=LINE_MM) as table:
        table.row([words.text(f"statement.column.{name}") for name in columns])
        for line in statement.lines:
            category = words.tariff.category_names.get(line.category, "")
            table.row(
                [
                    words.text(f"statement.medium.{line.medium_kind.value}"),
                    words.name("category", line.category or "adult", category),
                    str(line.riders),
                    *(words.amount(amount) for amount in (line.full_tiyn, line.charged_tiyn, line.subsidy_tiyn)),
                ]
            )


def _sums(pdf: FPDF, statement: Statement, words: Words) -> None:
    rows = [("charged", statement.charged_tiyn), ("cash", -statement.cash_tiyn)]
    subsidies = [
        (words.text("statement.subsidy", payer=words.name("payer", payer)), amount)
        for payer, amount in statement.subsidies
    ]
    rest = [("refunds", -statement.refunds_tiyn), ("commission", -statement.commission_tiyn)]
    lines = [(words.text(f"statement.{name}"), amount) for name, amount in rows]
    lines += subsidies + [(words.text(f"statement.{name}"), amount) for name, amount in rest]
    lines.append((words.text("statement.payable"), statement.payable_tiyn))
    for name, amount_tiyn in lines:
        pdf.cell(w=pdf.epw - AMOUNT_MM, h=LINE_MM, text=name)
        pdf.cell(w=AMOUNT_MM, h=LINE_MM, text=words.amount(amount_tiyn), align="R", new_x="LMARGIN", new_y="NEXT")
    if statement.forgiven_rides:
        text = words.text(
            "statement.forgiven", count=str(statement.forgiven_rides), amount=words.amount(statement.forgiven_tiyn)
        )
        pdf.cell(h=LINE_MM, text=text, new_x="LMARGIN", new_y="NEXT")
