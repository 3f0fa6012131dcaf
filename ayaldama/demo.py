"""What the demo needs before it runs: the sample city's feed, its clock and its devices.

All of it stays in the data folder, so that a demo that was killed goes on where it was: same buses, same keys, same
city time.
"""

import datetime as dt
import fcntl
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from redis.asyncio import Redis

import gtfs_data
from ayaldama.roles._base import open_redis
from ayaldama.settings import ClockSection, Settings
from commons.clock import ClockAnchor, SystemClock, wall_ms
from gtfs_data.network import Network
from transit.codec import SchemaError
from transit.intake.devices import DeviceRow, import_devices, list_devices
from transit.keys import Keys
from transit.store.redis_state import StateReader

SAMPLE_CITY: Final = Path(gtfs_data.__file__).parent / "kyzylorda"
DAYTIME: Final = range(7, 21)  # local hours in which the demo starts at the present time
STARTS: Final[Mapping[str, dt.time]] = {"morning": dt.time(8), "evening": dt.time(18)}
BACK_MAX_MS: Final = 2_000


class DemoClock(msgspec.Struct, frozen=True, kw_only=True):
    """The clock that a demo runs by, kept for its next start."""

    wall_ms: int
    city_ms: int
    rate: float

    def now_ms(self) -> int:
        """Return city time."""
        return SystemClock(ClockAnchor(wall_ms=self.wall_ms, city_ms=self.city_ms, rate=self.rate)).now_ms()


def folder_of(settings: Settings) -> Path:
    """Return the demo's own folder, made when missing."""
    folder = settings.data_folder / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build_sample_feed(folder: Path) -> Path:
    """Return the sample city's feed, built anew when its sources changed."""
    from gtfs_data.build import build_feed  # noqa: PLC0415 - pandas takes a second to import

    digest = hashlib.sha256()
    for path in sorted(path for path in SAMPLE_CITY.rglob("*") if path.is_file()):
        digest.update(path.relative_to(SAMPLE_CITY).as_posix().encode() + b"\0" + path.read_bytes())
    feed = folder / f"kyzylorda-{digest.hexdigest()[:16]}.zip"
    if not feed.exists():
        part = feed.with_suffix(".part.zip")
        build_feed(SAMPLE_CITY, part)
        part.replace(feed)
    return feed


def clock_for(settings: Settings, network: Network, *, rate: float, kept: Path) -> ClockSection:
    """Return the demo's clock: the one it had, if that still fits, else one that starts as the settings say."""
    zone = ZoneInfo(network.time_zone)
    earlier = _kept_clock(kept)
    if earlier is not None and earlier.rate == rate and _hour(earlier.now_ms(), zone) in DAYTIME:
        clock = earlier
    else:
        now_ms = wall_ms()
        city_ms = start_ms(settings.demo.start, now_ms, zone)
        clock = DemoClock(wall_ms=now_ms, city_ms=city_ms, rate=rate)
    kept.write_bytes(msgspec.json.encode(clock))
    return ClockSection(wall_ms=clock.wall_ms, city_ms=clock.city_ms, rate=clock.rate)


def start_ms(start: str, now_ms: int, zone: ZoneInfo) -> int:
    """Return the city time at which a demo starts; ``auto`` is now by day and 08:00 at night."""
    local = dt.datetime.fromtimestamp(now_ms / 1_000, zone)
    if start == "now" or (start == "auto" and local.hour in DAYTIME):
        return now_ms
    moment = dt.datetime.combine(local.date(), STARTS.get(start, STARTS["morning"]), tzinfo=zone)
    return round(moment.timestamp() * 1_000)


