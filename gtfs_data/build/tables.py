"""The tables of a GTFS feed, as text. Names are in the city's first language; the others are translations."""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, get_args

from gtfs_data.build.model import LineKey, Plan, Terms, Texts, Weekday
from gtfs_data.build.timetable import Line, Trip

Cell = str | int
Row = Sequence[Cell]
Table = tuple[tuple[str, ...], Iterable[Row]]

BUS: Final = 3  # route_type
WHITE: Final = "FFFFFF"
BLACK: Final = "000000"
TIYN: Final = 100
ADDED, REMOVED = 1, 2  # exception_type


def feed_tables(
    plan: Plan, terms: Terms, lines: Mapping[LineKey, Line], trips: Sequence[Trip], version: str
) -> dict[str, bytes]:
    """Return the files of the feed by name; tables without rows are left out."""
    headsigns = {key: headsign(plan, line) for key, line in lines.items()}
    tables: dict[str, Table] = {
        "agency.txt": _agency(terms),
        "stops.txt": _stops(plan, terms),
        "routes.txt": _routes(plan, terms),
        "trips.txt": _trips(plan, terms, trips, headsigns),
        "stop_times.txt": _stop_times(trips),
        "shapes.txt": _shapes(lines),
        "calendar.txt": _calendar(terms),
        "calendar_dates.txt": _calendar_dates(terms),
        "frequencies.txt": _frequencies(trips),
        "translations.txt": _translations(plan, terms, trips, headsigns),
        "fare_attributes.txt": _fares(terms),
        "feed_info.txt": _feed_info(terms, version),
    }
    written = {name: _written(header, rows) for name, (header, rows) in tables.items()}
    return {name: content for name, content in written.items() if content}


def headsign(plan: Plan, line: Line) -> Texts:
    """Return where a bus says it goes: its last stop, or the route's own name if that is where it began (a ring)."""
    names = {stop.id: stop.name for stop in plan.stops}
    first, last = names[line.calls[0].stop_id], names[line.calls[-1].stop_id]
    if first == last:
        return next(route.name for route in plan.routes if route.id == line.key[0])
    return last


def shape_id(key: LineKey) -> str:
    """Return the shape of a line."""
    return f"{key[0]}-{key[1]}"


def _agency(terms: Terms) -> Table:
    agency = terms.agency
    name = agency.name[terms.languages[0]]
    header = (
        "agency_id",
        "agency_name",
        "agency_url",
        "agency_timezone",
        "agency_lang",
        "agency_phone",
        "agency_email",
    )
    row = (agency.id, name, agency.url, agency.time_zone, terms.languages[0], agency.phone, agency.email)
    others = (
        (
            *(one.id, one.name[terms.languages[0]], one.url or agency.url, agency.time_zone, terms.languages[0]),
            *(one.phone or agency.phone, one.email or agency.email),
        )
        for one in terms.carriers
    )
    return header, [row, *others]


def _stops(plan: Plan, terms: Terms) -> Table:
    name = terms.languages[0]
    header = ("stop_id", "stop_code", "stop_name", "stop_lat", "stop_lon", "wheelchair_boarding")
    return header, ((s.id, s.code, s.name[name], f"{s.lat:.6f}", f"{s.lon:.6f}", s.wheelchair) for s in plan.stops)


def _routes(plan: Plan, terms: Terms) -> Table:
    name = terms.languages[0]
    header = (
        *("route_id", "agency_id", "route_short_name", "route_long_name", "route_type"),
        *("route_color", "route_text_color", "route_sort_order"),
    )
    return header, (
        (r.id, r.carrier, r.short_name, r.name[name], BUS, r.color or WHITE, _text_color(r.color or WHITE), order)
        for order, r in enumerate(plan.routes)
    )


def _text_color(color: str) -> str:
    """Return black or white, whichever has the greater contrast to ``color`` (relative luminance of WCAG 2)."""
    shares = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return BLACK if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else WHITE


def _trips(plan: Plan, terms: Terms, trips: Sequence[Trip], headsigns: Mapping[LineKey, Texts]) -> Table:
    name = terms.languages[0]
    wheelchair = {route.id: route.wheelchair for route in plan.routes}
    header = (
        *("route_id", "service_id", "trip_id", "trip_headsign", "direction_id", "shape_id"),
        "wheelchair_accessible",
    )
    keys = ((trip, trip.line.key) for trip in trips)
    return header, (
        (key[0], trip.day_type, trip.id, headsigns[key][name], key[1], shape_id(key), wheelchair[key[0]])
        for trip, key in keys
    )


def _stop_times(trips: Sequence[Trip]) -> Table:
    header = (
        *("trip_id", "arrival_time", "departure_time", "stop_id", "stop_sequence"),
        *("timepoint", "shape_dist_traveled"),
    )
    return header, (row for trip in trips for row in _stop_times_of(trip))


