"""From fix to pixel: delays counted in bins, per panel and for all boards; quantiles over the last hour. Pure.

Bins grow by a tenth, so a quantile is right to 5 %. Slots of five minutes of the wall are what is kept and forgotten.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

FIRST_S: Final = 0.01  # all below is the first bin
GROWTH: Final = 1.1
BINS: Final = 100  # the last begins at 125 s
SLOT_MS: Final = 300_000
HOUR_MS: Final = 3_600_000
QUANTILES: Final = (0.5, 0.95, 0.99)
Counts = npt.NDArray[np.int32]  # of each bin

EVERY_BOARD: Final = ""  # instead of a panel's name: all boards that acknowledge, registered or not


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """Of how many paintings, and the quantiles, in milliseconds of the wall."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


def bin_of(delay_s: float) -> int:
    """Return the bin of a delay."""
    if delay_s <= FIRST_S:
        return 0
    return min(BINS - 1, 1 + int(math.log(delay_s / FIRST_S, GROWTH)))


def slot_of(wall_ms: int) -> int:
    """Return the slot of a moment: when it began."""
    return wall_ms - wall_ms % SLOT_MS


def no_counts() -> Counts:
    """Return bins in which nothing is counted yet."""
    return np.zeros(BINS, dtype=np.int32)


def quantile_ms(counts: Counts, share: float) -> float:
    """Return the delay, in milliseconds, that ``share`` of all counted are at most.

    Raises:
        ValueError: if nothing was counted.
    """
    up_to = np.cumsum(counts)
    if up_to[-1] == 0:
        raise ValueError("no delay was counted")
    number = int(np.searchsorted(up_to, max(1, math.ceil(share * int(up_to[-1])))))
    return 1000 * FIRST_S * (GROWTH ** (number - 0.5) if number else 1.0)


def delays_of(slots: Iterable[Counts]) -> Delays | None:
    """Return the quantiles of several slots together, None if nothing was painted."""
    counts = sum(slots, start=no_counts())
    if not counts.any():
        return None
    p50_ms, p95_ms, p99_ms = (round(quantile_ms(counts, share), 1) for share in QUANTILES)
    return Delays(count=int(counts.sum()), p50_ms=p50_ms, p95_ms=p95_ms, p99_ms=p99_ms)


def last_hour(slots: Mapping[tuple[str, int, str], Counts], wall_ms: int) -> dict[str, Delays]:
    """Return the delays of the last hour by panel; ``slots``: panel, slot and who counted → counts."""
    by_panel: dict[str, list[Counts]] = {}
    for (panel, slot_ms, _), counts in slots.items():
        if slot_ms > wall_ms - HOUR_MS - SLOT_MS:
            by_panel.setdefault(panel, []).append(counts)
    found = {panel: delays_of(of_panel) for panel, of_panel in by_panel.items()}
    return {panel: delays for panel, delays in found.items() if delays is not None}
