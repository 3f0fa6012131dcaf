"""All boards' contents: takes what tracking changed, says which bytes go to the boards of which stop. No socket.

A stop is *open* while somebody looks at it, and a while longer so that a board that lost its connection can go on.
Work is done per line of a stop, only where something changed or time may have changed it, and what is sent is encoded
once for all boards of the stop.
"""

import itertools
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from gtfs_data.network import Network
from stop_display.board import ROWS_MAX, LineBoard, Moment, expected, in_order
from stop_display.calm import HELD_MAX_MS, Memory, calm
from stop_display.model import Change, Line, Snapshot, StopBoard
from stop_display.plan import Plan
from stop_display.search import name_of
from transit.model import Arrival, Detour, Update, VehiclePosition
from transit.outcomes import DetourState

REVIEW_S: Final = 3.0  # of wall time: how late a line may notice that time alone changed it, and a little more:
REVIEWS_PART: Final = 10  # at most one in so many stops is reviewed at a time, so that changes do not wait for all
REVIEWS_MIN: Final = 8
LINGER_S: Final = 120.0  # of wall time: how long a stop that nobody looks at stays open
HISTORY_MAX: Final = 60  # frames kept for boards that come back, per stop: after more, a snapshot is less to send
HISTORY_S: Final = 120.0

_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message for the boards of a stop. ``fix_ms``: newest fix that caused it, None if it was time."""

    stop_id: str
    sequence: int
    text: str
    fix_ms: int | None
    made_s: float


@dataclass(slots=True, kw_only=True)
class _OpenStop:
    """What the boards of one stop show, and what they were told lately."""

    index: int
    board: LineBoard
    live: defaultdict[str, dict[str, Arrival]] = field(default_factory=lambda: defaultdict(dict))  # line → key →
    line_of: dict[str, str] = field(default_factory=dict)  # arrival key → line
    lines: dict[str, Line] = field(default_factory=dict)
    memories: defaultdict[str, Memory] = field(default_factory=lambda: defaultdict(Memory))
    dirty: dict[str, int] = field(default_factory=dict)  # line → newest fix
    history: deque[Frame] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))
    since: int = 0  # frames after this sequence are in ``history``
    boards: int = 0
    reviewed_s: float = 0.0
    left_s: float = 0.0

    def take(self, arrival: Arrival, fix_ms: int) -> None:
        """Take an arrival of this stop, and the fix behind it; 0 if time alone changed it."""
        key = self.board.key_of(arrival)
        if key != self.line_of.get(arrival.key):
            self.drop(arrival.key, fix_ms)
        if key is not None:
            self.line_of[arrival.key] = key
            self.live[key][arrival.key] = arrival
            if not self._far_behind(key, arrival):
                self._touch(key, fix_ms)

    def drop(self, arrival_key: str, fix_ms: int) -> None:
        """Forget an arrival, if it was known."""
        key = self.line_of.pop(arrival_key, None)
        if key is not None:
            del self.live[key][arrival_key]
            self._touch(key, fix_ms)

    def review(self, wall_s: float) -> None:
        """Have every line looked at again, as time alone may have changed it."""
        self.reviewed_s = wall_s
        for key in self.board.lines:
            self._touch(key, 0)

    def renewed(self, key: str, moment: Moment) -> Line:
        """Return a line as it is to be shown now."""
        shown, memory = self.lines[key], self.memories[key]
        coming = expected(self.live[key].values(), moment)
        if moment.heard:
            memory.note(shown, coming, moment.now_ms)
        return calm(shown, self.board.line(key, coming, moment, memory.served_until_ms), moment.now_ms)

    def _far_behind(self, key: str, arrival: Arrival) -> bool:
        """Return whether a line's rows are full of buses well before this one, so that it changes nothing."""
        rows = self.lines[key].arrivals if key in self.lines else []
        return (
            len(rows) == ROWS_MAX
            and arrival.arrival_ms > rows[-1].arrival_ms + HELD_MAX_MS
            and all(row.key != arrival.key for row in rows)
        )

    def _touch(self, key: str, fix_ms: int) -> None:
        self.dirty[key] = max(self.dirty.get(key, 0), fix_ms)


