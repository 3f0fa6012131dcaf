"""Trips, times, days, headways, blocks and names, as feeds give them."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from gtfs_data.calendar import day_zero_ms, service_day
from tests.notation.feed import compiled, network

MONDAY = dt.date(2026, 3, 2)


def clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def test_times_pass_midnight_without_a_jump(tmp_path: Path) -> None:
    night = network(
        tmp_path,
        """
stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       23:50:00      23:50:00        S0       1
T1       24:10:00      24:12:30        S1       2
T1       25:01:00      25:01:00        S2       3
""",
    )
    assert [clock(t) for t in night.trips.arrival_s.tolist()] == ["23:50:00", "24:10:00", "25:01:00"]
    assert clock(int(night.trips.departure_s[1])) == "24:12:30"
    day = service_day(night, MONDAY)
    assert day.end_ms - day.start_ms == (60 + 11) * 60_000


def test_hours_may_have_one_digit(tmp_path: Path) -> None:
    early = network(
        tmp_path,
        """
stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       6:00:00       6:00:00         S0       1
T1       6:05:00       6:05:00         S1       2
""",
    )
    assert early.trips.arrival_s.tolist() == [21_600, 21_900]


def test_missing_times_go_by_distance_between_the_given_ones(tmp_path: Path) -> None:
    timed = network(
        tmp_path,
        """
stops
stop_id  stop_name  x     y
S0       Depot      0     0
S1       Bazaar     1500  0
S2       School     2000  0
S3       Station    3000  0

stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       08:00:00      08:00:00        S0       1
T1       -             -               S1       2
T1       -             -               S2       3
T1       08:30:00      08:30:00        S3       4
""",
    )
    assert [clock(t) for t in timed.trips.arrival_s.tolist()] == ["08:00:00", "08:15:00", "08:20:00", "08:30:00"]
    assert timed.trips.given.tolist() == [True, False, False, True]


def test_one_of_arrival_and_departure_stands_for_both(tmp_path: Path) -> None:
    timed = network(
        tmp_path,
        """
stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       -             08:00:00        S0       1
T1       08:30:00      -               S3       4
""",
    )
    assert timed.trips.arrival_s.tolist() == timed.trips.departure_s.tolist() == [28_800, 30_600]


def test_rows_may_come_in_any_order(tmp_path: Path) -> None:
    mixed = network(
        tmp_path,
        """
stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       08:10:00      08:10:00        S2       30
T1       08:00:00      08:00:00        S0       5
T1       08:05:00      08:05:00        S1       7
""",
    )
    assert [mixed.stops.ids[i] for i in mixed.patterns.stop.tolist()] == ["S0", "S1", "S2"]
    assert mixed.patterns.stop_sequence.tolist() == [5, 7, 30]


@pytest.mark.parametrize(
    ("date", "zero", "hours_to_the_next"),
    [
        ("2026-03-28", "2026-03-28T00:00+01:00", 23),  # noon to noon over the night clocks go forward
        ("2026-03-29", "2026-03-28T23:00+01:00", 24),  # not midnight: an hour is missing before noon
        ("2026-06-01", "2026-06-01T00:00+02:00", 24),
        ("2026-10-24", "2026-10-24T00:00+02:00", 25),
        ("2026-10-25", "2026-10-25T01:00+02:00", 24),  # and here there is one more
    ],
)
def test_a_service_day_begins_twelve_hours_before_noon_also_when_clocks_change(
    date: str, zero: str, hours_to_the_next: int
) -> None:
    day = dt.date.fromisoformat(date)
    zero_ms = day_zero_ms(day, "Europe/Berlin")
    assert zero_ms == dt.datetime.fromisoformat(zero).timestamp() * 1000
    assert day_zero_ms(day + dt.timedelta(days=1), "Europe/Berlin") - zero_ms == hours_to_the_next * 3_600_000


def test_days_of_the_week_and_single_dates_make_the_days_of_a_service(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
calendar
service_id  monday  tuesday  wednesday  thursday  friday  saturday  sunday  start_date  end_date
daily       1       1        1          1         1       0         0       20260302    20260315

calendar_dates
service_id  date      exception_type
daily       20260303  2
daily       20260307  1
""",
    )
    days = [MONDAY + dt.timedelta(days=i) for i in range(-1, 15)]
    runs = {day.isoformat()[5:]: len(service_day(town, day).trip) for day in days}
    assert [day for day, count in runs.items() if count] == [
        *("03-02", "03-04", "03-05", "03-06", "03-07", "03-09", "03-10", "03-11", "03-12", "03-13")
    ]


def test_calendar_dates_alone_are_a_calendar(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
calendar_dates
service_id  date      exception_type
daily       20260302  1
daily       20260509  1
""",
        without=("calendar",),
    )
    assert [len(service_day(town, dt.date(2026, *day)).trip) for day in ((3, 2), (3, 3), (5, 9))] == [1, 0, 1]


@pytest.mark.parametrize("exact", ["0", "-", "1"])
def test_headways_are_runs_if_exact_and_windows_if_not(tmp_path: Path, exact: str) -> None:
    town = network(
        tmp_path,
        f"""
frequencies
trip_id  start_time  end_time  headway_secs  exact_times
T1       07:00:00    07:30:00  600           {exact}
""",
    )
    day = service_day(town, MONDAY)
    zero = day_zero_ms(MONDAY, town.time_zone)
    assert town.trips.scheduled.tolist() == [exact == "1"]
    if exact == "1":
        assert [clock(int(s - zero) // 1000) for s in day.start_ms] == ["07:00:00", "07:10:00", "07:20:00"]
        assert not day.headways
    else:
        assert not len(day.trip)
        assert [(window.headway_s, window.end_ms - window.start_ms) for window in day.headways] == [(600, 1_800_000)]


def test_trips_of_one_vehicle_share_a_block(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
trips
route_id  service_id  trip_id  direction_id  block_id  shape_id
R1        daily       T1       0             7         line
R1        daily       T2       0             7         line
R1        daily       T3       0             -         line

stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       08:00:00      08:00:00        S0       1
T1       08:15:00      08:15:00        S3       2
T2       09:00:00      09:00:00        S0       1
T2       09:15:00      09:15:00        S3       2
T3       10:00:00      10:00:00        S0       1
T3       10:15:00      10:15:00        S3       2
""",
    )
    assert town.trips.block.tolist() == [0, 0, -1]
    assert town.trips.block_ids == ("7",)
    assert len(town.patterns) == 1


