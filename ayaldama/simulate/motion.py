"""The truth: where every bus is, second by second, and when it was at each stop. Pure, in arrays, one step a second.

Buses leave a terminal at the planned time or as soon as they are there, drive at the speed that traffic allows, brake
for stops and lights, and dwell as long as it takes the people who gathered since the last bus of the line: a late bus
finds more of them and gets later, so bunching comes by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ayaldama.simulate.duties import Duty
from ayaldama.simulate.traffic import Traffic
from gtfs_data.network import Network

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

STEP_MS: Final = 1_000
ACCELERATION: Final = 1.0  # m/s², comfortable for standing passengers
BRAKING: Final = 1.1
CRUISE_OVER_MEAN: Final = 1.62  # planned times include stops, lights and acceleration
SPEED_MAX: Final = 19.0  # m/s
SPEED_MIN: Final = 1.2
LIGHTS_PER_S: Final = 1 / 140  # of driving
LIGHT_S: Final = (4.0, 32.0)
DOORS_S: Final = 5.0
BOARDING_S: Final = 1.9  # per passenger, paying at the door
ARRIVALS_PER_S: Final = 1 / 320  # passengers at an average stop, per second since the last bus
GAP_MAX_S: Final = 1_800.0
DWELL_MAX_S: Final = 110.0
FLOW_EVERY_MS: Final = 5_000  # traffic is looked up anew; a bus drives some 40 m meanwhile
UNLOADING_S: Final = (15.0, 45.0)  # at the last stop everybody gets off
PASSED_BY: Final = 0.35  # chance that nobody wants to get off where nobody waits
TURN_S: Final = 60.0  # the least time at a terminal
SHOW_BEFORE_S: Final = 600.0  # how long before its first run, or the first after a rest, a bus comes out
REST_S: Final = 1_800.0  # with so long until its next run a bus drives off to rest

NEVER_MS: Final = np.iinfo(np.int64).max

OFF, WAITING, DRIVING, DWELLING = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Passages:
    """Buses at stops, as they truly were. ``row`` is the pattern row, ``run`` tells drives apart.

    ``boarded``: how many passengers got on.
    """

    bus: Index
    row: Index
    run: Index
    arrival_ms: Index
    departure_ms: Index
    boarded: Index


class Motion:
    """All buses of a city. ``step`` moves them by one second."""

    def __init__(
        self, network: Network, duties: Sequence[Duty], traffic: Traffic, start_ms: int, rng: np.random.Generator
    ) -> None:
        self._network, self._traffic, self._rng = network, traffic, rng
        self.now_ms = start_ms
        self._runs(duties)
        patterns = network.patterns
        self._line = np.concatenate(
            [patterns.line_offset_m[a:b] for a, b in zip(patterns.line_first, patterns.line_last, strict=True)]
        )
        self._line_xy = np.concatenate(
            [patterns.line_xy[a:b] for a, b in zip(patterns.line_first, patterns.line_last, strict=True)]
        )
        sizes = patterns.line_last - patterns.line_first
        self._line_first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._apart = float(self._line.max()) + 1_000.0  # keeps lines apart in one sorted array
        self._sorted = self._line + self._apart * np.repeat(np.arange(len(sizes)), sizes)
        self._links(network)
        self._begin(len(duties))

    def __len__(self) -> int:
        """Return the number of buses."""
        return len(self.run)

    def step(self) -> Passages:
        """Move on by one second; return who left or passed which stop, or ended a run."""
        self.now_ms += STEP_MS
        self._come_and_go()
        moving = np.flatnonzero(self.state == DRIVING)
        self._look_at_traffic(moving)
        self._drive(moving)
        arrived = moving[self.offset_m[moving] >= self._stop_offset(moving) - 0.5]
        self._arrive(arrived)
        return self._leave()

    @property
    def visible(self) -> Index:
        """The buses that are out."""
        return np.flatnonzero(self.state != OFF)

    def place(self, bus: Index) -> tuple[Floats, Floats]:
        """Return metres [n, 2] and heading (degrees from north) of ``bus``."""
        pattern = self._pattern[self.run[bus]]
        return self._at(pattern, self.offset_m[bus])

    def along(self, bus: Index) -> tuple[Index, Floats]:
        """Return pattern and offset along its line of ``bus``."""
        return self._pattern[self.run[bus]], self.offset_m[bus]

    def route_of(self, bus: int) -> tuple[str, int]:
        """Return route id and direction of what a bus drives or waits to drive."""
        pattern = int(self._pattern[self.run[bus]])
        patterns = self._network.patterns
        return self._network.routes.ids[int(patterns.route[pattern])], int(patterns.direction[pattern])

    def trip_of(self, run: int) -> int:
        """Return the planned trip behind a run."""
        return int(self._trip[run])

    def _runs(self, duties: Sequence[Duty]) -> None:
        every = [run for duty in duties for run in duty.runs]
        self._pattern = np.array([run.pattern for run in every], dtype=np.int64)
        self._departure_ms = np.array([run.departure_ms for run in every], dtype=np.int64)
        self._trip = np.array([run.trip for run in every], dtype=np.int64)
        self._planned_s = np.array([run.planned_s for run in every])
        sizes = np.array([len(duty.runs) for duty in duties], dtype=np.int64)
        self._last = np.cumsum(sizes) - 1
        self._first = self._last - sizes + 1

    def _links(self, network: Network) -> None:
        """Mean planned speed on the way to each pattern row, from the trip that is driven most often there."""
        patterns, trips = network.patterns, network.trips
        self._row_first = patterns.first.astype(np.int64)
        self._row_offset = patterns.offset_m.astype(np.float64)
        self._mean_speed = np.full(len(self._row_offset), 7.0)
        for trip in dict(zip(self._pattern.tolist(), self._trip.tolist(), strict=True)).values():
            rows, pattern = trips.rows(trip), int(trips.pattern[trip])
            at = patterns.rows(pattern)
            way_m = np.diff(patterns.offset_m[at])
            time_s = np.diff(trips.arrival_s[rows]).astype(np.float64)
            speed = way_m / np.maximum(time_s, 10.0)
            self._mean_speed[at.start + 1 : at.stop] = np.clip(speed, 3.0, SPEED_MAX)
        self._demand = ARRIVALS_PER_S * self._rng.gamma(1.5, 1 / 1.5, len(network.stops.ids))
        self._stop_of_row = patterns.stop.astype(np.int64)
        self._served_ms = np.zeros(len(self._row_offset), dtype=np.int64)

    def _begin(self, count: int) -> None:
        """Put every bus where it would be by plan at the start."""
        rng, now_ms = self._rng, self.now_ms
        self.state = np.full(count, OFF)
        self.run = self._first.copy()
        self.offset_m, self.speed = np.zeros(count), np.zeros(count)
        self._next = np.zeros(count, dtype=np.int64)  # pattern row of the stop ahead or at
        self._until_ms = np.zeros(count, dtype=np.int64)
        self._arrived_ms = np.zeros(count, dtype=np.int64)
        self._boarding = np.zeros(count, dtype=np.int64)  # at the stop ahead or at
        self._flow = np.ones(count)  # actual over planned speed where the bus is
        self._pace = np.exp(rng.normal(0.0, 0.06, count))
        self._served_ms[:] = now_ms - rng.integers(60_000, 600_000, len(self._served_ms))
        for bus in range(count):
            runs = slice(int(self._first[bus]), int(self._last[bus]) + 1)
            begun = int(np.searchsorted(self._departure_ms[runs], now_ms, side="right")) - 1
            if begun < 0:
                continue
            run = runs.start + begun
            part = (now_ms - self._departure_ms[run]) / 1000 / self._planned_s[run]
            if part < 1:
                self._depart(np.array([bus]), np.array([run]))
                pattern = int(self._pattern[run])
                first, last = int(self._row_first[pattern]), int(self._row_first[pattern + 1])
                self.offset_m[bus] = part * self._row_offset[last - 1]
                ahead = np.searchsorted(self._row_offset[first:last], self.offset_m[bus], side="right")
                self._next[bus] = min(first + int(ahead), last - 1)
            else:
                self.run[bus] = run
                self._end_run(np.array([bus]))

    def _come_and_go(self) -> None:
        off = np.flatnonzero((self.state == OFF) & (self._until_ms == 0))
        due = off[self._departure_ms[self.run[off]] - self.now_ms <= 1000 * SHOW_BEFORE_S]
        self._wait(due, self.run[due])
        waiting = np.flatnonzero((self.state == WAITING) & (self.now_ms >= self._until_ms))
        self._depart(waiting, self.run[waiting])

    def _wait(self, bus: Index, run: Index) -> None:
        self.state[bus] = WAITING
        self.run[bus] = run
        self.speed[bus] = self.offset_m[bus] = 0.0
        self._next[bus] = self._row_first[self._pattern[run]]
        self.offset_m[bus] = self._row_offset[self._next[bus]]
        ready_ms = self.now_ms + round(1000 * TURN_S)
        late_ms = self._rng.exponential(15_000, len(bus)).astype(np.int64)
        self._until_ms[bus] = np.maximum(self._departure_ms[run] + late_ms, ready_ms)

    def _depart(self, bus: Index, run: Index) -> None:
        first = self._row_first[self._pattern[run]]
        gap_s = np.minimum((self.now_ms - self._served_ms[first]) / 1000, GAP_MAX_S)
        self._boarding[bus] = np.rint(gap_s * self._demand[self._stop_of_row[first]])
        self.state[bus] = DWELLING
        self.run[bus] = run
        self._next[bus] = first
        self._arrived_ms[bus] = self.now_ms
        self.offset_m[bus] = self._row_offset[first]
        self._until_ms[bus] = self.now_ms

    def _look_at_traffic(self, bus: Index) -> None:
        turn = self.now_ms // STEP_MS + bus  # each second another part of the buses
        due = bus[turn % (FLOW_EVERY_MS // STEP_MS) == 0]
        xy, _ = self.place(due)
        self._flow[due] = self._traffic.speed_factor(xy, self.now_ms)

    def _drive(self, bus: Index) -> None:
        cruise = np.clip(
            CRUISE_OVER_MEAN * self._mean_speed[self._next[bus]] * self._flow[bus] * self._pace[bus],
            SPEED_MIN,
            SPEED_MAX,
        )
        left_m = np.maximum(self._stop_offset(bus) - self.offset_m[bus], 0.0)
        braking = np.sqrt(2 * BRAKING * left_m) + 0.6
        lights = self._rng.random(len(bus)) < LIGHTS_PER_S
        hold_ms = (1000 * self._rng.uniform(*LIGHT_S, len(bus))).astype(np.int64)
        self._until_ms[bus] = np.where(lights, self.now_ms + hold_ms, self._until_ms[bus])
        held = self._until_ms[bus] > self.now_ms
        wanted = np.where(held, 0.0, np.minimum(cruise, braking))
        now = self.speed[bus]
        self.speed[bus] = np.clip(wanted, now - 2.5 * BRAKING, now + ACCELERATION)
        self.offset_m[bus] = np.minimum(self.offset_m[bus] + self.speed[bus], self._stop_offset(bus))

    def _stop_offset(self, bus: Index) -> Floats:
        return self._row_offset[self._next[bus]]

    def _arrive(self, bus: Index) -> None:
        row = self._next[bus]
        self._arrived_ms[bus] = self.now_ms
        gap_s = np.minimum((self.now_ms - self._served_ms[row]) / 1000, GAP_MAX_S)
        boarding = self._rng.poisson(gap_s * self._demand[self._stop_of_row[row]])
        pass_by = (boarding == 0) & (self._rng.random(len(bus)) < PASSED_BY)
        dwell_s = np.minimum(DOORS_S + BOARDING_S * boarding + self._rng.exponential(3.0, len(bus)), DWELL_MAX_S)
        ends = self._ends(bus)
        dwell_s[ends] = self._rng.uniform(*UNLOADING_S, int(ends.sum()))
        pass_by &= ~ends
        self._boarding[bus] = np.where(ends, 0, boarding)
        dwell_s[pass_by] = 0.0
        self.state[bus] = DWELLING
        self.speed[bus] = np.where(pass_by, self.speed[bus], 0.0)
        self._until_ms[bus] = self.now_ms + (1000 * dwell_s).astype(np.int64)

    def _leave(self) -> Passages:
        bus = np.flatnonzero((self.state == DWELLING) & (self.now_ms >= self._until_ms))
        row = self._next[bus]
        self._served_ms[row] = self.now_ms
        left = Passages(
            bus,
            row,
            self.run[bus].copy(),
            self._arrived_ms[bus].copy(),
            np.full(len(bus), self.now_ms),
            self._boarding[bus].copy(),
        )
        ended = self._ends(bus)
        going = bus[~ended]
        self.state[going] = DRIVING
        self._next[going] += 1
        self._end_run(bus[ended])
        return left

    def _ends(self, bus: Index) -> npt.NDArray[np.bool_]:
        """Say which buses have the last stop of their run ahead."""
        return np.asarray(self._next[bus] + 1 == self._row_first[self._pattern[self.run[bus]] + 1])

    def _end_run(self, bus: Index) -> None:
        """Let buses wait for their next run, rest until then, or go home."""
        last = self.run[bus] == self._last[bus]
        home = bus[last]
        self.state[home] = OFF
        self._until_ms[home] = NEVER_MS
        more = bus[~last]
        rests = self._departure_ms[self.run[more] + 1] - self.now_ms > 1000 * REST_S
        self._wait(more[~rests], self.run[more[~rests]] + 1)
        resting = more[rests]
        self.run[resting] += 1
        self.state[resting] = OFF
        self._until_ms[resting] = 0

    def _at(self, pattern: Index, offset_m: Floats) -> tuple[Floats, Floats]:
        last = np.searchsorted(self._sorted, pattern * self._apart + offset_m, side="right")
        last = np.clip(last, self._line_first[pattern] + 1, self._line_first[pattern + 1] - 1)
        a, b = self._line_xy[last - 1], self._line_xy[last]
        length = np.maximum(self._line[last] - self._line[last - 1], 1e-6)
        part = np.clip((offset_m - self._line[last - 1]) / length, 0.0, 1.0)
        heading = np.degrees(np.arctan2(b[:, 0] - a[:, 0], b[:, 1] - a[:, 1])) % 360
        return a + part[:, None] * (b - a), heading
