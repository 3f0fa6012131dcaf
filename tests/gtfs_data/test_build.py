"""The village of docs/city_without_gtfs.md becomes a feed."""

import csv
import datetime as dt
import io
import os
import zipfile
from pathlib import Path

import gtfs_guru
import numpy as np
import pytest

from gtfs_data.build import BuildError, FolderUnreadableError, build_feed
from gtfs_data.calendar import service_day
from gtfs_data.compile import compile_feed
from gtfs_data.network import Network
from tests.notation.village import village_files, write_village


@pytest.fixture
def village(tmp_path: Path) -> Path:
    return write_village(tmp_path / "village")


@pytest.fixture
def feed(village: Path, tmp_path: Path) -> Path:
    build_feed(village, tmp_path / "feed.zip")
    return tmp_path / "feed.zip"


@pytest.fixture
def network(feed: Path) -> Network:
    compiled = compile_feed(feed)
    assert compiled.network is not None
    return compiled.network


def table(feed: Path, name: str) -> list[dict[str, str]]:
    with zipfile.ZipFile(feed) as pack:
        return list(csv.DictReader(io.StringIO(pack.read(name).decode())))


def test_our_check_and_the_canonical_rules_find_no_fault(feed: Path) -> None:
    report = compile_feed(feed).report
    assert not report.notices
    assert [notice.code for notice in gtfs_guru.validate(str(feed), date="2026-03-02").errors()] == []


def test_the_same_folder_gives_the_same_bytes(village: Path, tmp_path: Path) -> None:
    build_feed(village, tmp_path / "first.zip", today=dt.date(2026, 1, 1))
    for path in village.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    build_feed(village, tmp_path / "second.zip", today=dt.date(2026, 12, 24))
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_the_version_tells_one_folder_from_another(village: Path, tmp_path: Path) -> None:
    other = write_village(tmp_path / "other", change={"stops.csv": ("Hospital", "Clinic")})
    versions = {build_feed(folder, tmp_path / "feed.zip").feed_version for folder in (village, other)}
    assert len(versions) == 2


def test_the_archive_holds_nothing_of_the_moment(feed: Path) -> None:
    with zipfile.ZipFile(feed) as pack:
        infos = pack.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}


def test_names_are_in_the_first_language_and_translated_into_the_others(network: Network) -> None:
    stop = network.stops.ids.index("5")
    assert network.stops.names[stop] == "Аурухана"
    said = {language: names[stop] for language, names in network.stops.names_by_language.items()}
    assert said == {"ru": "Больница", "en": "Hospital"}
    assert network.routes.long_names_by_language["ru"][0] == "Базар – Станция"


def test_wheelchairs_are_said_of_stops_and_of_all_trips_of_a_route(tmp_path: Path) -> None:
    files = village_files()
    cells = ("wheelchair", "yes", "no", "", "x", "0", "", "", "")
    rows = files["stops.csv"].splitlines()
    stops = "".join(f"{row},{cell}\n" for row, cell in zip(rows, cells, strict=True))
    routes = files["routes.csv"].replace("color", "color,wheelchair").replace("1B6CA8", "1B6CA8,yes")
    folder = write_village(tmp_path / "village", files={"stops.csv": stops, "routes.csv": routes})
    build_feed(folder, tmp_path / "feed.zip")
    assert [stop["wheelchair_boarding"] for stop in table(tmp_path / "feed.zip", "stops.txt")] == list("12012000")
    assert {trip["wheelchair_accessible"] for trip in table(tmp_path / "feed.zip", "trips.txt")} == {"0", "1"}


def test_a_bus_says_its_last_stop_and_a_ring_says_its_route(feed: Path, network: Network) -> None:
    headsigns = {trip["shape_id"]: trip["trip_headsign"] for trip in table(feed, "trips.txt")}
    assert headsigns == {"1-0": "Стансы", "1-1": "Базар", "2-0": "Аурухана айналмасы"}
    assert set(network.patterns.headsigns_by_language["en"]) == {"Station", "Market", "Hospital Ring"}


def test_the_compiler_places_stops_where_the_builder_did(feed: Path, network: Network) -> None:
    built = {
        (row["trip_id"], int(row["stop_sequence"])): float(row["shape_dist_traveled"])
        for row in table(feed, "stop_times.txt")
    }
    trips = {trip["trip_id"]: trip for trip in table(feed, "trips.txt")}
    patterns = network.patterns
    for pattern in range(len(patterns.route)):
        trip_id = next(t for t, trip in trips.items() if trip["shape_id"] == patterns.shape_ids[pattern])
        rows = slice(patterns.first[pattern], patterns.first[pattern + 1])
        compiled = patterns.offset_m[rows]
        expected = [built[trip_id, sequence] for sequence in patterns.stop_sequence[rows].tolist()]
        np.testing.assert_allclose(compiled, expected, atol=0.1)


