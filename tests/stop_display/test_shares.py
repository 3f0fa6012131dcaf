"""One address has its share of connections and no more; who shows a key takes nothing of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.shares import Shares, origin_of


def test_an_address_has_its_share_and_takes_nothing_of_anothers() -> None:
    shares: Shares[str] = Shares(2, asking_max=1)
    assert [shares.enter("a", who) for who in ("one", "two", "three")] == [None] * 3
    assert [shares.claim("a", who) for who in ("one", "two", "three")] == [True, True, False]
    assert shares.enter("b", "four") is None
    assert shares.claim("b", "four")


def test_who_asks_longest_beyond_the_share_makes_room_for_the_next() -> None:
    shares: Shares[int] = Shares(1, asking_max=2)
    assert [shares.enter("a", who) for who in range(5)] == [None, None, None, 1, 2]
    assert not shares.claim("a", 3)


def test_a_place_that_is_left_is_had_by_the_next_who_claims_it() -> None:
    shares: Shares[str] = Shares(1)
    shares.enter("a", "one")
    shares.enter("a", "two")
    shares.leave("a", "one")
    assert shares.claim("a", "two")
    assert shares.claim("a", "two")
    shares.enter("a", "three")
    assert not shares.claim("a", "three")


def test_who_shows_a_key_gives_its_place_back_and_may_claim_one_again() -> None:
    shares: Shares[str] = Shares(1)
    shares.enter("a", "panel")
    shares.leave("a", "panel")
    shares.enter("a", "phone")
    assert shares.claim("a", "phone")
    assert not shares.claim("a", "panel")
    shares.leave("a", "phone")
    assert shares.claim("a", "panel")


@given(st.lists(st.tuples(st.sampled_from(["enter", "claim", "leave"]), st.sampled_from("ab"), st.integers(0, 9))))
def test_no_history_lets_more_in_than_share_and_asking(history: list[tuple[str, str, int]]) -> None:
    shares: Shares[tuple[str, int]] = Shares(2, asking_max=3)
    inside: dict[str, set[tuple[str, int]]] = {"a": set(), "b": set()}
    for act, origin, number in history:
        who = (origin, number)
        if act == "enter" and who not in inside[origin]:
            inside[origin].add(who)
            inside[origin].discard(shares.enter(origin, who) or ("", 0))
        elif act == "claim" and who in inside[origin]:
            shares.claim(origin, who)
        elif act == "leave":
            inside[origin].discard(who)
            shares.leave(origin, who)
        assert len(inside[origin]) <= 2 + 3
    for origin, left in inside.items():
        for who in list(left):
            shares.leave(origin, who)
        assert [shares.claim(origin, (origin, number)) for number in range(20, 23)] == [True, True, False]
    assert set(shares._held) <= {"a", "b"}
    assert not shares._asking


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_an_address_stands_for_its_subscriber(address: str, origin: str) -> None:
    assert origin_of(address) == origin
