"""What is wrong in a folder is told with file, line, column and value, all of it at once."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gtfs_data.build import BuildError, build_feed
from gtfs_data.notices import CheckReport
from tests.gtfs_data.test_build import table
from tests.notation.village import village_files, write_village

TABLES = ("stops.csv", "routes.csv", "line_stops.csv", "service.csv")
LINE = "lines/1-0.geojson"


def faults(folder: Path) -> list[str]:
    return [str(notice) for notice in report_of(folder).notices]


def report_of(folder: Path) -> CheckReport:
    with pytest.raises(BuildError) as caught:
        build_feed(folder, folder / "feed.zip")
    assert not (folder / "feed.zip").exists()
    assert not list(folder.glob(".*"))
    return caught.value.report


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("stops.csv", "1a,11", "1 a,11", "stops.csv line 2 stop_id '1 a': must be up to 40 Latin letters"),
        ("stops.csv", "1b,12", "1a,12", "stops.csv line 3 stop_id '1a': each stop_id may stand once"),
        ("stops.csv", "12,Базар", "12,", "stops.csv line 3 name_kk: must not be empty"),
        ("stops.csv", "44.91000", "north", "stops.csv line 9 lat 'north': must be a number"),
        ("stops.csv", "44.91000", "144.91", "stops.csv line 9 lat '144.91': must be from -80 to 84"),
        ("stops.csv", "44.91000", "", "stops.csv line 9 lat: must not be empty"),
        ("stops.csv", "name_ru", "name_uz", "stops.csv line 1 'name_uz': no such column; there may be"),
        ("stops.csv", "lat,", "latitude,", "stops.csv line 1 lat: the column is required"),
        ("stops.csv", "Hospital", "Hospital, new", "stops.csv line 9: has 8 cells, the header 7"),
        ("stops.csv", "65.21313", "65.21430", "stop_id '5 Аурухана': lies 103 m off the line in lines/2-0.geojson"),
        ("routes.csv", "1B6CA8", "blue", "routes.csv line 2 color 'blue': must be six hexadecimal digits"),
        ("routes.csv", "color", "wheelchair", "routes.csv line 2 wheelchair '1B6CA8': must be yes, no or empty"),
        ("routes.csv", "2,2,", "3,3,", "routes.csv line 3 route_id '3': the route has no stops in line_stops.csv"),
        ("line_stops.csv", "2,0,3,5,", "2,0,3,9,", "line_stops.csv line 12 stop_id '9': no such stop_id in stops.csv"),
        ("line_stops.csv", "2,0,3,5,4,yes", "2,0,3,5,4,maybe", "timepoint 'maybe': must be yes, no or empty"),
        ("line_stops.csv", "2,0,3,5,", "2,2,3,5,", "direction '2': must be 0 (there) or 1 (back)"),
        ("line_stops.csv", "2,0,3,5,", "2,0,2,5,", "sequence '2': a sequence may stand once"),
        ("line_stops.csv", "2,0,3,5,4", "2,0,3,5,0.5", "minutes '0.5': would be 143 km/h from the stop before"),
        ("line_stops.csv", "1,0,2,2a", "1,0,2,1a", "line_stops.csv line 3 stop_id '1a': a stop cannot follow itself"),
        ("line_stops.csv", "1,0,2,2a", "1,0,2.5,2a", "sequence '2.5': must be a whole number"),
        ("line_stops.csv", "1,0,2,2a", "1,0,9,2a", "must lie on the line in lines/1-0.geojson between"),
        ("service.csv", "06:40,09:00,15", "6.40,09:00,15", "from '6.40': must be HH:MM"),
        ("service.csv", "06:40,09:00,15", "06:40,06:00,15", "to '06:00': must be later than from"),
        ("service.csv", "06:40,09:00,15", "06:40,09:05,15", "hours of one direction and day type must not overlap"),
        ("service.csv", "06:40,09:00,15", "06:40,09:00,", "headway_min: must have from, to and headway_min"),
        ("service.csv", "06:40,09:00,15", "06:40,09:00,0", "headway_min '0': must be from 0.5 to 1440"),
        ("service.csv", "07:10 08:10", "08:10 07:10", "must be in order, each once"),
        ("service.csv", "07:10 08:10", "07:10 8h", "departures '8h': must be times as HH:MM"),
        ("service.csv", "2,0,workday,,", "2,0,workday,07:00,", "from '07:00': must be empty where departures"),
        ("service.csv", "2,0,workday", "2,0,holiday", "day_type 'holiday': no such day type in city.toml"),
        ("service.csv", "2,0,workday", "2,1,workday", "direction '1': no such direction in line_stops.csv"),
        (LINE, "[65.2005, 44.9], [65.2380, 44.9]", "[65.2380, 44.9], [65.2005, 44.9]", "drawn against its direction"),
        (LINE, "[65.2005, 44.9], [65.2380, 44.9]", "[65.2005, 44.9], [65.2005, 44.9]", "two different points"),
        (LINE, "[65.2005, 44.9]", "[65.2005, 144.9]", "a point is [longitude, latitude] in degrees"),
        (LINE, "LineString", "Point", "lines/1-0.geojson"),
        (LINE, "]]}", "]]", "lines/1-0.geojson: must be GeoJSON"),
        (
            "city.toml",
            '["kk", "ru", "en"]',
            '["kk", "kk"]',
            "city.toml languages 'kk kk': must be one or more different",
        ),
        ("city.toml", "Asia/Qyzylorda", "Asia/Nowhere", "agency.time_zone 'Asia/Nowhere': must be the name of a zone"),
        ("city.toml", "https://", "", "city.toml agency.url 'example.org': must begin with https://"),
        ("city.toml", "first_day = 2026-01-01", "", "validity.first_day: must have first_day"),
        ("city.toml", "last_day = 2026-12-31", "", "validity: must have either last_day or days"),
        ("city.toml", "last_day = 2026-12-31", "last_day = 2025-12-31", "validity.last_day '2025-12-31'"),
        ("city.toml", "2026-03-21, ", "2026-03-22, ", "day_types.sunday.dates '2026-03-22': a date is of one type"),
        ("city.toml", '"saturday"]', '"caturday"]', "day_types[...].weekdays[5]: Invalid enum value 'caturday'"),
        ("city.toml", "flat_tiyn = 8000", "flat_tiyn = -1", "fare.flat_tiyn '-1': must not be below 0"),
        ("city.toml", "kmh = 24", "kmh = 240", "running.speeds[1].kmh '240.0': must be from 3 to 100"),
        ("city.toml", '"07:30"', '"09:30"', "running.speeds[2].from '09:00': must be HH:MM before 24:00, each later"),
        ("city.toml", "dwell_s = 20", "dwell = 20", "running: Object contains unknown field `dwell`"),
        ("city.toml", "[fare]", "[fares]", "city.toml fares: no such section"),
        ("city.toml", "[agency]", "[agency", "city.toml: must be TOML"),
    ],
)
def test_a_fault_is_told_where_it_is(tmp_path: Path, file: str, old: str, new: str, told: str) -> None:
    found = faults(write_village(tmp_path, change={file: (old, new)}))
    assert any(told in fault for fault in found), found


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    folder = write_village(
        tmp_path,
        change={
            "city.toml": ("https://", ""),
            "stops.csv": ("44.91000", "north"),
            "line_stops.csv": ("1,1,2,3b", "1,1,2,9"),
            "service.csv": ("2,0,workday", "2,0,holiday"),
        },
        files={"lines/1-0.geojson": None, "lines/7-0.geojson": "{}"},
    )
    assert {fault.split(" ")[0].rstrip(":") for fault in faults(folder)} == {
        *("city.toml", "stops.csv", "line_stops.csv", "service.csv", "lines/1-0.geojson", "lines/7-0.geojson")
    }


def test_one_fault_is_not_told_again_as_another(tmp_path: Path) -> None:
    folder = write_village(tmp_path, change={"stops.csv": ("3a,31,Мектеп", "3a,31,")})
    assert faults(folder) == ["stops.csv line 6 name_kk: must not be empty"]


@pytest.mark.parametrize("missing", ["city.toml", *TABLES])
def test_a_missing_file_is_told(tmp_path: Path, missing: str) -> None:
    assert f"{missing}: the file is required" in faults(write_village(tmp_path, files={missing: None}))


@pytest.mark.parametrize("between", [";", "\t"])
def test_tables_are_read_as_a_spreadsheet_in_local_settings_saves_them(tmp_path: Path, between: str) -> None:
    """Excel in Kazakh or Russian settings: byte order mark, ``;`` or tabs, decimal comma, CRLF, empty rows below."""
    saved: dict[str, str | bytes | None] = {}
    for name in TABLES:
        rows = [line.split(",") for line in village_files()[name].splitlines()]
        if name == "stops.csv":
            rows = [[*row[:-2], *(cell.replace(".", ",") for cell in row[-2:])] for row in rows]
        text = "\r\n".join(between.join(row) for row in [*rows, [""] * len(rows[0]), [""]])
        saved[name] = ("\ufeff" + text).encode()
    build_feed(write_village(tmp_path / "plain"), tmp_path / "plain.zip")
    build_feed(write_village(tmp_path / "saved", files=saved), tmp_path / "saved.zip")
    for name in ("stops.txt", "routes.txt", "trips.txt", "stop_times.txt", "frequencies.txt", "translations.txt"):
        assert table(tmp_path / "saved.zip", name) == table(tmp_path / "plain.zip", name)


@pytest.mark.parametrize("encoding", ["cp1251", "utf-16"])
def test_other_encodings_are_refused_with_what_to_do(tmp_path: Path, encoding: str) -> None:
    routes = village_files()["routes.csv"].replace("Аурухана айналмасы", "Больница")
    found = faults(write_village(tmp_path, files={"routes.csv": routes.encode(encoding)}))
    assert any(fault.startswith("routes.csv line") and "save as “CSV UTF-8”" in fault for fault in found)


@pytest.mark.parametrize(
    "drawn",
    [
        "%s",
        '{"type": "FeatureCollection", "features": [%s, {"type": "Feature", "geometry": {"type": "Point"}}]}',
    ],
)
@pytest.mark.parametrize("kind", ["LineString", "MultiLineString"])
def test_lines_are_read_as_map_editors_save_them(tmp_path: Path, drawn: str, kind: str) -> None:
    """Also with heights, with other marks beside the line, and as the one part of a MultiLineString (QGIS)."""
    points = "[[65.2005, 44.9, 130.0], [65.2380, 44.9, 131.5]]"
    coordinates = f"[{points}]" if kind == "MultiLineString" else points
    feature = '{"type": "Feature", "properties": null, "geometry": {"type": "%s", "coordinates": %s}}'
    folder = write_village(tmp_path, files={LINE: drawn % (feature % (kind, coordinates))})
    assert build_feed(folder, tmp_path / "feed.zip").lines == 3


def test_two_lines_in_one_file_are_refused(tmp_path: Path) -> None:
    line = "[[65.2005, 44.9], [65.2380, 44.9]]"
    drawn = f'{{"type": "MultiLineString", "coordinates": [{line}, {line}]}}'
    assert f"{LINE} LineString '2': must hold exactly one line" in faults(write_village(tmp_path, files={LINE: drawn}))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_a_file_holds_the_answer_is_a_feed_or_a_list_of_faults(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("village")
    files = village_files()
    name = data.draw(st.sampled_from(sorted(files)))
    content = files[name].encode()
    cut = data.draw(st.integers(0, len(content)))
    more = data.draw(st.integers(0, 12))
    middle = data.draw(st.binary(max_size=8) | st.sampled_from([b"\0", b'"', b"\n", b",", b"9" * 400, b"nan", b"-"]))
    write_village(folder, files={name: content[:cut] + middle + content[cut + more :]})
    try:
        build_feed(folder, folder / "feed.zip")
        told = None
    except BuildError as error:
        told = error.report
    assert (folder / "feed.zip").exists() == (told is None)
    assert told is None or told.errors
