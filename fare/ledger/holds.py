"""Holds that nobody resolved in time: which journals free what they hold.

A hold lives until its ``expires_ms``; from then on only EXPIRE resolves it (``fare.ledger.posting``). Its journal
follows from the hold alone, so two processes that expire one hold say the same, and it happens once. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fare.model import Journal, JournalKey, JournalKind, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """A posted pending journal that nothing has resolved."""

    key: JournalKey
    kind: JournalKind
    expires_ms: int
    subject: str


def expiries(holds: Iterable[OpenHold], now_ms: int) -> list[Journal]:
    """Return the journals that expire what is due at ``now_ms``, the longest due first."""
    due = sorted((hold for hold in holds if hold.expires_ms <= now_ms), key=lambda hold: (hold.expires_ms, hold.key))
    return [
        Journal(
            key=JournalKey(f"expire/{hold.key}"),
            kind=hold.kind,
            occurred_ms=hold.expires_ms,
            entries=(),
            phase=Phase.EXPIRE,
            pending_key=hold.key,
            subject=hold.subject,
        )
        for hold in due
    ]
