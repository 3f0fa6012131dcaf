"""What no program of ours can beat on this machine: the disk's flush, and the server's bare insert of the same rows."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg

FLUSHED_BYTES = 16_384  # of WAL, as for some dozens of taps
FLUSHES = 200


def flush_ms(folder: Path) -> float:
    """Return the median time of an overwrite and ``fdatasync`` in ``folder``: so PostgreSQL writes its WAL."""
    path = folder / "flushed"
    block = os.urandom(FLUSHED_BYTES)
    path.write_bytes(bytes(FLUSHED_BYTES * FLUSHES))
    file = os.open(path, os.O_RDWR)
    os.fsync(file)
    took_s = []
    for number in range(FLUSHES):
        began_s = time.perf_counter()
        os.pwrite(file, block, number * FLUSHED_BYTES)
        os.fdatasync(file)
        took_s.append(time.perf_counter() - began_s)
    os.close(file)
    path.unlink()
    return sorted(took_s)[FLUSHES // 2] * 1e3


async def bare_copies(
    pool: asyncpg.Pool, table: str, *, batch: int, seconds: float, cpu_s: Callable[[], float]
) -> tuple[float, float, float]:
    """Copy rows that ``table`` has into one like it without indexes, rules or triggers, a transaction per ``batch``.

    Returns rows a second, and microseconds of CPU per row of this process and of the server.
    """
    async with pool.acquire() as connection:
        await connection.execute(f"CREATE TABLE bare (LIKE {table})")
        rows = [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table} LIMIT $1", batch)]  # noqa: S608
        copied, began_s, own_s, server_s = 0, time.perf_counter(), time.process_time(), cpu_s()
        while time.perf_counter() < began_s + seconds:
            await connection.copy_records_to_table("bare", records=rows)
            copied += len(rows)
            await asyncio.sleep(0)
        elapsed_s = time.perf_counter() - began_s
        own_s, server_s = time.process_time() - own_s, cpu_s() - server_s
        await connection.execute("DROP TABLE bare")
    return copied / elapsed_s, own_s / copied * 1e6, server_s / copied * 1e6
