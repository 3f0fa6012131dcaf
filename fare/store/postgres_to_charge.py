"""Media whose stored rides are still to be charged, in PostgreSQL: what is left to do after any interruption.

Who notes a medium or takes it holds its lock (``fare.store.postgres_taps.lock_media``).
"""

from collections.abc import Mapping
from typing import Final

import asyncpg

from fare.model import MediumId
from fare.store.copy_rows import json_array

_NOTE: Final = """
INSERT INTO medium_to_charge (medium_id, from_ms)
SELECT medium_id, from_ms::bigint
FROM ROWS FROM (json_array_elements_text($1), json_array_elements_text($2)) AS noted (medium_id, from_ms)
ON CONFLICT (medium_id) DO UPDATE SET from_ms = excluded.from_ms WHERE medium_to_charge.from_ms > excluded.from_ms
"""
_NEXT: Final = "SELECT medium_id FROM medium_to_charge WHERE medium_id > $1 ORDER BY medium_id LIMIT $2"


async def note_to_charge(connection: asyncpg.Connection, from_ms: Mapping[MediumId, int]) -> None:
    """Note that the rides of these media, each from its moment on, are to be charged.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    if from_ms:
        await connection.execute(_NOTE, json_array(list(from_ms)), json_array(list(from_ms.values())))


async def next_to_charge(pool: asyncpg.Pool, after: MediumId, count: int) -> list[MediumId]:
    """Return the next media that are to be charged, in order of their ids.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    return [MediumId(row["medium_id"]) for row in await pool.fetch(_NEXT, after, count)]


async def count_to_charge(pool: asyncpg.Pool) -> int:
    """Return how many media are to be charged.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    count: int = await pool.fetchval("SELECT count(*) FROM medium_to_charge")
    return count
