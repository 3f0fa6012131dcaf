"""Open holds in PostgreSQL, read along the index ``journal_holds``."""

from typing import Final

import asyncpg

from fare.ledger.holds import OpenHold
from fare.model import JournalKey, JournalKind

_DUE: Final = """
SELECT h.key, h.kind::text, h.expires_ms, h.subject FROM journal h
WHERE h.phase = 'pending' AND h.outcome = 'posted' AND h.expires_ms >= $1 AND h.expires_ms <= $2
    AND NOT EXISTS (SELECT FROM journal c WHERE c.pending_key = h.key AND c.outcome = 'posted')
ORDER BY h.expires_ms, h.key LIMIT $3
"""


async def read_due_holds(pool: asyncpg.Pool, *, since_ms: int, until_ms: int, holds_max: int) -> list[OpenHold]:
    """Return up to ``holds_max`` open holds due from ``since_ms`` up to ``until_ms``, the longest due first.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = await pool.fetch(_DUE, since_ms, until_ms, holds_max)
    return [
        OpenHold(
            key=JournalKey(row["key"]),
            kind=JournalKind(row["kind"]),
            expires_ms=row["expires_ms"],
            subject=row["subject"],
        )
        for row in rows
    ]
