"""Many callers, one durable write: who is told what, also when writes fail, hang or nobody waits any more."""

import asyncio
from collections.abc import Sequence

import pytest

from commons.group_commit import GroupCommit, group_commit


class Store:
    """Remembers batches; writes only while ``open`` is set."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    async def write(self, items: Sequence[str]) -> None:
        await self.open.wait()
        if self.fails:
            raise OSError("disk full")
        self.batches.append(list(items))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_gathers_during_a_write_is_the_next_batch() -> None:
    store = Store()
    async with group_commit(store.write, batch_max=3, waiting_max=10) as commit, asyncio.TaskGroup() as callers:
        store.open.clear()
        callers.create_task(commit.submit(["a"]))
        await settle()
        for item in "bcdef":
            callers.create_task(commit.submit([item]))
        await settle()
        store.open.set()
    assert store.batches == [["a"], ["b", "c", "d"], ["e", "f"]]


async def test_a_failed_write_reaches_its_callers_and_no_others() -> None:
    store = Store()
    async with group_commit(store.write, batch_max=10, waiting_max=10) as commit:
        store.fails = True
        with pytest.raises(OSError, match="disk full"):
            await commit.submit(["a"])
        store.fails = False
        await commit.submit(["b"])
    assert store.batches == [["b"]]


async def test_on_leaving_what_was_submitted_is_still_written() -> None:
    store = Store()
    async with asyncio.TaskGroup() as callers:
        async with group_commit(store.write, batch_max=10, waiting_max=10) as commit:
            store.open.clear()
            callers.create_task(commit.submit(["a"]))
            await settle()
            callers.create_task(commit.submit(["b"]))
            await settle()
            store.open.set()
        with pytest.raises(RuntimeError, match="closed"):
            await commit.submit(["c"])
    assert store.batches == [["a"], ["b"]]


async def test_callers_that_gave_up_leave_nothing_behind_while_a_write_hangs() -> None:
    store = Store()
    async with group_commit(store.write, batch_max=10, waiting_max=100) as commit:
        store.open.clear()
        first = asyncio.create_task(commit.submit(["first"]))
        await settle()
        for number in range(1_000):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await commit.submit([str(number)])
            assert waiting(commit) <= 2
        kept = asyncio.create_task(commit.submit(["kept"]))
        await settle()
        store.open.set()
        await asyncio.gather(first, kept)
    assert store.batches == [["first"], ["kept"]]


def waiting(commit: GroupCommit[str]) -> int:
    return len(commit._waiting)


async def test_no_more_than_the_bound_wait() -> None:
    store = Store()
    async with group_commit(store.write, batch_max=100, waiting_max=2) as commit, asyncio.TaskGroup() as callers:
        store.open.clear()
        for item in "abcd":
            callers.create_task(commit.submit([item]))
        await settle()
        assert waiting(commit) <= 2
        store.open.set()
    assert sorted(item for batch in store.batches for item in batch) == ["a", "b", "c", "d"]


async def test_of_many_items_two_writes_take_a_half_each_and_go_on_so() -> None:
    store, disk = Store(), asyncio.Lock()

    async def one_after_another(items: Sequence[str]) -> None:
        async with disk:
            await settle()
            await store.write(items)

    async with (
        group_commit(one_after_another, batch_max=100, waiting_max=100, writes_max=2, overlap_min=4) as commit,
        asyncio.TaskGroup() as callers,
    ):

        async def client() -> None:
            for _ in range(3):
                await commit.submit(["item"])

        for _ in range(40):
            callers.create_task(client())
    assert [len(batch) for batch in store.batches] == 6 * [20]


async def test_few_items_are_not_split_and_wait_for_the_write_before() -> None:
    store = Store()
    store.open.clear()
    async with (
        group_commit(store.write, batch_max=100, waiting_max=100, writes_max=2, overlap_min=4) as commit,
        asyncio.TaskGroup() as callers,
    ):
        for item in "abc":
            callers.create_task(commit.submit([item]))
        await settle()
        for item in "def":
            callers.create_task(commit.submit([item]))
        await settle()
        store.open.set()
    assert store.batches == [["a", "b", "c"], ["d", "e", "f"]]


async def test_of_two_writes_one_may_fail() -> None:
    failing = asyncio.Event()

    async def write(items: Sequence[str]) -> None:
        await failing.wait()
        if "a" in items:
            raise OSError("disk full")

    async with group_commit(write, batch_max=1, waiting_max=10, writes_max=2) as commit:
        first, second = asyncio.create_task(commit.submit(["a"])), asyncio.create_task(commit.submit(["b"]))
        await settle()
        failing.set()
        with pytest.raises(OSError, match="disk full"):
            await first
        await second