async def forget_the_future(settings: Settings) -> None:
    """Remove what an earlier demo left in Redis, if its time was ahead of ours: time never goes back in a city."""
    now_ms = SystemClock(settings.clock_anchor).now_ms()
    async with open_redis(settings) as redis:
        try:
            last_ms = (await StateReader(redis, Keys(settings.city)).snapshot(())).as_of_ms
        except SchemaError:
            last_ms = None  # another version of the program wrote it
            await _remove_all(redis, settings.city)
        if last_ms is not None and last_ms > now_ms + BACK_MAX_MS:
            await _remove_all(redis, settings.city)


async def register_devices(pool: asyncpg.Pool, vehicle_ids: Iterable[str], keys: dict[str, str]) -> dict[str, str]:
    """Register a device for each bus; return the keys by device id: those given, and the new ones of the rest."""
    rows = [DeviceRow(device_id=vehicle_id, vehicle_id=vehicle_id, note="demo") for vehicle_id in vehicle_ids]
    registered = {device.device_id for device in await list_devices(pool)}
    unknown = [row for row in rows if row.device_id not in keys or row.device_id not in registered]
    return keys | await import_devices(pool, unknown, new_keys=True)


def read_keys(kept: Path) -> dict[str, str]:
    """Return the keys of earlier demos, by device id."""
    return msgspec.json.decode(kept.read_bytes(), type=dict[str, str]) if kept.exists() else {}


def write_keys(kept: Path, keys: dict[str, str]) -> None:
    """Keep ``keys`` for the simulator, readable by us only."""
    kept.touch(mode=0o600)
    kept.write_bytes(msgspec.json.encode(keys))


def write_settings(kept: Path, settings: Settings) -> None:
    """Keep what a command beside the demo has to know: its folder, its feed and its clock."""
    values = [
        ("", "data_folder", str(settings.data_folder.absolute())),
        ("[gtfs]\n", "feed", str(settings.gtfs.feed.absolute()) if settings.gtfs.feed else ""),
        ("[clock]\n", "wall_ms", settings.clock.wall_ms),
        ("", "city_ms", settings.clock.city_ms),
        ("", "rate", settings.clock.rate),
    ]
    lines = [f"{table}{name} = {json.dumps(value, ensure_ascii=False)}\n" for table, name, value in values]
    said = "# Written by ayaldama demo at each start, for commands beside it: ayaldama --settings FILE COMMAND\n"
    kept.write_text(said + "".join(lines), encoding="utf-8")


def free_or(port: int, host: str, otherwise: int = 0) -> int:
    """Return ``port`` if it can be had now, else ``otherwise``."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return otherwise
    return port


class PortClaims:
    """Ports that one demo takes, so that another that starts in the same second takes others.

    Between finding a port free and serving it pass seconds. Until this ends with its process, however that ends, each
    port taken is locked for the demos of the same user by a file. What is no demo is seen by whether the port is free.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"ayaldama-demo-ports-{os.getuid()}"
        self._locks: list[IO[bytes]] = []

    def free_or(self, port: int, host: str, otherwise: int = 0) -> int:
        """Return ``port`` if it can be had now and no other demo has taken it, else ``otherwise``."""
        return port if free_or(port, host) and self._lock(port) else otherwise

    def some_port(self, wanted: int, host: str) -> int:
        """Return ``wanted`` if it can be had now, else another one: for an address that is told before it is served."""
        if self.free_or(wanted, host):
            return wanted
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((host, 0))
                port = int(probe.getsockname()[1])
            if self._lock(port):
                return port

    def close(self) -> None:
        """Give all back."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()

    def _lock(self, port: int) -> bool:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self._folder / str(port)).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._locks.append(lock)
        return True


def _kept_clock(kept: Path) -> DemoClock | None:
    try:
        return msgspec.json.decode(kept.read_bytes(), type=DemoClock)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _hour(now_ms: int, zone: ZoneInfo) -> int:
    return dt.datetime.fromtimestamp(now_ms / 1_000, zone).hour


async def _remove_all(redis: Redis, city: str) -> None:
    async for key in redis.scan_iter(match=f"{{{city}}}:*", count=1_000):
        await redis.delete(key)
