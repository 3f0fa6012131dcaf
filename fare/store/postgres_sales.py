"""The sales of a service day for reports and exports: rides with the lines of what was posted for them. In PostgreSQL.

Lines of a settled ride are those it was settled with, lines of others are in ``ride_bill``; where there are none, the
bills of the media concerned are derived, put to what was posted, and kept. So a report waits for no tariff, says what
the books say, and is right also where nothing was kept yet. Every function raises OSError, asyncpg.PostgresError or
asyncpg.InterfaceError if the database does not answer.
"""

import asyncio
import bisect
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.ledger.billing import WINDOW_MS, Pricing
from fare.model import CarrierId, Charge, MediumId, MediumKind, Profile, Ride, Riders
from fare.settlement.model import Sale
from fare.settlement.posted import as_posted
from fare.store.postgres_settlement import Profiles, name_of
from fare.store.postgres_taps import read_windows

MEDIA_AT_A_TIME: Final = 200
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
READ_MAX_S: Final = 600.0

_RIDES: Final = """
FROM tap t
LEFT JOIN LATERAL (
    SELECT r.version FROM ride_charge r WHERE r.device_id = t.device_id AND r.sequence = t.sequence
    ORDER BY r.version DESC LIMIT 1
) AS c ON true
LEFT JOIN LATERAL (
    SELECT s.version, s.amnesty_id, s.charges FROM settled_ride s
    WHERE s.device_id = t.device_id AND s.sequence = t.sequence ORDER BY s.version DESC LIMIT 1
) AS s ON true
LEFT JOIN ride_bill b ON b.device_id = t.device_id AND b.sequence = t.sequence AND b.version = coalesce(c.version, 0)
WHERE t.rides AND t.tapped_ms >= $1 AND t.tapped_ms < $2
"""
_SALES: Final = f"""
SELECT t.device_id || ':' || t.sequence AS key, t.tapped_ms, t.medium_id, t.medium_kind, t.riders::text, t.vehicle_id,
    t.carrier_id, t.route_id, t.trip_id, t.stop_id, s.amnesty_id,
    (CASE s.version WHEN coalesce(c.version, 0) THEN s.charges ELSE b.charges END)::text AS charges
{_RIDES} AND ($3::text IS NULL OR t.carrier_id = $3) ORDER BY t.tapped_ms, key
"""
_UNBILLED: Final = (
    f"SELECT DISTINCT t.medium_id {_RIDES} "  # noqa: S608 - a constant
    "AND s.version IS DISTINCT FROM coalesce(c.version, 0) AND b.version IS NULL ORDER BY t.medium_id"
)
_KEEP: Final = """
INSERT INTO ride_bill (device_id, sequence, version, charges)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::jsonb[]) ON CONFLICT DO NOTHING
"""

_lines: Final = msgspec.json.Decoder(tuple[Charge, ...])
_riders: Final = msgspec.json.Decoder(tuple[Riders, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleRead:
    """A sale as it was posted. ``settled_amnesty``: the amnesty it was settled with, None if it is not settled."""

    sale: Sale
    settled_amnesty: str | None


async def read_sales(
    pool: asyncpg.Pool, pricing: Pricing, profiles: Profiles, day: dt.date, carrier_id: CarrierId | None = None
) -> list[SaleRead]:
    """Return the sales of a service day in order of time, of one carrier or of all."""
    from_ms, until_ms = bounds_ms(pricing, day)
    rows = await pool.fetch(_SALES, from_ms, until_ms, carrier_id, timeout=READ_MAX_S)
    missing = sorted({MediumId(row["medium_id"]) for row in rows if row["charges"] is None})
    derived = await keep_bills(pool, pricing, profiles, missing, from_ms)
    # In a thread, so that devices and pages are answered meanwhile.
    return await asyncio.to_thread(
        lambda: [_read(row, day, derived) for row in rows if pricing.service_day(row["tapped_ms"]) == day]
    )


async def unbilled_media(pool: asyncpg.Pool, from_ms: int, until_ms: int) -> list[MediumId]:
    """Return the media with rides between two moments whose lines would have to be derived."""
    rows = await pool.fetch(_UNBILLED, from_ms, until_ms, timeout=READ_MAX_S)
    return [MediumId(row["medium_id"]) for row in rows]


async def keep_bills(
    pool: asyncpg.Pool, pricing: Pricing, profiles: Profiles, media: Sequence[MediumId], from_ms: int
) -> dict[str, tuple[Charge, ...]]:
    """Keep the lines of all rides of ``media`` since a moment, and return them by ride key."""
    found: dict[str, tuple[Charge, ...]] = {}
    for begin in range(0, len(media), MEDIA_AT_A_TIME):
        some = media[begin : begin + MEDIA_AT_A_TIME]
        versions: list[int] = []
        kept: dict[str, tuple[Charge, ...]] = {}
        async with pool.acquire() as connection:
            windows = await read_windows(connection, dict.fromkeys(some, from_ms - WINDOW_MS))
            held = await profiles(some)
            for medium_id, window in windows.items():
                lines: dict[str, list[Charge]] = {}
                for charge in pricing.bill(window.rides, held.get(medium_id, Profile())).charges:
                    lines.setdefault(charge.ride_key, []).append(charge)
                for ride in window.rides:
                    if ride.tapped_ms >= from_ms:
                        posted = window.posted.get(ride.key)
                        amounts = posted.amounts if posted is not None else ()
                        kept[ride.key] = as_posted(ride.key, lines.get(ride.key, ()), amounts)
                        versions.append(posted.version if posted is not None else 0)
            names = [name_of(key) for key in kept]
            await connection.execute(
                *(_KEEP, [device_id for device_id, _ in names], [sequence for _, sequence in names], versions),
                [msgspec.json.encode(charges).decode() for charges in kept.values()],
            )
        found |= kept
    return found


def bounds_ms(pricing: Pricing, day: dt.date) -> tuple[int, int]:
    """Return two moments between which all of a service day is, an hour around it at most."""
    begins_ms = [_begins_ms(pricing, one) for one in (day, day + dt.timedelta(days=1))]
    return begins_ms[0] - HOUR_MS, begins_ms[1] + HOUR_MS


def _begins_ms(pricing: Pricing, day: dt.date) -> int:
    """Return when a service day begins, to the hour: it is within a day of UTC's, wherever the city is."""
    midnight_ms = (day - dt.date(1970, 1, 1)).days * DAY_MS
    hours = range(-24, 49)
    place = bisect.bisect_left(hours, day, key=lambda hour: pricing.service_day(midnight_ms + hour * HOUR_MS))
    return midnight_ms + hours[place] * HOUR_MS


def _read(row: asyncpg.Record, day: dt.date, derived: dict[str, tuple[Charge, ...]]) -> SaleRead:
    (
        key,
        tapped_ms,
        medium_id,
        medium_kind,
        riders,
        vehicle_id,
        carrier_id,
        route_id,
        trip_id,
        stop_id,
        amnesty,
        lines,
    ) = row
    ride = Ride(
        key=key,
        tapped_ms=tapped_ms,
        medium_id=medium_id,
        medium_kind=MediumKind(medium_kind),
        riders=_riders.decode(riders) if riders is not None else (),
        vehicle_id=vehicle_id,
        carrier_id=carrier_id,
        route_id=route_id,
        trip_id=trip_id,
        stop_id=stop_id,
    )
    charges = _lines.decode(lines) if lines is not None else derived[key]
    return SaleRead(sale=Sale(ride=ride, service_date=day, charges=charges), settled_amnesty=amnesty)
