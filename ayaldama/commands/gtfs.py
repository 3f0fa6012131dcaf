"""``ayaldama gtfs``: look at a feed, or make one."""

from pathlib import Path
from typing import Final

import click


@click.group("gtfs")
def gtfs() -> None:
    """Look at a GTFS feed, or make one for a city that has none."""


COMMAND: Final = gtfs
