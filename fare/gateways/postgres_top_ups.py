"""Top-ups, refunds of them and messages of banks, in PostgreSQL.

All functions work within the caller's transaction (``fare.topping_up``), which holds the medium's lock wherever a
top-up changes. ``migrate(pool, "fare.gateways")`` makes the tables.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.gateways.bank import Opened
from fare.model import MediumId
from fare.top_ups import DAY_MS, BankName, Invoice, TopUp, TopUpState

UNPAID: Final = (TopUpState.CREATED.value, TopUpState.PENDING.value)

_INSERT: Final = """
INSERT INTO top_up (bank, medium_id, key, amount_tiyn, created_ms, expires_ms, echo, state, ask_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'created', $8) RETURNING *
"""
_KEEP: Final = """
UPDATE top_up SET state = $2, credited = $3, operation_id = nullif($4, ''), said_back_tiyn = $5, asked_back_tiyn = $6,
    taken_tiyn = $7, ask_ms = $8, asked = $9 WHERE invoice = $1
"""
_TODAY: Final = """
SELECT coalesce(sum(amount_tiyn) FILTER (WHERE credited OR state = ANY ($3) AND expires_ms > $4), 0)::bigint AS tiyn,
    count(*) FILTER (WHERE state = ANY ($3) AND expires_ms > $4) AS open
FROM top_up WHERE medium_id = $1 AND created_ms > $2
"""
_MESSAGE: Final = """
INSERT INTO bank_message (bank, message_id, digest, taken_ms) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
_DUE: Final = "SELECT invoice FROM top_up WHERE ask_ms <= $1 ORDER BY ask_ms LIMIT $2"
_DUE_BACK: Final = "SELECT reference FROM top_up_back WHERE ask_ms <= $1 ORDER BY ask_ms LIMIT $2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A top-up and what only the store knows of it."""

    top_up: TopUp
    key: str
    echo: str
    opened: Opened | None  # None: the bank has not answered yet
    ask_ms: int | None
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBack:
    """A refund of a top-up."""

    reference: str
    invoice: Invoice
    amount_tiyn: int
    state: str  # asked, done, refused
    asked: int


async def insert_top_up(
    connection: asyncpg.Connection, asked: TopUp, key: str, echo: str, ask_ms: int | None
) -> Stored:
    """Keep a new top-up and return it with its invoice; the one of ``asked`` is not looked at.

    Raises:
        asyncpg.UniqueViolationError: if the medium has one under this key.
    """
    row = await connection.fetchrow(
        *(_INSERT, asked.bank, asked.medium_id, key, asked.amount_tiyn, asked.created_ms, asked.expires_ms),
        *(echo, ask_ms),
    )
    return _stored(row)


async def find_top_up(
    connection: asyncpg.Connection | asyncpg.Pool, invoice: Invoice, *, lock: bool = False
) -> Stored | None:
    """Return a top-up; with ``lock`` nobody else changes it until the transaction ends."""
    if not (invoice.isascii() and invoice.isdigit() and len(invoice) <= 15):
        return None
    query = "SELECT * FROM top_up WHERE invoice = $1"
    row = await connection.fetchrow(f"{query} FOR UPDATE" if lock else query, int(invoice))
    return _stored(row) if row is not None else None


async def find_by_key(connection: asyncpg.Connection, medium_id: MediumId, key: str) -> Stored | None:
    """Return the top-up that a medium began under ``key``."""
    row = await connection.fetchrow("SELECT * FROM top_up WHERE medium_id = $1 AND key = $2", medium_id, key)
    return _stored(row) if row is not None else None


async def find_by_operation(connection: asyncpg.Connection, bank: BankName, operation_id: str) -> Stored | None:
    """Return the top-up that a payment of a bank paid."""
    row = await connection.fetchrow(
        "SELECT * FROM top_up WHERE bank = $1 AND operation_id = $2 FOR UPDATE", bank, operation_id
    )
    return _stored(row) if row is not None else None


async def keep_top_up(connection: asyncpg.Connection, top_up: TopUp, *, ask_ms: int | None, asked: int) -> None:
    """Write how a top-up stands and when the bank is asked next.

    Raises:
        asyncpg.UniqueViolationError: if its payment paid another top-up.
    """
    await connection.execute(
        *(_KEEP, int(top_up.invoice), top_up.state.value, top_up.credited, top_up.operation_id),
        *(top_up.said_back_tiyn, top_up.asked_back_tiyn, top_up.taken_tiyn, ask_ms, asked),
    )


async def keep_opened(connection: asyncpg.Connection, invoice: Invoice, opened: Opened) -> None:
    """Write where the rider pays, so that who asks again under the same key gets the same."""
    await connection.execute(
        "UPDATE top_up SET link = $2, qr = $3 WHERE invoice = $1", int(invoice), opened.link, opened.qr
    )


