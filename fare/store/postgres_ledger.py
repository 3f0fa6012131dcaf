"""The ledger in PostgreSQL: many callers, one durable transaction, one answer each.

``Ledger.post`` gathers concurrent callers (``commons.group_commit``). A batch is decided by the pure core on what is
known of the ledger since this writer's last batch, so that accounts are read once and not before each posting, and its
pages are written in one insert. While the database writes one batch, the next is decided on the state that it foresees
to leave, and waits in a second connection for its turn. The database refuses an insert that does not follow, because
anybody else has posted or the batch before has failed, and a key that was used before; then what is known is forgotten
and the batch decided again under the lock of the ledger. Answers are given after the commit of the own batch. What
fails is answered to nobody: the callers of that batch get the error and may hand in the same journals again, because a
key moves money once.

``read_book`` and ``write_pages`` are the two halves, for whoever posts within a transaction of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from commons.group_commit import GroupCommit
from fare.ledger.posting import Book, Recorded, Referred, check_form, content_digest
from fare.model import AccountCode, Entry, Journal, JournalKey, Phase
from fare.outcomes import Posting
from fare.store.copy_rows import Rows, copy_rows, fetchrow_inserting, insert_few, json_array
from fare.store.kept_connection import KeptConnection
from fare.store.ledger_rows import COLUMNS, rows_of, values_of

BATCH_MAX: Final = 500  # journals; the next in line waits for one batch at most
BATCHES_MAX: Final = 2  # under way: one is written, one decided and sent
OVERLAP_MIN: Final = 64  # journals: two batches of fewer cost more than one of all
WAITING_MAX: Final = 10_000  # callers
WRITE_MAX_S: Final = 15.0
LOCKING_AFTER_CONFLICT: Final = 20  # batches
ACCOUNTS_KNOWN: Final = 1 << 17  # about 40 MB; then all are forgotten, which costs one read of each

_READ: Final = "SELECT * FROM ledger_read('{}', ARRAY(SELECT json_array_elements_text($1)))"
_LOCK_AND_READ: Final = """
SELECT * FROM ledger_lock_and_read(
    ARRAY(SELECT json_array_elements_text($1)), ARRAY(SELECT json_array_elements_text($2)))
"""
_REFERRED: Final = """
SELECT j.key, j.phase::text, j.expires_ms, j.amounts_tiyn,
    ARRAY(SELECT a.code FROM unnest(j.accounts) WITH ORDINALITY AS l (account_id, line)
        JOIN account a USING (account_id) ORDER BY l.line) AS codes,
    EXISTS (SELECT FROM journal c WHERE c.outcome = 'posted' AND c.pending_key = j.key)
        OR EXISTS (SELECT FROM journal c WHERE c.outcome = 'posted' AND c.reverses = j.key) AS closed
FROM journal j WHERE j.key = ANY ($1) AND j.outcome = 'posted'
"""
_OPEN: Final = "INSERT INTO account (code) SELECT json_array_elements_text($1) RETURNING code, account_id"


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


@dataclass(slots=True, kw_only=True)
class _Batch:
    """Journals on their way together. ``before``: the batch that they follow, while it is under way."""

    asked: Sequence[_Asked]
    before: "_Batch | None"
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    as_foreseen: bool = False  # once ``ended``: what was decided on its success may stand

    async def follows(self) -> bool:
        """Return whether the batch before has ended as was foreseen, when it has ended."""
        if self.before is None:
            return True
        await self.before.ended.wait()
        return self.before.as_foreseen


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


async def read_book(connection: asyncpg.Connection, touched: Touched, *, inserting: Iterable[Rows] = ()) -> OpenBook:
    """Lock the ledger until the transaction of ``connection`` ends, and return what is touched of it.

    ``inserting``: rows that are to be written besides, for whom each question counts.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    keys, codes = json_array(list(touched.keys)), json_array(list(touched.accounts))
    opened = _opened(await fetchrow_inserting(connection, _LOCK_AND_READ, keys, codes, inserting=inserting))
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
    if not opened.book.pages:
        return
    ids = opened.account_ids
    new = _new_accounts(opened)
    if new:
        ids.update(await connection.fetch(_OPEN, json_array(sorted(new))))
    pages = opened.book.seal()
    if len(pages) == 1:  # of pages that are sealed together, all must come in one statement
        await insert_few(connection, "journal", COLUMNS, [values_of(pages[0], ids)])
    else:
        await copy_rows(connection, "journal", COLUMNS, rows_of(pages, ids))


