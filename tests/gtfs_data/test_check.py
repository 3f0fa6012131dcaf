"""What a check says of broken feeds: where, what, and which rule; and that nothing worse than that happens."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gtfs_data.check import FeedError, FeedUnreadableError, check_feed
from gtfs_data.compile import compile_feed, load_network
from gtfs_data.notices import CheckReport, Code
from tests.notation.feed import SMALL, compiled, files, said, tables, write_folder, write_zip

TIMES = """
stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       08:00:00      08:00:00        S0       1
T1       08:05:00      08:05:00        S1       2
T1       08:10:00      08:10:00        S2       3
T1       08:15:00      08:15:00        S3       4
"""


def notices_of(report: CheckReport, code: str) -> list[tuple[str, int | None, str, str]]:
    return [said(notice)[1:] for notice in report.notices if notice.code.value == code]


def test_a_sound_feed_has_no_notice(tmp_path: Path) -> None:
    assert compiled(tmp_path).report.notices == ()


@pytest.mark.parametrize(
    ("old", "new", "code", "found"),
    [
        ("T1       08:05:00", "T1       25:61:00", "invalid_time", ("stop_times.txt", 3, "arrival_time", "25:61:00")),
        ("T1       08:05:00", "T1       eight", "invalid_time", ("stop_times.txt", 3, "arrival_time", "eight")),
        ("S1       2", "S9       2", "foreign_key_violation", ("stop_times.txt", 3, "stop_id", "S9")),
        ("T1       08:05:00", "T9       08:05:00", "foreign_key_violation", ("stop_times.txt", 3, "trip_id", "T9")),
        ("S1       2", "S1       two", "invalid_number", ("stop_times.txt", 3, "stop_sequence", "two")),
        ("S2       3", "S2       2", "duplicate_key", ("stop_times.txt", 4, "stop_sequence", "2")),
        (
            "T1       08:10:00",
            "T1       07:10:00",
            "decreasing_time",
            ("stop_times.txt", 4, "arrival_time", "07:10:00"),
        ),
        (
            "T1       08:15:00      08:15:00",
            "T1       -             -",
            "missing_trip_edge_time",
            ("stop_times.txt", 5, "arrival_time", ""),
        ),
    ],
)
def test_a_wrong_stop_time_is_named_and_its_trip_left_out(
    tmp_path: Path, old: str, new: str, code: str, found: tuple[str, int, str, str]
) -> None:
    assert TIMES.count(old) == 1
    made = compiled(tmp_path, TIMES.replace(old, new))
    assert notices_of(made.report, code) == [found]
    if code != "foreign_key_violation" or "T9" not in new:
        assert made.network is None
        assert [notice.code for notice in made.report.notices if notice.code is Code.NO_USABLE_TRIPS]


@pytest.mark.parametrize(
    ("old", "new", "code", "found"),
    [
        ("20260301", "20260230", "invalid_date", ("calendar.txt", 2, "start_date", "20260230")),
        ("20260301", "2026-3-1", "invalid_date", ("calendar.txt", 2, "start_date", "2026-3-1")),
        ("20260301", "-", "invalid_date", ("calendar.txt", 2, "start_date", "")),
        (
            "Asia/Qyzylorda",
            "Asia/Atlantis",
            "invalid_time_zone",
            ("agency.txt", None, "agency_timezone", "Asia/Atlantis"),
        ),
        ("Asia/Qyzylorda", "-", "invalid_time_zone", ("agency.txt", None, "agency_timezone", "")),
        ("Asia/Qyzylorda", "../../etc", "invalid_time_zone", ("agency.txt", None, "agency_timezone", "../../etc")),
        ("T1       0             line", "T1  0  curve", "foreign_key_violation", ("trips.txt", 2, "shape_id", "curve")),
        ("R1        daily       T1", "R7  daily  T1", "foreign_key_violation", ("trips.txt", 2, "route_id", "R7")),
        ("R1        daily       T1", "R1  never  T1", "foreign_key_violation", ("trips.txt", 2, "service_id", "never")),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, old: str, new: str, code: str, found: tuple[str, int | None, str, str]
) -> None:
    assert SMALL.count(old) == 1
    made = compiled(tmp_path, SMALL.replace(old, new))
    assert found in notices_of(made.report, code)


@pytest.mark.parametrize(
    ("lat", "code", "value"),
    [("91.5", "out_of_range", "91.5"), ("north", "invalid_number", "north"), ("", "missing_required_value", "")],
)
def test_a_stop_without_a_place_on_earth_is_named(tmp_path: Path, lat: str, code: str, value: str) -> None:
    contents = files()
    head, first, second, *rest = contents["stops.txt"].splitlines()
    stop_id, name, lon, _ = second.split(",")
    contents["stops.txt"] = "\n".join([head, first, ",".join([stop_id, name, lon, lat]), *rest]) + "\n"
    made = compile_feed(write_zip(tmp_path / "feed.zip", contents))
    assert notices_of(made.report, code) == [("stops.txt", 3, "stop_lat", value)]


def test_a_speed_no_bus_drives_is_said(tmp_path: Path) -> None:
    made = compiled(tmp_path, TIMES.replace("08:15:00", "08:10:00").replace("08:10:00", "08:05:05"))
    assert made.report.notices == ()  # 1 km in 5 s: times may be rounded to the minute
    far = """
