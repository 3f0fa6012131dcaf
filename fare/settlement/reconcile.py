"""Compare our payments with the file of an acquirer or operator, line by line, in named categories.

A category is decided by reference alone; nothing is matched by amount or time, since two fares of a minute look alike.
"""

import csv
import enum
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

AMOUNT: Final = re.compile(r"(-?)([0-9]{1,12})(?:[.,]([0-9]{1,2}))?")
REFERENCE_MAX: Final = 200  # characters


class Finding(enum.StrEnum):
    """What a reference is in both books."""

    MATCHED = enum.auto()
    SETTLED_UNKNOWN = enum.auto()  # they have it, we do not
    KNOWN_NOT_SETTLED = enum.auto()  # we have it, they do not (yet)
    AMOUNT_DIFFERS = enum.auto()
    DOUBLED = enum.auto()  # more lines with the reference than one, on either side


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a book: the reference that both know, and the amount."""

    reference: str
    amount_tiyn: int
    row: int = 0  # of their file, the header being line 1


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """One reference in both books."""

    finding: Finding
    reference: str
    ours_tiyn: int
    theirs_tiyn: int
    rows: tuple[int, ...] = ()  # of their file

    @property
    def difference_tiyn(self) -> int:
        """Return what they settle above what we know."""
        return self.theirs_tiyn - self.ours_tiyn


class SettlementFileError(ValueError):
    """A settlement file cannot be read; the message names line, column and rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileColumns:
    """Where a settlement file has what is compared, as each acquirer and operator writes its own."""

    reference: str
    amount: str
    delimiter: str = ";"


def reconcile(ours: Iterable[Payment], theirs: Iterable[Payment]) -> tuple[Reconciled, ...]:
    """Return every reference of both books once, in order of reference.

    Together the lines hold all money of both: the sums of ``ours_tiyn`` and ``theirs_tiyn`` are those of the books.
    """
    own, other = _by_reference(ours), _by_reference(theirs)
    return tuple(
        Reconciled(
            finding=_finding(own.get(reference, []), other.get(reference, [])),
            reference=reference,
            ours_tiyn=sum(payment.amount_tiyn for payment in own.get(reference, [])),
            theirs_tiyn=sum(payment.amount_tiyn for payment in other.get(reference, [])),
            rows=tuple(payment.row for payment in other.get(reference, [])),
        )
        for reference in sorted(own.keys() | other.keys())
    )


def read_settlement_file(content: bytes, columns: FileColumns) -> list[Payment]:
    """Return the payments of a CSV file in UTF-8.

    Raises:
        SettlementFileError: if it is none, lacks a column, or has a line without reference or amount.
    """
    if len(columns.delimiter) != 1 or (not columns.delimiter.isprintable() and columns.delimiter != "\t"):
        raise SettlementFileError(f"delimiter must be one character: {columns.delimiter!r}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettlementFileError(f"byte {error.start}: the file must be UTF-8") from error
    # Strict: otherwise a quote that is never closed would swallow the lines after it.
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=columns.delimiter, strict=True)
    try:
        for column in (columns.reference, columns.amount):
            if (found := (reader.fieldnames or ()).count(column)) != 1:
                raise SettlementFileError(f"line 1: column {column} is {'missing' if not found else 'there twice'}")
        return [_payment(cells, columns, reader.line_num) for cells in reader]
    except csv.Error as error:
        raise SettlementFileError(f"line {reader.line_num}: {error}") from error


def _payment(cells: Mapping[str, str | None], columns: FileColumns, line: int) -> Payment:
    reference = (cells[columns.reference] or "").strip()
    if not reference or len(reference) > REFERENCE_MAX or not reference.isprintable():
        raise SettlementFileError(
            f"line {line}: {columns.reference} must not be empty, nor longer than {REFERENCE_MAX}"
        )
    value = cells[columns.amount]
    found = AMOUNT.fullmatch((value or "").replace(" ", "").replace("\N{NO-BREAK SPACE}", ""))
    if found is None:
        raise SettlementFileError(f"line {line}: {columns.amount} {value!r} must be an amount such as 90 or 90.50")
    amount_tiyn = int(found[2]) * 100 + int((found[3] or "0").ljust(2, "0"))
    return Payment(reference=reference, amount_tiyn=-amount_tiyn if found[1] else amount_tiyn, row=line)


def _by_reference(payments: Iterable[Payment]) -> dict[str, list[Payment]]:
    found: defaultdict[str, list[Payment]] = defaultdict(list)
    for payment in payments:
        found[payment.reference].append(payment)
    return dict(found)


def _finding(ours: list[Payment], theirs: list[Payment]) -> Finding:
    if len(ours) > 1 or len(theirs) > 1:
        return Finding.DOUBLED
    if not ours:
        return Finding.SETTLED_UNKNOWN
    if not theirs:
        return Finding.KNOWN_NOT_SETTLED
    return Finding.MATCHED if ours[0].amount_tiyn == theirs[0].amount_tiyn else Finding.AMOUNT_DIFFERS
