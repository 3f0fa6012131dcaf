"""The one log file of a system: JSON lines of all its processes, written by the supervisor, never too large."""

import datetime as dt
import io
import json
from pathlib import Path
from typing import Final

from commons.clock import wall_ms

MAX_BYTES: Final = 20_000_000
KEPT: Final = 3  # older files: .1 is the youngest
LINE_MAX: Final = 20_000


class LogFile(io.TextIOBase):
    """Append lines; at ``MAX_BYTES`` begin a new file and keep ``KEPT`` old ones."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._file = path.open("ab")

    def write(self, text: str, /) -> int:
        """Append ``text``, whole lines."""
        if self._file.tell() > self._max_bytes:
            self._rotate()
        self._file.write(text.encode(errors="replace"))
        self._file.flush()
        return len(text)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def take(self, role: str, line: bytes) -> str:
        """Append one line that a process of ours printed; return what it says in words.

        A line that is not ours (a traceback of the interpreter, a warning of a library) is wrapped as an event.
        """
        text = line[:LINE_MAX].decode(errors="replace").rstrip()
        if not text:
            return ""
        try:
            event = json.loads(text)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            at = dt.datetime.fromtimestamp(wall_ms() / 1_000, dt.UTC).isoformat()
            event = {"event": text, "level": "warning", "role": role, "at": at}
            text = json.dumps(event, ensure_ascii=False)
        self.write(f"{text}\n")
        said = str(event.get("event", ""))
        return f"{said}: {event['error']}" if "error" in event else said

    def _rotate(self) -> None:
        self._file.close()
        for number in range(KEPT - 1, 0, -1):
            older = self.path.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(self.path.with_suffix(f".log.{number + 1}"))
        self.path.replace(self.path.with_suffix(".log.1"))
        self._file = self.path.open("ab")
