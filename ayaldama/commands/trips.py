"""``ayaldama trips``: runs that do not run today, struck out on the boards within two seconds."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import click
from rich.markup import escape
from rich.table import Table

from ayaldama.commands._base import EXIT_USAGE, Chosen, console, fail
from ayaldama.commands._dispatcher import author_of, in_city, routes_named, shown, wrong
from ayaldama.running_city import RunningCity
from gtfs_data.calendar import ServiceDay, local_date, service_day
from gtfs_data.model import TripId
from gtfs_data.network import Network
from transit.notices import FOLLOWED_MS, Cancellation, Cancelled
from transit.store.redis_notices import NoticesStore

DATES: Final = click.DateTime(["%Y-%m-%d"])


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One departure of a trip, or all that a headway makes of it (``every_s``). Times are epoch milliseconds."""

    name: str  # as ``transit.notices.Cancellation.name``
    trip: int
    start_ms: int
    end_ms: int
    every_s: int = 0


HELP: Final = """Cancel runs and let them run again. Boards strike out a cancelled run until its time has passed.

\b
What route 10 runs today:      ayaldama trips list --route 10
The 18:05 does not run today:  ayaldama trips cancel 10-0-1805
It runs after all:             ayaldama trips restore 10-0-1805
"""


@click.group("trips", help=HELP)
def trips() -> None:
    """Hold the commands."""


@trips.command("cancel")
@click.argument("trip_id", metavar="TRIP")
@click.option("--date", type=DATES, help="Service day (default: today in the city).")
@click.option("--departure", metavar="HH:MM", help="Only the departure at that time, where a trip has several a day.")
@click.option("--author", metavar="NAME", help="Who says so (default: the name of this account).")
@click.pass_obj
def cancel(chosen: Chosen, trip_id: str, date: dt.datetime | None, departure: str | None, author: str | None) -> None:
    """Say that TRIP (its trip_id) does not run on one service day.

    The dispatcher's word wins: a bus that is on a cancelled run is shown to nobody who waits for that run, on boards
    and in answers by SMS, until it is restored.
    """

    async def say(city: RunningCity) -> PlannedRun:
        runs = _runs_of(city, trip_id, date, departure)
        name = runs[0].name if departure else runs[0].name.rpartition("@")[0]
        until_ms = max(run.end_ms for run in runs)
        if until_ms <= city.now_ms:
            fail(f"trip {trip_id} is over since {shown(until_ms, city.network.time_zone)}", EXIT_USAGE)
        cancellation = Cancellation(
            name=name, until_ms=until_ms + FOLLOWED_MS, author=author_of(author), made_ms=city.now_ms
        )
        await NoticesStore(city.redis, city.keys).put_cancellation(cancellation, city.now_ms)
        return runs[0]

    in_city(chosen, say)


@trips.command("restore")
@click.argument("trip_id", metavar="TRIP")
@click.option("--date", type=DATES, help="Service day (default: today in the city).")
@click.option("--departure", metavar="HH:MM", help="Only the departure at that time, if that was cancelled.")
@click.pass_obj
def restore(chosen: Chosen, trip_id: str, date: dt.datetime | None, departure: str | None) -> None:
    """Say that TRIP runs after all."""

    async def say(city: RunningCity) -> bool:
        runs = _runs_of(city, trip_id, date, departure)
        name = runs[0].name if departure else runs[0].name.rpartition("@")[0]
        store = NoticesStore(city.redis, city.keys)
        if name not in {one.name for one in (await store.read()).cancellations}:
            return False
        await store.remove_cancellation(name, city.now_ms)
        return True

    if not in_city(chosen, say):
        fail(f"trip {trip_id} is not cancelled so; see `ayaldama trips list`")


