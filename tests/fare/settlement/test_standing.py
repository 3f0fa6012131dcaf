"""Whatever is given back, given up, taken back by banks, ridden and priced anew, nobody gets more than they paid."""

import random
from collections import defaultdict
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from fare.ledger.accounts import aggregate, debt, wallet
from fare.ledger.bank_money import charged_back
from fare.ledger.billing import Posted, changes, levelling
from fare.ledger.posting import Book
from fare.model import LocatedTap, MediumKind, Profile, Ride
from fare.outcomes import Posting
from fare.settlement.model import RefundReason
from tests.notation.claims import Claims, priced_tiyn, refund_of
from tests.notation.ledger import account, journal
from tests.notation.rides import MIDNIGHT_MS, SmallTariff, medium, tap

HOUR_MS = 3_600_000
BANK = account("bank_qr:epay")
NUMBER = 7
MEDIUM = medium(NUMBER)


class Act(NamedTuple):
    """Something that happens: ``what``, of which ride (by number), and how much."""

    what: str
    ride: int
    tiyn: int


class Office:
    """One medium, its rides and all that people do about them."""

    def __init__(self, kind: MediumKind = MediumKind.TRANSPORT_CARD) -> None:
        self.kind, self.book, self.claims, self.tariff = kind, Book(), Claims(), SmallTariff()
        self.rides: dict[str, Ride] = {}
        self.posted: dict[str, Posted] = {}
        self.acts = 0
        self.paid_in_tiyn = 0

    def arrive(self, one: LocatedTap) -> None:
        if one.ride is None or one.ride.key in self.rides:
            return
        self.rides[one.ride.key] = one.ride
        rides = list(self.rides.values())
        found = changes(rides, self.posted, self.tariff, Profile(), from_ms=one.ride.tapped_ms)
        done = self.claims.charge(self.book, found, rides, self.posted, self.tariff)
        self.posted |= {change.ride.key: posted for change, posted in done}

    def act(self, act: Act, at_ms: int) -> None:
        """Do what may be done; what is refused changes nothing."""
        self.acts += 1
        key, ride = f"act-{self.acts}", self.rides.get(f"v:{act.ride}")
        if act.what == "top_up":
            self.paid_in_tiyn += act.tiyn
            self.book.take(journal(key, BANK, wallet(MEDIUM), act.tiyn))
            self.level(key)
        elif act.what == "bank_takes_back":
            tiyn = min(act.tiyn, self.paid_in_tiyn)
            if tiyn:
                self.paid_in_tiyn -= tiyn
                self.book.take(charged_back(key, BANK, MEDIUM, tiyn, subject=key, at_ms=at_ms, book=self.book))
                self.level(key)
        elif act.what == "write_off":
            owed_tiyn = self.book.balances_tiyn.get(debt(MEDIUM), 0)
            tiyn = min(act.tiyn, owed_tiyn)
            self.claims.write_off(self.book, MEDIUM, tiyn, key, self.rides.values(), self.posted, at_ms)
        elif act.what == "amnesty":
            for one in sorted(self.rides.values(), key=lambda ride: ride.key):
                self.give_back(one, f"{key}/{one.key}", None, RefundReason.AMNESTY, at_ms)
        elif ride is not None:
            reason = RefundReason.CHARGEBACK if act.what == "chargeback" else RefundReason.COMPLAINT
            self.give_back(ride, key, None if act.what == "refund_all" else act.tiyn, reason, at_ms)

    def give_back(self, ride: Ride, key: str, tiyn: int | None, reason: RefundReason, at_ms: int) -> None:
        if tiyn is None:
            tiyn = self.claims.left_tiyn(ride, self.posted.get(ride.key))
        refund = refund_of(ride, key, tiyn, self.tariff, reason)
        self.claims.refund(self.book, refund, ride, self.rides.values(), self.posted, self.tariff, at_ms)

    def level(self, key: str) -> None:
        level = levelling(self.book, MEDIUM, key=key, occurred_ms=0)
        if level is not None:
            self.book.take(level)

    def check(self) -> None:
        """Check what must hold at any moment."""
        balances = self.book.balances_tiyn
        assert sum(balances.values()) == 0
        assert all(page.outcome is Posting.POSTED for page in self.book.pages)
        returned: dict[str, int] = defaultdict(int)
        for one in self.claims.refunds:
            returned[one.ride_key] += one.amount_tiyn
        net_tiyn = 0
        for key in self.rides:
            price_tiyn = priced_tiyn(self.posted.get(key))
            assert 0 <= returned[key] <= price_tiyn, "of no ride goes back more than it costs"
            net_tiyn += price_tiyn - returned[key]
        refunded_tiyn = sum(balances.get(account(code), 0) for code in ("refund", "chargeback"))
        assert refunded_tiyn == sum(returned.values())
        if self.kind is MediumKind.BANK_CARD:
            return
        has_tiyn, owed_tiyn = -balances.get(wallet(MEDIUM), 0), balances.get(debt(MEDIUM), 0)
        assert has_tiyn >= 0 <= owed_tiyn
        assert not (has_tiyn and owed_tiyn)
        given_up_tiyn = balances.get(account("write_off"), 0)
        assert 0 <= given_up_tiyn <= net_tiyn, "nothing is given up that nobody has to pay"
        banks_tiyn = -balances.get(account("acquirer:main"), 0)  # of chargebacks: to the rider, past the wallet
        assert has_tiyn - owed_tiyn == self.paid_in_tiyn - net_tiyn + given_up_tiyn - banks_tiyn
        assert has_tiyn + banks_tiyn <= self.paid_in_tiyn + owed_tiyn, "nobody has more than they paid"


rides = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 22)).map(
        lambda one: tap(f"v:{one[0]}", MIDNIGHT_MS + one[1] * HOUR_MS // 2, NUMBER)
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
    cards = [tap(f"v:{one.tap.sequence}", one.tap.tapped_ms, NUMBER, kind=MediumKind.BANK_CARD) for one in taps]
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
