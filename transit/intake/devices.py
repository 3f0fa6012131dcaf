"""Which tracker is which vehicle, and whether its key is right.

The registry is the PostgreSQL table ``device``; intake holds all of it in memory, so that thousands of trackers can
sign in at once after a restart, and hears of changes by LISTEN.

Keys are made here: 80 random bits, shown once, kept as a salted BLAKE2b digest. A fast digest is enough, and wanted:
slow ones (scrypt, Argon2) make *guessable* passwords expensive to try, but 2^80 tries are out of reach at any speed,
while a slow one would take a core for minutes when a fleet reconnects. So no key can be chosen by hand.
"""

import asyncio
import base64
import csv
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg

from commons.logs import get_logger
from commons.metrics import Metrics
from transit.protocols._base import Refusal, SignIn

KEY_BITS: Final = 80
SALT_BYTES: Final = 16
ID_MAX: Final = 64
IMPORT_MAX: Final = 100_000
REFRESH_S: Final = 60.0  # also without a notice, in case one was lost
PAUSE_S: Final = 2.0

_COLUMNS: Final = ("device_id", "vehicle_id", "note")
_log = get_logger(__name__)


class DeviceListError(ValueError):
    """A list of devices cannot be taken; the message names row, field, value and rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One tracker of the registry."""

    device_id: str
    vehicle_id: str
    key_salt: bytes = field(repr=False)
    key_digest: bytes = field(repr=False)
    enabled: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """One line of a list to import."""

    device_id: str
    vehicle_id: str
    note: str = ""


class Devices:
    """The registry in memory."""

    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._by_id: Mapping[str, Device] = {}
        self.replace(devices)

    def __len__(self) -> int:
        """Return how many devices are known."""
        return len(self._by_id)

    def replace(self, devices: Iterable[Device]) -> None:
        """Know exactly ``devices`` from now on."""
        self._by_id = {device.device_id: device for device in devices}

    def check(self, sign_in: SignIn) -> Device | Refusal:
        """Return the device that signs in, or why not. Only a right key learns that a device is disabled."""
        device = self._by_id.get(sign_in.device_id)
        if device is None:
            return Refusal.UNKNOWN_DEVICE
        if not hmac.compare_digest(digest_of(sign_in.key, device.key_salt), device.key_digest):
            return Refusal.WRONG_KEY
        return device if device.enabled else Refusal.DISABLED_DEVICE

    def current(self, device_id: str) -> Device | None:
        """Return the device as it is now, None if it is gone or disabled: for trackers signed in long ago."""
        device = self._by_id.get(device_id)
        return device if device is not None and device.enabled else None


