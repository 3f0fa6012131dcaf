"""``ayaldama config``: what is in force, and where it came from."""

import json
from typing import Final

import click
from rich.table import Table

from ayaldama.commands._base import Chosen, console


@click.command("config")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: key → value and source.")
@click.pass_obj
def config(chosen: Chosen, as_json: bool) -> None:
    """Print every setting in force and where its value came from. Passwords are masked."""
    in_force = chosen.read().in_force
    if as_json:
        found = {one.key.name: {"value": one.shown, "source": one.source} for one in in_force}
        click.echo(json.dumps(found, ensure_ascii=False, indent=2, default=str))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for one in in_force:
        value = one.shown
        shown = "[dim]–[/]" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)
        style = "" if one.source == "default" else "bold"
        table.add_row(one.key.name, shown, one.source, style=style)
    console().print(table)


COMMAND: Final = config
