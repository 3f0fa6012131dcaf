"""One connection for one writer, kept so that its prepared statements are, and replaced after any trouble.

Plans are kept as long as the connection, while tables grow from nothing: none may scan or hash a whole table, and none
is made anew for the values of the day.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

_PLAN_FOR_GROWTH: Final = """
SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET plan_cache_mode = force_generic_plan
"""
_LOST: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@contextlib.contextmanager
def lost_is_said() -> Iterator[None]:
    """Turn what asyncpg says where a connection ends at a bad moment into an error that callers know.

    Raises:
        asyncpg.InterfaceError: if a connection was lost so.
    """
    try:
        yield
    except asyncpg.InternalClientError as error:
        raise asyncpg.InterfaceError(f"the connection was lost: {error}") from error


class KeptConnection:
    """Transactions of one writer, one after another, on a connection of ``pool``."""

    def __init__(self, pool: asyncpg.Pool, *, answer_max_s: float) -> None:
        self._pool = pool
        self._answer_max_s = answer_max_s
        self._connection: asyncpg.Connection | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Give the connection within a transaction, which is committed when the block ends.

        Raises:
            TimeoutError: if all of it takes too long.
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        async with self.alone() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[asyncpg.Connection]:
        """Give the connection without one: each statement is committed when it is answered.

        Raises:
            TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError: as ``transaction``.
        """
        try:
            async with asyncio.timeout(self._answer_max_s):
                if self._connection is None:
                    self._connection = await self._pool.acquire()
                    await self._connection.execute(_PLAN_FOR_GROWTH)
                yield self._connection
        except asyncpg.InternalClientError as error:  # what asyncpg says where a connection ends at a bad moment
            await self._abandon()
            raise asyncpg.InterfaceError(f"the connection was lost: {error}") from error
        except BaseException:
            await self._abandon()
            raise

    async def close(self) -> None:
        """Give the connection back. One that was lost meanwhile is the pool's to replace: nothing of ours was on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_LOST):
                if not connection.is_closed():
                    await connection.reset(timeout=self._answer_max_s)  # its settings are not for others
            with contextlib.suppress(*_LOST):
                await self._pool.release(connection, timeout=self._answer_max_s)

    async def _abandon(self) -> None:
        """End the connection, whatever state it is in: the next transaction begins with a fresh one."""
        if self._connection is not None:
            with contextlib.suppress(asyncpg.InterfaceError):  # the pool has taken it back already
                self._connection.terminate()
        await self.close()
