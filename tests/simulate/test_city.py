"""A simulator that was killed goes on with the same buses at the same places."""

import datetime as dt

import numpy as np
import pytest

from ayaldama.simulate.city import bus_id, motion_at, motion_of, roster_date
from ayaldama.simulate.motion import OFF, STEP_MS, Motion
from tests.notation.town import DAY, ZONE, at
from tests.simulate.there_and_back import network_of


def places(motion: Motion) -> list[tuple[int, int, float]]:
    return list(zip(motion.run.tolist(), motion.state.tolist(), motion.offset_m.tolist(), strict=True))


def city(began: str, now: str) -> Motion:
    return motion_at(network_of(), buses=20, seed=4, began_ms=at(began), now_ms=at(now))


def test_started_again_it_is_where_it_would_be_without_the_break() -> None:
    unbroken = city("08:00", "08:10")
    while unbroken.now_ms < at("08:25"):
        unbroken.step()
    assert places(city("08:00", "08:25")) == places(unbroken)


@pytest.mark.parametrize(("began", "now"), [("05:00", "18:00"), ("18:00", "08:00")])
def test_after_a_long_break_buses_are_out_according_to_plan(began: str, now: str) -> None:
    motion = city(began, now)
    assert motion.now_ms == at(now)
    assert np.count_nonzero(motion.state != OFF) >= 5


def test_time_in_between_seconds_is_not_run_ahead_of() -> None:
    motion = motion_at(network_of(), buses=20, seed=4, began_ms=at("08:00") + 345, now_ms=at("08:10") + 678)
    assert motion.now_ms == at("08:10")
    assert motion.now_ms % STEP_MS == 0


def test_a_night_bus_belongs_to_yesterday() -> None:
    assert roster_date(at("02:59:59"), ZONE) == DAY - dt.timedelta(1)
    assert roster_date(at("03:00"), ZONE) == DAY


def test_buses_are_out_past_midnight() -> None:
    motion = motion_of(network_of(), buses=20, seed=1, start_ms=at("24:10"))
    assert np.count_nonzero(motion.state != OFF) >= 5


def test_fleet_numbers_are_the_devices_names() -> None:
    assert [bus_id(bus) for bus in (0, 1, 199)] == ["101", "102", "300"]
