"""Compile a feed into a ``Network``: read, check, place stops on lines, fill times, freeze; cached by content.

A feed is refused (``FeedError``) when no network can be made of it: a required file or column is missing, its zone is
unknown, no trip is usable. Anything less leaves out the rows concerned and says so in the report.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gtfs_data import fields
from gtfs_data.lines import Lines, place_patterns
from gtfs_data.model import RouteId, StopId, TripId
from gtfs_data.network import Frequencies, Network, Patterns, Routes, Services, Stops, Trips
from gtfs_data.network_rules import say_expired, say_fast, say_unused
from gtfs_data.notices import CheckReport, Code, FeedError, Notice, Notices, Severity
from gtfs_data.patterns import TripRows, fill_times, group, trip_rows
from gtfs_data.read import Tables, content_hash, read_tables
from gtfs_data.rules import check_tables
from gtfs_data.shapes import to_metres, utm_epsg
from gtfs_data.store import load, save
from gtfs_data.translations import Translations, primary

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A feed's network, None if the feed is unusable, and all that was found in making it."""

    network: Network | None
    report: CheckReport


def load_network(path: Path, *, cache: Path | None) -> Network:
    """Return the network of the feed at ``path``, from folder ``cache`` if it was compiled before.

    Raises:
        FeedUnreadableError: if there is no feed at ``path``.
        FeedError: if the feed is unusable.
    """
    if cache is not None:
        kept = load(cache, content_hash(path))
        if kept is not None:
            return kept
    compiled = compile_feed(path)
    if compiled.network is None:
        raise FeedError(path.name, compiled.report)
    if cache is not None:
        save(cache, compiled.network)
    return compiled.network


def compile_feed(path: Path, *, on: dt.date | None = None) -> Compiled:
    """Return the network and the report of the feed at ``path``; it says if the feed is over by the day ``on``.

    Raises:
        FeedUnreadableError: if there is no feed at ``path``.
    """
    notices = Notices()
    tables = read_tables(path)
    check_tables(tables, notices)
    if notices.report().unusable:
        return Compiled(None, notices.report())
    network = _compile(tables, notices)
    if network is not None:
        say_fast(network, notices)
        say_expired(network, on, notices)
    return Compiled(network, notices.report())


def _compile(tables: Tables, notices: Notices) -> Network | None:
    stops, trips = tables.get("stops"), tables.get("trips")
    lat, lon = fields.numbers(stops, "stop_lat").values, fields.numbers(stops, "stop_lon").values
    placed = (np.abs(lat) <= 90) & (np.abs(lon) <= 180) & _named(stops, "stop_id")
    services = _services(tables, notices)
    kept_routes = np.flatnonzero(_named(tables.get("routes"), "route_id"))
    routes = tables.get("routes").iloc[kept_routes]
    route = fields.find(fields.texts(routes, "route_id"), fields.column(trips, "route_id"))
    service = fields.find(list(services.ids), fields.column(trips, "service_id"))
    rows = trip_rows(tables, placed, (route >= 0) & (service >= 0) & _named(trips, "trip_id"), notices)
    if not len(rows.trip_row):
        rule = "not one trip has a route, a service and two stops with times"
        notices.add([Notice(severity=Severity.ERROR, code=Code.NO_USABLE_TRIPS, file="trips.txt", rule=rule)])
        return None
    epsg = utm_epsg(lat[placed], lon[placed])
    xy = np.full((len(lat), 2), np.nan)
    xy[placed] = to_metres(epsg, lat[placed], lon[placed])
    direction = np.nan_to_num(fields.numbers(trips, "direction_id").values[rows.trip_row], nan=-1).astype(np.int64)
    shape_ids, shape = np.unique(
        fields.column(trips, "shape_id").to_numpy(dtype=object)[rows.trip_row].astype(str), return_inverse=True
    )
    pattern, model = group(rows, route[rows.trip_row], direction, shape.reshape(-1))
    lines = place_patterns(
        tables, rows, model, [str(s) for s in shape_ids[shape.reshape(-1)[model]]], xy, epsg, notices
    )
    size = np.diff(rows.first)
    place = np.arange(len(rows.stop)) - np.repeat(rows.first[:-1], size)
    offset_m = lines.offset_m[np.repeat(lines.first[pattern], size) + place]
    arrival_s, departure_s, given = fill_times(rows, offset_m)
    say_unused(tables, rows, placed, notices)
    kept, new_stop = _kept_stops(stops, rows, placed)
    translations = Translations.of(tables)
    info, agency = tables.get("feed_info"), tables.get("agency")
    language = primary((fields.texts(info, "feed_lang") or fields.texts(agency, "agency_lang") or [""])[0])
    trip_service = service[rows.trip_row]
    stop_table = _stops(tables, kept, lat, lon, xy, translations)
    ids = fields.texts(trips.iloc[rows.trip_row], "trip_id")
    frequencies = _frequencies(tables, ids)
    return Network(
        feed_hash=tables.content_hash,
        feed_version=(fields.texts(info, "feed_version") or [""])[0],
        agency_name=(fields.texts(agency, "agency_name") or [""])[0],
        time_zone=next(zone for zone in fields.texts(agency, "agency_timezone") if zone),
        language=language,
        epsg=epsg,
        stops=stop_table,
        routes=_routes(routes, translations),
        patterns=_patterns(tables, rows, model, pattern, route, direction, lines, new_stop, stop_table, translations),
        trips=_trips(tables, rows, pattern, trip_service, ids, arrival_s, departure_s, given, frequencies),
        frequencies=frequencies,
        services=services,
    )


