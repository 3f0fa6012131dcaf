"""An auditor finds whatever was done to the books behind our back."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare.ledger.audit import AccountState, Audit, Fault, Move, statement, trial_balance
from fare.ledger.posting import Book, Page
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
    assert audited(book, book.pages) == []


def test_attack_55_a_cut_off_tail_shows() -> None:
    book = a_day()
    assert (Fault.CUT_OFF, "journal 6") in audited(book, book.pages[:-1])


def test_attack_55_a_journal_taken_out_shows() -> None:
    book = a_day()
    found = audited(book, [*book.pages[:1], *book.pages[2:]])
    assert found[:2] == [(Fault.MISSING, "journal 2"), (Fault.UNCHAINED, "journal 3")]


@pytest.mark.parametrize("field", ["key", "occurred_ms", "subject", "entries"])
def test_attack_55_an_edited_journal_shows_where_it_is(field: str) -> None:
    book = a_day()
    edited = {
        "key": JournalKey("other"),
        "occurred_ms": 5,
        "subject": "x",
        "entries": tuple(Entry(account=one.account, amount_tiyn=one.amount_tiyn // 2) for one in _legs(book)),
    }
    pages = [*book.pages]
    pages[1] = _with_journal(pages[1], msgspec.structs.replace(pages[1].journal, **{field: edited[field]}))
    assert audited(book, pages)[0] == (Fault.CHANGED, "journal 2")


def test_a_balance_that_is_not_the_sum_of_its_journals_shows() -> None:
    book = a_day()
    book.balances_tiyn[account("wallet:7")] -= 1
    book.held_tiyn[account("wallet:7")] += 1
    wallet = account("wallet:7")
    assert audited(book, book.pages) == [
        (Fault.WRONG_ENTRIES, wallet),
        (Fault.WRONG_BALANCE, wallet),
        (Fault.WRONG_HELD, wallet),
    ]


@given(st.lists(journals(), max_size=20))
@settings(deadline=None)
def test_every_history_audits_clean_and_its_trial_balance_is_even(history: list[Journal]) -> None:
    book = Book()
    for one in history:
        book.take(one)
    assert audited(book, book.pages) == []
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
    return Page(number=page.number, journal=changed, digest=page.digest, outcome=page.outcome, chained=page.chained)