async def topped_up_today(connection: asyncpg.Connection, medium_id: MediumId, now_ms: int) -> tuple[int, int]:
    """Return what a medium topped up in the last 24 hours, unpaid ones included, and how many are unpaid."""
    row = await connection.fetchrow(_TODAY, medium_id, now_ms - DAY_MS, list(UNPAID), now_ms)
    return row["tiyn"], row["open"]


async def take_message(
    connection: asyncpg.Connection, bank: BankName, message_id: str, digest: bytes, now_ms: int
) -> bytes | None:
    """Keep a message; return None if it is new, else the digest of the one that had its id before."""
    if await connection.execute(_MESSAGE, bank, message_id, digest, now_ms) == "INSERT 0 1":
        return None
    kept: bytes = await connection.fetchval(
        "SELECT digest FROM bank_message WHERE bank = $1 AND message_id = $2", bank, message_id
    )
    return kept


async def forget_messages(pool: asyncpg.Pool, before_ms: int) -> None:
    """Forget messages that are too old to be believed again."""
    await pool.execute("DELETE FROM bank_message WHERE taken_ms < $1", before_ms)


async def due_to_ask(pool: asyncpg.Pool, now_ms: int, count: int) -> list[Invoice]:
    """Return top-ups whose bank is to be asked how they stand."""
    return [Invoice(str(row["invoice"])) for row in await pool.fetch(_DUE, now_ms, count)]


async def due_to_give_back(pool: asyncpg.Pool, now_ms: int, count: int) -> list[str]:
    """Return refunds that the bank is to be asked for, again or at last."""
    return [row["reference"] for row in await pool.fetch(_DUE_BACK, now_ms, count)]


async def unsettled(pool: asyncpg.Pool, now_ms: int) -> int:
    """Return how many top-ups and refunds are over their time, and no bank has said what became of them."""
    count: int = await pool.fetchval(
        "SELECT (SELECT count(*) FROM top_up WHERE ask_ms IS NOT NULL AND state = ANY ($2) AND expires_ms < $1) "
        "+ (SELECT count(*) FROM top_up_back WHERE ask_ms IS NOT NULL AND asked > 0)",
        *(now_ms, list(UNPAID)),
    )
    return count


async def insert_back(
    connection: asyncpg.Connection, reference: str, invoice: Invoice, amount_tiyn: int, asked_ms: int
) -> None:
    """Keep a new refund, to be asked for at once."""
    await connection.execute(
        "INSERT INTO top_up_back (reference, invoice, amount_tiyn, asked_ms, state, ask_ms) "
        "VALUES ($1, $2, $3, $4, 'asked', $4)",
        *(reference, int(invoice), amount_tiyn, asked_ms),
    )


async def find_back(
    connection: asyncpg.Connection | asyncpg.Pool, reference: str, *, lock: bool = False
) -> StoredBack | None:
    """Return a refund; with ``lock`` nobody else changes it until the transaction ends."""
    query = "SELECT * FROM top_up_back WHERE reference = $1"
    row = await connection.fetchrow(f"{query} FOR UPDATE" if lock else query, reference)
    if row is None:
        return None
    return StoredBack(
        reference=row["reference"],
        invoice=Invoice(str(row["invoice"])),
        amount_tiyn=row["amount_tiyn"],
        state=row["state"],
        asked=row["asked"],
    )


async def done_back_tiyn(connection: asyncpg.Connection | asyncpg.Pool, invoice: Invoice) -> int:
    """Return what the bank has given back of a top-up on our request."""
    tiyn: int = await connection.fetchval(
        "SELECT coalesce(sum(amount_tiyn), 0)::bigint FROM top_up_back WHERE invoice = $1 AND state = 'done'",
        int(invoice),
    )
    return tiyn


async def ask_back_later(pool: asyncpg.Pool, reference: str, ask_ms: int) -> None:
    """Write when the bank is asked again for a refund that it has not answered."""
    await pool.execute(
        "UPDATE top_up_back SET ask_ms = $2, asked = asked + 1 WHERE reference = $1 AND state = 'asked'",
        *(reference, ask_ms),
    )


async def end_back(connection: asyncpg.Connection, reference: str, state: str) -> None:
    """Write what the bank answered to a refund: ``done`` or ``refused``."""
    await connection.execute("UPDATE top_up_back SET state = $2, ask_ms = NULL WHERE reference = $1", reference, state)


def _stored(row: asyncpg.Record) -> Stored:
    known = {field: row[field] for field in TopUp.__struct_fields__ if field in row}
    top_up = msgspec.convert(known | {"invoice": str(row["invoice"]), "operation_id": row["operation_id"] or ""}, TopUp)
    opened = Opened(link=row["link"], qr=row["qr"]) if row["link"] or row["qr"] else None
    return Stored(
        top_up=top_up, key=row["key"], echo=row["echo"], opened=opened, ask_ms=row["ask_ms"], asked=row["asked"]
    )