class Hub:
    """The contents of all boards of a network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.plan = Plan(network)
        self.sequence = 0
        self.as_of_ms: int | None = None
        self._arrivals: dict[str, dict[str, Arrival]] = {}  # stop id → key → arrival
        self._run_of: dict[str, str] = {}  # vehicle id → run key
        self._on_run: dict[str, VehiclePosition] = {}  # run key → vehicle
        self._fix_of: dict[str, int] = {}  # vehicle id → time of its last fix
        self._open: dict[str, _OpenStop] = {}
        self._detours: dict[str, Detour] = {}
        self._missed: frozenset[int] = frozenset()  # pattern rows that confirmed detours leave out
        self._heard = False
        self._occupancy: Mapping[str, str] = {}

    def fill(self, occupancy: Mapping[str, str]) -> None:
        """Take how full vehicles are, by vehicle id. Boards show it at their next change or review."""
        self._occupancy = occupancy

    def knows(self, stop_id: str) -> bool:
        """Return whether the network has a stop of that id."""
        return stop_id in self.network.stop_by_id

    def replace(
        self,
        arrivals: Iterable[Arrival],
        vehicles: Iterable[VehiclePosition],
        as_of_ms: int | None,
        detours: Iterable[Detour] = (),
    ) -> None:
        """Take a snapshot as all there is."""
        self._arrivals.clear()
        for stop in self._open.values():
            stop.live.clear()
            stop.line_of.clear()
        self._run_of.clear()
        self._on_run.clear()
        self._fix_of.clear()
        self._detours.clear()
        update = Update(
            as_of_ms=as_of_ms or 0,
            vehicles=list(vehicles),
            arrivals=list(arrivals),
            withdrawn=[],
            detours=list(detours),
        )
        self.apply(update)
        self.as_of_ms = as_of_ms
        self._missed = self._rows_missed()
        self._review_all()

    def apply(self, update: Update) -> None:
        """Take one entry of the change feed."""
        for vehicle_id in update.gone:
            self._leave_run(vehicle_id)
            self._fix_of.pop(vehicle_id, None)
        fixed = self._new_fixes(update.vehicles)
        for vehicle in update.vehicles:
            self._place(vehicle)
        for key in update.withdrawn:
            gone = self._arrivals.get(key.stop_id, {}).pop(key.key, None)
            stop = self._open.get(key.stop_id)
            if gone is not None and stop is not None:
                stop.drop(key.key, fixed.get(gone.vehicle_id, 0))
        for arrival in update.arrivals:
            self._arrivals.setdefault(arrival.stop_id, {})[arrival.key] = arrival
            stop = self._open.get(arrival.stop_id)
            if stop is not None:
                stop.take(arrival, fixed.get(arrival.vehicle_id, 0))
        self.as_of_ms = update.as_of_ms
        if update.detours:
            self._lead(update.detours)

    def open(self, stop_ids: Iterable[str], now_ms: int, wall_s: float) -> None:
        """Keep stops up to date for one more board: all of them, or none if one cannot be made."""
        for stop in [self._opened(stop_id, now_ms, wall_s) for stop_id in stop_ids]:
            stop.boards += 1

    def leave(self, stop_id: str, wall_s: float) -> None:
        """Note that a board no longer looks at a stop."""
        stop = self._open[stop_id]
        stop.boards -= 1
        stop.left_s = wall_s

    def due(self, now_ms: int, wall_s: float) -> list[str]:
        """Return the open stops to ``renew`` now. Stops that nobody needs any more are closed."""
        heard = self._moment(now_ms).heard
        if heard != self._heard:
            self._heard = heard
            self._review_all()
        found = []
        reviews = max(REVIEWS_MIN, len(self._open) // REVIEWS_PART)
        for stop_id, stop in list(self._open.items()):
            if stop.boards == 0 and wall_s - stop.left_s > LINGER_S:
                del self._open[stop_id]
                continue
            if wall_s - stop.reviewed_s >= REVIEW_S and (reviews > 0 or stop.reviewed_s == -math.inf):
                reviews -= 1
                stop.review(wall_s)
            if stop.dirty:
                found.append(stop_id)
        return found

    def renew(self, stop_id: str, now_ms: int, wall_s: float) -> Frame | None:
        """Return what the boards of an open stop must be told now, if anything.

        What changed is looked at once: a stop that cannot be made shows what it did until its next change or review.
        """
        stop, moment = self._open[stop_id], self._moment(now_ms)
        dirty, stop.dirty = stop.dirty, {}
        if len(dirty) == len(stop.board.lines):
            stop.reviewed_s = wall_s
        lines = [(stop.lines[key], stop.renewed(key, moment)) for key in dirty]
        changed = [line for shown, line in lines if line != shown]
        if not changed:
            return None
        stop.lines.update((line.key, line) for line in changed)
        self.sequence += 1
        fix_ms = max(dirty.get(line.key, 0) for line in changed) or None
        message = Change(
            sequence=self.sequence,
            server_ms=now_ms,
            as_of_ms=moment.as_of_ms,
            stop=stop_id,
            lines=changed,
            fix_ms=fix_ms,
        )
        text = _encoder.encode(message).decode()
        frame = Frame(stop_id=stop_id, sequence=self.sequence, text=text, fix_ms=fix_ms, made_s=wall_s)
        _keep(stop, frame)
        return frame

    def snapshots(self, stop_ids: Sequence[str], now_ms: int) -> list[Snapshot]:
        """Return everything that boards of open stops show.

        Only the last carries a sequence: a board cut off before that must not go on as if it had them all.
        """
        return [
            self._snapshot(stop_id, now_ms, self.sequence if stop_id == stop_ids[-1] else 0) for stop_id in stop_ids
        ]

    def _snapshot(self, stop_id: str, now_ms: int, sequence: int) -> Snapshot:
        return Snapshot(
            sequence=sequence,
            server_ms=now_ms,
            as_of_ms=self.as_of_ms,
            board=self._board(stop_id, self._open[stop_id].lines.values()),
        )

    def since(self, stop_ids: Sequence[str], sequence: int) -> list[Frame] | None:
        """Return what boards of open stops were told after ``sequence``; None if that is not known any more."""
        stops = [self._open[stop_id] for stop_id in stop_ids]
        if sequence > self.sequence or any(stop.since > sequence for stop in stops):
            return None
        missed = (frame for stop in stops for frame in stop.history if frame.sequence > sequence)
        return sorted(missed, key=lambda frame: frame.sequence)

    def board(self, stop_id: str, now_ms: int) -> StopBoard:
        """Return the board of any stop, open or not."""
        stop = self._open.get(stop_id)
        if stop is not None:
            return self._board(stop_id, stop.lines.values())
        return self._board(stop_id, self._true_lines(stop_id, now_ms).values())

    def vehicle(self, vehicle_id: str) -> VehiclePosition | None:
        """Return where a vehicle is, None if it is on no run."""
        vehicle = self._on_run.get(self._run_of.get(vehicle_id, ""))
        return vehicle if vehicle is not None and vehicle.vehicle_id == vehicle_id else None

    def _lead(self, detours: Iterable[Detour]) -> None:
        """Take new, changed and ended detours; boards are made anew where stops are left out now, or no longer."""
        for detour in detours:
            self._detours.pop(detour.detour_id, None)
            if detour.state == DetourState.CONFIRMED:
                self._detours[detour.detour_id] = detour
        before, self._missed = self._missed, self._rows_missed()
        if self._missed != before:
            self._review_all()

    def _rows_missed(self) -> frozenset[int]:
        first = self.network.patterns.first
        return frozenset(
            int(first[pattern]) + place
            for detour in self._detours.values()
            for line in detour.lines
            for pattern, places in zip(line.patterns, line.missed, strict=True)
            if pattern < len(self.network.patterns)  # of another feed
            for place in places
        )

    def _review_all(self) -> None:
        for stop in self._open.values():
            stop.reviewed_s = -math.inf

    def _opened(self, stop_id: str, now_ms: int, wall_s: float) -> _OpenStop:
        stop = self._open.get(stop_id)
        if stop is None:
            index = self.network.stop_by_id[stop_id]
            self.sequence += 1  # what was shown here before is not known: nobody can go on from an earlier number
            stop = _OpenStop(index=index, board=LineBoard(self.plan, index), since=self.sequence, reviewed_s=wall_s)
            for arrival in self._arrivals.get(stop_id, {}).values():
                stop.take(arrival, 0)
            stop.dirty.clear()
            stop.lines = dict(self._true_lines(stop_id, now_ms))
            self._open[stop_id] = stop
        return stop

    def _true_lines(self, stop_id: str, now_ms: int) -> Mapping[str, Line]:
        board, moment = LineBoard(self.plan, self.network.stop_by_id[stop_id]), self._moment(now_ms)
        live = self._live(stop_id, board)
        return {key: board.line(key, live.get(key, ()), moment) for key in board.lines}

    def _live(self, stop_id: str, board: LineBoard) -> Mapping[str, Sequence[Arrival]]:
        by_line: defaultdict[str, list[Arrival]] = defaultdict(list)
        for arrival in self._arrivals.get(stop_id, {}).values():
            key = board.key_of(arrival)
            if key is not None:
                by_line[key].append(arrival)
        return by_line

    def _new_fixes(self, vehicles: Iterable[VehiclePosition]) -> Mapping[str, int]:
        """Return the fixes that came with an update; a vehicle that falls silent changes without one."""
        fixed = {
            vehicle.vehicle_id: vehicle.fix_ms
            for vehicle in vehicles
            if vehicle.fix_ms > self._fix_of.get(vehicle.vehicle_id, 0)
        }
        self._fix_of.update(fixed)
        return fixed

    def _place(self, vehicle: VehiclePosition) -> None:
        if self._run_of.get(vehicle.vehicle_id) != vehicle.run_key:
            self._leave_run(vehicle.vehicle_id)
        if vehicle.run_key:
            self._run_of[vehicle.vehicle_id] = vehicle.run_key
            self._on_run[vehicle.run_key] = vehicle

    def _leave_run(self, vehicle_id: str) -> None:
        run_key = self._run_of.pop(vehicle_id, "")
        holder = self._on_run.get(run_key)
        if holder is not None and holder.vehicle_id == vehicle_id:  # another may have taken the run over
            del self._on_run[run_key]

    def _moment(self, now_ms: int) -> Moment:
        return Moment(
            now_ms=now_ms, as_of_ms=self.as_of_ms, on_run=self._on_run, missed=self._missed, occupancy=self._occupancy
        )

    def _board(self, stop_id: str, lines: Iterable[Line]) -> StopBoard:
        index = self.network.stop_by_id[stop_id]
        return StopBoard(
            stop=stop_id,
            code=self.network.stops.codes[index],
            name=name_of(self.network, index),
            lines=in_order(lines),
        )


def _keep(stop: _OpenStop, frame: Frame) -> None:
    """Add a frame to the history, and forget what is too old or too much."""
    if len(stop.history) == HISTORY_MAX:
        stop.since = stop.history[0].sequence
    stop.history.append(frame)
    for old in list(itertools.takewhile(lambda one: frame.made_s - one.made_s > HISTORY_S, stop.history)):
        stop.since = old.sequence
        stop.history.popleft()
