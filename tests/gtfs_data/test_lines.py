"""Where along its line each stop lies, for lines as towns have them and shapes as feeds have them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtfs_data.notices import Code
from gtfs_data.shapes import offsets_along, place
from tests.notation.feed import compiled, network

Corners = Sequence[tuple[float, float]]


def offsets(line: Corners, stops: Corners) -> list[float]:
    """Return the offsets of ``stops`` on ``line``, to the metre."""
    placed = place(np.array(line, dtype=np.float64), np.array(stops, dtype=np.float64))
    assert not placed.backwards
    return np.rint(placed.offset_m).tolist()


SQUARE = [(0, 0), (1000, 0), (1000, 1000), (0, 1000), (0, 0)]


def test_a_loop_begins_and_ends_at_one_stop() -> None:
    assert offsets(SQUARE, [(0, 0), (1000, 500), (0, 1000), (0, 0)]) == [0, 1500, 3000, 4000]


def test_a_lollipop_comes_back_on_its_stick() -> None:
    stick = [(0, 0), (1000, 0), (1500, 500), (2000, 0), (1500, -500), (1000, 0), (0, 0)]
    round_m = 4 * np.hypot(500, 500)
    served = offsets(stick, [(0, 5), (500, 5), (2000, 0), (500, -5), (0, -5)])
    assert served == [0, 500, round(1000 + round_m / 2), round(1500 + round_m), round(2000 + round_m)]


def test_a_stop_served_twice_lies_at_two_places() -> None:
    assert offsets([*SQUARE, *SQUARE[1:]], [(0, 0), (1000, 0), (0, 0), (1000, 0), (0, 0)]) == [
        *(0, 1000, 4000),
        *(5000, 8000),
    ]


def test_a_figure_eight_passes_its_crossing_twice() -> None:
    eight = [(-1000, -1000), (1000, 1000), (1000, -1000), (-1000, 1000)]
    diagonal = float(np.hypot(2000, 2000))
    assert offsets(eight, [(-1000, -1000), (0, 0), (1000, 0), (0, 0), (-1000, 1000)]) == [
        *(0, round(diagonal / 2), round(diagonal + 1000)),
        *(round(1.5 * diagonal + 2000), round(2 * diagonal + 2000)),
    ]


def test_out_and_back_on_one_street_keeps_the_order_of_service() -> None:
    assert offsets([(0, 0), (2000, 0), (0, 0)], [(0, 8), (1000, 8), (2000, 0), (1000, -8), (0, -8)]) == [
        *(0, 1000, 2000, 3000, 4000)
    ]


def test_a_stop_nearer_to_the_way_back_is_still_served_on_the_way_out() -> None:
    there_and_back = [(0, 0), (2000, 0), (2000, 10), (0, 10)]
    stops = [(0, 0), (500, 6), (1500, 6), (2000, 5), (1500, 4), (500, 4), (0, 10)]
    assert offsets(there_and_back, stops) == [0, 500, 1500, 2005, 2510, 3510, 4010]


def test_of_passes_within_a_few_metres_the_nearest_counts() -> None:
    placed = place(np.array([[0.0, 0], [1000, 0], [1000, 4], [2000, 4]]), np.array([[0.0, 0], [1001, 3.9], [2000, 4]]))
    assert placed.gap_m[1] == pytest.approx(0.1, abs=0.01)


def test_a_turn_on_the_spot_makes_two_passes_of_one_street() -> None:
    assert offsets([(0, 0), (700, 0), (1400, 0), (700, 0)], [(708, 1), (1383, 1), (742, 1)])[::2] == [708, 2058]


def test_a_shape_drawn_backwards_is_turned_round() -> None:
    placed = place(np.array([[3000.0, 0], [0, 0]]), np.array([[0.0, 0], [1000, 0], [3000, 0]]))
    assert placed.backwards
    assert placed.offset_m.tolist() == [0, 1000, 3000]


def test_a_stop_that_is_far_off_lies_between_its_neighbours_and_its_gap_says_so() -> None:
    line = np.array([[0.0, 0], [3000, 0]])
    placed = place(line, np.array([[0.0, 0], [1000, 900], [2000, 0], [3000, 0]]))
    assert placed.offset_m[0] < placed.offset_m[1] < placed.offset_m[2]
    assert placed.gap_m[1] == pytest.approx(900, abs=10)


def test_a_backwards_shape_is_said_and_its_pattern_runs_forwards(tmp_path: Path) -> None:
    made = compiled(
        tmp_path,
        """