def new_key() -> str:
    """Return a new key: 16 small letters and digits that tell apart when read aloud (base32)."""
    return base64.b32encode(secrets.token_bytes(KEY_BITS // 8)).decode("ascii").lower()


def digest_of(key: str, salt: bytes) -> bytes:
    """Return the digest under which ``key`` is kept."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), salt=salt, digest_size=32).digest()


def with_key(row: DeviceRow, key: str) -> Device:
    """Return ``row`` as a device that signs in with ``key``."""
    salt = secrets.token_bytes(SALT_BYTES)
    return Device(
        device_id=row.device_id,
        vehicle_id=row.vehicle_id,
        note=row.note,
        key_salt=salt,
        key_digest=digest_of(key, salt),
    )


def read_device_list(path: Path) -> list[DeviceRow]:
    """Return the devices of a CSV file with the columns ``device_id,vehicle_id`` and maybe ``note``.

    Raises:
        DeviceListError: if it cannot be taken; nothing of it is.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        names = lines.fieldnames or []
        unknown = [name for name in names if name not in _COLUMNS]
        if unknown or not {"device_id", "vehicle_id"} <= set(names):
            raise DeviceListError(f"{path}: row 1: {','.join(names)!r}: columns must be device_id,vehicle_id[,note]")
        rows: list[DeviceRow] = []
        seen: set[str] = set()
        for number, line in enumerate(lines, start=2):
            row = DeviceRow(
                device_id=(line["device_id"] or "").strip(),
                vehicle_id=(line["vehicle_id"] or "").strip(),
                note=(line.get("note") or "").strip(),
            )
            complaint = _complaint(row)
            if complaint:
                raise DeviceListError(f"{path}: row {number}: {complaint}")
            if row.device_id in seen:
                raise DeviceListError(f"{path}: row {number}: device_id: {row.device_id!r} must be there once")
            if len(rows) == IMPORT_MAX:
                raise DeviceListError(f"{path}: row {number}: at most {IMPORT_MAX} devices at once")
            seen.add(row.device_id)
            rows.append(row)
    return rows


def _complaint(row: DeviceRow) -> str | None:
    """Return what is wrong with ``row``, None if nothing is."""
    if not 0 < len(row.device_id) <= ID_MAX or not row.device_id.isascii() or not row.device_id.isprintable():
        return f"device_id: {row.device_id!r} must be 1 to {ID_MAX} ASCII characters"
    if not 0 < len(row.vehicle_id) <= ID_MAX or not row.vehicle_id.isprintable():
        return f"vehicle_id: {row.vehicle_id!r} must be 1 to {ID_MAX} characters"
    if not row.note.isprintable():
        return f"note: {row.note!r} must be printable"
    return None


async def add_device(pool: asyncpg.Pool, row: DeviceRow) -> str:
    """Add a device; return its key, which is shown now and never again.

    Raises:
        DeviceListError: if the device exists or cannot be one.
    """
    complaint = _complaint(row)
    if complaint:
        raise DeviceListError(complaint)
    key = new_key()
    device = with_key(row, key)
    try:
        await pool.execute(
            "INSERT INTO device (device_id, vehicle_id, note, key_salt, key_digest) VALUES ($1, $2, $3, $4, $5)",
            device.device_id,
            device.vehicle_id,
            device.note,
            device.key_salt,
            device.key_digest,
        )
    except asyncpg.UniqueViolationError:
        raise DeviceListError(f"device_id: {row.device_id!r} exists; give it a new key with an import") from None
    return key


async def import_devices(pool: asyncpg.Pool, rows: Sequence[DeviceRow], *, new_keys: bool = False) -> dict[str, str]:
    """Add and update many devices in one transaction; return the keys made, by device id.

    Devices that exist keep their key, unless ``new_keys``; what is in the registry and not in ``rows`` stays.
    """
    async with pool.acquire() as connection, connection.transaction():
        existing = {row["device_id"] for row in await connection.fetch("SELECT device_id FROM device FOR UPDATE")}
        keys = {row.device_id: new_key() for row in rows if new_keys or row.device_id not in existing}
        with_keys = [with_key(row, keys[row.device_id]) for row in rows if row.device_id in keys]
        await connection.execute(
            "INSERT INTO device (device_id, vehicle_id, note, key_salt, key_digest) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[]) "
            "ON CONFLICT (device_id) DO UPDATE SET vehicle_id = excluded.vehicle_id, note = excluded.note, "
            "key_salt = excluded.key_salt, key_digest = excluded.key_digest",
            [device.device_id for device in with_keys],
            [device.vehicle_id for device in with_keys],
            [device.note for device in with_keys],
            [device.key_salt for device in with_keys],
            [device.key_digest for device in with_keys],
        )
        kept = [row for row in rows if row.device_id not in keys]
        await connection.execute(
            "UPDATE device SET vehicle_id = new.vehicle_id, note = new.note "
            "FROM unnest($1::text[], $2::text[], $3::text[]) AS new (device_id, vehicle_id, note) "
            "WHERE device.device_id = new.device_id",
            [row.device_id for row in kept],
            [row.vehicle_id for row in kept],
            [row.note for row in kept],
        )
    return keys


async def set_enabled(pool: asyncpg.Pool, device_id: str, *, enabled: bool) -> bool:
    """Disable or enable a device; return whether it exists. A connected tracker is turned away at its next report."""
    status: str = await pool.execute("UPDATE device SET enabled = $2 WHERE device_id = $1", device_id, enabled)
    return status == "UPDATE 1"


async def list_devices(pool: asyncpg.Pool | asyncpg.Connection) -> list[Device]:
    """Return all devices by id."""
    rows = await pool.fetch(
        "SELECT device_id, vehicle_id, key_salt, key_digest, enabled, note FROM device ORDER BY device_id"
    )
    return [Device(**row) for row in rows]


@asynccontextmanager
async def open_devices(pool: asyncpg.Pool, metrics: Metrics) -> AsyncIterator[Devices]:
    """Load the registry and keep it fresh while the block runs.

    Raises:
        OSError, asyncpg.PostgresError: if it cannot be loaded at the start; later losses are survived.
    """
    devices = Devices(await list_devices(pool))
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(_follow(pool, devices, metrics), name="devices")
        try:
            yield devices
        finally:
            follower.cancel()


async def _follow(pool: asyncpg.Pool, devices: Devices, metrics: Metrics) -> None:
    """Reload on every notice and every ``REFRESH_S``; while PostgreSQL is away, go on with what is known."""
    while True:
        try:
            async with pool.acquire() as connection:
                changed = asyncio.Event()

                def on_notice(*_notice: Any, changed: asyncio.Event = changed) -> None:
                    changed.set()

                connection.add_termination_listener(on_notice)
                await connection.add_listener("device", on_notice)
                try:
                    while not connection.is_closed():
                        devices.replace(await list_devices(connection))
                        with suppress(TimeoutError):
                            async with asyncio.timeout(REFRESH_S):
                                await changed.wait()
                        changed.clear()
                finally:
                    connection.remove_termination_listener(on_notice)
                    if not connection.is_closed():
                        await connection.remove_listener("device", on_notice)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            metrics.count("role_errors_total", role="intake", where="devices")
            _log.warning("device registry not refreshed", error=str(error), known=len(devices))
        await asyncio.sleep(PAUSE_S)
