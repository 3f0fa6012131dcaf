"""Purchases and their tickets, in PostgreSQL. Functions of a connection work within the caller's transaction.

Each raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.purchases import Purchase, Ticket
from fare.vehicles import Vehicle

_OF_KEY: Final = "SELECT purchase::text, ticket::text FROM purchase WHERE key = $1"
_LATELY: Final = """
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY
        AS a (key, medium_id, vehicle_id, asked_ms, place)
)
SELECT asked.place, p.purchase::text, p.ticket::text FROM asked JOIN purchase p ON p.key = asked.key
UNION ALL
SELECT asked.place, p.purchase::text, p.ticket::text FROM asked JOIN purchase p ON p.medium_id = asked.medium_id
    AND p.asked_ms BETWEEN asked.asked_ms - $5 AND asked.asked_ms + $5
    AND p.vehicle_id = asked.vehicle_id AND p.key <> asked.key
"""  # two questions, each by its index: joined by OR they would need a bitmap, which these connections never make
_ASKED: Final = """
SELECT nextval('purchase_sequence') AS sequence, v.vehicle_id, v.fleet_number, v.plate,
    p.purchase::text AS purchase, p.ticket::text AS ticket
FROM (VALUES (1)) AS one LEFT JOIN vehicle v ON v.vehicle_id = $2 LEFT JOIN purchase p ON p.key = $1
"""
_COLUMNS: Final = ("key", "medium_id", "vehicle_id", "asked_ms", "purchase", "ticket")

Bought = tuple[Purchase, Ticket]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is known when a purchase is asked for: a number for its tap that no other has, its vehicle, its ticket."""

    sequence: int
    vehicle: Vehicle | None
    before: Bought | None


async def asked(pool: asyncpg.Pool, purchase: Purchase) -> Asked:
    """Return what is known when ``purchase`` is asked for."""
    row = await pool.fetchrow(_ASKED, purchase.key, purchase.vehicle_id)
    vehicle = None
    if row["vehicle_id"] is not None:
        vehicle = Vehicle(vehicle_id=row["vehicle_id"], fleet_number=row["fleet_number"], plate=row["plate"])
    before = _bought(row) if row["ticket"] is not None else None
    return Asked(sequence=row["sequence"], vehicle=vehicle, before=before)


async def bought(connection: asyncpg.Connection | asyncpg.Pool, key: str) -> Bought | None:
    """Return what was bought under ``key``."""
    row = await connection.fetchrow(_OF_KEY, key)
    return None if row is None else _bought(row)


async def bought_lately(
    connection: asyncpg.Connection, purchases: Sequence[Purchase], within_ms: int
) -> list[list[Bought]]:
    """Return for each of ``purchases`` what was bought under its key, and by its medium on its vehicle around then.

    The latter at most ``within_ms`` apart.
    """
    rows = await connection.fetch(
        _LATELY,
        [one.key for one in purchases],
        [one.medium_id for one in purchases],
        [one.vehicle_id for one in purchases],
        [one.asked_ms for one in purchases],
        within_ms,
    )
    found: list[list[Bought]] = [[] for _ in purchases]
    for row in rows:
        found[row["place"] - 1].append(_bought(row))
    return found


async def add_purchases(connection: asyncpg.Connection, sold: Sequence[Bought]) -> None:
    """Keep purchases that are paid.

    Raises:
        asyncpg.UniqueViolationError: if a key was used meanwhile by another medium; the transaction is lost then.
    """
    rows = [
        (
            *(one.key, one.medium_id, one.vehicle_id, one.asked_ms),
            *(msgspec.json.encode(one).decode(), msgspec.json.encode(ticket).decode()),
        )
        for one, ticket in sold
    ]
    if rows:
        await connection.copy_records_to_table("purchase", records=rows, columns=_COLUMNS)


def _bought(row: asyncpg.Record) -> Bought:
    return msgspec.json.decode(row["purchase"], type=Purchase), msgspec.json.decode(row["ticket"], type=Ticket)
