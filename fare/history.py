"""Proof that somebody holds a medium: they have presented it at a validator just now (incident I9, attack 48).

Its number proves nothing: it is printed on the card, and whoever stood behind its holder knows it. A presented medium
leaves a record in the validator's journal. The hash of that record, which covers all of the journal before it, is known
to the validator, which can show a code made of it at once and without a network, and to the server once the batch is
uploaded. Nobody else can make it.

A code opens the history of its medium once, within ``OPENED_WITHIN_MS`` of the touch, together with the bus's number.
Of what was typed wrong nothing is said: no such bus, no such code, too late and used are one answer.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fare.model import MediumId

CODE_DIGITS: Final = 8  # a bus has some 200 touches in a quarter of an hour: one guess in 500,000 would be right
OPENED_WITHIN_MS: Final = 15 * 60_000
READ_FOR_MS: Final = 15 * 60_000
HISTORY_DAYS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """A medium was presented: the record of the validator's journal, and whether its code was used."""

    device_id: str
    sequence: int
    tapped_ms: int
    medium_id: MediumId
    record_hash: bytes
    used: bool


def history_code(record_hash: bytes) -> str:
    """Return the code of a record: what the validator shows to who has just presented a medium."""
    digest = hashlib.sha256(b"history\0" + record_hash).digest()
    return str(int.from_bytes(digest[:8]) % 10**CODE_DIGITS).zfill(CODE_DIGITS)


def touch_of(code: str, touches: Iterable[Touch], now_ms: int) -> Touch | None:
    """Return the touch that a code proves, None if none; all are compared, so that time tells nothing.

    Two touches of one code prove neither.
    """
    typed = "".join(code.split()).encode(errors="replace")
    found = [
        touch
        for touch in touches
        if hmac.compare_digest(history_code(touch.record_hash).encode(), typed)
        and not touch.used
        and 0 <= now_ms - touch.tapped_ms <= OPENED_WITHIN_MS
    ]
    return found[0] if len(found) == 1 else None