shapes
shape_id  shape_pt_sequence  x     y
line      1                  3000  0
line      2                  0     0
""",
    )
    assert [notice.code for notice in made.report.notices] == [Code.SHAPE_RUNS_BACKWARDS]
    assert made.network is not None
    assert made.network.patterns.offset_m == pytest.approx([0, 1000, 2000, 3000], abs=0.1)


def test_a_shape_of_another_town_is_left_out_and_said(tmp_path: Path) -> None:
    made = compiled(
        tmp_path,
        """
shapes
shape_id  shape_pt_sequence  x      y
line      1                  0      40000
line      2                  90000  40000
""",
    )
    assert [(notice.code, notice.file, notice.field, notice.value) for notice in made.report.notices] == [
        (Code.UNUSABLE_SHAPE, "shapes.txt", "shape_id", "line")
    ]
    assert made.network is not None
    assert made.network.patterns.shape_ids == ("",)
    assert made.network.patterns.offset_m == pytest.approx([0, 1000, 2000, 3000], abs=0.1)


def test_without_shapes_lines_run_from_stop_to_stop(tmp_path: Path) -> None:
    town = network(tmp_path, without=("shapes",))
    assert town.patterns.shape_ids == ("",)
    assert town.patterns.offset_m == pytest.approx([0, 1000, 2000, 3000], abs=0.1)
    assert len(town.patterns.line(0)) == 4


def test_points_of_a_shape_given_twice_do_no_harm_and_order_is_by_sequence(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
shapes
shape_id  shape_pt_sequence  x     y
line      30                 3000  0
line      10                 0     0
line      20                 1500  0
line      21                 1500  0
line      31                 3000  0
""",
    )
    assert town.patterns.offset_m == pytest.approx([0, 1000, 2000, 3000], abs=0.1)
    assert (np.diff(town.patterns.line_offset_m) > 0).all()


def test_a_shape_of_one_place_is_no_line(tmp_path: Path) -> None:
    made = compiled(
        tmp_path,
        """
shapes
shape_id  shape_pt_sequence  x  y
line      1                  0  0
line      2                  0  0
""",
    )
    assert [notice.code for notice in made.report.notices] == [Code.UNUSABLE_SHAPE]
    assert made.network is not None
    assert made.network.patterns.length_m(0) == pytest.approx(3000, abs=0.1)


def test_patterns_of_one_shape_share_its_vertices(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
trips
route_id  service_id  trip_id  direction_id  shape_id
R1        daily       long     0             line
R1        daily       short    0             line

stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
long     08:00:00      08:00:00        S0       1
long     08:15:00      08:15:00        S3       2
short    09:00:00      09:00:00        S1       1
short    09:05:00      09:05:00        S2       2
""",
    )
    assert len(town.patterns) == 2
    assert len(town.patterns.line_xy) == 2
    assert sorted(town.patterns.offset_m.tolist()) == pytest.approx([0, 1000, 2000, 3000], abs=0.1)


places = st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000))


@given(st.lists(places, min_size=2, max_size=12), st.lists(places, min_size=2, max_size=10))
def test_offsets_never_decrease_and_lie_within_the_line(corners: Corners, stops: Corners) -> None:
    line = np.array(corners, dtype=np.float64)
    placed = place(line, np.array(stops, dtype=np.float64))
    assert np.isfinite(placed.offset_m).all()
    assert (np.diff(placed.offset_m) >= 0).all()
    assert placed.offset_m.min() >= 0
    assert placed.offset_m.max() <= offsets_along(line)[-1] + 1e-6


@given(
    st.lists(st.floats(20, 900), min_size=2, max_size=10),
    st.lists(st.sampled_from([0.0, 90.0, 180.0, 45.0, -60.0]), min_size=3, max_size=8),
    st.floats(-15, 15),
)
def test_stops_beside_their_line_are_placed_beside_it(
    steps_m: list[float], headings_deg: list[float], aside_m: float
) -> None:
    headings = np.radians(np.cumsum(headings_deg))
    line = np.vstack([[0, 0], np.cumsum(700 * np.column_stack([np.cos(headings), np.sin(headings)]), axis=0)])
    along = offsets_along(line)
    true_m = np.cumsum(steps_m) * along[-1] / np.sum(steps_m) * 0.98
    on_line = np.column_stack([np.interp(true_m, along, line[:, 0]), np.interp(true_m, along, line[:, 1])])
    placed = place(line, on_line + np.array([0, aside_m]))
    # where a line runs out and back, a stop may lie on either way, some metres apart at its end
    assert np.median(placed.gap_m) <= abs(aside_m) + 20.0
