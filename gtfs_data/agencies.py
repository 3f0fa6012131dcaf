"""Which agency runs a line: in a city of many carriers, who is owed its fares."""

from collections.abc import Mapping
from pathlib import Path

from gtfs_data import fields
from gtfs_data.read import read_texts


def agencies_of_routes(feed: Path) -> tuple[Mapping[str, str], str]:
    """Return the agency_id of each route_id, and that of the first agency (which a route without one belongs to).

    An agency without an id, as a feed of a single one may have, is called by its name.

    Raises:
        FeedUnreadableError: if the feed cannot be read.
    """
    tables = read_texts(feed, ("routes", "agency"))
    agencies, routes = tables.get("agency"), tables.get("routes")
    ids, names = fields.texts(agencies, "agency_id"), fields.texts(agencies, "agency_name")
    first = next((one or name for one, name in zip(ids, names, strict=True)), "")
    by_route = zip(fields.texts(routes, "route_id"), fields.texts(routes, "agency_id"), strict=True)
    return {route_id: agency_id or first for route_id, agency_id in by_route}, first
