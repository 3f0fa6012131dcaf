"""A city's stops, routes, lines and service from the tables of its folder, every reference between them followed."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from gtfs_data.build.city import FILE as CITY_FILE
from gtfs_data.build.city import ID
from gtfs_data.build.course import read_course
from gtfs_data.build.folder import LINES, Files
from gtfs_data.build.model import Basics, Call, Course, LineKey, Plan, Route, Service, Stop, Texts
from gtfs_data.build.problems import Problems
from gtfs_data.build.sheet import Columns, Row, rows_of, seconds_of
from gtfs_data.model import RouteId, StopId
from gtfs_data.notices import Code

MINUTES_MAX: Final = 24.0 * 60.0
HEADWAY_MIN: Final = (0.5, 24.0 * 60.0)
SEQUENCE_MAX: Final = 10_000
COLOR: Final = re.compile(r"#?([0-9A-Fa-f]{6})")
YES: Final = frozenset({"1", "yes", "x"})
NO: Final = frozenset({"", "0", "no"})

STOPS: Final = "stops.csv"
ROUTES: Final = "routes.csv"
LINE_STOPS: Final = "line_stops.csv"
SERVICE: Final = "service.csv"
ROUTE_COLUMNS: Final = ("color", "carrier", "wheelchair")
LINE_STOP_COLUMNS: Final = Columns(("route_id", "direction", "sequence", "stop_id"), ("minutes", "timepoint"))
SERVICE_COLUMNS: Final = Columns(("route_id", "direction", "day_type"), ("from", "to", "headway_min", "departures"))


def read_plan(files: Files, basics: Basics, problems: Problems) -> Plan:
    """Return the plan in ``files``; what is wrong in it is in ``problems`` and left out."""
    stops, stop_ids = _stops(files, basics.languages, problems)
    routes, route_ids = _routes(files, basics, problems)
    calls = _calls(files, route_ids, stop_ids, problems)
    courses = _courses(files, calls, problems)
    services = _services(files, route_ids, calls, basics, problems)
    served = {service.line for service in services}
    for route_id, direction in calls.keys() - served:
        rule = f"direction {direction} has stops but no service"
        problems.error(Code.NO_USABLE_TRIPS, SERVICE, rule, field="route_id", value=route_id)
    for route in routes:
        if not any(key[0] == route.id for key in calls):
            rule = f"the route has no stops in {LINE_STOPS}"
            problems.error(Code.NO_USABLE_TRIPS, ROUTES, rule, row=route.row, field="route_id", value=route.id)
    used = {call.stop_id for line in calls.values() for call in line}
    for stop in stops:
        if stop.id not in used:
            rule = f"no line in {LINE_STOPS} stops here: left out"
            problems.warning(Code.UNUSED_STOP, STOPS, rule, row=stop.row, field="stop_id", value=stop.id)
    stops = tuple(stop for stop in stops if stop.id in used)
    return Plan(stops=stops, routes=routes, calls=calls, courses=courses, services=services)


def _rows(files: Files, file: str, columns: Columns, problems: Problems) -> Iterable[Row]:
    return rows_of(file, files.content[file], columns, problems) if file in files.content else ()


def _name_columns(languages: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = tuple(f"name_{language}" for language in languages)
    return names[:1], names[1:]


def _name(row: Row, languages: tuple[str, ...]) -> Texts | None:
    if row.required(f"name_{languages[0]}") is None:
        return None
    texts = {language: row.text(f"name_{language}") for language in languages}
    return {language: text for language, text in texts.items() if text}


def _new_id(row: Row, field: str, taken: Mapping[str, object]) -> str | None:
    text = row.required(field)
    if text is None:
        return None
    if not ID.fullmatch(text):
        row.wrong(Code.INVALID_VALUE, field, "must be up to 40 Latin letters, digits and . _ : -")
        return None
    if text in taken:
        row.wrong(Code.DUPLICATE_KEY, field, f"each {field} may stand once")
        return None
    return text


def _stops(files: Files, languages: tuple[str, ...], problems: Problems) -> tuple[tuple[Stop, ...], set[StopId]]:
    """Return the stops, and the ids of all that are named, so that one fault in a stop is not told again as another."""
    named: set[StopId] = set()
    first, more = _name_columns(languages)
    found: dict[str, Stop] = {}
    for row in _rows(files, STOPS, Columns(("stop_id", *first, "lat", "lon"), ("code", "wheelchair", *more)), problems):
        named.add(StopId(row.text("stop_id")))
        stop_id = _new_id(row, "stop_id", found)
        name = _name(row, languages)
        placed = row.required("lat") is not None and row.required("lon") is not None
        lat, lon = row.number("lat", low=-80, high=84), row.number("lon", low=-180, high=180)  # where UTM holds
        if stop_id is None or name is None or not placed or lat is None or lon is None:
            continue
        found[stop_id] = Stop(
            id=StopId(stop_id),
            code=row.text("code"),
            name=name,
            lat=lat,
            lon=lon,
            wheelchair=_wheelchair(row),
            row=row.line,
        )
    return tuple(found.values()), named


def _routes(files: Files, basics: Basics, problems: Problems) -> tuple[tuple[Route, ...], set[RouteId]]:
    """Return the routes, and the ids of all that are named."""
    named: set[RouteId] = set()
    languages, own = basics.languages, next(iter(basics.carriers), "")
    first, more = _name_columns(languages)
    found: dict[str, Route] = {}
    for row in _rows(files, ROUTES, Columns(("route_id", "short_name", *first), (*more, *ROUTE_COLUMNS)), problems):
        named.add(RouteId(row.text("route_id")))
        route_id = _new_id(row, "route_id", found)
        short_name, name = row.required("short_name"), _name(row, languages)
        carrier = row.text("carrier") or own
        if carrier not in basics.carriers and basics.carriers:
            row.wrong(Code.FOREIGN_KEY_VIOLATION, "carrier", f"no such carrier in {CITY_FILE}")
        color = COLOR.fullmatch(row.text("color") or "000000")
        if color is None:
            row.wrong(Code.INVALID_COLOR, "color", "must be six hexadecimal digits")
        elif route_id is not None and short_name is not None and name is not None:
            given = color[1].upper() if row.text("color") else ""
            found[route_id] = Route(
                id=RouteId(route_id),
                short_name=short_name,
                name=name,
                color=given,
                carrier=carrier,
                wheelchair=_wheelchair(row),
                row=row.line,
            )
    return tuple(found.values()), named


def _wheelchair(row: Row) -> int:
    """Return GTFS's number for the cell ``wheelchair``; empty is not known, which is not no."""
    text = row.text("wheelchair").lower()
    if text in {"", *YES}:
        return 1 if text else 0
    if text not in NO:
        row.wrong(Code.INVALID_VALUE, "wheelchair", "must be yes, no or empty for not known")
    return 2


