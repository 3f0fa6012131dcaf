"""Reading the ledger: whether it is whole, how accounts stand, and what moved on one of them.

All is read in one snapshot (REPEATABLE READ), so that journals posted meanwhile are not faults. Read the primary: a
replica may show commits in another order (jepsen.io, Amazon RDS for PostgreSQL 17.4).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import asyncpg
import msgspec

from fare.ledger.audit import AccountState, Audit, Fault, Finding, Move
from fare.ledger.posting import Page
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, Phase
from fare.outcomes import Posting

PAGES_AT_A_TIME: Final = 5_000
READ_MAX_S: Final = 3_600.0

_PAGES: Final = """
SELECT number, key, kind::text, phase::text, outcome::text, occurred_ms, expires_ms, pending_key, reverses, subject,
    accounts, amounts_tiyn, refused::text, digest, hash
FROM journal ORDER BY number
"""
# ``linked``: whether the postings of the account lead from the last to the first, none left out.
_ACCOUNTS: Final = """
WITH moved AS (
    SELECT m.account_id, sum(m.moved_tiyn) AS moved_tiyn, max(m.number) AS last_posting,
        bool_and(m.before IS NOT DISTINCT FROM m.previous) AS linked
    FROM (
        SELECT l.account_id, p.number, l.moved_tiyn, l.before,
            lag(p.number) OVER (PARTITION BY l.account_id ORDER BY p.number) AS previous
        FROM posting p, unnest(p.accounts, p.moved_tiyn, p.befores) AS l (account_id, moved_tiyn, before)
    ) AS m
    GROUP BY m.account_id
), entered AS (
    SELECT e.account_id, sum(e.amount_tiyn) AS entered_tiyn FROM entry e GROUP BY e.account_id
)
SELECT a.account_id, a.code, a.balance_tiyn, a.held_tiyn,
    (coalesce(m.moved_tiyn, 0) + coalesce(e.entered_tiyn, 0))::bigint AS entered_tiyn,
    coalesce(m.linked, true) AND a.last_posting IS NOT DISTINCT FROM m.last_posting AS linked
FROM account a LEFT JOIN moved m USING (account_id) LEFT JOIN entered e USING (account_id)
"""
_MOVES: Final = """
SELECT j.number, j.key, j.kind::text, j.occurred_ms, j.subject,
    j.amounts_tiyn[array_position(j.accounts, a.account_id)] AS amount_tiyn
FROM account a, account_entries(a.account_id) AS e JOIN journal j ON j.number BETWEEN e.first_number AND e.number
WHERE a.code = $1 AND a.account_id = ANY (j.accounts) AND j.phase <> 'pending'
ORDER BY j.number
"""


async def verify(
    pool: asyncpg.Pool, *, noted: Mapping[int, bytes] | None = None, progress: Callable[[int], None] = lambda _: None
) -> Audit:
    """Read the whole ledger and return the finished audit. ``noted``: hashes by journal number, kept elsewhere.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    audit = Audit()
    due = dict(noted or {})
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_ACCOUNTS, timeout=READ_MAX_S)
        codes = {row["account_id"]: AccountCode(row["code"]) for row in rows}
        accounts = {
            AccountCode(row["code"]): AccountState(
                balance_tiyn=row["balance_tiyn"],
                held_tiyn=row["held_tiyn"],
                entered_tiyn=row["entered_tiyn"],
                linked=row["linked"],
            )
            for row in rows
        }
        head = await connection.fetchrow("SELECT number, hash FROM ledger_head")
        async for row in connection.cursor(_PAGES, prefetch=PAGES_AT_A_TIME, timeout=READ_MAX_S):
            audit.take(_page(row, codes))
            if row["number"] in due and due.pop(row["number"]) != row["hash"]:
                audit.findings.append(Finding(fault=Fault.CUT_OFF, where=f"journal {row['number']}"))
            if row["number"] % PAGES_AT_A_TIME == 0:
                progress(row["number"])
    audit.findings += [Finding(fault=Fault.CUT_OFF, where=f"journal {number}") for number in due]
    audit.finish(head["number"], head["hash"], accounts)
    return audit


async def balances_tiyn(pool: asyncpg.Pool) -> dict[AccountCode, int]:
    """Return the balances of all accounts, debit positive.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = await pool.fetch("SELECT code, balance_tiyn FROM account", timeout=READ_MAX_S)
    return {AccountCode(row["code"]): row["balance_tiyn"] for row in rows}


async def moves_of(pool: asyncpg.Pool | asyncpg.Connection, code: AccountCode) -> list[Move]:
    """Return what moved on one account, in the order of the ledger; nothing for an account that was never used.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    return [
        Move(
            number=row["number"],
            key=JournalKey(row["key"]),
            kind=JournalKind(row["kind"]),
            occurred_ms=row["occurred_ms"],
            subject=row["subject"],
            amount_tiyn=row["amount_tiyn"],
        )
        for row in await pool.fetch(_MOVES, code, timeout=READ_MAX_S)
    ]


def _page(row: asyncpg.Record, codes: Mapping[int, AccountCode]) -> Page:
    legs: Iterable[tuple[str, int]]
    if row["refused"] is not None:
        legs = msgspec.json.decode(row["refused"], type=list[tuple[str, int]])
    else:
        legs = zip([codes[account_id] for account_id in row["accounts"]], row["amounts_tiyn"], strict=True)
    return Page(
        number=row["number"],
        journal=Journal(
            key=row["key"],
            kind=JournalKind(row["kind"]),
            occurred_ms=row["occurred_ms"],
            entries=tuple(Entry(account=AccountCode(code), amount_tiyn=amount_tiyn) for code, amount_tiyn in legs),
            phase=Phase(row["phase"]),
            pending_key=row["pending_key"],
            expires_ms=row["expires_ms"],
            reverses=row["reverses"],
            subject=row["subject"],
        ),
        digest=row["digest"],
        outcome=Posting(row["outcome"]),
        chained=row["hash"],
    )