def test_a_ring_comes_back_to_the_stop_where_it_began(feed: Path) -> None:
    ring = [row for row in table(feed, "stop_times.txt") if row["trip_id"] == "2-0-workday-0710"]
    assert [row["stop_id"] for row in ring] == ["1a", "2a", "5", "1a"]
    first, *_, last = (float(row["shape_dist_traveled"]) for row in ring)
    assert first < 100
    assert last > 5_000


def test_given_minutes_are_kept_and_the_day_goes_on_after_midnight(feed: Path) -> None:
    late = [row["arrival_time"] for row in table(feed, "stop_times.txt") if row["trip_id"] == "2-0-workday-2415"]
    assert late == ["24:15:00", "24:18:00", "24:22:00", "24:30:00"]


def test_a_headway_stays_a_headway_and_departures_stay_departures(network: Network) -> None:
    monday = service_day(network, dt.date(2026, 3, 2))
    assert len(monday.headways) == 6
    assert len(monday.trip) == 5
    assert not network.frequencies.exact.any()


def test_a_holiday_runs_as_the_day_it_is_listed_under(network: Network) -> None:
    usual_saturday, nauryz = (service_day(network, dt.date(2026, 3, day)) for day in (14, 21))
    assert len(usual_saturday.trip) == 5
    assert len(nauryz.trip) == 0
    assert {window.headway_s for window in nauryz.headways} == {1_800}


def test_the_fare_is_written_in_whole_currency(feed: Path) -> None:
    assert [(fare["price"], fare["currency_type"]) for fare in table(feed, "fare_attributes.txt")] == [("80.00", "KZT")]


def test_validity_may_count_from_the_day_of_the_build(tmp_path: Path) -> None:
    dates = "first_day = 2026-01-01\nlast_day = 2026-12-31"
    folder = write_village(tmp_path / "village", change={"city.toml": (dates, "days = 10")})
    report = build_feed(folder, tmp_path / "feed.zip", today=dt.date(2026, 4, 25))
    assert (report.first_day, report.last_day) == (dt.date(2026, 4, 25), dt.date(2026, 5, 4))


def test_the_report_counts_what_runs(village: Path, tmp_path: Path) -> None:
    report = build_feed(village, tmp_path / "feed.zip")
    assert (report.routes, report.lines, report.stops, report.stop_names) == (2, 3, 8, 5)
    workday, sunday = report.days
    assert workday.departures == (10 + 36) + (10 + 36) + 5
    assert max(sunday.vehicles) == 1


def test_a_stop_that_no_line_serves_is_left_out_with_a_warning(tmp_path: Path) -> None:
    stop = "5,51,Аурухана"
    folder = write_village(tmp_path / "v", change={"stops.csv": (stop, f"6,,Ескі,,,44.9,65.2\n{stop}")})
    report = build_feed(folder, tmp_path / "feed.zip")
    assert [str(notice) for notice in report.warnings.notices] == [
        "stops.csv line 9 stop_id '6': no line in line_stops.csv stops here: left out"
    ]
    assert "6" not in {stop["stop_id"] for stop in table(tmp_path / "feed.zip", "stops.txt")}
    assert not compile_feed(tmp_path / "feed.zip").report.notices


def test_a_fault_leaves_the_earlier_feed_as_it_was(feed: Path, tmp_path: Path) -> None:
    before = feed.read_bytes()
    wrong = write_village(tmp_path / "wrong", change={"service.csv": ("06:30,09:00,15", "06:30,09:00,often")})
    with pytest.raises(BuildError, match="often"):
        build_feed(wrong, feed)
    assert feed.read_bytes() == before


def test_a_feed_that_cannot_be_written_leaves_nothing_behind(village: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "feed.zip"
    output.mkdir(parents=True)  # a folder stands where the feed should be
    with pytest.raises(OSError, match=r"feed\.zip"):
        build_feed(village, output)
    assert [path.name for path in output.parent.iterdir()] == ["feed.zip"]


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FolderUnreadableError, match="no such folder"):
        build_feed(tmp_path / "nowhere", tmp_path / "feed.zip")
