"""Numbered SQL files, applied forward only, each in a transaction, by one process at a time.

A file is never changed after it was applied anywhere: its SHA-256 is kept, and another content under the same number
stops the start.
"""

import hashlib
import importlib.resources
import re
from dataclasses import dataclass
from typing import Final

import asyncpg

from commons.logs import get_logger

LOCK: Final = 0x6179616C  # "ayal": an advisory lock is a number all processes agree on

_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_log = get_logger(__name__)


class MigrationError(RuntimeError):
    """The database and the files disagree; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of ``migrations/``."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Return the hash of the SQL, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(package: str) -> list[Migration]:
    """Return the migrations beside ``package`` in order.

    Raises:
        MigrationError: if a file's name or number is not as it must be (0001, 0002, …).
    """
    found: list[Migration] = []
    for file in sorted((importlib.resources.files(package) / "migrations").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        match = _NAME.fullmatch(file.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise MigrationError(f"{package}: {len(found) + 1:04d}_name.sql expected, found {file.name}")
        found.append(Migration(number=int(match[1]), name=file.name, sql=file.read_text(encoding="utf-8")))
    return found


async def migrate(pool: asyncpg.Pool, package: str) -> int:
    """Bring the tables of ``package`` up to date; return how many migrations were applied.

    Raises:
        MigrationError: if an applied migration differs from its file, or is newer than this program.
    """
    applied_now = 0
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        try:
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migration (package text, number integer, name text NOT NULL, "
                "sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (package, number))"
            )
            rows = await connection.fetch("SELECT number, sha256 FROM migration WHERE package = $1", package)
            applied = {row["number"]: row["sha256"] for row in rows}
            files = migrations(package)
            newer = applied.keys() - {migration.number for migration in files}
            if newer:
                raise MigrationError(f"{package}: the database has migration {max(newer)}, this program does not")
            for migration in files:
                if migration.number in applied:
                    if applied[migration.number] != migration.sha256:
                        raise MigrationError(f"{package}: {migration.name} was changed after it was applied")
                    continue
                async with connection.transaction():
                    await connection.execute(migration.sql)
                    await connection.execute(
                        "INSERT INTO migration (package, number, name, sha256) VALUES ($1, $2, $3, $4)",
                        package,
                        migration.number,
                        migration.name,
                        migration.sha256,
                    )
                applied_now += 1
                _log.info("migration applied", name=migration.name)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
    return applied_now
