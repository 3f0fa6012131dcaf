"""``ayaldama gtfs``: look at a feed, or make one."""

import datetime as dt
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from ayaldama.commands._base import console, fail
from ayaldama.terminal import Steps
from commons.clock import wall_ms
from gtfs_data.build import BuildError, BuildReport, FolderUnreadableError, build_feed
from gtfs_data.check import CheckReport, FeedUnreadableError, Severity, with_fares
from gtfs_data.compile import compile_feed
from gtfs_data.summary import Summary, summarize

SHOWN_PER_CODE: Final = 3
COLOURS: Final = ((Severity.ERROR, "red"), (Severity.WARNING, "yellow"), (Severity.INFO, "dim"))


@click.group("gtfs")
def gtfs() -> None:
    """Look at a GTFS feed, or make one for a city that has none."""


@gtfs.command("check")
@click.argument("feed", type=click.Path(path_type=Path))
@click.option("--all", "show_all", is_flag=True, help="Show up to 20 notices of each kind instead of 3.")
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="Say if the feed is over on this day.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: notices, their counts, and the figures.")
def check(feed: Path, show_all: bool, on: dt.datetime | None, as_json: bool) -> None:
    """Show what is wrong with FEED (a zip file or a folder) and what is in it.

    Exit status 1 if there are errors; warnings alone are 0.
    """
    try:
        if as_json:
            compiled = compile_feed(feed, on=on.date() if on else None)
            report = with_fares(compiled.report, feed)
            summary = summarize(compiled.network) if compiled.network else None
            answer = {"report": report, "summary": summary}
            click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        else:
            steps = Steps(console())
            with steps.step(f"reading {feed.name}"):
                compiled = compile_feed(feed, on=on.date() if on else None)
                report = with_fares(compiled.report, feed)
            _print_notices(report, steps, per_code=None if show_all else SHOWN_PER_CODE)
            if compiled.network is not None:
                _print_summary(summarize(compiled.network), steps)
    except FeedUnreadableError as error:
        fail(str(error))
    if report.errors:
        raise SystemExit(1)


@gtfs.command("build")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The feed to write (a zip)."
)
@click.option(
    "--today",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day from which validity is counted, where city.toml gives days instead of dates. Default: today (UTC).",
)
@click.option("--all", "show_all", is_flag=True, help="Show up to 20 faults of each kind instead of 3.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built, or what is wrong, as JSON.")
def build(folder: Path, output: Path, today: dt.datetime | None, show_all: bool, as_json: bool) -> None:
    """Make a GTFS feed from FOLDER, for a city that has none (docs/city_without_gtfs.md).

    Exit status 1 if anything in FOLDER must be mended; then no feed is written.
    """
    day = today or dt.datetime.fromtimestamp(wall_ms() / 1_000, dt.UTC)
    steps = Steps(console())
    try:
        if as_json:
            report = build_feed(folder, output, today=day.date())
            click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
            return
        with steps.step(f"building {output.name}"):
            report = build_feed(folder, output, today=day.date())
    except FolderUnreadableError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror or error}")
    except BuildError as error:
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(error.report), indent=2))
        else:
            _print_notices(error.report, steps, per_code=None if show_all else SHOWN_PER_CODE)
        raise SystemExit(1) from error
    _print_notices(report.warnings, steps, per_code=None if show_all else SHOWN_PER_CODE)
    _print_build(report, steps)


def _print_build(report: BuildReport, steps: Steps) -> None:
    steps.console.print(
        f"  {report.routes} routes, {report.lines} lines of {report.shortest_km:.1f} to {report.longest_km:.1f} km, "
        f"{report.stops} stops with {report.stop_names} names in {', '.join(report.languages)}\n"
        f"  {report.trips} trips ({report.frequency_trips} of them stand for a headway), "
        f"{report.stop_times} stop times\n"
        f"  valid from {report.first_day} to {report.last_day}, version {report.feed_version}\n"
    )
    service = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("day type", "departures", "hours of service", "vehicle km", "vehicles at most"):
        service.add_column(heading, justify="left" if heading == "day type" else "right")
    for day in report.days:
        most = max(day.vehicles, default=0)
        service.add_row(
            day.day_type, f"{day.departures}", f"{day.service_hours:.0f}", f"{day.vehicle_km:.0f}", f"{most}"
        )
    steps.console.print(service)
    hours = max((len(day.vehicles) for day in report.days), default=0)
    first = min((hour for day in report.days for hour, count in enumerate(day.vehicles) if count), default=0)
    vehicles = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), title="vehicles in each hour")
    vehicles.add_column("")
    for hour in range(first, hours):
        vehicles.add_column(f"{hour}", justify="right")
    for day in report.days:
        counts = [*day.vehicles, *[0] * (hours - len(day.vehicles))]
        vehicles.add_row(day.day_type, *(str(count) for count in counts[first:]))
    steps.console.print(vehicles)


def _print_summary(summary: Summary, steps: Steps) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(summary.routes.items()))
    figures = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
    for name, value in (
        ("agency", f"{summary.agency} ({summary.time_zone})"),
        ("languages", ", ".join(summary.languages) or "not said"),
        ("version", summary.version or "not said"),
        ("runs", f"{summary.first_date} to {summary.last_date}" if summary.first_date else "never"),
        ("busiest day", f"{summary.busiest_date}: {summary.busiest_trips:,} trips" if summary.busiest_date else "none"),
        ("routes", kinds),
        ("patterns", f"{summary.patterns:,}, {summary.line_km:,.0f} km, {summary.shaped_share:.0%} with a shape"),
        ("stops", f"{summary.stops_used:,} of {summary.stops:,} used, at most {summary.gap_max_m:.0f} m off the line"),
        ("trips", f"{summary.trips:,}, {summary.frequency_trips:,} of them templates of a headway"),
        ("stop times", f"{summary.stop_times:,}, {summary.timed_share:.0%} with a time of their own"),
        ("services", f"{summary.services:,}"),
        ("blocks", f"{summary.blocks:,}"),
    ):
        figures.add_row(name, escape(value))
    steps.console.print(figures)


def _print_notices(report: CheckReport, steps: Steps, *, per_code: int | None) -> None:
    colours = dict(COLOURS)
    table = Table(box=None, pad_edge=False, show_edge=False)
    for heading in ("", "file", "line", "field", "value", "rule"):
        table.add_column(heading, overflow="fold")
    for code, total in report.counts.items():
        kept = [notice for notice in report.notices if notice.code is code][:per_code]
        for notice in kept:
            row = "" if notice.row is None else str(notice.row)
            word = f"[{colours[notice.severity]}]{notice.severity.value}[/]"
            table.add_row(word, notice.file, row, notice.field, escape(notice.value), escape(notice.rule))
        if total > len(kept):
            table.add_row("", "", "", "", "", f"[dim]… {total - len(kept)} more {code.value}[/]")
    if report.notices:
        steps.console.print(table)
    steps.console.print(f"\n  {report.errors} errors, {report.warnings} warnings")


COMMAND: Final = gtfs
