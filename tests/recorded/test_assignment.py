"""Single buses of New York, labelled report by report: what they are taken for must stay as right as it was."""

from pathlib import Path

import pytest

from gtfs_data.compile import load_network
from transit.accuracy.assignment import Assignment, assignment
from transit.accuracy.recording import labels_of, read_recording

TRACES = Path(__file__).parents[2].parent / "shared" / "data" / "nyc_oba_traces"

pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not TRACES.exists(), reason="no recorded data beside the project"),
]


def judged(group: Path) -> Assignment:
    labels = labels_of(group / "vehicle_locations.csv.gz")
    assert labels is not None
    network = load_network(group / "gtfs.zip", cache=None)
    return assignment(network, read_recording(group / "vehicle_locations.csv.gz"), labels)


def test_buses_that_say_nothing_are_taken_for_what_they_do() -> None:
    first, *others = [judged(group) for group in sorted(TRACES.iterdir()) if group.is_dir()]
    found = sum(others, start=first)
    assert found.with_trip >= 280
    assert found.right_direction >= 0.97 * found.with_trip
    assert found.right_trip >= 0.97 * found.with_trip
    assert found.in_progress_served >= 0.945 * found.in_progress
    assert found.elsewhere_served <= 0.03 * found.elsewhere
