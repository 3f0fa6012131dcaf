"""An auditor finds whatever was done to the books behind our back."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare.ledger.audit import AccountState, Audit, Fault, Move, statement, trial_balance
from fare.ledger.posting import GENESIS, Book, Page, content_digest
from fare.model import Entry, Journal, JournalKey, JournalKind, Phase
from tests.fare.ledger.test_posting import journals
from tests.notation.ledger import account, journal


def a_day() -> Book:
    book = Book()
    book.take(journal("up", "top_up:kiosk", "wallet:7", 20_000))
    book.take(journal("tap-1", "wallet:7", "revenue:adult", 8_000))
    book.take(journal("broke", "wallet:8", "revenue:adult", 8_000))
    book.take(journal("hold", "wallet:7", "revenue:adult", 3_000, phase=Phase.PENDING, of="100"))
    book.take(journal("post", "wallet:7", "revenue:adult", 1_000, phase=Phase.POST, of="hold"))
    book.take(journal("kept", "wallet:7", "revenue:adult", 2_000, phase=Phase.PENDING, of="100"))
    return book


def sealed(book: Book, *, together: int = 1) -> list[Page]:
    """Chain the pages of ``book`` as if so many had been written at a time."""
    taken, pages = book.pages, []
    for first in range(0, len(taken), together):
        book.pages = taken[first : first + together]
        pages += book.seal()
    return pages


def audited(book: Book, pages: list[Page]) -> list[tuple[Fault, str]]:
    audit = Audit()
    for page in pages:
        audit.take(page)
    accounts = {}
    for code in {*book.balances_tiyn, *book.held_tiyn}:
        balance_tiyn, held_tiyn = book.balances_tiyn.get(code, 0), book.held_tiyn.get(code, 0)
        accounts[code] = AccountState(balance_tiyn=balance_tiyn, held_tiyn=held_tiyn, entered_tiyn=balance_tiyn)
    return [(one.fault, one.where) for one in audit.finish(book.number, book.head, accounts)]


def test_whole_books_have_no_findings() -> None:
    book = a_day()
    assert audited(book, sealed(book)) == []


def test_attack_55_a_cut_off_tail_shows() -> None:
    book = a_day()
    assert (Fault.CUT_OFF, "journal 6") in audited(book, sealed(book)[:-1])


@pytest.mark.parametrize(("together", "shown_at"), [(1, 3), (2, 4), (6, 6)])
def test_attack_55_a_journal_taken_out_shows(together: int, shown_at: int) -> None:
    book = a_day()
    pages = sealed(book, together=together)
    found = audited(book, [pages[0], *pages[2:]] if together != 2 else [*pages[:2], pages[3]])
    missing = 2 if together != 2 else 3
    assert found[:2] == [(Fault.MISSING, f"journal {missing}"), (Fault.UNCHAINED, f"journal {shown_at}")]


@pytest.mark.parametrize("field", ["key", "occurred_ms", "subject", "entries"])
def test_attack_55_an_edited_journal_shows_where_it_is(field: str) -> None:
    book = a_day()
    edited = {
        "key": JournalKey("other"),
        "occurred_ms": 5,
        "subject": "x",
        "entries": tuple(Entry(account=one.account, amount_tiyn=one.amount_tiyn // 2) for one in _legs(book)),
    }
    pages = sealed(book)
    pages[1] = _with_journal(pages[1], msgspec.structs.replace(pages[1].journal, **{field: edited[field]}))
    assert audited(book, pages)[0] == (Fault.CHANGED, "journal 2")


def test_a_balance_that_is_not_the_sum_of_its_journals_shows() -> None:
    book = a_day()
    book.balances_tiyn[account("wallet:7")] -= 1
    book.held_tiyn[account("wallet:7")] += 1
    wallet = account("wallet:7")
    assert audited(book, sealed(book)) == [
        (Fault.WRONG_ENTRIES, wallet),
        (Fault.WRONG_BALANCE, wallet),
        (Fault.WRONG_HELD, wallet),
    ]


def test_a_digest_that_was_replaced_with_its_journal_shows_at_the_next_hash() -> None:
    book = a_day()
    pages = sealed(book, together=3)
    changed = msgspec.structs.replace(pages[1].journal, subject="x")
    pages[1] = msgspec.structs.replace(pages[1], journal=changed, digest=content_digest(changed))
    assert audited(book, pages) == [(Fault.UNCHAINED, "journal 3")]


def test_an_entry_left_out_of_an_account_shows() -> None:
    audit = Audit()
    audit.finish(
        0, GENESIS, {account("wallet:7"): AccountState(balance_tiyn=0, held_tiyn=0, entered_tiyn=0, linked=False)}
    )
    assert [(one.fault, one.where) for one in audit.findings] == [(Fault.WRONG_ENTRIES, account("wallet:7"))]


@given(st.lists(journals(), max_size=20), st.integers(1, 20))
@settings(deadline=None)
def test_every_history_audits_clean_and_its_trial_balance_is_even(history: list[Journal], together: int) -> None:
    book = Book()
    for one in history:
        book.take(one)
    assert audited(book, sealed(book, together=together)) == []
    lines = trial_balance(book.balances_tiyn)
    assert sum(line.debit_tiyn for line in lines) == sum(line.credit_tiyn for line in lines)


def test_a_statement_reads_from_the_owners_side() -> None:
    moves = [
        Move(number=1, key=JournalKey("up"), kind=JournalKind.TOP_UP, occurred_ms=0, subject="", amount_tiyn=-20_000),
        Move(number=4, key=JournalKey("tap"), kind=JournalKind.FARE, occurred_ms=1, subject="", amount_tiyn=8_000),
    ]
    lines = list(statement(account("wallet:7"), 0, moves))
    assert [(line.grown_tiyn, line.standing_tiyn) for line in lines] == [(20_000, 20_000), (-8_000, 12_000)]


def _legs(book: Book) -> tuple[Entry, ...]:
    return book.pages[1].journal.entries


def _with_journal(page: Page, changed: Journal) -> Page:
    return msgspec.structs.replace(page, journal=changed)