stops
stop_id  stop_name  x      y
S0       Depot      0      0
S1       Bazaar     1000   0
S2       School     2000   0
S3       Station    30000  0

shapes
shape_id  shape_pt_sequence  x      y
line      1                  0      0
line      2                  30000  0
"""
    made = compiled(tmp_path, far)
    assert notices_of(made.report, "fast_travel") == [("stop_times.txt", None, "trip_id", "T1")]
    assert made.network is not None


def test_a_trip_named_twice_is_said_and_the_first_stands(tmp_path: Path) -> None:
    made = compiled(
        tmp_path,
        """
trips
route_id  service_id  trip_id
R1        daily       T1
R1        daily       T1
""",
    )
    assert notices_of(made.report, "duplicate_key") == [("trips.txt", 3, "trip_id", "T1")]
    assert made.network is not None
    assert made.network.trips.ids == ("T1",)


def test_of_stops_and_routes_with_one_id_the_first_stands_and_those_without_are_none(tmp_path: Path) -> None:
    made = compiled(
        tmp_path,
        """
stops
stop_id  stop_name  x     y
S0       Depot      0     0
S0       Other      9000  9000
-        Nameless   100   0
S1       Bazaar     1000  0
S2       School     2000  0
S3       Station    3000  0

routes
route_id  route_short_name  route_type
R1        1                 3
R1        2                 3
-         3                 3
""",
    )
    assert notices_of(made.report, "duplicate_key") == [
        ("stops.txt", 3, "stop_id", "S0"),
        ("routes.txt", 3, "route_id", "R1"),
    ]
    assert notices_of(made.report, "missing_required_value") == [
        ("stops.txt", 4, "stop_id", ""),
        ("routes.txt", 4, "route_id", ""),
    ]
    assert made.network is not None
    assert made.network.stops.names == ("Depot", "Bazaar", "School", "Station")
    assert made.network.routes.short_names == ("1",)


@pytest.mark.parametrize("name", ["agency", "stops", "routes", "trips", "stop_times", "calendar"])
def test_a_missing_file_refuses_the_feed(tmp_path: Path, name: str) -> None:
    made = compiled(tmp_path, without=(name,))
    assert made.network is None
    assert (f"{name}.txt", None, "", "") in notices_of(made.report, "missing_required_file")


@pytest.mark.parametrize("name", ["agency", "stops", "routes", "trips", "stop_times", "calendar"])
def test_an_empty_file_is_as_good_as_none(tmp_path: Path, name: str) -> None:
    made = compile_feed(write_zip(tmp_path / "feed.zip", {**files(), f"{name}.txt": ""}))
    assert made.network is None
    assert (f"{name}.txt", None, "", "") in notices_of(made.report, "missing_required_file")


@pytest.mark.parametrize("column", ["trip_id", "stop_id", "stop_sequence", "arrival_time"])
def test_a_missing_column_refuses_the_feed(tmp_path: Path, column: str) -> None:
    made = compiled(tmp_path, TIMES.replace(column, "x" * len(column)))
    assert made.network is None
    assert notices_of(made.report, "missing_required_column") == [("stop_times.txt", None, column, "")]
    with pytest.raises(FeedError, match=f"stop_times.txt {column}: the column is required"):
        load_network(tmp_path / "feed.zip", cache=None)


def test_a_fault_that_repeats_is_counted_and_shown_twenty_times(tmp_path: Path) -> None:
    rows = "\n".join(f"T{k}  08:00:00  08:00:00  S0  {k}" for k in range(100))
    made = compiled(tmp_path, f"stop_times\ntrip_id arrival_time departure_time stop_id stop_sequence\n{rows}")
    assert made.report.counts[Code.FOREIGN_KEY_VIOLATION] == 99
    assert len(notices_of(made.report, "foreign_key_violation")) == 20


def test_what_is_no_feed_is_said_in_one_sentence(tmp_path: Path) -> None:
    sound = write_zip(tmp_path / "sound.zip", files()).read_bytes()
    for name, content in {
        "text.zip": b"this is no zip",
        "empty.zip": b"",
        "cut.zip": sound[: len(sound) // 2],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FeedUnreadableError, match=f"{name}: neither a folder nor a zip"):
            check_feed(tmp_path / name)
    with pytest.raises(FeedUnreadableError, match="no such file"):
        check_feed(tmp_path / "nowhere.zip")
    with pytest.raises(FeedUnreadableError, match="holds no GTFS table"):
        check_feed(write_zip(tmp_path / "photos.zip", {"cat.jpg": b"\xff\xd8"}))
    with pytest.raises(FeedUnreadableError, match="holds no GTFS table"):
        check_feed(write_folder(tmp_path / "folder", {}))


def test_a_damaged_table_inside_a_sound_zip_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "feed.zip", files())
    data = bytearray(path.read_bytes())
    at = data.find(b"stop_times.txt") + len(b"stop_times.txt") + 10
    data[at] ^= 0xFF
    path.write_bytes(data)
    made = compile_feed(path)
    assert made.network is None
    assert [found[0] for found in notices_of(made.report, "file_unreadable")] == ["stop_times.txt"]


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    contents: dict[str, str | bytes] = {**files()}
    contents["stops.txt"] = files()["stops.txt"].replace("Bazaar", "Базар").encode("cp1251")
    made = compile_feed(write_zip(tmp_path / "feed.zip", contents))
    assert made.network is None
    assert [found[0] for found in notices_of(made.report, "file_unreadable")] == ["stops.txt"]


@pytest.mark.parametrize("form", ["bom", "crlf", "nested", "folder", "nested folder", "others", "quoted", "blanks"])
def test_a_feed_reads_the_same_in_every_form_that_is_about(tmp_path: Path, form: str) -> None:
    contents: dict[str, str | bytes] = {**files()}
    prefix = ""
    if form == "bom":
        contents = {name: "\ufeff" + str(text) for name, text in contents.items()}
    elif form == "crlf":
        contents = {name: str(text).replace("\n", "\r\n") for name, text in contents.items()}
    elif form == "nested":
        prefix = "town/"
    elif form == "others":
        contents |= {"notes.txt": "\xff not a table", "fares_v9.txt": "a,b\n1,2\n", "readme.md": "hello"}
    elif form == "quoted":
        contents = {
            name: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in str(text).splitlines())
            for name, text in contents.items()
        }
    elif form == "blanks":
        contents = {name: str(text).replace(",", " , ") for name, text in contents.items()}
    if "folder" in form:
        path = tmp_path / "feed"
        write_folder(path / "town" if "nested" in form else path, contents)
    else:
        path = write_zip(tmp_path / "feed.zip", contents, folder=prefix)
    made = compile_feed(path)
    assert made.report.notices == ()
    assert made.network is not None
    assert made.network.stops.names == ("Depot", "Bazaar", "School", "Station")
    assert made.network.trips.arrival_s.tolist() == [28_800, 29_100, 29_400, 29_700]


CELLS = [
    (name, row, column)
    for name, rows in tables(SMALL).items()
    for row in range(len(rows))
    for column in range(len(rows[0]))
]
NASTY = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "-1",
            "1e9",
            "1e400",
            "NaN",
            "inf",
            "99999999999999999999",
            "0",
            "99:99:99",
            "00000000",
            "99991231",
            "20260301 ",
            "TRUE",
            "S0",
            "T1",
            "\u0661",
            "2147483648",
            "0x10",
            "1_000",
            "'",
            "\t",
            "24:00:00",
            "999:59:59",
            "00010101",
        ]
    ),
    st.text(st.characters(exclude_characters=',"\r\n\x00', exclude_categories=["Cs"]), max_size=8),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(CELLS), NASTY), min_size=1, max_size=4))
def test_whatever_stands_in_a_cell_is_judged_and_never_a_crash(
    tmp_path: Path, changes: list[tuple[tuple[str, int, int], str]]
) -> None:
    contents = files()
    for (name, row, column), text in changes:
        lines = [line.split(",") for line in contents[f"{name}.txt"].split("\n")]
        lines[row][column] = text
        contents[f"{name}.txt"] = "\n".join(",".join(line) for line in lines)
    made = compile_feed(write_folder(tmp_path / "feed", contents))
    if made.network is None:
        assert made.report.unusable
    else:
        assert len(made.network.trips.ids) == 1
