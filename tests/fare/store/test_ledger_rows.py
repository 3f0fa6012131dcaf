"""A page is the same row whether it is written by INSERT or by COPY."""

import asyncpg
import pytest

from fare.ledger.posting import Book
from fare.model import Journal, Phase
from fare.store.copy_rows import copy_rows, insert_few
from fare.store.ledger_rows import COLUMNS, rows_of, values_of
from tests.notation.ledger import journal

HELD = journal("held", "wallet:1", "revenue:adult", 500, phase=Phase.PENDING, of="9000")
PAID = journal("paid", "suspense", "wallet:1", 900)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
async def test_one_page_or_many(postgres: asyncpg.Pool, count: int) -> None:
    book = Book()
    some: list[Journal] = [PAID, HELD, journal("refused", "wallet:2", "revenue:adult", 1), PAID][:count]
    for one in some:
        book.take(one)
    pages = book.seal()
    ids = {entry.account: number for one in some for number, entry in enumerate(one.entries, 1)}
    async with postgres.acquire() as connection:
        for table in ("copied", "inserted"):
            await connection.execute(f"CREATE TEMPORARY TABLE {table} (LIKE journal INCLUDING DEFAULTS)")
        await copy_rows(connection, "copied", COLUMNS, rows_of(pages, ids))
        await insert_few(connection, "inserted", COLUMNS, [values_of(page, ids) for page in pages])
        copied, inserted = [
            [dict(row) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY number")]  # noqa: S608
            for table in ("copied", "inserted")
        ]
    assert [row | {"recorded_at": None} for row in copied] == [row | {"recorded_at": None} for row in inserted]
    assert [row["outcome"] for row in copied] == ["posted", "posted", "balance_too_low"][:count]
    assert len(copied) == len(pages) > 0
