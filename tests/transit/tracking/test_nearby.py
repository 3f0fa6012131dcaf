"""What is near a point is what shapely finds near it, pieces drawn alike each for itself."""

import numpy as np
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from transit.tracking.nearby import Pieces
from transit.tracking.segments import Segments

WITHIN_M = 60.0
metres = st.integers(-100, 100)
drawings = st.lists(
    st.lists(st.tuples(metres, metres), min_size=2, max_size=5).filter(lambda xy: len(set(xy)) > 1),
    min_size=1,
    max_size=4,
)
Drawing = list[tuple[int, int]]


def pieces_of(drawn: list[Drawing]) -> tuple[Pieces, np.ndarray]:
    """Return ``drawn`` as pieces of lines of their own, and where on its line each begins."""
    piece = np.repeat(np.arange(len(drawn)), [len(xy) for xy in drawn])
    xy = np.array([vertex for vertices in drawn for vertex in vertices], dtype=np.float64)
    start_m = 1_000.0 * np.arange(len(drawn))
    return Pieces(Segments.of(piece, xy, start_m, np.zeros(len(drawn))), np.arange(len(drawn))), start_m


@given(drawings, st.lists(st.integers(0, 3), max_size=4), st.lists(st.tuples(metres, metres), min_size=1, max_size=3))
def test_all_pieces_within_reach_are_found_each_with_its_nearest_place(
    drawn: list[Drawing], again: list[int], points: list[tuple[int, int]]
) -> None:
    drawn = drawn + [drawn[i % len(drawn)] for i in again]
    pieces, start_m = pieces_of(drawn)
    lines = [shapely.LineString(xy) for xy in drawn]
    gaps_m = {(i, k): lines[k].distance(shapely.Point(xy)) for i, xy in enumerate(points) for k in range(len(lines))}
    assume(all(abs(gap_m - WITHIN_M) > 1e-6 for gap_m in gaps_m.values()))
    found = pieces.near(tuple(np.array(points, dtype=np.float64).T), WITHIN_M)
    pairs = list(zip(found.point.tolist(), found.piece.tolist(), strict=True))
    assert sorted(pairs) == sorted(pair for pair, gap_m in gaps_m.items() if gap_m <= WITHIN_M)
    for (point, piece), offset_m, gap_m in zip(pairs, found.offset_m, found.gap_m, strict=True):
        assert abs(gap_m - gaps_m[point, piece]) < 1e-3
        place = lines[piece].interpolate(offset_m - start_m[piece])
        assert abs(place.distance(shapely.Point(points[point])) - gaps_m[point, piece]) < 1e-6


def test_lines_along_one_street_are_equally_near_wherever_they_are_cut() -> None:
    street = [(0, 0), (10, 33), (20, 66), (30, 99)]
    pieces, _ = pieces_of([street, [*street[:2], street[3]], [street[0], street[3]]])
    points = np.linspace(1.0, 29.0, 50)
    found = pieces.near((points + 7.3, 3.3 * points), WITHIN_M)
    assert found.piece.reshape(50, 3).tolist() == [[0, 1, 2]] * 50
    gap_m = found.gap_m.reshape(50, 3)
    assert (gap_m == gap_m[:, :1]).all()
