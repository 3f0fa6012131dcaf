"""Real traffic, cut into batches at random, leaves a tracker in the same state, bit by bit."""

from pathlib import Path

import numpy as np
import pytest

from gtfs_data.compile import load_network
from tests.transit.tracking.test_tracker import state
from transit.accuracy.recording import Recording, read_recording
from transit.tracking.tracker import Tracker

DATA = Path(__file__).parents[2].parent / "shared" / "data"

pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not DATA.exists(), reason="no recorded data beside the project"),
]


@pytest.mark.parametrize(
    ("city", "begins_h", "minutes"),
    [("kaohsiung_2018", 9.0, 30), ("stib55_2025", 4.0, 30), ("wmata_2026", 0.5, 15), ("capmetro_2015_17", 9.0, 15)],
)
def test_the_state_does_not_depend_on_the_cuts(city: str, begins_h: float, minutes: int) -> None:
    network = load_network(DATA / city / "gtfs.zip", cache=None)
    recording = read_recording(DATA / city / "vehicle_locations.csv.gz")
    whole, cut, random = Tracker(network), Tracker(network), np.random.default_rng(7)
    steps = recording.since(recording.first_ms + round(3_600_000 * begins_h)).steps(60_000)
    for (until_ms, batch), _ in zip(steps, range(minutes), strict=False):
        whole.advance(batch, until_ms)
        cuts = np.unique([0, *random.integers(0, len(batch) + 1, 5), len(batch)])
        pieces = Recording(batch)
        for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            piece = pieces.between(begin, end)
            cut.advance(piece, until_ms if end == len(batch) else int(piece.received_ms[-1]))
        if not len(batch):
            cut.advance(batch, until_ms)
        assert np.array_equal(cut.predictions(until_ms).arrival_ms, whole.predictions(until_ms).arrival_ms)
    assert len(whole.predictions(until_ms).arrival_ms) > 30
    assert state(cut) == state(whole)
