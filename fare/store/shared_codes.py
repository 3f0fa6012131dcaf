"""One code of a phone, taken on two vehicles: somebody gave a picture of it away, or had it taken (attack 5).

Two validators without a network cannot know of each other, so both let ride and both rides are charged: who shares a
code gains nothing, and whose code was photographed has two rides to dispute, with this as evidence. It follows from the
taps as they are stored, so nothing else is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from fare.model import MediumId, MediumKind, Tap

APART_MAX_MS: Final = 600_000  # a code lives for 40 s; validators' clocks may be wrong by more

_SHARED: Final = f"""
SELECT DISTINCT t.medium_id, t.counter, array[t.vehicle_id, o.vehicle_id] AS vehicles,
    array[t.device_id || ':' || t.sequence, o.device_id || ':' || o.sequence] AS keys
FROM unnest($1::text[], $2::bigint[]) AS asked (device_id, sequence)
JOIN tap t USING (device_id, sequence)
JOIN tap o ON o.medium_id = t.medium_id AND o.rides AND o.counter = t.counter AND o.vehicle_id <> t.vehicle_id
    AND o.tapped_ms BETWEEN t.tapped_ms - $3 AND t.tapped_ms + $3
WHERE t.rides AND t.counter >= 0 AND t.medium_kind = '{MediumKind.PHONE.value}'
    AND o.medium_kind = '{MediumKind.PHONE.value}'
"""  # noqa: S608 - a constant of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCode:
    """A code that two vehicles took. ``keys``: of the two taps, the one asked about first."""

    medium_id: MediumId
    second: int
    vehicles: tuple[str, str]
    keys: tuple[str, str]


async def shared_codes(pool: asyncpg.Pool, taps: Sequence[Tap]) -> list[SharedCode]:
    """Return what stored ``taps`` have in common with taps of other vehicles.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    asked = [tap for tap in taps if tap.medium_kind is MediumKind.PHONE and tap.counter >= 0]
    if not asked:
        return []
    rows = await pool.fetch(_SHARED, [tap.device_id for tap in asked], [tap.sequence for tap in asked], APART_MAX_MS)
    return [
        SharedCode(
            medium_id=MediumId(row["medium_id"]),
            second=row["counter"],
            vehicles=(row["vehicles"][0], row["vehicles"][1]),
            keys=(row["keys"][0], row["keys"][1]),
        )
        for row in rows
    ]