def _line(row: Row, route_ids: set[RouteId]) -> LineKey | None:
    route_id, direction = row.required("route_id"), row.required("direction")
    if direction is not None and direction not in {"0", "1"}:
        row.wrong(Code.INVALID_VALUE, "direction", "must be 0 (there) or 1 (back)")
        direction = None
    if route_id is not None and route_id not in route_ids:
        row.wrong(Code.FOREIGN_KEY_VIOLATION, "route_id", f"no such route_id in {ROUTES}")
        route_id = None
    return (RouteId(route_id), int(direction)) if route_id is not None and direction is not None else None


def _calls(
    files: Files, route_ids: set[RouteId], stop_ids: set[StopId], problems: Problems
) -> Mapping[LineKey, tuple[Call, ...]]:
    found: dict[LineKey, dict[int, Call]] = defaultdict(dict)
    for row in _rows(files, LINE_STOPS, LINE_STOP_COLUMNS, problems):
        line, sequence, call = _line(row, route_ids), _sequence(row), _call(row, stop_ids)
        if line is None or sequence is None or call is None:
            continue
        if sequence in found[line]:
            row.wrong(Code.DUPLICATE_KEY, "sequence", "a sequence may stand once in a direction of a route")
        found[line][sequence] = call
    calls = {line: tuple(found[line][place] for place in sorted(found[line])) for line in sorted(found)}
    for line, stops in calls.items():
        _check_line(line, stops, problems)
    return calls


def _sequence(row: Row) -> int | None:
    number = row.number("sequence", low=0, high=SEQUENCE_MAX) if row.required("sequence") else None
    if number is None or number == int(number):
        return None if number is None else int(number)
    row.wrong(Code.INVALID_NUMBER, "sequence", "must be a whole number")
    return None


def _call(row: Row, stop_ids: set[StopId]) -> Call | None:
    stop_id = row.required("stop_id")
    minutes = row.number("minutes", low=0.1, high=MINUTES_MAX)
    timepoint = row.text("timepoint").lower()
    if timepoint not in YES | NO:
        row.wrong(Code.INVALID_VALUE, "timepoint", "must be yes, no or empty")
    if stop_id is None:
        return None
    if stop_id not in stop_ids:
        row.wrong(Code.FOREIGN_KEY_VIOLATION, "stop_id", f"no such stop_id in {STOPS}")
    return Call(stop_id=StopId(stop_id), minutes=minutes, timepoint=timepoint in YES, row=row.line)


