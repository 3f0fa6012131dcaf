"""The journal on disk: appended, synced before the light turns green, deleted only after the server has it.

Segments are files named after their first sequence (``000000000042.taps``). Opening reads the last one alone, however
many there are. A write that fails leaves the file in an unknown state, so the journal then refuses everything until it
is opened anew, which cuts off what is torn (a second fsync after a failed one proves nothing).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from fare.model import Tap
from fare.validator.disk import Disk
from fare.validator.journal import START, Found, Head, Note, Noted, Record, Stretch, encode, frame, hash_after, scan

SEGMENT_BYTES: Final = 256 * 1_024  # some 900 taps
SUFFIX: Final = ".taps"
ACKNOWLEDGED: Final = "acknowledged"


class JournalError(Exception):
    """The journal cannot be written or read; nothing that depends on it may be shown as done."""


class _Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file whose first ``good_bytes`` hold all records that were answered for; what follows was shown as not done."""

    name: str
    good_bytes: int


class JournalFile:
    """One device's journal. Not for several processes or threads at a time.

    ``unfinished`` is that of the journal before, which broke: its last record was written and perhaps not synced, and
    the passenger was told so. It is cut off, or it would be charged later.

    Raises:
        JournalError: if the disk cannot be read or the torn tail not cut off.
    """

    def __init__(
        self,
        disk: Disk,
        now_ms: int,
        *,
        start: Head | None = None,
        unfinished: Unfinished | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._disk = disk
        self.unfinished: Unfinished | None = None
        self._segment_bytes = segment_bytes
        self._broken = False
        self._size = 0  # of the last segment
        self._firsts: list[int] = []  # of each segment, its first sequence
        self._head = start or Head()
        self._acknowledged = _Acknowledged(sequence=self._head.sequence, hash=self._head.hash)
        try:
            if unfinished is not None:
                self._cut_off(unfinished)
            self._open(now_ms)
        except OSError as error:
            raise JournalError(f"journal cannot be opened: {error}") from error

    @property
    def head(self) -> Head:
        """Return where the chain stands."""
        return self._head

    @property
    def acknowledged(self) -> int:
        """Return the last sequence that the server has."""
        return self._acknowledged.sequence

    @property
    def waiting(self) -> int:
        """Return how many records the server does not have yet."""
        return max(self._head.sequence - self._acknowledged.sequence, 0)

    def append_tap(self, tap: Tap) -> Tap:
        """Record ``tap`` under the next sequence and return it with that; it is on disk then.

        Raises:
            JournalError: if it is not, or nobody can say.
        """
        numbered = msgspec.structs.replace(tap, sequence=self._head.sequence + 1)
        self._append(Record(sequence=numbered.sequence, before=self._head.hash, tap=numbered))
        return numbered

    def append_note(self, noted: Noted) -> None:
        """Record a note; it is on disk when this returns.

        Raises:
            JournalError: if it is not, or nobody can say.
        """
        self._append(Record(sequence=self._head.sequence + 1, before=self._head.hash, noted=noted))

    def after(self, sequence: int, records_max: int, bytes_max: int) -> Stretch | None:
        """Return the records that follow ``sequence``, None if there are none.

        Raises:
            JournalError: if the disk cannot be read.
        """
        first = sequence + 1
        if first > self._head.sequence:
            return None
        payloads: list[bytes] = []
        before: bytes | None = self._acknowledged.hash if self._acknowledged.sequence == sequence else None
        size = 0
        for found in self._read_from(first):
            lost = found.record.sequence - first - len(payloads)
            if size + len(found.payload) > bytes_max and payloads:
                break
            if before is None and not lost and not payloads:
                before = found.record.before
            payloads.extend([b""] * min(lost, records_max - len(payloads)))
            if len(payloads) >= records_max:
                break
            payloads.append(found.payload)
            size += len(found.payload)
        if not payloads:
            payloads = [b""] * min(self._head.sequence - sequence, records_max)
        return Stretch(first_sequence=first, before=before or b"", payloads=tuple(payloads))

    def taps_after(self, sequence: int) -> Iterator[Tap]:
        """Yield the taps still on disk after ``sequence``, in order; those before it in the same segments too.

        Raises:
            JournalError: if the disk cannot be read.
        """
        for found in self._read_from(sequence + 1, whole_segments=True):
            if found.record.tap is not None:
                yield found.record.tap

    def hash_at(self, sequence: int) -> bytes | None:
        """Return the chain's hash after ``sequence``, None if what is on disk does not say.

        Raises:
            JournalError: if the disk cannot be read.
        """
        if sequence == self._head.sequence:
            return self._head.hash
        if sequence == self._acknowledged.sequence:
            return self._acknowledged.hash
        following = next(self._read_from(sequence + 1), None)
        return following.record.before if following and following.record.sequence == sequence + 1 else None

    def acknowledge(self, sequence: int, after: bytes) -> None:
        """Note that the server has everything up to ``sequence`` (``after``: the hash there); delete what it can.

        The segment being written and the one before it stay: they say who paid a moment ago.

        Raises:
            JournalError: if the disk refuses.
        """
        if sequence <= self._acknowledged.sequence:
            return
        try:
            state = _Acknowledged(sequence=sequence, hash=after)
            self._disk.replace(ACKNOWLEDGED, msgspec.msgpack.encode(state))
            self._acknowledged = state
            if sequence > self._head.sequence:  # the server has what a bad sector took from us
                self._head = Head(sequence=sequence, hash=after or START)
            while len(self._firsts) > 2 and self._firsts[1] <= sequence + 1:
                self._disk.delete(_name(self._firsts[0]))
                del self._firsts[0]
        except OSError as error:
            raise JournalError(f"journal cannot be shortened: {error}") from error

    def _cut_off(self, unfinished: Unfinished) -> None:
        if len(self._disk.read(unfinished.name)) > unfinished.good_bytes:
            self._disk.cut(unfinished.name, unfinished.good_bytes)

    def _open(self, now_ms: int) -> None:
        self._firsts = sorted(int(name[: -len(SUFFIX)]) for name in self._disk.names() if name.endswith(SUFFIX))
        kept = self._read_acknowledged()
        if kept is not None and kept.sequence > self._acknowledged.sequence:
            self._acknowledged = kept
            self._head = Head(sequence=kept.sequence, hash=kept.hash or START)
        cut = lost = 0
        while self._firsts:
            name = _name(self._firsts[-1])
            data = self._disk.read(name)
            seen = scan(data)
            if len(data) > seen.good_bytes:
                self._disk.cut(name, seen.good_bytes)
                cut += len(data) - seen.good_bytes
            if seen.found:
                lost = _lost(self._firsts[-1], seen.found)
                self._size = seen.good_bytes
                self._take_head(seen.found[-1])
                break
            self._disk.delete(name)  # begun, and nothing of it survived
            del self._firsts[-1]
        if cut:
            self.append_note(Noted(note=Note.TAIL_CUT, at_ms=now_ms, amount=cut))
        if lost:
            self.append_note(Noted(note=Note.RECORDS_LOST, at_ms=now_ms, amount=lost))

    def _take_head(self, last: Found) -> None:
        if last.record.sequence > self._head.sequence:
            self._head = Head(sequence=last.record.sequence, hash=hash_after(last.record.before, last.payload))

    def _read_acknowledged(self) -> _Acknowledged | None:
        try:
            return msgspec.msgpack.decode(self._disk.read(ACKNOWLEDGED), type=_Acknowledged)
        except (msgspec.DecodeError, ValueError):
            return None  # the server repeats what it has

    def _append(self, record: Record) -> None:
        if self._broken:
            raise JournalError("journal is broken: it must be opened anew")
        payload = encode(record)
        try:
            if not self._firsts or self._size >= self._segment_bytes:
                self._firsts.append(record.sequence)
                self._size = 0
            name = _name(self._firsts[-1])
            data = frame(payload)
            self._disk.append(name, data)
            self._disk.sync(name)
        except OSError as error:
            self._broken = True
            self.unfinished = Unfinished(_name(self._firsts[-1]), self._size)
            raise JournalError(f"record {record.sequence} is not on disk: {error}") from error
        self._size += len(data)
        self._head = replace(self._head, sequence=record.sequence, hash=hash_after(record.before, payload))

    def _read_from(self, sequence: int, *, whole_segments: bool = False) -> Iterator[Found]:
        start = max((index for index, first in enumerate(self._firsts) if first <= sequence), default=0)
        for first in self._firsts[start:]:
            try:
                data = self._disk.read(_name(first))
            except OSError as error:
                raise JournalError(f"journal cannot be read: {error}") from error
            for found in scan(data).found:
                if whole_segments or found.record.sequence >= sequence:
                    yield found


def _lost(first: int, found: Sequence[Found]) -> int:
    """Return how many records of a segment are missing between others and not yet noted as lost."""
    noted = [one.record.noted for one in found if one.record.noted is not None]
    known = sum(note.amount for note in noted if note.note is Note.RECORDS_LOST)
    return max(found[-1].record.sequence - first + 1 - len(found) - known, 0)


def _name(first: int) -> str:
    return f"{first:012d}{SUFFIX}"
