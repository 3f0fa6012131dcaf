"""Whatever comes and goes, what is expected is in order of time, and one vehicle counts for each call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.expected import Coming, Expected, call_of
from tests.stop_display.scenes import bus
from transit.model import Arrival

RUNS, VEHICLES = ("A", "B", "C"), ("1", "2", "3")
NOON_MS = 1_772_434_800_000

taken = st.builds(
    lambda run, vehicle, second: bus(NOON_MS + 1_000 * second, run=run, vehicle=vehicle),
    st.sampled_from(RUNS),
    st.sampled_from(VEHICLES),
    st.integers(0, 5),  # so few that many come at the same time
)
dropped = st.builds(lambda run, vehicle: f"{vehicle}|{run}|2", st.sampled_from(RUNS), st.sampled_from(VEHICLES))
histories = st.lists(st.one_of(taken, dropped), max_size=30)


def told(history: list[Arrival | str]) -> tuple[Expected, dict[str, Arrival]]:
    """Return what is expected after ``history``, and the same as a plain dictionary in the order of first naming."""
    expected, plain = Expected(), dict[str, Arrival]()
    for one in history:
        if isinstance(one, Arrival):
            expected.take(one)
            plain[one.key] = one
        elif one in plain:
            expected.drop(one)
            del plain[one]
    return expected, plain


@given(histories, st.integers(0, 6))
def test_it_is_in_order_of_time_then_of_key(history: list[Arrival | str], second: int) -> None:
    expected, plain = told(history)
    in_order = sorted(plain.values(), key=lambda arrival: (arrival.arrival_ms, arrival.key))
    until_ms = NOON_MS + 1_000 * second
    assert list(expected.in_order()) == in_order
    assert list(expected.before(until_ms)) == [arrival for arrival in in_order if arrival.arrival_ms < until_ms]


@given(histories, st.frozensets(dropped))
def test_the_vehicle_named_last_counts_of_those_still_to_come_on_a_call(
    history: list[Arrival | str], gone: frozenset[str]
) -> None:
    expected, plain = told(history)
    coming = Coming(expected, gone)
    last = {call_of(one.run_key, one.stop_sequence): one for one in plain.values() if one.key not in gone}
    assert list(coming) == sorted(last.values(), key=lambda arrival: (arrival.arrival_ms, arrival.key))
    assert {call for call in ("A|2", "B|2", "C|2", "A|3") if call in coming} == last.keys()


def test_an_arrival_that_goes_over_to_another_run_is_no_longer_on_the_first() -> None:
    expected = Expected([bus("08:05", run="A", key="x"), bus("08:06", run="B", key="x")])
    coming = Coming(expected)
    assert ("A|2" in coming, "B|2" in coming, len(expected.in_order())) == (False, True, 1)
    expected.drop("x")
    assert list(coming) == []


def test_nobody_drops_what_is_not_expected() -> None:
    with pytest.raises(KeyError):
        Expected().drop("x")
