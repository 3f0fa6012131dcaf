"""What units report is the truth with the faults of GPS and mobile networks, in the measure that is documented."""

import functools

import numpy as np
import pytest

from ayaldama.simulate import trackers as parameters
from ayaldama.simulate.trackers import CLOCK_ERRORS_MS, INTERVALS_S, Fixes, Units
from tests.notation.town import CENTRE, at

COUNT = 150
STANDING = np.tile(np.array(CENTRE), (COUNT, 1))
EVERYONE = np.arange(COUNT)
LONG = 1_500  # seconds


@functools.cache
def a_while(seed: int = 1, speed_mps: float = 8.0) -> tuple[Units, list[Fixes]]:
    units = Units(COUNT, np.random.default_rng(seed))
    speed, heading = np.full(COUNT, speed_mps), np.full(COUNT, 90.0)
    return units, [
        units.take(EVERYONE, STANDING, speed, heading, at("09:00") + 1_000 * second) for second in range(LONG)
    ]


def errors_m(fixes: list[Fixes]) -> np.ndarray:
    return np.concatenate([np.hypot(*(one.xy - np.array(CENTRE)).T) for one in fixes])


def test_each_unit_keeps_to_its_interval() -> None:
    _, fixes = a_while()
    for unit in range(0, COUNT, 3):
        seconds = [second for second, one in enumerate(fixes) if unit in one.bus]
        assert len(set(np.diff(seconds).tolist())) == 1
        assert int(np.diff(seconds)[0]) in INTERVALS_S


def test_most_fixes_are_5_to_15_m_off_and_few_are_far_away() -> None:
    error_m = errors_m(a_while()[1])
    assert 3.0 < np.median(error_m) < 12.0
    assert np.quantile(error_m, 0.95) < 30.0
    assert 0.0 < np.mean(error_m > 100.0) < 0.005


def test_errors_drift_and_do_not_dance() -> None:
    """The error of a fix tells much of the next one's: averaged over all units, outliers aside."""
    _, fixes = a_while()
    found = []
    for unit in range(0, COUNT, 3):
        east_m = np.array([float(one.xy[one.bus == unit][0, 0]) - CENTRE[0] for one in fixes if unit in one.bus])
        drift = east_m[np.abs(east_m) < 50.0]
        found.append(np.corrcoef(drift[:-1], drift[1:])[0, 1])
    assert 0.3 < np.mean(found) < 0.9


def test_a_frozen_unit_repeats_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "OUTLIERS", 0.0)
    monkeypatch.setattr(parameters, "FREEZES_PER_S", 1.0)
    monkeypatch.setattr(parameters, "FREEZE_S", (10_000.0, 10_001.0))
    units = Units(COUNT, np.random.default_rng(1))
    speed, heading = np.full(COUNT, 8.0), np.zeros(COUNT)
    units._frozen_until_ms[:] = at("10:00")
    units._frozen_xy[:] = STANDING
    monkeypatch.setattr(parameters, "FREEZES_PER_S", 0.0)
    for second in range(60):
        one = units.take(EVERYONE, STANDING + 8.0 * second, speed, heading, at("09:00") + 1_000 * second)
        assert np.array_equal(one.xy, STANDING[one.bus])
        assert not one.speed_mps.any()


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [("repeated", 0.5 / 300, 2 / 300), ("late", 0.5 / 400, 2 / 400)],
)
def test_faults_come_as_often_as_documented(field: str, least: float, most: float) -> None:
    fixes = [one for seed in (1, 2) for one in a_while(seed)[1]]
    share = np.mean(np.concatenate([getattr(one, field) for one in fixes]))
    assert least < share < most


def test_a_wrong_clock_is_rare_and_wrong_as_real_ones_are() -> None:
    told = np.concatenate(
        [one.fix_ms - (at("09:00") + 1_000 * second) for seed in (1, 2) for second, one in enumerate(a_while(seed)[1])]
    )
    assert set(told.tolist()) <= {0, *CLOCK_ERRORS_MS}
    assert 0 < np.count_nonzero(told) < 0.001 * len(told)


def test_the_network_is_lost_at_times_and_comes_back() -> None:
    units, _ = a_while()
    lost = units.offline_until_ms > 0
    assert 0 < lost.sum() < COUNT
    assert (units.offline_until_ms <= at("10:00") + 150_000).all()


def test_speed_and_heading_are_noisy_but_right_and_heading_is_nothing_when_standing() -> None:
    _, moving = a_while()
    assert np.mean(np.concatenate([one.speed_mps for one in moving])) == pytest.approx(8.0, abs=0.1)
    assert np.median(np.concatenate([one.heading_deg for one in moving])) == pytest.approx(90.0, abs=1.0)
    _, standing = a_while(speed_mps=0.0)
    assert np.std(np.concatenate([one.heading_deg for one in standing])) > 90.0
    assert min(float(one.speed_mps.min(initial=0.0)) for one in standing) >= 0.0


def test_the_same_seed_reports_the_same() -> None:
    first, again = a_while()[1], a_while.__wrapped__()[1]
    assert all(np.array_equal(a.xy, b.xy) and np.array_equal(a.bus, b.bus) for a, b in zip(first, again, strict=True))
