"""What an accountant looks at: refunds and amnesties that wait or were decided, debts. In PostgreSQL, read only.

Every function raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

from typing import Final

import asyncpg
import msgspec

LISTED_MAX: Final = 200

_WINDOWS: Final = "SELECT * FROM amnesty ORDER BY granted IS NOT NULL, asked_ms DESC LIMIT $1"
_DEBTS: Final = """
SELECT substr(code, 6) AS medium_id, balance_tiyn AS owed_tiyn FROM account
WHERE code LIKE 'debt:%' AND balance_tiyn > 0 ORDER BY balance_tiyn DESC, code LIMIT $1
"""
# What a ride costs can fall after money went back for it: an earlier tap comes late and takes its fare over.
_REFUNDS: Final = """
SELECT * FROM (SELECT r.*, r.device_id || ':' || r.sequence AS ride_key,
    CASE r.state WHEN 'granted' THEN greatest(given.tiyn - coalesce(cost.tiyn, 0), 0) ELSE 0 END::bigint AS excess_tiyn
FROM refund r
CROSS JOIN LATERAL (
    SELECT sum(g.amount_tiyn) AS tiyn FROM refund g
    WHERE g.device_id = r.device_id AND g.sequence = r.sequence AND g.state = 'granted'
) AS given
LEFT JOIN LATERAL (
    SELECT (SELECT sum(charged) FROM unnest(c.charged_tiyn) AS charged) AS tiyn FROM ride_charge c
    WHERE c.device_id = r.device_id AND c.sequence = r.sequence ORDER BY c.version DESC LIMIT 1
) AS cost ON true) AS listed
ORDER BY state <> 'waiting', excess_tiyn = 0, asked_ms DESC, key LIMIT $1
"""


class RefundListed(msgspec.Struct, frozen=True, kw_only=True):
    """A refund: who asked, who decided, and where it stands.

    ``excess_tiyn``: how much more went back for its ride, all refunds together, than the ride costs by now.
    """

    key: str
    ride_key: str
    carrier_id: str
    amount_tiyn: int
    reason: str
    why: str
    asked_by: str
    asked_ms: int
    state: str
    decided_by: str | None
    excess_tiyn: int


class AmnestyListed(msgspec.Struct, frozen=True, kw_only=True):
    """An amnesty; ``granted`` is None until somebody has decided."""

    amnesty_id: str
    from_ms: int
    until_ms: int
    vehicle_ids: tuple[str, ...]
    route_ids: tuple[str, ...]
    why: str
    asked_by: str
    asked_ms: int
    decided_by: str | None
    granted: bool | None


class DebtListed(msgspec.Struct, frozen=True, kw_only=True):
    """What a medium owes for rides that happened."""

    medium_id: str
    owed_tiyn: int


async def debts_listed(pool: asyncpg.Pool) -> list[DebtListed]:
    """Return the largest debts."""
    return [msgspec.convert(dict(row), DebtListed) for row in await pool.fetch(_DEBTS, LISTED_MAX)]


async def refunds_listed(pool: asyncpg.Pool) -> list[RefundListed]:
    """Return refunds: those that wait first, then those of which too much went back, then the latest."""
    rows = await pool.fetch(_REFUNDS, LISTED_MAX)
    return [msgspec.convert(dict(row), RefundListed) for row in rows]


async def amnesties_listed(pool: asyncpg.Pool) -> list[AmnestyListed]:
    """Return amnesties: those that wait first, then the latest."""
    rows = await pool.fetch(_WINDOWS, LISTED_MAX)
    return [msgspec.convert(dict(row), AmnestyListed) for row in rows]
