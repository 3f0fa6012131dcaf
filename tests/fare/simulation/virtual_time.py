"""An event loop whose time jumps to the next thing to happen: weeks pass in a moment, and always in the same way."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


class StuckError(Exception):
    """Everybody waits for somebody, and nobody for a moment."""


class _Jump:
    """What ``BaseEventLoop`` waits with: it waits for nothing."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise StuckError(f"nothing will ever happen after {self._loop.time()} s")
        self._loop.seconds += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """asyncio on a virtual clock that begins at 0 s."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._selector = _Jump(self)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return round(self.seconds * 1_000)

    def _process_events(self, events: list[object]) -> None: ...

    def _write_to_self(self) -> None: ...


async def at_once(function: Callable[..., Value], *arguments: Any, **named: Any) -> Value:
    """Stand for ``asyncio.to_thread``: disks are in memory here."""
    return function(*arguments, **named)


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, Value]]) -> Value:
    """Run ``main`` in a virtual time of its own."""
    loop = VirtualLoop()
    loop.set_exception_handler(lambda _, context: None)
    try:
        return loop.run_until_complete(main(loop))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
