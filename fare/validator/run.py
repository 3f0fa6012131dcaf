"""A validator as a process: folder, journal, readers, screen and the link to the server, opened in this order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from commons.clock import Clock, wall_ms
from commons.logs import get_logger
from fare.media._base import MediumReader
from fare.validator.drawer import EmulatedReader
from fare.validator.enrolment import Code, Enrolled, Enrolling, make_request, open_answer
from fare.validator.exchange import Exchange
from fare.validator.gps import follow_gps
from fare.validator.home import Home, HomeError, Identity
from fare.validator.link import Link
from fare.validator.page import Screens, routes
from fare.validator.program import Validator
from fare.validator.qr_reader import open_scanner
from fare.validator.screen import Shown

READER_PAUSE_S: Final = 5.0
CLOSING_S: Final = 2.0

_log = get_logger(__name__)

OpenReader = Callable[[Identity], AbstractAsyncContextManager[MediumReader]]


class EnrolmentError(Exception):
    """The device is not enrolled; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorSettings:
    """What a validator is started with. ``server`` "": the one it was enrolled at. ``readers``: by name.

    ``scanners``: of QR codes, as ``open_scanner`` takes them.
    """

    folder: Path
    server: str = ""
    device_id: str = ""  # that the folder must be of; "": whichever it is
    host: str = "127.0.0.1"
    port: int = 8090
    emulate: bool = False
    readers: tuple[tuple[str, OpenReader], ...] = ()
    scanners: tuple[str, ...] = ()
    gps: tuple[str, int] | None = None


async def enrol_device(folder: Path, server: str, code: Code, *, device_id: str = "") -> Identity:
    """Make a key, have it enrolled with ``code``, keep who the device is from now on.

    Raises:
        EnrolmentError: if the city says no, or whoever answers is not the city of the code.
        LinkError: if nobody answers; the same code may be tried again.
        JournalError: if the journal on this disk cannot be read.
        HomeError: if the folder is in use.
    """
    home = Home(folder)
    with home.locked():
        key = home.new_key()
        async with aiohttp.ClientSession() as session:
            signed = await Link(session, server).enrol(make_request(code, key))
        said = open_answer(signed, code)
        if said is None:
            raise EnrolmentError(f"{server} is not the city that made this code: check the address and the code")
        if said.outcome is not Enrolling.ENROLLED:
            raise EnrolmentError(_WHY_NOT[said.outcome])
        _check_device(said, device_id)
        identity = home.enrolled(said, key, server)
        aside = home.set_journal_aside(identity, wall_ms())
        if aside is not None:
            _log.error("this disk had another history than the server: kept aside", folder=str(aside))
        return identity


@asynccontextmanager
async def open_program(
    home: Home,
    identity: Identity,
    *,
    clock: Clock,
    show: Callable[[Shown], None],
    session: aiohttp.ClientSession,
    server: str = "",
) -> AsyncIterator[Validator]:
    """Run a validator without readers and screen while the block runs: journal, decisions, the link to the server.

    ``home`` must be locked. ``server`` "": the one it was enrolled at.

    Raises:
        OSError: if the folder cannot be had.
    """
    validator = Validator(home, identity, clock=clock, show=show)
    try:
        await validator.open_journal()
        exchange = Exchange(validator, Link(session, server or identity.server))
        async with asyncio.TaskGroup() as tasks:
            exchanging = tasks.create_task(exchange.run(), name="exchange")
            try:
                yield validator
            finally:
                exchanging.cancel()
    finally:
        validator.close()


@asynccontextmanager
async def open_validator(
    settings: ValidatorSettings, *, clock: Clock, more_routes: Sequence[web.RouteDef] = ()
) -> AsyncIterator[int]:
    """Run a validator while the block runs; gives the port of its screen.

    Raises:
        HomeError: if the folder is in use, damaged, or of another device; or nobody enrolled it.
        OSError: if the port or the folder cannot be had.
    """
    home = Home(settings.folder)
    screens = Screens()
    async with AsyncExitStack() as around:
        around.enter_context(home.locked())
        identity = _identity(home, settings)
        session = await around.enter_async_context(aiohttp.ClientSession())
        validator = await around.enter_async_context(
            open_program(home, identity, clock=clock, show=screens.show, session=session, server=settings.server)
        )
        emulated = EmulatedReader(validator.device_ms) if settings.emulate else None
        port = await around.enter_async_context(
            open_screen(settings.host, settings.port, [*routes(validator, screens, emulated), *more_routes])
        )
        around.push_async_callback(screens.close)
        tasks = await around.enter_async_context(asyncio.TaskGroup())
        running: list[asyncio.Task[None]] = []
        if emulated is not None:
            running.append(tasks.create_task(validator.follow("emulated", emulated), name="emulated"))
        for name, opener in settings.readers:
            running.append(tasks.create_task(_follow(validator, name, opener), name=name))
        running += [tasks.create_task(_follow_scanner(validator, one), name=one) for one in settings.scanners]
        if settings.gps is not None:
            running.append(tasks.create_task(follow_gps(*settings.gps, validator.take_gps), name="gps"))
        try:
            yield port
        finally:
            for task in running:
                task.cancel()


async def _follow(validator: Validator, name: str, opener: OpenReader) -> None:
    """Answer what a reader reads; one that fails is opened again, and the driver's button serves meanwhile."""
    while True:
        try:
            async with opener(validator.identity) as reader:
                await validator.follow(name, reader)
        except Exception as error:  # noqa: BLE001 - drivers raise whatever they like; the other readers go on
            _log.error("reader failed", reader=name, error=repr(error))
        await asyncio.sleep(READER_PAUSE_S)


async def _follow_scanner(validator: Validator, device: str) -> None:
    """Answer what a scanner reads; one that is gone is opened again."""
    while True:
        try:
            async with open_scanner(device) as scanner:
                await validator.follow_scanner(device, scanner)
        except OSError as error:
            _log.error("scanner failed", scanner=device, error=repr(error))
        await asyncio.sleep(READER_PAUSE_S)


@asynccontextmanager
async def open_screen(host: str, port: int, page: Sequence[web.RouteDef]) -> AsyncIterator[int]:
    """Serve the page of a validator while the block runs; gives the port.

    Raises:
        OSError: if the port cannot be had.
    """
    application = web.Application(client_max_size=4_096)
    application.add_routes(page)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=CLOSING_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _identity(home: Home, settings: ValidatorSettings) -> Identity:
    identity = home.identity()
    if identity is None:
        raise HomeError(f"{settings.folder}: this device is not enrolled: `ayaldama validator enrol CODE`")
    if settings.device_id and identity.device_id != settings.device_id:
        raise HomeError(f"{settings.folder}: this is the folder of {identity.device_id}, not of {settings.device_id}")
    return identity


def _check_device(said: Enrolled, device_id: str) -> None:
    if device_id and said.device_id != device_id:
        raise EnrolmentError(f"the code is for device {said.device_id}, not for {device_id}")


_WHY_NOT: Final[Mapping[Enrolling, str]] = {
    Enrolling.TOO_MANY: "too many wrong codes from this address: wait a minute",
    Enrolling.MALFORMED: "the server could not read the request: are both of the same version?",
    Enrolling.NOT_PROVEN: "the server could not check the key",
    Enrolling.UNKNOWN_CODE: "the city does not know this code",
    Enrolling.USED: "the code was used by another device: ask for a new one",
    Enrolling.EXPIRED: "the code is too old: ask for a new one",
}
