"""What the boards of one stop show, and what they were told lately. Pure."""

import itertools
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

import msgspec

from stop_display.board import ROWS_MAX, LineBoard, Moment
from stop_display.calm import HELD_MAX_MS, Memory, calm
from stop_display.expected import Expected
from stop_display.frames import payload_of
from stop_display.model import BoardAlert, Line
from transit.model import Arrival, VehiclePosition

HISTORY_MAX: Final = 60  # frames kept for boards that come back, per stop: after more, a snapshot is less to send
HISTORY_S: Final = 120.0


class Frame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message for the boards of a stop, as bytes of its socket. ``fix_ms``: newest fix behind it, None: time."""

    stop_id: str
    sequence: int
    wire: bytes
    fix_ms: int | None
    made_s: float

    @property
    def text(self) -> str:
        """The message as JSON."""
        return payload_of(self.wire).decode()


@dataclass(slots=True, kw_only=True)
class OpenStop:
    """What the boards of one stop show, and what they were told lately."""

    index: int
    board: LineBoard
    live: defaultdict[str, Expected] = field(default_factory=lambda: defaultdict(Expected))  # line → its arrivals
    line_of: dict[str, str] = field(default_factory=dict)  # arrival key → line
    lines: dict[str, Line] = field(default_factory=dict)
    memories: defaultdict[str, Memory] = field(default_factory=lambda: defaultdict(Memory))
    dirty: dict[str, int] = field(default_factory=dict)  # line → newest fix
    alerts: list[BoardAlert] = field(default_factory=list)
    alerts_due: bool = False  # others may hold now
    encoded: msgspec.Raw | None = None  # what it shows, as boards that come get it: made once for all of them
    history: deque[Frame] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))
    since: int = 0  # frames after this sequence are in ``history``
    boards: int = 0
    reviewed_s: float = 0.0
    left_s: float = 0.0

    def take(self, arrival: Arrival, fix_ms: int) -> None:
        """Take an arrival of this stop, and the fix behind it; 0 if time alone changed it."""
        key, before = self.board.key_of(arrival), self.line_of.get(arrival.key)
        if key != before:
            self.drop(arrival.key, fix_ms)
            if key is not None:
                self.line_of[arrival.key] = key
        if key is not None:
            self.live[key].take(arrival)
            if not self._far_behind(key, arrival):
                self._touch(key, fix_ms)

    def drop(self, arrival_key: str, fix_ms: int) -> None:
        """Forget an arrival, if it was known."""
        key = self.line_of.pop(arrival_key, None)
        if key is not None:
            self.live[key].drop(arrival_key)
            self._touch(key, fix_ms)

    def stands(self, vehicle: VehiclePosition) -> None:
        """Have the lines looked at again whose next bus is this one, which stands or stood here."""
        for key, line in self.lines.items():
            if line.arrivals and line.arrivals[0].vehicle == vehicle.vehicle_id:
                self._touch(key, vehicle.fix_ms)

    def review(self, wall_s: float) -> None:
        """Have every line looked at again, as time alone may have changed it."""
        self.reviewed_s = wall_s
        for key in self.board.lines:
            self._touch(key, 0)

    def renewed(self, key: str, moment: Moment) -> Line:
        """Return a line as it is to be shown now."""
        shown, memory = self.lines[key], self.memories[key]
        coming = self.board.coming(key, self.live[key], moment)
        if moment.heard:
            memory.note(shown, coming, moment.now_ms)
        return calm(shown, self.board.line_of(key, coming, moment, memory.served_until_ms), moment.now_ms)

    @property
    def last(self) -> int:
        """The number of its last change, or from which it was opened."""
        return self.history[-1].sequence if self.history else self.since

    def keep(self, frame: Frame) -> None:
        """Add a frame to the history, and forget what is too old or too much."""
        if len(self.history) == HISTORY_MAX:
            self.since = self.history[0].sequence
        self.history.append(frame)
        for old in list(itertools.takewhile(lambda one: frame.made_s - one.made_s > HISTORY_S, self.history)):
            self.since = old.sequence
            self.history.popleft()

    def _far_behind(self, key: str, arrival: Arrival) -> bool:
        """Return whether a line's rows are full of buses well before this one, so that it changes nothing."""
        line = self.lines.get(key)
        if line is None or len(line.arrivals) != ROWS_MAX:
            return False
        if arrival.arrival_ms <= line.arrivals[-1].arrival_ms + HELD_MAX_MS:
            return False
        return arrival.key not in [row.key for row in line.arrivals]

    def _touch(self, key: str, fix_ms: int) -> None:
        if fix_ms >= self.dirty.get(key, 0):
            self.dirty[key] = fix_ms
