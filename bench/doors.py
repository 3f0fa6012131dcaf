"""Validators for ``backlog.py``: devices that sign and send taps, and a process in which some do so one at a time."""

import asyncio
import contextlib
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from ayaldama.memory import keep_what_is_here
from commons.clock import SystemClock
from commons.logs import configure_logs
from fare.model import DeviceId, MediumId, MediumKind, Tap
from fare.outcomes import TapOutcome
from fare.validator.batches import Receiving, make_batch, open_receipt
from fare.validator.journal import Head, Record, Stretch, encode, hash_after
from fare.validator.link import Link, LinkError
from fare.validator.signing import Signed, SigningKey

CITY_KEY: Final = SigningKey.from_bytes(b"bench city key, not a secret one")
CITY: Final = "bench"
TRIES_MAX: Final = 200
WRITTEN_BYTES: Final = 8_192  # a page of PostgreSQL's log
FLOOR_PER_S: Final = 20.0
NICE: Final = 10
AUTOGROUP: Final = Path("/proc/self/autogroup")


@dataclass(frozen=True, slots=True)
class Ports:
    """Of the server that is measured, and of one that does nothing."""

    server: int
    idle: int


@dataclass(slots=True)
class Validator:
    """A device that has recorded taps."""

    name: str
    key: SigningKey
    head: Head = field(default_factory=Head)

    def batch(self, taps: Sequence[tuple[int, int]], sent_ms: int) -> Signed:
        """Return a signed batch of taps, each the time and the number of a card."""
        payloads, first, before = [], self.head.sequence + 1, self.head.hash
        for tapped_ms, card in taps:
            tap = Tap(
                device_id=DeviceId(self.name),
                sequence=self.head.sequence + 1,
                tapped_ms=tapped_ms,
                medium_id=MediumId(f"{card * 2_654_435_761 % 2**32:032x}"),
                medium_kind=MediumKind.TRANSPORT_CARD,
                outcome=TapOutcome.ACCEPTED,
                vehicle_id=f"bus-{self.name}",
                shown_tiyn=9_000,
                tariff_version="small",
                deny_list_version=1,
            )
            payloads.append(encode(Record(sequence=tap.sequence, before=self.head.hash, tap=tap)))
            self.head = Head(sequence=tap.sequence, hash=hash_after(self.head.hash, payloads[-1]))
        stretch = Stretch(first_sequence=first, before=before, payloads=tuple(payloads))
        return make_batch(stretch, city=CITY, device_id=DeviceId(self.name), sent_ms=sent_ms, waiting=0, key=self.key)


async def send(link: Link, validator: Validator, signed: Signed) -> None:
    """Send one batch until it is taken; the server may ask to come again, but not for ever."""
    for left in reversed(range(TRIES_MAX)):
        try:
            answered = await link.send(signed)
        except LinkError:
            if not left:
                raise
            await asyncio.sleep(0.5)
            continue
        sent_ms = msgspec.msgpack.decode(signed.body)["sent_ms"]
        receipt = open_receipt(answered.signed, CITY_KEY.public, device_id=DeviceId(validator.name), sent_ms=sent_ms)
        if receipt is None or receipt.outcome not in {Receiving.TAKEN, Receiving.REPEATED}:
            raise RuntimeError(f"{validator.name}: a batch was not taken: {receipt}")
        return


