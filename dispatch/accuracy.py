"""What the page of accuracy and its metrics say: figures by route out of sums. Pure.

Seconds and per cent; None where nothing could be counted. Errors are actual minus predicted: positive means that the
bus came later than said.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from dispatch.network_document import route_colours
from gtfs_data.network import Network
from transit.accuracy.bins import MBTA
from transit.accuracy.live import Tally, Told, by_route, summed

ALL: Final = "*"  # stands for all routes


class AheadFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions that looked so many minutes ahead."""

    ahead: str  # "0-3", "3-6", "6-12", "12-30"
    n: int
    mae_s: float | None = None
    late_s: float | None = None
    accurate_pct: float | None = None  # within the MBTA's bounds
    covered_pct: float | None = None  # of the passings within p10 to p90
    width_s: float | None = None  # of that interval, on average


class RouteAccuracy(msgspec.Struct, frozen=True, kw_only=True):
    """One route; ``route`` is "*" for all together."""

    route: str
    name: str
    colour: str  # #rrggbb, as on the map; empty for a route that the feed lacks
    text_colour: str  # legible on it
    ahead: list[AheadFigures]
    passings: int  # observed, from the third stop on
    foretold_pct: float | None  # of these: with a prediction 4 to 6 minutes before
    passings_under_way: int  # of these: at least six minutes into their run
    foretold_under_way_pct: float | None
    countdowns: int  # of two predictions or more
    rises_per_countdown: float | None  # of 60 s or more
    phantom_pct: float | None  # predictions whose vehicle drove on and never came
    passed_pct: float | None  # predictions of what had been


class AccuracyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/accuracy``."""

    server_ms: int
    time_zone: str
    period: str  # "hour" or a service date
    dates: list[str]  # service dates that can be asked for, newest first
    since_ms: int | None  # of the last hour
    until_ms: int | None  # up to then all is judged; None before the first figures
    all: RouteAccuracy | None
    routes: list[RouteAccuracy]


def accuracy_of(tallies: Sequence[Tally], network: Network) -> tuple[RouteAccuracy | None, list[RouteAccuracy]]:
    """Return the figures of all routes together, None if there are none, and of each, in the order people count."""
    if not tallies:
        return None, []
    colours = route_colours(network)
    routes = [_figures(tally, network, colours) for tally in by_route(tallies).values()]
    whole = _figures(summed(tallies), network, colours)
    whole = msgspec.structs.replace(whole, route=ALL, name="", colour="", text_colour="")
    return whole, sorted(routes, key=lambda one: natural(one.name))


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which 2 comes before 10, and 10 before 10A."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts]


def _figures(tally: Tally, network: Network, colours: Sequence[tuple[str, str]]) -> RouteAccuracy:
    number = network.route_by_id.get(tally.route_id)
    colour, text_colour = colours[number] if number is not None else ("", "")
    told = [_ahead(bounds.name, tally.told.get(bounds.name, Told())) for bounds in MBTA]
    sure = sum(one.n for one in told) + tally.passed + tally.phantoms
    return RouteAccuracy(
        route=tally.route_id,
        name=(network.routes.short_names[number] if number is not None else "") or tally.route_id,
        colour=colour,
        text_colour=text_colour,
        ahead=told,
        passings=tally.passings,
        foretold_pct=_pct(tally.foretold, tally.passings),
        passings_under_way=tally.under_way,
        foretold_under_way_pct=_pct(tally.foretold_under_way, tally.under_way),
        countdowns=tally.countdowns,
        rises_per_countdown=round(tally.rises / tally.countdowns, 3) if tally.countdowns else None,
        phantom_pct=_pct(tally.phantoms, sure, digits=2),
        passed_pct=_pct(tally.passed, sure, digits=2),
    )


def _ahead(name: str, told: Told) -> AheadFigures:
    if not told.n:
        return AheadFigures(ahead=name, n=0)
    return AheadFigures(
        ahead=name,
        n=told.n,
        mae_s=round(told.off_s / told.n, 1),
        late_s=round(told.late_s / told.n, 1),
        accurate_pct=_pct(told.accurate, told.n),
        covered_pct=_pct(told.covered, told.bounded),
        width_s=round(told.width_s / told.bounded, 1) if told.bounded else None,
    )


def _pct(part: int, whole: int, *, digits: int = 1) -> float | None:
    return round(100 * part / whole, digits) if whole else None


def busiest(routes: Iterable[RouteAccuracy], limit: int) -> list[RouteAccuracy]:
    """Return the ``limit`` routes with most predictions."""
    return sorted(routes, key=lambda one: -sum(ahead.n for ahead in one.ahead))[:limit]
