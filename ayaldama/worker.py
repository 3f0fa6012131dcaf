"""One process of the system: logs, clock, signals, then its roles until it is told to stop.

The supervisor starts it as ``python -m ayaldama.worker``, with an ``Assignment`` on one file descriptor and a door for
the word "ready" on another, so that passwords are neither in a file nor in the list of processes.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from ayaldama import settings as settings_module
from ayaldama.exposition import show_metrics, show_metrics_at
from ayaldama.memory import keep_what_is_here
from ayaldama.roles import functions_of
from ayaldama.roles._base import RoleContext, RoleError
from ayaldama.settings import Settings
from commons.clock import SystemClock
from commons.logs import configure_logs, get_logger
from commons.metrics import Metrics

EXIT_ERROR: Final = 1
EXIT_INTERRUPTED: Final = 130
EXIT_UNUSABLE: Final = 69  # a port or a server cannot be had, EX_UNAVAILABLE
CLOSING_MAX_S: Final = 8.0  # whoever waits for a server that has gone too must not wait for ever

Ready = Callable[[Mapping[str, int]], None]

_log = get_logger("ayaldama.worker")


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told."""

    name: str
    roles: list[str]
    settings: Settings
    sockets: str


def run_roles(name: str, roles: frozenset[str], settings: Settings, *, sockets: Path | None, ready: Ready) -> int:
    """Run ``roles`` in this process until SIGTERM or SIGINT (a second one ends at once); return the exit status."""
    configure_logs(name, level=settings.log_level)
    status = 0
    try:
        uvloop.run(_serve(name, roles, settings, sockets=sockets, ready=ready))
    except* (RoleError, OSError) as errors:
        for error in _leaves(errors):
            _log.error("cannot run", error=str(error) or repr(error))
        status = EXIT_UNUSABLE
    except* Exception as errors:  # noqa: BLE001 - the top of the process: logged, and its exit status says so
        for error in _leaves(errors):
            _log.exception("ended by an error", exc_info=error, error=str(error) or repr(error))
        status = EXIT_ERROR
    return status


async def _serve(name: str, roles: frozenset[str], settings: Settings, *, sockets: Path | None, ready: Ready) -> None:
    stop = _stop_on_signals()
    metrics = Metrics()
    functions = functions_of(roles)
    waiting = set(functions)
    ports: dict[str, int] = {}

    def ready_of(function: str) -> Ready:
        def one_ready(found: Mapping[str, int]) -> None:
            ports.update(found)
            waiting.discard(function)
            if not waiting:
                keep_what_is_here()
                _log.info("ready", ports=ports)
                ready(ports)

        return one_ready

    async with AsyncExitStack() as around:
        if sockets is not None:
            await around.enter_async_context(show_metrics(metrics, name=name, sockets=sockets))
        elif isinstance(settings.metrics.port, int):
            host, port = settings.metrics.host, settings.metrics.port
            ports["metrics"] = await around.enter_async_context(show_metrics_at(metrics, host=host, port=port))
        async with asyncio.TaskGroup() as tasks:
            for function, serve in functions.items():
                context = RoleContext(
                    settings=settings,
                    roles=roles,
                    clock=SystemClock(settings.clock_anchor),
                    metrics=metrics,
                    sockets=sockets,
                    stop=stop,
                    ready=ready_of(function),
                )
                tasks.create_task(serve(context), name=function)
    _log.info("ended in order")


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        stop.set()
        loop.call_later(CLOSING_MAX_S, give_up)

    def give_up() -> None:
        _log.error("does not end in order, ends at once", after_s=CLOSING_MAX_S)
        os._exit(EXIT_ERROR)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


def _leaves(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in errors.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def main() -> None:
    """Run as the supervisor's child: ``worker ASSIGNMENT_FD READY_FD``."""
    assignment_fd, ready_fd = int(sys.argv[1]), int(sys.argv[2])
    with os.fdopen(assignment_fd, "rb") as door:
        assignment = msgspec.json.decode(door.read(), type=Assignment, dec_hook=settings_module.read_path)

    def ready(ports: Mapping[str, int]) -> None:
        with os.fdopen(ready_fd, "wb") as answer:
            answer.write(msgspec.json.encode(dict(ports)))

    sys.exit(
        run_roles(
            assignment.name,
            frozenset(assignment.roles),
            assignment.settings,
            sockets=Path(assignment.sockets),
            ready=ready,
        )
    )


if __name__ == "__main__":
    main()
