"""Bank cards between their rides and the acquirer, in PostgreSQL; and what the books and taps say of them."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.model import DeviceId, MediumId, MediumKind
from fare.outcomes import TapOutcome
from fare.risk.bank_card import denied
from fare.risk.values import BankCard, WindowState

_BILLED: Final = """
SELECT split_part(code, ':', 2) AS medium_id, split_part(code, ':', 3) AS day, balance_tiyn FROM account
WHERE code LIKE 'aggregate:%' AND balance_tiyn <> 0
"""
_BILLS_OF: Final = """
SELECT split_part(code, ':', 3) AS day, balance_tiyn FROM account WHERE code LIKE 'aggregate:' || $1::text || ':%'
"""
_LAST_SHOWN: Final = """
SELECT device_id, tapped_ms FROM tap WHERE medium_id = $1 ORDER BY tapped_ms DESC, device_id LIMIT 1
"""
_FIRST_RIDE: Final = (
    "SELECT min(tapped_ms) FROM tap WHERE medium_id = $1 AND rides AND tapped_ms >= $2 AND tapped_ms < $3"
)
_REFUSED: Final = """
SELECT DISTINCT medium_id FROM tap
WHERE medium_kind = $1 AND outcome = $2 AND tapped_ms >= $3 AND tapped_ms < $4
"""
_PUT: Final = """
INSERT INTO bank_card (medium_id, card, denied, open) VALUES ($1, $2, $3, $4)
ON CONFLICT (medium_id) DO UPDATE SET card = EXCLUDED.card, denied = EXCLUDED.denied, open = EXCLUDED.open
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """When and where a card was last held to a reader."""

    device_id: DeviceId
    at_ms: int


async def media_to_look_at(pool: asyncpg.Pool) -> list[MediumId]:
    """Return the cards for which something is owed, asked, or to be asked."""
    found = {row["medium_id"] for row in await pool.fetch(_BILLED)}
    found |= {row["medium_id"] for row in await pool.fetch("SELECT medium_id FROM bank_card WHERE open")}
    return [MediumId(one) for one in sorted(found)]


async def overpaid(pool: asyncpg.Pool) -> list[tuple[MediumId, dt.date]]:
    """Return the cards and service days of which more was captured than is owed."""
    rows = await pool.fetch(f"{_BILLED} AND balance_tiyn < 0 ORDER BY code")
    return [(MediumId(row["medium_id"]), dt.date.fromisoformat(row["day"])) for row in rows]


async def denied_cards(pool: asyncpg.Pool) -> list[MediumId]:
    """Return the cards that belong on the deny list."""
    rows = await pool.fetch("SELECT medium_id FROM bank_card WHERE denied IS NOT NULL ORDER BY medium_id")
    return [MediumId(row["medium_id"]) for row in rows]


async def refused_between(pool: asyncpg.Pool, from_ms: int, until_ms: int) -> list[MediumId]:
    """Return the denied cards that were held to a reader in that time."""
    kind, outcome = MediumKind.BANK_CARD.value, TapOutcome.REFUSED_DENIED.value
    rows = await pool.fetch(_REFUSED, kind, outcome, from_ms, until_ms)
    return [MediumId(row["medium_id"]) for row in rows]


async def locked_card(connection: asyncpg.Connection, medium_id: MediumId) -> BankCard:
    """Return the card, a new one where it is not known, and keep others from changing it until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('bank_card:' || $1::text, 0))", medium_id)
    kept = await connection.fetchval("SELECT card FROM bank_card WHERE medium_id = $1", medium_id)
    return BankCard(medium_id=medium_id) if kept is None else msgspec.msgpack.decode(kept, type=BankCard)


async def keep_card(connection: asyncpg.Connection, card: BankCard) -> None:
    """Write the card, locked by ``locked_card``."""
    why = denied(card)
    is_open = card.pending is not None or any(window.state is not WindowState.CLOSED for window in card.windows)
    await connection.execute(
        *(_PUT, card.medium_id, msgspec.msgpack.encode(card)),
        *(None if why is None else why.value, is_open),
    )


async def billed(connection: asyncpg.Connection, medium_id: MediumId) -> Mapping[dt.date, int]:
    """Return what the books say is still to be charged to a card, by service day; all days that it ever rode on."""
    found: dict[dt.date, int] = defaultdict(int)
    for row in await connection.fetch(_BILLS_OF, medium_id):
        found[dt.date.fromisoformat(row["day"])] = row["balance_tiyn"]
    return found


async def first_ride_ms(connection: asyncpg.Connection, medium_id: MediumId, from_ms: int, until_ms: int) -> int | None:
    """Return when the card first rode in that time."""
    found: int | None = await connection.fetchval(_FIRST_RIDE, medium_id, from_ms, until_ms)
    return found


async def last_shown(connection: asyncpg.Connection, medium_id: MediumId) -> Shown | None:
    """Return when and where the card was last held to a reader."""
    rows: Sequence[asyncpg.Record] = await connection.fetch(_LAST_SHOWN, medium_id)
    return Shown(device_id=DeviceId(rows[0]["device_id"]), at_ms=rows[0]["tapped_ms"]) if rows else None
