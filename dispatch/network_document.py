"""The planned network as one GeoJSON document (RFC 7946): what the map draws beneath the vehicles.

Features are one line per route and course (patterns that share both share the line) and one point per stop in use.
Foreign members hold what is not geometry: ``routes`` in the order people expect (2 before 10), ``patterns`` by the
index that vehicles name, ``bounds``, ``feed_hash``. Coordinates are WGS 84, to about 0.1 m.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import shapely
from pyproj import Transformer

from commons.texts import LANGUAGES
from gtfs_data.network import Floats, Network

COORDINATE_DIGITS: Final = 6
VERTICES_MAX: Final = 150_000  # above this a browser takes seconds; lines are then thinned
THINNED_TO_M: Final = 4.0  # less than the width of a drawn line at street zoom
CONTRAST_MIN: Final = 4.5  # WCAG 2.2 AA for the number on its colour
# Used where routes.txt gives no colour: apart in hue, of like lightness, legible with white text.
PALETTE: Final = (
    "#1f6fb2", "#b3541e", "#2f7d4f", "#8a4fa3", "#a8324a", "#0f7f86",
    "#7a6a12", "#4b5fc1", "#a03f86", "#3f7a1f", "#8c5a2b", "#5a6b7a",
)  # fmt: skip

Feature = Mapping[str, Any]


def network_document(network: Network) -> bytes:
    """Return the document as JSON bytes; the same network gives the same bytes."""
    order, colours = _order(network), route_colours(network)
    lines, line_of_pattern = _lines(network, colours)
    document = {
        "type": "FeatureCollection",
        "feed_hash": network.feed_hash,
        "agency": network.agency_name,
        "time_zone": network.time_zone,
        "bounds": _bounds(network),
        "routes": [_route(network, route, colours[route]) for route in order],
        "patterns": [
            {
                "route": network.routes.ids[int(network.patterns.route[pattern])],
                "direction": int(network.patterns.direction[pattern]),
                "headsign": _by_language(
                    network.patterns.headsigns_by_language, network.patterns.headsigns[pattern], pattern
                ),
                "line": line_of_pattern[pattern],
            }
            for pattern in range(len(network.patterns))
        ],
        "features": [*lines, *_stops(network)],
    }
    return msgspec.json.encode(document)


def contrast(colour: str, other: str) -> float:
    """Return the contrast ratio of two ``#rrggbb`` colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(colour), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def route_colours(network: Network) -> list[tuple[str, str]]:
    """Return (colour, colour of the text on it) per route: the feed's own where they are legible together."""
    order = _order(network)
    found = [("", "")] * len(order)
    for place, route in enumerate(order):
        given, text = network.routes.colors[route], network.routes.text_colors[route]
        colour = f"#{given.lower()}" if given else PALETTE[place % len(PALETTE)]
        on_it = f"#{text.lower()}" if text else "#ffffff"
        if contrast(colour, on_it) < CONTRAST_MIN:
            on_it = max(("#ffffff", "#000000"), key=lambda candidate: contrast(colour, candidate))
        found[route] = (colour, on_it)
    return found


def _order(network: Network) -> list[int]:
    return sorted(range(len(network.routes.ids)), key=lambda route: _natural(network.routes.short_names[route]))


def _route(network: Network, route: int, colours: tuple[str, str]) -> Feature:
    routes = network.routes
    return {
        "id": routes.ids[route],
        "name": routes.short_names[route] or routes.long_names[route],
        "long_name": _by_language(routes.long_names_by_language, routes.long_names[route], route),
        "colour": colours[0],
        "text_colour": colours[1],
    }


def _lines(network: Network, colours: list[tuple[str, str]]) -> tuple[list[Feature], list[int]]:
    patterns = network.patterns
    number_of: dict[tuple[int, int, int], int] = {}
    line_of_pattern: list[int] = []
    for pattern in range(len(patterns)):
        key = (int(patterns.route[pattern]), int(patterns.line_first[pattern]), int(patterns.line_last[pattern]))
        line_of_pattern.append(number_of.setdefault(key, len(number_of)))
    to_degrees = Transformer.from_crs(network.epsg, 4326, always_xy=True)
    thin = sum(last - first for _, first, last in number_of) > VERTICES_MAX
    features: list[Feature] = []
    for (route, first, last), number in number_of.items():
        xy = _thinned(patterns.line_xy[first:last]) if thin else patterns.line_xy[first:last]
        lon, lat = to_degrees.transform(xy[:, 0], xy[:, 1])
        features.append(
            {
                "type": "Feature",
                "id": number,
                "properties": {"kind": "line", "route": network.routes.ids[route], "colour": colours[route][0]},
                "geometry": {
                    "type": "LineString",
                    "coordinates": np.round(np.column_stack((lon, lat)), COORDINATE_DIGITS).tolist(),
                },
            }
        )
    return features, line_of_pattern


def _thinned(xy: Floats) -> Floats:
    return shapely.get_coordinates(shapely.simplify(shapely.linestrings(xy), THINNED_TO_M)) if len(xy) > 2 else xy


def _stops(network: Network) -> list[Feature]:
    stops, patterns = network.stops, network.patterns
    features: list[Feature] = []
    for stop, rows in enumerate(network.rows_of_stop):
        if len(rows) == 0:
            continue
        routes = sorted({int(route) for route in patterns.route[network.pattern_of_row[rows]]})
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "kind": "stop",
                    "stop": stops.ids[stop],
                    "code": stops.codes[stop],
                    "name": stops.names[stop],
                    **{
                        f"name_{language}": name
                        for language, name in _by_language(stops.names_by_language, stops.names[stop], stop).items()
                    },
                    "routes": [network.routes.ids[route] for route in routes],
                    "rank": len(routes),
                },
                "geometry": {
                    "type": "Point",
                    "coordinates": [
                        round(float(stops.lon[stop]), COORDINATE_DIGITS),
                        round(float(stops.lat[stop]), COORDINATE_DIGITS),
                    ],
                },
            }
        )
    return features


def _bounds(network: Network) -> list[float]:
    """Return [west, south, east, north] of the stops in use, or of nothing: the whole world."""
    used = np.unique(network.patterns.stop)
    if len(used) == 0:
        return [-180.0, -80.0, 180.0, 80.0]
    lat, lon = network.stops.lat[used], network.stops.lon[used]
    return [round(float(edge), 5) for edge in (lon.min(), lat.min(), lon.max(), lat.max())]


def _by_language(names: Mapping[str, tuple[str, ...]], fallback: str, place: int) -> dict[str, str]:
    return {language: names[language][place] if language in names else fallback for language in LANGUAGES}


def _natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Return a sort key that puts 2 before 10 and 10 before 10A."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)