def _named(table: pd.DataFrame, key: str) -> npt.NDArray[np.bool_]:
    """Return which rows have an id that no row before them has."""
    ids = fields.column(table, key)
    return np.asarray(((ids != "") & ~ids.duplicated()).to_numpy(dtype=np.bool_))


def _kept_stops(stops: pd.DataFrame, rows: TripRows, placed: npt.NDArray[np.bool_]) -> tuple[Index, Index]:
    """Return the rows of stops.txt that are boarding places with a place, and the new index of each row."""
    kind = fields.numbers(stops, "location_type").values
    boarding = placed & (np.isnan(kind) | (kind == 0) | (kind == 4))
    boarding[rows.stop] = True
    kept = np.flatnonzero(boarding)
    new = np.full(len(boarding), -1, dtype=np.int64)
    new[kept] = np.arange(len(kept))
    return kept, new


def _stops(
    tables: Tables,
    kept: Index,
    lat: npt.NDArray[np.float64],
    lon: npt.NDArray[np.float64],
    xy: npt.NDArray[np.float64],
    translations: Translations,
) -> Stops:
    every = tables.get("stops")
    table = every.iloc[kept]
    ids, names = fields.texts(table, "stop_id"), fields.texts(table, "stop_name")
    names = [name or stop_id for name, stop_id in zip(names, ids, strict=True)]
    return Stops(
        ids=tuple(StopId(stop_id) for stop_id in ids),
        codes=tuple(fields.texts(table, "stop_code")),
        names=tuple(names),
        names_by_language=translations.names("stops", "stop_name", ids, names),
        zones=tuple(fields.texts(table, "zone_id")),
        wheelchair=_boarding(every)[kept],
        lat=lat[kept],
        lon=lon[kept],
        xy=xy[kept],
    )


def _boarding(stops: pd.DataFrame) -> npt.NDArray[np.int8]:
    """Return wheelchair_boarding of each row; a place that says nothing has what its station says (stops.txt)."""
    own = _wheelchair(stops, "wheelchair_boarding")
    station = fields.find(fields.texts(stops, "stop_id"), fields.column(stops, "parent_station"))
    return np.where((own == 0) & (station >= 0), own[station], own).astype(np.int8)


