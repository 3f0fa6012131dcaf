"""Many callers, one durable write.

While one write is under way, what arrives gathers for the next: an idle system answers at once, a busy one batches,
and no timer is needed. A failed write reaches exactly those whose items were in it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


class GroupCommit(Generic[Item]):
    """Hand items in with ``submit``; it returns when they are written."""

    def __init__(self, write: Callable[[Sequence[Item]], Awaitable[None]], *, batch_max: int, waiting_max: int) -> None:
        self._write = write
        self._batch_max = batch_max
        self._room = asyncio.Semaphore(waiting_max)
        self._waiting: list[tuple[Sequence[Item], asyncio.Future[None]]] = []
        self._abandoned = 0  # of those waiting, whose callers gave up
        self._arrived = asyncio.Event()
        self._closing = False

    async def submit(self, items: Sequence[Item]) -> None:
        """Return when ``items`` are durable. Waits first when too many submissions are under way.

        A caller that is cancelled before its items are taken for a write takes them back.

        Raises:
            RuntimeError: if the group commit is already closed.
            Exception: whatever the write raised.
        """
        if not items:
            return
        async with self._room:
            if self._closing:
                raise RuntimeError("group commit is closed")
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((items, done))
            self._arrived.set()
            try:
                await done
            except asyncio.CancelledError:
                self._forget_abandoned()
                raise

    async def run(self) -> None:
        """Write batches until ``close`` was called and nothing waits."""
        while self._waiting or not self._closing:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            batch, dones = self._take()
            if not batch:
                continue
            try:
                await self._write(batch)
            except Exception as error:  # noqa: BLE001 - it belongs to the callers of this batch
                for done in dones:
                    if not done.done():
                        done.set_exception(error)
            else:
                for done in dones:
                    if not done.done():
                        done.set_result(None)

    def close(self) -> None:
        """Take no more; ``run`` ends when what waits is written."""
        self._closing = True
        self._arrived.set()

    def _forget_abandoned(self) -> None:
        """Drop what its callers gave up, once it is half of what waits: a stuck write must not fill memory."""
        self._abandoned += 1
        if self._abandoned * 2 > len(self._waiting):
            self._waiting = [waiting for waiting in self._waiting if not waiting[1].done()]
            self._abandoned = 0

    def _take(self) -> tuple[list[Item], list[asyncio.Future[None]]]:
        batch: list[Item] = []
        dones: list[asyncio.Future[None]] = []
        taken = 0
        for items, done in self._waiting:
            if batch and len(batch) + len(items) > self._batch_max:
                break
            taken += 1
            if not done.done():
                batch.extend(items)
                dones.append(done)
        del self._waiting[:taken]
        return batch, dones


@asynccontextmanager
async def group_commit(
    write: Callable[[Sequence[Item]], Awaitable[None]], *, batch_max: int, waiting_max: int
) -> AsyncIterator[GroupCommit[Item]]:
    """Run a group commit while the block runs; on leaving, what was submitted is still written."""
    commit: GroupCommit[Item] = GroupCommit(write, batch_max=batch_max, waiting_max=waiting_max)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit.run(), name="group-commit")
        try:
            yield commit
        finally:
            commit.close()
