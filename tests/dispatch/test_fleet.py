"""What the map is told follows the change feed, and nothing is told twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.fleet import Fleet, line_heading_deg
from tests.dispatch.sightings import NOON_MS, arrival, fleet_with, position, update
from tests.dispatch.small_city import ALAN, BAZAR, network_of
from transit.model import ArrivalKey, Update


def test_a_vehicle_shows_when_it_is_expected_at_its_next_stop() -> None:
    fleet = fleet_with(position(), arrival(ALAN.id, in_s=120), arrival(BAZAR.id, in_s=300, sequence=2))
    vehicle = fleet.vehicle("101")
    assert vehicle is not None
    assert (vehicle.next_stop, vehicle.next_ms) == (ALAN.id, NOON_MS + 120_000)
    assert [stop.stop for stop in fleet.ahead("101")] == [ALAN.id, BAZAR.id]


def test_arrivals_of_the_next_run_are_not_those_of_this_one() -> None:
    fleet = fleet_with(position(), arrival(ALAN.id, in_s=3_600, sequence=1, run_key="10-1|2026-09-21"))
    vehicle = fleet.vehicle("101")
    assert vehicle is not None
    assert vehicle.next_ms is None
    assert fleet.ahead("101") == []


def test_a_loop_that_calls_twice_is_expected_at_the_earlier_time() -> None:
    fleet = fleet_with(position(), arrival(ALAN.id, in_s=900, sequence=7), arrival(ALAN.id, in_s=90, sequence=1))
    vehicle = fleet.vehicle("101")
    assert vehicle is not None
    assert vehicle.next_ms == NOON_MS + 90_000


def test_changes_are_told_once_and_only_the_latest() -> None:
    fleet = fleet_with(position("a"), position("b"))
    fleet.take_changes()
    fleet.apply(update(position("a", lat=44.852)))
    fleet.apply(update(position("a", lat=44.853)))
    changed, gone = fleet.take_changes()
    assert [(vehicle.id, vehicle.lat) for vehicle in changed] == [("a", 44.853)]
    assert gone == []
    assert fleet.take_changes() == ([], [])


def test_how_full_a_bus_is_is_told_when_it_changes() -> None:
    fleet = fleet_with(position("a"), position("b"))
    fleet.take_changes()
    fleet.fill({"a": "full", "gone": "empty"})
    changed, _ = fleet.take_changes()
    assert [(vehicle.id, vehicle.occupancy) for vehicle in changed] == [("a", "full")]
    fleet.fill({"a": "full"})
    assert fleet.take_changes() == ([], [])
    fleet.fill({})
    changed, _ = fleet.take_changes()
    assert [(vehicle.id, vehicle.occupancy) for vehicle in changed] == [("a", "")]


def test_the_same_update_twice_changes_nothing() -> None:
    fleet = fleet_with(position())
    fleet.take_changes()
    fleet.apply(update(position()))
    assert fleet.take_changes() == ([], [])


def test_a_new_expectation_at_the_next_stop_changes_the_vehicle_and_one_further_on_does_not() -> None:
    fleet = fleet_with(position(), arrival(ALAN.id), arrival(BAZAR.id, in_s=300, sequence=2))
    fleet.take_changes()
    fleet.apply(update(arrival(BAZAR.id, in_s=310, sequence=2)))
    assert fleet.take_changes() == ([], [])
    fleet.apply(update(arrival(ALAN.id, in_s=150)))
    changed, _ = fleet.take_changes()
    assert [vehicle.next_ms for vehicle in changed] == [NOON_MS + 150_000]


def test_a_withdrawn_expectation_is_not_shown() -> None:
    withdrawn = arrival(ALAN.id)
    fleet = fleet_with(position(), withdrawn)
    fleet.apply(
        Update(
            as_of_ms=NOON_MS,
            vehicles=[],
            arrivals=[],
            withdrawn=[
                ArrivalKey(stop_id=ALAN.id, key=withdrawn.key),
                ArrivalKey(stop_id=ALAN.id, key="never|heard|of"),
            ],
        )
    )
    vehicle = fleet.vehicle("101")
    assert vehicle is not None
    assert vehicle.next_ms is None


def test_a_vehicle_that_left_is_told_and_forgotten_with_its_arrivals() -> None:
    fleet = fleet_with(position(), arrival())
    fleet.take_changes()
    fleet.apply(update(gone=("101", "unheard of")))
    assert fleet.take_changes() == ([], ["101"])
    assert (len(fleet), fleet.vehicle("101"), fleet.ahead("101")) == (0, None, [])


def test_a_snapshot_ends_what_it_does_not_name() -> None:
    fleet = fleet_with(position("old"), position("both"))
    fleet.take_changes()
    fleet.replace(update(position("both"), position("new")))
    changed, gone = fleet.take_changes()
    assert [vehicle.id for vehicle in changed] == ["new"]
    assert gone == ["old"]


def test_a_recording_that_starts_again_moves_the_vehicle_back() -> None:
    fleet = fleet_with(position(fix_ms=NOON_MS))
    fleet.apply(update(position(fix_ms=NOON_MS - 3_600_000, lat=44.86), as_of_ms=NOON_MS - 3_600_000))
    vehicle = fleet.vehicle("101")
    assert vehicle is not None
    assert (vehicle.lat, fleet.as_of_ms) == (44.86, NOON_MS - 3_600_000)


def test_a_pattern_of_another_feed_is_not_named() -> None:
    vehicle = fleet_with(position(pattern=99)).vehicle("101")
    assert vehicle is not None
    assert vehicle.pattern == -1


def test_a_tracker_without_compass_points_along_its_line() -> None:
    vehicle = fleet_with(position(heading_deg=None, offset_m=300.0)).vehicle("101")
    assert vehicle is not None
    assert vehicle.heading_deg == pytest.approx(126, abs=2)  # from the station south-east to the square


@given(offset_m=st.floats(-1e6, 1e6))
def test_a_line_leads_somewhere_at_any_offset(offset_m: float) -> None:
    heading_deg = line_heading_deg(network_of(), 0, offset_m)
    assert heading_deg is not None
    assert 0 <= heading_deg < 360


@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda who, lat: update(position(who, lat=lat)), st.sampled_from("abc"), st.sampled_from([44.8, 44.9])
            ),
            st.builds(lambda who: update(gone=(who,)), st.sampled_from("abc")),
            st.builds(lambda who: update(arrival(vehicle_id=who)), st.sampled_from("abc")),
        ),
        max_size=20,
    )
)
def test_a_map_that_heard_every_change_shows_what_a_snapshot_shows(history: list[Update]) -> None:
    fleet, heard = Fleet(network_of()), {}
    for one in history:
        fleet.apply(one)
        changed, gone = fleet.take_changes()
        for vehicle_id in gone:
            del heard[vehicle_id]
        heard.update({vehicle.id: vehicle for vehicle in changed})
    assert [heard[vehicle_id] for vehicle_id in sorted(heard)] == fleet.vehicles()