def _wheelchair(table: pd.DataFrame, name: str) -> npt.NDArray[np.int8]:
    """Return a column as 0 unknown, 1 yes, 2 no; what is no such number is unknown."""
    values = fields.numbers(table, name).values
    return np.where((values == 1) | (values == 2), values, 0).astype(np.int8)


def _routes(table: pd.DataFrame, translations: Translations) -> Routes:
    ids, long = fields.texts(table, "route_id"), fields.texts(table, "route_long_name")
    short = fields.texts(table, "route_short_name")
    return Routes(
        ids=tuple(RouteId(route_id) for route_id in ids),
        short_names=tuple(name or other for name, other in zip(short, long, strict=True)),
        long_names=tuple(long),
        long_names_by_language=translations.names("routes", "route_long_name", ids, long),
        colors=_colors(table, "route_color"),
        text_colors=_colors(table, "route_text_color"),
        types=np.nan_to_num(fields.numbers(table, "route_type").values, nan=3).astype(np.int32),
    )


def _colors(table: pd.DataFrame, name: str) -> tuple[str, ...]:
    text = fields.column(table, name)
    return tuple(str(c).upper() for c in text.where(text.str.fullmatch(r"[0-9A-Fa-f]{6}"), "").tolist())


def _patterns(
    tables: Tables,
    rows: TripRows,
    model: Index,
    pattern: Index,
    route: Index,
    direction: Index,
    lines: Lines,
    new_stop: Index,
    stops: Stops,
    translations: Translations,
) -> Patterns:
    row = np.concatenate([np.arange(rows.first[t], rows.first[t + 1]) for t in model])
    stop = new_stop[rows.stop[row]]
    headsigns, records = _headsigns(tables, rows, model, pattern, stops, stop[lines.first[1:] - 1])
    by_language = {}
    for language, names in stops.names_by_language.items():
        trips_say = translations.names("trips", "trip_headsign", records, headsigns)[language]
        last_stops = (stops.names[i] for i in stop[lines.first[1:] - 1].tolist())
        translated = (names[i] for i in stop[lines.first[1:] - 1].tolist())
        by_language[language] = tuple(
            in_trips if in_trips != headsign else (in_stops if headsign == last else headsign)
            for in_trips, headsign, last, in_stops in zip(trips_say, headsigns, last_stops, translated, strict=True)
        )
    return Patterns(
        route=route[rows.trip_row[model]].astype(np.int32),
        direction=direction[model].astype(np.int8),
        headsigns=tuple(headsigns),
        headsigns_by_language=by_language,
        shape_ids=lines.shape_ids,
        first=lines.first.astype(np.int32),
        stop=stop.astype(np.int32),
        stop_sequence=rows.sequence[row].astype(np.int32),
        offset_m=lines.offset_m,
        gap_m=lines.gap_m,
        line_first=lines.line_first.astype(np.int32),
        line_last=lines.line_last.astype(np.int32),
        line_xy=lines.line_xy,
        line_offset_m=lines.line_offset_m,
    )


