"""The supervisor: starts the processes of a system in order, restarts what dies, stops them in reverse order.

A worker is ready when it says so. One that ends before it was ever ready stops the start with its last words; one that
dies later is started again, at first at once, then ever more slowly while it keeps dying. The first stop signal ends
everything in order, the second at once. Nobody outlives the supervisor: see ``processes``.
"""

import asyncio
import collections
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ayaldama import processes
from ayaldama.embedded import Server, ServerHome
from ayaldama.log_file import LogFile
from ayaldama.settings import Settings, to_json
from ayaldama.terminal import Steps
from commons.clock import monotonic_s
from commons.logs import get_logger

READY_MAX_S: Final = 300.0  # a large feed is compiled at the first start
STOP_GRACE_S: Final = 10.0
LOOK_S: Final = 0.1
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 20.0
STEADY_S: Final = 60.0  # who lived so long may die again without a longer pause
LAST_WORDS: Final = 12

_log = get_logger(__name__)


class StartError(Exception):
    """A process ended before it was ready; ``status`` is its exit status, the message carries its last words."""

    def __init__(self, name: str, status: int, last_words: Sequence[str]) -> None:
        super().__init__(f"{name} ended with status {status}: " + " / ".join(last_words[-3:]))
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A process to run: its name and its roles."""

    name: str
    roles: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Worker:
    planned: Planned
    process: "subprocess.Popen[bytes]"
    started_s: float
    last_words: "collections.deque[str]" = field(default_factory=lambda: collections.deque(maxlen=LAST_WORDS))


class Supervisor:
    """Runs the servers and workers of one system. ``settings`` carry the URLs of the servers."""

    def __init__(
        self, settings: Settings, home: ServerHome, *, log: LogFile, steps: Steps, tasks: asyncio.TaskGroup
    ) -> None:
        self.ports: dict[str, int] = {}
        self._settings = settings
        self._home = home
        self._log = log
        self._steps = steps
        self._tasks = tasks
        self._workers: list[_Worker] = []
        self._servers: list[tuple[Callable[[], Server], Server]] = []
        self._pauses_s: dict[str, float] = {}

    def start_server(self, start: Callable[[], Server]) -> str:
        """Start an embedded server and keep it running; return its URL. Blocks: this is the main thread's work."""
        server = start()
        self._servers.append((start, server))
        return server.url

    def use(self, settings: Settings) -> None:
        """Start workers with ``settings`` from now on."""
        self._settings = settings

    async def start(self, planned: Planned) -> None:
        """Start a worker and wait until it is ready.

        Raises:
            StartError: if it ends before.
        """
        with self._steps.step(planned.name):
            processes.end_orphan(self._home.run / f"{planned.name}.pid")
            worker, answer = self._launch(planned)
            self._workers.append(worker)
            try:
                async with asyncio.timeout(READY_MAX_S):
                    ports = await answer
            except TimeoutError as error:
                raise StartError(planned.name, 0, ["not ready in time", *worker.last_words]) from error
            if ports is None:
                status = await asyncio.to_thread(worker.process.wait)
                await asyncio.sleep(LOOK_S)  # for its last words
                raise StartError(planned.name, status, list(worker.last_words))
            self.ports.update(ports)

    async def watch(self, stop: asyncio.Event) -> None:
        """Start again what dies, until ``stop``."""
        while not stop.is_set():
            for number, (start, server) in enumerate(self._servers):
                if server.process.poll() is not None:
                    _log.error("server died, starts again", server=server.name, status=server.process.returncode)
                    self._servers[number] = (start, start())
            for number, worker in enumerate(self._workers):
                if worker.process.poll() is not None:
                    self._workers[number] = self._start_again(worker)
            await _wait(stop, LOOK_S)

    async def close(self, hurry: asyncio.Event) -> None:
        """Stop everything in reverse order; once ``hurry`` is set, at once."""
        while self._workers:
            await self._end(self._workers.pop(), hurry)
        for _, server in reversed(self._servers):
            server.stop()  # a second or less, and nothing else is left to do
        self._servers.clear()

    def _launch(self, planned: Planned) -> "tuple[_Worker, asyncio.Future[Mapping[str, int] | None]]":
        assignment = msgspec.json.encode(
            {
                "name": planned.name,
                "roles": planned.roles,
                "settings": msgspec.Raw(to_json(self._settings)),
                "sockets": str(self._home.sockets),
            }
        )
        assignment_read, assignment_write = os.pipe()
        ready_read, ready_write = os.pipe()
        os.write(assignment_write, assignment)  # a few kilobytes: a pipe holds 64
        os.close(assignment_write)
        program = [sys.executable, "-m", "ayaldama.worker", str(assignment_read), str(ready_write)]
        try:
            process = processes.start(
                program,
                record=self._home.run / f"{planned.name}.pid",
                output=subprocess.PIPE,
                keep=(assignment_read, ready_write),
            )
        finally:
            os.close(assignment_read)
            os.close(ready_write)
        worker = _Worker(planned=planned, process=process, started_s=monotonic_s())
        self._tasks.create_task(self._copy_log(worker), name=f"log of {planned.name}")
        return worker, asyncio.ensure_future(asyncio.to_thread(_read_ports, ready_read))

    def _start_again(self, worker: _Worker) -> _Worker:
        name = worker.planned.name
        lived_s = monotonic_s() - worker.started_s
        pause_s = PAUSE_FIRST_S if lived_s > STEADY_S else self._pauses_s.get(name, PAUSE_FIRST_S)
        if lived_s < pause_s:
            return worker  # it is looked at again soon
        self._pauses_s[name] = min(pause_s * 2, PAUSE_MAX_S)
        _log.error("process died, starts again", process=name, status=worker.process.returncode, lived_s=round(lived_s))
        again, answer = self._launch(worker.planned)
        answer.add_done_callback(_forget)
        return again

    async def _end(self, worker: _Worker, hurry: asyncio.Event) -> None:
        process = worker.process
        if process.poll() is None and not hurry.is_set():
            process.terminate()
        deadline_s = monotonic_s() + STOP_GRACE_S
        while process.poll() is None and monotonic_s() < deadline_s and not hurry.is_set():
            await _wait(hurry, 0.02)
        if process.poll() is None:
            _log.warning("process does not end in order, is killed", process=worker.planned.name)
            process.kill()
            process.wait()

    async def _copy_log(self, worker: _Worker) -> None:
        """Copy what ``worker`` prints to the log file, line by line, until it ends."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), worker.process.stdout)
        rest = b""
        while chunk := await reader.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                said = self._log.take(worker.planned.name, line)
                if said:
                    worker.last_words.append(said)
            rest = rest[:65_536]
        transport.close()


def _read_ports(door: int) -> Mapping[str, int] | None:
    with os.fdopen(door, "rb") as answer:
        data = answer.read()
    return msgspec.json.decode(data, type=dict[str, int]) if data else None


def _forget(answer: "asyncio.Future[Mapping[str, int] | None]") -> None:
    if not answer.cancelled():
        answer.exception()


async def _wait(stop: asyncio.Event, at_most_s: float) -> None:
    try:
        async with asyncio.timeout(at_most_s):
            await stop.wait()
    except TimeoutError:
        return
