"""Segments find what geometry itself would find: shapely's distance to each piece is the judge."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from transit.tracking.ragged import first_minimum, heads
from transit.tracking.segments import Segments

metres = st.integers(-300, 300)
pieces_of_a_line = st.lists(st.tuples(metres, metres), min_size=2, max_size=6).filter(lambda xy: len(set(xy)) > 1)
lines = st.lists(pieces_of_a_line, min_size=1, max_size=5)  # one without length is the end of the one before it


def segments_of(pieces: list[list[tuple[int, int]]]) -> tuple[Segments, np.ndarray, np.ndarray]:
    """Return one line of ``pieces``, end to end by distance, and where each begins and ends along it."""
    piece = np.repeat(np.arange(len(pieces)), [len(vertices) for vertices in pieces])
    length_m = np.array([shapely.LineString(vertices).length for vertices in pieces])
    end_m = np.cumsum(length_m)
    xy = np.array([vertex for vertices in pieces for vertex in vertices], dtype=np.float64)
    return Segments.of(piece, xy, end_m - length_m, np.zeros(len(pieces))), end_m - length_m, end_m


@given(lines, metres, metres)
def test_each_piece_is_as_near_as_shapely_says(pieces: list[list[tuple[int, int]]], x: int, y: int) -> None:
    segments, start_m, end_m = segments_of(pieces)
    everywhere = segments.near(np.array([0.0]), end_m[-1:] + 1.0, (np.array([float(x)]), np.array([float(y)])))
    point = shapely.Point(x, y)
    expected = [shapely.LineString(vertices).distance(point) for vertices in pieces]
    assert len(everywhere.owner) == len(pieces)
    np.testing.assert_allclose(np.sqrt(everywhere.gap_m2), expected, atol=1e-6)
    assert (everywhere.offset_m >= start_m - 1e-6).all()
    assert (everywhere.offset_m <= end_m + 1e-6).all()


def test_only_the_window_is_looked_at() -> None:
    segments, _, _ = segments_of([[(0, 0), (100, 0), (200, 0)], [(200, 0), (300, 0)]])
    found = segments.near(np.array([0.0, 210.0]), np.array([90.0, 290.0]), (np.array([250.0, 50.0]), np.zeros(2)))
    assert found.owner.tolist() == [0, 1]
    assert found.offset_m.tolist() == [100.0, 200.0]
    assert found.gap_m2.tolist() == [150.0**2, 150.0**2]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=6))
def test_the_first_of_equal_least_values_is_taken(groups: list[list[int]]) -> None:
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    values = np.array([value for group in groups for value in group], dtype=np.float64)
    before = np.cumsum([0, *(len(group) for group in groups[:-1])])
    expected = [int(start) + group.index(min(group)) for start, group in zip(before, groups, strict=True)]
    assert first_minimum(heads(owner), values).tolist() == expected
