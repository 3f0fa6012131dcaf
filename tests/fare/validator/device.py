"""``ayaldama validator`` as a process of its own, and its screen as a client sees it."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.patience import PATIENCE_S

PROJECT = Path(__file__).parents[3]


async def ayaldama(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a command to its end; return status, output and errors."""
    process = await _start(folder, *arguments, stderr=asyncio.subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


class Device:
    """The program in the bus."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self, *arguments: str) -> None:
        self._process = await _start(self._folder, "validator", "--emulate", "--port", "0", *arguments)
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_S)
        self.url = line.decode().removeprefix("validator: ").strip().rstrip("/")
        assert self.url.startswith("http://"), line

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        return await self._end(signal.SIGTERM)

    async def post(self, path: str, body: object, session: aiohttp.ClientSession) -> int:
        async with session.post(self.url + path, data=json.dumps(body), headers={"X-Validator": "1"}) as response:
            return response.status

    async def _end(self, how: signal.Signals) -> int:
        process = self._process
        if process is None or process.returncode is not None:
            return 0
        process.send_signal(how)
        return await asyncio.wait_for(process.wait(), PATIENCE_S)


class Screen:
    """What the page hears."""

    def __init__(self, device: Device, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._device = device
        self._session = session
        self._socket = socket

    async def hold(self, *cards: str, torn: bool = False) -> dict[str, Any]:
        """Hold cards to the reader; return the answer."""
        status = await self._device.post("/hold", {"cards": cards, "torn": torn}, self._session)
        assert status == 202
        return await self.next("shown")

    async def next(self, kind: str, **wanted: object) -> dict[str, Any]:
        """Return the next message of a kind with these values."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message: dict[str, Any] = await self._socket.receive_json()
                if message["type"] == kind and wanted.items() <= message.items():
                    return message


async def screen(device: Device, session: aiohttp.ClientSession) -> Screen:
    return Screen(device, session, await session.ws_connect(f"{device.url}/ws"))


async def _start(folder: Path, *arguments: str, stderr: int | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ayaldama",
        "--data-folder",
        str(folder),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        cwd=PROJECT,
    )
