"""``ayaldama simulate``: simulated buses written to a file, as fast as the machine can."""

import datetime as dt
from pathlib import Path
from typing import Final

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ayaldama.commands._base import Chosen, console, fail
from ayaldama.simulate.closures import closure_of
from ayaldama.simulate.record import record
from ayaldama.terminal import Steps
from gtfs_data.calendar import day_zero_ms
from gtfs_data.compile import load_network

BUSES_MAX: Final = 5_000
DAY_S: Final = 86_400


class _ClockTime(click.ParamType[int]):
    """``HH:MM`` as seconds of the day; 24:00 is the end of it."""

    name = "time"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return seconds."""
        hours, _, minutes = str(value).partition(":")
        if not (hours.isdigit() and minutes.isdigit() and len(minutes) == 2 and int(minutes) < 60):
            self.fail(f"{value!r} must be HH:MM", param, ctx)
        seconds = 3600 * int(hours) + 60 * int(minutes)
        if seconds > DAY_S:
            self.fail(f"{value!r} is after 24:00", param, ctx)
        return seconds


@click.command("simulate")
@click.option(
    "--gtfs",
    "feed",
    required=True,
    metavar="FEED",
    type=click.Path(exists=True, path_type=Path),
    help="GTFS feed: zip or folder.",
)
@click.option("--date", required=True, type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Service date.")
@click.option(
    "--from",
    "begin_s",
    type=_ClockTime(),
    default="07:00",
    show_default=True,
    metavar="HH:MM",
    help="Local time at which the recording begins.",
)
@click.option(
    "--to",
    "end_s",
    type=_ClockTime(),
    default="09:00",
    show_default=True,
    metavar="HH:MM",
    help="Local time at which it ends.",
)
@click.option(
    "--buses",
    type=click.IntRange(1, BUSES_MAX),
    default=200,
    show_default=True,
    metavar="N",
    help="At most so many; with fewer than the day needs, headways grow.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, metavar="N", help="Same seed, same file."
)
@click.option(
    "--closed",
    metavar="STOP:STOP",
    help="Close the street between two stops of a line: all buses over it drive beside it.",
)
@click.option(
    "-o",
    "--output",
    "fixes_out",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Positions as units report them (TIDES vehicle_locations): .csv or .csv.gz.",
)
@click.option(
    "--truth",
    "truth_out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="When each bus truly was at each stop: .csv or .csv.gz.",
)
@click.pass_obj
def simulate(
    chosen: Chosen,
    feed: Path,
    date: dt.datetime,
    begin_s: int,
    end_s: int,
    buses: int,
    seed: int,
    closed: str | None,
    fixes_out: Path,
    truth_out: Path | None,
) -> None:
    """Write what the units of simulated buses report on a day, and the truth.

    The same seed gives the same file. `ayaldama replay` reads it.

    \b
    ayaldama simulate --gtfs gtfs.zip --date 2026-09-21 -o avl.csv.gz --truth truth.csv.gz
    ayaldama replay --gtfs gtfs.zip --avl avl.csv.gz --predictions-out predictions.csv.gz
    """  # noqa: D301 - \\b is click's mark for lines that stay as they are
    if begin_s >= end_s:
        raise click.UsageError("--from must be before --to")
    settings = chosen.read().settings
    steps = Steps(console())
    try:
        with steps.step(f"feed {feed.name}"):
            network = load_network(feed, cache=settings.network_cache)
        closure = closure_of(network, *_two_stops(closed)) if closed else None
    except ValueError as error:
        fail(str(error))
    zero_ms = day_zero_ms(date.date(), network.time_zone)
    start_ms, end_ms = zero_ms + 1000 * begin_s, zero_ms + 1000 * end_s
    columns = (TextColumn("  simulating"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=steps.console) as bar:
        task = bar.add_task("", total=end_ms - start_ms)
        try:
            done = record(
                network,
                buses=buses,
                seed=seed,
                start_ms=start_ms,
                end_ms=end_ms,
                fixes_out=fixes_out,
                truth_out=truth_out,
                closure=closure,
                progress=lambda now_ms: bar.update(task, completed=now_ms - start_ms),
            )
        except OSError as error:
            fail(str(error))
    if not done.buses:
        fail(f"no bus runs on {date:%Y-%m-%d} between these hours: the feed has no service then")
    steps.console.print(f"  buses {done.buses}, fixes {done.fixes}, stop passages {done.passages}")


def _two_stops(closed: str) -> tuple[str, str]:
    from_stop, separator, to_stop = closed.partition(":")
    if not separator:
        raise click.UsageError("--closed must be two stop ids with a colon between")
    return from_stop, to_stop


COMMAND: Final = simulate
