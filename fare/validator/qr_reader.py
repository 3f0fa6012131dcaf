"""A QR scanner: what it reads, line by line, from a serial device or from a TCP port.

Scanners end a code with CR, LF or both. A USB scanner that is a keyboard needs no driver: it types into the validator's
page. What a line means is for ``fare.validator.codes``.
"""

import asyncio
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

LINE_MAX: Final = 256  # characters; a longer line is no code of ours
CHUNK_BYTES: Final = 1_024


class ScannerGoneError(OSError):
    """The scanner hung up."""


class Scanner(Protocol):
    """A scanner that is open. Iterating it gives what it reads and ends with an OSError when it is gone."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Return what is scanned from now on."""


class Lines:
    """Lines out of bytes that are cut anywhere: ``feed`` what came, get what is complete."""

    def __init__(self) -> None:
        self._open = ""
        self._too_long = False

    def feed(self, chunk: bytes) -> list[str]:
        """Return the lines that ``chunk`` completes; empty and overlong ones are left out."""
        *ended, rest = chunk.decode("ascii", "replace").replace("\r", "\n").split("\n")
        lines: list[str] = []
        for part in ended:
            line = self._grown(part)
            if line and not self._too_long:
                lines.append(line)
            self._open, self._too_long = "", False
        self._open = self._grown(rest)
        return lines

    def _grown(self, part: str) -> str:
        line = self._open + part
        self._too_long = self._too_long or len(line) > LINE_MAX
        return "" if self._too_long else line


class LineScanner:
    """Codes as a scanner sends them."""

    def __init__(self, reader: asyncio.StreamReader, device: str) -> None:
        self._reader = reader
        self._device = device
        self._lines = Lines()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield what is scanned.

        Raises:
            ScannerGoneError: if the scanner hung up.
            OSError: if the device fails.
        """
        while chunk := await self._reader.read(CHUNK_BYTES):
            for line in self._lines.feed(chunk):
                yield line
        raise ScannerGoneError(f"scanner {self._device} hung up")


@asynccontextmanager
async def open_scanner(device: str) -> AsyncIterator[Scanner]:
    """Open ``device`` while the block runs: a path (``/dev/ttyACM0``), or ``host:port``.

    Raises:
        ValueError: if it is neither.
        OSError: if it is not there.
    """
    host, colon, port = device.rpartition(":")
    if device.startswith("/"):
        async with _serial(Path(device)) as reader:
            yield LineScanner(reader, device)
    elif colon and port.isdigit():
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield LineScanner(reader, device)
        finally:
            writer.close()
    else:
        raise ValueError(f"scanner must be a path or host:port: {device!r}")


@asynccontextmanager
async def _serial(path: Path) -> AsyncIterator[asyncio.StreamReader]:
    file = await asyncio.to_thread(path.open, "rb", buffering=0)
    try:
        if file.isatty():
            tty.setraw(file.fileno())  # else the terminal would keep a code until a line feed comes
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        try:
            yield reader
        finally:
            transport.close()
    finally:
        file.close()
