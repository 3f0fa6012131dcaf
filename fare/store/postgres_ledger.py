"""The ledger in PostgreSQL: many callers, one durable transaction, one answer each.

``Ledger.post`` gathers concurrent callers (``commons.group_commit``). A batch is answered by the pure core on what is
known of the ledger since this writer's last batch, so that accounts are read once and not before each posting, and its
pages are written in one insert. The database refuses the insert if anybody has posted in between or a key was used
before; then what is known is forgotten and the batch done again under the lock of the ledger's head. Answers are given
after the commit. What fails is answered to nobody: the callers of that batch get the error and may hand in the same
journals again, because a key moves money once.

``read_book`` and ``write_pages`` are the two halves, for whoever posts within a transaction of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from commons.group_commit import GroupCommit
from fare.ledger.posting import Book, Page, Recorded, Referred, check_form, content_digest
from fare.model import AccountCode, Entry, Journal, JournalKey, Phase
from fare.outcomes import Posting
from fare.store.kept_connection import KeptConnection

BATCH_MAX: Final = 500  # journals; the next in line waits for one batch at most
WAITING_MAX: Final = 10_000  # callers
WRITE_MAX_S: Final = 15.0
LOCKING_AFTER_CONFLICT: Final = 20  # batches
ACCOUNTS_KNOWN: Final = 1 << 17  # about 40 MB; then all are forgotten, which costs one read of each

_READ: Final = "SELECT * FROM ledger_read($1, $2)"
_LOCK_AND_READ: Final = "SELECT * FROM ledger_lock_and_read($1, $2)"
_REFERRED: Final = """
SELECT j.key, j.phase::text, j.expires_ms, j.amounts_tiyn,
    ARRAY(SELECT a.code FROM unnest(j.accounts) WITH ORDINALITY AS l (account_id, line)
        JOIN account a USING (account_id) ORDER BY l.line) AS codes,
    EXISTS (SELECT FROM journal c WHERE c.outcome = 'posted' AND c.pending_key = j.key)
        OR EXISTS (SELECT FROM journal c WHERE c.outcome = 'posted' AND c.reverses = j.key) AS closed
FROM journal j WHERE j.key = ANY ($1) AND j.outcome = 'posted'
"""
_OPEN: Final = "INSERT INTO account (code) SELECT unnest($1::text[]) RETURNING code, account_id"
_COLUMNS: Final = (
    *("number", "key", "kind", "phase", "outcome", "occurred_ms", "expires_ms", "pending_key", "reverses", "subject"),
    *("accounts", "amounts_tiyn", "refused", "digest", "hash"),
)


@dataclass(slots=True, kw_only=True)
class OpenBook:
    """A ``Book`` read under the lock of the head, and the numbers that the database gave its accounts."""

    book: Book
    account_ids: dict[AccountCode, int]


@dataclass(slots=True)
class _Asked:
    """A journal on its way, and its answer."""

    journal: Journal
    digest: bytes
    answer: Posting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What journals touch: their keys, accounts, and keys of journals that they resolve or reverse."""

    keys: set[JournalKey]
    accounts: set[AccountCode]
    references: set[JournalKey]


def touched_by(journals: Iterable[Journal]) -> Touched:
    """Return all that ``journals`` touch."""
    touched = Touched(keys=set(), accounts=set(), references=set())
    for journal in journals:
        touched.keys.add(journal.key)
        touched.accounts.update([entry.account for entry in journal.entries])
        reference = journal.pending_key or journal.reverses
        if reference is not None:
            touched.references.add(reference)
    return touched


