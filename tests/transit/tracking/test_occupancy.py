"""Riders board by taps and leave by a model; how full a bus looks follows from seats and places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transit.outcomes import Occupancy
from transit.tracking.occupancy import Capacity, Load, Loads

BUS = Capacity(seats=28, places=80)


def riders(loads: Loads, vehicle_id: str = "bus") -> float:
    return next(load.riders for load in loads.known() if load.vehicle_id == vehicle_id)


@pytest.mark.parametrize(
    ("aboard", "status"),
    [
        (0, Occupancy.EMPTY),
        (0.6, Occupancy.MANY_SEATS_AVAILABLE),
        (14, Occupancy.MANY_SEATS_AVAILABLE),
        (15, Occupancy.FEW_SEATS_AVAILABLE),
        (28, Occupancy.FEW_SEATS_AVAILABLE),
        (29, Occupancy.STANDING_ROOM_ONLY),
        (59, Occupancy.STANDING_ROOM_ONLY),
        (60, Occupancy.CRUSHED_STANDING_ROOM_ONLY),
        (80, Occupancy.FULL),
    ],
)
def test_classes_are_those_of_gtfs_realtime(aboard: float, status: Occupancy) -> None:
    assert BUS.status(aboard) is status


def test_more_seats_than_places_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"fare.seats must be above 0 and at most fare.places, 20: 28"):
        Capacity(seats=28, places=20)


def test_at_each_stop_an_equal_share_of_the_stops_ahead_leaves() -> None:
    loads = Loads(BUS)
    loads.boarded("bus", 12, 0)
    loads.moved("bus", "run", 0, 5, 0)
    left = []
    for stop in range(1, 5):
        loads.moved("bus", "run", stop, 5, stop)
        left.append(round(riders(loads), 6))
    assert left == [9, 6, 3, 0]


def test_a_stop_passed_between_two_fixes_counts_too() -> None:
    one, two = Loads(BUS), Loads(BUS)
    for loads in (one, two):
        loads.boarded("bus", 10, 0)
        loads.moved("bus", "run", 0, 9, 0)
    for stop in range(1, 6):
        one.moved("bus", "run", stop, 9, stop)
    two.moved("bus", "run", 5, 9, 5)
    assert riders(one) == pytest.approx(riders(two))


def test_a_new_run_begins_empty_and_going_back_lets_nobody_off() -> None:
    loads = Loads(BUS)
    loads.moved("bus", "a", 1, 9, 0)
    loads.boarded("bus", 5, 1)
    loads.moved("bus", "a", 2, 9, 1)
    after = riders(loads)
    loads.moved("bus", "a", 1, 9, 2)
    assert riders(loads) == after
    loads.moved("bus", "b", 0, 9, 3)
    assert riders(loads) == 0


def test_changes_are_told_once_and_a_restart_goes_on() -> None:
    loads = Loads(BUS)
    loads.boarded("bus", 3, 7)
    assert loads.take_changes() == ([Load("bus", "", -1, 3, Occupancy.MANY_SEATS_AVAILABLE, 7)], [])
    assert loads.take_changes() == ([], [])
    again = Loads(BUS)
    again.restore(loads.known())
    assert again.known() == loads.known()
    again.forget("bus")
    assert again.take_changes() == ([], ["bus"])


@given(st.lists(st.one_of(st.integers(0, 30), st.just(-1)), max_size=60), st.integers(2, 40))
def test_never_more_aboard_than_boarded_never_fewer_than_nobody(steps: list[int], stops: int) -> None:
    loads = Loads(BUS)
    boarded, stop = 0, 0
    for step in steps:
        if step < 0:
            stop = min(stop + 1, stops - 1)
            loads.moved("bus", "run", stop, stops, 0)
        else:
            loads.boarded("bus", step, 0)
            boarded += step
        assert all(0 <= load.riders <= boarded for load in loads.known())
