"""The tracker's whole memory: one row per vehicle in arrays, and what was learned of the links.

Everything here is saved in a checkpoint, and nothing else is needed to go on. Times are epoch milliseconds, 0 for
never; -1 stands for no pattern, trip, row and so on. Only the stages of ``Tracker.advance`` write here.
"""

import itertools
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from transit.tracking.detour_book import Book
from transit.tracking.lessons import DEPARTURE, EXCURSION, OUTCOME, PASSAGE, Lessons

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

RATES: Final = 9  # columns of ``travel_times.Rates``
LEADS: Final = 6  # times ahead at which predictions are judged
LEVELS: Final = 3  # p10, p50, p90
LEGS: Final = 2  # the run under way, and the next one of the block
WAYS: Final = 3  # of expecting departures (``departures``)
LEFT_KEPT: Final = 8  # departures of one place within a quarter of an hour
NOTHING: Final = frozenset(
    (
        *("hint_trip", "hint_block", "hint_route", "hint_direction", "guess_pattern", "slot", "pattern", "last_route"),
        *(
            "last_pattern",
            "line_pattern",
            "run_trip",
            "run_pattern",
            "passed_row",
            "shown_trip",
            "shown_pattern",
            "saying_run",
            "claim_pattern",
        ),
    )
)  # columns of indexes: new rows begin as -1


