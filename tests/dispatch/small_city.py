"""A small planned network made of lines given as stops with places, for tests of map and pages."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import Transformer

from gtfs_data.model import RouteId, StopId, TripId
from gtfs_data.network import Frequencies, Network, Patterns, Routes, Services, Stops, Trips

EPSG = 32641  # UTM 41 N, where Kyzylorda is


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    id: str
    kk: str
    ru: str
    en: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One route in one direction; the line runs from stop to stop, straight."""

    route: str
    direction: int
    stops: Sequence[Stop]
    colour: str = ""


VOKZAL = Stop(id="vokzal", kk="Теміржол вокзалы", ru="Ж/д вокзал", en="Railway station", lat=44.8530, lon=65.5010)
ALAN = Stop(id="alan", kk="Орталық алаң", ru="Центральная площадь", en="Central square", lat=44.8488, lon=65.5092)
BAZAR = Stop(id="bazar", kk="Сыбаға базары", ru="Рынок «Сыбага»", en="Sybaga market", lat=44.8420, lon=65.5240)
SHUGYLA = Stop(
    id="shugyla", kk="Шұғыла мөлтек ауданы", ru="мкр Шугыла", en="Shugyla district", lat=44.8330, lon=65.5420
)
AUEZHAI = Stop(id="auezhai", kk="Қызылорда әуежайы", ru="Аэропорт", en="Airport", lat=44.7120, lon=65.5900)
UNUSED = Stop(id="unused", kk="Ешкім тоқтамайды", ru="Никто не стоит", en="Nobody calls here", lat=44.86, lon=65.49)

TWO_ROUTES = (
    Line(route="10", direction=0, stops=(VOKZAL, ALAN, BAZAR, SHUGYLA), colour="1F6FB2"),
    Line(route="10", direction=1, stops=(SHUGYLA, BAZAR, ALAN, VOKZAL), colour="1F6FB2"),
    Line(route="2", direction=0, stops=(ALAN, BAZAR, AUEZHAI)),
)


def network_of(lines: Sequence[Line] = TWO_ROUTES, *, unused: Sequence[Stop] = (UNUSED,)) -> Network:
    """Return the compiled network of ``lines``; every line has one trip, at noon, two minutes from stop to stop."""
    stops = list(dict.fromkeys([*(stop for line in lines for stop in line.stops), *unused]))
    number = {stop.id: i for i, stop in enumerate(stops)}
    route_ids = list(dict.fromkeys(line.route for line in lines))
    colour_of = {line.route: line.colour for line in lines}
    to_metres = Transformer.from_crs(4326, EPSG, always_xy=True)
    xy = np.column_stack(to_metres.transform([stop.lon for stop in stops], [stop.lat for stop in stops]))
    rows = [number[stop.id] for line in lines for stop in line.stops]
    first = np.cumsum([0, *(len(line.stops) for line in lines)]).astype(np.int32)
    offsets = np.concatenate([_offsets(xy[[number[stop.id] for stop in line.stops]]) for line in lines])
    return Network(
        feed_hash="0" * 60 + f"{len(lines):04d}",
        feed_version="test",
        agency_name="Қызылорда автобусы",
        time_zone="Asia/Qyzylorda",
        language="kk",
        epsg=EPSG,
        stops=Stops(
            ids=tuple(StopId(stop.id) for stop in stops),
            codes=tuple(f"{i:03d}" for i in range(len(stops))),
            names=tuple(stop.kk for stop in stops),
            names_by_language={
                "kk": tuple(stop.kk for stop in stops),
                "ru": tuple(stop.ru for stop in stops),
                "en": tuple(stop.en for stop in stops),
            },
            zones=("",) * len(stops),
            wheelchair=np.zeros(len(stops), dtype=np.int8),
            lat=np.array([stop.lat for stop in stops]),
            lon=np.array([stop.lon for stop in stops]),
            xy=xy,
        ),
        routes=Routes(
            ids=tuple(RouteId(route) for route in route_ids),
            short_names=tuple(route_ids),
            long_names=tuple(f"№{route}" for route in route_ids),
            long_names_by_language={},
            colors=tuple(colour_of[route] for route in route_ids),
            text_colors=("",) * len(route_ids),
            types=np.full(len(route_ids), 3, dtype=np.int32),
        ),
        patterns=Patterns(
            route=np.array([route_ids.index(line.route) for line in lines], dtype=np.int32),
            direction=np.array([line.direction for line in lines], dtype=np.int8),
            headsigns=tuple(line.stops[-1].kk for line in lines),
            headsigns_by_language={
                "kk": tuple(line.stops[-1].kk for line in lines),
                "ru": tuple(line.stops[-1].ru for line in lines),
                "en": tuple(line.stops[-1].en for line in lines),
            },
            shape_ids=("",) * len(lines),
            first=first,
            stop=np.array(rows, dtype=np.int32),
            stop_sequence=np.concatenate([np.arange(len(line.stops)) for line in lines]).astype(np.int32),
            offset_m=offsets,
            gap_m=np.zeros(len(rows)),
            line_first=first[:-1],
            line_last=first[1:],
            line_xy=xy[rows],
            line_offset_m=offsets,
        ),
        trips=_trips(lines, first),
        frequencies=Frequencies(
            trip=_none(), start_s=_none(), end_s=_none(), headway_s=_none(), exact=np.zeros(0, dtype=np.bool_)
        ),
        services=Services(ids=("daily",), first_date=dt.date(2026, 1, 1), runs=np.ones((1, 365), dtype=np.bool_)),
    )


def _trips(lines: Sequence[Line], first: np.ndarray) -> Trips:
    times = np.concatenate([43_200 + 120 * np.arange(len(line.stops)) for line in lines]).astype(np.int32)
    return Trips(
        ids=tuple(TripId(f"{line.route}-{line.direction}") for line in lines),
        pattern=np.arange(len(lines), dtype=np.int32),
        service=np.zeros(len(lines), dtype=np.int32),
        block=np.full(len(lines), -1, dtype=np.int32),
        block_ids=(),
        headsigns=tuple(line.stops[-1].kk for line in lines),
        wheelchair=np.zeros(len(lines), dtype=np.int8),
        first=first,
        arrival_s=times,
        departure_s=times,
        given=np.ones(len(times), dtype=np.bool_),
        scheduled=np.ones(len(lines), dtype=np.bool_),
    )


def _offsets(xy: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])


def _none() -> np.ndarray:
    return np.zeros(0, dtype=np.int32)
