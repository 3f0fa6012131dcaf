"""Many callers, one durable write.

While one write is under way, what arrives gathers for the next: an idle system answers at once, a busy one batches,
and no timer is needed. A failed write reaches exactly those whose items were in it.

With ``writes_max`` of two and more, a write begins beside those under way as soon as ``overlap_min`` items wait for it,
so that one is prepared while the other is carried out. Each takes its share of all items, else one of the writes would
come to carry nearly all of them and the others nothing. Writes begin in the order of arrival; they may end in any.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


class GroupCommit(Generic[Item]):
    """Hand items in with ``submit``; it returns when they are written."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[None]],
        *,
        batch_max: int,
        waiting_max: int,
        writes_max: int = 1,
        overlap_min: int = 1,
    ) -> None:
        self._write = write
        self._batch_max = batch_max
        self._writes_max = writes_max
        self._overlap_min = overlap_min
        self._room = asyncio.Semaphore(waiting_max)
        self._waiting: list[tuple[Sequence[Item], asyncio.Future[None]]] = []
        self._abandoned = 0  # of those waiting, whose callers gave up
        self._writes = 0  # under way
        self._items_written = 0  # that these carry
        self._changed = asyncio.Event()  # something arrived, a write ended, or no more will come
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
        await self._room.acquire()
        try:
            if self._closing:
                raise RuntimeError("group commit is closed")
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((items, done))
            self._changed.set()
            try:
                await done
            except asyncio.CancelledError:
                self._forget_abandoned()
                raise
        finally:
            self._room.release()

    async def run(self) -> None:
        """Write batches until ``close`` was called and nothing waits."""
        async with asyncio.TaskGroup() as writes:
            while self._waiting or not self._closing:
                share = self._share()
                if share == 0:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                batch, dones = self._take(share)
                if batch:
                    self._writes += 1
                    self._items_written += len(batch)
                    writes.create_task(self._write_out(batch, dones))

    def close(self) -> None:
        """Take no more; ``run`` ends when what waits is written."""
        self._closing = True
        self._changed.set()

    def _forget_abandoned(self) -> None:
        """Drop what its callers gave up, once it is half of what waits: a stuck write must not fill memory."""
        self._abandoned += 1
        if self._abandoned * 2 > len(self._waiting):
            self._waiting = [waiting for waiting in self._waiting if not waiting[1].done()]
            self._abandoned = 0

    def _share(self) -> int:
        """Return how many items at most the next write carries; 0: none begins now."""
        if not self._waiting or self._writes >= self._writes_max:
            return 0
        if self._writes_max == 1:
            return self._batch_max
        waiting = sum([len(items) for items, _ in self._waiting])
        if self._writes and waiting < self._overlap_min:
            return 0
        even = -(-(waiting + self._items_written) // self._writes_max)
        return min(max(even, self._overlap_min), self._batch_max)

    def _take(self, share: int) -> tuple[list[Item], list[asyncio.Future[None]]]:
        batch: list[Item] = []
        dones: list[asyncio.Future[None]] = []
        taken = 0
        for items, done in self._waiting:
            if batch and len(batch) + len(items) > share:
                break
            taken += 1
            if not done.done():
                batch.extend(items)
                dones.append(done)
        del self._waiting[:taken]
        return batch, dones

    async def _write_out(self, batch: Sequence[Item], dones: Sequence[asyncio.Future[None]]) -> None:
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
        finally:
            self._writes -= 1
            self._items_written -= len(batch)
            self._changed.set()


@asynccontextmanager
async def group_commit(
    write: Callable[[Sequence[Item]], Awaitable[None]],
    *,
    batch_max: int,
    waiting_max: int,
    writes_max: int = 1,
    overlap_min: int = 1,
) -> AsyncIterator[GroupCommit[Item]]:
    """Run a group commit while the block runs; on leaving, what was submitted is still written."""
    commit: GroupCommit[Item] = GroupCommit(
        write, batch_max=batch_max, waiting_max=waiting_max, writes_max=writes_max, overlap_min=overlap_min
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit.run(), name="group-commit")
        try:
            yield commit
        finally:
            commit.close()
