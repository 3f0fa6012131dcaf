"""The file of an acquirer, operator or bank beside one of our accounts: compared, and kept with its findings.

The reference that both books know is the subject of our journals, or their key where they have none. The same file for
the same account and time is compared once; asked again, the first answer is read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from fare.audit_trail import Act
from fare.ledger.accounts import rule_of
from fare.model import AccountCode
from fare.settlement.reconcile import FileColumns, Finding, Payment, Reconciled, read_settlement_file, reconcile
from fare.store.ledger_books import moves_of
from fare.store.postgres_audit import note

_KNOWN = """
SELECT reconciliation_id FROM reconciliation
WHERE account = $1 AND from_ms = $2 AND until_ms = $3 AND file_sha256 = $4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One comparison: what was compared, when, by whom."""

    reconciliation_id: int
    account: AccountCode
    from_ms: int
    until_ms: int
    file_name: str
    at_ms: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementFile:
    """A file of others: its name, content and columns."""

    name: str
    content: bytes
    columns: FileColumns


async def compare(
    pool: asyncpg.Pool,
    account: AccountCode,
    file: SettlementFile,
    from_ms: int,
    until_ms: int,
    *,
    who: str,
    now_ms: int,
) -> tuple[int, Sequence[Reconciled]]:
    """Compare a file with what moved on an account from one moment until another; return its number and findings.

    Raises:
        ValueError: if the chart has no such account, or ``SettlementFileError`` if the file cannot be read.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    if rule_of(account) is None:
        raise ValueError(f"account must be of the chart: {account!r}")
    theirs = read_settlement_file(file.content, file.columns)
    digest = hashlib.sha256(file.content).digest()
    moves = await moves_of(pool, account)
    ours = [
        Payment(reference=move.subject or move.key, amount_tiyn=move.amount_tiyn)
        for move in moves
        if from_ms <= move.occurred_ms < until_ms
    ]
    found = reconcile(ours, theirs)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE reconciliation IN SHARE ROW EXCLUSIVE MODE")
        known: int | None = await connection.fetchval(_KNOWN, account, from_ms, until_ms, digest)
        if known is not None:
            return known, await findings_of(connection, known)
        number: int = await connection.fetchval(
            "INSERT INTO reconciliation (account, from_ms, until_ms, file_name, file_sha256, at_ms, by) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING reconciliation_id",
            *(account, from_ms, until_ms, file.name, digest, now_ms, who),
        )
        await connection.copy_records_to_table(
            "reconciliation_line",
            columns=("reconciliation_id", "reference", "finding", "ours_tiyn", "theirs_tiyn", "rows"),
            records=[
                (number, one.reference, one.finding.value, one.ours_tiyn, one.theirs_tiyn, list(one.rows))
                for one in found
            ],
        )
        open_lines = sum(1 for one in found if one.finding is not Finding.MATCHED)
        await note(connection, now_ms, who, Act.RECONCILED, account, f"{len(found)} references, {open_lines} open")
    return number, found


async def findings_of(connection: asyncpg.Connection | asyncpg.Pool, reconciliation_id: int) -> list[Reconciled]:
    """Return the findings of a comparison in order of reference; none if there is no such comparison.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = await connection.fetch(
        "SELECT reference, finding, ours_tiyn, theirs_tiyn, rows FROM reconciliation_line "
        "WHERE reconciliation_id = $1 ORDER BY reference",
        reconciliation_id,
    )
    return [
        Reconciled(
            finding=Finding(row["finding"]),
            reference=row["reference"],
            ours_tiyn=row["ours_tiyn"],
            theirs_tiyn=row["theirs_tiyn"],
            rows=tuple(row["rows"]),
        )
        for row in rows
    ]


async def comparisons(pool: asyncpg.Pool, count: int) -> list[Comparison]:
    """Return the last comparisons, the newest first.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = await pool.fetch(
        "SELECT reconciliation_id, account, from_ms, until_ms, file_name, at_ms, by FROM reconciliation "
        "ORDER BY reconciliation_id DESC LIMIT $1",
        count,
    )
    return [Comparison(**{**row, "account": AccountCode(row["account"])}) for row in rows]
