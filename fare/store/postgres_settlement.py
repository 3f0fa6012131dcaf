"""What settlement keeps and reads in PostgreSQL: sales derived from taps, closed days, statements, refunds, amnesties.

Sales are read in one snapshot together with what was posted for them, so both say the same unless the tariff or a
profile has changed. Every function raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does
not answer.
"""

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.ledger.billing import WINDOW_MS, Pricing, changes
from fare.model import CarrierId, Charge, JournalKey, MediumId, Profile, Ride
from fare.settlement.closing import Part
from fare.settlement.model import Refund, RefundReason, Sale, Statement
from fare.settlement.refunds import AmnestyWindow
from fare.store.postgres_taps import Window, read_windows

Profiles = Callable[[Sequence[MediumId]], Awaitable[Mapping[MediumId, Profile]]]

MEDIA_AT_A_TIME: Final = 500
DAY_MS: Final = 86_400_000
READ_MAX_S: Final = 3_600.0

_MEDIA: Final = "SELECT DISTINCT medium_id FROM tap WHERE rides AND tapped_ms >= $1 AND tapped_ms < $2"
_MEDIA_TO_SETTLE: Final = """
SELECT DISTINCT medium_id FROM tap t WHERE rides AND tapped_ms >= $1 AND tapped_ms < $2 AND NOT EXISTS (
    SELECT FROM settled_ride s WHERE s.device_id = t.device_id AND s.sequence = t.sequence AND s.version = coalesce(
        (SELECT max(version) FROM ride_charge c WHERE c.device_id = t.device_id AND c.sequence = t.sequence), 0))
"""
_LONG_LATE: Final = """
SELECT medium_id, min(tapped_ms) AS from_ms FROM tap t
WHERE rides AND received_at > now() - make_interval(days => $1) AND tapped_ms < $2 AND NOT EXISTS (
    SELECT FROM settled_ride s WHERE s.device_id = t.device_id AND s.sequence = t.sequence)
GROUP BY medium_id
"""
_SETTLED: Final = """
SELECT DISTINCT ON (device_id, sequence) device_id, sequence, version, service_date, amnesty_id, charges::text
FROM settled_ride JOIN unnest($1::text[], $2::bigint[]) AS w (device_id, sequence) USING (device_id, sequence)
ORDER BY device_id, sequence, version DESC
"""
_FORGET_BILLS: Final = """
DELETE FROM ride_bill b USING unnest($1::text[], $2::bigint[]) AS w (device_id, sequence)
WHERE b.device_id = w.device_id AND b.sequence = w.sequence
"""
_UNSETTLED_REFUNDS: Final = """
SELECT r.*, s.amnesty_id FROM refund r JOIN LATERAL (
    SELECT amnesty_id FROM settled_ride s WHERE s.device_id = r.device_id AND s.sequence = r.sequence
    ORDER BY version DESC LIMIT 1
) AS s ON true
WHERE r.state = 'granted' AND r.settled_on IS NULL ORDER BY r.key
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RideSold:
    """A sale, which version of its charges it is, and what was settled of it: version 0 is no charge, -1 unsettled."""

    sale: Sale
    version: int
    settled_version: int = -1
    settled: Sale | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesRead:
    """Sales of some media. ``differing``: how many cost otherwise than posted."""

    sold: list[RideSold]
    differing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStatement:
    """A statement as it was settled."""

    part: Part
    statement: Statement
    paid: bool


async def long_late(
    pool: asyncpg.Pool, pricing: Pricing, before: dt.date, received_days: int
) -> tuple[list[MediumId], dt.date]:
    """Return the media of unsettled rides before a day that were received within some days, and the first one's day."""
    rows = await pool.fetch(_LONG_LATE, received_days, _midnight_ms(before) + 2 * DAY_MS, timeout=READ_MAX_S)
    days = {MediumId(row["medium_id"]): pricing.service_day(row["from_ms"]) for row in rows}
    days = {medium_id: day for medium_id, day in days.items() if day < before}
    return sorted(days), min(days.values(), default=before)


