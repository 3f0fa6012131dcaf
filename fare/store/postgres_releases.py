"""Quarantined taps in PostgreSQL: which wait, what a person decided, and which of those the books have.

A decision is written with its line of the audit log, all or nothing, and marks its record in the same transaction;
triggers refuse a second one. After that the running fare role hands the released taps to the books
(``fare.api.devices``).
"""

from collections.abc import Sequence
from typing import Final

import asyncpg

from fare.audit_trail import Act
from fare.model import DeviceId, MediumId, Tap
from fare.store.postgres_audit import note
from fare.validator.batches import Standing
from fare.validator.journal import decode
from fare.validator.release import WHY_MAX, Decision, Kept, Quarantined, Release, at_its_time, decide, is_own_ride

HAND_MAX: Final = 500
NAMED_MAX: Final = 20  # sequences in a line of the audit log; the table of decisions has them all

_WAITING: Final = """
SELECT payload, received_ms FROM validator_record
WHERE ($1::text IS NULL OR device_id = $1) AND standing = 'quarantined' AND released_ms IS NULL
ORDER BY device_id, sequence
"""


class PostgresReleases:
    """What became of a city's quarantined taps.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def waiting(self, device_id: DeviceId | None = None) -> list[Quarantined]:
        """Return the taps of a device, or of all, that wait for a person, by device and sequence."""
        found = [_quarantined(row) for row in await self._pool.fetch(_WAITING, device_id)]
        return [one for one in found if one is not None]

    async def decide(
        self, device_id: DeviceId, sequences: Sequence[int], decision: Decision, now_ms: int, *, who: str, why: str
    ) -> list[Release]:
        """Write what ``who`` decided about records of a device, and return it: about all of them or about none.

        Raises:
            ReleaseError: if it cannot be decided so about one of them.
            ValueError: if ``why`` says nothing, or too much.
        """
        if not why.strip() or len(why) > WHY_MAX or not why.isprintable():
            raise ValueError(f"why: must be 1 to {WHY_MAX} characters that can be printed, not {why!r}")
        async with self._pool.acquire() as connection, connection.transaction():
            # One decision about a device at a time: two must not put two rides of a medium at one moment.
            await connection.execute("SELECT FROM validator WHERE device_id = $1 FOR NO KEY UPDATE", device_id)
            rows = await connection.fetch(
                "SELECT sequence, payload, received_ms, standing, released_ms FROM validator_record "
                "WHERE device_id = $1 AND sequence = ANY ($2::bigint[]) FOR UPDATE",
                *(device_id, sorted(set(sequences))),
            )
            kept = {row["sequence"]: _kept(row) for row in rows}
            taken = await _taken(connection, device_id)
            releases = decide(device_id, sequences, decision, kept, now_ms, taken=taken)
            await connection.executemany(
                "INSERT INTO validator_release (device_id, sequence, at_ms, decided_ms, who, why) "
                "VALUES ($1, $2, $3, $4, $5, $6)",
                [(device_id, one.sequence, one.at_ms, now_ms, who, why) for one in releases],
            )
            dropped = all(one.at_ms is None for one in releases)
            act = Act.TAPS_DROPPED if dropped else Act.TAPS_RELEASED
            await note(connection, now_ms, who, act, device_id, f"{_named(releases)}: {why}")
        return releases

    async def behind(self) -> list[DeviceId]:
        """Return the devices of which the books do not have all that was released."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT device_id FROM validator_release WHERE at_ms IS NOT NULL AND handed_ms IS NULL "
            "ORDER BY device_id"
        )
        return [DeviceId(row["device_id"]) for row in rows]

    async def pending(self, device_id: DeviceId, after: int) -> list[Tap]:
        """Return released taps of a device after ``after`` that the books do not have yet, each at its right time."""
        rows = await self._pool.fetch(
            "SELECT payload, at_ms FROM validator_release JOIN validator_record USING (device_id, sequence) "
            "WHERE device_id = $1 AND sequence > $2 AND at_ms IS NOT NULL AND handed_ms IS NULL "
            "ORDER BY sequence LIMIT $3",
            *(device_id, after, HAND_MAX),
        )
        found = [(decode(row["payload"]), row["at_ms"]) for row in rows]
        return [at_its_time(record.tap, at_ms) for record, at_ms in found if record is not None and record.tap]

    async def handed(self, device_id: DeviceId, sequences: Sequence[int], now_ms: int) -> None:
        """Note that the books have these. Losing this note hands them over again under the same keys, no more."""
        await self._pool.execute(
            "UPDATE validator_release SET handed_ms = $3 "
            "WHERE device_id = $1 AND sequence = ANY ($2::bigint[]) AND at_ms IS NOT NULL AND handed_ms IS NULL",
            *(device_id, list(sequences), now_ms),
        )


async def _taken(connection: asyncpg.Connection, device_id: DeviceId) -> set[tuple[MediumId, int]]:
    """Return medium and time of the rides of a device that were released."""
    rows = await connection.fetch(
        "SELECT payload, at_ms FROM validator_release JOIN validator_record USING (device_id, sequence) "
        "WHERE device_id = $1 AND at_ms IS NOT NULL",
        device_id,
    )
    found = [(decode(row["payload"]), row["at_ms"]) for row in rows]
    return {
        (record.tap.medium_id, at_ms)
        for record, at_ms in found
        if record is not None and record.tap is not None and is_own_ride(record.tap)
    }


def _kept(row: asyncpg.Record) -> Kept:
    if row["standing"] != Standing.QUARANTINED:
        return Kept()
    decided = row["released_ms"] is not None
    return Kept(waiting=None if decided else _quarantined(row), decided=decided)


def _quarantined(row: asyncpg.Record) -> Quarantined | None:
    record = decode(row["payload"])
    if record is None or record.tap is None:  # what is no tap is never quarantined
        return None
    return Quarantined(tap=record.tap, received_ms=row["received_ms"])


def _named(releases: Sequence[Release]) -> str:
    named = ", ".join(
        str(one.sequence) if one.at_ms is None else f"{one.sequence} at {one.at_ms}" for one in releases[:NAMED_MAX]
    )
    return named if len(releases) <= NAMED_MAX else f"{named} and {len(releases) - NAMED_MAX} more"
