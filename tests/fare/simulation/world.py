"""A city of a seed: validators, passengers, a server and all that goes wrong; ``play`` says what was found.

Everything that is decided is decided by the product: ``Validator``, ``Exchange``, ``Devices``, ``Publisher``, billing
and ``Book``. Here are only disks, networks, stores and clocks, which fail as the dice of the seed say.
"""

import asyncio
import contextlib
import functools
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from fare.ledger import accounts
from fare.media._base import Presented, Proof
from fare.model import Concession, Entry, Journal, JournalKey, JournalKind, MediumId, MediumKind, Profile, RiderCategory
from fare.pricing import CityPricing
from fare.store.publishing import Publisher
from fare.tariff.model import Tariff
from fare.validator.decide import Place
from fare.validator.deny_list import DENY
from fare.validator.enrolment import IssuedCode
from fare.validator.journal_file import JournalFile
from fare.validator.rules import DAY_MS, Configuration, FarePeriod, FareTable, KindRules, Price
from fare.validator.signing import SigningKey
from tests.fare.simulation import oracle
from tests.fare.simulation.checks import check_always, check_end
from tests.fare.simulation.clock import Clock
from tests.fare.simulation.device import Device, medium_named, new_code
from tests.fare.simulation.faults import CrashedError, Dice, Faults, FoundError
from tests.fare.simulation.releases import Person, Releases
from tests.fare.simulation.seals import PrivateKey, PublicKey
from tests.fare.simulation.server import CITY, Process
from tests.fare.simulation.tables import Effects, Tables
from tests.fare.simulation.virtual_time import VirtualLoop, at_once, run
from tests.notation.fares import tariff as read_tariff

HOUR_S = 3_600
SPANS_S = (6 * HOUR_S, 60 * HOUR_S, 41 * 24 * HOUR_S)
CLOCKS_SET_WRONG_MS = (-20_000 * DAY_MS, -2 * DAY_MS, 7_200_000, 3 * DAY_MS, 400 * DAY_MS)
QUIET_WITHIN_S = 10 * 24 * HOUR_S
ADULT, PUPIL = RiderCategory("adult"), RiderCategory("pupil")
CARD, BANK = MediumKind.TRANSPORT_CARD, MediumKind.BANK_CARD
SEED_BYTES = 32


@dataclass(slots=True)
class Medium:
    medium_id: MediumId
    kind: MediumKind
    pupil: bool
    counter: int = 0


@dataclass(slots=True)
class Ended:
    """What a seed came to."""

    taps: int
    lights: int
    seconds: float
    trace: str
    counts: dict[str, int] = field(default_factory=dict)


@functools.cache
def the_tariff() -> Tariff:
    with tempfile.TemporaryDirectory() as folder:
        return read_tariff(Path(folder), oracle.FEED)


@functools.cache
def configuration(list_age_max_ms: int, ask_every_s: float) -> Configuration:
    kinds = tuple(
        KindRules(
            kind=kind, list_age_max_ms=list_age_max_ms, offline_rides_max=10**6, offline_tiyn_max=10**12,
            first_rides_max=10**6, first_ride_max_tiyn=10**9,
        )
        for kind in (CARD, BANK)
    )  # fmt: skip
    return Configuration(kinds=kinds, concessions=(PUPIL,), ask_every_s=ask_every_s, clash_ms=500)


