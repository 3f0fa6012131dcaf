"""What every role is given, and the doors to the servers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from redis.asyncio import BlockingConnectionPool, Redis

from ayaldama.settings import Settings
from commons.clock import Clock
from commons.metrics import Metrics
from gtfs_data.network import Network
from transit.keys import Keys

CONNECT_MAX_S: Final = 10.0
ANSWER_MAX_S: Final = 15.0  # a blocking read of a stream waits for 1 s of these
CONNECTIONS_MAX: Final = 16
CANCEL_AGAIN_S: Final = 1.0


class RoleError(Exception):
    """A role cannot run with the settings it has; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleContext:
    """One process: its settings, its clock, its counters, and when to end."""

    settings: Settings
    roles: frozenset[str]
    clock: Clock
    metrics: Metrics
    sockets: Path | None  # where processes of this machine show their metrics to the web; None: a role alone
    stop: asyncio.Event
    ready: Callable[[Mapping[str, int]], None]  # call once, with the ports by name

    @property
    def keys(self) -> Keys:
        """Names in Redis."""
        return Keys(self.settings.city)


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[Redis]:
    """Give a client of the city's Redis or Valkey server."""
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=CONNECTIONS_MAX,
        timeout=CONNECT_MAX_S,
        socket_timeout=ANSWER_MAX_S,
        socket_connect_timeout=CONNECT_MAX_S,
    )
    async with Redis.from_pool(pool) as redis:
        yield redis


@asynccontextmanager
async def open_postgres(
    settings: Settings, *, connections_max: int = 4, resets: bool = True
) -> AsyncIterator[asyncpg.Pool]:
    """Give a pool of connections to the city's database.

    ``resets``: a connection that is given back is cleaned, which is a question more each time. Without it whoever uses
    the pool must leave no trace in a session: no LISTEN, no session lock, no SET.

    Raises:
        OSError, asyncpg.PostgresError: if it does not answer.
    """
    async with asyncpg.create_pool(
        settings.postgres_url,
        min_size=1,
        max_size=connections_max,
        timeout=CONNECT_MAX_S,
        command_timeout=60.0,
        server_settings={"application_name": "ayaldama"},
        reset=None if resets else _leave_as_it_is,
    ) as pool:
        yield pool


async def _leave_as_it_is(_connection: object) -> None:
    """Clean nothing."""


async def open_network(settings: Settings) -> Network:
    """Return the planned network of the settings' feed, compiled or from the cache.

    Raises:
        RoleError: if no feed is set, or none can be made of it.
    """
    # Imported here, because pandas and pyproj take a second and intake needs neither.
    from gtfs_data.check import FeedError, FeedUnreadableError  # noqa: PLC0415
    from gtfs_data.compile import load_network  # noqa: PLC0415

    feed = settings.gtfs.feed
    if feed is None:
        raise RoleError("gtfs.feed is not set: name the city's GTFS feed (AYALDAMA_GTFS__FEED), or try `ayaldama demo`")
    try:
        return await asyncio.to_thread(load_network, feed, cache=settings.network_cache)
    except (FeedError, FeedUnreadableError) as error:
        raise RoleError(f"gtfs.feed: {error}; `ayaldama gtfs check {feed}` says more") from error


async def end_tasks(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel ``tasks`` until they end: a read of Redis that ends in that moment takes a cancellation for its own."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
