"""Running times, headways over a change of speed, and how many buses a timetable needs."""

import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtfs_data.build.model import Agency, Call, Course, Service, Speed, Terms
from gtfs_data.build.report import vehicles_by_hour
from gtfs_data.build.timetable import Line, Trip, bands, times_of
from gtfs_data.model import RouteId, StopId

MINUTE, HOUR = 60, 3_600
KEY = (RouteId("1"), 0)


def terms(*speeds: tuple[int, float], dwell_s: int = 20) -> Terms:
    day = dt.date(2026, 1, 1)
    agency = Agency(id="a", name={"kk": "a"}, url="https://example.org", time_zone="Asia/Qyzylorda")
    return Terms(
        languages=("kk",),
        agency=agency,
        carriers=(),
        first_day=day,
        last_day=day,
        day_types={},
        fare=None,
        speeds=tuple(Speed(start_s, kmh / 3.6) for start_s, kmh in speeds),
        dwell_s=dwell_s,
        layover_s=0,
    )


def line(*offsets_m: float, minutes: tuple[float | None, ...] = ()) -> Line:
    """Return a line with stops at ``offsets_m``; ``minutes`` are those given from the second stop on."""
    given_min = (None, *(minutes or [None] * (len(offsets_m) - 1)))
    return Line(
        key=KEY,
        calls=tuple(
            Call(stop_id=StopId(str(place)), minutes=given_min[place], timepoint=False, row=place + 2)
            for place in range(len(offsets_m))
        ),
        course=Course(file="lines/1-0.geojson", lon_lat=np.array([[65.0, 44.0], [65.1, 44.0]])),
        vertex_offset_m=np.array([0.0, offsets_m[-1]]),
        stop_offset_m=np.array(offsets_m, dtype=np.float64),
    )


def trip(start_s: int, end_s: int, headway_s: int, running_s: int) -> Trip:
    return Trip(
        id=f"{start_s}",
        line=line(0.0, 1_000.0),
        day_type="workday",
        arrival_s=(start_s, start_s + running_s),
        departure_s=(start_s, start_s + running_s),
        end_s=end_s,
        headway_s=headway_s,
    )


def test_a_bus_drives_at_the_speed_of_the_hour_and_stands_at_each_stop() -> None:
    arrivals, departures = times_of(line(0, 600, 1_200, 1_800), 7 * HOUR, terms((0, 36.0)))
    assert [time - 7 * HOUR for time in arrivals] == [0, 60, 140, 220]
    assert [time - 7 * HOUR for time in departures] == [0, 80, 160, 220]  # it does not stand at the end of its run


def test_it_slows_down_where_the_hour_changes_on_the_way() -> None:
    slower = terms((0, 36.0), (8 * HOUR, 18.0), dwell_s=0)
    arrivals, _ = times_of(line(0, 600, 1_200), 8 * HOUR - 30, slower)
    assert [time - 8 * HOUR for time in arrivals] == [-30, 30, 150]


def test_before_the_first_speed_of_a_day_the_last_one_holds() -> None:
    rules = terms((5 * HOUR, 18.0), (20 * HOUR, 36.0))
    assert rules.speed_at(HOUR) == rules.speed_at(25 * HOUR) == rules.speed_at(21 * HOUR) == pytest.approx(10.0)
    assert rules.speed_at(29 * HOUR) == pytest.approx(5.0)


def test_given_minutes_hold_at_any_hour_and_include_standing() -> None:
    rules = terms((0, 36.0), (8 * HOUR, 18.0))
    for start_s in (7 * HOUR, 9 * HOUR):
        arrivals, departures = times_of(line(0, 600, 1_200, minutes=(2, 3.5)), start_s, rules)
        assert [time - start_s for time in arrivals] == [0, 120, 330]
        assert departures == arrivals


@given(
    start_s=st.integers(0, 30 * HOUR),
    length_s=st.integers(1, 18 * HOUR),
    headway_s=st.integers(30, 3 * HOUR),
    changes_s=st.lists(st.integers(0, 86_399), max_size=6, unique=True).map(sorted),
)
def test_a_headway_goes_on_over_changes_of_speed(
    start_s: int, length_s: int, headway_s: int, changes_s: list[int]
) -> None:
    service = Service(line=KEY, day_type="d", start_s=start_s, end_s=start_s + length_s, headway_s=headway_s)
    parts = bands(service, changes_s)
    runs = [time for part_start, part_end in parts for time in range(part_start, part_end, headway_s)]
    assert runs == list(range(start_s, start_s + length_s, headway_s))
    days_s = [change + day for day in (0, 86_400) for change in changes_s]
    for part_start, part_end in parts:
        last = range(part_start, part_end, headway_s)[-1]
        assert not any(part_start < change <= last for change in days_s)


@given(
    headway_min=st.integers(2, 40),
    running_min=st.integers(5, 90),
    layover_min=st.integers(0, 20),
    lines=st.integers(1, 3),
)
def test_the_buses_of_a_route_are_its_cycle_over_its_headway(
    headway_min: int, running_min: int, layover_min: int, lines: int
) -> None:
    both_ways = [trip(6 * HOUR, 20 * HOUR, headway_min * MINUTE, running_min * MINUTE) for _ in range(lines)]
    vehicles = vehicles_by_hour(both_ways, layover_min * MINUTE)
    assert vehicles[12] == lines * math.ceil((running_min + layover_min) / headway_min)


def test_hours_without_buses_are_zero_and_nights_follow_the_day() -> None:
    vehicles = vehicles_by_hour([trip(25 * HOUR, 0, 0, 30 * MINUTE)], 0)
    assert vehicles == (*[0] * 25, 1)