def _check_line(line: LineKey, calls: tuple[Call, ...], problems: Problems) -> None:
    if len(calls) < 2:
        rule = f"direction {line[1]} must have two stops at least"
        problems.error(Code.NO_USABLE_TRIPS, LINE_STOPS, rule, row=calls[0].row, field="route_id", value=line[0])
    for before, call in itertools.pairwise(calls):
        if before.stop_id == call.stop_id:
            rule = "a stop cannot follow itself"
            problems.error(Code.INVALID_VALUE, LINE_STOPS, rule, row=call.row, field="stop_id", value=call.stop_id)


def _courses(files: Files, calls: Iterable[LineKey], problems: Problems) -> Mapping[LineKey, Course]:
    names = {f"{LINES}/{route_id}-{direction}.geojson": (route_id, direction) for route_id, direction in calls}
    courses: dict[LineKey, Course] = {}
    for name, line in names.items():
        if name not in files.content:
            problems.error(Code.MISSING_REQUIRED_FILE, name, f"the line of a direction in {LINE_STOPS} must be drawn")
            continue
        course = read_course(name, files.content[name], problems)
        if course is not None:
            courses[line] = course
    for name in set(files.lines) - names.keys():
        problems.error(Code.FOREIGN_KEY_VIOLATION, name, f"no direction in {LINE_STOPS} goes by this line")
    return courses


def _services(
    files: Files, route_ids: set[RouteId], calls: Mapping[LineKey, object], basics: Basics, problems: Problems
) -> tuple[Service, ...]:
    services: list[Service] = []
    taken: dict[tuple[LineKey, str], list[tuple[int, int]]] = defaultdict(list)
    for row in _rows(files, SERVICE, SERVICE_COLUMNS, problems):
        line, day_type = _line(row, route_ids), row.required("day_type")
        if day_type is not None and day_type not in basics.day_types:
            row.wrong(Code.FOREIGN_KEY_VIOLATION, "day_type", f"no such day type in {CITY_FILE}")
        if line is not None and line not in calls:
            row.wrong(Code.FOREIGN_KEY_VIOLATION, "direction", f"no such direction in {LINE_STOPS}")
        times = _departures(row) if row.text("departures") else _band(row)
        if line is None or day_type is None or times is None:
            continue
        start_s, end_s, headway_s, departures_s = times
        spans = [(start_s, end_s)] if headway_s else [(time_s, time_s + 1) for time_s in departures_s]
        if any(start < other_end and other < end for start, end in spans for other, other_end in taken[line, day_type]):
            field = "from" if headway_s else "departures"
            row.wrong(Code.DUPLICATE_KEY, field, "hours of one direction and day type must not overlap")
        taken[line, day_type] += spans
        services.append(
            Service(
                line=line,
                day_type=day_type,
                start_s=start_s,
                end_s=end_s,
                headway_s=headway_s,
                departures_s=departures_s,
            )
        )
    return tuple(sorted(services, key=lambda service: (service.line, service.day_type, service.start_s)))


def _band(row: Row) -> tuple[int, int, int, tuple[int, ...]] | None:
    """Return from, to, headway of a row that has them, None after saying what is wrong."""
    for field in ("from", "to", "headway_min"):
        if not row.text(field):
            row.wrong(Code.MISSING_REQUIRED_VALUE, field, "must have from, to and headway_min, or departures")
            return None
    start_s, end_s = row.time_s("from"), row.time_s("to")
    headway_min = row.number("headway_min", low=HEADWAY_MIN[0], high=HEADWAY_MIN[1])
    if start_s is None or end_s is None or headway_min is None:
        return None
    if end_s <= start_s:
        row.wrong(Code.DECREASING_TIME, "to", "must be later than from; half past midnight is 24:30")
        return None
    return start_s, end_s, round(headway_min * 60), ()


def _departures(row: Row) -> tuple[int, int, int, tuple[int, ...]] | None:
    """Return the departures of a row that lists them, None after saying what is wrong."""
    for field in ("from", "to", "headway_min"):
        if row.text(field):
            row.wrong(Code.INVALID_VALUE, field, "must be empty where departures are listed")
    times: list[int] = []
    for text in row.text("departures").replace(",", " ").split():
        seconds = seconds_of(text)
        if seconds is None:
            rule = "must be times as HH:MM with spaces between"
            row.wrong(Code.INVALID_TIME, "departures", rule, value=text)
            return None
        times.append(seconds)
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        row.wrong(Code.DECREASING_TIME, "departures", "must be in order, each once; half past midnight is 24:30")
        return None
    return times[0], times[-1], 0, tuple(times)