@dataclass(slots=True)
class Waits:
    """When live taps were made, and how long each waited for its receipt, seconds."""

    waits_s: list[tuple[float, float]] = field(default_factory=list)

    def between(self, from_s: float, until_s: float) -> dict[str, float]:
        """Return count, middle, 99th percentile and longest of the taps made then."""
        waits_s = sorted(wait_s for at_s, wait_s in self.waits_s if from_s <= at_s < until_s)
        at = (
            {f"p{part}_ms": waits_s[(len(waits_s) - 1) * part // 100] * 1e3 for part in (50, 99, 100)}
            if waits_s
            else {}
        )
        return {"taps": len(waits_s)} | {name: round(value, 1) for name, value in at.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the live process does: validators of these seeds, these ports, so many taps a second in all."""

    seeds: Mapping[str, bytes]
    ports: Ports
    cards: int
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """How long live validators waited, and others for the least that a receipt takes; ``disk``: each sync of these."""

    taps: Waits = field(default_factory=Waits)
    floor: Waits = field(default_factory=Waits)
    disk: Waits = field(default_factory=Waits)


async def tap_on(session: aiohttp.ClientSession, door: Door, over: Callable[[], bool]) -> Waited:
    """Let each validator send taps, one after another, until it is ``over``; return how long all waited."""
    validators = [Validator(name, SigningKey.from_bytes(seed)) for name, seed in door.seeds.items()]
    pause_s = len(validators) / door.per_s
    dice, waited = random.Random(1), Waited()  # noqa: S311 - people at doors, not secrets
    link = Link(session, f"http://127.0.0.1:{door.ports.server}")

    async def ask(file: int) -> None:
        """Wait for the least that a receipt takes: an answer, and its two commits, of a record and of its journal."""
        while not over():
            began_s = time.perf_counter()
            async with session.get(f"http://127.0.0.1:{door.ports.idle}/") as response:
                await response.read()
            for _ in range(2):
                from_s = time.perf_counter()
                await asyncio.to_thread(write_and_sync, file)
                waited.disk.waits_s.append((from_s, time.perf_counter() - from_s))
            waited.floor.waits_s.append((began_s, time.perf_counter() - began_s))
            await asyncio.sleep(dice.uniform(0.0, 2 / FLOOR_PER_S))

    async def one(number: int, validator: Validator) -> None:
        while not over():
            card = (number * 7_919 + validator.head.sequence * 104_729) % door.cards
            now_ms = SystemClock().now_ms()
            signed = validator.batch([(now_ms, card)], now_ms)
            began_s = time.perf_counter()
            await send(link, validator, signed)
            waited.taps.waits_s.append((began_s, time.perf_counter() - began_s))
            await asyncio.sleep(dice.uniform(0.0, 2 * pause_s))

    with tempfile.TemporaryFile() as file:
        write_and_sync(file.fileno())
        await asyncio.gather(
            ask(file.fileno()), *(one(number, validator) for number, validator in enumerate(validators))
        )
    return waited


def write_and_sync(file: int) -> None:
    """Write over a page of a file, and return when that is on disk."""
    os.pwrite(file, bytes(WRITTEN_BYTES), 0)
    os.fdatasync(file)


def be_apart() -> None:
    """Have a share of the processors of one's own, as the processes of the server's PostgreSQL have.

    Linux shares them out by session before it looks at priorities (sched(7), "The autogroup feature"), so that what one
    process of a session uses is taken from the others of that session.
    """
    os.setsid()


@contextmanager
def low_priority() -> Iterator[None]:
    """Go behind all others of this machine while the block runs: who sends from another takes nothing away."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    try:
        session = AUTOGROUP.read_text(encoding="ascii").rpartition(" ")[2]
        AUTOGROUP.write_text(str(NICE), encoding="ascii")
    except OSError:  # not this kernel
        session = ""
    try:
        yield
    finally:
        if session:
            AUTOGROUP.write_text(session, encoding="ascii")
        with contextlib.suppress(PermissionError):  # only root may go before others again
            os.setpriority(os.PRIO_PROCESS, 0, before)


def live_process(door: Door, pipe: Connection) -> None:
    """Let validators tap until ``pipe`` has something; then send what ``tap_on`` returns through it."""
    be_apart()
    configure_logs("bench", level="WARNING")

    async def tap() -> Waited:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            keep_what_is_here()
            return await tap_on(session, door, pipe.poll)

    pipe.send(uvloop.run(tap()))


@contextmanager
def living(door: Door) -> Iterator[Callable[[], Waited]]:
    """Let validators tap in another process; give what ends that and returns what ``tap_on`` does."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=live_process, args=(door, theirs), daemon=True)
    process.start()

    def end() -> Waited:
        ours.send("over")
        found: Waited = ours.recv()
        return found

    try:
        yield end
    finally:
        process.terminate()
        process.join()


def idle_process(ports: "multiprocessing.Queue[int]") -> None:
    """Answer everything with nothing until killed."""
    be_apart()
    configure_logs("bench", level="WARNING")

    async def nothing(_: web.Request) -> web.Response:
        return web.Response()

    async def serve() -> None:
        application = web.Application()
        application.add_routes([web.get("/", nothing)])
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        keep_what_is_here()
        ports.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(serve())
