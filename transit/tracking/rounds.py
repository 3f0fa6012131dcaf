"""In which order reports are taken: as they came, in rounds that may be computed at once.

What is done with a report may depend on all that came before it, and on none that came after: so it does not matter how
reports are cut into batches. A round is as many reports as can be handled together to the same effect: of each vehicle
one, and of the vehicles that contend for one trip by name one.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOMENT_MS: Final = 30_000  # of the city's time: what is learned and who holds which run is settled so often …
SAID_EVERY_MS: Final = 60_000  # … and what was said: held to each dip in between, it would be too early all the time
CAUGHT_UP_MS: Final = 7_200_000  # after a longer pause everything is silent anyway


def in_order(received_ms: Index, fix_ms: Index) -> Index:
    """Return the order in which reports are taken: as received; those received together as measured."""
    return np.lexsort((fix_ms, received_ms)).astype(np.int64)


def moments(after_ms: int, until_ms: int) -> range:
    """Return the fixed moments that are over before ``until_ms`` and came after the last one."""
    last_ms = (until_ms - 1) // MOMENT_MS * MOMENT_MS
    return range(max(after_ms + MOMENT_MS, last_ms - CAUGHT_UP_MS), last_ms + 1, MOMENT_MS)


def spans(came_ms: Index) -> Iterator[slice]:
    """Cut reports, in order, where a fixed moment lies between them."""
    if not len(came_ms):
        return
    number = (came_ms - 1) // MOMENT_MS
    cut = np.flatnonzero(np.diff(number)) + 1
    for begin, end in zip([0, *cut.tolist()], [*cut.tolist(), len(came_ms)], strict=True):
        yield slice(begin, end)


def rounds(*keys: Index) -> Iterator[slice]:
    """Cut reports, in order, into the fewest slices in which no key comes twice."""
    if not len(keys[0]):
        return
    earlier = np.stack([_earlier(key) for key in keys]).max(axis=0)
    latest = np.maximum.accumulate(earlier)
    begin = 0
    while begin < len(latest):
        end = int(np.searchsorted(latest, begin))
        yield slice(begin, end)
        begin = end


def contended(vehicle: Index, word: Index, disputed: Bools, holders: Callable[[int], Sequence[int]]) -> Index:
    """Return a number for each report that is the same for those of vehicles that contend for one run by name.

    ``word`` is a number for the name that each is told, -1 for none; ``holders`` says who is on it already, and
    ``disputed`` where another vehicle is.
    """
    told = np.flatnonzero(word >= 0)
    told = told[np.argsort(word[told], kind="stable")]
    names, rows = word[told], vehicle[told]
    shared = names[1:][(names[1:] == names[:-1]) & (rows[1:] != rows[:-1])]
    number = vehicle.copy()
    for one in np.unique(np.concatenate([shared, word[disputed]])).tolist():
        number[(word == one) | np.isin(vehicle, holders(one))] = -1 - one
    return number


def _earlier(key: Index) -> Index:
    """Return where each key came last before, -1 for nowhere."""
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    found = np.full(len(key), -1, dtype=np.int64)
    found[order[1:][same]] = order[:-1][same]
    return found
