"""Touches of a bus, who has opened which history, and the rides of a medium, in PostgreSQL.

Every function raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

from typing import Final

import asyncpg
import msgspec

from fare.history import Touch
from fare.model import MediumId

RIDES_MAX: Final = 500

_TOUCHES: Final = """
SELECT t.device_id, t.sequence, t.tapped_ms, t.medium_id, r.hash AS record_hash,
    EXISTS (SELECT FROM history_opened o WHERE o.device_id = t.device_id AND o.sequence = t.sequence) AS used
FROM tap t JOIN validator_record r ON r.device_id = t.device_id AND r.sequence = t.sequence
WHERE t.vehicle_id = $1 AND t.tapped_ms >= $2 AND t.medium_kind <> 'cash' AND t.outcome NOT IN ('torn', 'clash')
"""
_RIDES: Final = """
SELECT t.tapped_ms, t.route_id, t.stop_id, t.vehicle_id,
    (SELECT coalesce(sum(one), 0)::bigint FROM unnest(c.charged_tiyn) AS one) AS charged_tiyn
FROM tap t LEFT JOIN LATERAL (
    SELECT * FROM ride_charge r WHERE r.device_id = t.device_id AND r.sequence = t.sequence
    ORDER BY r.version DESC LIMIT 1
) AS c ON true
WHERE t.medium_id = $1 AND t.tapped_ms >= $2 AND t.rides
ORDER BY t.tapped_ms DESC LIMIT $3
"""


class RideShown(msgspec.Struct, frozen=True, kw_only=True):
    """A ride as its passenger sees it."""

    tapped_ms: int
    route_id: str
    stop_id: str
    vehicle_id: str
    charged_tiyn: int


async def touches_of(pool: asyncpg.Pool, vehicle_id: str, since_ms: int) -> list[Touch]:
    """Return the media presented on a bus since a moment; none if there is no such bus."""
    return [Touch(**row) for row in await pool.fetch(_TOUCHES, vehicle_id, since_ms)]


async def open_history(pool: asyncpg.Pool, touch: Touch, digest: bytes, until_ms: int) -> bool:
    """Let a token read the history of a touch's medium; return False if the touch was used meanwhile."""
    status: str = await pool.execute(
        "INSERT INTO history_opened (device_id, sequence, digest, medium_id, until_ms) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (device_id, sequence) DO NOTHING",
        *(touch.device_id, touch.sequence, digest, touch.medium_id, until_ms),
    )
    return status == "INSERT 0 1"


async def opened_medium(pool: asyncpg.Pool, digest: bytes, now_ms: int) -> MediumId | None:
    """Return the medium whose history a token may read, None if none any more."""
    medium_id: str | None = await pool.fetchval(
        "SELECT medium_id FROM history_opened WHERE digest = $1 AND until_ms > $2", digest, now_ms
    )
    return None if medium_id is None else MediumId(medium_id)


async def rides_of(pool: asyncpg.Pool, medium_id: MediumId, since_ms: int) -> list[RideShown]:
    """Return the rides of a medium since a moment, the newest first."""
    return [RideShown(**row) for row in await pool.fetch(_RIDES, medium_id, since_ms, RIDES_MAX)]
