"""What confirmed detours do to predictions, as columns by pattern row: stops left out, and time lost on the way.

Also which stretches are watched for vehicles that drive the regular way. Both are made anew from the book of detours at
fixed moments; between them nothing changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transit.outcomes import DetourState, Phase
from transit.tracking.detour_book import Book, Known, Stretch
from transit.tracking.detours import Detours
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters
from transit.tracking.travel_times import Links, Rates
from transit.tracking.wording import PHASES

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

OFF_ROUTE = PHASES.index(Phase.OFF_ROUTE)
AT_LEAST_MS = 30_000.0  # a vehicle still off its line is not at its next stop before


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """Stretches of lines on which it matters that a vehicle drives the regular way, by pattern."""

    first: Index  # of each pattern in the columns, and the end
    from_m: Floats
    to_m: Floats
    number: Index

    def __len__(self) -> int:
        """Return the number of stretches."""
        return len(self.number)


@dataclass(frozen=True, slots=True, eq=False)
class Reroute:
    """The confirmed detours of one moment. ``pattern``, ``left_m`` …: one entry per stretch of a pattern."""

    from_m: Floats  # by row: what follows holds for vehicles that are not yet beyond this; -inf for none
    missed: Bools  # by row
    extra_s: Floats  # by row, on the way from the stop before
    variance_s2: Floats  # by row
    pattern: Index
    left_m: Floats
    back_m: Floats
    takes_s: Floats  # from leaving the line to being back

    def __len__(self) -> int:
        """Return the number of stretches."""
        return len(self.pattern)

    def before(self, row: Index, offset_m: Floats, parameters: Parameters) -> Bools:
        """Return for which rows ahead of vehicles at ``offset_m`` a detour counts: those that have it before them."""
        return np.asarray(offset_m < self.from_m[row] + parameters.candidate_m, dtype=np.bool_)

    def stretch_of(self, fleet: Fleet, vehicle: Index, now_ms: int, parameters: Parameters) -> Index:
        """Return which stretch each vehicle off its line is on, -1 for none: then nothing is said of it."""
        found = np.full(len(vehicle), -1, dtype=np.int64)
        if not len(self):
            return found
        follows = (fleet.strayed[vehicle] > 0) & (fleet.run_pattern[vehicle, 0] == fleet.line_pattern[vehicle])
        follows &= (fleet.phase[vehicle] == OFF_ROUTE) | (fleet.slot[vehicle] >= 0)
        trip = fleet.hint_trip[vehicle]
        follows &= (trip < 0) | (trip == fleet.run_trip[vehicle, 0])
        gone_s = (now_ms - fleet.line_ms[vehicle]) / 1000
        for number in range(len(self)):
            left_m = self.left_m[number]
            here = follows & (fleet.line_pattern[vehicle] == self.pattern[number])
            here &= np.abs(fleet.line_m[vehicle] - left_m) <= parameters.detour_apart_m
            here &= gone_s <= 1.5 * self.takes_s[number] + parameters.stale_s
            found[here] = number
        return found

    def start(self, fleet: Fleet, vehicle: Index, stretch: Index, now_ms: int) -> Floats:
        """Return when vehicles on a detour left their line, or later, if it took them longer already than others."""
        left_ms = fleet.line_ms[vehicle].astype(np.float64)
        return np.asarray(np.maximum(left_ms, now_ms + AT_LEAST_MS - 1000.0 * self.takes_s[stretch]))

    def patterns(self) -> Index:
        """Return the patterns that are led another way."""
        return np.unique(self.pattern)


def regular_s(
    geometry: Geometry, links: Links, rates: Rates, parameters: Parameters, pattern: int, stretch: Stretch
) -> float:
    """Return the seconds that ``stretch`` takes on the line, as things are now."""
    row, share = _shares(geometry, pattern, stretch)
    trust = np.full(len(row), parameters.timetable_weight)
    ordinary_s = links.base(rates, row, np.full(len(row), np.nan), trust) * rates.ratio[links.of_row[row]]
    return float((share * ordinary_s).sum())


def reroute_of(
    detours: Detours, book: Book, geometry: Geometry, links: Links, rates: Rates, parameters: Parameters
) -> Reroute:
    """Return what the confirmed detours of ``book`` do."""
    rows = len(geometry.offset_m)
    made = Reroute(
        np.full(rows, -np.inf), np.zeros(rows, dtype=np.bool_), np.zeros(rows), np.zeros(rows),
        *_columns(detours, book, geometry, links, rates, parameters),
    )  # fmt: skip
    for known in confirmed(detours, book):
        extra_s = typical_extra_s(known)
        sigma_s = np.hypot(parameters.detour_spread_s, parameters.detour_spread_share * extra_s)
        for pattern, stretch in known.stretches.items():
            row, share = _shares(geometry, pattern, stretch)
            length_m = np.maximum(geometry.offset_m[row] - geometry.offset_m[row - 1], 1.0)
            part = share * length_m / max(float((share * length_m).sum()), 1.0)
            made.extra_s[row] += part * extra_s
            made.variance_s2[row] += part * sigma_s**2
            made.from_m[row] = np.maximum(made.from_m[row], stretch.left_m)
            made.missed[detours.missed(known, pattern)] = True
    return made


def watched_of(book: Book, patterns: int, parameters: Parameters) -> Watched:
    """Return the stretches on which a vehicle on its line speaks against a detour."""
    on_m = parameters.detour_pass_m
    listed = sorted(
        (pattern, known.number, stretch.left_m, stretch.back_m if stretch.whole else stretch.left_m + on_m)
        for known in book.known.values()
        for pattern, stretch in known.stretches.items()
    )
    table = np.array(listed, dtype=np.float64).reshape(-1, 4)
    first = np.searchsorted(table[:, 0], np.arange(patterns + 1))
    return Watched(first.astype(np.int64), table[:, 2], table[:, 3], table[:, 1].astype(np.int64))


def confirmed(detours: Detours, book: Book) -> Iterable[Known]:
    """Return the detours that are certain enough to act on."""
    return (known for known in book.known.values() if detours.state(known) is DetourState.CONFIRMED)


def typical_extra_s(known: Known) -> float:
    """Return what a detour takes longer than the regular way, the median of the last drives."""
    return float(np.median(known.extra_s))


def _columns(
    detours: Detours, book: Book, geometry: Geometry, links: Links, rates: Rates, parameters: Parameters
) -> tuple[Index, Floats, Floats, Floats]:
    listed = [
        (
            pattern, stretch.left_m, stretch.back_m,
            max(regular_s(geometry, links, rates, parameters, pattern, stretch) + typical_extra_s(known), 1.0),
        )
        for known in confirmed(detours, book)
        for pattern, stretch in known.stretches.items()
    ]  # fmt: skip
    table = np.array(listed, dtype=np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3]


def _shares(geometry: Geometry, pattern: int, stretch: Stretch) -> tuple[Index, Floats]:
    """Return the rows whose links the stretch touches, and how much of each link lies in it."""
    row = np.arange(geometry.first[pattern] + 1, geometry.first[pattern + 1])
    begin_m, end_m = geometry.offset_m[row - 1], geometry.offset_m[row]
    inside_m = np.minimum(end_m, stretch.back_m) - np.maximum(begin_m, stretch.left_m)
    touched = inside_m > 0
    return row[touched], inside_m[touched] / np.maximum(end_m - begin_m, 1.0)[touched]
