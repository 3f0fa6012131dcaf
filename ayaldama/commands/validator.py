"""``ayaldama validator``: the program in the bus, and the register of validators on the server."""

import asyncio
import secrets
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import click
import uvloop
from rich.table import Table

from ayaldama.commands._base import EXIT_UNAVAILABLE, EXIT_USAGE, Chosen, console, fail
from ayaldama.commands.validator_quarantine import quarantined, release
from ayaldama.database import open_database
from ayaldama.fares import city_key_path
from ayaldama.settings import Settings
from ayaldama.web.vendor import vendor_routes
from commons.clock import SystemClock, wall_ms
from commons.logs import configure_logs
from fare.media._base import Medium, MediumReader, ReaderSettings
from fare.media.desfire import CardApplication
from fare.media.readers import discover
from fare.model import DeviceId
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.postgres_devices import PostgresDevices
from fare.validator.enrolment import CODE_LIFE_MS, SECRET_BYTES, Code, IssuedCode
from fare.validator.home import HomeError, Identity
from fare.validator.link import LinkError
from fare.validator.media_keys import MediaKeys, MediaKeysError, read_media_keys
from fare.validator.run import EnrolmentError, OpenReader, ValidatorSettings, enrol_device, open_validator

Result = TypeVar("Result")


@click.group("validator", invoke_without_command=True)
@click.option("--server", metavar="URL", default="", help="The city's server (default: where it was enrolled).")
@click.option("--device", metavar="ID", default="", help="Which device, if there are several in the data folder.")
@click.option("--host", default="127.0.0.1", help="Address of the screen (default 127.0.0.1).")
@click.option("--port", type=int, default=8090, help="Port of the screen (default 8090; 0: any).")
@click.option("--emulate", is_flag=True, help="Show a drawer of cards to hold to an emulated reader.")
@click.option("--reader", "readers", multiple=True, metavar="MEDIUM[=DEVICE]", help="Open a reader; several are fine.")
@click.option("--scanner", "scanners", multiple=True, metavar="PATH|HOST:PORT", help="A scanner of phones' QR codes.")
@click.option("--media-keys", type=click.Path(dir_okay=False, path_type=Path), help="TOML file of the media's keys.")
@click.option("--gps", metavar="HOST:PORT", default="", help="NMEA sentences of the vehicle, for their time.")
@click.pass_context
def validator(
    context: click.Context,
    server: str,
    device: str,
    host: str,
    port: int,
    emulate: bool,
    readers: tuple[str, ...],
    scanners: tuple[str, ...],
    media_keys: Path | None,
    gps: str,
) -> None:
    """Take fares in a bus: readers, light, journal, upload.

    It decides without network and shows its answers at http://127.0.0.1:8090/. Enrol the device first.
    """
    if context.invoked_subcommand is not None:
        return
    chosen: Chosen = context.obj
    settings = chosen.read().settings
    configure_logs("validator", level=settings.log_level)
    if not emulate and not readers and not scanners:
        fail("name a --reader or a --scanner, or --emulate one", EXIT_USAGE)
    start = ValidatorSettings(
        folder=_folder(settings, device),
        server=server,
        device_id=device,
        host=host,
        port=port,
        emulate=emulate,
        readers=_openers(readers, media_keys),
        scanners=_scanners(scanners),
        gps=_gps(gps),
    )
    try:
        uvloop.run(_serve(start, settings))
    except HomeError as error:
        fail(str(error))
    except OSError as error:
        fail(str(error), EXIT_UNAVAILABLE)


@validator.command("enrol")
@click.argument("code")
@click.option("--server", metavar="URL", default="http://127.0.0.1:8080", help="The city's server.")
@click.option("--device", metavar="ID", default="", help="Which device, if there are several in the data folder.")
@click.pass_obj
def enrol(chosen: Chosen, code: str, server: str, device: str) -> None:
    """Make this device known with the one-time CODE that `ayaldama validator admit` printed."""
    folder = _folder(chosen.read().settings, device)
    try:
        identity = asyncio.run(enrol_device(folder, server, Code.read(code), device_id=device))
    except (EnrolmentError, HomeError, ValueError) as error:
        fail(str(error))
    except (LinkError, OSError) as error:
        fail(f"not enrolled, try the same code again: {error}", EXIT_UNAVAILABLE)
    click.echo(f"{identity.device_id} of {identity.city}, on vehicle {identity.vehicle_id}")


