"""What the commands of dispatchers share: the running city, its stops, routes and times as a person writes them."""

import asyncio
import datetime as dt
import difflib
import getpass
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NoReturn, TypeVar
from zoneinfo import ZoneInfo

from redis.exceptions import RedisError

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, fail
from ayaldama.roles._base import RoleError
from ayaldama.running_city import RunningCity, open_city
from gtfs_data.network import Network

AUTHOR_MAX: Final = 60
SPAN: Final = re.compile(r"(\d{1,4})\s*(m|min|h|d)")
SPAN_MS: Final[Mapping[str, int]] = {"m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
MOMENT: Final = "%Y-%m-%d %H:%M"
CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")

Result = TypeVar("Result")


def in_city(chosen: Chosen, act: Callable[[RunningCity], Awaitable[Result]]) -> Result:
    """Return what ``act`` does with the running city; what cannot be done is one sentence and an exit status."""
    settings = chosen.read().settings

    async def run() -> Result:
        async with open_city(settings) as city:
            return await act(city)

    try:
        return asyncio.run(run())
    except RoleError as error:
        fail(str(error), EXIT_USAGE)
    except (RedisError, OSError) as error:
        fail(f"Redis does not answer: {error}", EXIT_UNAVAILABLE)


def wrong(option: str, value: str, rule: str) -> NoReturn:
    """End with what is wrong with an option, as ``option value: rule``."""
    fail(f"{option} {value}: {rule}", EXIT_USAGE)


def author_of(said: str | None) -> str:
    """Return who speaks: as told, else the name of the account."""
    author = said if said is not None else getpass.getuser()
    if not author.strip() or len(author) > AUTHOR_MAX or not author.isprintable():
        wrong("--author", repr(author), f"a name of 1 to {AUTHOR_MAX} characters")
    return author.strip()


def stops_named(network: Network, said: str) -> list[str]:
    """Return the ids of a stop named by its id, or of all that have its number on their sign."""
    if said in network.stop_by_id:
        return [said]
    found = [str(stop_id) for stop_id, code in zip(network.stops.ids, network.stops.codes, strict=True) if code == said]
    if not found:
        wrong("--stop", said, f"no such stop: {_near(said, [*network.stops.ids, *network.stops.codes])}")
    return found


def routes_named(network: Network, said: str, option: str = "--route") -> list[str]:
    """Return the ids of a route named by its id, or of all that have its number."""
    if said in network.route_by_id:
        return [said]
    routes = network.routes
    found = [str(route_id) for route_id, name in zip(routes.ids, routes.short_names, strict=True) if name == said]
    if not found:
        wrong(option, said, f"no such route: {_near(said, [*routes.ids, *routes.short_names])}")
    return found


def moment_ms(option: str, said: str, zone: str, now_ms: int) -> int:
    """Return a moment of city time, ``2026-11-26 18:00``, or ``18:00`` for the next such hour."""
    clock = CLOCK.fullmatch(said.strip())
    now = dt.datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone))
    if clock is not None:
        moment = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        return _ms(moment if moment >= now.replace(second=0, microsecond=0) else moment + dt.timedelta(days=1))
    try:
        return _ms(dt.datetime.strptime(said.strip().replace("T", " "), MOMENT).replace(tzinfo=ZoneInfo(zone)))
    except ValueError:
        wrong(option, said, "must be a time of the city, as “2026-11-26 18:00” or 18:00")


def span_ms(option: str, said: str) -> int:
    """Return how long ``90m``, ``2h`` or ``3d`` is."""
    found = SPAN.fullmatch(said.strip())
    if found is None or not int(found[1]):
        wrong(option, said, "must be so many minutes, hours or days, as 90m, 2h or 3d")
    return int(found[1]) * SPAN_MS[found[2]]


def shown(at_ms: int, zone: str) -> str:
    """Return a moment of city time as people write it."""
    return f"{dt.datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)):{MOMENT}}"


def _ms(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)


def _near(said: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(said, {one for one in known if one}, n=3, cutoff=0.5)
    return f"did you mean {', '.join(near)}?" if near else "see stops.txt and routes.txt of the feed"
