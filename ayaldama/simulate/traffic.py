"""How fast traffic flows where and when: a smooth field over the city, shared by all lines on a street. Pure.

The field is a function of place and time with no state of its own: sums of waves with a random direction, length and
period, plus congestions that come and go. Amplitudes are shares of speed (as logarithms).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STREET_WAVES: Final = 12
STREET_LENGTH_M: Final = (700.0, 4_000.0)
STREET_AMPLITUDE: Final = 0.16  # some streets are always slower than planned, some faster
DRIFT_WAVES: Final = 10
DRIFT_LENGTH_M: Final = (1_000.0, 6_000.0)
DRIFT_PERIOD_S: Final = (1_200.0, 4_800.0)
DRIFT_AMPLITUDE: Final = 0.14
RUSH: Final = ((8.0, 1.2, 0.14), (13.2, 1.0, 0.05), (18.2, 1.4, 0.17))  # hour, width in hours, slowdown
CONGESTIONS_PER_DAY: Final = 40
CONGESTION_RADIUS_M: Final = 450.0
CONGESTION_S: Final = (900.0, 2_700.0)
CONGESTION_SLOWDOWN: Final = (0.3, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """The field of one seed."""

    street: Floats  # [n, 4] wave vector x, y (1/m), phase, amplitude
    drift: Floats  # [n, 5] wave vector x, y, angular speed (1/s), phase, amplitude
    congestions: Floats  # [n, 5] x, y, second of the day, duration s, slowdown
    utc_offset_s: int

    def speed_factor(self, xy: Floats, now_ms: int) -> Floats:
        """Return, for places [n, 2] in metres, actual speed over planned speed."""
        now_s = now_ms / 1000
        hour = ((now_s + self.utc_offset_s) % 86_400) / 3600
        slow = sum(depth * math.exp(-(((hour - at) / width) ** 2)) for at, width, depth in RUSH)
        log = np.full(len(xy), 0.04 - slow)
        log += np.cos(xy @ self.street[:, :2].T + self.street[:, 2]) @ self.street[:, 3]
        phase = xy @ self.drift[:, :2].T + (self.drift[:, 2] * now_s + self.drift[:, 3])
        log += np.cos(phase) @ self.drift[:, 4]
        return np.asarray(np.exp(log - self._congestion(xy, now_s)))

    def _congestion(self, xy: Floats, now_s: float) -> Floats:
        age = (now_s + self.utc_offset_s) % 86_400 - self.congestions[:, 2]
        present = self.congestions[(age > 0) & (age < self.congestions[:, 3])]
        if not len(present):
            return np.zeros(len(xy))
        part = ((now_s + self.utc_offset_s) % 86_400 - present[:, 2]) / present[:, 3]
        strength = present[:, 4] * np.sin(np.pi * part)
        distance2 = ((xy[:, None, :] - present[None, :, :2]) ** 2).sum(axis=2)
        return np.asarray(np.exp(-distance2 / (2 * CONGESTION_RADIUS_M**2)) @ strength)


def traffic_of(xy: Floats, utc_offset_s: int, rng: np.random.Generator) -> Traffic:
    """Return the traffic of a city whose stops lie at ``xy``."""
    places = xy[rng.integers(0, len(xy), CONGESTIONS_PER_DAY)]
    return Traffic(
        street=np.column_stack(_waves(STREET_WAVES, STREET_LENGTH_M, STREET_AMPLITUDE, rng)),
        drift=np.column_stack(
            [
                *_waves(DRIFT_WAVES, DRIFT_LENGTH_M, 1.0, rng)[:2],
                2 * np.pi / rng.uniform(*DRIFT_PERIOD_S, DRIFT_WAVES),
                rng.uniform(0, 2 * np.pi, DRIFT_WAVES),
                np.full(DRIFT_WAVES, DRIFT_AMPLITUDE * math.sqrt(2 / DRIFT_WAVES)),
            ]
        ),
        congestions=np.column_stack(
            [
                places,
                rng.uniform(6.5 * 3600, 21 * 3600, CONGESTIONS_PER_DAY),
                rng.uniform(*CONGESTION_S, CONGESTIONS_PER_DAY),
                rng.uniform(*CONGESTION_SLOWDOWN, CONGESTIONS_PER_DAY),
            ]
        ),
        utc_offset_s=utc_offset_s,
    )


def _waves(
    count: int, length_m: tuple[float, float], amplitude: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return x, y of the wave vectors, phases and amplitudes; the sum's standard deviation is ``amplitude``."""
    angle = rng.uniform(0, 2 * np.pi, count)
    number = 2 * np.pi / rng.uniform(*length_m, count)
    return (
        number * np.cos(angle),
        number * np.sin(angle),
        rng.uniform(0, 2 * np.pi, count),
        np.full(count, amplitude * math.sqrt(2 / count)),
    )
