"""One board's side of the conversation: messages in, what to do out. No socket, no clock."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from stop_display.model import STOPS_MAX, Ack, FromBoard, Refusal, Resume, Subscribe, quoted
from stop_display.outcomes import Drop, Problem

MESSAGE_MAX_BYTES: Final = 4_096
MESSAGES_PER_S: Final = 8.0
MESSAGES_BURST: Final = 40
BAD_MAX: Final = 5

_decoder: Final = msgspec.json.Decoder(FromBoard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a message asks for: at most one of stops or acknowledgement, refusals to send, and whether to hang up."""

    stops: tuple[str, ...] = ()
    resume: Resume | None = None
    key: str = ""
    ack: Ack | None = None
    refusals: tuple[Refusal, ...] = ()
    drop: Drop | None = None


class Session:
    """Judges what one board says."""

    def __init__(self, knows: Callable[[str], bool]) -> None:
        self._knows = knows
        self._bad = 0
        self._allowed = float(MESSAGES_BURST)
        self._heard_s = 0.0
        self.subscribed = False
        self.board = ""

    def hear(self, text: str | bytes, wall_s: float) -> Heard:
        """Take one message at ``wall_s`` (any clock that does not step)."""
        self._allowed = min(MESSAGES_BURST, self._allowed + (wall_s - self._heard_s) * MESSAGES_PER_S)
        self._heard_s = wall_s
        if self._allowed < 1:
            return self._refuse(Problem.TOO_FAST, "", "", f"at most {MESSAGES_PER_S:.0f} messages per second")
        self._allowed -= 1
        if isinstance(text, bytes):
            return self._refuse(Problem.UNREADABLE, "", "", "a message is a text frame, this one was binary")
        return self._read(text)

    def _read(self, text: str) -> Heard:
        try:
            message = _decoder.decode(text)
        except msgspec.ValidationError as error:
            said, _, where = str(error).partition(" - at ")
            return self._refuse(Problem.UNREADABLE, where.strip("`$."), "", said)
        except (msgspec.DecodeError, RecursionError) as error:
            return self._refuse(Problem.UNREADABLE, "", quoted(text), f"a message is a JSON object: {error}")
        if isinstance(message, Ack):
            if not self.subscribed:
                return self._refuse(Problem.NOT_SUBSCRIBED, "type", "ack", "subscribe first")
            return Heard(ack=message)
        return self._subscribe(message)

    def _subscribe(self, message: Subscribe) -> Heard:
        wanted = tuple(dict.fromkeys(message.stops))
        if not 1 <= len(wanted) <= STOPS_MAX:
            return self._refuse(Problem.UNREADABLE, "stops", str(len(wanted)), f"name 1 to {STOPS_MAX} stops")
        known = tuple(stop for stop in wanted if self._knows(stop))
        unknown = [
            Refusal(code=Problem.UNKNOWN_STOP, field="stops", value=quoted(stop), rule="no such stop in this city")
            for stop in wanted
            if stop not in known
        ]
        self.board = quoted(message.board)
        if not known:
            refused = self._refuse(Problem.UNKNOWN_STOP, "stops", quoted(wanted[0]), "no such stop in this city")
            return Heard(refusals=tuple(unknown), drop=refused.drop)
        self.subscribed = True
        return Heard(stops=known, resume=message.resume, key=message.key, refusals=tuple(unknown))

    def _refuse(self, code: Problem, field: str, value: str, rule: str) -> Heard:
        self._bad += 1
        drop = Drop.BAD_MESSAGES if self._bad > BAD_MAX else None
        return Heard(refusals=(Refusal(code=code, field=field, value=value, rule=rule),), drop=drop)
