"""What a ride costs is posted, and posted anew when what is known of the day changes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare.ledger.billing import Posted, changes, post_changes
from fare.ledger.posting import Book
from fare.model import Concession, LocatedTap, MediumKind, Profile, Ride
from tests.notation.ledger import account, journal
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, PUPIL, SmallTariff, tap

PUPILS = Profile(concessions=(Concession(category=PUPIL, from_date="2025-09-01", until_date=""),))


class Town:
    """One medium, and all that was posted for it."""

    def __init__(self, top_up_tiyn: int = 0, profile: Profile | None = None) -> None:
        self.book = Book()
        self.rides: dict[str, Ride] = {}
        self.posted: dict[str, Posted] = {}
        self.tariff = SmallTariff()
        self.profile = profile or Profile()
        if top_up_tiyn:
            self.book.take(journal("up", "top_up:kiosk", "wallet:7", top_up_tiyn))

    def arrive(self, *taps: LocatedTap) -> None:
        new = [one.ride for one in taps if one.ride is not None and one.ride.key not in self.rides]
        self.rides |= {ride.key: ride for ride in new}
        if new:
            self.derive(min(ride.tapped_ms for ride in new))

    def derive(self, from_ms: int) -> list[int]:
        found = changes(list(self.rides.values()), self.posted, self.tariff, self.profile, from_ms=from_ms)
        self.posted |= {change.ride.key: posted for change, posted in post_changes(self.book, found, self.tariff)}
        return [change.difference_tiyn for change in found]

    def stands(self, *accounts: str) -> list[int]:
        return [self.book.balances_tiyn.get(account(one), 0) for one in accounts]

    @property
    def keys(self) -> list[str]:
        return [page.journal.key for page in self.book.pages if not page.journal.key.startswith("up")]


def test_a_ride_is_paid_by_the_wallet() -> None:
    town = Town(1_000)
    town.arrive(tap("v:1", "08:00"))
    assert town.stands("wallet:7", "revenue:adult", "debt:7") == [-900, -100, 0]


def test_what_the_wallet_lacks_for_a_ride_that_happened_is_a_debt() -> None:
    town = Town(130)
    town.arrive(tap("v:1", "08:00"), tap("v:2", "10:00"))
    assert town.stands("wallet:7", "debt:7", "revenue:adult") == [0, 70, -200]


def test_a_debt_is_paid_by_the_next_money_that_comes() -> None:
    town = Town()
    town.arrive(tap("v:1", "08:00"))
    town.book.take(journal("up-2", "top_up:kiosk", "wallet:7", 500))
    town.arrive(tap("v:2", "10:00"))
    assert town.stands("wallet:7", "debt:7") == [-300, 0]


def test_the_city_pays_what_a_concession_leaves() -> None:
    town = Town(1_000, PUPILS)
    town.arrive(tap("v:1", "08:00"))
    assert town.stands("wallet:7", "subsidy:pupil", "revenue:pupil") == [-950, 50, -100]


@pytest.mark.parametrize(
    ("kind", "payer"),
    [(MediumKind.BANK_CARD, f"aggregate:{7:032x}:2025-11-08"), (MediumKind.CASH, "cash:k1")],
)
def test_other_media_owe_where_their_money_comes_from(kind: MediumKind, payer: str) -> None:
    town = Town()
    town.arrive(tap("v:1", "08:00", kind=kind))
    assert town.book.balances_tiyn == {account(payer): 100, account("revenue:adult"): -100}


def test_a_ride_by_message_is_paid_by_the_wallet_of_its_number() -> None:
    town = Town(1_000)
    town.arrive(tap("sms:1", "08:00", kind=MediumKind.SMS))
    assert town.stands("wallet:7", "revenue:adult") == [-900, -100]


def test_a_tap_that_comes_late_moves_the_charge_to_the_ride_that_was_first() -> None:
    town = Town(1_000)
    town.arrive(tap("v:2", "08:30"))
    town.arrive(tap("w:1", "08:00"))
    assert town.keys == ["fare/v:2/1", "fare/w:1/1", "back/v:2/1"]
    assert town.stands("wallet:7", "revenue:adult") == [-900, -100]


def test_a_charge_may_come_and_go_and_each_time_is_in_the_books() -> None:
    town = Town(1_000)
    town.arrive(tap("v:3", "09:05"))  # pays
    town.arrive(tap("v:2", "08:30"))  # pays, and the later one is free
    town.arrive(tap("v:1", "08:00"))  # pays, the second is free, and the third pays again
    assert [key for key in town.keys if "v:3" in key] == ["fare/v:3/1", "back/v:3/1", "fare/v:3/3"]
    assert town.stands("wallet:7") == [-800]


def test_a_refund_of_a_debt_that_was_paid_goes_to_the_wallet() -> None:
    town = Town()
    town.arrive(tap("v:2", "08:30"))
    town.book.take(journal("up-2", "top_up:kiosk", "wallet:7", 100))
    town.book.take(journal("paid", "wallet:7", "debt:7", 100))
    town.arrive(tap("w:1", "08:00"))
    assert town.stands("wallet:7", "debt:7", "revenue:adult") == [0, 0, -100]


def test_a_debt_that_was_paid_and_then_lowered_goes_to_the_wallet() -> None:
    town = Town()
    town.arrive(tap("v:1", "08:00"))
    town.book.take(journal("up-2", "top_up:kiosk", "wallet:7", 100))
    town.book.take(journal("paid", "wallet:7", "debt:7", 100))
    town.profile = PUPILS  # the right to half the fare was proven later
    assert town.derive(MIDNIGHT_MS) == [-50]
    assert town.stands("wallet:7", "debt:7", "revenue:pupil") == [-50, 0, -100]


def test_deriving_the_same_day_again_posts_nothing() -> None:
    town = Town(1_000)
    town.arrive(*(tap(f"v:{hour}", f"{hour:02d}:00") for hour in range(1, 9)))
    pages = len(town.book.pages)
    assert town.derive(MIDNIGHT_MS) == []
    assert len(town.book.pages) == pages


def test_attack_54_a_tariff_changed_retroactively_shows_before_it_moves_money() -> None:
    town = Town(1_000)
    town.arrive(tap("v:1", "08:00"), tap("v:2", "12:00"))
    dearer = SmallTariff(ride_tiyn=110)
    report = changes(list(town.rides.values()), town.posted, dearer, Profile(), from_ms=MIDNIGHT_MS)
    assert [(change.ride.key, change.difference_tiyn) for change in report] == [("v:1", 10), ("v:2", 10)]
    assert town.stands("wallet:7") == [-800], "a report moves nothing"


arrivals = st.lists(  # of two devices, on some two days, many of them within an hour of one another
    st.tuples(st.sampled_from("vw"), st.integers(1, 200)).map(
        lambda one: tap(f"{one[0]}:{one[1]}", MIDNIGHT_MS + one[1] * (DAY_MS // 100))
    ),
    max_size=12,
)


@given(arrivals, st.randoms(use_true_random=False), st.integers(0, 900))
@settings(deadline=None)
def test_balances_do_not_depend_on_the_order_of_arrival(
    taps: list[LocatedTap], dice: random.Random, top_up_tiyn: int
) -> None:
    in_order, shuffled = Town(top_up_tiyn), Town(top_up_tiyn)
    in_order.arrive(*sorted(taps, key=lambda one: one.tap.tapped_ms))
    repeated = [*taps, *taps]
    dice.shuffle(repeated)
    for one in repeated:
        shuffled.arrive(one)
    names = ("wallet:7", "debt:7", "revenue:adult")
    assert shuffled.stands(*names) == in_order.stands(*names)
    charged_tiyn = SmallTariff().bill(list(in_order.rides.values()), Profile()).total_tiyn
    wallet_tiyn, debt_tiyn, _ = shuffled.stands(*names)
    assert debt_tiyn + wallet_tiyn == charged_tiyn - top_up_tiyn
    assert 0 in (wallet_tiyn, debt_tiyn)
