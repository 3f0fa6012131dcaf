"""``ayaldama replay``: a recorded day through the same tracking as a live one."""

import asyncio
import datetime as dt
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ayaldama import replaying
from ayaldama.commands._base import Chosen, console, fail
from ayaldama.settings import Settings
from ayaldama.system import CITY, run_system
from ayaldama.terminal import Steps
from gtfs_data.compile import load_network
from gtfs_data.network import Network
from transit.accuracy.recording import Recording, read_recording
from transit.accuracy.replay import POSITIONS, PREDICTIONS, Replayed
from transit.accuracy.replay import replay as replay_at_once
from transit.accuracy.tables import TableFile

SPEED_MAX: Final = 600.0


class _Speed(click.ParamType[float | None]):
    """A number above 0, or ``max``."""

    name = "speed"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Return the speed; None for ``max``."""
        if value == "max":
            return None
        try:
            speed = float(value)
        except ValueError:
            self.fail(f"{value!r} must be a number or max", param, ctx)
        if not 0 < speed <= SPEED_MAX:
            self.fail(f"{value} must be above 0 and at most {SPEED_MAX:.0f}, or max", param, ctx)
        return speed


@click.command("replay")
@click.option(
    "--gtfs",
    "feed",
    required=True,
    metavar="FEED",
    type=click.Path(exists=True, path_type=Path),
    help="GTFS feed of that day: zip or folder.",
)
@click.option(
    "--avl",
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Recorded positions (TIDES vehicle_locations): .csv, .csv.gz or .parquet.",
)
@click.option(
    "--speed",
    type=_Speed(),
    metavar="N|max",
    default="max",
    show_default=True,
    help="N: the whole system, N times as fast as it was, to be watched in a browser. max: tracking alone, at once.",
)
@click.option(
    "--predictions-out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write predictions: .csv, .csv.gz or .parquet (with --speed max).",
)
@click.option(
    "--positions-out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was made of each report: .csv, .csv.gz or .parquet (with --speed max).",
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Write predictions once in so many recorded seconds.",
)
@click.option(
    "--from",
    "start",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    metavar="DATE[THH:MM]",
    help="Leave out what was recorded before, in the feed's local time.",
)
@click.option("--port", type=int, metavar="PORT", help="Port of the pages (with --speed N; default 8080).")
@click.pass_obj
def replay(
    chosen: Chosen,
    feed: Path,
    avl: Path,
    speed: float | None,
    predictions_out: Path | None,
    positions_out: Path | None,
    every: int,
    start: dt.datetime | None,
    port: int | None,
) -> None:
    """Replay recorded positions of a day over the GTFS feed of that day.

    Reports go through the tracking that follows live vehicles, in order of time; a prediction rests only on what was
    known when it was made. With --speed N nothing is kept: the system runs in a temporary folder.

    \b
    ayaldama replay --gtfs gtfs.zip --avl day.csv.gz --predictions-out predictions.parquet
    ayaldama replay --gtfs gtfs.zip --avl day.csv.gz --speed 10 --from 2018-11-06T07:00
    """  # noqa: D301 - \\b is click's mark for lines that stay as they are
    settings = chosen.read({"web.port": port}).settings
    for option, file in (("--predictions-out", predictions_out), ("--positions-out", positions_out)):
        if speed is not None and file is not None:
            raise click.UsageError(f"{option} goes with --speed max: what is written is the same at any speed")
    steps = Steps(console())
    try:
        with steps.step(f"feed {feed.name}"):
            network = load_network(feed, cache=settings.network_cache)
        with steps.step(f"recording {avl.name}"):
            recording = read_recording(avl)
            if start is not None:
                local = start.replace(tzinfo=ZoneInfo(network.time_zone))
                recording = recording.since(round(local.timestamp() * 1_000))
        predictions = TableFile(predictions_out, PREDICTIONS) if predictions_out else None
        positions = TableFile(positions_out, POSITIONS) if positions_out else None
    except ValueError as error:  # of a feed, a recording or a file name: each says which and why
        fail(str(error))
    if speed is None:
        _replay_at_once(network, recording, predictions, positions, every, steps)
    else:
        _replay_to_watch(settings, feed, network, recording, speed, steps)


def _replay_at_once(
    network: Network,
    recording: Recording,
    predictions: TableFile | None,
    positions: TableFile | None,
    every_s: int,
    steps: Steps,
) -> None:
    total = len(recording.batch)
    with _progress(steps) as bar, predictions or nullcontext() as sink, positions or nullcontext() as of_fixes:
        task = bar.add_task("reports", total=total)
        done = replay_at_once(
            *(network, recording),
            every_s=every_s,
            sink=sink,
            positions=of_fixes,
            progress=lambda count: bar.update(task, completed=count),
        )
    _print(done, steps)


def _replay_to_watch(
    settings: Settings, feed: Path, network: Network, recording: Recording, speed: float, steps: Steps
) -> None:
    replace = msgspec.structs.replace
    zone = ZoneInfo(network.time_zone)
    with tempfile.TemporaryDirectory(prefix="ayaldama-replay-") as folder:
        settings = replace(
            settings,
            data_folder=Path(folder),
            redis_url="",
            postgres_url="",
            gtfs=replace(settings.gtfs, feed=feed.resolve(), cache=settings.network_cache.resolve()),
        )
        settings = replaying.with_recorded_clock(settings, recording, speed)

        def announce(in_force: Settings, ports: Mapping[str, int]) -> None:
            steps.console.print(f"\n  [bold]http://{in_force.web.host}:{ports['web']}/[/]   (stop with Ctrl-C)\n")

        async def alongside(in_force: Settings, stop: asyncio.Event) -> None:
            with _progress(steps) as bar:
                task = bar.add_task("", total=len(recording.batch))

                def progress(done: int, now_ms: int) -> None:
                    at = dt.datetime.fromtimestamp(now_ms / 1_000, zone)
                    bar.update(task, completed=done, description=f"{at:%Y-%m-%d %H:%M:%S}")

                await replaying.feed(recording, in_force, stop, progress)

        run_system(settings, steps=steps, announce=announce, planned=CITY[1:], alongside=alongside)


def _progress(steps: Steps) -> Progress:
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=steps.console)


def _print(done: Replayed, steps: Steps) -> None:
    share = done.vehicles_predicted / done.vehicles if done.vehicles else 0.0
    rejected = ", ".join(f"{count} {reason.value}" for reason, count in sorted(done.rejected.items())) or "none"
    steps.console.print(f"  reports      {done.reports} ({done.accepted} accepted; rejected: {rejected})")
    steps.console.print(f"  vehicles     {done.vehicles}, with predictions {done.vehicles_predicted} ({share:.0%})")
    steps.console.print(f"  predictions  {done.predictions}")
    steps.console.print(f"  stop events  {done.stop_events}")


COMMAND: Final = replay
