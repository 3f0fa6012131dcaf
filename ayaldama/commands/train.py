"""``ayaldama train``: learn running times from the stop events of past days."""

import asyncio
import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ayaldama.commands._base import EXIT_UNAVAILABLE, Chosen, console, fail
from ayaldama.database import open_database
from ayaldama.settings import Settings
from commons.clock import SystemClock
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from transit.store.travel_times import Trained, last_whole_day, train
from transit.tracking.training import planned_beginnings


@click.command("train")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Last service date to learn from. Unless told, the last one that is over.",
)
@click.option("--anew", is_flag=True, help="Forget what was learned, and learn from all days that are kept.")
@click.pass_obj
def train_command(chosen: Chosen, until: dt.datetime | None, anew: bool) -> None:
    """Learn running times, dwells and habits of departure from what was observed.

    A running system does this by itself each night, when a service date is over. What is learned takes effect within
    a minute, without a restart.
    """
    settings = chosen.read({}).settings
    if settings.gtfs.feed is None:
        fail("gtfs.feed is not set: the feed says in which time zone a day begins")
    try:
        network = load_network(settings.gtfs.feed, cache=settings.network_cache)
    except ValueError as error:
        fail(str(error))
    zone = ZoneInfo(network.time_zone)
    over = last_whole_day(SystemClock(settings.clock_anchor).now_ms(), zone)
    last = until.date() if until is not None else over
    if last > over:
        fail(f"--until: {last} is not over: a service date ends at 3:00 of the next day; the last one over is {over}")
    try:
        trained = asyncio.run(_train(settings, network, last, anew=anew))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", status=EXIT_UNAVAILABLE)
    if trained.as_of is None:
        click.echo("nothing has been observed yet")
    elif not trained.days:
        click.echo(f"nothing new: {trained.links} links are known, up to {trained.as_of}")
    else:
        click.echo(
            f"{trained.events} stop events of {trained.days} days; {trained.links} links known, up to {trained.as_of}"
        )


async def _train(settings: Settings, network: Network, until: dt.date, *, anew: bool) -> Trained:
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with open_database(settings) as pool:
        with Progress(*columns, console=console(), transient=True) as bar:
            task = bar.add_task("days", total=None)
            return await train(
                *(pool, ZoneInfo(network.time_zone), planned_beginnings(network), until),
                anew=anew,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )


COMMAND: Final = train_command
