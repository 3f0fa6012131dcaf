"""What is in a feed, in figures: for ``ayaldama gtfs check`` and for whoever compares one feed with the next."""

import datetime as dt
from typing import Final

import msgspec
import numpy as np

from gtfs_data.network import Network

ROUTE_TYPES: Final = (
    *((0, "tram"), (1, "metro"), (2, "rail"), (3, "bus"), (4, "ferry")),
    *((5, "cable tram"), (6, "aerial lift"), (7, "funicular"), (11, "trolleybus"), (12, "monorail")),
)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A network in figures."""

    agency: str
    time_zone: str
    languages: tuple[str, ...]  # of the feed, and those of its translations
    version: str
    first_date: dt.date | None  # on which anything runs
    last_date: dt.date | None
    routes: dict[str, int]  # by kind of vehicle
    patterns: int
    stops: int
    stops_used: int
    trips: int
    stop_times: int
    timed_share: float  # of the stop times, not interpolated
    frequency_trips: int
    services: int
    blocks: int
    busiest_date: dt.date | None
    busiest_trips: int  # trips of stop_times.txt that run on it; headways of frequencies.txt are not counted
    line_km: float  # of all patterns, each once
    shaped_share: float  # of the patterns, drawn by a shape and not from stop to stop
    gap_max_m: float  # of a stop from its line


def summarize(network: Network) -> Summary:
    """Return the figures of ``network``."""
    patterns, trips, services = network.patterns, network.trips, network.services
    templates = np.zeros(len(trips.ids), dtype=np.bool_)
    templates[network.frequencies.trip] = True
    per_service = np.bincount(trips.service, minlength=len(services.ids))
    per_plain_service = np.bincount(trips.service[~templates], minlength=len(services.ids))
    days = np.flatnonzero((services.runs & (per_service > 0)[:, None]).any(axis=0))
    runs = per_plain_service @ services.runs
    return Summary(
        agency=network.agency_name,
        time_zone=network.time_zone,
        languages=tuple(dict.fromkeys([*filter(None, [network.language]), *sorted(network.stops.names_by_language)])),
        version=network.feed_version,
        first_date=_date(network, int(days[0])) if len(days) else None,
        last_date=_date(network, int(days[-1])) if len(days) else None,
        routes=_routes(network),
        patterns=len(patterns),
        stops=len(network.stops.ids),
        stops_used=len(np.unique(patterns.stop)),
        trips=len(trips.ids),
        stop_times=len(trips.arrival_s),
        timed_share=float(trips.given.mean()),
        frequency_trips=int(templates.sum()),
        services=len(services.ids),
        blocks=len(trips.block_ids),
        busiest_date=_date(network, int(runs.argmax())) if runs.any() else None,
        busiest_trips=int(runs.max()),
        line_km=float(sum(patterns.length_m(pattern) for pattern in range(len(patterns)))) / 1000,
        shaped_share=sum(shape_id != "" for shape_id in patterns.shape_ids) / len(patterns),
        gap_max_m=float(patterns.gap_m.max()),
    )


def _date(network: Network, day: int) -> dt.date:
    return network.services.first_date + dt.timedelta(days=day)


def _routes(network: Network) -> dict[str, int]:
    """Return the number of routes that have a pattern, by kind."""
    names = dict(ROUTE_TYPES)
    used = np.unique(network.patterns.route)
    kinds, counts = np.unique(network.routes.types[used], return_counts=True)
    found: dict[str, int] = {}
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        name = names.get(kind, f"type {kind}")
        found[name] = found.get(name, 0) + count
    return found
