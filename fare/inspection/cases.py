"""What follows when a ride was not paid: warning, protocol, appeal and their end. Append-only, chained by hashes. Pure.

An entry is never changed: what was wrong is followed by an entry that says so. Each record carries the SHA-256 of the
one before it and of itself, so that an entry altered, left out or put in between shows (attack 55); a tail cut off
shows to who kept the head's digest elsewhere. Entries hold references to evidence and persons, never names or
pictures.
"""

import enum
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, NewType

import msgspec

from fare.inspection.values import InspectionRules, Verdict

CaseId = NewType("CaseId", str)
EntryId = NewType("EntryId", str)  # made by the device: the same entry sent twice is recorded once
PersonId = NewType("PersonId", str)  # an inspector's or officer's number; a rider is "rider"

GENESIS: Final = "0" * 64
DAY_MS: Final = 86_400_000


class Role(enum.StrEnum):
    """As whom a person acts."""

    INSPECTOR = enum.auto()
    OFFICER = enum.auto()  # of the office: decides appeals, records payments
    RIDER = enum.auto()


class Step(enum.StrEnum):
    """What an entry says."""

    WARNING = enum.auto()
    PROTOCOL = enum.auto()  # with a fine
    APPEAL = enum.auto()
    UPHELD = enum.auto()  # the appeal was in vain
    CANCELLED = enum.auto()  # the appeal was right
    PAID = enum.auto()
    WITHDRAWN = enum.auto()  # by the office, without an appeal


class CaseOutcome(enum.StrEnum):
    """What became of an entry, in order of precedence."""

    WRONG_TIME = enum.auto()  # so long ago that days to appeal would be gone: the office has to look
    ALREADY_RECORDED = enum.auto()
    KEY_REUSED = enum.auto()  # the same entry_id, and another entry: a bug or a forgery, never a success
    WRONG_ROLE = enum.auto()
    WRONG_STEP = enum.auto()  # it cannot follow what was last
    NOT_FOUNDED = enum.auto()  # the verdict founds no warning: paid, free, still time, or not known
    WRONG_FINE = enum.auto()
    TOO_LATE = enum.auto()  # to appeal
    SAME_PERSON = enum.auto()  # who drew the protocol does not decide on it
    RECORDED = enum.auto()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a case, by whom and on what ground."""

    entry_id: EntryId
    case_id: CaseId
    step: Step
    at_ms: int
    person_id: PersonId
    role: Role
    vehicle_id: str = ""
    verdict: Verdict | None = None  # of a warning and a protocol: what the inspector was told
    fine_tiyn: int = 0  # of a protocol
    evidence: tuple[str, ...] = ()  # references: "sha256:…" of a picture, number of a paper
    reason: str = ""  # a code of the operator's list


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An entry in the chain."""

    sequence: int  # 1, 2, 3 …
    entry: Entry
    previous: str  # digest of the record before
    digest: str


_FOLLOWS: Final[Mapping[Step | None, frozenset[Step]]] = {
    None: frozenset({Step.WARNING, Step.PROTOCOL}),
    Step.WARNING: frozenset({Step.PROTOCOL, Step.WITHDRAWN}),
    Step.PROTOCOL: frozenset({Step.APPEAL, Step.PAID, Step.WITHDRAWN}),
    Step.APPEAL: frozenset({Step.UPHELD, Step.CANCELLED}),
    Step.UPHELD: frozenset({Step.PAID}),
    Step.CANCELLED: frozenset(),
    Step.PAID: frozenset(),
    Step.WITHDRAWN: frozenset(),
}
_MAY: Final[Mapping[Step, frozenset[Role]]] = {
    Step.WARNING: frozenset({Role.INSPECTOR}),
    Step.PROTOCOL: frozenset({Role.INSPECTOR}),
    Step.APPEAL: frozenset({Role.RIDER, Role.OFFICER}),
    Step.UPHELD: frozenset({Role.OFFICER}),
    Step.CANCELLED: frozenset({Role.OFFICER}),
    Step.PAID: frozenset({Role.OFFICER}),
    Step.WITHDRAWN: frozenset({Role.OFFICER}),
}


def decide(history: Sequence[Entry], entry: Entry, rules: InspectionRules) -> CaseOutcome:
    """Return what becomes of ``entry`` after ``history``, the entries of its case so far in order.

    Raises:
        ValueError: if ``history`` is of another case.
    """
    if any(earlier.case_id != entry.case_id for earlier in history):
        raise ValueError(f"case {entry.case_id}: the history is of another case")
    last = history[-1].step if history else None
    protocol = next((earlier for earlier in history if earlier.step is Step.PROTOCOL), None)
    kept = next((earlier for earlier in history if earlier.entry_id == entry.entry_id), None)
    if kept is not None:
        return repeated(kept, entry)
    if entry.role not in _MAY[entry.step]:
        return CaseOutcome.WRONG_ROLE
    early = entry.step is Step.PROTOCOL and last is None and rules.warning_first
    if entry.step not in _FOLLOWS[last] or early:
        return CaseOutcome.WRONG_STEP
    return _on_its_ground(entry, protocol, rules)


def repeated(kept: Entry, entry: Entry) -> CaseOutcome:
    """Return what becomes of ``entry`` where ``kept`` has its ``entry_id``.

    What a phone whose clock is ahead sends again is of the moment it comes (``fare.api.inspection``), so it may be
    later.
    """
    same = entry.at_ms >= kept.at_ms and msgspec.structs.replace(entry, at_ms=kept.at_ms) == kept
    return CaseOutcome.ALREADY_RECORDED if same else CaseOutcome.KEY_REUSED


def _on_its_ground(entry: Entry, protocol: Entry | None, rules: InspectionRules) -> CaseOutcome:
    if entry.step in {Step.WARNING, Step.PROTOCOL} and (
        entry.verdict is None or not entry.verdict.standing.founds_warning
    ):
        return CaseOutcome.NOT_FOUNDED
    if entry.fine_tiyn != (rules.fine_tiyn if entry.step is Step.PROTOCOL else 0):
        return CaseOutcome.WRONG_FINE
    if protocol is not None and entry.step is Step.APPEAL:
        late = entry.at_ms > protocol.at_ms + rules.appeal_days * DAY_MS
        return CaseOutcome.TOO_LATE if late else CaseOutcome.RECORDED
    if protocol is not None and entry.person_id == protocol.person_id:
        return CaseOutcome.SAME_PERSON
    return CaseOutcome.RECORDED


def recorded(entry: Entry, last: Record | None) -> Record:
    """Return the record of ``entry`` that follows ``last``, the newest of all cases; None: it is the first."""
    sequence = last.sequence + 1 if last is not None else 1
    previous = last.digest if last is not None else GENESIS
    return Record(sequence=sequence, entry=entry, previous=previous, digest=_digest(sequence, entry, previous))


def broken_at(records: Sequence[Record], head: str = "") -> int | None:
    """Return the sequence of the first record that does not fit, None if all do.

    ``head``: the digest of the newest record as somebody else kept it; a tail cut off is then found too, as the
    sequence after the last.
    """
    previous = GENESIS
    for sequence, record in enumerate(records, start=1):
        digest = _digest(sequence, record.entry, previous)
        if (record.sequence, record.previous, record.digest) != (sequence, previous, digest):
            return sequence
        previous = record.digest
    if head and head != previous:
        return len(records) + 1
    return None


def _digest(sequence: int, entry: Entry, previous: str) -> str:
    said = msgspec.json.encode((sequence, previous, entry), order="deterministic")
    return hashlib.sha256(said).hexdigest()