class _Column(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    vehicle_ids: list[str]
    now_ms: int
    moment_ms: int
    vehicles: dict[str, _Column]
    links: dict[str, _Column]
    lessons: list[_Column]
    detours: bytes


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How long the columns are that do not grow."""

    slots: int  # hypotheses per vehicle
    stops: int  # of the longest pattern
    links: int
    routes: int
    rows: int  # of all patterns
    starts: int  # places where a route's runs begin
    late_bins: int
    stood_bins: int


class LinkMemory:
    """What was observed on the links: pairs of sums [2, n], observed first, and when each was last added to."""

    def __init__(self, sizes: Sizes) -> None:
        self.recent, self.recent_ms = _floats(2, sizes.links), _ints(sizes.links)  # observed, expected; fading
        self.line, self.line_ms = _floats(2, sizes.routes), _ints(sizes.routes)
        self.city, self.city_ms = _floats(2, 1), _ints(1)
        self.since, self.since_ms = (
            _floats(2, sizes.links),
            _ints(sizes.links),
        )  # seconds, runs; since the last training
        self.plan = _floats(2, sizes.routes)  # driven, planned
        self.dwell = _floats(2, sizes.links)  # seconds, runs
        self.square = _floats(2, sizes.links)  # squared deviation, runs
        self.early = _floats(2, sizes.rows)  # runs that came early and waited for their time, all that came early
        self.recovery = _floats(8)  # sums of a regression: [guessed or told][early or late][xy, xx], flat
        self.rates, self.rates_ms = _floats(RATES, sizes.links), _ints(1)  # what follows from all this, and as of when
        self.shifts, self.judged = (
            _floats(2, LEADS, LEVELS),
            _floats(2, LEADS),
        )  # how true predictions proved (``said``)
        self.followed = _floats(sizes.routes, 2, 2, LEADS, 2)  # how far the plan was followed (``timetable_weight``)
        self.left_late = _floats(sizes.starts, sizes.late_bins)  # departures by lateness, fading
        self.left_after = _floats(sizes.starts, sizes.stood_bins)  # departures by time stood, fading
        self.habit_kept = _floats(2, sizes.starts)  # departures made, and expected, while somebody waited; fading
        self.departure_off = _floats(WAYS, sizes.starts)  # seconds by which each way to expect departures was off …
        self.departure_proofs = _floats(WAYS, sizes.starts)  # … departures; both fading
        self.left_ms = _ints(sizes.starts, LEFT_KEPT)  # the last departures, newest last

    def forget_since(self) -> None:
        """Forget what the last training has taken in."""
        for sums in (self.since, self.dwell, self.square):
            sums.fill(0.0)


class Vehicles:
    """Columns with one row per vehicle. The lengths of ``slots`` and ``stops`` columns are given at the start."""

    def __init__(self, capacity: int, *, slots: int, stops: int) -> None:
        # what the vehicle said last, and how it moved
        self.fix_ms = _ints(capacity)
        self.lat, self.lon = _floats(capacity), _floats(capacity)
        self.x, self.y = _floats(capacity), _floats(capacity)
        self.speed_mps, self.heading_deg = _floats(capacity), _floats(capacity)
        self.hint_trip, self.hint_block = _ints(capacity), _ints(capacity)
        self.hint_route, self.hint_direction = _ints(capacity), _ints(capacity)
        self.jumps = _ints(capacity)  # in a row, disbelieved
        self.moved_x, self.moved_y = _floats(capacity), _floats(capacity)  # where it was when it last moved visibly
        self.moved_ms = _ints(capacity)
        self.seen_ms, self.seen_m = _ints(capacity), _floats(capacity)  # followed without a gap since, and driven
        self.astray_m = _floats(capacity)  # driven since what the feed says of it was last credible
        self.idle_m = _floats(capacity)  # driven since it was last on a run or at a depot
        self._assignment(capacity, slots)
        # passages
        self.passed_row, self.passed_ms = _ints(capacity), _ints(capacity)
        self.passed_left_ms = _ints(capacity)  # departure from ``passed_row``
        self.pace_s, self.pace_base_s = _floats(capacity), _floats(capacity)  # driven and expected lately, fading …
        self.manner_s, self.manner_base_s = _floats(capacity), _floats(capacity)  # … and over the day …
        self.paced_ms = _ints(capacity)  # … as of then
        self.late_s, self.late_ms = _floats(capacity), _ints(capacity)  # behind the plan, as of some minutes ago …
        self.later_s, self.later_ms = _floats(capacity), _ints(capacity)  # … and since
        self.left_ms = _ints(capacity)  # last departure from a first stop
        self.entered_ms = _ints(capacity)  # arrival at the stop it stands at, not yet left
        # runs: one column per leg; stop times count from ``run_zero_ms``
        self.run_trip, self.run_pattern = _ints(capacity, LEGS), _ints(capacity, LEGS)
        self.run_zero_ms, self.run_start_ms = _ints(capacity, LEGS), _ints(capacity, LEGS)
        self.run_day = _ints(capacity, LEGS)  # service date, proleptic ordinal
        self.run_scheduled = _ints(capacity, LEGS)
        self.claim_pattern, self.claim_start_ms = _ints(capacity), _ints(capacity)  # held at the last fixed moment
        self.run_guessed = _ints(capacity)  # 1: nothing but place and time says that it is this run
        # what is published: the runs, and the arrival at stop k of each, 0 for none
        self.shown_on_map, self.shown_departed = _ints(capacity), _ints(capacity)
        self.silent = _bytes(capacity)  # 1: shown as silent
        self.shown_at_ms = _ints(capacity)
        self.shown_trip, self.shown_pattern = _ints(capacity, LEGS), _ints(capacity, LEGS)
        self.shown_start_ms, self.shown_day = _ints(capacity, LEGS), _ints(capacity, LEGS)
        self.shown_first, self.shown_last = _ints(capacity, LEGS), _ints(capacity, LEGS)
        self.shown_ms = _ints(capacity, LEGS, stops)
        # what was said of each arrival at the last fixed moment, and what it will be judged by
        self.saying_run, self.saying_at_ms = _ints(capacity, LEGS), _ints(capacity)
        self.saying_ms = _ints(capacity, LEGS, stops)
        self.unsaid = _bytes(capacity)  # 1: heard since
        self.asked_ms, self.asked_spread_ms = _ints(capacity, LEADS, stops), _singles(capacity, LEADS, stops)
        self.asked_drawn_s = _singles(capacity, LEADS, stops)
        for name in NOTHING:
            getattr(self, name).fill(-1)

    def _assignment(self, capacity: int, slots: int) -> None:
        """Hypotheses, one column per slot; the one that is believed, and what follows from it."""
        self.guess_pattern = _ints(capacity, slots)
        self.guess_offset_m = _floats(capacity, slots)
        self.guess_odds = _floats(capacity, slots)
        self.guess_progress_m = _floats(capacity, slots)
        self.guess_gap_m = _floats(capacity, slots)
        self.guess_born_ms, self.guess_born_m = _ints(capacity, slots), _floats(capacity, slots)  # found when and where
        self.guess_midway = _bytes(capacity, slots)  # 1: found on the way of a line, by a vehicle seen elsewhere before
        self.seeded_ms = _ints(capacity)
        self.seeded_x, self.seeded_y = _floats(capacity), _floats(capacity)
        self.slot = _ints(capacity)
        self.pattern = _ints(capacity)
        self.offset_m = _floats(capacity)
        self.front_m = _floats(capacity)  # furthest offset reached: stops behind it are passed
        self.front_ms = _ints(capacity)
        self.phase = _ints(capacity)
        self.bad_fixes = _ints(capacity)  # in a row, off the line
        self.departed = _ints(capacity)  # 1 once it left the first stop
        self.ended_ms = _ints(capacity)  # when it came so near the last stop that its run is all but over
        self.last_route, self.last_pattern = _ints(capacity), _ints(capacity)
        # where it was last seen on its line, and what it did since (``excursions``)
        self.line_pattern, self.line_m, self.line_ms = _ints(capacity), _floats(capacity), _ints(capacity)
        self.line_from_m = _floats(capacity)  # on the line without a break since
        self.strayed = _ints(capacity)  # fixes in a row off that line
        self.back_fixes = _ints(capacity)  # … and on it again, further on
        self.back_from_m, self.back_from_ms, self.back_m = _floats(capacity), _ints(capacity), _floats(capacity)


class Fleet(Vehicles):
    """All vehicles ever heard, by row, and the links they run on."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(0, slots=sizes.slots, stops=sizes.stops)
        self._sizes, self._capacity = sizes, 0
        self.vehicle_ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self.links = LinkMemory(sizes)
        self.passages, self.departures = Lessons(PASSAGE), Lessons(DEPARTURE)
        self.outcomes, self.excursions = Lessons(OUTCOME), Lessons(EXCURSION)
        self.detours = Book()
        self.now_ms = 0
        self.moment_ms = 0  # the last fixed moment that is over

    def __len__(self) -> int:
        """Return the number of vehicles ever heard."""
        return len(self.vehicle_ids)

    def rows_for(self, vehicle_ids: Sequence[str]) -> Ints:
        """Return the row of each vehicle, new rows for vehicles never heard before."""
        row_of = self._row_of
        rows = np.fromiter(map(row_of.get, vehicle_ids, itertools.repeat(-1)), dtype=np.int64, count=len(vehicle_ids))
        for place in np.flatnonzero(rows < 0).tolist():
            rows[place] = row = row_of.setdefault(vehicle_ids[place], len(self.vehicle_ids))
            if row == len(self.vehicle_ids):
                self.vehicle_ids.append(vehicle_ids[place])
        if len(self.vehicle_ids) > self._capacity:
            self._grow(max(64, 2 * len(self.vehicle_ids)))
        return rows

    def save(self) -> bytes:
        """Return everything as bytes for ``load``."""
        saved = _Saved(
            self.vehicle_ids,
            self.now_ms,
            self.moment_ms,
            {name: _pack(array[: len(self)]) for name, array in _arrays(self).items()},
            {name: _pack(array) for name, array in _arrays(self.links).items()},
            [_pack(lessons.waiting) for lessons in self._lessons],
            self.detours.save(),
        )
        return zlib.compress(msgspec.msgpack.encode(saved), 1)

    @classmethod
    def load(cls, data: bytes, sizes: Sizes) -> "Fleet":
        """Return the fleet that ``save`` wrote.

        Raises:
            ValueError: if ``data`` is broken or was written for other parameters or another network.
        """
        try:
            saved = msgspec.msgpack.decode(zlib.decompress(data), type=_Saved)
        except (zlib.error, msgspec.MsgspecError) as error:
            raise ValueError(f"checkpoint cannot be read: {error}") from error
        fleet = cls(sizes)
        fleet.rows_for(saved.vehicle_ids)
        fleet.now_ms, fleet.moment_ms = saved.now_ms, saved.moment_ms
        _fill(_arrays(fleet), saved.vehicles, len(fleet))
        _fill_whole(_arrays(fleet.links), saved.links)
        for lessons, column in zip(fleet._lessons, saved.lessons, strict=True):
            lessons.waiting = np.frombuffer(column.data, dtype=np.float64).reshape(column.shape)
        fleet.detours = Book.load(saved.detours)
        return fleet

    @property
    def _lessons(self) -> tuple[Lessons, ...]:
        return (self.passages, self.departures, self.outcomes, self.excursions)

    def _grow(self, capacity: int) -> None:
        larger = Vehicles(capacity, slots=self._sizes.slots, stops=self._sizes.stops)
        for name, array in _arrays(self).items():
            wider = _arrays(larger)[name]
            wider[: len(array)] = array
            setattr(self, name, wider)
        self._capacity = capacity


def _arrays(owner: Vehicles | LinkMemory) -> dict[str, npt.NDArray[np.generic]]:
    return {name: value for name, value in vars(owner).items() if isinstance(value, np.ndarray)}


def _fill(arrays: dict[str, npt.NDArray[np.generic]], columns: dict[str, _Column], count: int) -> None:
    for name, array in arrays.items():
        column = columns.get(name)
        if column is None or column.shape != (count, *array.shape[1:]) or column.dtype != array.dtype.str:
            raise ValueError(f"checkpoint was written for another network or by another tracker: column {name}")
        array[:count] = np.frombuffer(column.data, dtype=array.dtype).reshape(column.shape)


def _fill_whole(arrays: dict[str, npt.NDArray[np.generic]], columns: dict[str, _Column]) -> None:
    for name, array in arrays.items():
        column = columns.get(name)
        if column is None or column.shape != array.shape or column.dtype != array.dtype.str:
            raise ValueError(f"checkpoint was written for another network or by another tracker: column {name}")
        array[...] = np.frombuffer(column.data, dtype=array.dtype).reshape(column.shape)


def _ints(*shape: int) -> Ints:
    return np.zeros(shape, dtype=np.int64)


def _bytes(*shape: int) -> npt.NDArray[np.uint8]:
    return np.zeros(shape, dtype=np.uint8)


def _singles(*shape: int) -> npt.NDArray[np.float32]:
    return np.zeros(shape, dtype=np.float32)


def _floats(*shape: int) -> Floats:
    return np.zeros(shape)


def _pack(array: npt.NDArray[np.generic]) -> _Column:
    return _Column(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())
