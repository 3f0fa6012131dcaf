"""The rules of GTFS for single values, keys and references; each fault is a notice with file, row, field, value, rule.

Only what Ayaldama reads is checked, and rows are judged in columns so that millions take seconds. What a fault means
for the network is decided here too: a code of the first group in ``notices.Code`` refuses the feed, any other leaves
out the rows concerned (``compile``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gtfs_data import fields
from gtfs_data.notices import KEPT_PER_CODE, Code, Notice, Notices, Severity
from gtfs_data.read import Tables

Bools = npt.NDArray[np.bool_]

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "agency": ("agency_timezone",),
    "stops": ("stop_id", "stop_lat", "stop_lon"),
    "routes": ("route_id", "route_type"),
    "trips": ("route_id", "service_id", "trip_id"),
    "stop_times": ("trip_id", "stop_id", "stop_sequence", "arrival_time", "departure_time"),
    "calendar": ("service_id", "start_date", "end_date"),
    "calendar_dates": ("service_id", "date", "exception_type"),
    "shapes": ("shape_id", "shape_pt_lat", "shape_pt_lon", "shape_pt_sequence"),
    "frequencies": ("trip_id", "start_time", "end_time", "headway_secs"),
}
REQUIRED_FILES: Final = ("agency", "stops", "routes", "trips", "stop_times")
RECOMMENDED: Final[Mapping[str, tuple[str, ...]]] = {
    "agency": ("agency_name", "agency_url"),
    "stops": ("stop_name",),
    "calendar_dates": (),
}
KEYS: Final[Mapping[str, str]] = {
    "stops": "stop_id",
    "routes": "route_id",
    "trips": "trip_id",
    "calendar": "service_id",
}
REFERENCES: Final = (
    ("trips", "route_id", "routes", "route_id"),
    ("stop_times", "trip_id", "trips", "trip_id"),
    ("stop_times", "stop_id", "stops", "stop_id"),
    ("frequencies", "trip_id", "trips", "trip_id"),
)


@dataclass(frozen=True, slots=True)
class _Rule:
    file: str
    field: str
    code: Code
    rule: str
    severity: Severity = Severity.ERROR


def check_tables(tables: Tables, notices: Notices) -> None:
    """Add to ``notices`` what is wrong with single values, keys and references."""
    notices.add(tables.notices)
    for name in REQUIRED_FILES:
        if name not in tables.by_name:
            rule = "the file is required and must have rows"
            notices.add([_notice(Severity.ERROR, Code.MISSING_REQUIRED_FILE, f"{name}.txt", rule)])
    if "calendar" not in tables.by_name and "calendar_dates" not in tables.by_name:
        rule = "calendar.txt or calendar_dates.txt is required and must have rows"
        notices.add([_notice(Severity.ERROR, Code.MISSING_REQUIRED_FILE, "calendar.txt", rule)])
    for name, columns in REQUIRED.items():
        table = tables.by_name.get(name)
        if table is None:
            continue
        for column in columns:
            if column not in table.columns:
                rule = "the column is required"
                notices.add([_notice(Severity.ERROR, Code.MISSING_REQUIRED_COLUMN, f"{name}.txt", rule, field=column)])
        for column in RECOMMENDED.get(name, ()):
            if column not in table.columns:
                rule = "the column is required by GTFS; Ayaldama does without"
                code = Code.MISSING_RECOMMENDED_COLUMN
                notices.add([_notice(Severity.WARNING, code, f"{name}.txt", rule, field=column)])
    _check_values(tables, notices)
    _check_keys(tables, notices)
    _check_zone(tables, notices)


def _check_values(tables: Tables, notices: Notices) -> None:
    number, time, date = Code.INVALID_NUMBER, Code.INVALID_TIME, Code.INVALID_DATE
    for file, names in (
        ("stops", ("stop_lat", "stop_lon")),
        ("shapes", ("shape_pt_lat", "shape_pt_lon", "shape_pt_sequence")),
        ("stop_times", ("stop_sequence",)),
        ("frequencies", ("headway_secs",)),
        ("routes", ("route_type",)),
    ):
        for name in names:
            wrong = fields.numbers(tables.get(file), name).wrong
            _say(tables, notices, _Rule(file, name, number, "must be a number"), wrong)
    for file, names in (
        ("stop_times", ("arrival_time", "departure_time")),
        ("frequencies", ("start_time", "end_time")),
    ):
        for name in names:
            parsed = fields.times(tables.get(file), name)
            _say(
                tables,
                notices,
                _Rule(file, name, time, "must be H:MM:SS or HH:MM:SS (hours may pass 24)"),
                parsed.wrong,
            )
    for file, names in (("calendar", ("start_date", "end_date")), ("calendar_dates", ("date",))):
        for name in names:
            parsed = fields.dates(tables.get(file), name)
            _say(tables, notices, _Rule(file, name, date, "must be a date as YYYYMMDD"), parsed.wrong | parsed.missing)
    _check_ranges(tables, notices)
    colors = tables.get("routes")
    for name in ("route_color", "route_text_color"):
        text = fields.column(colors, name)
        bad = ((text != "") & ~text.str.fullmatch(r"[0-9A-Fa-f]{6}")).to_numpy(dtype=np.bool_)
        _say(tables, notices, _Rule("routes", name, Code.INVALID_COLOR, "must be six hexadecimal digits"), bad)


def _check_ranges(tables: Tables, notices: Notices) -> None:
    for file, name, limit in (
        ("stops", "stop_lat", 90.0),
        ("stops", "stop_lon", 180.0),
        ("shapes", "shape_pt_lat", 90.0),
        ("shapes", "shape_pt_lon", 180.0),
    ):
        values = fields.numbers(tables.get(file), name).values
        rule = _Rule(file, name, Code.OUT_OF_RANGE, f"must be from -{limit:g} to {limit:g} degrees")
        _say(tables, notices, rule, np.abs(values) > limit)
    stops = tables.get("stops")
    boards = fields.numbers(stops, "location_type").values
    placeless = fields.numbers(stops, "stop_lat").missing | fields.numbers(stops, "stop_lon").missing
    rule = _Rule("stops", "stop_lat", Code.MISSING_REQUIRED_VALUE, "a stop, station or entrance needs a place")
    _say(tables, notices, rule, placeless & ~(boards >= 3) & ("stop_lat" in stops.columns))
    headway = fields.numbers(tables.get("frequencies"), "headway_secs").values
    rule = _Rule("frequencies", "headway_secs", Code.OUT_OF_RANGE, "must be above 0 seconds")
    _say(tables, notices, rule, headway <= 0)
    exception = fields.numbers(tables.get("calendar_dates"), "exception_type").values
    rule = _Rule("calendar_dates", "exception_type", Code.INVALID_VALUE, "must be 1 (added) or 2 (removed)")
    _say(tables, notices, rule, ~np.isin(exception, (1.0, 2.0)))


def _check_keys(tables: Tables, notices: Notices) -> None:
    for file, key in KEYS.items():
        table = tables.get(file)
        if key not in table.columns:
            continue
        text = fields.column(table, key)
        empty = (text == "").to_numpy(dtype=np.bool_)
        _say(tables, notices, _Rule(file, key, Code.MISSING_REQUIRED_VALUE, "must not be empty"), empty)
        again = text.duplicated().to_numpy(dtype=np.bool_) & ~empty
        _say(tables, notices, _Rule(file, key, Code.DUPLICATE_KEY, f"each {key} may stand once"), again)
    for file, field, target, key in REFERENCES:
        table, other = tables.get(file), tables.get(target)
        if field not in table.columns or key not in other.columns:
            continue
        known = fields.find(fields.texts(other, key), fields.column(table, field)) >= 0
        rule = _Rule(file, field, Code.FOREIGN_KEY_VIOLATION, f"no such {key} in {target}.txt")
        _say(tables, notices, rule, ~known)
    _check_services(tables, notices)


def _check_services(tables: Tables, notices: Notices) -> None:
    trips = tables.get("trips")
    if "service_id" in trips.columns:
        services = fields.texts(tables.get("calendar"), "service_id") + fields.texts(
            tables.get("calendar_dates"), "service_id"
        )
        known = fields.find(services, fields.column(trips, "service_id")) >= 0
        rule = _Rule("trips", "service_id", Code.FOREIGN_KEY_VIOLATION, "no such service_id in calendar or its dates")
        _say(tables, notices, rule, ~known)
    shapes = tables.get("shapes")
    if "shape_id" in trips.columns and "shape_id" in shapes.columns:
        wanted = fields.column(trips, "shape_id")
        known = fields.find(fields.texts(shapes, "shape_id"), wanted) >= 0
        rule = _Rule("trips", "shape_id", Code.FOREIGN_KEY_VIOLATION, "no such shape_id in shapes.txt")
        _say(tables, notices, rule, ~known & (wanted != "").to_numpy(dtype=np.bool_))


def _check_zone(tables: Tables, notices: Notices) -> None:
    zones = set(fields.texts(tables.get("agency"), "agency_timezone")) - {""}
    for zone in sorted(zones):
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, KeyError):
            rule = "must be the name of a zone of the IANA time zone database"
            notices.add(
                [
                    _notice(
                        Severity.ERROR, Code.INVALID_TIME_ZONE, "agency.txt", rule, field="agency_timezone", value=zone
                    )
                ]
            )
    if not zones and "agency_timezone" in tables.get("agency").columns:
        rule = "must not be empty"
        notices.add([_notice(Severity.ERROR, Code.INVALID_TIME_ZONE, "agency.txt", rule, field="agency_timezone")])


def _say(tables: Tables, notices: Notices, rule: _Rule, wrong: Bools) -> None:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return
    text = fields.column(tables.get(rule.file).iloc[rows[:KEPT_PER_CODE]], rule.field).tolist()
    first = [
        Notice(
            severity=rule.severity,
            code=rule.code,
            file=f"{rule.file}.txt",
            row=int(row) + 2,
            field=rule.field,
            value=str(value),
            rule=rule.rule,
        )
        for row, value in zip(rows.tolist(), text, strict=False)
    ]
    notices.add_many(rule.severity, rule.code, first, len(rows))


def _notice(severity: Severity, code: Code, file: str, rule: str, *, field: str = "", value: str = "") -> Notice:
    return Notice(severity=severity, code=code, file=file, rule=rule, field=field, value=value)
