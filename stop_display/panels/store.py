"""The fleet in PostgreSQL: panels with their keys' digests, their last reports, and delays counted by five minutes.

Keys are made here: 128 random bits, shown once, kept as a SHA-256 digest. No salt and no slow hash are needed, as
nothing that random can be guessed. Every function raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if
the database does not answer.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np

from stop_display.panels.delays import HOUR_MS, Counts
from stop_display.panels.model import Panel, PanelConfig, PanelError, Report, checked

KEY_BYTES: Final = 16
KEPT_MS: Final = 2 * HOUR_MS
OVERLAP: Final = 1_000  # serials are given before they are seen: look a little back

_COLUMNS: Final = "stops, layout, language, volume, hours, theme, note"

Slot = tuple[str, int, str]  # panel, start of the slot, who counted


def new_key() -> str:
    """Return a new key: 26 small letters and digits that can be told apart (base32)."""
    return base64.b32encode(secrets.token_bytes(KEY_BYTES)).decode("ascii").rstrip("=").lower()


def digest_of(key: str) -> bytes:
    """Return the digest under which ``key`` is kept."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


async def add_panel(pool: asyncpg.Pool, name: str, config: PanelConfig) -> str:
    """Register a panel; return its key, which is shown now and never again.

    Raises:
        PanelError: if it exists, or cannot be so.
    """
    checked(name, config)
    key = new_key()
    try:
        await pool.execute(
            f"INSERT INTO panel (name, key_digest, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",  # noqa: S608
            *(name, digest_of(key), *_values(config)),
        )
    except asyncpg.UniqueViolationError:
        raise PanelError(f"name: {name!r} is taken; names of revoked boards stay taken") from None
    return key


async def set_config(pool: asyncpg.Pool, name: str, config: PanelConfig) -> bool:
    """Give a panel another configuration, which it hears of at once; return whether it exists.

    Raises:
        PanelError: if it cannot be so.
    """
    checked(name, config)
    status: str = await pool.execute(
        f"UPDATE panel SET ({_COLUMNS}) = ($2, $3, $4, $5, $6, $7, $8) WHERE name = $1",  # noqa: S608
        *(name, *_values(config)),
    )
    return status == "UPDATE 1"


async def ask_reload(pool: asyncpg.Pool, name: str | None) -> int:
    """Have a panel, or with None all of them, load its page anew; return how many were told."""
    status: str = await pool.execute(
        "UPDATE panel SET reload = reload + 1 WHERE NOT revoked AND ($1::text IS NULL OR name = $1)", name
    )
    return int(status.rpartition(" ")[2])


async def revoke(pool: asyncpg.Pool, name: str) -> bool:
    """Let a panel in no more; return whether it exists. Its name stays taken."""
    status: str = await pool.execute("UPDATE panel SET revoked = true WHERE name = $1", name)
    return status == "UPDATE 1"


async def list_panels(pool: asyncpg.Pool | asyncpg.Connection) -> list[Panel]:
    """Return all panels by name, revoked ones too."""
    rows = await pool.fetch(f"SELECT name, key_digest, reload, revoked, {_COLUMNS} FROM panel ORDER BY name")  # noqa: S608
    return [_panel(row) for row in rows]


async def find_panel(pool: asyncpg.Pool, name: str) -> Panel | None:
    """Return the panel of that name."""
    row = await pool.fetchrow("SELECT * FROM panel WHERE name = $1", name)
    return None if row is None else _panel(row)


async def keep_reports(connection: asyncpg.Connection, reports: Mapping[str, Report]) -> None:
    """Keep the last reports of panels; an older one than what is there is left out, as are those of unknown panels."""
    await connection.execute(
        "INSERT INTO panel_report (name, report, at_ms) "
        "SELECT new.* FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS new (name, report, at_ms) "
        "JOIN panel USING (name) "
        "ON CONFLICT (name) DO UPDATE SET report = excluded.report, at_ms = excluded.at_ms, serial = excluded.serial "
        "WHERE panel_report.at_ms <= excluded.at_ms",
        list(reports),
        [msgspec.json.encode(report) for report in reports.values()],
        [report.at_ms for report in reports.values()],
    )


async def reports_since(connection: asyncpg.Pool | asyncpg.Connection, serial: int) -> tuple[dict[str, Report], int]:
    """Return reports kept after ``serial``, and the serial to ask from next time."""
    rows = await connection.fetch("SELECT name, report, serial FROM panel_report WHERE serial > $1", serial - OVERLAP)
    found: dict[str, Report] = {}
    for row in rows:
        try:
            found[row["name"]] = msgspec.json.decode(row["report"], type=Report)
        except msgspec.DecodeError:
            continue  # of another version of the program: the next one is due within a minute
    return found, max((row["serial"] for row in rows), default=serial)


async def keep_delays(connection: asyncpg.Connection, counted: Mapping[Slot, Counts]) -> None:
    """Keep what this process counted in its slots: the sums so far, not what was added."""
    await connection.executemany(
        "INSERT INTO panel_delay (name, slot_ms, counted_by, counts) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (name, slot_ms, counted_by) DO UPDATE SET counts = excluded.counts, serial = excluded.serial",
        [(*slot, counts.tolist()) for slot, counts in counted.items()],
    )


async def delays_since(connection: asyncpg.Pool | asyncpg.Connection, serial: int) -> tuple[dict[Slot, Counts], int]:
    """Return slots kept after ``serial``, and the serial to ask from next time."""
    rows = await connection.fetch(
        "SELECT name, slot_ms, counted_by, counts, serial FROM panel_delay WHERE serial > $1", serial - OVERLAP
    )
    found: dict[Slot, Counts] = {
        (row["name"], row["slot_ms"], row["counted_by"]): np.array(row["counts"], dtype=np.int32) for row in rows
    }
    return found, max((row["serial"] for row in rows), default=serial)


async def forget_delays(connection: asyncpg.Connection, wall_ms: int) -> None:
    """Remove slots that no page shows any more."""
    await connection.execute("DELETE FROM panel_delay WHERE slot_ms < $1", wall_ms - KEPT_MS)


def _values(config: PanelConfig) -> tuple[Any, ...]:
    return (
        list(config.stops),
        config.layout,
        config.language,
        config.volume,
        config.hours,
        config.theme,
        config.note,
    )


def _panel(row: asyncpg.Record) -> Panel:
    return Panel(
        name=row["name"],
        config=PanelConfig(
            stops=tuple(row["stops"]),
            layout=row["layout"],
            language=row["language"],
            volume=row["volume"],
            hours=row["hours"],
            theme=row["theme"],
            note=row["note"],
        ),
        key_digest=row["key_digest"],
        reload=row["reload"],
        revoked=row["revoked"],
    )
