"""How good what boards said was, once the truth is known. Pure.

A *sample* is a prediction as a board had it, once a minute per arrival; it is judged when the bus truly arrives at that
stop. Horizon: from saying it to the time said. Bounds: those by which the MBTA judges its predictions (seconds early,
seconds late; positive: the bus came later than said). Samples whose bus never comes are phantoms.

A bus that comes by twice is expected twice: samples are kept apart by the key of the arrival, and a passage judges
those arrivals whose time has come, not the ones of the next round.
"""

import bisect
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

BINS: Final[Mapping[str, tuple[float, float, float]]] = {  # minutes → up to s, most early s, most late s
    "0-3": (180.0, -60.0, 60.0),
    "3-6": (360.0, -90.0, 120.0),
    "6-12": (720.0, -150.0, 210.0),
    "12-30": (1_800.0, -240.0, 360.0),
}
EVERY_MS: Final = 60_000
WINDOW_MS: Final = 45 * 60_000
NEXT_ROUND_MS: Final = 10 * 60_000  # expected so much later than the bus came: another passage is meant
PHANTOM_MS: Final = 30 * 60_000  # after the time said, nobody waits any more
SAMPLES_MAX: Final = 200_000
DELAYS_MAX: Final = 4_000

Place = tuple[str, str, int]  # bus, stop, stop_sequence


@dataclass(frozen=True, slots=True)
class _Sample:
    made_ms: int
    said_ms: int


@dataclass(frozen=True, slots=True)
class _Scored:
    at_ms: int
    bin: str
    error_s: float


class Scoring:
    """Collects samples and truths; memory is bounded by ``WINDOW_MS`` and ``SAMPLES_MAX``."""

    def __init__(self) -> None:
        self._open: defaultdict[Place, dict[str, list[_Sample]]] = defaultdict(dict)
        self._count = 0
        self._scored: deque[_Scored] = deque(maxlen=SAMPLES_MAX)
        self._phantoms: deque[tuple[int, int]] = deque(maxlen=SAMPLES_MAX)  # given up at, number of samples
        self._delays_ms: deque[float] = deque(maxlen=DELAYS_MAX)

    def said(self, place: Place, key: str, made_ms: int, said_ms: int) -> None:
        """Take what a board shows now of the arrival ``key``; at most one sample a minute is kept of it."""
        samples = self._open[place].setdefault(key, [])
        if (samples and made_ms - samples[-1].made_ms < EVERY_MS) or said_ms <= made_ms or self._count >= SAMPLES_MAX:
            return
        samples.append(_Sample(made_ms, said_ms))
        self._count += 1

    def arrived(self, place: Place, true_ms: int) -> None:
        """Judge all that was said of this arrival."""
        expected = self._open.get(place, {})
        due = [key for key, samples in expected.items() if not samples or samples[-1].said_ms < true_ms + NEXT_ROUND_MS]
        for sample in (sample for key in due for sample in self._take(place, key)):
            horizon_s = (sample.said_ms - sample.made_ms) / 1000
            at = bisect.bisect_left([limit for limit, _, _ in BINS.values()], horizon_s)
            if at < len(BINS):
                error_s = (true_ms - sample.said_ms) / 1000
                self._scored.append(_Scored(true_ms, list(BINS)[at], error_s))

    def received(self, delay_ms: float) -> None:
        """Take a delay from fix to board, in milliseconds of the wall."""
        self._delays_ms.append(delay_ms)

    def forget(self, now_ms: int) -> None:
        """Drop what is too old; what was said and did not come becomes a phantom."""
        while self._scored and self._scored[0].at_ms < now_ms - WINDOW_MS:
            self._scored.popleft()
        while self._phantoms and self._phantoms[0][0] < now_ms - WINDOW_MS:
            self._phantoms.popleft()
        given_up = [
            (place, key)
            for place, expected in self._open.items()
            for key, samples in expected.items()
            if not samples or samples[-1].said_ms < now_ms - PHANTOM_MS
        ]
        for place, key in given_up:
            self._phantoms.append((now_ms, len(self._take(place, key))))

    def _take(self, place: Place, key: str) -> list[_Sample]:
        samples = self._open[place].pop(key)
        if not self._open[place]:
            del self._open[place]
        self._count -= len(samples)
        return samples

    def mae_s(self) -> dict[str, float]:
        """Return the mean absolute error in seconds per horizon that has samples."""
        found = {name: [abs(one.error_s) for one in self._scored if one.bin == name] for name in BINS}
        return {name: round(float(np.mean(errors)), 1) for name, errors in found.items() if errors}

    def within_bounds_pct(self) -> float | None:
        """Return the share of samples within the bounds of their horizon."""
        if not self._scored:
            return None
        good = sum(BINS[one.bin][1] <= one.error_s <= BINS[one.bin][2] for one in self._scored)
        return round(100 * good / len(self._scored), 1)

    def delay_ms(self) -> tuple[int, int] | None:
        """Return median and 99th percentile from fix to board."""
        if not self._delays_ms:
            return None
        p50, p99 = np.percentile(np.array(self._delays_ms), [50, 99])
        return round(float(p50)), round(float(p99))

    @property
    def judged(self) -> int:
        """How many samples the figures rest on."""
        return len(self._scored)

    def phantoms_pct(self) -> float | None:
        """Return the share of samples whose bus never came."""
        phantoms = sum(number for _, number in self._phantoms)
        known = phantoms + len(self._scored)
        return round(100 * phantoms / known, 1) if known else None