class Ledger:
    """Where money moves. Made by ``open_ledger``."""

    def __init__(self, pool: asyncpg.Pool, *, batch_max: int = BATCH_MAX) -> None:
        batches_max = BATCHES_MAX if batch_max >= OVERLAP_MIN else 1
        self._kept = [KeptConnection(pool, answer_max_s=WRITE_MAX_S) for _ in range(batches_max)]
        self._idle = self._kept.copy()
        self._turn = asyncio.Lock()  # to decide: in the order of batches
        self._last: _Batch | None = None
        self._known: OpenBook | None = None  # as the last batch that was decided leaves it, if it succeeds
        self._locking = 0  # batches that still lock first, after a conflict with another writer
        self._commit: GroupCommit[_Asked] = GroupCommit(
            self._write,
            batch_max=batch_max,
            waiting_max=WAITING_MAX,
            writes_max=batches_max,
            overlap_min=OVERLAP_MIN,
        )

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
            for kept in self._kept:
                await kept.close()

    def close(self) -> None:
        """Take no more; ``run`` ends when what waits is written."""
        self._commit.close()

    async def _write(self, asked: Sequence[_Asked]) -> None:
        before = self._last if self._last is not None and not self._last.ended.is_set() else None
        batch = self._last = _Batch(asked=asked, before=before)
        kept = self._idle.pop()
        try:
            await self._carry_out(batch, kept)
        except BaseException:
            self._known = None  # it is not known how the ledger stands
            raise
        finally:
            batch.ended.set()
            batch.before = None  # else each would keep all before it
            self._idle.append(kept)

    async def _carry_out(self, batch: _Batch, kept: KeptConnection) -> None:
        async with self._turn:
            decided = None
            if self._locking == 0:
                decided = await self._decide(batch, kept)
            if decided is None:
                await batch.follows()
                known, self._known = self._known, None
                await self._under_lock(batch.asked, kept, known)
                batch.as_foreseen = True
                self._locking = max(self._locking - 1, 0)
                return
        answers, rows = decided  # from here on the next batch is decided on what this one foresees
        if await _follows(kept, rows) or (
            batch.before is not None and await batch.follows() and await _follows(kept, rows)
        ):
            batch.as_foreseen = True
            _answer(batch.asked, answers)
            return
        self._known = None
        self._locking = LOCKING_AFTER_CONFLICT
        await batch.follows()
        await self._under_lock(batch.asked, kept, None)

    async def _decide(self, batch: _Batch, kept: KeptConnection) -> tuple[list[Posting], list[bytes]] | None:
        """Return the answers that are right and the rows to write if all before succeeds; None: it needs the lock.

        One wait for the server instead of five, and none before the next batch is decided. The database compares the
        head: what another writer has posted meanwhile, or a key that was used before, makes the insert fail as a whole.
        """
        journals = [one.journal for one in batch.asked]
        known, alone = self._known, batch.before is None or batch.before.ended.is_set()
        if any(journal.pending_key or journal.reverses for journal in journals) or (known is None and not alone):
            return None
        ids = known.account_ids if known is not None else {}
        new = {entry.account for journal in journals for entry in journal.entries if entry.account not in ids}
        if new:
            async with kept.alone() as connection:
                read = _opened(await connection.fetchrow(_READ, json_array(list(new))))
            if not new <= read.account_ids.keys():
                return None  # they are to be opened
            if known is None:
                known = read
            else:  # if others have posted since ``known``, the insert will not follow, whatever was read
                _learn(known, read)
        if known is None:
            return None
        opened = _continued(known)
        answers = [opened.book.take(one.journal, one.digest) for one in batch.asked]
        rows = list(rows_of(opened.book.seal(), opened.account_ids))
        self._know(opened)
        return answers, rows

    async def _under_lock(self, asked: Sequence[_Asked], kept: KeptConnection, known: OpenBook | None) -> None:
        async with kept.transaction() as connection:
            opened = await read_book(connection, touched_by([one.journal for one in asked]))
            if known is not None and (known.book.number, known.book.head) == (opened.book.number, opened.book.head):
                _learn(known, opened)
                opened.account_ids = known.account_ids
                opened.book.balances_tiyn, opened.book.held_tiyn = known.book.balances_tiyn, known.book.held_tiyn
            answers = [opened.book.take(one.journal, one.digest) for one in asked]
            await write_pages(connection, opened)
        _answer(asked, answers)
        self._know(opened)

    def _know(self, opened: OpenBook) -> None:
        self._known = opened if len(opened.account_ids) <= ACCOUNTS_KNOWN else None


@asynccontextmanager
async def open_ledger(pool: asyncpg.Pool, *, batch_max: int = BATCH_MAX) -> AsyncIterator[Ledger]:
    """Give a ledger while the block runs; on leaving, what was handed in is still written.

    It keeps one connection of ``pool``, and under load a second: batches follow one another in the database (see the
    migration), but while one is written the next is decided here.
    """
    ledger = Ledger(pool, batch_max=batch_max)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ledger.run(), name="ledger")
        try:
            yield ledger
        finally:
            ledger.close()


async def _follows(kept: KeptConnection, rows: Sequence[bytes]) -> bool:
    """Write ``rows`` in a transaction of their own; return False if the ledger stands otherwise than was foreseen."""
    async with kept.alone() as connection:
        try:
            await copy_rows(connection, "journal", COLUMNS, rows)
        except (asyncpg.SerializationError, asyncpg.UniqueViolationError):
            return False
    return True


def _learn(known: OpenBook, read: OpenBook) -> None:
    """Add to ``known`` the accounts that were ``read``."""
    known.account_ids.update(read.account_ids)
    known.book.balances_tiyn.update(read.book.balances_tiyn)
    known.book.held_tiyn.update(read.book.held_tiyn)


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
        row = await connection.fetchrow(_READ, json_array(list(held)))
        opened.account_ids.update(zip(row["known_codes"], row["account_ids"], strict=True))
        book.balances_tiyn.update(zip(row["known_codes"], row["balances_tiyn"], strict=True))
        book.held_tiyn.update(zip(row["known_codes"], row["helds_tiyn"], strict=True))
