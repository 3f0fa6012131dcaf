"""Who did what with money, and when: an append-only log in which each line covers the one before (attack 55).

A line that was changed, taken out or added breaks the chain; one that was cut off the end shows because the database
keeps number and hash of the last line apart, and because anybody may note them elsewhere.
"""

import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

START: Final = bytes(32)


class Act(enum.StrEnum):
    """What was done."""

    SIGN_IN = enum.auto()
    SIGN_IN_REFUSED = enum.auto()
    SIGN_OUT = enum.auto()
    PERSON_ADDED = enum.auto()
    PERSON_REVOKED = enum.auto()
    ONE_TIME_CODES = enum.auto()
    DAY_CLOSED = enum.auto()
    PAID_OUT = enum.auto()
    REFUND_ASKED = enum.auto()
    REFUND_DECIDED = enum.auto()
    AMNESTY_ASKED = enum.auto()
    AMNESTY_DECIDED = enum.auto()
    TOP_UP_REFUND_ASKED = enum.auto()
    TOP_UP_REFUND_DECIDED = enum.auto()
    WRITTEN_OFF = enum.auto()  # or asked for, where it waits for a second person
    WRITE_OFF_DECIDED = enum.auto()
    DISPUTE_OPENED = enum.auto()
    DISPUTE_STEP = enum.auto()
    RECONCILED = enum.auto()
    TAPS_RELEASED = enum.auto()  # quarantined ones, with their time set right
    TAPS_DROPPED = enum.auto()
    EXPORTED = enum.auto()
    HISTORY_READ = enum.auto()
    FORBIDDEN = enum.auto()  # somebody signed in asked for what is not theirs


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """One act. ``detail`` holds no secret and no medium's own number."""

    number: int
    at_ms: int
    who: str
    act: Act
    subject: str
    detail: str
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """The last line: its number and hash."""

    number: int = 0
    hash: bytes = START


def following(head: AuditHead, at_ms: int, who: str, act: Act, subject: str = "", detail: str = "") -> AuditLine:
    """Return the line that follows ``head``."""
    number = head.number + 1
    content = msgspec.json.encode((1, number, at_ms, who, act, subject, detail))
    return AuditLine(
        number=number,
        at_ms=at_ms,
        who=who,
        act=act,
        subject=subject,
        detail=detail,
        hash=hashlib.sha256(head.hash + content).digest(),
    )


def broken_at(lines: Iterable[AuditLine], head: AuditHead) -> int | None:
    """Return the number of the first line that is not what it was; None if all of the log up to ``head`` is whole."""
    last = AuditHead()
    for line in lines:
        if following(last, line.at_ms, line.who, line.act, line.subject, line.detail) != line:
            return last.number + 1
        last = AuditHead(number=line.number, hash=line.hash)
    return None if last == head else min(last.number, head.number) + 1
