"""What follows from each word of a bank, whatever was said before."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.top_ups import (
    BackOutcome,
    BankName,
    BankState,
    BankWord,
    Beginning,
    Heard,
    Invoice,
    TopUp,
    TopUpRules,
    TopUpState,
    asked_back,
    decide,
    decide_back,
    over_limit,
    refused_back,
)
from tests.notation.rides import medium

PAID_TIYN = 50_000
BEGUN = TopUp(
    invoice=Invoice("100000"),
    bank=BankName("redirect"),
    medium_id=medium(7),
    amount_tiyn=PAID_TIYN,
    created_ms=0,
    expires_ms=1_800_000,
)


def word(text: str) -> BankWord:
    """Return ``paid``, ``paid back=200``, ``paid back=?``, ``refused``, ``paid 400 as=op-2`` …"""
    state, *rest = text.split()
    said = dict(one.split("=") for one in rest if "=" in one)
    amount = next((int(one) for one in rest if "=" not in one), PAID_TIYN)
    back = said.get("back", "0")
    return BankWord(
        invoice=BEGUN.invoice,
        operation_id=said.get("as", "op-1"),
        state=BankState(state),
        amount_tiyn=amount,
        refunded_tiyn=None if back == "?" else int(back),
    )


def wallet_after(words: list[BankWord], top_up: TopUp = BEGUN) -> tuple[TopUp, int]:
    tiyn = 0
    for one in words:
        follows = decide(top_up, one)
        tiyn += follows.credit_tiyn - follows.take_tiyn
        top_up = follows.top_up
    return top_up, tiyn


@pytest.mark.parametrize(
    ("said", "heard", "state", "wallet_tiyn"),
    [
        ("pending", "noted", "pending", 0),
        ("refused", "noted", "refused", 0),
        ("paid", "credited", "credited", 50_000),
        ("paid; paid", "unchanged", "credited", 50_000),
        ("expired; paid", "credited", "credited", 50_000),  # late: the money came
        ("refused; paid", "credited", "credited", 50_000),  # a second card at the bank's page
        ("paid; pending", "unchanged", "credited", 50_000),  # an older word overtaken
        ("paid; expired", "unchanged", "credited", 50_000),
        ("paid; paid back=20000", "charged_back", "credited", 30_000),
        ("paid; paid back=20000; paid", "unchanged", "credited", 30_000),  # paid after refunded
        ("paid; paid back=50000", "charged_back", "refunded", 0),
        ("paid back=50000", "went_back", "refunded", 0),
        ("paid back=50000; paid", "unchanged", "refunded", 0),
        ("paid back=20000", "credited", "credited", 30_000),
        ("paid 400", "amount_differs", "created", 0),
        ("paid; paid 400", "amount_differs", "credited", 50_000),
        ("paid back=50001", "amount_differs", "created", 0),
        ("paid back=-1", "amount_differs", "created", 0),
        ("paid; paid as=op-2", "operation_reused", "credited", 50_000),
        ("paid back=?", "refund_unclear", "refunded", 0),
        ("paid; paid back=?", "refund_unclear", "credited", 50_000),
    ],
)
def test_what_follows_from_what_the_bank_said(said: str, heard: str, state: str, wallet_tiyn: int) -> None:
    *before, last = [word(one) for one in said.split("; ")]
    top_up, before_tiyn = wallet_after(before)
    follows = decide(top_up, last)
    assert (follows.heard, follows.top_up.state) == (Heard(heard), TopUpState(state))
    assert before_tiyn + follows.credit_tiyn - follows.take_tiyn == wallet_tiyn


WORDS = st.sampled_from(
    [word(one) for one in ("pending", "refused", "expired", "paid", "paid back=10000", "paid back=50000")]
)


SAID_TWICE = st.lists(WORDS, min_size=1, max_size=4).flatmap(
    lambda said: st.tuples(st.just(said), st.permutations([*said, *said]))
)


@given(SAID_TWICE)
def test_attack_36_words_in_any_order_and_number_end_in_the_same(words: tuple[list[BankWord], list[BankWord]]) -> None:
    said, said_again = words
    one, one_tiyn = wallet_after(said)
    other, other_tiyn = wallet_after(said_again)
    assert one_tiyn == other_tiyn
    assert (one.state, one.said_back_tiyn) == (other.state, other.said_back_tiyn)


STEPS = st.one_of(
    WORDS,
    st.integers(1, PAID_TIYN),  # we ask for a refund of so much
    st.sampled_from(["bank refuses the last refund"]),
)


@given(st.lists(STEPS, max_size=12))
def test_attack_40_whatever_meets_no_more_goes_back_than_was_paid(steps: list[BankWord | int | str]) -> None:
    top_up, wallet_tiyn = BEGUN, 0
    asked: list[int] = []
    for step in steps:
        if isinstance(step, BankWord):
            follows = decide(top_up, step)
            wallet_tiyn += follows.credit_tiyn - follows.take_tiyn
            top_up = follows.top_up
            continue
        before_tiyn = top_up.taken_tiyn
        if isinstance(step, int) and decide_back(top_up, step, wallet_tiyn) is BackOutcome.ASKED:
            top_up = asked_back(top_up, step)
            asked.append(step)
            assert top_up.taken_tiyn == before_tiyn + step, "a refund comes on top of what went back before"
        elif isinstance(step, str) and asked:
            top_up = refused_back(top_up, asked.pop())
        wallet_tiyn -= top_up.taken_tiyn - before_tiyn
    assert 0 <= wallet_tiyn == (PAID_TIYN if top_up.credited else 0) - top_up.taken_tiyn
    assert 0 <= top_up.taken_tiyn <= PAID_TIYN
    assert top_up.asked_back_tiyn >= 0


def test_attack_40_a_refund_and_a_chargeback_of_all_take_it_once_in_either_order() -> None:
    credited, _ = wallet_after([word("paid")])
    chargeback = word("paid back=50000")
    refund_first = decide(asked_back(credited, 20_000), chargeback)
    assert refund_first.take_tiyn == 30_000
    assert refused_back(refund_first.top_up, 20_000).taken_tiyn == PAID_TIYN, "the bank has it, so the rider has not"
    charged_back = decide(credited, chargeback).top_up
    assert decide_back(charged_back, 20_000, available_tiyn=90_000) is BackOutcome.EXCEEDS_PAID


@pytest.mark.parametrize(
    ("tiyn", "available_tiyn", "outcome"),
    [
        (0, 50_000, "not_positive"),
        (-5, 50_000, "not_positive"),
        (50_001, 90_000, "exceeds_paid"),
        (50_000, 49_999, "spent"),
        (50_000, 50_000, "asked"),
    ],
)
def test_only_unused_money_that_was_paid_goes_back(tiyn: int, available_tiyn: int, outcome: str) -> None:
    credited, _ = wallet_after([word("paid")])
    assert decide_back(credited, tiyn, available_tiyn) is BackOutcome(outcome)
    assert decide_back(BEGUN, tiyn, available_tiyn) is BackOutcome.NOT_CREDITED


def test_a_refund_of_unknown_amount_that_we_asked_for_is_no_alarm() -> None:
    credited, _ = wallet_after([word("paid")])
    assert decide(asked_back(credited, 20_000), word("paid back=?")).heard is Heard.UNCHANGED


@pytest.mark.parametrize(
    ("tiyn", "today_tiyn", "unpaid", "refusal"),
    [
        (99, 0, 0, Beginning.TOO_LITTLE),
        (-100, 0, 0, Beginning.TOO_LITTLE),
        (1_001, 0, 0, Beginning.TOO_MUCH),
        (1_000, 1_001, 0, Beginning.TOO_MUCH_TODAY),
        (100, 0, 2, Beginning.TOO_MANY_OPEN),
        (1_000, 1_000, 1, None),
    ],
)
def test_limits(tiyn: int, today_tiyn: int, unpaid: int, refusal: Beginning | None) -> None:
    rules = TopUpRules(min_tiyn=100, max_tiyn=1_000, day_max_tiyn=2_000, open_max=2)
    assert over_limit(tiyn, today_tiyn, unpaid, rules) is refusal


def test_every_state_is_further_than_the_one_before() -> None:
    """An older word never takes a top-up back."""
    for earlier, later in itertools.combinations(("pending", "expired", "refused"), 2):
        at_later = decide(BEGUN, word(later)).top_up
        assert decide(at_later, word(earlier)).top_up == at_later
        assert msgspec.structs.replace(at_later, state=TopUpState.CREATED) == BEGUN
