"""``ayaldama vehicles``: what is written on buses, so that rides can be bought by number or plate."""

import asyncio
import csv
from pathlib import Path
from typing import Final

import asyncpg
import click

from ayaldama.commands._base import EXIT_UNAVAILABLE, Chosen, fail
from ayaldama.database import open_database
from fare.store.postgres_vehicles import PostgresVehicles
from fare.vehicles import Vehicle

REQUIRED: Final = ("vehicle_id", "fleet_number")


@click.group("vehicles")
def vehicles() -> None:
    """Say what is written on buses: riders buy by it."""


@vehicles.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def import_list(chosen: Chosen, file: Path) -> None:
    """Take a CSV FILE with the columns vehicle_id,fleet_number[,plate]; all of it or nothing.

    Vehicles that are not in FILE stay as they are. Keep fleet numbers apart from the numbers of stops: one that is both
    buys a ride.
    """
    try:
        taken = read_vehicles(file)
        asyncio.run(_register(chosen, taken))
    except ValueError as error:
        fail(f"{file}: {error}")
    except asyncpg.UniqueViolationError as error:
        fail(f"{file}: the same is written on two vehicles: {error.detail}")
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)
    click.echo(f"{len(taken)} vehicles taken", err=True)


def read_vehicles(file: Path) -> list[Vehicle]:
    """Return the vehicles of a CSV file.

    Raises:
        ValueError: if a column or a value is missing; the message says where.
        OSError: if it cannot be read.
    """
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        missing = [column for column in REQUIRED if column not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(f"column {missing[0]} is missing")
        found = []
        for row in rows:
            said = {name: (row.get(name) or "").strip() for name in (*REQUIRED, "plate")}
            if not all(said[name] for name in REQUIRED):
                raise ValueError(f"line {rows.line_num}: {' and '.join(REQUIRED)} must be given")
            found.append(Vehicle(**said))
    return found


async def _register(chosen: Chosen, taken: list[Vehicle]) -> None:
    async with open_database(chosen.read().settings) as pool:
        await PostgresVehicles(pool).register(taken)


COMMAND: Final = vehicles
