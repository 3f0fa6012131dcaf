"""What boards hear from a hub, decoded; and a board as a reader: what it shows after each message."""

from collections.abc import Sequence

import msgspec

from stop_display.hub import Frame, Hub
from stop_display.model import Change, Line, Snapshot, ToBoard

_decoder = msgspec.json.Decoder(ToBoard)


def decoded(text: str) -> ToBoard:
    message: ToBoard = _decoder.decode(text)
    return message


def change_of(frame: Frame) -> Change:
    message = decoded(frame.text)
    assert isinstance(message, Change)
    return message


def frames_of(hub: Hub, now_ms: int, wall_s: float) -> list[Frame]:
    """Renew what is due, and return what is sent."""
    renewed = [hub.renew(stop_id, now_ms, wall_s) for stop_id in hub.due(now_ms, wall_s)]
    return [frame for frame in renewed if frame is not None]


def snapshots_of(hub: Hub, stop_ids: Sequence[str], now_ms: int) -> list[Snapshot]:
    """Return what boards of open stops are told when they come."""
    messages = [decoded(payload.decode()) for payload in hub.snapshots(stop_ids, now_ms)]
    return [message for message in messages if isinstance(message, Snapshot)]


def heard_by(hub: Hub, now_ms: int, wall_s: float) -> list[Change]:
    """Return the changes that boards are told at a moment."""
    return [change_of(frame) for frame in frames_of(hub, now_ms, wall_s)]


def shown_at(hub: Hub, stop_id: str, before: Line, now_ms: int, wall_s: float) -> Line:
    """Return what a board of a stop with one line shows next."""
    lines = [line for change in heard_by(hub, now_ms, wall_s) if change.stop == stop_id for line in change.lines]
    return lines[-1] if lines else before


class Reader:
    """A board that keeps what it was told."""

    def __init__(self) -> None:
        self.sequence = 0
        self.lines: dict[tuple[str, str], Line] = {}

    def take(self, message: Snapshot | Change) -> None:
        if isinstance(message, Snapshot):
            stop, lines = message.board.stop, message.board.lines
            self.lines = {key: line for key, line in self.lines.items() if key[0] != stop}
        else:
            stop, lines = message.stop, message.lines
        self.lines |= {(stop, line.key): line for line in lines}
        self.sequence = max(self.sequence, message.sequence)
