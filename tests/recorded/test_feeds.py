"""Feeds of real cities compile, with figures that make sense. Their data is not part of the project."""

from pathlib import Path

import numpy as np
import pytest

from gtfs_data.compile import compile_feed
from gtfs_data.notices import Code
from gtfs_data.summary import summarize

FEEDS = Path(__file__).parents[2].parent / "shared" / "data" / "gtfs_feeds"

pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not FEEDS.is_dir(), reason="no recorded feeds beside the project"),
]


@pytest.mark.parametrize(
    ("name", "errors", "trips", "stop_times", "shaped_share"),
    [
        ("cairns", 0, 1_339, 37_790, 1.0),
        ("chisinau", 0, 13_067, 250_410, 0.0),  # no shapes; 559 more trips have no stop times
        ("g2g_saopaulo", 0, 92, 3_639, 1.0),  # all trips are templates of a headway
        ("raba", 0, 282, 7_346, 1.0),
        ("carta_2026", 0, 1_848, 82_644, 1.0),
    ],
)
def test_a_real_feed_becomes_a_network(
    name: str, errors: int, trips: int, stop_times: int, shaped_share: float
) -> None:
    made = compile_feed(FEEDS / f"{name}.zip")
    assert made.network is not None
    assert made.report.errors == errors
    network = made.network
    summary = summarize(network)
    assert (summary.trips, summary.stop_times, summary.shaped_share) == (trips, stop_times, shaped_share)
    assert summary.stops_used <= summary.stops
    assert summary.busiest_trips <= summary.trips
    assert np.median(network.patterns.gap_m) < 15
    for pattern in range(len(network.patterns)):
        offset_m = network.patterns.offset_m[network.patterns.rows(pattern)]
        assert (np.diff(offset_m) >= 0).all()
        assert 0 <= offset_m[0] <= offset_m[-1] <= network.patterns.length_m(pattern) + 1e-6
    for trip in range(len(network.trips.ids)):
        rows = network.trips.rows(trip)
        assert (network.trips.arrival_s[rows] <= network.trips.departure_s[rows]).all()


def test_headways_of_sao_paulo_are_no_timetable() -> None:
    made = compile_feed(FEEDS / "g2g_saopaulo.zip")
    assert made.network is not None
    assert summarize(made.network).frequency_trips == 92
    assert not made.network.trips.scheduled.any()


def test_stops_far_from_their_shape_are_said_of_cairns_as_other_validators_say() -> None:
    assert compile_feed(FEEDS / "cairns.zip").report.counts == {Code.STOP_TOO_FAR_FROM_SHAPE: 5}
