"""Purchases and their tickets, in PostgreSQL. Functions of a connection work within the caller's transaction.

Each raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

from typing import Final

import asyncpg
import msgspec

from fare.purchases import Purchase, Ticket

_OF_KEY: Final = "SELECT purchase::text, ticket::text FROM purchase WHERE key = $1"
_LATELY: Final = """
SELECT purchase::text, ticket::text FROM purchase
WHERE medium_id = $1 AND asked_ms BETWEEN $2::bigint - $3::bigint AND $2::bigint + $3::bigint AND vehicle_id = $4
ORDER BY asked_ms
"""
_ADD: Final = """
INSERT INTO purchase (key, medium_id, vehicle_id, asked_ms, purchase, ticket) VALUES ($1, $2, $3, $4, $5, $6)
"""

Bought = tuple[Purchase, Ticket]


async def next_sequence(pool: asyncpg.Pool) -> int:
    """Return a number for the tap of a purchase that no other has."""
    number: int = await pool.fetchval("SELECT nextval('purchase_sequence')")
    return number


async def bought(connection: asyncpg.Connection | asyncpg.Pool, key: str) -> Bought | None:
    """Return what was bought under ``key``."""
    row = await connection.fetchrow(_OF_KEY, key)
    return None if row is None else _bought(row)


async def bought_lately(connection: asyncpg.Connection, purchase: Purchase, within_ms: int) -> list[Bought]:
    """Return what the medium of ``purchase`` bought on its vehicle at most ``within_ms`` apart from it."""
    rows = await connection.fetch(_LATELY, purchase.medium_id, purchase.asked_ms, within_ms, purchase.vehicle_id)
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
