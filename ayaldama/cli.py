"""The command ``ayaldama``: settings first, then one of the commands of ``ayaldama.commands``.

Commands are imported when they are called, so that help and completion answer at once.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from ayaldama.commands._base import Chosen, explained
from commons.logs import configure_logs

COMMANDS: Final = (
    "serve",
    "demo",
    "config",
    "gtfs",
    "devices",
    "alerts",
    "trips",
    "boards",
    "validator",
    "buses",
    "fares",
    "ledger",
    "settle",
    "refund",
    "reconcile",
    "people",
    "reports",
    "replay",
    "evaluate",
    "train",
    "simulate",
    "version",
)

ALSO: Final[Mapping[str, str]] = {"board": "boards"}  # other names of commands, as people say them

HELP: Final = """Real-time tracking and stop boards for a city's public transport.

\b
Try it:            ayaldama demo
Run a city:        ayaldama --settings city.toml serve
See all settings:  ayaldama config
A feed's problems: ayaldama gtfs check feed.zip

Settings come from --settings FILE (or AYALDAMA_SETTINGS, or ayaldama.toml in the working folder) and from the
environment, which wins: web.port is AYALDAMA_WEB__PORT. docs/settings.md lists them all.

\b
Exit status: 0 done, 1 not done (the message says why), 2 wrong usage or settings,
             69 a port, server or folder cannot be had, 130 interrupted.
"""


class _Commands(click.Group):
    """The commands, each imported from ``ayaldama.commands`` when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, the most wanted first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command ``cmd_name``."""
        cmd_name = ALSO.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"ayaldama.commands.{cmd_name}").COMMAND
        return command


@click.command(cls=_Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--settings",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file of settings.",
)
@click.option(
    "--data-folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of all data (setting data_folder; default .data).",
)
@click.pass_context
def cli(context: click.Context, file: Path | None, data_folder: Path | None) -> None:
    """Keep what was chosen before the command; it reads its settings itself."""
    context.obj = Chosen(file=file, data_folder=data_folder)


def main() -> None:
    """Run the command line; errors that a person can mend are one sentence, not a traceback."""
    configure_logs("command", level="WARNING")  # standard output is for answers; processes of the system log more
    with explained():
        cli(prog_name="ayaldama")
