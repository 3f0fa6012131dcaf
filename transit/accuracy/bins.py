"""By how much a prediction may be wrong, by how far ahead it looks: the bounds of MBTA and of the Transit app.

Errors are actual minus predicted, in seconds: positive means that the bus came later than said. Sources: MBTA,
prediction_analyzer (bounds exclusive, bins by the time *predicted* ahead); Transit, ETA-Accuracy-Benchmark (bounds
inclusive, bins by the time *really* ahead).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

AHEAD_MIN_S: Final = -30  # a prediction of a moment ago still hangs on the board
AHEAD_MAX_S: Final = 1_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Predictions from ``from_s`` up to, not including, ``to_s`` ahead may err from ``early_s`` to ``late_s``."""

    name: str
    from_s: float
    to_s: float
    early_s: int
    late_s: int


MBTA: Final[Sequence[Bin]] = (
    Bin(name="0-3", from_s=AHEAD_MIN_S, to_s=180, early_s=-60, late_s=60),
    Bin(name="3-6", from_s=180, to_s=360, early_s=-90, late_s=120),
    Bin(name="6-12", from_s=360, to_s=720, early_s=-150, late_s=210),
    Bin(name="12-30", from_s=720, to_s=AHEAD_MAX_S + 0.001, early_s=-240, late_s=360),  # the half hour itself included
)
TRANSIT: Final[Sequence[Bin]] = (
    Bin(name="0-3", from_s=0, to_s=180, early_s=-30, late_s=90),
    Bin(name="3-6", from_s=180, to_s=360, early_s=-60, late_s=150),
    Bin(name="6-10", from_s=360, to_s=600, early_s=-60, late_s=210),
    Bin(name="10-15", from_s=600, to_s=900, early_s=-90, late_s=270),
)
