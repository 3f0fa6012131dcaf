"""A run is called the same whoever asks, and its name is put together once while a vehicle stays on it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.notation.town import town
from transit.tracking.parameters import Parameters
from transit.tracking.run_keys import RunKeys
from transit.tracking.tracker import Tracker

LINE = [(0.0, 0.0), (3_000.0, 0.0)]
FLEET = Tracker(town({"1/0": LINE}, {"1/0": [0.0, 1_000.0, 2_000.0]}, "a 1/0 08:00"), Parameters()).fleet
FLEET.rows_for([f"bus {number}" for number in range(4)])

asked = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(-1, 2)), min_size=1, max_size=20)


@given(asked)
def test_whatever_was_asked_before_a_run_has_its_own_name(questions: list[tuple[int, int, int]]) -> None:
    made: list[int] = []

    def name(trip: int, day: int, pattern: int, start_ms: int) -> str:
        made.append(trip)
        return f"{trip}.{day}.{pattern}.{start_ms}"

    keys, last = RunKeys(name), dict[tuple[int, int], int]()
    for vehicle, leg, trip in questions:
        before = len(made)
        run = tuple(np.array([number]) for number in (trip, 1, 2, 3))
        key, lead = keys.of(FLEET, np.array([vehicle]), leg, run)
        assert key.tolist() == [f"{trip}.1.2.3"]
        assert lead.tolist() == [f"bus {vehicle}|{trip}.1.2.3|"]
        assert (len(made) == before) is (last.get((vehicle, leg)) == trip)
        last[vehicle, leg] = trip
