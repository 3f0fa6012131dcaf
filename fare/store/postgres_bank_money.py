"""Post what banks' payments do to the books, within the caller's transaction."""

from collections.abc import Callable, Mapping, Sequence

import asyncpg

from fare.ledger.accounts import debt, wallet
from fare.ledger.bank_money import available_tiyn
from fare.ledger.billing import levelling
from fare.ledger.posting import Book, check_form
from fare.model import AccountCode, Journal, MediumId
from fare.outcomes import Posting
from fare.store.postgres_ledger import Touched, read_book, write_pages
from fare.store.postgres_media import know_medium


async def post_bank_money(
    connection: asyncpg.Connection,
    medium_id: MediumId,
    channel: AccountCode,
    moves: Sequence[Callable[[Book], Journal]],
    now_ms: int,
) -> Mapping[MediumId, int]:
    """Post ``moves`` one after another, each made of the books as the one before left them; level wallet and debt.

    The medium is locked (``lock_media``). Return what it owes then, or nothing without moves.

    Raises:
        asyncpg.UniqueViolationError: if a journal of the same key is in the books; the transaction is lost then.
        RuntimeError: if the ledger refuses, which these journals give no reason for.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if they are not written; the transaction is lost then.
    """
    if not moves:
        return {}
    touched = Touched(keys=set(), accounts={channel, wallet(medium_id), debt(medium_id)}, references=set())
    opened = await read_book(connection, touched)
    book = opened.book
    for move in moves:
        _take(book, move(book))
    cause = book.pages[-1].journal.key
    level = levelling(book, medium_id, key=cause, occurred_ms=now_ms)
    if level is not None:
        _take(book, level)
    await write_pages(connection, opened)
    await know_medium(connection, medium_id, now_ms)
    return {medium_id: book.balances_tiyn.get(debt(medium_id), 0)}


async def wallet_tiyn(connection: asyncpg.Connection, medium_id: MediumId) -> int:
    """Return what a medium's wallet has and holds for nothing else, and let nobody post until the transaction ends.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    touched = Touched(keys=set(), accounts={wallet(medium_id)}, references=set())
    return available_tiyn((await read_book(connection, touched)).book, medium_id)


def _take(book: Book, journal: Journal) -> None:
    check_form(journal)
    posting = book.take(journal)
    if posting is not Posting.POSTED:
        raise RuntimeError(f"journal {journal.key} was not posted: {posting}")
