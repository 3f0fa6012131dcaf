"""Holds are expired when they are due, once, and by a journal that follows from the hold alone."""

from hypothesis import given
from hypothesis import strategies as st

from fare.ledger.holds import OpenHold, expiries
from fare.ledger.posting import Book
from fare.model import JournalKey, JournalKind, Phase
from fare.outcomes import Posting
from tests.notation.ledger import account, journal


def hold(key: str, expires_ms: int) -> OpenHold:
    return OpenHold(key=JournalKey(key), kind=JournalKind.FARE, expires_ms=expires_ms, subject="tap")


def test_only_what_is_due_is_expired_the_longest_due_first() -> None:
    found = expiries([hold("later", 11), hold("now", 10), hold("before", 3)], now_ms=10)
    assert [one.pending_key for one in found] == ["before", "now"]
    assert {one.phase for one in found} == {Phase.EXPIRE}


def test_whoever_expires_a_hold_and_when_it_is_the_same_journal() -> None:
    assert expiries([hold("h", 10)], now_ms=10) == expiries([hold("h", 10)], now_ms=99)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 20)), max_size=8), st.integers(0, 25))
def test_what_expires_is_free_again_and_nothing_else(made: list[tuple[int, int]], now_ms: int) -> None:
    book = Book()
    book.take(journal("up", "top_up:kiosk", "wallet:7", 10_000))
    for number, (tiyn, expires_ms) in enumerate(made):
        asked = journal(f"h{number}", "wallet:7", "revenue:adult", tiyn, phase=Phase.PENDING, of=str(expires_ms))
        assert book.take(asked) is Posting.POSTED
    for one in expiries([hold(f"h{number}", at_ms) for number, (_, at_ms) in enumerate(made)], now_ms):
        assert book.take(one) is Posting.POSTED
        assert book.take(one) is Posting.POSTED, "and again changes nothing"
    assert book.held_tiyn.get(account("wallet:7"), 0) == sum(tiyn for tiyn, at_ms in made if at_ms > now_ms)
    assert book.balances_tiyn[account("wallet:7")] == -10_000
