"""The sample city is a city: complete, in three languages, on its streets, and free of faults."""

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import gtfs_guru
import numpy as np
import pytest
import shapely

import gtfs_data
from gtfs_data.build import BuildReport, build_feed
from gtfs_data.compile import Compiled, compile_feed
from gtfs_data.network import Network
from gtfs_data.shapes import to_metres

FOLDER = Path(gtfs_data.__file__).parent / "kyzylorda"
BOX = (65.30, 44.65, 65.75, 45.00)  # longitude and latitude of the city and its villages
# The Syr Darya, drawn roughly, and its two bridges.
RIVER = [
    (65.3043, 44.9142),
    (65.3302, 44.9078),
    (65.3430, 44.9031),
    (65.3723, 44.8870),
    (65.4009, 44.8759),
    (65.4248, 44.8622),
    (65.4501, 44.8527),
    (65.4718, 44.8389),
    (65.4827, 44.8305),
    (65.5205, 44.7971),
    (65.5278, 44.7890),
    (65.5337, 44.7804),
    (65.5423, 44.7654),
    (65.5502, 44.7479),
    (65.5580, 44.7179),
    (65.5629, 44.7037),
    (65.5688, 44.6927),
    (65.5822, 44.6752),
]
KAZAKH = set("әғқңөұүһі")


@dataclass(frozen=True)
class Built:
    report: BuildReport
    feed: Path
    compiled: Compiled

    @property
    def network(self) -> Network:
        assert self.compiled.network is not None
        return self.compiled.network


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Built:
    feed = tmp_path_factory.mktemp("city") / "kyzylorda.zip"
    return Built(build_feed(FOLDER, feed), feed, compile_feed(feed))


def stops() -> list[dict[str, str]]:
    with (FOLDER / "stops.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lines_of(network: Network) -> list[np.ndarray]:
    patterns = network.patterns
    spans = zip(patterns.line_first.tolist(), patterns.line_last.tolist(), strict=True)
    return [patterns.line_xy[first:last] for first, last in spans]


def test_it_has_no_fault_by_any_rule(city: Built) -> None:
    assert not city.report.warnings.notices
    assert not city.compiled.report.notices
    assert [notice.code for notice in gtfs_guru.validate(str(city.feed), date="2026-03-02").errors()] == []


def test_it_is_the_size_that_the_demo_is_made_for(city: Built) -> None:
    report = city.report
    assert 25 <= report.routes <= 30
    assert 250 <= report.stops <= 360
    workday = next(day for day in report.days if day.day_type == "weekday")
    by_day = workday.vehicles[9:18]
    assert 160 <= min(by_day) <= 200 <= max(by_day) <= 240
    assert report.shortest_km < 8
    assert report.longest_km > 20


def test_it_runs_on_every_day_of_two_years(city: Built) -> None:
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(730)]
    assert days[-1] == dt.date(2027, 12, 31)
    assert all(city.network.services.on(day).sum() == 1 for day in days)


def test_every_stop_has_a_name_in_three_languages_and_each_place_its_own() -> None:
    rows = stops()
    for language in ("kk", "ru", "en"):
        places: dict[str, set[str]] = {}
        for row in rows:
            assert row[f"name_{language}"], row["stop_id"]
            places.setdefault(row[f"name_{language}"], set()).add(row["stop_id"][:3])  # 017a and 017b are one place
        assert [name for name, found in places.items() if len(found) > 1] == []
    assert not any(KAZAKH & set(row["name_ru"].lower()) - {"і"} for row in rows)
    assert {letter for row in rows for letter in row["name_kk"].lower()} >= KAZAKH - {"һ"}


def test_platforms_lie_to_the_right_of_their_line(city: Built) -> None:
    patterns, xy = city.network.patterns, city.network.stops.xy
    for pattern, line in enumerate(lines_of(city.network)):
        drawn = shapely.LineString(line)
        rows = slice(int(patterns.first[pattern]), int(patterns.first[pattern + 1]))
        for offset_m, stop in zip(patterns.offset_m[rows].tolist(), patterns.stop[rows].tolist(), strict=True):
            at_m = min(max(offset_m, 1.0), drawn.length - 1.0)
            before, after = (np.array(drawn.interpolate(at_m + step).coords[0]) for step in (-1.0, 1.0))
            (east, north), (dx, dy) = after - before, xy[stop] - (before + after) / 2
            assert 5 < np.hypot(dx, dy) < 20
            assert east * dy - north * dx < 0


def test_stops_of_a_line_are_a_walk_apart(city: Built) -> None:
    patterns = city.network.patterns
    spans = zip(patterns.first, patterns.first[1:], strict=False)
    apart_m = np.concatenate([np.diff(patterns.offset_m[first:last]) for first, last in spans])
    assert apart_m.min() > 150
    assert np.median(apart_m) < 800


def test_lines_cross_the_river_at_two_bridges_only(city: Built) -> None:
    lon, lat = np.array(RIVER).T
    river = shapely.LineString(to_metres(city.network.epsg, lat, lon))
    crossings = [shapely.intersection(river, shapely.LineString(line)) for line in lines_of(city.network)]
    points = [point for crossing in crossings if not crossing.is_empty for point in shapely.get_parts(crossing)]
    bridges = shapely.union_all([point.buffer(100) for point in points])
    assert len(shapely.get_parts(bridges)) == 2


def test_it_lies_where_the_city_lies(city: Built) -> None:
    lon, lat = city.network.stops.lon, city.network.stops.lat
    assert BOX[0] < lon.min() < lon.max() < BOX[2]
    assert BOX[1] < lat.min() < lat.max() < BOX[3]


def test_a_ring_a_lollipop_and_timetabled_routes_are_among_its_lines(city: Built) -> None:
    patterns, trips = city.network.patterns, city.network.trips
    ends = [(patterns.stop[f], patterns.stop[n - 1]) for f, n in zip(patterns.first, patterns.first[1:], strict=False)]
    assert sum(first == last for first, last in ends) == 2
    timetabled = {city.network.routes.short_names[r] for r in patterns.route[trips.pattern[trips.scheduled]]}
    assert timetabled == {"101", "102"}


def test_its_readme_says_that_it_is_made_up() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "made up for demonstrations" in text
    assert "not the operator's" in text