def test_a_direction_or_another_stop_makes_another_pattern(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
trips
route_id  service_id  trip_id  direction_id  trip_headsign
R1        daily       T1       0             Station
R1        daily       T2       1             Depot
R1        daily       T3       0             Station
R1        daily       T4       0             Bazaar
R1        daily       T5       0             Vokzal

stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       08:00:00      08:00:00        S0       1
T1       08:15:00      08:15:00        S3       2
T2       09:00:00      09:00:00        S3       1
T2       09:15:00      09:15:00        S0       2
T3       10:00:00      10:00:00        S0       1
T3       10:15:00      10:15:00        S3       2
T4       11:00:00      11:00:00        S0       1
T4       11:15:00      11:15:00        S1       2
T5       10:00:00      10:00:00        S0       1
T5       10:15:00      10:15:00        S3       2
""",
        without=("shapes",),
    )
    headsigns = [town.patterns.headsigns[i] for i in town.trips.pattern.tolist()]
    assert headsigns == ["Station", "Depot", "Station", "Bazaar", "Station"]
    assert town.trips.headsigns[4] == "Vokzal"
    assert [int(town.patterns.direction[i]) for i in town.trips.pattern.tolist()] == [0, 1, 0, 0, 0]


def test_names_come_in_the_languages_of_the_city(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
translations
table_name  field_name       language  translation      record_id  field_value
stops       stop_name        kk-KZ     Базар            S1         -
stops       stop_name        ru        Вокзал           -          Station
stops       stop_name        kk        Вокзал~қ         -          Station
routes      route_long_name  ru        Депо~-~Вокзал    R1         -
stops       stop_name        en        Railway~station  S3         -
""",
    )
    names = {language: names[1:4:2] for language, names in town.stops.names_by_language.items()}
    assert names == {
        "en": ("Bazaar", "Railway station"),
        "kk": ("Базар", "Вокзал қ"),
        "ru": ("Bazaar", "Вокзал"),
    }
    assert town.routes.long_names_by_language["ru"] == ("Депо - Вокзал",)
    assert town.routes.long_names_by_language["kk"] == ("Depot - Station",)
    assert town.patterns.headsigns_by_language["ru"] == ("Вокзал",)
    assert town.language == "kk"


def test_stops_keep_codes_and_fare_zones_and_stations_are_no_stops(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
stops
stop_id  stop_code  stop_name  x     y  zone_id  location_type  parent_station
S0       101        Depot      0     0  Z1       0              -
ST       -          Centre     900   0  -        1              -
S1       102        Bazaar     1000  0  Z1       -              ST
S2       103        School     2000  0  Z2       0              -
S3       104        Station    3000  0  Z2       0              -
""",
    )
    assert town.stops.ids == ("S0", "S1", "S2", "S3")
    assert town.stops.codes == ("101", "102", "103", "104")
    assert town.stops.zones == ("Z1", "Z1", "Z2", "Z2")
    assert [town.stops.ids[i] for i in town.patterns.stop.tolist()] == ["S0", "S1", "S2", "S3"]


def test_where_a_wheelchair_can_board_is_what_trip_and_stop_say_or_the_stops_station(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
stops
stop_id  stop_name  x     y  location_type  parent_station  wheelchair_boarding
S0       Depot      0     0  0              -               1
ST       Centre     900   0  1              -               2
S1       Bazaar     1000  0  -              ST              0
S2       School     2000  0  0              ST              1
S3       Station    3000  0  0              -               7

trips
route_id  service_id  trip_id  direction_id  shape_id  wheelchair_accessible
R1        daily       T1       0             line      2
""",
    )
    assert town.stops.wheelchair.tolist() == [1, 2, 1, 0]
    assert town.trips.wheelchair.tolist() == [2]


def test_the_feed_says_its_version_and_language(tmp_path: Path) -> None:
    town = network(
        tmp_path,
        """
feed_info
feed_publisher_name  feed_publisher_url  feed_lang  feed_version
Town                 https://example.kz  ru-KZ      spring
""",
    )
    assert (town.feed_version, town.language, town.agency_name) == ("spring", "ru", "Town")


def test_a_trip_that_is_wrong_leaves_the_others_alone(tmp_path: Path) -> None:
    made = compiled(
        tmp_path,
        """
trips
route_id  service_id  trip_id  direction_id  shape_id
R1        daily       T1       0             line
R1        daily       T2       0             line

stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       08:00:00      08:00:00        S0       1
T1       07:00:00      07:00:00        S3       2
T2       08:00:00      08:00:00        S0       1
T2       09:00:00      09:00:00        S3       2
""",
    )
    assert made.network is not None
    assert made.network.trips.ids == ("T2",)
    assert np.diff(made.network.trips.first).tolist() == [2]
