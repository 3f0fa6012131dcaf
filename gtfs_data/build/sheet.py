"""Tables as spreadsheets save them: comma, semicolon or tab between the cells, with or without a byte order mark.

A spreadsheet in Kazakh or Russian settings writes ``;`` between cells and a comma in numbers, so both are read. Text
must be UTF-8: anything older cannot hold ә ғ қ ң ө ұ ү һ і.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gtfs_data.build.problems import Problems
from gtfs_data.notices import Code

BYTES_MAX: Final = 64 << 20
CELLS_BETWEEN: Final = (",", ";", "\t")
NOTE: Final = "note"  # a column that everybody may add for themselves
TIME: Final = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?")
HOURS_MAX: Final = 48


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns a table may have; the required ones must be there."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. The readers of cells say what is wrong and return None."""

    file: str
    line: int
    cells: Mapping[str, str]
    problems: Problems

    def text(self, field: str) -> str:
        """Return a cell, empty if it is empty or its column missing."""
        return self.cells.get(field, "")

    def required(self, field: str) -> str | None:
        """Return a cell that must not be empty."""
        if text := self.text(field):
            return text
        self.wrong(Code.MISSING_REQUIRED_VALUE, field, "must not be empty")
        return None

    def number(self, field: str, *, low: float, high: float) -> float | None:
        """Return a number from ``low`` to ``high``, None if the cell is empty or wrong."""
        text = self.text(field)
        if not text:
            return None
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            self.wrong(Code.INVALID_NUMBER, field, "must be a number")
            return None
        if not low <= number <= high:
            self.wrong(Code.OUT_OF_RANGE, field, f"must be from {low:g} to {high:g}")
            return None
        return number

    def time_s(self, field: str) -> int | None:
        """Return a time as seconds after the start of the service day, None if the cell is empty or wrong."""
        text = self.text(field)
        if not text:
            return None
        seconds = seconds_of(text)
        if seconds is None:
            self.wrong(Code.INVALID_TIME, field, f"must be HH:MM, up to {HOURS_MAX}:00 for a time after midnight")
        return seconds

    def wrong(self, code: Code, field: str, rule: str, *, value: str | None = None) -> None:
        """Say that a cell is wrong."""
        value = self.text(field) if value is None else value
        self.problems.error(code, self.file, rule, row=self.line, field=field, value=value)


def seconds_of(text: str) -> int | None:
    """Return ``H:MM``, ``HH:MM`` or ``HH:MM:SS`` in seconds, None if it is none of them."""
    found = TIME.fullmatch(text.strip())
    if found is None:
        return None
    seconds = int(found[1]) * 3_600 + int(found[2]) * 60 + int(found[3] or 0)
    return seconds if seconds <= HOURS_MAX * 3_600 else None


def decoded(file: str, content: bytes, problems: Problems) -> str | None:
    """Return the text of a file, None after saying why there is none."""
    if len(content) > BYTES_MAX:
        problems.error(Code.FILE_UNREADABLE, file, f"must not be larger than {BYTES_MAX >> 20} MiB")
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        rule = "must be UTF-8: in Excel save as “CSV UTF-8”, in LibreOffice choose the character set “Unicode (UTF-8)”"
        problems.error(Code.FILE_UNREADABLE, file, rule, row=row, value=f"byte {content[error.start]:#04x}")
        return None
    if "\0" in text:
        problems.error(Code.FILE_UNREADABLE, file, "must be text", row=text.count("\n", 0, text.index("\0")) + 1)
        return None
    return text


def rows_of(file: str, content: bytes, columns: Columns, problems: Problems) -> Iterator[Row]:
    """Yield the rows of a table, empty ones left out; none if its columns are not as they must be."""
    text = decoded(file, content, problems)
    if text is None:
        return
    first, _, _ = text.partition("\n")
    between = max(CELLS_BETWEEN, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if not _header_is_good(file, header, columns, problems):
            return
        line = reader.line_num + 1
        for cells in reader:
            stripped = [" ".join(cell.split()) for cell in cells]  # a line break inside a cell is a space
            if any(stripped):
                if any(stripped[len(header) :]):
                    rule = (
                        f"has {len(cells)} cells, the header {len(header)}: put texts that hold “{between}” in quotes"
                    )
                    problems.error(Code.INVALID_VALUE, file, rule, row=line)
                yield Row(file, line, dict(zip(header, stripped, strict=False)), problems)
            line = reader.line_num + 1
    except csv.Error as error:
        problems.error(Code.FILE_UNREADABLE, file, f"cannot be read as a table: {error}", row=reader.line_num)


def _header_is_good(file: str, header: list[str], columns: Columns, problems: Problems) -> bool:
    known = (*columns.required, *columns.optional)
    missing = [name for name in columns.required if name not in header]
    for name in missing:
        problems.error(Code.MISSING_REQUIRED_COLUMN, file, "the column is required", row=1, field=name)
    for name in header:
        if name and name != NOTE and name not in known:
            rule = f"no such column; there may be {', '.join(known)} and {NOTE}"
            problems.error(Code.INVALID_VALUE, file, rule, row=1, value=name)
    named = [name for name in header if name]
    for name in sorted({name for name in named if named.count(name) > 1}):
        problems.error(Code.DUPLICATE_KEY, file, "the column may stand once", row=1, field=name)
    return not missing and len(named) == len(set(named))
