"""A validator of the simulated city: the real program on a disk whose power can be cut, over a network that fails."""

import asyncio
import hashlib
import itertools
import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from fare.media._base import Presented
from fare.model import DeviceId, MediumId, Tap
from fare.validator.documents import DocumentKind
from fare.validator.enrolment import Code, Enrolling, make_request, open_answer
from fare.validator.exchange import Exchange
from fare.validator.home import Home
from fare.validator.journal import Stretch
from fare.validator.link import Answered, LinkError
from fare.validator.program import Validator
from fare.validator.screen import Shown
from fare.validator.signing import Signed, SigningKey
from tests.fare.simulation.clock import Clock
from tests.fare.simulation.faults import Dice
from tests.fare.simulation.server import Process
from tests.fare.validator.power import UnsafeDisk

CLIENT_WAITS_S = 20.0
SECONDS_OFF = (20, 600)
_one = msgspec.msgpack.Decoder(Signed)
_many = msgspec.msgpack.Decoder(tuple[Signed, ...])


class PowerError(BaseException):
    """The device's process is gone in the middle of an operation."""


class Disk(UnsafeDisk):
    """All of a device's storage. ``cutting``: when the operations left are used up, the power goes; else it refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.cutting = False
        self.off = False

    def close(self) -> None: ...

    def _operate(self) -> None:
        if self.off:
            raise PowerError
        try:
            super()._operate()
        except OSError:
            if self.cutting:
                self.off = True
                raise PowerError from None
            raise

    def restart(self, chance: random.Random) -> None:
        super().restart(chance)
        self.off = self.cutting = False


class HomeInMemory(Home):
    def __init__(self, files: Disk, journal: Disk) -> None:
        self._disk = files
        self._journal = journal
        self._folder = Path("memory")

    def journal_disk(self) -> Disk:
        return self._journal


class Light:
    """What a passenger saw, and which record stands for it."""

    def __init__(self, device_id: DeviceId, shown: Shown, presented: Presented, head: int) -> None:
        self.device_id = device_id
        self.shown = shown
        self.presented = presented
        self.sequence = head
        self.uncertain = False  # not recorded, and the program ended before it could cut the record off


class Link:
    """The network between one device and whichever server lives."""

    def __init__(self, name: str, dice: Dice, server: Callable[[], Process | None], watch: Callable[..., None]) -> None:
        self._name = name
        self._dice = dice
        self._server = server
        self._watch = watch
        self._answers: dict[str, list[bytes]] = {}
        self.down = False

    async def send(self, batch: Signed) -> Answered:
        began_s = asyncio.get_running_loop().time()
        signed = _one.decode(await self._post("/validators/records", batch))
        round_trip_ms = round((asyncio.get_running_loop().time() - began_s) * 1_000)
        return Answered(signed=signed, round_trip_ms=round_trip_ms)

    async def ask(self, asking: Signed) -> tuple[Signed, ...]:
        return _many.decode(await self._post("/validators/documents", asking))

    async def enrol(self, request: Signed) -> Signed:
        return _one.decode(await self._post("/validators/enrol", request))

    async def _post(self, path: str, envelope: Signed) -> bytes:
        body = msgspec.msgpack.encode(envelope)
        delays = self._dice.of(f"delays/{self._name}")
        strikes = self._dice.strikes
        if self.down or strikes("requests_lost", self._name):
            await asyncio.sleep(CLIENT_WAITS_S)
            raise LinkError("lost")
        if strikes("requests_repeated", self._name):
            asyncio.get_running_loop().call_later(delays.choice((0.001, 5, 4_000)), self._again, path, body)
        slow = strikes("slow", self._name)
        await asyncio.sleep(delays.uniform(0.005, 0.5) + (delays.choice((10, 60)) if slow else 0))
        process = self._server()
        if process is None:
            raise LinkError("refused")
        task = process.start(process.answer(path, body, self._name))
        done, _ = await asyncio.wait([task], timeout=CLIENT_WAITS_S)
        answer = task.result() if done and not task.cancelled() and task.exception() is None else None
        if not isinstance(answer, bytes):
            raise LinkError("no answer")
        await asyncio.sleep(delays.uniform(0.005, 0.5))
        if self.down or strikes("answers_lost", self._name):
            await asyncio.sleep(CLIENT_WAITS_S)
            raise LinkError("answer lost")
        said = self._answers.setdefault(path, [])
        said.append(answer)
        return delays.choice((said[0], *said[-3:])) if strikes("answers_old", self._name) else answer

    def _again(self, path: str, body: bytes) -> None:
        process = self._server()
        if process is not None:
            process.start(process.answer(path, body, self._name))


class Device:
    """One validator. ``lights`` are what passengers saw; ``acknowledged`` is what receipts said, by sequence."""

    def __init__(
        self, name: str, dice: Dice, clock: Clock, server: Callable[[], Process | None], watch: Callable[..., None]
    ) -> None:
        self.device_id = DeviceId(name)
        self.clock = clock
        self.files, self.journal = Disk(), Disk()
        self.link = Link(name, dice, server, watch)
        self.lights: list[Light] = []
        self.acknowledged: dict[int, bytes] = {}
        self.list_floor = 0
        self.list_went_back = ""
        self.validator: Validator | None = None
        self._dice = dice
        self._watch = watch
        self._task: asyncio.Task[None] | None = None
        self._home = HomeInMemory(self.files, self.journal)
        self._shown: list[Shown] = []

    async def enrol(self, code: Code) -> bool:
        """Enrol, however often it takes; the program is off meanwhile. Return False if ``code`` is too old by then."""
        self._end()
        while True:
            try:
                return await self._enrol(code)
            except PowerError:  # who enrols it switches it on again and types the same code
                chance = self._dice.of(f"disk/{self.device_id}")
                for disk in (self.files, self.journal):
                    disk.restart(chance)

    async def _enrol(self, code: Code) -> bool:
        key = self._home.new_key()
        while True:
            try:
                said = open_answer(await self.link.enrol(make_request(code, key)), code)
            except LinkError:
                await asyncio.sleep(30)
                continue
            if said is not None and said.outcome is Enrolling.EXPIRED:
                return False
            if said is None or said.outcome is not Enrolling.ENROLLED:  # somebody gave an answer to an earlier key
                await asyncio.sleep(30)
                continue
            break
        if said.device_id != self.device_id:
            raise AssertionError(f"enrolled as {said.device_id}")
        identity = self._home.enrolled(said, key, "sim")
        if self._home.set_journal_aside(identity, self.clock.now_ms()) is not None:
            raise AssertionError(f"{self.device_id}: its history is another one")
        return True

    async def start(self) -> None:
        """Switch the program on."""
        self._end()
        identity = self._home.identity()
        if identity is None:
            raise AssertionError("not enrolled")
        validator = Validator(self._home, identity, clock=self.clock, show=self._shown.append)
        self.validator = validator
        try:
            await validator.open_journal()
        except PowerError:
            self._die()
            return
        self._check_lists()
        self._task = asyncio.ensure_future(self._exchange(validator))

    async def present(self, presented: Presented) -> None:
        """Hold a medium to the reader."""
        validator = self.validator
        if validator is None:
            return
        try:
            await validator.present(presented, "front")
        except PowerError:
            self._die()
            return
        journal = validator._journal
        head = journal.head.sequence if journal is not None else 0
        light = Light(self.device_id, self._shown[-1], presented, head)
        self.lights.append(light)
        self._watch("light", self.device_id, head, light.shown.outcome.value, light.shown.recorded)

    def cut_power_after(self, operations: int) -> None:
        for disk in (self.journal, self.files):
            disk.cutting, disk.operations_left = True, operations

    def refuse_after(self, operations: int) -> None:
        self.journal.operations_left = operations

    def heal(self) -> None:
        for disk in (self.journal, self.files):
            if not disk.off:
                disk.cutting, disk.operations_left = False, 10**9

    def waiting(self) -> int:
        """Return what is not uploaded; more than nothing while it is off."""
        validator = self.validator
        if validator is None or validator._journal is None:
            return 1
        return validator._journal.waiting

    def taps(self) -> list[Tap]:
        journal = self.validator._journal if self.validator else None
        return list(journal.taps_after(0)) if journal is not None else []

    def stretch(self) -> Stretch | None:
        journal = self.validator._journal if self.validator else None
        return journal.after(0, 10**6, 10**9) if journal is not None else None

    async def _exchange(self, validator: Validator) -> None:
        watched = Watched(validator, self.link, self)
        try:
            await watched.run()
        except BaseExceptionGroup as group:
            if group.subgroup(PowerError) is None:
                raise
            self._die()

    def _die(self) -> None:
        """Lose power now, come back later."""
        if self.files.off is self.journal.off is False:
            return
        self._watch("power", self.device_id)
        self._end()
        chance = self._dice.of(f"disk/{self.device_id}")
        for disk in (self.files, self.journal):
            disk.restart(chance)
        asyncio.get_running_loop().call_later(chance.uniform(*SECONDS_OFF), self._back)

    def _back(self) -> None:
        if self.validator is None:
            self._starting = asyncio.ensure_future(self.start())

    def _end(self) -> None:
        self.validator = None
        for light in itertools.takewhile(lambda light: not light.shown.recorded, reversed(self.lights)):
            light.uncertain = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None

    def _check_lists(self) -> None:
        """The deny list that counts is never older than one that counted."""
        if self.validator is None:
            return
        held = self.validator.shelf.held.get((DocumentKind.LIST, "deny"), ())
        version = held[-1].version if held else 0
        if version < self.list_floor:  # told at the end: what is raised here is the program's, which goes on
            self.list_went_back = f"{self.device_id}: the deny list went back from {self.list_floor} to {version}"
        self.list_floor = version

    def took(self, sequence: int, hash_: bytes) -> None:
        self.acknowledged[sequence] = hash_
        self._watch("acknowledged", self.device_id, sequence)

    def asked(self) -> None:
        self._check_lists()


class Watched(Exchange):
    """The real exchange; what it has learned is told to the device after each step."""

    def __init__(self, validator: Validator, link: Link, device: Device) -> None:
        super().__init__(validator, link)  # type: ignore[arg-type]
        self._device = device

    async def upload(self) -> bool:
        sent = await super().upload()
        journal = self._validator._journal
        if sent and journal is not None:
            self._device.took(journal.acknowledged, journal._acknowledged.hash)
        return sent

    async def ask(self) -> list[object]:
        outcomes = await super().ask()
        self._device.asked()
        return outcomes


def new_code(dice: Dice, key: SigningKey) -> Code:
    """Return a code of the city."""
    return Code.make(dice.of("codes").randbytes(10), key.public)


def medium_named(number: int) -> MediumId:
    return MediumId(hashlib.md5(b"medium %d" % number, usedforsecurity=False).hexdigest())