@validator.command("admit")
@click.argument("device_id")
@click.argument("vehicle_id")
@click.pass_obj
def admit(chosen: Chosen, device_id: str, vehicle_id: str) -> None:
    """Print a one-time code, good for seven days, that makes a device DEVICE_ID on VEHICLE_ID."""
    settings = chosen.read().settings
    try:
        key = open_city_key(city_key_path(settings))
    except (CityKeyError, OSError) as error:
        fail(str(error))
    code = Code.make(secrets.token_bytes(SECRET_BYTES), key.public)
    try:
        issued = IssuedCode(
            digest=code.digest,
            device_id=DeviceId(device_id),
            vehicle_id=vehicle_id,
            expires_ms=wall_ms() + CODE_LIFE_MS,
        )
    except ValueError as error:
        fail(str(error), EXIT_USAGE)
    _in_store(settings, lambda store: store.issue(issued))
    click.echo(str(code))


@validator.command("revoke")
@click.argument("device_id")
@click.pass_obj
def revoke(chosen: Chosen, device_id: str) -> None:
    """Take nothing more of DEVICE_ID (stolen, sold). A new code makes it known again."""
    if not _in_store(chosen.read().settings, lambda store: store.revoke(DeviceId(device_id))):
        fail(f"there is no validator {device_id}; see `ayaldama validator list`")


@validator.command("list")
@click.pass_obj
def list_all(chosen: Chosen) -> None:
    """List all validators: how far their journals are here, what waits, which are stopped."""
    table = Table(box=None, pad_edge=False)
    for heading in ("device", "vehicle", "records", "waiting", "quarantined", "state"):
        table.add_column(heading)
    for row in _in_store(chosen.read().settings, lambda store: store.list_devices()):
        state = "[red]revoked[/]" if row.revoked else "[red]stopped[/]" if row.stopped else "on"
        table.add_row(row.device_id, row.vehicle_id, str(row.sequence), str(row.waiting), str(row.quarantined), state)
    console().print(table)


async def _serve(start: ValidatorSettings, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop.set)
    clock = SystemClock(settings.clock_anchor)
    async with open_validator(start, clock=clock, more_routes=vendor_routes()) as port:
        click.echo(f"validator: http://{start.host}:{port}/")
        await stop.wait()


def _folder(settings: Settings, device: str) -> Path:
    folder = settings.data_folder.expanduser().resolve()
    return folder / "validators" / device if device else folder / "validator"


def _openers(readers: tuple[str, ...], media_keys: Path | None) -> tuple[tuple[str, OpenReader], ...]:
    if not readers:
        return ()
    if media_keys is None:
        fail("a --reader needs --media-keys FILE", EXIT_USAGE)
    try:
        keys = read_media_keys(media_keys)
    except (MediaKeysError, OSError) as error:
        fail(str(error), EXIT_USAGE)
    known = discover()
    openers: list[tuple[str, OpenReader]] = []
    for one in readers:
        name, _, device = one.partition("=")
        if name not in known:
            fail(f"--reader {name}: must be one of {', '.join(known)}", EXIT_USAGE)
        openers.append((one, partial(_open_reader, known[name], device, keys)))
    return tuple(openers)


def _open_reader(
    medium: Medium, device: str, keys: MediaKeys, identity: Identity
) -> AbstractAsyncContextManager[MediumReader]:
    return medium.open_reader(
        ReaderSettings(
            device=device,
            token_keys=keys.token_keys,
            card_application=CardApplication(issuer=identity.city),
            card_key=keys.card_key,
            now_ms=wall_ms,
        )
    )


def _scanners(devices: tuple[str, ...]) -> tuple[str, ...]:
    for device in devices:
        if not device.startswith("/"):
            _host_and_port("--scanner", device, "an absolute path or HOST:PORT")
    return devices


def _gps(text: str) -> tuple[str, int] | None:
    return _host_and_port("--gps", text, "HOST:PORT") if text else None


def _host_and_port(option: str, text: str, form: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        fail(f"{option} {text}: must be {form}", EXIT_USAGE)
    return host, int(port)


def _in_store(settings: Settings, act: Callable[[PostgresDevices], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with open_database(settings) as pool:
            return await act(PostgresDevices(pool, settings.city))

    try:
        return asyncio.run(run())
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database does not answer: {error}", EXIT_UNAVAILABLE)


validator.add_command(quarantined)
validator.add_command(release)

COMMAND: Final = validator