async def sales_of_days(
    pool: asyncpg.Pool,
    pricing: Pricing,
    profiles: Profiles,
    first: dt.date,
    last: dt.date,
    *,
    to_settle: bool = False,
    of_media: Sequence[MediumId] | None = None,
) -> AsyncIterator[SalesRead]:
    """Give the sales of service days, some media at a time, all in one snapshot.

    ``to_settle``: only of media of which something is not settled as it is posted. ``of_media``: only of these.
    """
    # A service day is within these hours of UTC wherever the city is and whenever its day begins.
    from_ms, until_ms = _midnight_ms(first) - DAY_MS, _midnight_ms(last) + 3 * DAY_MS
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        media = of_media
        if media is None:
            query = _MEDIA_TO_SETTLE if to_settle else _MEDIA
            rows = await connection.fetch(query, from_ms, until_ms, timeout=READ_MAX_S)
            media = sorted(MediumId(row["medium_id"]) for row in rows)
        for begin in range(0, len(media), MEDIA_AT_A_TIME):
            some = media[begin : begin + MEDIA_AT_A_TIME]
            windows = await read_windows(connection, dict.fromkeys(some, from_ms - WINDOW_MS))
            read = _sold(windows, await profiles(some), pricing, from_ms, (first, last))
            yield SalesRead(sold=await _with_settled(connection, read.sold), differing=read.differing)


async def last_closed(connection: asyncpg.Connection | asyncpg.Pool) -> dt.date | None:
    """Return the last day that is closed."""
    found: dt.date | None = await connection.fetchval("SELECT max(service_date) FROM settled_day")
    return found


async def statements_between(
    pool: asyncpg.Pool, first: dt.date, last: dt.date, carrier_id: CarrierId | None
) -> list[StoredStatement]:
    """Return what was settled on some days, of one carrier or of all."""
    rows = await pool.fetch(
        "SELECT part, statement::text, paid_key IS NOT NULL AS paid FROM settled_statement "
        "WHERE service_date BETWEEN $1 AND $2 AND ($3::text IS NULL OR carrier_id = $3) "
        "ORDER BY service_date, carrier_id, part",
        *(first, last, carrier_id),
    )
    return [
        StoredStatement(
            part=Part(row["part"]), statement=msgspec.json.decode(row["statement"], type=Statement), paid=row["paid"]
        )
        for row in rows
    ]


async def write_settled(connection: asyncpg.Connection, sold: Iterable[RideSold], booked_on: dt.date) -> None:
    """Keep what is settled of rides: their lines are there from now on, not in ``ride_bill``."""
    sold = list(sold)
    await connection.copy_records_to_table(
        "settled_ride",
        columns=("device_id", "sequence", "version", "service_date", "amnesty_id", "charges"),
        records=[
            (
                *name_of(one.sale.ride.key),
                one.version,
                booked_on,
                one.sale.amnesty_id,
                msgspec.json.encode(one.sale.charges).decode(),
            )
            for one in sold
        ],
    )
    names = [name_of(one.sale.ride.key) for one in sold]
    await connection.execute(_FORGET_BILLS, [device_id for device_id, _ in names], [number for _, number in names])


async def write_statement(
    connection: asyncpg.Connection, statement: Statement, part: Part, journal_key: JournalKey | None
) -> None:
    """Keep a statement and the key of its journal."""
    await connection.execute(
        "INSERT INTO settled_statement (carrier_id, service_date, part, statement, journal_key) "
        "VALUES ($1, $2, $3, $4, $5)",
        *(statement.carrier_id, statement.service_date, part.value),
        *(msgspec.json.encode(statement).decode(), journal_key),
    )


async def unsettled_refunds(connection: asyncpg.Connection) -> tuple[list[Refund], frozenset[str]]:
    """Return granted refunds of settled rides that no statement has yet, and which of these rides were forgiven."""
    rows = await connection.fetch(_UNSETTLED_REFUNDS)
    refunds = [refund_of(row) for row in rows]
    forgiven = frozenset(one.ride_key for one, row in zip(refunds, rows, strict=True) if row["amnesty_id"])
    return refunds, forgiven


