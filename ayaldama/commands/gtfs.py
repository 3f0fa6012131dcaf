"""``ayaldama gtfs``: look at a feed, or make one."""

from pathlib import Path
from typing import Final

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from ayaldama.commands._base import console, fail
from ayaldama.terminal import Steps
from gtfs_data.check import CheckReport, FeedUnreadableError, Severity
from gtfs_data.compile import compile_feed

SHOWN_PER_CODE: Final = 3
COLOURS: Final = ((Severity.ERROR, "red"), (Severity.WARNING, "yellow"), (Severity.INFO, "dim"))


@click.group("gtfs")
def gtfs() -> None:
    """Look at a GTFS feed, or make one for a city that has none."""


@gtfs.command("check")
@click.argument("feed", type=click.Path(path_type=Path))
@click.option("--all", "show_all", is_flag=True, help="Show up to 20 notices of each kind instead of 3.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: notices and their counts.")
def check(feed: Path, show_all: bool, as_json: bool) -> None:
    """Show what is wrong with FEED (a zip file or a folder) and what is in it.

    Exit status 1 if there are errors; warnings alone are 0.
    """
    try:
        if as_json:
            compiled = compile_feed(feed)
            click.echo(msgspec.json.format(msgspec.json.encode(compiled.report), indent=2))
        else:
            steps = Steps(console())
            with steps.step(f"reading {feed.name}"):
                compiled = compile_feed(feed)
            _print_notices(compiled.report, steps, per_code=None if show_all else SHOWN_PER_CODE)
    except FeedUnreadableError as error:
        fail(str(error))
    if compiled.report.errors:
        raise SystemExit(1)


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
