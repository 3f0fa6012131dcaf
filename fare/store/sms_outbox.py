"""Messages of ours that answer nothing, such as one-time codes: into the outbox that operators' gateways empty.

Every function raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

from typing import Final

import asyncpg

from fare.model import PhoneNumber

LATE_MS: Final = 20_000  # a gateway in service takes what is due within a second

_ADD: Final = """
INSERT INTO sms_outgoing (answers, operator, number, short_code, text, made_ms, leased_until_ms)
VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (answers) DO NOTHING
"""
_LATE: Final = "SELECT 1 FROM sms_outgoing WHERE state = 'due' AND operator = $1 AND made_ms < $2 LIMIT 1"


async def add_message(
    pool: asyncpg.Pool, *, key: str, operator: str, number: PhoneNumber, short_code: str, text: str, now_ms: int
) -> None:
    """Let a message be sent through ``operator`` as soon as its gateway looks; the same ``key`` is sent once."""
    await pool.execute(_ADD, key, operator, number, short_code, text, now_ms)


async def is_late(pool: asyncpg.Pool, operator: str, now_ms: int) -> bool:
    """Return whether messages wait for an operator's gateway: it is down, or the operator is."""
    return await pool.fetchval(_LATE, operator, now_ms - LATE_MS) is not None
