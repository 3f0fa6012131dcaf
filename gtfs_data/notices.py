"""What a check says of a feed: one ``Notice`` per fault, with file, row, field, value and rule.

Codes that other validators know have their names. Of a fault that repeats, the first few are kept and all are counted.
"""

import collections
import enum
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

KEPT_PER_CODE: Final = 20


class Severity(enum.StrEnum):
    """How bad a fault is."""

    ERROR = enum.auto()  # the rules of GTFS are broken
    WARNING = enum.auto()  # allowed, but probably wrong
    INFO = enum.auto()


class Code(enum.StrEnum):
    """Kinds of faults. The first group makes a feed unusable; of the others only the rows concerned are left out."""

    MISSING_REQUIRED_FILE = enum.auto()
    FILE_UNREADABLE = enum.auto()
    MISSING_REQUIRED_COLUMN = enum.auto()
    INVALID_TIME_ZONE = enum.auto()
    NO_USABLE_TRIPS = enum.auto()

    MISSING_REQUIRED_VALUE = enum.auto()
    INVALID_NUMBER = enum.auto()
    INVALID_TIME = enum.auto()
    INVALID_DATE = enum.auto()
    INVALID_COLOR = enum.auto()
    INVALID_VALUE = enum.auto()
    OUT_OF_RANGE = enum.auto()
    DUPLICATE_KEY = enum.auto()
    FOREIGN_KEY_VIOLATION = enum.auto()
    DECREASING_TIME = enum.auto()
    MISSING_TRIP_EDGE_TIME = enum.auto()
    NO_SERVICE_DATES = enum.auto()

    UNUSABLE_TRIP = enum.auto()
    UNUSABLE_SHAPE = enum.auto()
    SHAPE_RUNS_BACKWARDS = enum.auto()
    STOP_TOO_FAR_FROM_SHAPE = enum.auto()
    FAST_TRAVEL = enum.auto()
    UNUSED_STOP = enum.auto()
    MISSING_RECOMMENDED_COLUMN = enum.auto()
    FEED_EXPIRED = enum.auto()


UNUSABLE: Final = frozenset(list(Code)[: list(Code).index(Code.MISSING_REQUIRED_VALUE)])


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault. ``row`` is the line of the file, the header being line 1."""

    severity: Severity
    code: Code
    file: str
    rule: str
    row: int | None = None
    field: str = ""
    value: str = ""

    def __str__(self) -> str:
        """Return the notice as one line: where, what, and the rule."""
        where = self.file + (f" line {self.row}" if self.row is not None else "")
        what = f" {self.field}" if self.field else ""
        found = f" {self.value!r}" if self.value else ""
        return f"{where}{what}{found}: {self.rule}"


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found: some notices of each code, and how many there were."""

    notices: tuple[Notice, ...]
    counts: dict[Code, int]
    severities: dict[Code, Severity]

    @property
    def errors(self) -> int:
        """Return the number of errors."""
        return sum(n for code, n in self.counts.items() if self.severities[code] is Severity.ERROR)

    @property
    def warnings(self) -> int:
        """Return the number of warnings."""
        return sum(n for code, n in self.counts.items() if self.severities[code] is Severity.WARNING)

    @property
    def unusable(self) -> bool:
        """Return whether no network can be made of the feed."""
        return bool(UNUSABLE & self.counts.keys())


class FeedError(ValueError):
    """A feed has faults that make it unusable; ``report`` holds all that was found."""

    def __init__(self, name: str, report: CheckReport) -> None:
        fatal = [notice for notice in report.notices if notice.code in UNUSABLE]
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        super().__init__(f"{name}: {fatal[0] if fatal else 'unusable'}{more}")
        self.report = report


class Notices:
    """Gathers notices: keeps the first of each code, counts all."""

    def __init__(self) -> None:
        self._kept: dict[Code, list[Notice]] = collections.defaultdict(list)
        self._counts: collections.Counter[Code] = collections.Counter()
        self._severities: dict[Code, Severity] = {}

    def add(self, notices: Iterable[Notice]) -> None:
        """Take notices one by one."""
        for notice in notices:
            self.add_many(notice.severity, notice.code, [notice], 1)

    def add_many(self, severity: Severity, code: Code, first: Sequence[Notice], count: int) -> None:
        """Take a fault that was found ``count`` times, of which ``first`` are some."""
        room = KEPT_PER_CODE - len(self._kept[code])
        self._kept[code] += first[: max(room, 0)]
        self._counts[code] += count
        self._severities[code] = severity

    def add_report(self, report: CheckReport) -> None:
        """Take what another check has found."""
        for code, count in report.counts.items():
            kept = [notice for notice in report.notices if notice.code is code]
            self.add_many(report.severities[code], code, kept, count)

    def report(self) -> CheckReport:
        """Return what was gathered, the gravest first."""
        order = list(Severity)
        codes = sorted(self._counts, key=lambda code: (order.index(self._severities[code]), list(Code).index(code)))
        return CheckReport(
            notices=tuple(notice for code in codes for notice in self._kept[code]),
            counts={code: self._counts[code] for code in codes},
            severities={code: self._severities[code] for code in codes},
        )
