"""The log of who did what, in PostgreSQL: written in the transaction of the act, so there is never one without it."""

import asyncpg

from fare.audit_trail import Act, AuditHead, AuditLine, broken_at, following

_HEAD = "SELECT number, hash FROM audit_head"
_LINES = "SELECT number, at_ms, who, act, subject, detail, hash FROM audit_line"


async def note(
    connection: asyncpg.Connection, now_ms: int, who: str, act: Act, subject: str = "", detail: str = ""
) -> None:
    """Append a line within the caller's transaction. Acts take turns from here to its end, so note late.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if it is not written; the transaction is lost then.
    """
    row = await connection.fetchrow(f"{_HEAD} FOR UPDATE")
    line = following(AuditHead(number=row["number"], hash=row["hash"]), now_ms, who, act, subject, detail)
    await connection.execute(
        "INSERT INTO audit_line (number, at_ms, who, act, subject, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(line.number, line.at_ms, line.who, line.act.value, line.subject, line.detail, line.hash),
    )


async def latest_lines(pool: asyncpg.Pool, count: int) -> list[AuditLine]:
    """Return the last lines, the newest first.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    return [_line(row) for row in await pool.fetch(f"{_LINES} ORDER BY number DESC LIMIT $1", count)]


async def audit_broken_at(pool: asyncpg.Pool) -> int | None:
    """Read the whole log and return the number of the first line that is not what it was; None if it is whole.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        head = await connection.fetchrow(_HEAD)
        rows = await connection.fetch(f"{_LINES} ORDER BY number")
    return broken_at(map(_line, rows), AuditHead(number=head["number"], hash=head["hash"]))


def _line(row: asyncpg.Record) -> AuditLine:
    return AuditLine(**{**row, "act": Act(row["act"])})
