"""Arithmetic on ragged ranges: many small slices of one array handled as one flat array."""

from typing import Final

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]

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


def running_sum(owner: Index, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the cumulative sum of ``values`` that starts anew with each owner.

    An owner's sums are the same bits whoever stands beside it: they are summed as integers of ``SUM_STEP``, which
    subtract exactly, also where the sum of all overflows. Each owner's own sum must stay below 8e12.
    """
    total = np.cumsum(np.rint(values / SUM_STEP).astype(np.int64))
    head = np.flatnonzero(heads(owner))
    before = np.where(head > 0, total[head - 1], 0)
    sizes = np.diff(np.append(head, len(owner)))
    return np.asarray((total - np.repeat(before, sizes)) * SUM_STEP)


def running_max(owner: Index, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the cumulative maximum of ``values``, to ``MAX_STEP``, that starts anew with each owner.

    -inf stands for none. Like the sums, it does not depend on who stands beside an owner.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return values
    whole = np.rint(np.where(finite, values, 0.0) / MAX_STEP).astype(np.int64)
    low = int(whole[finite].min())
    rank = np.cumsum(heads(owner)) * (int(whole[finite].max()) - low + 2)
    top = np.maximum.accumulate(np.where(finite, whole - low + 1, 0) + rank) - rank
    return np.where(top == 0, -np.inf, (top + (low - 1)) * MAX_STEP)


def first_minimum(head: npt.NDArray[np.bool_], values: npt.NDArray[np.float64]) -> Index:
    """Return where each owner has its least value, the first of equal ones; ``head``: where owners begin."""
    start = np.flatnonzero(head)
    least = np.minimum.reduceat(values, start)
    number = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(values))))
    at = np.flatnonzero(values == least[number])
    return at[heads(number[at])]