def fare_table() -> FareTable:
    def period(version: str, from_ms: int, until_ms: int, tiyn: int) -> FarePeriod:
        prices = tuple(
            Price(kind=kind, category=category, tiyn=tiyn // share)
            for kind in (CARD, BANK)
            for category, share in ((ADULT, 1), (PUPIL, 2))
        )
        return FarePeriod(version=version, from_ms=from_ms, until_ms=until_ms, prices=prices)

    change_ms = oracle.CHANGE_MS
    return FareTable(
        periods=(
            period("old", change_ms - 400 * DAY_MS, change_ms, oracle.OLD_TIYN),
            period("new", change_ms, change_ms + 400 * DAY_MS, oracle.NEW_TIYN),
        )
    )


class World:
    """One seed, played on ``loop``."""

    def __init__(self, seed: int, faults: Faults, loop: VirtualLoop) -> None:
        self.dice = Dice(seed, faults)
        self.loop = loop
        self._trace = hashlib.sha256()
        self.counts: dict[str, int] = {}
        plan = self.dice.of("plan")
        self.span_s = plan.choice(SPANS_S)
        self.small_segments = plan.random() < 0.5
        self.began_ms = oracle.CHANGE_MS - round(self.span_s * 1_000 * plan.uniform(0.1, 0.9))
        list_age_max_ms = plan.choice((3, 60)) * DAY_MS
        self.configuration = configuration(list_age_max_ms, self.span_s / 15)
        self.key = SigningKey.from_bytes(plan.randbytes(SEED_BYTES))
        self.pricing = CityPricing(tariff=the_tariff(), configuration=self.configuration)
        self.media = [
            Medium(medium_id=medium_named(number), kind=plan.choice((CARD, CARD, BANK)), pupil=plan.random() < 0.3)
            for number in range(plan.randint(2, 6))
        ]
        self.profiles = {
            one.medium_id: Profile(concessions=(Concession(category=PUPIL, from_date="2020-01-01", until_date=""),))
            for one in self.media
            if one.pupil
        }
        self.tables = Tables()
        self.process: Process | None = None
        self.crashed: Exception | None = None  # of a handler
        self.clock = Clock(self.true_ms)
        self.topped_tiyn: dict[MediumId, int] = {}
        self.top_ups: list[tuple[Journal, MediumId]] = []
        self.devices = [self._device(number) for number in range(plan.randint(2, 4))]
        self.person = Person(self)

    def true_ms(self) -> int:
        return self.began_ms + self.loop.now_ms()

    def note(self, *event: object) -> None:
        self.counts[str(event[0])] = self.counts.get(str(event[0]), 0) + 1
        self._trace.update(repr((self.loop.now_ms(), *event)).encode())

    async def play(self) -> Ended:
        """Play the seed to its end and check it.

        Raises:
            FoundError: if an invariant does not hold.
            CrashedError: if a handler of the server failed.
        """
        self._serve()
        for device in self.devices:
            await self._enrol(device)
        work = [
            self._publish(), self._top_up(), self._office(), self._backup(), self._check_now_and_then(),
            self.person.work(),
            *map(self._ride, self.media),
            *(trouble(device) for device in self.devices for trouble in (self._trouble, self._outages, self._moves)),
        ]  # fmt: skip
        await asyncio.gather(*work)
        await self._become_quiet()
        self._must_not_have_crashed()
        if self.process is not None:
            self.process.kill()
        check_end(self)
        lights = sum(len(device.lights) for device in self.devices)
        return Ended(len(self.tables.taps), lights, self.loop.seconds, self._trace.hexdigest(), self.counts)

    def releases_of_a_command(self) -> Releases:
        """Return the store as a process of its own has it, which may be killed without the server."""
        return Releases(self.tables, Effects(self.tables, self.dice, lambda: None, crashes="commands_killed"))

    def _device(self, number: int) -> Device:
        dice = self.dice.of(f"clock/{number}")
        ahead_ms, drift = 0, 0.0
        if self.dice.strikes("clocks_wrong", str(number)):
            ahead_ms, drift = (
                dice.choice((0, 40_000, -3_600_000, 3_600_000, -20_000 * DAY_MS)),
                dice.uniform(-1e-5, 1e-5),
            )
        clock = Clock(self.true_ms, ahead_ms=ahead_ms, drift=drift)
        return Device(f"v{number}", self.dice, clock, self._living, self.note)

    def _living(self) -> Process | None:
        return self.process if self.process is not None and self.process.alive else None

    def _serve(self) -> None:
        self.process = Process(
            self.tables, self.dice, key=self.key, clock=self.clock, pricing=self.pricing, profiles=self.profiles,
            place_of=self._place_of, on_end=self._server_ended, on_crash=self._server_crashed,
        )  # fmt: skip

    def _server_ended(self) -> None:
        self.note("server ended")
        self.loop.call_later(self.dice.of("server starts").uniform(5, 60), self._serve)

    def _server_crashed(self, error: Exception) -> None:
        self.crashed = self.crashed or error

    def _must_not_have_crashed(self) -> None:
        if self.crashed is not None:
            raise CrashedError(repr(self.crashed)) from self.crashed

    async def _place_of(self, vehicle_id: str) -> Place:
        trip = self.true_ms() // (45 * 60_000)
        route = "R1" if vehicle_id == "bus-0" else "R2"
        return Place(
            vehicle_id=vehicle_id, route_id=route, trip_id=f"{vehicle_id}/{trip}", trip_since_ms=trip * 45 * 60_000
        )

    async def _enrol(self, device: Device) -> None:
        number = int(device.device_id[1:])
        bus = self.dice.of(f"bus/{device.device_id}").choice((number // 2, 0))
        enrolled = False
        while not enrolled:
            code = new_code(self.dice, self.key)
            self.tables.codes[code.digest] = IssuedCode(
                digest=code.digest,
                device_id=device.device_id,
                vehicle_id=f"bus-{bus}",
                expires_ms=self.true_ms() + 7 * DAY_MS,
            )
            enrolled = await device.enrol(code)
        await device.start()

    async def _until_done(self, name: str, make: object) -> None:
        """Let the server do something, again and again until it has said that it is done."""
        while True:
            process = self._living()
            if process is not None:
                task = process.start(make(process))  # type: ignore[operator]
                await asyncio.wait([task])
                if not task.cancelled() and task.exception() is None and process.alive:
                    return
                error = None if task.cancelled() else task.exception()
                if error is not None and not isinstance(error, ConnectionError):
                    raise error
            await asyncio.sleep(7)

    async def _publish(self) -> None:
        pupils = [one.medium_id for one in self.media if one.pupil]
        every_s = self.span_s / 20
        dice = self.dice.of("reported lost")
        while self.loop.seconds < self.span_s:
            lost = MediumId(f"{dice.randint(0, 9):032x}")  # a card of nobody here, so that the list has many versions

            async def publish(process: Process, lost: MediumId = lost) -> None:
                publisher = Publisher(process.store, city=CITY, key=self.key)  # type: ignore[arg-type]
                await publisher.keys(self.true_ms())
                await publisher.configuration(self.configuration, self.true_ms())
                await publisher.fares(fare_table(), self.true_ms())
                await publisher.media(DENY, [*process.books.owing(), lost], self.true_ms())
                await publisher.media(PUPIL, pupils, self.true_ms())

            await self._until_done("publish", publish)
            await asyncio.sleep(every_s)

    async def _top_up(self) -> None:
        dice = self.dice.of("top-ups")
        cards = [one for one in self.media if one.kind is CARD]
        for number in range(dice.randint(0, 12) if cards else 0):
            await asyncio.sleep(dice.uniform(0, 0.15) * self.span_s)
            medium_id, tiyn = dice.choice(cards).medium_id, dice.choice((5_000, 20_000, 100_000))
            legs = (
                Entry(account=accounts.AccountCode("top_up:kiosk"), amount_tiyn=tiyn),
                Entry(account=accounts.wallet(medium_id), amount_tiyn=-tiyn),
            )
            journal = Journal(
                key=JournalKey(f"up/{number}"), kind=JournalKind.TOP_UP, occurred_ms=self.true_ms(), entries=legs
            )
            self.top_ups.append((journal, medium_id))
            self.topped_tiyn[medium_id] = self.topped_tiyn.get(medium_id, 0) + tiyn
            await self._pay_in(journal, medium_id)

    async def _office(self) -> None:
        """Give rides back, and give debts up, while taps of outages are still to come."""
        dice = self.dice.of("office")
        for number in range(dice.randint(0, 12)):
            await asyncio.sleep(dice.uniform(0, 0.15) * self.span_s)
            rides = sorted((ride for some in self.tables.rides.values() for ride in some), key=lambda one: one.key)
            share, key, medium = dice.choice((1, 0.4)), f"office-{number}", dice.choice(self.media)
            if medium.kind is CARD and dice.random() < 0.5:
                self.note("given up", medium.medium_id)
                await self._until_done("write-off", _of_books("give_up", medium.medium_id, key, share))
            elif rides:
                self.note("given back", key)
                await self._until_done("refund", _of_books("give_back", dice.choice(rides), key, share))

    async def _pay_in(self, journal: Journal, medium_id: MediumId) -> None:
        await self._until_done("top-up", lambda process: process.books.top_up(journal, medium_id))

    async def _backup(self) -> None:
        """Perhaps lose the database, go back to a backup, and let channels say again what they have paid in."""
        dice = self.dice.of("backup")
        if self.small_segments or not self.dice.strikes("restored"):
            return
        await asyncio.sleep(self.span_s * dice.uniform(0.1, 0.5))
        backup = self.tables.backup()
        await asyncio.sleep(self.span_s * dice.uniform(0.05, 0.3))
        process = self._living()
        if process is not None and dice.random() < 0.5:
            process.kill()  # else it goes on, and knows what no longer is
        self.person.database_lost()
        self.note("restored")
        self.tables.restore(backup)
        self.person.database_restored()
        for journal, medium_id in list(self.top_ups):
            await self._pay_in(journal, medium_id)

    async def _ride(self, medium: Medium) -> None:
        dice = self.dice.of(f"rides/{medium.medium_id}")
        episodes = dice.randint(2, 8)
        for _ in range(episodes):
            await asyncio.sleep(min(dice.expovariate(episodes / self.span_s), 0.5 * self.span_s))
            if self.loop.seconds > self.span_s:
                return
            for _ in range(dice.randint(1, 4)):
                device = dice.choice(self.devices)
                for _ in range(dice.choice((1, 1, 1, 2))):
                    await self._tap(medium, device)
                    await asyncio.sleep(dice.choice((1, 3, 40)))
                await asyncio.sleep(dice.choice((10, 60, 300, 1_500, 3_000)))

    async def _tap(self, medium: Medium, device: Device) -> None:
        medium.counter += medium.kind is BANK
        presented = Presented(
            kind=medium.kind, medium_id=medium.medium_id, counter=medium.counter if medium.kind is BANK else -1,
            read_ms=device.clock.now_ms(), proof=Proof.VERIFIED,
        )  # fmt: skip
        await device.present(presented)

    async def _trouble(self, device: Device) -> None:
        """Cut its power, or let its disk refuse, now and then."""
        dice = self.dice.of(f"trouble/{device.device_id}")
        for _ in range(dice.randint(1, 5)):
            await asyncio.sleep(dice.uniform(0, 0.3) * self.span_s)
            if self.dice.strikes("power_cuts", device.device_id):
                device.cut_power_after(dice.randint(0, 12))
            elif self.dice.strikes("disks_fail", device.device_id):
                device.refuse_after(dice.randint(0, 12))
            await asyncio.sleep(dice.uniform(600, 0.1 * self.span_s))
            device.heal()

    async def _outages(self, device: Device) -> None:
        """Let it be without network: for a while, or for all weeks but the last days."""
        dice = self.dice.of(f"outages/{device.device_id}")
        if not self.dice.strikes("outages", device.device_id):
            return
        for share in (dice.choice((0.05, 0.3, 0.95)), 0.1):
            await asyncio.sleep(self.span_s * dice.uniform(0.0, 0.1))
            device.link.down = True
            if self.dice.strikes("clocks_set_wrong", device.device_id):
                device.clock.ahead_ms = dice.choice(CLOCKS_SET_WRONG_MS)
                self.note("clock set wrong", device.device_id)
            await asyncio.sleep(self.span_s * share)
            device.link.down = False

    async def _moves(self, device: Device) -> None:
        dice = self.dice.of(f"moves/{device.device_id}")
        if not self.dice.strikes("enrolled_again", device.device_id):
            return
        await asyncio.sleep(self.span_s * dice.uniform(0.2, 0.8))
        if device.validator is not None and not device.link.down:
            device.heal()
            self.note("enrolled again", device.device_id)
            await self._enrol(device)

    async def _check_now_and_then(self) -> None:
        for _ in range(8):
            await asyncio.sleep(self.span_s / 9)
            self._must_not_have_crashed()
            check_always(self)

    async def _become_quiet(self) -> None:
        """Let nothing more go wrong, and wait until all is uploaded and charged."""
        self.dice.calm = True
        deadline_s = self.loop.seconds + QUIET_WITHIN_S
        for device in self.devices:
            device.link.down = False
            device.heal()
            if device.validator is not None:
                await device.start()  # its first record of the day tells it what the server has
        while not self._is_quiet():
            self._must_not_have_crashed()
            if self.loop.seconds > deadline_s:
                waiting = {device.device_id: device.waiting() for device in self.devices}
                charged = f"{len(self.tables.to_charge)} media to charge"
                raise FoundError(f"not quiet: {waiting}, behind: {self._behind()}, {charged}")
            await asyncio.sleep(1_200)
            for device in self.devices:
                if device.validator is not None and device.validator._journal is None:
                    await device.validator.open_journal()

    def _behind(self) -> list[str]:
        return [name for name, row in self.tables.devices.items() if row.handed < row.head.sequence]

    def _is_quiet(self) -> bool:
        uploaded = all(device.waiting() == 0 for device in self.devices)
        released = not any(one.is_to_hand for one in self.tables.releases.values())
        return uploaded and released and not self._behind() and not self.tables.to_charge


def _of_books(act: str, *told: object) -> Callable[[Process], object]:
    return lambda process: getattr(process.books, act)(*told)


@contextlib.contextmanager
def surroundings(loop: VirtualLoop, seed: int) -> Iterator[contextlib.ExitStack]:
    """Put the product on virtual time: clocks, threads, waits of minutes that would be weeks, and no log lines."""
    silent = SimpleNamespace(**dict.fromkeys(("info", "warning", "error"), lambda *_, **__: None))
    with contextlib.ExitStack() as patched:
        for name, value in (
            ("fare.validator.program.monotonic_s", loop.time),
            ("asyncio.to_thread", at_once),
            ("fare.validator.signing.Ed25519PrivateKey", PrivateKey),
            ("fare.validator.signing.Ed25519PublicKey", PublicKey),
            ("fare.validator.program._log", silent),
            ("fare.validator.exchange._log", silent),
            ("fare.api.devices._log", silent),
            ("fare.charging_later._log", silent),
        ):
            patched.enter_context(mock.patch(name, value))
        PrivateKey.dice.seed(seed)
        yield patched


def adapt(patched: contextlib.ExitStack, world: World) -> None:
    """Let waits fit the span of a seed, so that weeks are not spent on asking in vain."""
    for name in (
        "fare.api.devices.HAND_EVERY_S",
        "fare.charging_later.LOOKS_AGAIN_S",
        "fare.validator.exchange.PAUSE_MAX_S",
        "fare.validator.exchange.UNCONFIGURED_S",
    ):
        patched.enter_context(mock.patch(name, world.span_s / 60))
    if world.small_segments:
        patched.enter_context(mock.patch.dict(JournalFile.__init__.__kwdefaults__, segment_bytes=2_000))


def play(seed: int, faults: Faults) -> Ended:
    """Play a seed.

    Raises:
        FoundError: if an invariant does not hold.
    """

    async def main(loop: VirtualLoop) -> Ended:
        with surroundings(loop, seed) as patched:
            world = World(seed, faults, loop)
            adapt(patched, world)
            return await world.play()

    return run(main)