def _headsigns(
    tables: Tables, rows: TripRows, model: Index, pattern: Index, stops: Stops, last: Index
) -> tuple[list[str], list[str]]:
    """Return the commonest headsign of each pattern (else its last stop's name), and a trip that has it."""
    trips = tables.get("trips")
    texts = np.array(fields.texts(trips, "trip_headsign"), dtype=object)[rows.trip_row]
    ids = fields.texts(trips, "trip_id")
    unique, code = np.unique(texts.astype(str), return_inverse=True)
    pairs, at, count = np.unique(pattern * len(unique) + code.reshape(-1), return_index=True, return_counts=True)
    headsigns, records = [""] * len(model), [""] * len(model)
    for i in np.lexsort((count, pairs // len(unique))).tolist():  # the commonest of each pattern comes last
        number = int(pairs[i]) // len(unique)
        headsigns[number] = str(unique[int(pairs[i]) % len(unique)])
        records[number] = ids[int(rows.trip_row[at[i]])]
    named = [text or stops.names[int(stop)] for text, stop in zip(headsigns, last, strict=True)]
    return named, records


def _trips(
    tables: Tables,
    rows: TripRows,
    pattern: Index,
    service: Index,
    ids: Sequence[str],
    arrival_s: Index,
    departure_s: Index,
    given: npt.NDArray[np.bool_],
    frequencies: Frequencies,
) -> Trips:
    table = tables.get("trips").iloc[rows.trip_row]
    blocks = fields.texts(table, "block_id")
    names = sorted(set(blocks) - {""})
    number: Mapping[str, int] = {name: i for i, name in enumerate(names)}
    scheduled = np.ones(len(ids), dtype=np.bool_)
    scheduled[frequencies.trip[~frequencies.exact]] = False
    return Trips(
        ids=tuple(TripId(trip_id) for trip_id in ids),
        pattern=pattern.astype(np.int32),
        service=service.astype(np.int32),
        block=np.array([number.get(block, -1) for block in blocks], dtype=np.int32),
        block_ids=tuple(names),
        headsigns=tuple(fields.texts(table, "trip_headsign")),
        wheelchair=_wheelchair(table, "wheelchair_accessible"),
        first=rows.first.astype(np.int32),
        arrival_s=arrival_s.astype(np.int32),
        departure_s=departure_s.astype(np.int32),
        given=given,
        scheduled=scheduled,
    )


def _frequencies(tables: Tables, trip_ids: Sequence[str]) -> Frequencies:
    table = tables.get("frequencies")
    trip = fields.find(list(trip_ids), fields.column(table, "trip_id"))
    start, end = fields.times(table, "start_time").values, fields.times(table, "end_time").values
    headway = fields.numbers(table, "headway_secs").values
    good = (trip >= 0) & (headway > 0) & (end > start)
    return Frequencies(
        trip=trip[good].astype(np.int32),
        start_s=start[good].astype(np.int32),
        end_s=end[good].astype(np.int32),
        headway_s=headway[good].astype(np.int32),
        exact=fields.numbers(table, "exact_times").values[good] == 1,
    )


def _services(tables: Tables, notices: Notices) -> Services:
    """Return the days of each service. A feed without any date is a warning: it can be shown, but never runs."""
    calendar, exceptions = tables.get("calendar"), tables.get("calendar_dates")
    ids = sorted((set(fields.texts(calendar, "service_id")) | set(fields.texts(exceptions, "service_id"))) - {""})
    start, end = fields.dates(calendar, "start_date").values, fields.dates(calendar, "end_date").values
    date, kind = fields.dates(exceptions, "date").values, fields.numbers(exceptions, "exception_type").values
    dates = np.concatenate([start, end, date])
    dates = dates[~np.isnan(dates)]
    if not len(dates):
        rule = "no service has a date: nothing ever runs"
        notices.add([Notice(severity=Severity.ERROR, code=Code.NO_SERVICE_DATES, file="calendar.txt", rule=rule)])
        return Services(ids=tuple(ids), first_date=dt.date(1970, 1, 1), runs=np.zeros((len(ids), 1), dtype=np.bool_))
    first, last = int(dates.min()), int(dates.max())
    runs = np.zeros((len(ids), last - first + 1), dtype=np.bool_)
    row = {service: i for i, service in enumerate(ids)}
    weekday = (np.arange(first, last + 1) - 1) % 7  # ordinal 1 was a Monday
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    days = np.column_stack([fields.numbers(calendar, name).values == 1 for name in names]).reshape(-1, 7)
    for i, service in enumerate(fields.texts(calendar, "service_id")):
        if service and start[i] <= end[i]:
            span = slice(int(start[i]) - first, int(end[i]) - first + 1)
            runs[row[service], span] |= days[i][weekday[span]]
    for service, day, exception in zip(fields.texts(exceptions, "service_id"), date, kind, strict=True):
        if service and not np.isnan(day) and exception in (1, 2):
            runs[row[service], int(day) - first] = exception == 1
    return Services(ids=tuple(ids), first_date=dt.date.fromordinal(first), runs=runs)
