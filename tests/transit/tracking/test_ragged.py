"""Sums and maxima by owner: each owner's are the same bits as if it stood alone."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transit.tracking.ragged import MAX_STEP, SUM_STEP, Owners

seconds = st.floats(-1e6, 1e6, width=32)
times = st.floats(1.4e12, 2e12) | st.just(-np.inf)


def owned(values: list[list[float]]) -> tuple[Owners, np.ndarray]:
    return Owners.of(np.array([len(one) for one in values], dtype=np.int64)), np.array(
        [x for one in values for x in one]
    )


def parts(owners: Owners, values: np.ndarray) -> list[list[float]]:
    return [values[begin : begin + size].tolist() for begin, size in zip(owners.begin, owners.sizes, strict=True)]


@given(st.lists(st.lists(seconds, min_size=1, max_size=5), max_size=6))
def test_a_sum_begins_anew_with_each_owner(values: list[list[float]]) -> None:
    owners, flat = owned(values)
    for one, found in zip(values, parts(owners, owners.sum(flat)), strict=True):
        assert found == pytest.approx(list(itertools.accumulate(one)), abs=len(one) * SUM_STEP)
        assert found == Owners.of(np.array([len(one)])).sum(np.array(one)).tolist()


@given(st.lists(st.lists(times, min_size=1, max_size=5), max_size=6))
def test_a_maximum_begins_anew_with_each_owner_and_nothing_is_below_everything(values: list[list[float]]) -> None:
    owners, flat = owned(values)
    for one, found in zip(values, parts(owners, owners.max(flat)), strict=True):
        assert found == pytest.approx(list(itertools.accumulate(one, max)), rel=0, abs=MAX_STEP)
        assert found == Owners.of(np.array([len(one)])).max(np.array(one)).tolist()


def test_owners_are_told_by_how_many_values_they_have_or_by_where_they_begin() -> None:
    told, seen = Owners.of(np.array([2, 1, 3])), Owners.within(np.array([True, False, True, True, False, False]))
    for owners in (told, seen):
        assert owners.each(np.array([7, 8, 9])).tolist() == [7, 7, 8, 9, 9, 9]
        assert owners.index(np.array([10, 20, 30])).tolist() == [10, 11, 20, 30, 31, 32]
