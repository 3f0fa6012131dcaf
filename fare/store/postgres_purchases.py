"""Purchases and their tickets, in PostgreSQL. Functions of a connection work within the caller's transaction.

Each raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.purchases import Purchase, Ticket
from fare.vehicles import Vehicle

_OF_KEY: Final = "SELECT purchase::text, ticket::text FROM purchase WHERE key = $1"
_LATELY: Final = """
SELECT purchase::text, ticket::text FROM purchase WHERE key = $5
UNION ALL
SELECT purchase::text, ticket::text FROM purchase
WHERE medium_id = $1 AND asked_ms BETWEEN $2::bigint - $3::bigint AND $2::bigint + $3::bigint AND vehicle_id = $4
    AND key <> $5
"""  # two questions, each by its index: joined by OR they would need a bitmap, which these connections never make
_ASKED: Final = """
SELECT nextval('purchase_sequence') AS sequence, v.vehicle_id, v.fleet_number, v.plate,
    p.purchase::text AS purchase, p.ticket::text AS ticket
FROM (VALUES (1)) AS one LEFT JOIN vehicle v ON v.vehicle_id = $2 LEFT JOIN purchase p ON p.key = $1
"""
_ADD: Final = """
INSERT INTO purchase (key, medium_id, vehicle_id, asked_ms, purchase, ticket) VALUES ($1, $2, $3, $4, $5, $6)
"""

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


async def bought_lately(connection: asyncpg.Connection, purchase: Purchase, within_ms: int) -> list[Bought]:
    """Return what was bought under the key of ``purchase``, and what its medium bought on its vehicle around that time.

    The latter at most ``within_ms`` apart.
    """
    rows = await connection.fetch(
        *(_LATELY, purchase.medium_id, purchase.asked_ms, within_ms, purchase.vehicle_id, purchase.key)
    )
    return [_bought(row) for row in rows]


async def add_purchase(connection: asyncpg.Connection, purchase: Purchase, ticket: Ticket) -> None:
    """Keep a purchase that is paid.

    Raises:
        asyncpg.UniqueViolationError: if its key was used meanwhile by another medium; the transaction is lost then.
    """
    encoded = (msgspec.json.encode(purchase).decode(), msgspec.json.encode(ticket).decode())
    await connection.execute(_ADD, purchase.key, purchase.medium_id, purchase.vehicle_id, purchase.asked_ms, *encoded)


def _bought(row: asyncpg.Record) -> Bought:
    return msgspec.json.decode(row["purchase"], type=Purchase), msgspec.json.decode(row["ticket"], type=Ticket)
