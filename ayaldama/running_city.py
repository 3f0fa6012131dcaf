"""The running city for a single command: its network, its Redis and its time.

A city served by settings is found by them. A demo keeps its feed and its clock in its data folder, so that commands
find it by the folder alone.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from redis.asyncio import Redis

from ayaldama import embedded
from ayaldama.demo import DemoClock
from ayaldama.processes import ProcessError, sole_user_of
from ayaldama.roles._base import RoleError, open_network, open_redis
from ayaldama.settings import Settings
from commons.clock import SystemClock
from gtfs_data.network import Network
from transit.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCity:
    """A city that a command may speak to. ``now_ms``: its time."""

    network: Network
    redis: Redis
    keys: Keys
    now_ms: int


@asynccontextmanager
async def open_city(settings: Settings) -> AsyncIterator[RunningCity]:
    """Give the city. Call it from the main thread: it may have to start a server.

    Raises:
        RoleError: if the city's feed is not known or cannot be used.
        ServerError: if the embedded server does not start.
        RedisError: if the server does not answer, once it is asked.
    """
    settings, clock = _found(settings)
    network = await open_network(settings)
    with ExitStack() as around:
        url = settings.redis_url or _embedded_url(settings, around)
        async with open_redis(msgspec.structs.replace(settings, redis_url=url)) as redis:
            yield RunningCity(network=network, redis=redis, keys=Keys(settings.city), now_ms=clock)


def _found(settings: Settings) -> tuple[Settings, int]:
    """Return the settings with the feed of the city, and its time."""
    now_ms = SystemClock(settings.clock_anchor).now_ms()
    if settings.gtfs.feed is not None:
        return settings, now_ms
    feed = _feed_of_demo(settings.data_folder)
    if feed is None:
        beside = settings.data_folder / "demo"
        hint = f"; for the demo say --data-folder {beside}" if _feed_of_demo(beside) is not None else ""
        raise RoleError(f"gtfs.feed is not set: name the city's GTFS feed (AYALDAMA_GTFS__FEED){hint}")
    clock = feed.with_name("clock.json")
    if clock.exists():
        now_ms = msgspec.json.decode(clock.read_bytes(), type=DemoClock).now_ms()
    return msgspec.structs.replace(settings, gtfs=msgspec.structs.replace(settings.gtfs, feed=feed)), now_ms


def _feed_of_demo(folder: Path) -> Path | None:
    feeds = [feed for feed in (folder / "demo").glob("kyzylorda-*.zip") if not feed.name.endswith(".part.zip")]
    return max(feeds, key=lambda feed: feed.stat().st_mtime, default=None)


def _embedded_url(settings: Settings, around: ExitStack) -> str:
    folder = settings.data_folder.expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    home = embedded.open_home(folder)
    try:
        around.enter_context(sole_user_of(folder))
    except ProcessError:  # the system runs: its server is there
        return embedded.valkey_url(home)
    server = embedded.start_valkey(home)
    around.callback(server.stop)
    return server.url