async def read_book(connection: asyncpg.Connection, touched: Touched) -> OpenBook:
    """Lock the ledger until the transaction of ``connection`` ends, and return what is touched of it.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    opened = _opened(await connection.fetchrow(_LOCK_AND_READ, list(touched.keys), list(touched.accounts)))
    if touched.references:
        await _read_referred(connection, opened, touched.references)
    return opened


def _opened(row: asyncpg.Record) -> OpenBook:
    """Return what ``ledger_read`` answered."""
    book = Book(number=row["number"], head=row["hash"])
    opened = OpenBook(book=book, account_ids={})
    if row["known_keys"]:
        for key, digest, outcome in zip(row["known_keys"], row["digests"], row["outcomes"], strict=True):
            book.recorded[key] = Recorded(digest=digest, outcome=Posting(outcome))
    if row["known_codes"]:
        codes_known = row["known_codes"]
        opened.account_ids = dict(zip(codes_known, row["account_ids"], strict=True))
        book.balances_tiyn = dict(zip(codes_known, row["balances_tiyn"], strict=True))
        book.held_tiyn = dict(zip(codes_known, row["helds_tiyn"], strict=True))
    return opened


async def write_pages(connection: asyncpg.Connection, opened: OpenBook) -> None:
    """Write the pages that ``opened.book`` has taken since it was read, and open the accounts that are new.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if they are not written; the transaction is lost then.
    """
    pages = opened.book.pages
    if not pages:
        return
    ids = opened.account_ids
    new = _new_accounts(opened)
    if new:
        ids.update(await connection.fetch(_OPEN, sorted(new)))
    # COPY: the statement's triggers see all rows at once, and no parameter is looked at one by one.
    await connection.copy_records_to_table("journal", records=[_row(page, ids) for page in pages], columns=_COLUMNS)
    opened.book.pages = []


class Ledger:
    """Where money moves. Made by ``open_ledger``."""

    def __init__(self, pool: asyncpg.Pool, *, batch_max: int = BATCH_MAX) -> None:
        self._kept = KeptConnection(pool, answer_max_s=WRITE_MAX_S)
        self._known: OpenBook | None = None
        self._locking = 0  # batches that still lock first, after a conflict with another writer
        self._commit: GroupCommit[_Asked] = GroupCommit(self._write, batch_max=batch_max, waiting_max=WAITING_MAX)

    async def post(self, journals: Sequence[Journal]) -> list[Posting]:
        """Return what became of each of ``journals`` once that is on disk. They are answered in order.

        Raises:
            ValueError: if one has a form that no state of the ledger could make right; none is posted then.
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
                They may have been posted or not; hand in the same again to know.
        """
        for journal in journals:
            check_form(journal)
        asked = [_Asked(journal, content_digest(journal)) for journal in journals]
        await self._commit.submit(asked)
        return [one.answer for one in asked if one.answer is not None]

    async def run(self) -> None:
        """Write what is handed in, until ``close``; then let the connection go."""
        try:
            await self._commit.run()
        finally:
            await self._kept.close()

    def close(self) -> None:
        """Take no more; ``run`` ends when what waits is written."""
        self._commit.close()

    async def _write(self, asked: Sequence[_Asked]) -> None:
        known, self._known = self._known, None  # if anything goes wrong, it is not known how the ledger stands
        touched = touched_by([one.journal for one in asked])
        opened = None
        if self._locking == 0 and not touched.references:
            opened = await self._without_lock(asked, touched, known)
        if opened is None:
            opened = await self._under_lock(asked, touched, known)
            self._locking = max(self._locking - 1, 0)
        if len(opened.account_ids) <= ACCOUNTS_KNOWN:
            self._known = opened

    async def _without_lock(self, asked: Sequence[_Asked], touched: Touched, known: OpenBook | None) -> OpenBook | None:
        """Decide on what is known and write it if it still follows; return what is known then, None: nothing is done.

        One wait for the server instead of five. The database compares the head: what another writer has posted
        meanwhile, or a key that was used before, makes the insert fail as a whole.
        """
        async with self._kept.alone() as connection:
            opened = known
            ids = known.account_ids if known is not None else {}
            new = [
                code for code in touched.accounts if code not in ids
            ]  # a difference of sets would look at all of ids
            if new:
                opened = _joined(known, _opened(await connection.fetchrow(_READ, [], new)))
            if opened is None or not touched.accounts <= opened.account_ids.keys():
                return None  # others have posted, or accounts are to be opened: both are for the lock
            opened = _continued(opened)
            answers = [opened.book.take(one.journal, one.digest) for one in asked]
            try:
                await write_pages(connection, opened)
            except (asyncpg.SerializationError, asyncpg.UniqueViolationError):
                self._locking = LOCKING_AFTER_CONFLICT
                return None
        _answer(asked, answers)
        return opened

    async def _under_lock(self, asked: Sequence[_Asked], touched: Touched, known: OpenBook | None) -> OpenBook:
        async with self._kept.transaction() as connection:
            opened = await read_book(connection, touched)
            joined = _joined(known, opened)
            if joined is not None:
                opened = joined
            answers = [opened.book.take(one.journal, one.digest) for one in asked]
            await write_pages(connection, opened)
        _answer(asked, answers)
        return opened


@asynccontextmanager
async def open_ledger(pool: asyncpg.Pool, *, batch_max: int = BATCH_MAX) -> AsyncIterator[Ledger]:
    """Give a ledger while the block runs; on leaving, what was handed in is still written.

    It keeps one connection of ``pool``. A second writer would gain nothing: batches follow one another in the
    database (see the migration), and what arrives meanwhile makes the next batch larger. Measured: 10 % slower.
    """
    ledger = Ledger(pool, batch_max=batch_max)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ledger.run(), name="ledger")
        try:
            yield ledger
        finally:
            ledger.close()


def _joined(known: OpenBook | None, read: OpenBook) -> OpenBook | None:
    """Return what was ``read`` with all the accounts ``known``; None if the ledger has gone on since they were."""
    if known is None:
        return read
    if (known.book.number, known.book.head) != (read.book.number, read.book.head):
        return None
    known.account_ids.update(read.account_ids)
    known.book.balances_tiyn.update(read.book.balances_tiyn)
    known.book.held_tiyn.update(read.book.held_tiyn)
    read.account_ids = known.account_ids
    read.book.balances_tiyn, read.book.held_tiyn = known.book.balances_tiyn, known.book.held_tiyn
    return read


def _continued(opened: OpenBook) -> OpenBook:
    """Return the book for the pages after those of ``opened``: it shares the accounts, and knows no keys."""
    book = opened.book
    return OpenBook(
        book=Book(number=book.number, head=book.head, balances_tiyn=book.balances_tiyn, held_tiyn=book.held_tiyn),
        account_ids=opened.account_ids,
    )


def _new_accounts(opened: OpenBook) -> set[AccountCode]:
    """Return the accounts of posted pages that the database does not have yet."""
    posted = [page.journal.entries for page in opened.book.pages if page.outcome is Posting.POSTED]
    return {entry.account for entries in posted for entry in entries if entry.account not in opened.account_ids}


def _answer(asked: Sequence[_Asked], answers: Sequence[Posting]) -> None:
    for one, answer in zip(asked, answers, strict=True):
        one.answer = answer


async def _read_referred(connection: asyncpg.Connection, opened: OpenBook, keys: Iterable[JournalKey]) -> None:
    """Read posted journals that others resolve or reverse, and the accounts they hold."""
    book = opened.book
    for row in await connection.fetch(_REFERRED, list(keys)):
        legs = zip(row["codes"], row["amounts_tiyn"], strict=True)
        book.referred[row["key"]] = Referred(
            phase=Phase(row["phase"]),
            entries=tuple(Entry(account=code, amount_tiyn=amount_tiyn) for code, amount_tiyn in legs),
            expires_ms=row["expires_ms"],
            closed=row["closed"],
        )
    held = {entry.account for one in book.referred.values() for entry in one.entries} - opened.account_ids.keys()
    if held:
        row = await connection.fetchrow(_READ, [], list(held))
        opened.account_ids.update(zip(row["known_codes"], row["account_ids"], strict=True))
        book.balances_tiyn.update(zip(row["known_codes"], row["balances_tiyn"], strict=True))
        book.held_tiyn.update(zip(row["known_codes"], row["helds_tiyn"], strict=True))


def _row(page: Page, ids: dict[AccountCode, int]) -> tuple[object, ...]:
    """Return the values of ``_COLUMNS``."""
    journal = page.journal
    entries, refused = journal.entries, None
    if page.outcome is not Posting.POSTED:
        refused = msgspec.json.encode([(entry.account, entry.amount_tiyn) for entry in entries]).decode()
        entries = ()
    return (
        page.number,
        journal.key,
        journal.kind,
        journal.phase,
        page.outcome,
        journal.occurred_ms,
        journal.expires_ms,
        journal.pending_key,
        journal.reverses,
        journal.subject,
        [ids[entry.account] for entry in entries],
        [entry.amount_tiyn for entry in entries],
        refused,
        page.digest,
        page.chained,
    )
