"""Lists of media: small, exact, and changed only by the delta that was made for them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.model import MediumId
from fare.validator.deny_list import (
    Applying,
    Delta,
    Snapshot,
    TokenList,
    apply,
    build_list,
    build_list_of_values,
    diff,
    read_snapshot,
    snapshot_of,
)
from tests.fare.validator.cards import medium

NAMES = st.sets(st.integers(0, 60).map(str), max_size=30)


def listed(names: set[str]) -> TokenList:
    return build_list(medium(name) for name in names)


@given(NAMES, NAMES)
def test_a_list_holds_exactly_what_it_was_made_of(inside: set[str], asked: set[str]) -> None:
    made = listed(inside)
    assert {name for name in asked if medium(name) in made} == inside & asked
    assert len(made) == len(inside)


@given(NAMES, NAMES)
def test_a_delta_makes_the_new_list_of_the_old_one(old: set[str], new: set[str]) -> None:
    delta = diff(listed(old), 3, listed(new))
    applying, result = apply(listed(old), 3, delta)
    assert applying is Applying.APPLIED
    assert result.packed() == listed(new).packed()


@given(NAMES, NAMES, NAMES)
def test_attack_17_a_delta_never_makes_anything_else(old: set[str], new: set[str], other: set[str]) -> None:
    applying, result = apply(listed(other), 3, diff(listed(old), 3, listed(new)))
    assert (applying is Applying.APPLIED) == (result.packed() == listed(new).packed())
    assert applying is Applying.APPLIED or result.packed() == listed(other).packed()


def test_a_delta_of_another_version_is_refused() -> None:
    held = listed({"1"})
    assert apply(held, 4, diff(held, 3, listed({"2"}))) == (Applying.WRONG_BASE, held)


def test_a_delta_that_is_cut_is_refused() -> None:
    held = listed({"1"})
    assert apply(held, 3, Delta(base_version=3, added=b"123", removed=b"", result_sha256=b""))[0] is Applying.MALFORMED


@given(NAMES)
def test_a_snapshot_is_read_as_it_was_packed(names: set[str]) -> None:
    again = read_snapshot(Snapshot(tokens=listed(names).packed()))
    assert again is not None
    assert again.packed() == listed(names).packed()


def test_a_hundred_thousand_tokens_are_less_than_a_megabyte() -> None:
    made = build_list(MediumId(f"{number:016x}{0:016x}") for number in range(0, 10**15, 10**10))
    assert len(made) == 100_000
    assert len(made.packed()) == 800_000
    assert MediumId(f"{5 * 10**9:016x}" + "f" * 16) not in made
    assert MediumId(f"{5 * 10**10:016x}" + "f" * 16) in made


def test_what_is_no_medium_is_not_looked_up() -> None:
    with pytest.raises(ValueError, match="medium_id must have at least 16 hexadecimal digits: 'abc'"):
        _ = MediumId("abc") in listed({"1"})


# Lists that say something of each token

VALUES = st.dictionaries(st.integers(0, 60), st.binary(min_size=3, max_size=3))


@given(VALUES, VALUES)
def test_a_delta_makes_the_new_list_with_its_values_or_nothing(old: dict[int, bytes], new: dict[int, bytes]) -> None:
    before, after = build_list_of_values(old), build_list_of_values(new)
    assert apply(before, 1, diff(before, 1, after)) == (Applying.APPLIED, after)
    assert {token: after.value(token) for token in range(62)} == {token: new.get(token) for token in range(62)}
    assert read_snapshot(snapshot_of(after)) == after


def test_a_value_that_changed_in_the_delta_gives_another_list_and_is_refused() -> None:
    before, after = build_list_of_values({1: b"abc"}), build_list_of_values({1: b"abd"})
    forged = msgspec.structs.replace(diff(before, 1, after), added_values=b"abe")
    assert apply(before, 1, forged) == (Applying.WRONG_RESULT, before)


@pytest.mark.parametrize("values", [b"", b"ab", b"abcde"])
def test_values_that_do_not_fit_the_tokens_make_no_list(values: bytes) -> None:
    tokens = build_list_of_values({1: b"ab", 2: b"cd"}).packed()
    assert (read_snapshot(Snapshot(tokens=tokens, values=values)) is None) == bool(len(values) % 2)
    assert read_snapshot(Snapshot(tokens=b"", values=b"x")) is None


def test_values_of_different_lengths_are_the_callers_error() -> None:
    with pytest.raises(ValueError, match=r"one length: \[1, 2\]"):
        build_list_of_values({1: b"a", 2: b"bc"})