def _stop_times_of(trip: Trip) -> Iterator[Row]:
    """Yield the stops of a trip. The first is a timepoint always: that is when the service says a bus leaves."""
    columns = (trip.line.calls, trip.arrival_s, trip.departure_s, trip.line.stop_offset_m.tolist())
    for place, (call, arrival_s, departure_s, offset_m) in enumerate(zip(*columns, strict=True)):
        timepoint = int(call.timepoint or place == 0)
        yield (
            *(trip.id, _clock(arrival_s), _clock(departure_s), call.stop_id, place + 1),
            *(timepoint, f"{offset_m:.2f}"),
        )


def _shapes(lines: Mapping[LineKey, Line]) -> Table:
    header = ("shape_id", "shape_pt_lat", "shape_pt_lon", "shape_pt_sequence", "shape_dist_traveled")
    return header, (row for line in lines.values() for row in _shape_of(line))


def _shape_of(line: Line) -> Iterator[Row]:
    shape, points = shape_id(line.key), zip(line.course.lon_lat.tolist(), line.vertex_offset_m.tolist(), strict=True)
    for place, ((lon, lat), offset_m) in enumerate(points):
        yield shape, f"{lat:.6f}", f"{lon:.6f}", place + 1, f"{offset_m:.2f}"


def _calendar(terms: Terms) -> Table:
    weekdays = get_args(Weekday)
    first, last = _day(terms.first_day), _day(terms.last_day)
    rows: list[Row] = [
        (name, *(int(day in day_type.weekdays) for day in weekdays), first, last)
        for name, day_type in terms.day_types.items()
        if day_type.weekdays
    ]
    return ("service_id", *weekdays, "start_date", "end_date"), rows


def _calendar_dates(terms: Terms) -> Table:
    """Return the exceptions: on a date of a day type that type runs, and no other does."""
    weekdays = get_args(Weekday)
    dates = sorted((date, name) for name, day_type in terms.day_types.items() for date in day_type.dates)
    rows: list[Row] = []
    for date, runs in dates:
        if not terms.first_day <= date <= terms.last_day:
            continue
        for name, day_type in terms.day_types.items():
            usual = weekdays[date.weekday()] in day_type.weekdays
            if usual != (name == runs):
                rows.append((name, _day(date), ADDED if name == runs else REMOVED))
    return ("service_id", "date", "exception_type"), rows


def _frequencies(trips: Sequence[Trip]) -> Table:
    header = ("trip_id", "start_time", "end_time", "headway_secs", "exact_times")
    return header, (
        (trip.id, _clock(trip.start_s), _clock(trip.end_s), trip.headway_s, 0) for trip in trips if trip.headway_s
    )


def _translations(plan: Plan, terms: Terms, trips: Sequence[Trip], headsigns: Mapping[LineKey, Texts]) -> Table:
    own, *others = terms.languages
    records: list[tuple[str, str, str, Texts]] = [("agency", "agency_name", terms.agency.id, terms.agency.name)]
    records += [("agency", "agency_name", carrier.id, carrier.name) for carrier in terms.carriers]
    records += [("stops", "stop_name", stop.id, stop.name) for stop in plan.stops]
    records += [("routes", "route_long_name", route.id, route.name) for route in plan.routes]
    records += [("trips", "trip_headsign", trip.id, headsigns[trip.line.key]) for trip in trips]
    header = ("table_name", "field_name", "language", "translation", "record_id")
    return header, (
        (table, field, language, texts[language], record)
        for table, field, record, texts in records
        for language in others
        if language in texts and texts[language] != texts[own]
    )


def _fares(terms: Terms) -> Table:
    header = ("fare_id", "price", "currency_type", "payment_method", "transfers", "agency_id")
    if terms.fare is None:
        return header, []
    price = f"{terms.fare.flat_tiyn // TIYN}.{terms.fare.flat_tiyn % TIYN:02}"
    return header, [("flat", price, terms.fare.currency, 0, 0, terms.agency.id)]


def _feed_info(terms: Terms, version: str) -> Table:
    header = (
        *("feed_publisher_name", "feed_publisher_url", "feed_lang"),
        *("feed_start_date", "feed_end_date", "feed_version"),
        *("feed_contact_email", "feed_contact_url"),
    )
    agency, own = terms.agency, terms.languages[0]
    publisher = (agency.name[own], agency.url, own)
    return header, [(*publisher, _day(terms.first_day), _day(terms.last_day), version, agency.email, agency.url)]


def _day(date: dt.date) -> str:
    return date.strftime("%Y%m%d")


def _clock(seconds: int) -> str:
    return f"{seconds // 3_600:02}:{seconds % 3_600 // 60:02}:{seconds % 60:02}"


def _written(header: Sequence[str], rows: Iterable[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    empty = text.tell()
    writer.writerows(rows)
    return text.getvalue().encode() if text.tell() > empty else b""
