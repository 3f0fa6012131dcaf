"""An issuer's host that nobody here wrote (iso8583sim, a process of its own), and a line to it that is overheard."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fare.gateways.iso8583_messages import LENGTH_BYTES, decoded
from tests.patience import PATIENCE_S

NUMBERS_OF_ITS_OWN = frozenset({"p", "1", "37", "90"})  # bitmaps, reference, what a reversal is of


@asynccontextmanager
async def running_host(folder: Path, rules: Sequence[dict[str, object]], port: int) -> AsyncIterator[None]:
    file = folder / "rules.json"
    file.write_text(json.dumps({"rules": [*rules, {"respond": "00"}]}))
    program = [sys.executable, "-m", "iso8583sim.cli.commands", "serve", "--port", str(port), "--rules", str(file)]
    process = await asyncio.create_subprocess_exec(
        *program, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await _listens(port):
                assert process.returncode is None, "iso8583sim ended"
                await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


class Line:
    """What was said over the line, in order: the message's type and its fields."""

    def __init__(self) -> None:
        self.said: list[dict[str, str]] = []
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()

    def types(self) -> list[str]:
        """Return the types of messages, without those of network management."""
        return [message["t"] for message in self.said if not message["t"].startswith("08")]

    async def heard(self, *types: str) -> None:
        """Return once exactly these were said, in this order."""
        while len(self.types()) < len(types):
            self._changed.clear()
            await self._changed.wait()
        assert self.types() == list(types)

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()

    @asynccontextmanager
    async def open(self, to_port: int) -> AsyncIterator[None]:
        async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, here = await asyncio.open_connection("127.0.0.1", to_port)
            self._writers |= {writer, here}
            await asyncio.gather(self._carry(reader, here), self._carry(there, writer), return_exceptions=True)

        server = await asyncio.start_server(session, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield
        server.close()
        self.cut()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(LENGTH_BYTES)
                raw = await reader.readexactly(int.from_bytes(head, "big"))
                self.said.append(decoded(raw))
                self._changed.set()
                writer.write(head + raw)
                await writer.drain()
        finally:
            writer.close()


def digits_of(messages: Sequence[dict[str, str]]) -> list[str]:
    """Return the long runs of digits of all fields but those that are numbers of the protocol's own."""
    text = "|".join(
        value for message in messages for field, value in message.items() if field not in NUMBERS_OF_ITS_OWN
    )
    return re.findall(r"[0-9]{12,19}", text)
