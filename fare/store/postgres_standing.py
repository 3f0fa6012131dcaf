"""What was given back or given up of rides beside their prices, in PostgreSQL (``fare.settlement.standing``).

Every function works within the caller's transaction, which holds the media of the rides (``lock_media``), and raises
OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import asyncpg

from fare.model import MediumId
from fare.settlement.standing import REPRICED, Realigned, Returned
from fare.settlement.written_off import GivenBack, History, OwedAgain, Priced, WrittenOff, owed_again
from fare.store.postgres_settlement import last_closed, name_of

BY_THE_BOOKS: Final = "Repricing"  # as who asked and decided: no person's name, which has small letters only

_RETURNED: Final = f"""
SELECT device_id, sequence,
    coalesce(sum(amount_tiyn) FILTER (WHERE granted AND NOT chargeback), 0)::bigint AS refunds_tiyn,
    coalesce(sum(amount_tiyn) FILTER (WHERE granted AND chargeback), 0)::bigint AS chargebacks_tiyn,
    coalesce(sum(amount_tiyn) FILTER (WHERE NOT chargeback), 0)::bigint AS refunds_stand_tiyn,
    coalesce(sum(amount_tiyn) FILTER (WHERE chargeback), 0)::bigint AS chargebacks_stand_tiyn
FROM (
    SELECT r.*, r.key NOT LIKE '{REPRICED}%' AS granted, r.reason = 'chargeback' AS chargeback
    FROM refund r JOIN unnest($1::text[], $2::bigint[]) AS w (device_id, sequence) USING (device_id, sequence)
    WHERE r.state = 'granted'
) AS of_rides GROUP BY device_id, sequence
"""  # noqa: S608 - texts of our own
_OWED: Final = "SELECT DISTINCT medium_id FROM write_off WHERE medium_id = ANY ($1::text[]) AND state = 'granted'"
_PRICES: Final = """
SELECT t.device_id, t.sequence, t.tapped_ms,
    (SELECT sum(charged) FROM unnest(c.charged_tiyn) AS charged)::bigint AS priced_tiyn
FROM tap t JOIN LATERAL (
    SELECT charged_tiyn FROM ride_charge r WHERE r.device_id = t.device_id AND r.sequence = t.sequence
    ORDER BY r.version DESC LIMIT 1
) AS c ON c.charged_tiyn <> '{}'
WHERE t.medium_id = $1 AND t.rides
"""
# What is granted in this transaction has no journal yet, and comes last.
_GIVEN_BACK: Final = f"""
SELECT r.device_id, r.sequence, r.amount_tiyn, coalesce(j.number, {2**62}) AS number
FROM tap t JOIN refund r USING (device_id, sequence) LEFT JOIN journal j ON j.key = 'refund/' || r.key
WHERE t.medium_id = $1 AND t.rides AND r.state = 'granted' AND r.key NOT LIKE '{REPRICED}%'
"""  # noqa: S608 - texts of our own
_WRITTEN_OFF: Final = """
SELECT j.number, j.occurred_ms, w.amount_tiyn, w.of_rides_tiyn FROM write_off w
JOIN journal j ON j.key = 'write_off/' || w.key WHERE w.medium_id = $1 AND w.state = 'granted'
"""
_STANDS: Final = "SELECT number, stands_tiyn FROM write_off_stands WHERE medium_id = $1 ORDER BY number DESC LIMIT 1"
_INSERT_REFUND: Final = """
INSERT INTO refund (key, device_id, sequence, carrier_id, amount_tiyn, reason, service_date, why, asked_by, asked_ms,
    state, decided_by, four_eyes)
VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, (extract(epoch FROM now()) * 1000)::bigint, 'granted', $8, false)
"""


async def read_returned(connection: asyncpg.Connection, ride_keys: Iterable[str]) -> dict[str, Returned]:
    """Return what was given back of rides, by ride key; nothing for those of which nothing ever was."""
    names = [name_of(key) for key in ride_keys]
    if not names:
        return {}
    rows = await connection.fetch(_RETURNED, [name for name, _ in names], [sequence for _, sequence in names])
    return {_key(row): _returned(row) for row in rows}


async def owed_again_of(
    connection: asyncpg.Connection,
    changed: Mapping[MediumId, Mapping[str, Priced]],
    at_ms: Mapping[MediumId, int],
    given_up: Collection[MediumId] | None = None,
) -> list[OwedAgain]:
    """Return what is owed again, or not any more, of debts of media that were given up.

    ``changed``: prices of rides that are not written yet, by medium and ride key. ``at_ms``: of the journals.
    ``given_up``: the media of which a debt ever was, where the caller has read which these are.
    """
    if given_up is None:
        rows = await connection.fetch(_OWED, sorted(changed)) if changed else []
        given_up = [MediumId(row["medium_id"]) for row in rows]
    found = []
    for medium_id in sorted(changed.keys() & given_up):
        history = (await read_history(connection, medium_id)).with_prices(changed[medium_id])
        found.append(owed_again(medium_id, history, at_ms[medium_id]))
    return [one for one in found if one is not None]


async def read_history(connection: asyncpg.Connection, medium_id: MediumId) -> History:
    """Return all that says what stands of a medium's write-offs."""
    stands = await connection.fetchrow(_STANDS, medium_id)
    return History(
        prices={
            _key(row): Priced(tapped_ms=row["tapped_ms"], priced_tiyn=row["priced_tiyn"])
            for row in await connection.fetch(_PRICES, medium_id)
        },
        given_back=tuple(
            GivenBack(number=row["number"], ride_key=_key(row), amount_tiyn=row["amount_tiyn"])
            for row in await connection.fetch(_GIVEN_BACK, medium_id)
        ),
        written_off=tuple(
            WrittenOff(
                number=row["number"],
                at_ms=row["occurred_ms"],
                amount_tiyn=row["amount_tiyn"],
                of_rides_tiyn=row["of_rides_tiyn"],
            )
            for row in await connection.fetch(_WRITTEN_OFF, medium_id)
        ),
        stands_number=stands["number"] if stands is not None else 0,
        stands_tiyn=stands["stands_tiyn"] if stands is not None else 0,
    )


async def write_stands(connection: asyncpg.Connection, medium_id: MediumId, number: int, stands_tiyn: int) -> None:
    """Keep how much of a medium's write-offs stands from now on."""
    await connection.execute("INSERT INTO write_off_stands VALUES ($1, $2, $3)", medium_id, number, stands_tiyn)


async def write_realigned(connection: asyncpg.Connection, found: Sequence[Realigned | OwedAgain]) -> None:
    """Keep what became of refunds and write-offs. Statements have refunds with the next day that is closed."""
    for one in found:
        if isinstance(one, OwedAgain):
            await write_stands(connection, one.medium_id, one.number, one.stands_tiyn)
    of_rides = [one for one in found if isinstance(one, Realigned)]
    if not of_rides:
        return
    last = await last_closed(connection)
    open_day = dt.date.min if last is None else last + dt.timedelta(days=1)
    refunds = [refund for one in of_rides for refund in one.refunds(max(one.ridden_on, open_day))]
    await connection.executemany(
        _INSERT_REFUND,
        [
            (
                *(refund.key, *name_of(refund.ride_key), refund.carrier_id, refund.amount_tiyn, refund.reason.value),
                *(refund.service_date, BY_THE_BOOKS),
            )
            for refund in refunds
        ],
    )


def _key(row: asyncpg.Record) -> str:
    return f"{row['device_id']}:{row['sequence']}"


def _returned(row: asyncpg.Record) -> Returned:
    return Returned(
        refunds_tiyn=row["refunds_tiyn"],
        chargebacks_tiyn=row["chargebacks_tiyn"],
        refunds_stand_tiyn=row["refunds_stand_tiyn"],
        chargebacks_stand_tiyn=row["chargebacks_stand_tiyn"],
    )
