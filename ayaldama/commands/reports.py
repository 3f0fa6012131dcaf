"""``ayaldama reports``: what people at stops reported, to be looked at and closed."""

import asyncio
import datetime as dt
import zoneinfo
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import click
from rich.markup import escape
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.database import open_database
from ayaldama.settings import Settings
from commons.clock import SystemClock
from stop_display.model import Line
from stop_display.stop_page.report_store import KeptReport, ReportStore

NOTE_MAX: Final = 500

Result = TypeVar("Result")


HELP: Final = """Look at what people at stops reported on their pages, and close it.

\b
ayaldama reports list              what is open, newest first
ayaldama reports show 17           one report: what the page showed, what the server had
ayaldama reports close 17 --note "panel replaced"
"""


@click.group("reports", help=HELP)
def reports() -> None:
    """Look at what people at stops reported on their pages, and close it."""


@reports.command("list")
@click.option("--stop", default="", metavar="STOP_ID", help="Only reports of one stop.")
@click.option("--closed", is_flag=True, help="Closed ones too.")
@click.option("--limit", default=50, type=click.IntRange(1, 5_000), help="How many at most (default 50).")
@click.pass_obj
def list_reports(chosen: Chosen, stop: str, closed: bool, limit: int) -> None:
    """List open reports, newest first."""
    found = _with_reports(
        chosen.read().settings, lambda store: store.listed(stop_id=stop, closed_too=closed, limit=limit)
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("number", "reported", "stop", "what", "route", "state", "text"):
        table.add_column(heading)
    for one in found:
        state = f"closed: {escape(one.note)}" if one.closed_ms is not None else "open"
        words = (str(one.number), _time(one, one.reported_ms), one.stop_id, one.trouble, one.route)
        table.add_row(*(escape(word) for word in words), state, escape(one.text.replace("\n", " ")))
    console().print(table if found else "no reports")


@reports.command("show")
@click.argument("number", type=click.IntRange(min=1))
@click.pass_obj
def show(chosen: Chosen, number: int) -> None:
    """Show report NUMBER: what the page showed, with the age of each row, and what the server had at that moment."""
    report = _with_reports(chosen.read().settings, lambda store: store.report(number))
    if report is None:
        fail(f"there is no report {number}; see `ayaldama reports list --closed`")
    out = console()
    out.print(
        f"report {number} of {_time(report, report.reported_ms)} at stop {escape(report.stop_id)}: {report.trouble}"
    )
    if report.route:
        out.print(f"route {escape(report.route)}")
    if report.text:
        out.print(escape(report.text))
    if report.closed_ms is not None:
        out.print(f"closed {_time(report, report.closed_ms)}: {escape(report.note)}")
    _show_page(report)
    out.print("\nthe server had:")
    for line in report.board.lines:
        out.print(f"  {escape(line.route)} {escape(line.destination['kk'])}: {_held(report, line)}")


@reports.command("close")
@click.argument("numbers", nargs=-1, required=True, type=click.IntRange(min=1))
@click.option("--note", default="", metavar="TEXT", help="What was found or done.")
@click.pass_obj
def close(chosen: Chosen, numbers: tuple[int, ...], note: str) -> None:
    """Close the reports NUMBERS; 90 days later they are deleted."""
    if len(note) > NOTE_MAX:
        fail(f"--note has {len(note)} letters: at most {NOTE_MAX}", EXIT_USAGE)
    settings = chosen.read().settings
    now_ms = SystemClock(settings.clock_anchor).now_ms()
    closed = _with_reports(settings, lambda store: store.close(list(numbers), note, now_ms))
    if closed:
        click.echo(f"closed: {', '.join(str(number) for number in closed)}")
    missing = sorted(set(numbers) - set(closed))
    if missing:
        fail(f"not open: {', '.join(str(number) for number in missing)}; see `ayaldama reports list`")


def _show_page(report: KeptReport) -> None:
    out, page = console(), report.page
    if page is None:
        out.print("\nthe page had not heard of the server yet")
        return
    out.print(
        f"\nthe page showed at {_time(report, page.at_ms)} "
        f"({escape(page.quality)}, server heard {page.silent_s} s before):"
    )
    for row in page.rows:
        age = f"  (fix {row.age_s} s old)" if row.age_s is not None else ""
        out.print(f"  {escape(row.route)} {escape(row.destination)}: {escape(row.state)}, {escape(row.said)}{age}")


def _held(report: KeptReport, line: Line) -> str:
    rows = [f"{_time(report, row.arrival_ms)} {row.state} {row.vehicle}".strip() for row in line.arrivals]
    return ", ".join([line.state, *rows])


def _time(report: KeptReport, ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(ms / 1000, tz=zoneinfo.ZoneInfo(report.time_zone)):%Y-%m-%d %H:%M:%S}"


def _with_reports(settings: Settings, act: Callable[[ReportStore], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with open_database(settings) as pool:
            return await act(ReportStore(pool))

    try:
        return asyncio.run(run())
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)


COMMAND: Final = reports
