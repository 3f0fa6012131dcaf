"""What the index page says about the city: how large it is, and a few stops worth looking at. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from commons.texts import LANGUAGES
from gtfs_data.network import Network

FEATURED_MAX: Final = 6
FEATURED_APART_M: Final = 700.0  # two platforms of one place are one suggestion


class FeaturedStop(msgspec.Struct, frozen=True, kw_only=True):
    """A busy stop; ``routes`` are the ids of the routes that call there."""

    id: str
    name: Mapping[str, str]
    routes: list[str]


class City(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/city``."""

    agency: str
    time_zone: str
    feed_version: str
    feed_hash: str
    routes: int
    stops: int
    lines_km: int
    featured: list[FeaturedStop]


def city_of(network: Network) -> City:
    """Return the figures of ``network`` and its busiest stops, at most one in each neighbourhood."""
    patterns = network.patterns
    length_m = sum(patterns.length_m(pattern) for pattern in range(len(patterns)))
    return City(
        agency=network.agency_name,
        time_zone=network.time_zone,
        feed_version=network.feed_version,
        feed_hash=network.feed_hash,
        routes=len(network.routes.ids),
        stops=len(np.unique(patterns.stop)),
        lines_km=round(length_m / 1000),
        featured=[_featured(network, stop) for stop in _busiest(network)],
    )


def _busiest(network: Network) -> list[int]:
    stops = network.stops
    ends = np.zeros(len(network.pattern_of_row), dtype=np.bool_)
    ends[network.patterns.first[1:] - 1] = True  # where all get off, a board has nothing to say
    rows = [served[~ends[served]] for served in network.rows_of_stop]
    by_busyness = sorted(range(len(rows)), key=lambda stop: (-len(rows[stop]), stops.ids[stop]))
    chosen: list[int] = []
    for stop in by_busyness:
        if len(chosen) == FEATURED_MAX or len(rows[stop]) == 0:
            break
        near = any(np.hypot(*(stops.xy[stop] - stops.xy[other])) < FEATURED_APART_M for other in chosen)
        if not near and all(stops.names[stop] != stops.names[other] for other in chosen):
            chosen.append(stop)
    return chosen


def _featured(network: Network, stop: int) -> FeaturedStop:
    stops, patterns = network.stops, network.patterns
    routes = np.unique(patterns.route[network.pattern_of_row[network.rows_of_stop[stop]]])
    return FeaturedStop(
        id=stops.ids[stop],
        name={language: stops.names_by_language.get(language, stops.names)[stop] for language in LANGUAGES},
        routes=[network.routes.ids[int(route)] for route in routes],
    )
