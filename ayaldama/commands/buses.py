"""``ayaldama buses``: the QR codes that hang in buses, so that riders can pay by phone."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import click
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.database import open_database
from ayaldama.fares import city_key_path
from ayaldama.settings import Settings
from commons.clock import wall_ms
from fare.bus_label.label import bus_label_svg, bus_qr_png
from fare.phone.bus_code import Registered, bus_link
from fare.phone.cose import key_id_of
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.postgres_bus_codes import PostgresBusCodes
from fare.store.postgres_vehicles import PostgresVehicles
from fare.validator.signing import SigningKey
from fare.vehicles import Vehicle

PHONE_URL: Final = "http://127.0.0.1:8072"

Result = TypeVar("Result")


@click.group("buses")
def buses() -> None:
    """Print and revoke the QR codes of buses."""


@buses.command("qr")
@click.option("--vehicle", "wanted", multiple=True, metavar="BUS", help="Number, plate or id (default: all buses).")
@click.option("--url", default=PHONE_URL, metavar="URL", help=f"Where riders' page is served (default {PHONE_URL}).")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder.")
@click.pass_obj
def qr(chosen: Chosen, wanted: tuple[str, ...], url: str, output: Path) -> None:
    """Write a label (SVG, A6) and the bare QR (PNG) of each registered bus, or of those named.

    A bus keeps its code: writing it again gives the same one, until it is revoked.
    """
    settings = chosen.read().settings
    key = _key(settings)

    async def issued(pool: asyncpg.Pool, codes: PostgresBusCodes) -> list[tuple[Registered, str]]:
        buses_wanted = await _buses(PostgresVehicles(pool), wanted)
        return [(await codes.in_force(bus.vehicle_id, wall_ms()), bus.fleet_number) for bus in buses_wanted]

    if not re.fullmatch(r"https?://[^\s/]\S*", url):
        fail(f"--url {url}: must be the address of a page, such as https://pay.example.kz", EXIT_USAGE)
    found = _with_codes(settings, key, issued)
    if not found:
        fail("no bus is registered: `ayaldama vehicles`")
    try:
        output.mkdir(parents=True, exist_ok=True)
        for code, number in found:
            link = bus_link(url, code.vehicle_id, code.issue, city=settings.city, key=key.private)
            _write(output, code, number, link)
    except ValueError as error:
        fail(str(error), EXIT_USAGE)
    except OSError as error:
        fail(str(error), EXIT_UNAVAILABLE)
    click.echo(f"{len(found)} codes in {output}")


@buses.command("codes")
@click.pass_obj
def list_codes(chosen: Chosen) -> None:
    """List every code that was issued, with its number."""
    settings = chosen.read().settings
    table = Table(box=None, pad_edge=False)
    for heading in ("number", "vehicle", "state"):
        table.add_column(heading)
    for one in _with_codes(settings, _key(settings), lambda _, codes: codes.everything()):
        table.add_row(str(one.issue), one.vehicle_id, "[red]revoked[/]" if one.revoked else "on")
    console().print(table)


@buses.command("revoke")
@click.argument("bus")
@click.pass_obj
def revoke(chosen: Chosen, bus: str) -> None:
    """Let the codes of BUS count no more, as after one was torn off; `ayaldama buses qr` makes a new one.

    BUS is its number, plate or id.
    """
    settings = chosen.read().settings

    async def revoked(pool: asyncpg.Pool, codes: PostgresBusCodes) -> int:
        (found,) = await _buses(PostgresVehicles(pool), (bus,))
        return await codes.revoke(found.vehicle_id, wall_ms())

    if not _with_codes(settings, _key(settings), revoked):
        fail(f"bus {bus} has no code; see `ayaldama buses codes`")


async def _buses(register: PostgresVehicles, wanted: tuple[str, ...]) -> list[Vehicle]:
    """Return the buses ``wanted`` by number, plate or id, all that are registered if none is."""
    if not wanted:
        return await register.registered()
    found = [(one, await register.by_code(one) or await register.by_id(one)) for one in wanted]
    for one, vehicle in found:
        if vehicle is None:
            fail(f"no bus {one} is registered; see `ayaldama vehicles`", EXIT_USAGE)
    return [vehicle for _, vehicle in found if vehicle is not None]


def _write(folder: Path, code: Registered, number: str, link: str) -> None:
    name = re.sub(r"[^\w.-]", "_", f"bus-{number}")
    (folder / f"{name}.svg").write_text(bus_label_svg(link, number, code.issue), encoding="utf-8")
    (folder / f"{name}.png").write_bytes(bus_qr_png(link))


def _key(settings: Settings) -> SigningKey:
    try:
        return open_city_key(city_key_path(settings))
    except (CityKeyError, OSError) as error:
        fail(str(error))


def _with_codes(
    settings: Settings, key: SigningKey, act: Callable[[asyncpg.Pool, PostgresBusCodes], Awaitable[Result]]
) -> Result:
    async def run() -> Result:
        async with open_database(settings) as pool:
            keys = {key_id_of(key.public): key.public}
            return await act(pool, PostgresBusCodes(pool, city=settings.city, keys=keys))

    try:
        return asyncio.run(run())
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)


COMMAND: Final = buses
