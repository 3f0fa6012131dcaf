"""Arithmetic on ragged ranges: many small slices of one array handled as one flat array."""

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]


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
    """Return the cumulative sum of ``values`` that starts anew with each owner."""
    total = np.cumsum(values)
    head = np.flatnonzero(heads(owner))
    before = np.where(head > 0, total[head - 1], 0.0)
    sizes = np.diff(np.append(head, len(owner)))
    return np.asarray(total - np.repeat(before, sizes), dtype=np.float64)


def running_max(owner: Index, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the cumulative maximum of ``values`` that starts anew with each owner; -inf stands for none."""
    finite = np.isfinite(values)
    if not finite.any():
        return values
    low = float(values[finite].min())
    step = float(values[finite].max()) - low + 1.0
    rank = np.cumsum(heads(owner)) * step
    lifted = np.where(finite, values - low, -1.0) + rank
    top = np.maximum.accumulate(lifted) - rank
    return np.where(top < -0.5, -np.inf, top + low)


def first_minimum(head: npt.NDArray[np.bool_], values: npt.NDArray[np.float64]) -> Index:
    """Return where each owner has its least value, the first of equal ones; ``head``: where owners begin."""
    start = np.flatnonzero(head)
    least = np.minimum.reduceat(values, start)
    number = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(values))))
    at = np.flatnonzero(values == least[number])
    return at[heads(number[at])]
