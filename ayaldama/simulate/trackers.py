"""What a GPS unit on a bus makes of the truth: drift, outliers, freezes, fixes kept while there is no network. Pure.

Errors are of the size that notes on GPS in cities give: 5 to 15 m most of the time, correlated over a minute because
the same walls reflect the same satellites; now and then a fix is hundreds of metres off.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

INTERVALS_S: Final = (5, 10, 10, 10, 15, 15, 30)  # by unit: what operators set to save traffic
DRIFT_M: Final = 5.0  # standard deviation per axis
DRIFT_S: Final = 60.0
WHITE_M: Final = 2.5
OUTLIERS: Final = 1 / 1_500  # per fix
OUTLIER_M: Final = (120.0, 1_500.0)
FREEZES_PER_S: Final = 1 / 14_400  # the unit repeats its last place
FREEZE_S: Final = (30.0, 150.0)
TERMINALS: Final = 0.8  # share of buses whose driver's terminal tells line and direction
GAPS_PER_S: Final = 1 / 5_400  # no mobile network: fixes are kept and sent later
GAP_S: Final = (20.0, 150.0)
REPEATS: Final = 1 / 300  # a packet is sent twice
LATE: Final = 1 / 400  # a fix comes one packet late
WRONG_CLOCKS: Final = 1 / 4_000  # per fix: the unit tells a time that is not
CLOCK_ERRORS_MS: Final = (
    -1_024 * 7 * 86_400_000,  # GPS counts weeks in ten bits: old receivers fall back 19.6 years
    -86_400_000,  # the date turned a day late
    5 * 3_600_000,  # local time told as UTC
)


@dataclass(frozen=True, slots=True, eq=False)
class Fixes:
    """Fixes that units made this second. ``repeated`` are sent twice, ``late`` after the unit's next one."""

    bus: Index
    fix_ms: Index  # as the unit tells it
    xy: Floats  # [n, 2] metres
    speed_mps: Floats
    heading_deg: Floats
    repeated: npt.NDArray[np.bool_]
    late: npt.NDArray[np.bool_]


class Units:
    """The units of all buses."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._interval_s = rng.choice(np.array(INTERVALS_S), count)
        self._phase_s = rng.integers(0, 60, count)
        self._drift = rng.normal(0.0, DRIFT_M, (count, 2))
        self._quality = rng.choice(np.array([0.7, 1.0, 1.0, 1.6]), count)  # some aerials lie under metal
        self._frozen_until_ms = np.zeros(count, dtype=np.int64)
        self._frozen_xy = np.zeros((count, 2))
        self.tells_line = rng.random(count) < TERMINALS
        self.offline_until_ms = np.zeros(count, dtype=np.int64)

    def take(self, bus: Index, xy: Floats, speed: Floats, heading: Floats, now_ms: int) -> Fixes:
        """Return the fixes of the buses that are due this second. Call it once a second."""
        rng = self._rng
        keep = np.exp(-1.0 / DRIFT_S)
        step = rng.normal(0.0, DRIFT_M * np.sqrt(1 - keep**2), (len(bus), 2))
        self._drift[bus] = keep * self._drift[bus] + step * self._quality[bus, None]
        self._gaps(bus, now_ms)
        self._freezes(bus, xy, now_ms)
        due = (now_ms // 1_000 + self._phase_s[bus]) % self._interval_s[bus] == 0
        who, n = bus[due], int(due.sum())
        seen = xy[due] + self._drift[who] + rng.normal(0.0, WHITE_M, (n, 2)) * self._quality[who, None]
        frozen = self._frozen_until_ms[who] > now_ms
        seen[frozen] = self._frozen_xy[who[frozen]]
        off = rng.random(n) < OUTLIERS
        angle, far = rng.uniform(0, 2 * np.pi, n), rng.uniform(*OUTLIER_M, n)
        seen[off] += (far[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]))[off]
        wrong = rng.random(n) < WRONG_CLOCKS
        moving = speed[due] > 1.0
        return Fixes(
            bus=who,
            fix_ms=now_ms + np.where(wrong, rng.choice(np.array(CLOCK_ERRORS_MS), n), 0),
            xy=seen,
            speed_mps=np.where(frozen, 0.0, np.maximum(speed[due] + rng.normal(0.0, 0.4, n), 0.0)),
            heading_deg=np.where(moving, heading[due] + rng.normal(0.0, 5.0, n), rng.uniform(0, 360, n)) % 360,
            repeated=rng.random(n) < REPEATS,
            late=rng.random(n) < LATE,
        )

    def _gaps(self, bus: Index, now_ms: int) -> None:
        lost = bus[self._rng.random(len(bus)) < GAPS_PER_S]
        self.offline_until_ms[lost] = now_ms + (1000 * self._rng.uniform(*GAP_S, len(lost))).astype(np.int64)

    def _freezes(self, bus: Index, xy: Floats, now_ms: int) -> None:
        hit = self._rng.random(len(bus)) < FREEZES_PER_S
        stuck = bus[hit]
        self._frozen_until_ms[stuck] = now_ms + (1000 * self._rng.uniform(*FREEZE_S, len(stuck))).astype(np.int64)
        self._frozen_xy[stuck] = xy[hit] + self._drift[stuck]
