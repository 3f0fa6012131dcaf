"""Stops near a place and beside a stop, against distances on the ellipsoid and a street that is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from gtfs_data.network import Network
from stop_display.nearby import OUTSIDE_M, Beside, NearbyStops, OutsideError
from tests.dispatch.small_city import ALAN, BAZAR, UNUSED, VOKZAL, Line, Stop, network_of

EARTH = Geod(ellps="WGS84")
CITY = network_of()

# One street from west to east with a stop on each side; the bus comes back on the other side.
EAST_A = Stop(id="mektep-a", kk="Мектеп", ru="Школа", en="School", lat=44.8500, lon=65.5000)
EAST_B = Stop(id="dukan-a", kk="Дүкен", ru="Магазин", en="Shop", lat=44.8500, lon=65.5060)
EAST_END = Stop(id="end", kk="Соңы", ru="Конец", en="End", lat=44.8500, lon=65.5200)
WEST_B = Stop(id="dukan-b", kk="Дүкен", ru="Магазин", en="Shop", lat=44.8503, lon=65.5062)
WEST_A = Stop(id="mektep-b", kk="мектеп", ru="Школа", en="School", lat=44.8503, lon=65.5003)
WEST_END = Stop(id="begin", kk="Басы", ru="Начало", en="Begin", lat=44.8503, lon=65.4900)
CROSS_A = Stop(id="mektep-c", kk="Мектеп", ru="Школа", en="School", lat=44.8512, lon=65.5001)
CROSS_END = Stop(id="north", kk="Солтүстік", ru="Север", en="North", lat=44.8600, lon=65.5001)
STREET = network_of(
    [
        Line(route="1", direction=0, stops=(EAST_A, EAST_B, EAST_END)),
        Line(route="1", direction=1, stops=(WEST_B, WEST_A, WEST_END)),
        Line(route="7", direction=0, stops=(CROSS_A, CROSS_END)),
    ]
)


def names(network: Network, found: list[int]) -> list[str]:
    return [network.stops.ids[stop] for stop in found]


@given(lat=st.floats(44.70, 44.95), lon=st.floats(65.40, 65.70))
def test_stops_come_in_the_order_and_at_the_distance_that_the_ellipsoid_gives(lat: float, lon: float) -> None:
    found = NearbyStops(CITY).near(lat, lon, 30)
    distances = []
    for one in found:
        bearing, _, distance = EARTH.inv(lon, lat, float(CITY.stops.lon[one.stop]), float(CITY.stops.lat[one.stop]))
        distances.append(distance)
        assert one.distance_m == pytest.approx(distance, rel=0.005, abs=1)
        if distance > 1:
            assert abs((one.bearing_deg - bearing + 180) % 360 - 180) < 1
    assert [one.distance_m for one in found] == sorted(one.distance_m for one in found)
    assert distances == pytest.approx(sorted(distances), rel=0.01)


def test_only_stops_where_a_bus_can_be_boarded_are_found() -> None:
    found = names(CITY, [one.stop for one in NearbyStops(CITY).near(VOKZAL.lat, VOKZAL.lon, 30)])
    assert found[:3] == [VOKZAL.id, ALAN.id, BAZAR.id]
    assert UNUSED.id not in found
    assert "auezhai" not in found, "buses end there"


def test_no_more_are_found_than_asked_for() -> None:
    assert [len(NearbyStops(CITY).near(ALAN.lat, ALAN.lon, limit)) for limit in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("lat", "lon", "named"),
    [
        (90.1, 65.5, "lat"),
        (math.nan, 65.5, "lat"),
        (math.inf, 65.5, "lat"),
        (44.8, -180.5, "lon"),
        (44.8, math.nan, "lon"),
    ],
)
def test_what_is_no_place_on_earth_is_refused_by_name(lat: float, lon: float, named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} must be"):
        NearbyStops(CITY).near(lat, lon, 3)


def test_a_place_outside_the_city_is_refused_with_the_distance() -> None:
    with pytest.raises(OutsideError, match="km away, at most 50") as refused:
        NearbyStops(CITY).near(51.17, 71.45, 3)  # Astana
    assert refused.value.distance_m == pytest.approx(EARTH.inv(71.45, 51.17, VOKZAL.lon, VOKZAL.lat)[2], rel=0.01)
    edge = ALAN.lat + 0.9 * OUTSIDE_M / 111_195
    assert NearbyStops(CITY).near(edge, ALAN.lon, 1)


def test_a_city_on_the_other_side_of_the_date_line_is_near() -> None:
    lines = [
        Line(
            route="1",
            direction=0,
            stops=tuple(Stop(id=n, kk=n, ru=n, en=n, lat=65, lon=lon) for n, lon in (("a", 179.999), ("b", 179.9))),
        )
    ]
    network = network_of(lines)
    (found,) = NearbyStops(network).near(65.0, -179.999, 1)
    assert found.distance_m == pytest.approx(EARTH.inv(-179.999, 65, 179.999, 65)[2], rel=0.01)
    assert found.bearing_deg == pytest.approx(270, abs=1)


def test_the_stop_across_the_road_comes_first_then_those_of_its_name() -> None:
    beside = NearbyStops(STREET).neighbours(STREET.stop_by_id[EAST_A.id], 10)  # type: ignore[index]
    told = [(STREET.stops.ids[one.stop], one.beside) for one in beside]
    assert told == [
        (WEST_A.id, Beside.OPPOSITE),
        (CROSS_A.id, Beside.SAME_NAME),
        (EAST_B.id, Beside.NEAR),
        (WEST_B.id, Beside.NEAR),
    ]


@given(st.sampled_from(range(len(STREET.stops.ids))))
def test_no_stop_is_beside_itself_and_across_the_road_holds_both_ways(stop: int) -> None:
    nearby = NearbyStops(STREET)
    for one in nearby.neighbours(stop, 30):
        assert one.stop != stop
        if one.beside is Beside.OPPOSITE:
            back = {other.stop: other.beside for other in nearby.neighbours(one.stop, 30)}
            assert back[stop] is Beside.OPPOSITE


def test_where_buses_leave_in_all_directions_nothing_is_across_the_road() -> None:
    lines = [
        Line(route="1", direction=0, stops=(EAST_A, EAST_B)),
        Line(route="2", direction=0, stops=(EAST_A, WEST_END)),
        Line(route="1", direction=1, stops=(WEST_B, WEST_A, WEST_END)),
    ]
    network = network_of(lines)
    beside = NearbyStops(network).neighbours(network.stop_by_id[EAST_A.id], 10)  # type: ignore[index]
    assert {one.beside for one in beside} == {Beside.SAME_NAME, Beside.NEAR}
    assert np.isfinite([one.bearing_deg for one in beside]).all()
