"""``ayaldama devices``: which tracker is which vehicle."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import click
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, Chosen, console, fail
from ayaldama.database import open_database
from transit.intake.devices import (
    DeviceListError,
    DeviceRow,
    add_device,
    import_devices,
    list_devices,
    read_device_list,
    set_enabled,
)

Result = TypeVar("Result")


@click.group("devices")
def devices() -> None:
    """Say which tracker is which vehicle. A running system hears of changes at once.

    A tracker signs in with its id (IMEI) and a key. Keys are made here and shown once; only a digest is kept.
    """


@devices.command("add")
@click.argument("device_id")
@click.argument("vehicle_id")
@click.option("--note", default="", help="Anything worth knowing: plate, depot, SIM.")
@click.pass_obj
def add(chosen: Chosen, device_id: str, vehicle_id: str, note: str) -> None:
    """Add the tracker DEVICE_ID of vehicle VEHICLE_ID and print its key, now and never again."""
    row = DeviceRow(device_id=device_id, vehicle_id=vehicle_id, note=note)
    click.echo(_in_database(chosen, lambda pool: add_device(pool, row)))


@devices.command("list")
@click.pass_obj
def list_all(chosen: Chosen) -> None:
    """List all trackers, the vehicles they are on, and which are disabled."""
    table = Table(box=None, pad_edge=False)
    for heading in ("device", "vehicle", "state", "note"):
        table.add_column(heading)
    for device in _in_database(chosen, list_devices):
        state = "on" if device.enabled else "[red]disabled[/]"
        table.add_row(device.device_id, device.vehicle_id, state, device.note)
    console().print(table)


@devices.command("disable")
@click.argument("device_id")
@click.pass_obj
def disable(chosen: Chosen, device_id: str) -> None:
    """Take no more reports of the tracker DEVICE_ID (lost, sold, sends nonsense)."""
    _switch(chosen, device_id, enabled=False)


@devices.command("enable")
@click.argument("device_id")
@click.pass_obj
def enable(chosen: Chosen, device_id: str) -> None:
    """Take reports of the tracker DEVICE_ID again."""
    _switch(chosen, device_id, enabled=True)


@devices.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--new-keys", is_flag=True, help="Give trackers that are known a new key too.")
@click.pass_obj
def import_list(chosen: Chosen, file: Path, new_keys: bool) -> None:
    """Take a CSV FILE with the columns device_id,vehicle_id[,note]; all of it or nothing.

    Prints device_id,key of every key made. Trackers that are not in FILE stay as they are.
    """
    rows = _checked(lambda: read_device_list(file))
    keys = _in_database(chosen, lambda pool: import_devices(pool, rows, new_keys=new_keys))
    for device_id, key in keys.items():
        click.echo(f"{device_id},{key}")
    click.echo(f"{len(rows)} devices taken, {len(keys)} keys made", err=True)


def _switch(chosen: Chosen, device_id: str, *, enabled: bool) -> None:
    if not _in_database(chosen, lambda pool: set_enabled(pool, device_id, enabled=enabled)):
        fail(f"there is no device {device_id}; see `ayaldama devices list`")


def _in_database(chosen: Chosen, act: Callable[[asyncpg.Pool], Awaitable[Result]]) -> Result:
    settings = chosen.read().settings

    async def run() -> Result:
        async with open_database(settings) as pool:
            return await act(pool)

    return _checked(lambda: asyncio.run(run()))


def _checked(act: Callable[[], Result]) -> Result:
    try:
        return act()
    except DeviceListError as error:
        fail(str(error))
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)


COMMAND: Final = devices
