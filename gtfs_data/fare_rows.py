"""Rows of fare tables, cell by cell: what is no such value is said with file, row, field, value and rule.

A fault here is never guessed over, since it would be somebody's money: the readers return a stand-in that nobody uses,
because a feed with a fault in its fares gives no fares at all.
"""

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gtfs_data import fields
from gtfs_data.notices import Code, Notice, Notices, Severity
from gtfs_data.read import Tables

AMOUNT: Final = re.compile(r"(-?)(\d{1,9})(?:\.(\d{1,2}))?")
DATE: Final = re.compile(r"\d{8}", re.ASCII)
TIME: Final = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d)")
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class FareRow:
    """One row of a fare table."""

    file: str
    line: int
    cells: Mapping[str, str]
    notices: Notices

    def text(self, field: str) -> str:
        """Return a cell, empty if it is empty or its column missing."""
        return self.cells.get(field, "")

    def required(self, field: str) -> str:
        """Return a cell that must not be empty."""
        text = self.text(field)
        if not text:
            self.wrong(Code.MISSING_REQUIRED_VALUE, field, "must not be empty")
        return text

    def amount_tiyn(self, field: str, *, low: int | None = 0) -> int:
        """Return an amount of money in hundredths; below ``low`` is wrong unless that is None."""
        found = AMOUNT.fullmatch(self.required(field))
        if found is None:
            if self.text(field):
                self.wrong(Code.INVALID_NUMBER, field, "must be an amount such as 90 or 90.50")
            return 0
        sign, whole, part = found.groups(default="")
        amount = int(whole) * 100 + int(part.ljust(2, "0") or "0")
        amount = -amount if sign else amount
        if low is not None and amount < low:
            self.wrong(Code.OUT_OF_RANGE, field, f"must not be below {low // 100}")
        return amount

    def whole(self, field: str, *, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number from ``low`` to ``high``; empty is ``default``, or wrong if there is none."""
        text = self.text(field) if default is not None else self.required(field)
        if not text:
            return low if default is None else default
        if not re.fullmatch(r"-?\d{1,9}", text):
            self.wrong(Code.INVALID_NUMBER, field, "must be a whole number")
            return low
        number = int(text)
        if not low <= number <= high:
            self.wrong(Code.OUT_OF_RANGE, field, f"must be from {low} to {high}")
        return number

    def one_of(self, field: str, allowed: Collection[str]) -> str:
        """Return a cell that must be one of ``allowed``."""
        text = self.required(field)
        if text and text not in allowed:
            self.wrong(Code.INVALID_VALUE, field, f"must be {', '.join(allowed)}")
        return text if text in allowed else next(iter(allowed))

    def time_s(self, field: str, *, default: int) -> int:
        """Return a time of the day in seconds, 24:00:00 included; empty is ``default``."""
        text = self.text(field)
        if not text:
            return default
        found = TIME.fullmatch(text)
        seconds = int(found[1]) * 3_600 + int(found[2]) * 60 + int(found[3]) if found else DAY_S + 1
        if seconds > DAY_S:
            self.wrong(Code.INVALID_TIME, field, "must be HH:MM:SS up to 24:00:00")
        return seconds

    def date(self, field: str) -> dt.date | None:
        """Return a date (YYYYMMDD), None if the cell is empty."""
        text = self.text(field)
        if not text:
            return None
        try:
            return dt.datetime.strptime(text if DATE.fullmatch(text) else "", "%Y%m%d").replace(tzinfo=dt.UTC).date()
        except ValueError:
            self.wrong(Code.INVALID_DATE, field, "must be a date as YYYYMMDD")
            return None

    def reference(self, field: str, known: Collection[str], where: str, *, required: bool = False) -> str:
        """Return an id that must stand in ``where``; it may be empty unless ``required``."""
        text = self.required(field) if required else self.text(field)
        if text and text not in known:
            self.wrong(Code.FOREIGN_KEY_VIOLATION, field, f"no such id in {where}")
        return text

    def wrong(self, code: Code, field: str, rule: str) -> None:
        """Say that a cell is wrong."""
        self.notices.add(
            [
                Notice(
                    severity=Severity.ERROR,
                    code=code,
                    file=self.file,
                    row=self.line,
                    field=field,
                    value=self.text(field)[:80],
                    rule=rule,
                )
            ]
        )


def rows_of(tables: Tables, name: str, required: Collection[str], notices: Notices) -> Iterator[FareRow]:
    """Yield the rows of a table; none, after saying so, if it lacks a required column."""
    table = tables.get(name)
    if not len(table):
        return
    missing = [column for column in required if column not in table.columns]
    for column in missing:
        rule = "the column is required"
        notices.add(
            [
                Notice(
                    severity=Severity.ERROR,
                    code=Code.MISSING_REQUIRED_COLUMN,
                    file=f"{name}.txt",
                    field=column,
                    rule=rule,
                )
            ]
        )
    if missing:
        return
    columns = {str(column): fields.texts(table, str(column)) for column in table.columns}
    for place in range(len(table)):
        cells = {column: values[place] for column, values in columns.items()}
        yield FareRow(f"{name}.txt", place + 2, cells, notices)


def new_key(row: FareRow, taken: set[tuple[str, ...]], *key: str) -> None:
    """Say if a row has the key of an earlier one; ``key`` names its fields."""
    values = tuple(row.text(field) for field in key)
    if values in taken:
        row.wrong(Code.DUPLICATE_KEY, key[0], f"{', '.join(key)} may stand together once")
    taken.add(values)
