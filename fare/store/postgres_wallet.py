"""What a phone's owner sees of their money: rides with what they cost, top-ups, refunds. In PostgreSQL.

Every function reads media that the caller has proved to be one person's, and raises OSError, asyncpg.PostgresError or
asyncpg.InterfaceError if the database does not answer.
"""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from fare.ledger.accounts import wallet
from fare.model import CarrierId, JournalKind, MediumId, MediumKind, Riders

RIDES_MAX: Final = 300
MOVES_MAX: Final = 300

_RIDE: Final = """
SELECT t.device_id || ':' || t.sequence AS key, t.tapped_ms, t.medium_id, t.medium_kind, t.vehicle_id,
    coalesce(v.fleet_number, t.vehicle_id) AS number, coalesce(v.plate, '') AS plate, t.carrier_id, t.route_id,
    t.stop_id, t.riders::text, c.categories, c.charged_tiyn, c.subsidy_tiyn
FROM tap t LEFT JOIN vehicle v USING (vehicle_id) LEFT JOIN LATERAL (
    SELECT * FROM ride_charge r WHERE r.device_id = t.device_id AND r.sequence = t.sequence
    ORDER BY r.version DESC LIMIT 1
) AS c ON true
"""
_RIDES: Final = f"""
{_RIDE} WHERE t.medium_id = ANY ($1::text[]) AND t.tapped_ms >= $2 AND t.rides ORDER BY t.tapped_ms DESC LIMIT $3
"""
_ONE: Final = f"""
{_RIDE} WHERE t.device_id = $2 AND t.sequence = $3 AND t.medium_id = ANY ($1::text[]) AND t.rides
"""
_MOVES: Final = """
SELECT j.key, j.kind::text, j.occurred_ms, a.code,
    -j.amounts_tiyn[array_position(j.accounts, a.account_id)] AS amount_tiyn
FROM account a, account_entries(a.account_id) AS e JOIN journal j ON j.number BETWEEN e.first_number AND e.number
WHERE a.code = ANY ($1::text[]) AND a.account_id = ANY (j.accounts) AND j.phase <> 'pending' AND j.occurred_ms >= $2
    AND j.kind IN ('top_up', 'refund', 'debt_recovery', 'pass_sale', 'write_off')
ORDER BY j.number DESC LIMIT $3
"""

_riders: Final = msgspec.json.Decoder(tuple[Riders, ...])


class PartPaid(msgspec.Struct, frozen=True, kw_only=True):
    """What the riders of one category paid on one ride, and what somebody else paid for them."""

    category: str
    charged_tiyn: int
    subsidy_tiyn: int


class RidePaid(msgspec.Struct, frozen=True, kw_only=True):
    """A ride as who paid it sees it. Its ``key`` is what a receipt is asked for by."""

    key: str
    tapped_ms: int
    medium_id: MediumId
    medium_kind: MediumKind
    vehicle_id: str
    number: str  # what is written on the bus, as far as it is registered
    plate: str
    carrier_id: CarrierId
    route_id: str
    stop_id: str
    riders: tuple[Riders, ...]  # empty: one, of the category that ``parts`` say
    parts: tuple[PartPaid, ...]  # empty: it cost nothing

    @property
    def charged_tiyn(self) -> int:
        """Return what the ride cost its payer."""
        return sum(part.charged_tiyn for part in self.parts)


class WalletMove(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came into a wallet (above zero) or left it otherwise than by a ride."""

    key: str
    kind: JournalKind
    occurred_ms: int
    medium_id: MediumId
    amount_tiyn: int


async def rides_paid(pool: asyncpg.Pool, media: Sequence[MediumId], since_ms: int) -> list[RidePaid]:
    """Return the rides of ``media`` since a moment, the newest first."""
    return [_ride(row) for row in await pool.fetch(_RIDES, list(media), since_ms, RIDES_MAX)]


async def ride_paid(pool: asyncpg.Pool, media: Sequence[MediumId], key: str) -> RidePaid | None:
    """Return one ride, None if none of ``media`` has a ride of this key: somebody else's is nobody's here."""
    device_id, _, sequence = key.rpartition(":")
    if not device_id or not device_id.isprintable() or not (sequence.isascii() and sequence.isdigit()):
        return None
    if len(sequence) > 18:
        return None
    row = await pool.fetchrow(_ONE, list(media), device_id, int(sequence))
    return None if row is None else _ride(row)


async def wallet_moves(pool: asyncpg.Pool, media: Sequence[MediumId], since_ms: int) -> list[WalletMove]:
    """Return what moved in the wallets of ``media`` beside rides, the newest first."""
    codes = [wallet(medium_id) for medium_id in media]
    return [
        WalletMove(
            key=row["key"],
            kind=JournalKind(row["kind"]),
            occurred_ms=row["occurred_ms"],
            medium_id=MediumId(row["code"].partition(":")[2]),
            amount_tiyn=row["amount_tiyn"],
        )
        for row in await pool.fetch(_MOVES, codes, since_ms, MOVES_MAX)
    ]


def _ride(row: asyncpg.Record) -> RidePaid:
    parts = zip(row["categories"] or (), row["charged_tiyn"] or (), row["subsidy_tiyn"] or (), strict=True)
    return RidePaid(
        key=row["key"],
        tapped_ms=row["tapped_ms"],
        medium_id=MediumId(row["medium_id"]),
        medium_kind=MediumKind(row["medium_kind"]),
        vehicle_id=row["vehicle_id"],
        number=row["number"],
        plate=row["plate"],
        carrier_id=CarrierId(row["carrier_id"]),
        route_id=row["route_id"],
        stop_id=row["stop_id"],
        riders=_riders.decode(row["riders"]) if row["riders"] is not None else (),
        parts=tuple(
            PartPaid(category=category, charged_tiyn=charged_tiyn, subsidy_tiyn=subsidy_tiyn)
            for category, charged_tiyn, subsidy_tiyn in parts
        ),
    )