@trips.command("list")
@click.option("--route", metavar="ROUTE", help="All runs of a route on the day, by id or number.")
@click.option("--date", type=DATES, help="Service day (default: today in the city).")
@click.pass_obj
def list_all(chosen: Chosen, route: str | None, date: dt.datetime | None) -> None:
    """List the runs that are cancelled; with --route, all of that route on a day, and which of them are."""

    async def read(city: RunningCity) -> tuple[Network, Sequence[Cancellation], list[PlannedRun], Cancelled]:
        notices = await NoticesStore(city.redis, city.keys).read()
        network = city.network
        runs: list[PlannedRun] = []
        if route is not None:
            route_ids = {
                network.route_by_id[route_id]
                for route_id in network.routes.ids
                if route_id in routes_named(network, route)
            }
            runs = [
                run
                for run in _runs(network, _day(city, date))
                if int(network.patterns.route[network.trips.pattern[run.trip]]) in route_ids
            ]
        held = [one for one in notices.cancellations if one.until_ms > city.now_ms]
        return network, held, runs, Cancelled(one.name for one in held)

    network, held, runs, cancelled = in_city(chosen, read)
    zone = network.time_zone
    table = Table(box=None, pad_edge=False)
    if route is not None:
        for heading in ("trip", "leaves", "arrives", "to", "state"):
            table.add_column(heading)
        for run in runs:
            every = f" every {run.every_s // 60} min" if run.every_s else ""
            state = "[red]cancelled[/]" if run.name in cancelled else ""
            headsign = network.patterns.headsigns[int(network.trips.pattern[run.trip])]
            trip_id = escape(network.trips.ids[run.trip])
            table.add_row(trip_id, shown(run.start_ms, zone) + every, shown(run.end_ms, zone), escape(headsign), state)
    else:
        for heading in ("day", "trip", "departure", "author", "said"):
            table.add_column(heading)
        for one in sorted(held, key=lambda one: one.name):
            day, _, rest = one.name.partition(":")
            trip_id, _, start_s = rest.rpartition("@") if "@" in rest else (rest, "", "")
            leaves = shown(1000 * int(start_s), zone) if start_s else "all"
            table.add_row(day, escape(trip_id), leaves, escape(one.author), shown(one.made_ms, zone))
    console().print(table)


def _day(city: RunningCity, date: dt.datetime | None) -> ServiceDay:
    day = date.date() if date is not None else local_date(city.now_ms, city.network.time_zone)
    return service_day(city.network, day)


def _runs(network: Network, day: ServiceDay) -> list[PlannedRun]:
    """Return the runs of a service day and what runs by headway, in order of departure."""
    ids = network.trips.ids
    found = [
        PlannedRun(
            name=f"{day.date:%Y%m%d}:{ids[trip]}@{start_ms // 1000}", trip=trip, start_ms=start_ms, end_ms=end_ms
        )
        for trip, start_ms, end_ms in zip(day.trip.tolist(), day.start_ms.tolist(), day.end_ms.tolist(), strict=True)
    ]
    for window in day.headways:
        rows = network.trips.rows(window.trip)
        lasts_s = int(network.trips.arrival_s[rows][-1]) - int(network.trips.departure_s[rows][0])
        found.append(
            PlannedRun(
                name=f"{day.date:%Y%m%d}:{ids[window.trip]}@{window.start_ms // 1000}",
                trip=int(window.trip),
                start_ms=window.start_ms,
                end_ms=window.end_ms + 1000 * lasts_s,
                every_s=window.headway_s,
            )
        )
    return sorted(found, key=lambda run: (run.start_ms, run.name))


def _runs_of(city: RunningCity, trip_id: str, date: dt.datetime | None, departure: str | None) -> list[PlannedRun]:
    """Return the runs of a trip on a day, or its one departure."""
    network = city.network
    trip = network.trip_by_id.get(TripId(trip_id))
    if trip is None:
        wrong("TRIP", trip_id, "no such trip_id in the feed; `ayaldama trips list --route ROUTE` shows those of a day")
    day = _day(city, date)
    runs = [run for run in _runs(network, day) if run.trip == trip]
    if not runs:
        fail(f"trip {trip_id} does not run on {day.date}: its service {_service_of(network, trip)}", EXIT_USAGE)
    if departure is None:
        return runs
    zone = ZoneInfo(network.time_zone)
    leaves = {f"{dt.datetime.fromtimestamp(run.start_ms / 1000, zone):%H:%M}": run for run in runs if not run.every_s}
    if not leaves:
        wrong(
            "--departure", departure, f"trip {trip_id} runs by headway and has no departures of its own; leave it out"
        )
    found = leaves.get(departure.zfill(5))
    if found is None:
        wrong("--departure", departure, f"trip {trip_id} leaves at {', '.join(list(leaves)[:10])}")
    return [found]


def _service_of(network: Network, trip: int) -> str:
    services = network.services
    service = int(network.trips.service[trip])
    days = [services.first_date + dt.timedelta(int(day)) for day in services.runs[service].nonzero()[0]]
    return f"{services.ids[service]} runs from {days[0]} to {days[-1]}, not each day" if days else "never runs"


COMMAND: Final = trips
