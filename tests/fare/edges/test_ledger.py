"""The ledger on a real PostgreSQL, asked by many at a time."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest

from commons.migrate import migrate
from fare.ledger.accounts import CHART, rule_of
from fare.ledger.audit import Audit
from fare.ledger.posting import content_digest
from fare.model import Journal, Phase
from fare.outcomes import Posting
from fare.store.ledger_books import balances_tiyn, moves_of, verify
from fare.store.postgres_ledger import OVERLAP_MIN, Ledger, open_ledger, read_book, touched_by, write_pages
from tests.fare.ledger.reference import ReferenceLedger
from tests.notation.ledger import account, journal


@pytest.fixture
async def books(postgres: asyncpg.Pool) -> asyncpg.Pool:
    await migrate(postgres, "fare.store")
    return postgres


async def test_the_database_has_the_chart_of_the_program(books: asyncpg.Pool) -> None:
    rows = await books.fetch("SELECT kind, side, overdraft_tiyn FROM account_kind")
    assert {row["kind"]: (row["side"], row["overdraft_tiyn"]) for row in rows} == {
        str(kind): (rule.side, rule.overdraft_tiyn) for kind, rule in CHART.items()
    }


async def test_answers_come_in_order_and_stay_the_same(books: asyncpg.Pool) -> None:
    asked = [
        journal("up", "top_up:kiosk", "wallet:7", 20_000),
        journal("tap", "wallet:7", "revenue:adult", 12_000),
        journal("tap", "wallet:7", "revenue:adult", 12_000),
        journal("tap", "wallet:7", "revenue:adult", 9_000),
        journal("far", "wallet:7", "revenue:adult", 99_000),
        journal("odd", "wallet:7", "nowhere", 1),
    ]
    said = [
        Posting.POSTED,
        Posting.POSTED,
        Posting.POSTED,
        Posting.KEY_REUSED,
        Posting.BALANCE_TOO_LOW,
        Posting.UNKNOWN_ACCOUNT,
    ]
    for _ in range(2):  # the second time by another process
        async with open_ledger(books) as ledger:
            assert await ledger.post(asked) == said
    assert (await balances_tiyn(books))[account("wallet:7")] == -8_000
    assert [move.key for move in await moves_of(books, account("wallet:7"))] == ["up", "tap"]


async def test_a_mistake_of_one_caller_costs_no_other(books: asyncpg.Pool) -> None:
    async with open_ledger(books) as ledger:
        good = asyncio.create_task(ledger.post([journal("up", "top_up:kiosk", "wallet:7", 1)]))
        with pytest.raises(ValueError, match="key must be"):
            await ledger.post([journal("\x00", "top_up:kiosk", "wallet:7", 1)])
        assert await good == [Posting.POSTED]


async def test_holds_work_within_a_batch_and_across_batches(books: asyncpg.Pool) -> None:
    def hold(key: str) -> Journal:
        return journal(key, "wallet:7", "revenue:adult", 60, phase=Phase.PENDING, of="1000")

    def post(key: str, of: str, tiyn: int) -> Journal:
        return journal(key, "wallet:7", "revenue:adult", tiyn, phase=Phase.POST, of=of)

    async with open_ledger(books) as ledger:
        assert await ledger.post(
            [journal("up", "top_up:kiosk", "wallet:7", 100), hold("h1"), hold("h2"), post("p1", "h1", 50)]
        ) == [Posting.POSTED, Posting.POSTED, Posting.BALANCE_TOO_LOW, Posting.POSTED]
        assert await ledger.post([hold("h3")]) == [Posting.BALANCE_TOO_LOW]
        assert await ledger.post([journal("up2", "top_up:kiosk", "wallet:7", 10), hold("h4")]) == 2 * [Posting.POSTED]
        assert await ledger.post([journal("v4", "wallet:7", "suspense", 0, phase=Phase.VOID, of="h4")]) == [
            Posting.POSTED
        ]
        assert await ledger.post([post("p4", "h4", 1)]) == [Posting.NOTHING_PENDING]
        assert await ledger.post([journal("tap", "wallet:7", "revenue:adult", 60)]) == [Posting.POSTED]
    assert (await verify(books)).findings == []


async def test_what_a_writer_knows_is_forgotten_when_another_has_posted(books: asyncpg.Pool) -> None:
    async with open_ledger(books) as one, open_ledger(books) as other:
        await one.post([journal("up", "top_up:kiosk", "wallet:7", 100), journal("up-8", "top_up:kiosk", "wallet:8", 9)])
        assert await one.post([journal("tap-1", "wallet:7", "suspense", 60)]) == [Posting.POSTED]
        assert await other.post([journal("tap-2", "wallet:7", "suspense", 40)]) == [Posting.POSTED]
        assert await one.post([journal("tap-3", "wallet:7", "suspense", 1)]) == [Posting.BALANCE_TOO_LOW]
        assert await one.post([journal("tap-2", "wallet:7", "suspense", 40)]) == [Posting.POSTED], "the answer of then"
        assert await other.post([journal("tap-4", "wallet:8", "suspense", 9)]) == [Posting.POSTED]
    assert (await verify(books)).findings == []


async def test_what_is_held_is_known_to_the_batches_after(books: asyncpg.Pool) -> None:
    """A hold and its end pass through the lock, what follows does not: it must know what is held."""
    async with open_ledger(books) as ledger:
        await ledger.post([journal("up", "top_up:kiosk", "wallet:7", 100)])
        await ledger.post([journal("hold", "wallet:7", "suspense", 60, phase=Phase.PENDING, of="1000")])
        assert await ledger.post([journal("tap-1", "wallet:7", "suspense", 41)]) == [Posting.BALANCE_TOO_LOW]
        await ledger.post([journal("end", "wallet:7", "suspense", 0, phase=Phase.VOID, of="hold")])
        assert await ledger.post([journal("tap-2", "wallet:7", "suspense", 100)]) == [Posting.POSTED]
    assert (await verify(books)).findings == []


async def test_attack_43_top_ups_and_taps_race_on_one_wallet_and_it_never_goes_below_zero(books: asyncpg.Pool) -> None:
    """Two processes with a ledger each; both see the same wallet, and every key is asked on both."""
    async with open_ledger(books) as one, open_ledger(books) as other:

        async def both(asked: Journal) -> set[Posting]:
            first, second = await asyncio.gather(one.post([asked]), other.post([asked]))
            return {*first, *second}

        answers = await asyncio.gather(
            *(both(journal(f"up-{number}", "top_up:kiosk", "wallet:7", 10)) for number in range(40)),
            *(both(journal(f"tap-{number}", "wallet:7", "revenue:adult", 15)) for number in range(60)),
        )
    assert all(len(said) == 1 for said in answers), "one key has one answer"
    spent = Counter(said.pop() for said in answers[40:])
    left_tiyn = -(await balances_tiyn(books))[account("wallet:7")]
    assert left_tiyn == 400 - 15 * spent[Posting.POSTED] >= 0
    assert spent[Posting.BALANCE_TOO_LOW] == 60 - spent[Posting.POSTED] > 0
    assert (await verify(books)).findings == []


@pytest.mark.parametrize("seed", range(3))
async def test_two_processes_answer_as_the_reference_answers_in_the_order_they_took(
    books: asyncpg.Pool, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311
    asked = [
        journal(
            *(f"k{draw.randrange(80)}", *draw.sample(("wallet:1", "wallet:2", "revenue:adult", "suspense"), 2)),
            draw.randint(1, 5),
            at_ms=draw.randint(0, 1),
        )
        for _ in range(300)
    ]
    async with open_ledger(books) as one, open_ledger(books) as other:
        await asyncio.gather(*(draw.choice((one, other)).post([journal]) for journal in asked))
    audit = await verify(books)
    assert audit.findings == []
    reference = ReferenceLedger()
    for row in await books.fetch("SELECT key, digest, outcome::text FROM journal ORDER BY number"):
        first = next(one for one in asked if one.key == row["key"] and content_digest(one) == row["digest"])
        assert str(reference.post(first)) == row["outcome"]
    assert await balances_tiyn(books) == {
        code: reference.balance(code) for code in await balances_tiyn(books) if rule_of(code)
    }


class Overlapping:
    """A ledger whose first batch waits in the database, behind ``holder``, while a second is decided and sent."""

    def __init__(self, books: asyncpg.Pool, ledger: Ledger, holder: asyncpg.Connection) -> None:
        self.books = books
        self.ledger = ledger
        self.holder = holder

    async def post(self, *asked: Journal) -> asyncio.Task[list[Posting]]:
        """Hand in a batch and return when it waits in the database; small ones are filled up, else they do not go."""
        before = await self.waiting()
        filling = [journal(f"{asked[0].key}-{number}", "top_up:kiosk", "wallet:9", 1) for number in range(OVERLAP_MIN)]
        posting = asyncio.create_task(self.ledger.post([*asked, *filling]))
        while await self.waiting() == before:
            pass
        return posting

    async def waiting(self) -> int:
        """Return how many batches wait in the database."""
        waiting: int = await self.books.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return waiting


@pytest.fixture
async def overlapping(books: asyncpg.Pool) -> AsyncIterator[Overlapping]:
    async with open_ledger(books) as ledger, books.acquire() as holder:
        opened = ["top_up:kiosk", "wallet:7", "wallet:8", "wallet:9", "suspense"]
        await ledger.post([journal(f"open-{code}", "revenue:adult", code, 5) for code in opened])
        async with holder.transaction():
            await holder.execute("SELECT ledger_lock_and_read('{}', '{}')")
            yield Overlapping(books, ledger, holder)
    assert (await verify(books)).findings == []


async def test_a_batch_is_decided_on_what_the_one_before_will_leave(overlapping: Overlapping) -> None:
    first = await overlapping.post(journal("up", "top_up:kiosk", "wallet:7", 100))
    second = await overlapping.post(journal("tap", "wallet:7", "suspense", 105))
    assert not first.done(), "nothing is answered before it is on disk"
    assert not second.done()
    await overlapping.holder.execute("ROLLBACK; BEGIN")
    assert set(await first) | set(await second) == {Posting.POSTED}


async def test_what_was_decided_on_a_batch_that_then_failed_is_decided_again(overlapping: Overlapping) -> None:
    first = await overlapping.post(journal("up", "top_up:kiosk", "wallet:7", 100))
    pid = await overlapping.books.fetchval(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    second = await overlapping.post(journal("tap", "wallet:7", "suspense", 105))
    await overlapping.holder.execute("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await first
    await overlapping.holder.execute("ROLLBACK; BEGIN")
    assert (await second)[0] is Posting.BALANCE_TOO_LOW
    again = [journal("tap", "wallet:7", "suspense", 105), journal("later", "wallet:7", "suspense", 5)]
    assert await overlapping.ledger.post(again) == [Posting.BALANCE_TOO_LOW, Posting.POSTED]


async def test_what_another_has_posted_under_two_batches_counts_for_both(overlapping: Overlapping) -> None:
    first = await overlapping.post(journal("tap-1", "wallet:7", "suspense", 4))
    second = await overlapping.post(journal("tap-2", "wallet:8", "suspense", 5))
    async with open_ledger(overlapping.books) as other:
        theirs = [journal(f"other-{number}", f"wallet:{number}", "suspense", 2) for number in (7, 8)]
        opened = await read_book(overlapping.holder, touched_by(theirs))
        assert [opened.book.take(one) for one in theirs] == 2 * [Posting.POSTED]
        await write_pages(overlapping.holder, opened)
        await overlapping.holder.execute("COMMIT; BEGIN")
        assert (await first)[0] is Posting.BALANCE_TOO_LOW
        assert (await second)[0] is Posting.BALANCE_TOO_LOW
        assert await other.post(theirs) == 2 * [Posting.POSTED], "they were there before"


async def test_a_key_of_the_batch_before_keeps_its_answer(overlapping: Overlapping) -> None:
    first = await overlapping.post(journal("up", "top_up:kiosk", "wallet:7", 100))
    second = await overlapping.post(
        journal("again", "top_up:kiosk", "wallet:7", 1),
        journal("up", "top_up:kiosk", "wallet:7", 100),
        journal("up", "top_up:kiosk", "wallet:7", 99),
    )
    await overlapping.holder.execute("ROLLBACK; BEGIN")
    assert (await first)[0] is Posting.POSTED
    assert (await second)[:3] == [Posting.POSTED, Posting.POSTED, Posting.KEY_REUSED]
    assert (await balances_tiyn(overlapping.books))[account("wallet:7")] == -106


async def test_a_statement_has_each_move_of_an_account_however_they_were_written(books: asyncpg.Pool) -> None:
    """What one batch moves on an account is entered as one sum, except where a hold is in the batch."""
    async with open_ledger(books) as ledger:
        await ledger.post(
            [
                journal("up", "top_up:kiosk", "wallet:7", 100),
                *(journal(f"t{n}", "wallet:7", "suspense", n) for n in (1, 2)),
            ]
        )
        await ledger.post([journal("else", "top_up:kiosk", "wallet:8", 9), journal("t3", "wallet:7", "suspense", 3)])
        await ledger.post(
            [
                journal("hold", "wallet:7", "suspense", 50, phase=Phase.PENDING, of="1000"),
                *(journal(f"t{n}", "wallet:7", "suspense", n) for n in (4, 5)),
            ]
        )
        await ledger.post([journal("end", "wallet:7", "suspense", 30, phase=Phase.POST, of="hold")])
    moved = [(move.key, move.amount_tiyn) for move in await moves_of(books, account("wallet:7"))]
    assert moved == [("up", -100), ("t1", 1), ("t2", 2), ("t3", 3), ("t4", 4), ("t5", 5), ("end", 30)]
    assert (await verify(books)).findings == []


async def test_who_gives_up_waiting_may_ask_again(books: asyncpg.Pool) -> None:
    async with open_ledger(books) as ledger, books.acquire() as other, other.transaction():
        await other.execute("SELECT * FROM ledger_head FOR UPDATE")  # somebody holds the ledger
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ledger.post([journal("up", "top_up:kiosk", "wallet:7", 5)])
        again = asyncio.create_task(ledger.post([journal("up", "top_up:kiosk", "wallet:7", 5)]))
        await asyncio.sleep(0)
        await other.execute("SELECT 1")
        assert not again.done()
        waiting = again
    assert await waiting == [Posting.POSTED]
    assert (await balances_tiyn(books))[account("wallet:7")] == -5


async def test_a_lost_connection_is_replaced(books: asyncpg.Pool) -> None:
    async with open_ledger(books) as ledger:
        await ledger.post([journal("up", "top_up:kiosk", "wallet:7", 5)])
        await books.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND datname = current_database()"
        )
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await post_until_it_answers(ledger, attempts=1)
        await post_until_it_answers(ledger, attempts=3)
    assert (await balances_tiyn(books))[account("wallet:7")] == -10


async def test_a_noted_hash_proves_that_nothing_before_it_was_replaced(books: asyncpg.Pool) -> None:
    async with open_ledger(books) as ledger:
        await ledger.post([journal(f"up-{number}", "top_up:kiosk", "wallet:7", 5) for number in range(3)])
    audit = await verify(books)
    assert (await verify(books, noted={audit.number: audit.head})).findings == []
    assert where(await verify(books, noted={audit.number: bytes(32)})) == ["journal 3"]
    assert where(await verify(books, noted={9: audit.head})) == ["journal 9"]


async def test_attack_55_an_insider_with_all_rights_is_found(books: asyncpg.Pool) -> None:
    """Who owns the tables can switch the triggers off. The chain still says what was done."""
    async with open_ledger(books) as ledger:
        await ledger.post([journal(f"up-{number}", "top_up:kiosk", "wallet:7", 5) for number in range(4)])
    await books.execute("ALTER TABLE journal DISABLE TRIGGER USER")
    await books.execute("UPDATE journal SET amounts_tiyn = ARRAY[9, -9] WHERE number = 2")
    assert where(await verify(books)) == ["journal 2", "top_up:kiosk", "top_up:kiosk", *2 * [account("wallet:7")]]
    await books.execute("DELETE FROM journal WHERE number = 4")
    assert "journal 4" in where(await verify(books))


async def test_attack_55_a_posting_that_is_left_out_of_an_account_is_found(books: asyncpg.Pool) -> None:
    async with open_ledger(books) as ledger:
        for number in range(3):
            await ledger.post([journal(f"up-{number}", "top_up:kiosk", "wallet:7", 5)])
    assert where(await verify(books)) == []
    await books.execute("ALTER TABLE posting DISABLE TRIGGER USER")
    await books.execute("UPDATE posting SET befores[2] = 1 WHERE number = 3")
    assert len(where(await verify(books))) == 1
    await books.execute("UPDATE posting SET befores[2] = 2 WHERE number = 3")
    await books.execute("ALTER TABLE account DISABLE TRIGGER USER")
    await books.execute("UPDATE account SET last_posting = 2 WHERE code = $1", account("wallet:7"))
    assert where(await verify(books)) == [account("wallet:7")]


def where(audit: Audit) -> list[str]:
    return [finding.where for finding in audit.findings]


async def post_until_it_answers(ledger: Ledger, *, attempts: int) -> None:
    for attempt in range(attempts):
        try:
            assert await ledger.post([journal("up-2", "top_up:kiosk", "wallet:7", 5)]) == [Posting.POSTED]
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            if attempt == attempts - 1:
                raise
        else:
            return
