"""Traffic is a field over place and time: lines that share a street share its delays."""

import numpy as np

from ayaldama.simulate.traffic import Traffic, traffic_of
from tests.notation.town import CENTRE, at

UTC_OFFSET_S = 5 * 3_600
CITY = np.add(CENTRE, np.random.default_rng(9).uniform(-5_000, 5_000, (400, 2)))


def traffic(seed: int = 1) -> Traffic:
    return traffic_of(CITY, UTC_OFFSET_S, np.random.default_rng(seed))


def test_speed_depends_on_place_and_time_alone() -> None:
    now_ms = at("08:10")
    assert np.array_equal(traffic().speed_factor(CITY, now_ms), traffic().speed_factor(CITY, now_ms))
    assert not np.allclose(traffic().speed_factor(CITY, now_ms), traffic(2).speed_factor(CITY, now_ms))


def test_the_rush_is_slower_than_noon_and_the_night() -> None:
    def mean(clock: str) -> float:
        return float(np.mean([traffic(seed).speed_factor(CITY, at(clock)).mean() for seed in range(6)]))

    assert mean("08:00") < 0.92 * mean("10:40")
    assert mean("18:10") < 0.92 * mean("22:30")


def test_nearby_places_flow_alike_and_far_ones_do_not() -> None:
    now_ms = at("11:00")
    here = traffic().speed_factor(CITY, now_ms)
    near = traffic().speed_factor(np.add(CITY, (60.0, 0.0)), now_ms)
    assert np.corrcoef(here, near)[0, 1] > 0.9
    assert abs(np.corrcoef(here, np.roll(here, 57))[0, 1]) < 0.3


def test_traffic_changes_slowly() -> None:
    minutes = [np.log(traffic().speed_factor(CITY, at("11:00") + 60_000 * minute)) for minute in range(45)]
    assert np.abs(np.diff(minutes, axis=0)).max() < 0.15
    assert np.std(np.array(minutes)[:, 0]) > 0.02


def test_nothing_stands_for_ever_and_nothing_flies() -> None:
    for hour in range(24):
        factor = traffic().speed_factor(CITY, at(f"{hour:02d}:00"))
        assert factor.min() > 0.1
        assert factor.max() < 2.5
