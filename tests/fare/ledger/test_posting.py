"""What becomes of journals, as rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare.ledger.posting import AMOUNT_MAX_TIYN, Book, check_form, content_digest
from fare.model import Entry, Journal, Phase
from fare.outcomes import Posting
from tests.fare.ledger.reference import ReferenceLedger
from tests.notation.ledger import account, check, journal


def test_money_moves_once_whatever_the_validator_repeats() -> None:
    check(
        """
        key    debit        credit         tiyn   outcome          wallet:77  revenue:adult
        up-1   top_up:kiosk wallet:77      20000  posted           20000      0
        tap-1  wallet:77    revenue:adult  12000  posted           8000       12000
        tap-1  wallet:77    revenue:adult  12000  posted           8000       12000
        tap-1  wallet:77    revenue:adult  9000   key_reused       8000       12000
        tap-2  wallet:77    revenue:adult  99000  balance_too_low  8000       12000
        """
    )


def test_a_refusal_is_kept_even_when_the_money_comes_later() -> None:
    check(
        """
        key    debit        credit         tiyn   outcome          wallet:77
        tap-1  wallet:77    revenue:adult  12000  balance_too_low  0
        up-1   top_up:kiosk wallet:77      20000  posted           20000
        tap-1  wallet:77    revenue:adult  12000  balance_too_low  20000
        tap-2  wallet:77    revenue:adult  12000  posted           8000
        """
    )


def test_a_hold_counts_against_the_wallet_and_is_resolved_once() -> None:
    check(
        """
        key    phase    of     at   debit        credit         tiyn   outcome          wallet:7
        up     direct   -      0    top_up:kiosk wallet:7       10000  posted           10000
        hold   pending  500    100  wallet:7     revenue:adult  8000   posted           10000
        tap    direct   -      110  wallet:7     revenue:adult  3000   balance_too_low  10000
        more   post     hold   120  wallet:7     revenue:adult  8001   exceeds_pending  10000
        else   post     hold   120  wallet:7     revenue:pupil  8000   exceeds_pending  10000
        part   post     hold   130  wallet:7     revenue:adult  5000   posted           5000
        again  post     hold   140  wallet:7     revenue:adult  1000   nothing_pending  5000
        undo   void     hold   150  wallet:7     revenue:adult  0      nothing_pending  5000
        rest   direct   -      160  wallet:7     revenue:adult  5000   posted           0
        """
    )


def test_a_hold_expires_when_it_is_due_and_frees_what_it_held() -> None:
    check(
        """
        key     phase    of    at   debit        credit         tiyn   outcome          wallet:7
        up      direct   -     0    top_up:kiosk wallet:7       10000  posted           10000
        hold    pending  500   100  wallet:7     revenue:adult  8000   posted           10000
        early   expire   hold  499  wallet:7     revenue:adult  0      nothing_pending  10000
        late    post     hold  500  wallet:7     revenue:adult  8000   nothing_pending  10000
        due     expire   hold  500  wallet:7     revenue:adult  0      posted           10000
        twice   void     hold  501  wallet:7     revenue:adult  0      nothing_pending  10000
        tap     direct   -     510  wallet:7     revenue:adult  10000  posted           0
        """
    )


def test_corrections_are_reversals_and_there_is_one() -> None:
    check(
        """
        key    of     debit          credit         tiyn   outcome             wallet:7  revenue:adult
        up     -      top_up:kiosk   wallet:7       20000  posted              20000     0
        tap    -      wallet:7       revenue:adult  8000   posted              12000     8000
        part   tap    revenue:adult  wallet:7       4000   nothing_to_reverse  12000     8000
        none   tip    revenue:adult  wallet:7       8000   nothing_to_reverse  12000     8000
        back   tap    revenue:adult  wallet:7       8000   posted              20000     0
        twice  tap    revenue:adult  wallet:7       8000   already_reversed    20000     0
        undo   back   wallet:7       revenue:adult  8000   posted              12000     8000
        """
    )


def test_a_top_up_that_was_spent_is_not_reversed_into_the_minus() -> None:
    check(
        """
        key   of  debit         credit         tiyn   outcome          wallet:7
        up    -   top_up:kiosk  wallet:7       20000  posted           20000
        tap   -   wallet:7      revenue:adult  8000   posted           12000
        back  up  wallet:7      top_up:kiosk   20000  balance_too_low  12000
        """
    )


def test_what_is_wrong_with_the_asking_is_answered_before_what_is_wrong_with_the_money() -> None:
    crooked = Journal(
        key="a",
        kind="fare",
        occurred_ms=0,
        entries=(Entry(account=account("wallet:7"), amount_tiyn=5), Entry(account=account("nonsense"), amount_tiyn=-4)),
    )
    assert Book().take(crooked) is Posting.UNBALANCED
    assert Book().take(journal("a", "wallet:7", "nonsense", 5)) is Posting.UNKNOWN_ACCOUNT
    assert Book().take(journal("a", "wallet:7", "revenue:adult", 5)) is Posting.BALANCE_TOO_LOW


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (journal("", "wallet:1", "suspense", 1), "key must be 1 to 200 printable"),
        (journal("a\x00", "wallet:1", "suspense", 1), "key must be 1 to 200 printable"),
        (journal("a", "wallet:1", "suspense", 0), "entries of a"),
        (journal("a", "wallet:1", "wallet:1", 1), "each account once"),
        (journal("a", "wallet:1", "suspense", 1, phase=Phase.VOID, of="b"), "entries of a"),
    ],
)
def test_what_no_ledger_could_make_right_is_the_callers_mistake(wrong: Journal, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_form(wrong)


@pytest.mark.parametrize("tiyn", [AMOUNT_MAX_TIYN + 1, -(2**63), 2**64])
def test_attack_44_amounts_beyond_reason_are_refused(tiyn: int) -> None:
    with pytest.raises(ValueError, match="amount_tiyn of a must be"):
        check_form(journal("a", "wallet:1", "suspense", tiyn))


def test_attack_44_a_negative_fare_takes_nothing_from_others() -> None:
    """A negative amount turns the journal round; the account that would then pay is held to its own balance."""
    assert Book().take(journal("a", "suspense", "wallet:1", -500)) is Posting.BALANCE_TOO_LOW


def test_any_change_of_content_is_another_digest() -> None:
    first = journal("a", "wallet:1", "revenue:adult", 1)
    others = [
        journal("b", "wallet:1", "revenue:adult", 1),
        journal("a", "wallet:2", "revenue:adult", 1),
        journal("a", "wallet:1", "revenue:adult", 2),
        journal("a", "wallet:1", "revenue:adult", 1, at_ms=1),
        journal("a", "revenue:adult", "wallet:1", -1),
    ]
    assert len({content_digest(one) for one in [first, *others]}) == 1 + len(others)


ACCOUNTS = ("wallet:1", "wallet:2", "debt:1", "revenue:adult", "carrier:k", "suspense", "nowhere")


@st.composite
def journals(draw: st.DrawFn) -> Journal:
    key = f"k{draw(st.integers(0, 7))}"
    debit, credit = draw(st.permutations(ACCOUNTS))[:2]
    phase = draw(st.sampled_from(Phase))
    of = f"k{draw(st.integers(0, 7))}"
    if phase is Phase.PENDING:
        of = str(draw(st.integers(0, 9)))
    elif phase is Phase.DIRECT and draw(st.booleans()):
        of = "-"
    tiyn = 0 if phase in {Phase.VOID, Phase.EXPIRE} else draw(st.integers(1, 4))
    return journal(key, debit, credit, tiyn, at_ms=draw(st.integers(0, 9)), phase=phase, of=of)


@given(st.lists(journals(), max_size=25))
@settings(deadline=None)
def test_every_history_balances_and_is_answered_as_the_reference_answers(history: list[Journal]) -> None:
    book, reference = Book(), ReferenceLedger()
    book.take(journal("opening", "suspense", "wallet:1", 6))
    reference.post(journal("opening", "suspense", "wallet:1", 6))
    assert [book.take(one) for one in history] == [reference.post(one) for one in history]
    assert sum(book.balances_tiyn.values()) == 0
    for short in ACCOUNTS[:-1]:
        code = account(short)
        assert book.balances_tiyn.get(code, 0) == reference.balance(code)
        assert book.held_tiyn.get(code, 0) == reference.held(code)
        assert reference.rule(code).overdraft_tiyn is None or (
            reference.rule(code).side * reference.balance(code) >= reference.held(code)
        )
