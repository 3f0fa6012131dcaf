"""The order in which reports are taken, and in what portions."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transit.tracking.rounds import CAUGHT_UP_MS, MOMENT_MS, contended, in_order, moments, rounds, spans

times = st.lists(st.integers(0, 10 * MOMENT_MS), max_size=30)


def test_reports_are_taken_as_received_and_those_received_together_as_measured() -> None:
    received, measured = np.array([2, 1, 1, 1]), np.array([0, 9, 8, 8])
    assert in_order(received, measured).tolist() == [2, 3, 1, 0]


def test_a_moment_is_over_once_time_goes_beyond_it() -> None:
    assert list(moments(0, MOMENT_MS)) == []
    assert list(moments(0, MOMENT_MS + 1)) == [MOMENT_MS]
    assert list(moments(0, 3 * MOMENT_MS + 1)) == [MOMENT_MS, 2 * MOMENT_MS, 3 * MOMENT_MS]


def test_after_a_night_the_last_hours_are_caught_up_with() -> None:
    found = moments(0, 10 * CAUGHT_UP_MS)
    assert found[-1] == 10 * CAUGHT_UP_MS - MOMENT_MS
    assert found[-1] - found[0] == CAUGHT_UP_MS


@given(times, times)
def test_moments_do_not_depend_on_how_often_time_is_told(stops: list[int], more: list[int]) -> None:
    end = 10 * MOMENT_MS
    passed, last = [], 0
    for until in [*sorted(stops + more), end]:
        found = list(moments(last, until))
        passed += found
        last = found[-1] if found else last
    assert passed == list(moments(0, end))


@given(times)
def test_no_moment_lies_between_the_reports_of_a_span(came: list[int]) -> None:
    ordered = np.array(sorted(came), dtype=np.int64)
    found = [ordered[span] for span in spans(ordered)]
    assert np.concatenate([*found, ordered[:0]]).tolist() == ordered.tolist()
    assert all(not list(moments((int(one[0]) - 1) // MOMENT_MS * MOMENT_MS, int(one[-1]))) for one in found)
    for one, other in itertools.pairwise(found):
        assert list(moments((int(one[-1]) - 1) // MOMENT_MS * MOMENT_MS, int(other[0])))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=40))
def test_in_a_round_no_key_comes_twice_and_rounds_are_as_few_as_can_be(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))
    found = list(rounds(one, other))
    assert [i for this in found for i in range(this.start, this.stop)] == list(range(len(pairs)))
    for this in found:
        assert len(set(one[this].tolist())) == len(set(other[this].tolist())) == this.stop - this.start
        if this.stop < len(pairs):
            assert one[this.stop] in one[this] or other[this.stop] in other[this]


def test_vehicles_told_one_run_and_those_on_it_contend() -> None:
    vehicle = np.array([1, 2, 3, 4, 5, 6])
    word = np.array([7, 7, 8, -1, 9, -1])
    numbers = contended(vehicle, word, word == 9, lambda one: [6] if one == 9 else []).tolist()
    assert numbers[0] == numbers[1]
    assert numbers[4] == numbers[5]
    assert len(set(numbers)) == 4


@given(
    told=st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 4)), max_size=20),
    on=st.dictionaries(st.integers(0, 5), st.integers(0, 4)),
)
def test_a_report_contends_where_its_vehicle_is_told_or_on_what_another_is(
    told: list[tuple[int, int]], on: dict[int, int]
) -> None:
    vehicle, word = (np.array([pair[i] for pair in told], dtype=np.int64) for i in (0, 1))
    disputed = np.array([any(other != row and its == one for other, its in on.items()) for row, one in told], bool)
    numbers = contended(vehicle, word, disputed, lambda one: [row for row, its in on.items() if its == one])
    sought = {
        one: {row for row, its in [*told, *on.items()] if its == one} for one in {one for _, one in told if one >= 0}
    }
    for (row, one), number in zip(told, numbers.tolist(), strict=True):
        contends = any(len(who) > 1 for name, who in sought.items() if name in (one, on.get(row)))
        assert (number < 0) is contends
        assert contends or number == row
