"""Whatever is given back, given up, taken back by banks, ridden and priced anew, nobody gets more than they paid."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fare.ledger.accounts import aggregate, debt, wallet
from fare.model import LocatedTap, MediumKind
from tests.notation.claims import priced_tiyn
from tests.notation.ledger import account
from tests.notation.office import Act, Office
from tests.notation.rides import MIDNIGHT_MS, medium, tap

HOUR_MS = 3_600_000
NUMBER = 7
MEDIUM = medium(NUMBER)


rides = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 22)).map(
        lambda one: tap(f"v7:{one[0]}", MIDNIGHT_MS + one[1] * HOUR_MS // 2, NUMBER)
    ),
    max_size=8,
    unique_by=lambda one: one.tap.key,
)
acts = st.lists(
    st.builds(
        Act,
        st.sampled_from(("top_up", "refund", "refund_all", "write_off", "amnesty", "bank_takes_back")),
        st.integers(0, 9),
        st.integers(1, 250),
    ),
    max_size=8,
)
END_MS = MIDNIGHT_MS + 12 * HOUR_MS


@given(rides, acts, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=400)
def test_nobody_gets_back_more_than_they_paid(taps: list[LocatedTap], done: list[Act], dice: random.Random) -> None:
    office, steps = Office(), [*taps, *done]
    dice.shuffle(steps)
    for step in steps:
        if isinstance(step, Act):
            office.act(step, END_MS)
        else:
            office.arrive(step)
        office.check()


@given(rides, acts, rides, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=300)
def test_the_order_in_which_late_taps_come_changes_nothing(
    taps: list[LocatedTap], done: list[Act], late: list[LocatedTap], dice: random.Random
) -> None:
    late = [tap(f"w:{one.tap.sequence}", one.tap.tapped_ms, NUMBER) for one in late]
    stands = []
    for _ in range(2):
        office = Office()
        for one in taps:
            office.arrive(one)
        for act in done:
            office.act(act, END_MS)
        for one in late:
            office.arrive(one)
        office.check()
        stands.append({code: tiyn for code, tiyn in office.book.balances_tiyn.items() if tiyn})
        dice.shuffle(late)
    assert stands[0] == stands[1]


@given(rides, acts, rides)
@settings(deadline=None, max_examples=200)
def test_once_all_rides_are_given_back_there_is_what_was_paid_in_and_nothing_is_given_up(
    taps: list[LocatedTap], done: list[Act], late: list[LocatedTap]
) -> None:
    office = Office()
    for one in taps:
        office.arrive(one)
    for act in done:
        office.act(act, END_MS)
    for one in late:
        office.arrive(tap(f"w:{one.tap.sequence}", one.tap.tapped_ms, NUMBER))
    office.act(Act("amnesty", 0, 0), END_MS)
    office.check()
    balances = office.book.balances_tiyn
    assert -balances.get(wallet(MEDIUM), 0) == office.paid_in_tiyn
    assert balances.get(account("write_off"), 0) == balances.get(debt(MEDIUM), 0) == 0


@given(rides, acts, st.randoms(use_true_random=False), st.sampled_from(("refund", "chargeback")))
@settings(deadline=None, max_examples=200)
def test_a_card_is_given_back_what_was_captured_and_no_more(
    taps: list[LocatedTap], done: list[Act], dice: random.Random, what: str
) -> None:
    office = Office(MediumKind.BANK_CARD)
    cards = [tap(f"v7:{one.tap.sequence}", one.tap.tapped_ms, NUMBER, kind=MediumKind.BANK_CARD) for one in taps]
    asked = [act._replace(what=what) if act.what == "refund" else act for act in done]
    steps = [*cards, *(act for act in asked if act.what in {"refund", "refund_all", "chargeback", "amnesty"})]
    dice.shuffle(steps)
    day = aggregate(MEDIUM, office.tariff.service_day(MIDNIGHT_MS))
    for step in steps:
        if isinstance(step, Act):
            office.act(step, END_MS)
        else:
            office.arrive(step)
        office.check()
        balances = office.book.balances_tiyn
        banks_tiyn = -balances.get(account("acquirer:main"), 0)
        price_tiyn = sum(priced_tiyn(one) for one in office.posted.values())
        stands_tiyn = sum(balances.get(account(code), 0) for code in ("refund", "chargeback"))
        assert balances.get(day, 0) == price_tiyn - stands_tiyn + banks_tiyn
