"""A ledger that was kept before a migration goes on after it."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from commons.migrate import migrate, migrations
from fare.ledger.posting import Book
from fare.model import Journal, Phase
from fare.store.copy_rows import copy_rows
from fare.store.ledger_books import moves_of, verify
from fare.store.ledger_rows import COLUMNS, rows_of
from fare.store.postgres_ledger import open_ledger
from tests.conftest import new_database
from tests.notation.ledger import account, journal

BEFORE_POSTINGS = "0012_ledger_speed.sql"


async def migrate_until(pool: asyncpg.Pool, last: str) -> None:
    """Bring tables where they were when ``last`` was the newest migration."""
    await pool.execute(
        "CREATE TABLE migration (package text, number integer, name text NOT NULL, sha256 text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (package, number))"
    )
    for one in migrations("fare.store"):
        if one.name <= last:
            await pool.execute(one.sql)
            await pool.execute(
                "INSERT INTO migration VALUES ($1, $2, $3, $4)", "fare.store", one.number, one.name, one.sha256
            )


async def write_as_before(pool: asyncpg.Pool, book: Book, journals: Sequence[Journal]) -> None:
    """Write one batch, each journal with a hash of its own."""
    pages = []
    for one in journals:
        book.take(one)
        pages += book.seal()
    codes = sorted({entry.account for one in journals for entry in one.entries})
    async with pool.acquire() as connection:
        await connection.execute("INSERT INTO account (code) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", codes)
        rows = await connection.fetch("SELECT code, account_id FROM account")
        await copy_rows(
            connection, "journal", COLUMNS, rows_of(pages, {row["code"]: row["account_id"] for row in rows})
        )


@pytest.fixture
async def empty(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """A database without tables."""
    async with new_database(postgres_dsn, template="template1") as pool:
        yield pool


async def test_books_from_before_entries_were_gathered_by_batch_go_on(empty: asyncpg.Pool) -> None:
    await migrate_until(empty, BEFORE_POSTINGS)
    book = Book()
    await write_as_before(
        empty, book, [journal("up", "top_up:kiosk", "wallet:7", 100), journal("t1", "wallet:7", "suspense", 1)]
    )
    await write_as_before(empty, book, [journal("hold", "wallet:7", "suspense", 50, phase=Phase.PENDING, of="1000")])
    noted = {book.number: book.head}

    assert await migrate(empty, "fare.store") > 0
    assert (await verify(empty, noted=noted)).findings == []
    async with open_ledger(empty) as ledger:
        await ledger.post([journal("t2", "wallet:7", "suspense", 2), journal("t3", "wallet:7", "suspense", 3)])
        await ledger.post([journal("end", "wallet:7", "suspense", 30, phase=Phase.POST, of="hold")])
    moved = [(move.key, move.amount_tiyn) for move in await moves_of(empty, account("wallet:7"))]
    assert moved == [("up", -100), ("t1", 1), ("t2", 2), ("t3", 3), ("end", 30)]
    assert (await verify(empty, noted=noted)).findings == []
