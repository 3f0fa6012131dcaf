"""The validators of the demo's buses: the program that runs in a bus, once per bus, all in this process.

Each has its own folder with key, documents and journal, is enrolled with a one-time code, decides, records and uploads
as on a real bus. Only the readers are simulated: passengers come from ``passengers``.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from ayaldama.simulate.passengers import Showing
from ayaldama.web.vendor import vendor_routes
from commons.clock import Clock, monotonic_s, wall_ms
from commons.logs import get_logger
from fare.validator.drawer import EmulatedReader
from fare.validator.enrolment import Code
from fare.validator.home import Home, HomeError
from fare.validator.journal_file import JournalError
from fare.validator.link import LinkError
from fare.validator.page import Screens, routes
from fare.validator.program import Validator
from fare.validator.run import EnrolmentError, enrol_device, open_program, open_screen

AT_A_TIME: Final = 4  # validators that start: each reads its disk and asks for its documents
AGAIN_S: Final = 10.0
APART_S: Final = 1.1  # between passengers at the two doors, of city time: one reader takes another medium after 2 s
WAITING_MAX: Final = 120  # passengers at the doors of one bus
CONNECTIONS_MAX: Final = 40
RATE_S: Final = 60.0

_log = get_logger(__name__)


class TapFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the validators of the demo have answered lately. ``waiting``: records that are not with the server yet."""

    validators: int
    taps_per_minute: int
    green_pct: float | None
    waiting: int
    screen_port: int
    screen_vehicle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorsSettings:
    """Where validators keep their things, whom they talk to, and which bus has its screen shown, at which port."""

    folder: Path
    server: str
    codes: Mapping[str, str]  # by vehicle: one-time codes of those that were not enrolled
    screen_vehicle: str
    screen_host: str
    screen_port: int


class Validators:
    """The validators of all buses. Made by ``open_validators``."""

    def __init__(self, settings: ValidatorsSettings, clock: Clock, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._clock = clock
        self._session = session
        self._doors: dict[str, asyncio.Queue[Showing]] = {}
        self._running: dict[str, Validator] = {}
        self._answers: deque[tuple[float, bool]] = deque()
        self._starting = asyncio.Semaphore(AT_A_TIME)
        self._screen_port = 0

    def board(self, vehicle_id: str, showings: Sequence[Showing]) -> None:
        """Let passengers queue at the doors of a bus; those that find no room pay nothing and are not seen."""
        door = self._doors.get(vehicle_id)
        for showing in showings:
            if door is not None and not door.full():
                door.put_nowait(showing)

    def figures(self) -> TapFigures:
        """Return what was answered in the last minute."""
        while self._answers and self._answers[0][0] < monotonic_s() - RATE_S:
            self._answers.popleft()
        taps = len(self._answers)
        green = sum(one for _, one in self._answers)
        return TapFigures(
            validators=len(self._running),
            taps_per_minute=taps,
            green_pct=round(100 * green / taps, 1) if taps else None,
            waiting=sum(one.status().waiting for one in self._running.values()),
            screen_port=self._screen_port,
            screen_vehicle=self._settings.screen_vehicle,
        )

    async def run(self, vehicle_id: str) -> None:
        """Be the validator of one bus, for ever."""
        self._doors[vehicle_id] = asyncio.Queue(WAITING_MAX)
        while True:
            try:
                async with AsyncExitStack() as around:
                    async with self._starting:
                        validator = await self._start(vehicle_id, around)
                    self._running[vehicle_id] = validator
                    await self._serve(vehicle_id, validator)
            except (EnrolmentError, HomeError, JournalError, LinkError, OSError) as error:
                _log.warning("validator waits", vehicle=vehicle_id, error=str(error), again_in_s=AGAIN_S)
            finally:
                self._running.pop(vehicle_id, None)
            await asyncio.sleep(AGAIN_S)

    async def _start(self, vehicle_id: str, around: AsyncExitStack) -> Validator:
        settings = self._settings
        folder = settings.folder / vehicle_id
        home = Home(folder)
        if home.identity() is None:
            code = settings.codes.get(vehicle_id)
            if code is None:
                raise HomeError(f"{folder}: not enrolled, and there is no code")
            await enrol_device(folder, settings.server, Code.read(code))
        around.enter_context(home.locked())
        identity = home.identity()
        if identity is None:
            raise HomeError(f"{folder}: enrolled, but the identity is gone")
        screens = Screens()
        validator = await around.enter_async_context(
            open_program(
                home, identity, clock=self._clock, show=screens.show, session=self._session, server=settings.server
            )
        )
        if vehicle_id == settings.screen_vehicle:
            await self._show(validator, screens, around)
        return validator

    async def _show(self, validator: Validator, screens: Screens, around: AsyncExitStack) -> None:
        """Show one validator's screen, with a drawer of cards for whoever opens it."""
        settings = self._settings
        emulated = EmulatedReader(validator.device_ms)
        self._screen_port = await around.enter_async_context(
            open_screen(
                settings.screen_host, settings.screen_port, [*routes(validator, screens, emulated), *vendor_routes()]
            )
        )
        around.push_async_callback(screens.close)
        tasks = await around.enter_async_context(asyncio.TaskGroup())
        task = tasks.create_task(validator.follow("emulated", emulated), name="emulated")
        around.callback(task.cancel)

    async def _serve(self, vehicle_id: str, validator: Validator) -> None:
        door = self._doors[vehicle_id]
        for number in itertools.count():
            showing = await door.get()
            if showing.companions:
                validator.choose(showing.companions)
            # The wall's seconds rise also where city time begins anew, as a chip's counter does.
            presented = showing.presented(validator.device_ms(), wall_ms() // 1_000)
            decision = await validator.present(presented, ("front", "rear")[number % 2])
            self._answers.append((monotonic_s(), decision.green))
            await self._clock.sleep(APART_S)


@asynccontextmanager
async def open_validators(
    settings: ValidatorsSettings, vehicle_ids: Sequence[str], *, clock: Clock
) -> AsyncIterator[Validators]:
    """Run the validators of ``vehicle_ids`` while the block runs."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        validators = Validators(settings, clock, session)
        running = [tasks.create_task(validators.run(one), name=f"validator {one}") for one in vehicle_ids]
        try:
            yield validators
        finally:
            for task in running:
                task.cancel()
