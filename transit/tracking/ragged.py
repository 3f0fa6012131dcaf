"""Arithmetic on ragged ranges: many small slices of one array handled as one flat array."""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)

SUM_STEP: Final = 2.0**-20  # of what is summed; of seconds: a microsecond
MAX_STEP: Final = 2.0**-9  # of what is compared; of epoch milliseconds, a double knows no less than 2**-12


def expand(first: npt.ArrayLike, last: npt.ArrayLike) -> tuple[Index, Index]:
    """Return ``(owner, index)``: for each range number i, every integer from first[i] up to, not including, last[i]."""
    start = np.asarray(first, dtype=np.int64)
    sizes = np.maximum(np.asarray(last, dtype=np.int64) - start, 0)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    before = np.cumsum(sizes) - sizes
    return owner, np.arange(len(owner)) - before[owner] + start[owner]


def heads(owner: Index) -> npt.NDArray[np.bool_]:
    """Return where a new owner begins in a non-decreasing ``owner``."""
    head = np.ones(len(owner), dtype=np.bool_)
    head[1:] = owner[1:] != owner[:-1]
    return head


@dataclass(frozen=True, slots=True, eq=False)
class Owners:
    """Owners whose values lie side by side in flat arrays, at least one each: where, found once for all arrays."""

    begin: Index  # of each owner's values
    sizes: Index

    @classmethod
    def of(cls, sizes: Index) -> "Owners":
        """Return owners of so many values each."""
        return cls(np.cumsum(sizes) - sizes, sizes)

    @classmethod
    def within(cls, head: npt.NDArray[np.bool_]) -> "Owners":
        """Return the owners of values of which those at ``head`` are the first of one."""
        begin = np.flatnonzero(head)
        return cls(begin, np.diff(np.append(begin, len(head))))

    def index(self, first: Index) -> Index:
        """Return for each owner as many integers as it has values, from ``first`` on."""
        return np.arange(int(self.sizes.sum())) + self.each(first - self.begin)

    def each(self, values: npt.NDArray[Value]) -> npt.NDArray[Value]:
        """Return ``values``, one of each owner, at all its places."""
        return np.repeat(values, self.sizes)

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the cumulative sum of ``values`` that starts anew with each owner.

        An owner's sums are the same bits whoever stands beside it: they are summed as integers of ``SUM_STEP``, which
        subtract exactly, also where the sum of all overflows. Each owner's own sum must stay below 8e12.
        """
        total = np.zeros(len(values) + 1, dtype=np.int64)
        np.cumsum(np.rint(values / SUM_STEP).astype(np.int64), out=total[1:])
        return np.asarray((total[1:] - self.each(total[self.begin])) * SUM_STEP)

    def max(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the cumulative maximum of ``values``, to ``MAX_STEP``, that starts anew with each owner.

        -inf stands for none. Like the sums, it does not depend on who stands beside an owner.
        """
        finite = np.isfinite(values)
        if not finite.any():
            return values
        whole = np.rint(np.where(finite, values, values[finite.argmax()]) / MAX_STEP).astype(np.int64)
        none = int(whole.min()) - 1
        floor = self.each(np.arange(len(self.sizes)) * (int(whole.max()) - none + 1))  # above all owners before
        top = np.maximum.accumulate(np.where(finite, whole, none) + floor) - floor
        return np.where(top == none, -np.inf, top * MAX_STEP)


def first_minimum(head: npt.NDArray[np.bool_], values: npt.NDArray[np.float64]) -> Index:
    """Return where each owner has its least value, the first of equal ones; ``head``: where owners begin."""
    start = np.flatnonzero(head)
    least = np.minimum.reduceat(values, start)
    number = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(values))))
    at = np.flatnonzero(values == least[number])
    return at[heads(number[at])]
