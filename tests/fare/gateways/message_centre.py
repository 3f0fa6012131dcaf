"""A message centre that nobody here wrote (npm's ``smpp``, a process of its own), the line to it, and a judge of it.

The line is a proxy that keeps what goes over it, so that tshark can say afterwards whether every PDU is one.
"""

import asyncio
import contextlib
import json
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from commons.clock import SystemClock
from fare.gateways.sms_desk import Door
from fare.media.phone import phone_number
from fare.model import PhoneNumber
from fare.sms.values import Incoming, Outgoing, OutgoingState, ReceiptTaken
from tests.patience import PATIENCE_S

VENDOR = Path(__file__).parents[3] / "vendor"
CODE = "2505"
RIDER = PhoneNumber("+77011234567")

needs_npm_smpp = pytest.mark.skipif(
    shutil.which("node") is None or not (VENDOR / "node_modules" / "smpp").is_dir(),
    reason="no node, or npm's smpp is not installed: make vendor",
)

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="no tshark: apt install tshark")

Event = dict[str, Any]


class Centre:
    """A centre and what it has reported so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._changed = asyncio.Event()
        self.port = 0
        self.events: list[Event] = []

    def do(self, what: str, **how: object) -> None:
        self._writer.write(json.dumps({"do": what, **how}).encode() + b"\n")

    def manner(self, **how: object) -> None:
        self.do("manner", **how)

    def deliver(self, text: str, *, name: str = "", source: str = RIDER, to: str = CODE, **more: object) -> None:
        encoded = text.encode("utf-16-be").hex()
        self.do("deliver", name=name, **{"from": source}, to=to, **({"hex": encoded, "coding": 8} | more))

    def of(self, event: str) -> list[Event]:
        return [one for one in self.events if one["event"] == event]

    async def seen(self, event: str, count: int = 1) -> list[Event]:
        """Return the events of this kind once there are ``count``."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.of(event)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of(event)

    async def listen(self) -> None:
        with contextlib.suppress(ConnectionError):
            async for line in self._reader:
                event = json.loads(line)
                self.port = event.get("port", self.port)
                self.events.append(event)
                self._changed.set()


@asynccontextmanager
async def running_centre(centres: int) -> AsyncIterator[Centre]:
    reader, writer = await asyncio.open_connection("127.0.0.1", centres)
    centre = Centre(reader, writer)
    listening = asyncio.create_task(centre.listen())
    try:
        await centre.seen("listening")
        yield centre
    finally:
        writer.close()
        await listening


class Overheard:
    """A line that keeps what goes over it, in each direction, in the order it went."""

    def __init__(self) -> None:
        self.port = 0
        self.said: list[tuple[bool, bytes]] = []  # whether it came from the centre, what

    @asynccontextmanager
    async def line(self, to_port: int) -> AsyncIterator[None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to_port)
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(self._copy(reader, far_writer, False), self._copy(far_reader, writer, True))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, from_centre: bool) -> None:
        try:
            while chunk := await reader.read(65_536):
                self.said.append((from_centre, chunk))
                writer.write(chunk)
                await writer.drain()
        finally:
            writer.close()

    def write_capture(self, path: Path, *, centre_port: int = 2775) -> None:
        """Write what was said as a capture of one TCP connection (pcap, link type 101: raw IP)."""
        sequences, clock_us = {False: 1, True: 1}, 0
        with path.open("wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101))
            for from_centre, chunk in self.said:
                for at in range(0, len(chunk), 1_400):
                    packet = _packet(chunk[at : at + 1_400], from_centre, sequences, centre_port)
                    clock_us += 1_000
                    file.write(struct.pack("<IIII", clock_us // 10**6, clock_us % 10**6, len(packet), len(packet)))
                    file.write(packet)


def _packet(payload: bytes, from_centre: bool, sequences: dict[bool, int], centre_port: int) -> bytes:
    ports = (centre_port, 40_000) if from_centre else (40_000, centre_port)
    tcp = struct.pack(">HHIIBBHHH", *ports, sequences[from_centre], sequences[not from_centre], 0x50, 0x18, 8192, 0, 0)
    sequences[from_centre] += len(payload)
    ends = (b"\x7f\0\0\2", b"\x7f\0\0\1") if from_centre else (b"\x7f\0\0\1", b"\x7f\0\0\2")
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, *ends)
    return ip + tcp + payload


def dissected(capture: Path, fields: Sequence[str], *, preferences: Mapping[str, str] | None = None) -> list[list[str]]:
    """Return the fields that tshark reads, a row per frame with SMPP, and assert that it finds nothing malformed."""
    options = [f"-o{name}:{value}" for name, value in (preferences or {}).items()]
    base = ["tshark", "-n", "-r", str(capture), "-d", "tcp.port==2775,smpp", *options]
    broken = subprocess.run([*base, "-Y", "_ws.malformed or not smpp"], capture_output=True, text=True, check=True)
    assert broken.stdout == ""
    shown = [part for field in fields for part in ("-e", field)]
    read = subprocess.run(
        [*base, "-Y", "smpp", "-T", "fields", *shown], capture_output=True, text=True, check=True
    ).stdout
    return [line.split("\t") for line in read.splitlines()]


class Desk:
    """A desk that answers as told and keeps all in memory, so that the line alone is tried."""

    def __init__(self, answer: Callable[[Incoming], str | None] = lambda _: None) -> None:
        self.answer = answer
        self.taken: list[Incoming] = []
        self.waiting: list[Outgoing] = []
        self.handed: dict[int, str] = {}
        self.refusals: list[int] = []
        self.receipts: list[tuple[str, str, OutgoingState]] = []
        self.fails = 0
        self._changed = asyncio.Event()
        self.stores = asyncio.Event()
        self.stores.set()

    async def take(self, incoming: Incoming) -> list[Outgoing]:
        await self.stores.wait()
        if self.fails:
            self.fails -= 1
            raise OSError("the database is away")
        self.taken.append(incoming)
        self._changed.set()
        text = self.answer(incoming)
        to = phone_number(incoming.sender) or RIDER
        answers = [] if text is None else [self.outgoing(text, incoming.operator, to)]
        self.waiting += answers
        return answers

    def outgoing(self, text: str, operator: str, to: PhoneNumber = RIDER) -> Outgoing:
        number = len(self.taken) * 100 + len(self.waiting)
        return Outgoing(id=number, operator=operator, to=to, short_code=CODE, text=text)

    async def due(self, operator: str) -> list[Outgoing]:
        return [one for one in self.waiting if one.operator == operator]

    async def handed_over(self, outgoing_id: int, smsc_message_id: str) -> None:
        self.handed[outgoing_id] = smsc_message_id
        self._done(outgoing_id)

    async def refused(self, outgoing_id: int) -> None:
        self.refusals.append(outgoing_id)
        self._done(outgoing_id)

    async def receipt(self, operator: str, smsc_message_id: str, state: OutgoingState) -> ReceiptTaken:
        known = smsc_message_id in self.handed.values()
        if known:
            self.receipts.append((operator, smsc_message_id, state))
            self._changed.set()
        return ReceiptTaken.APPLIED if known else ReceiptTaken.UNKNOWN

    async def until(self, so: Callable[[], object]) -> None:
        """Return once it is ``so``."""
        async with asyncio.timeout(PATIENCE_S):
            while not so():
                self._changed.clear()
                await self._changed.wait()

    def _done(self, outgoing_id: int) -> None:
        self.waiting = [one for one in self.waiting if one.id != outgoing_id]
        self._changed.set()


def door_to(desk: Desk) -> Door:
    return Door(desk, clock=SystemClock())