async def windows_granted(connection: asyncpg.Connection | asyncpg.Pool) -> list[AmnestyWindow]:
    """Return the amnesties that were granted, the oldest first."""
    rows = await connection.fetch("SELECT * FROM amnesty WHERE granted ORDER BY asked_ms, amnesty_id")
    return [window_of(row) for row in rows]


def refund_of(row: asyncpg.Record) -> Refund:
    """Return a row of ``refund`` as a value."""
    return Refund(
        key=JournalKey(row["key"]),
        ride_key=f"{row['device_id']}:{row['sequence']}",
        carrier_id=CarrierId(row["carrier_id"]),
        amount_tiyn=row["amount_tiyn"],
        reason=RefundReason(row["reason"]),
        service_date=row["service_date"],
    )


def window_of(row: asyncpg.Record) -> AmnestyWindow:
    """Return a row of ``amnesty`` as a value."""
    return AmnestyWindow(
        amnesty_id=row["amnesty_id"],
        from_ms=row["from_ms"],
        until_ms=row["until_ms"],
        vehicle_ids=frozenset(row["vehicle_ids"]),
        route_ids=frozenset(row["route_ids"]),
        ordered_by=row["asked_by"],
        why=row["why"],
    )


def name_of(ride_key: str) -> tuple[str, int]:
    """Return device and sequence of a ride's key.

    Raises:
        ValueError: if it is none.
    """
    device_id, _, sequence = ride_key.rpartition(":")
    if not device_id or not sequence.isascii() or not sequence.isdigit() or len(sequence) > 18:
        raise ValueError(f"ride_key must be device:sequence: {ride_key!r}")
    return device_id, int(sequence)


def _sold(
    windows: Mapping[MediumId, Window],
    profiles: Mapping[MediumId, Profile],
    pricing: Pricing,
    from_ms: int,
    days: tuple[dt.date, dt.date],
) -> SalesRead:
    sold: list[RideSold] = []
    differing = 0
    for medium_id, window in windows.items():
        profile = profiles.get(medium_id, Profile())
        of_days = {ride.key: ride for ride in window.rides if days[0] <= pricing.service_day(ride.tapped_ms) <= days[1]}
        found = changes(window.rides, window.posted, pricing, profile, from_ms=from_ms)
        differing += sum(1 for change in found if change.ride.key in of_days)
        charges: dict[str, list[Charge]] = {}
        for charge in pricing.bill(window.rides, profile).charges:
            charges.setdefault(charge.ride_key, []).append(charge)
        for key, ride in of_days.items():
            posted = window.posted.get(key)
            sold.append(
                RideSold(sale=_sale(ride, charges.get(key, ()), pricing), version=posted.version if posted else 0)
            )
    return SalesRead(sold=sold, differing=differing)


def _sale(ride: Ride, charges: Iterable[Charge], pricing: Pricing) -> Sale:
    return Sale(ride=ride, service_date=pricing.service_day(ride.tapped_ms), charges=tuple(charges))


async def _with_settled(connection: asyncpg.Connection, sold: list[RideSold]) -> list[RideSold]:
    names = [name_of(one.sale.ride.key) for one in sold]
    rows = await connection.fetch(_SETTLED, [device for device, _ in names], [sequence for _, sequence in names])
    settled = {f"{row['device_id']}:{row['sequence']}": row for row in rows}
    return [_settled(one, settled.get(one.sale.ride.key)) for one in sold]


def _settled(one: RideSold, row: asyncpg.Record | None) -> RideSold:
    if row is None:
        return one
    charges = msgspec.json.decode(row["charges"], type=tuple[Charge, ...])
    before = Sale(ride=one.sale.ride, service_date=row["service_date"], charges=charges, amnesty_id=row["amnesty_id"])
    return RideSold(sale=one.sale, version=one.version, settled_version=row["version"], settled=before)


def _midnight_ms(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * DAY_MS
