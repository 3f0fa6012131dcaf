"""A board's side of the conversation: what it shows after each message, and what it says to go on. No socket, no clock.

What is shown of a stop is always what the server showed at one of its sequence numbers. A change that came already is
ignored; one that does not follow on what is shown means that something is missing, and the board connects again and
says of each stop what it has. So whatever a link loses, doubles or reorders, no change is painted twice or left out.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from stop_display.board import in_order
from stop_display.model import Change, Heartbeat, Hello, Line, Refusal, Resume, Snapshot, StopBoard, Subscribe, ToBoard
from stop_display.outcomes import Problem
from stop_display.panels.model import Configuration


class Taken(enum.Enum):
    """What a message was."""

    NEW = enum.auto()
    KNOWN = enum.auto()  # it came already: nothing to paint
    OUT_OF_ORDER = enum.auto()  # something before it is missing: connect again


@dataclass(slots=True)
class _Shown:
    """One stop: its board without lines, the lines by key, and up to which number all of it is known."""

    board: StopBoard
    lines: dict[str, Line]
    sequence: int


class Follower:
    """What one board knows. Call ``subscribe`` at the start of each connection, then ``take`` each message."""

    def __init__(self, stop_ids: Sequence[str], *, board: str = "", key: str = "") -> None:
        self._stop_ids = list(stop_ids)
        self._name = board
        self._key = key
        self._session = ""
        self._greeted = False
        self._shown: dict[str, _Shown] = {}
        self._awaited: set[str] = set()  # stops whose snapshot has not come yet
        self._unknown: set[str] = set()  # that the server of this connection does not have: none comes for them
        self.spread_s = 0.0

    @property
    def sequences(self) -> Mapping[str, int]:
        """Up to which number each stop is known; none before everything has come."""
        return {} if self._awaited else {stop_id: shown.sequence for stop_id, shown in self._shown.items()}

    def board(self, stop_id: str) -> StopBoard | None:
        """Return what is shown of a stop."""
        shown = self._shown.get(stop_id)
        if shown is None:
            return None
        return msgspec.structs.replace(shown.board, lines=in_order(shown.lines.values()))

    def subscribe(self) -> Subscribe:
        """Return what to say first on a new connection."""
        self._greeted = False
        self._unknown.clear()
        known = self.sequences
        resume = Resume(session=self._session, sequence=min(known.values()), stops=dict(known)) if known else None
        return Subscribe(stops=self._stop_ids, resume=resume, board=self._name, key=self._key)

    def take(self, message: ToBoard) -> Taken:
        """Take what the server says next."""
        match message:
            case Refusal() | Configuration():
                if isinstance(message, Refusal) and message.code == Problem.UNKNOWN_STOP:
                    self._unknown.add(message.value)
                return Taken.NEW
            case Hello():
                return self._greet(message)
            case _ if not self._greeted:
                return Taken.OUT_OF_ORDER
            case Heartbeat():
                self.spread_s = message.spread_s
                return Taken.NEW
            case Snapshot():
                return self._show(message)
            case Change():
                return self._change(message)

    def _greet(self, hello: Hello) -> Taken:
        if self._greeted:
            return self._lost() if self._awaited else Taken.KNOWN
        self._greeted, self._session, self.spread_s = True, hello.session, hello.spread_s
        if not hello.resumed:
            self._shown.clear()
            self._await_all()
        return Taken.NEW

    def _show(self, snapshot: Snapshot) -> Taken:
        stop_id = snapshot.board.stop
        if stop_id not in self._awaited:
            return Taken.KNOWN
        if snapshot.sequence and len(self._awaited) > 1:
            return self._lost()  # the last came before the others
        lines = {line.key: line for line in snapshot.board.lines}
        self._shown[stop_id] = _Shown(snapshot.board, lines, 0)
        self._awaited.discard(stop_id)
        if not self._awaited:
            for shown in self._shown.values():
                shown.sequence = snapshot.sequence
        return Taken.NEW

    def _change(self, change: Change) -> Taken:
        shown = self._shown.get(change.stop)
        if self._awaited or shown is None:
            return self._lost()
        if change.sequence <= shown.sequence:
            return Taken.KNOWN
        if change.after > shown.sequence:
            return Taken.OUT_OF_ORDER
        shown.lines |= {line.key: line for line in change.lines}
        if change.alerts is not None:
            shown.board = msgspec.structs.replace(shown.board, alerts=change.alerts)
        shown.sequence = change.sequence
        return Taken.NEW

    def _lost(self) -> Taken:
        """Have everything told anew: what came first is not known."""
        self._await_all()
        return Taken.OUT_OF_ORDER

    def _await_all(self) -> None:
        self._awaited = {stop_id for stop_id in self._stop_ids if stop_id not in self._unknown}
