"""Validators in PostgreSQL: their keys, how far their journals are here, every record as it was signed.

``take`` reads what is known of the device, decides (``fare.validator.batches.receive``) and writes in one statement,
which does nothing if the device's row is no longer the one that was read: then all of it is done again. So no lock is
held while this program thinks, and of two uploads at a time one sees the other. Taps go on to the ledger from here:
``handed`` says how far they are, and is moved after the ledger has them, so a crash between the two hands them over
again under the same keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import asyncpg
import msgspec

from fare.model import DeviceId, Tap
from fare.store.copy_rows import json_array
from fare.store.postgres_append import Append, DeviceState, LastStates, append_of
from fare.validator.batches import (
    Batch,
    DeviceKey,
    Known,
    Reading,
    Reception,
    Standing,
    Until,
    asked_for,
    receive,
)
from fare.validator.documents import DocumentKind, Published
from fare.validator.enrolment import Enrolling, EnrolmentRequest, IssuedCode, digest_of, enrol
from fare.validator.journal import START, Head, decode
from fare.validator.signing import Signed, key_id_of

EVIDENCE_MAX: Final = 100  # envelopes kept of one device
HAND_MAX: Final = 500
TRIES_MAX: Final = 10  # of a batch whose device's row others keep changing

_WITHOUT_WAITING: Final = "SET LOCAL synchronous_commit = off"
# ``version``: of the row, another after each change whatsoever.
_KNOWN: Final = """
SELECT v.vehicle_id, v.sequence, v.hash, v.handed, v.stopped, v.xmin::text AS version,
    v.revoked OR NOT EXISTS (
        SELECT FROM validator_key k WHERE k.key_id = $2 AND k.device_id = v.device_id AND NOT k.revoked
    ) AS revoked,
    (SELECT r.hash FROM validator_record r WHERE r.device_id = $1 AND r.sequence = $3) AS hash_before,
    (SELECT r.hash FROM validator_record r WHERE r.device_id = $1 AND r.sequence = $4) AS hash_after
FROM validator v WHERE v.device_id = $1
"""
# Records follow one another from $9 on; $10 has the hash and the payload of each, one after another, and with it go
# where those of each begin, their lengths and standings. Arrays of bytes would take asyncpg longer than all else.
_WRITE: Final = """
WITH moved AS (
    UPDATE validator SET sequence = $3, hash = $4, stopped = stopped OR $5::bigint IS NOT NULL, heard_ms = $6,
        address = $7, waiting = $8
    WHERE device_id = $1 AND xmin::text = $2 RETURNING device_id
), kept AS (
    INSERT INTO validator_record (device_id, sequence, hash, payload, standing, received_ms)
    SELECT m.device_id, $9::bigint + r.place - 1, substring($10::bytea FROM r.at::integer + 1 FOR r.hash::integer),
        substring($10::bytea FROM r.at::integer + r.hash::integer + 1 FOR r.payload::integer), r.standing, $6
    FROM moved m, ROWS FROM (json_array_elements_text($11), json_array_elements_text($12),
        json_array_elements_text($13), json_array_elements_text($14)) WITH ORDINALITY
        AS r (at, hash, payload, standing, place)
), evidence AS (
    INSERT INTO validator_evidence (device_id, at_ms, address, forked_at, envelope)
    SELECT m.device_id, $6, $7, $5, $15 FROM moved m
    WHERE $5 IS NOT NULL AND (SELECT count(*) FROM validator_evidence e WHERE e.device_id = $1) < $16
)
SELECT count(*) FROM moved
"""
_HANDED: Final = "UPDATE validator SET handed = greatest(handed, $2) WHERE device_id = $1"
# Of a record that is still the one that was received then: a restored database gets records again. In one statement,
# so that no live tap of these devices waits for more than that.
_NOTED: Final = """
WITH relaxed AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), locked AS (
    SELECT v.device_id FROM relaxed, validator v WHERE v.device_id = ANY ($1)
    ORDER BY v.device_id FOR NO KEY UPDATE OF v
)
UPDATE validator v SET handed = greatest(v.handed, n.sequence)
FROM locked l
JOIN unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (device_id, sequence, received_ms) USING (device_id)
WHERE v.device_id = l.device_id AND n.received_ms = (
    SELECT r.received_ms FROM validator_record r WHERE r.device_id = n.device_id AND r.sequence = n.sequence
)
"""

_CHARGED: Final = (Standing.ON_TIME, Standing.LATE)
_decoder: Final = msgspec.msgpack.Decoder(Signed)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """A validator as the control room sees it."""

    device_id: DeviceId
    vehicle_id: str
    sequence: int
    waiting: int
    heard_ms: int | None
    stopped: bool
    revoked: bool
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What ``take`` did. ``handed``: how far the ledger was before it."""

    reception: Reception
    handed: int


class PostgresDevices:
    """All validators of a city.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, city: str) -> None:
        self._pool = pool
        self._city = city
        self._states = LastStates()

    async def key(self, key_id: str) -> tuple[DeviceId, DeviceKey] | None:
        """Return the device that has a key of this name, and the key."""
        row = await self._pool.fetchrow(
            "SELECT device_id, public, k.revoked OR v.revoked AS revoked "
            "FROM validator_key k JOIN validator v USING (device_id) WHERE key_id = $1",
            key_id,
        )
        return None if row is None else (row["device_id"], DeviceKey(public=row["public"], revoked=row["revoked"]))

    async def take(
        self,
        device_id: DeviceId,
        batch: Batch,
        signed: Signed,
        now_ms: int,
        address: str,
        *,
        reading: Reading | None = None,
    ) -> Taken:
        """Decide about a batch whose signature is right, and write what follows from it, all or nothing.

        ``reading``: of the batch, as far as it was read before.

        Raises:
            LookupError: if there is no such device.
            asyncpg.SerializationError: if its row is changed by others again and again.
        """
        for _ in range(TRIES_MAX):
            row = await self._pool.fetchrow(_KNOWN, device_id, signed.key_id, *asked_for(batch))
            if row is None:
                raise LookupError(f"device_id: no validator {device_id!r}")
            reception = receive(batch, self._known(device_id, batch, row), now_ms, reading)
            if await self._write(device_id, row["version"], batch, signed, reception, now_ms, address):
                return Taken(reception=reception, handed=row["handed"])
        raise asyncpg.SerializationError(f"validator {device_id}: changed {TRIES_MAX} times while a batch was decided")

    async def appending(
        self, device_id: DeviceId, batch: Batch, signed: Signed, now_ms: int, address: str, *, reading: Reading
    ) -> Append | None:
        """Return what a batch whose signature is right adds, if it goes on where the ledger is; None: ``take`` decides.

        How the device stood after its last one is remembered; ``lock_and_read`` sees whether it still does.
        """
        state = self._states.of(device_id, signed.key_id)
        if state is None:
            row = await self._pool.fetchrow(_KNOWN, device_id, signed.key_id, *asked_for(batch))
            if row is None or row["stopped"] or row["revoked"]:
                return None
            state = DeviceState(
                key_id=signed.key_id,
                vehicle_id=row["vehicle_id"],
                head=Head(sequence=row["sequence"], hash=row["hash"]),
                handed=row["handed"],
                version=row["version"],
            )
        return append_of(state, device_id, self._city, batch, now_ms, address, reading)

    def appended(self, append: Append, version: str | None) -> None:
        """Note that ``append`` was written, and its device's row is in ``version``; None: it was not."""
        self._states.note(append, version)

    async def asked(self, device_id: DeviceId, recorded: int, sent_ms: int) -> None:
        """Note that a journal had nothing after ``recorded`` at ``sent_ms``: a bus in which nobody taps is heard, too.

        An asking that is older than what is known says nothing, so it may come twice and late. Losing a note is no more
        than not having been asked: nothing waits for the disk.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_WITHOUT_WAITING)
            await connection.execute(
                "UPDATE validator SET heard_ms = $3, waiting = $2 - sequence "
                "WHERE device_id = $1 AND sequence <= $2 AND coalesce(heard_ms, 0) < $3",
                *(device_id, recorded, sent_ms),
            )

    async def pending(self, device_id: DeviceId) -> tuple[list[Tap], int]:
        """Return taps that the ledger does not have yet, the oldest first, and the sequence up to which they reach."""
        rows = await self._pool.fetch(
            "SELECT r.sequence, r.payload, r.standing FROM validator v JOIN validator_record r USING (device_id) "
            "WHERE v.device_id = $1 AND r.sequence > v.handed ORDER BY r.sequence LIMIT $2",
            *(device_id, HAND_MAX),
        )
        records = [decode(row["payload"]) for row in rows if row["standing"] in _CHARGED]
        taps = [record.tap for record in records if record is not None and record.tap is not None]
        return taps, rows[-1]["sequence"] if rows else 0

    async def handed(self, device_id: DeviceId, sequence: int) -> None:
        """Note that the ledger has all taps up to ``sequence``. Losing this note hands taps over again, no more."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_WITHOUT_WAITING)
            await connection.execute(_HANDED, device_id, sequence)

    async def noted(self, notes: Mapping[DeviceId, Until]) -> None:
        """Note up to which records, as they were received, the ledger has all taps of these devices."""
        devices = list(notes)
        sequences, received_ms = zip(*[(one.sequence, one.received_ms) for one in notes.values()], strict=True)
        await self._pool.execute(_NOTED, devices, sequences, received_ms)

    async def behind(self) -> list[DeviceId]:
        """Return the devices of which the ledger does not have everything."""
        rows = await self._pool.fetch("SELECT device_id FROM validator WHERE handed < sequence ORDER BY device_id")
        return [DeviceId(row["device_id"]) for row in rows]

    async def issue(self, code: IssuedCode) -> None:
        """Keep a code that enrols a device."""
        await self._pool.execute(
            "INSERT INTO validator_code (digest, device_id, vehicle_id, expires_ms) VALUES ($1, $2, $3, $4)",
            *(code.digest, code.device_id, code.vehicle_id, code.expires_ms),
        )

    async def enrol(self, request: EnrolmentRequest, now_ms: int) -> tuple[Enrolling, IssuedCode | None, Head]:
        """Decide about a request and, if it is right, make its key the only one of the device."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT digest, device_id, vehicle_id, expires_ms, used_by FROM validator_code WHERE digest = $1 "
                "FOR UPDATE",
                digest_of(request.secret),
            )
            issued = None if row is None else IssuedCode(**row)
            outcome = enrol(request, issued, now_ms)
            if outcome is not Enrolling.ENROLLED or issued is None:
                return outcome, issued, Head()
            if issued.used_by is None:
                await self._enrolled(connection, request.public, issued)
            row = await connection.fetchrow(
                "SELECT sequence, hash FROM validator WHERE device_id = $1", issued.device_id
            )
            return outcome, issued, Head(sequence=row["sequence"], hash=row["hash"] or START)

    async def revoke(self, device_id: DeviceId) -> bool:
        """Take nothing more of a device (stolen, sold); return whether it exists. A new code enrols it again."""
        status: str = await self._pool.execute("UPDATE validator SET revoked = true WHERE device_id = $1", device_id)
        return status == "UPDATE 1"

    async def list_devices(self) -> list[DeviceRow]:
        """Return all devices by id."""
        rows = await self._pool.fetch(
            "SELECT device_id, vehicle_id, sequence, waiting, heard_ms, stopped, revoked, "
            "(SELECT count(*) FROM validator_record r WHERE r.device_id = v.device_id "
            "AND standing = 'quarantined' AND released_ms IS NULL) AS quarantined "
            "FROM validator v ORDER BY device_id"
        )
        return [DeviceRow(**row) for row in rows]

    async def publish(self, published: Published) -> None:
        """Keep a signed document for the devices that ask. A whole list makes those before the last one superfluous.

        Raises:
            asyncpg.UniqueViolationError: if this version of it is there already.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO validator_document (kind, name, version, base_version, until_ms, envelope) "
                "VALUES ($1, $2, $3, $4, $5, $6)",
                published.kind.value,
                published.name,
                published.version,
                published.base_version,
                published.until_ms,
                msgspec.msgpack.encode(published.signed),
            )
            if published.kind is DocumentKind.LIST:
                await connection.execute(
                    "DELETE FROM validator_document WHERE kind IN ('list', 'list_delta') AND name = $1 AND version < "
                    "(SELECT max(version) FROM validator_document WHERE kind = 'list' AND name = $1 AND version < $2)",
                    *(published.name, published.version),
                )

    async def published(
        self, now_ms: int, *, kinds: Sequence[DocumentKind] = tuple(DocumentKind), name: str | None = None
    ) -> list[Published]:
        """Return the documents in force of these kinds (and this name), each in order of version."""
        rows = await self._pool.fetch(
            "SELECT kind, name, version, base_version, until_ms, envelope FROM validator_document "
            "WHERE until_ms > $1 AND kind = ANY($2::text[]) AND ($3::text IS NULL OR name = $3) "
            "ORDER BY kind, name, version",
            *(now_ms, [kind.value for kind in kinds], name),
        )
        return [
            Published(
                kind=DocumentKind(row["kind"]),
                name=row["name"],
                version=row["version"],
                base_version=row["base_version"],
                until_ms=row["until_ms"],
                signed=_decoder.decode(row["envelope"]),
            )
            for row in rows
        ]

    def _known(self, device_id: DeviceId, batch: Batch, row: asyncpg.Record) -> Known:
        before, after = asked_for(batch)
        found = {before: row["hash_before"], after: row["hash_after"]}
        return Known(
            device_id=device_id,
            city=self._city,
            vehicle_id=row["vehicle_id"],
            head=Head(sequence=row["sequence"], hash=row["hash"]),
            stopped=row["stopped"],
            revoked=row["revoked"],
            hashes={0: START, **{at: hash_ for at, hash_ in found.items() if hash_ is not None}},
        )

    async def _write(
        self,
        device_id: DeviceId,
        version: str,
        batch: Batch,
        signed: Signed,
        reception: Reception,
        now_ms: int,
        address: str,
    ) -> bool:
        """Write what follows from a batch; return False if the device's row is another meanwhile: nothing is then."""
        new, forked_at = reception.new, reception.forked_at
        moved: int = await self._pool.fetchval(
            _WRITE,
            *(device_id, version, reception.head.sequence, reception.head.hash, forked_at, now_ms, address),
            batch.waiting,
            new[0].sequence if new else 0,
            b"".join([part for one in new for part in (one.hash, one.payload)]),
            json_array(list(accumulate([len(one.hash) + len(one.payload) for one in new[:-1]], initial=0))[: len(new)]),
            json_array([len(one.hash) for one in new]),
            json_array([len(one.payload) for one in new]),
            json_array([one.standing.value for one in new]),
            msgspec.msgpack.encode(signed) if forked_at is not None else None,
            EVIDENCE_MAX,
        )
        return moved == 1

    async def _enrolled(self, connection: asyncpg.Connection, public: bytes, issued: IssuedCode) -> None:
        await connection.execute("UPDATE validator_code SET used_by = $2 WHERE digest = $1", issued.digest, public)
        await connection.execute(
            "INSERT INTO validator (device_id, vehicle_id, hash) VALUES ($1, $2, $3) "
            "ON CONFLICT (device_id) DO UPDATE SET vehicle_id = excluded.vehicle_id, revoked = false, stopped = false",
            *(issued.device_id, issued.vehicle_id, START),
        )
        await connection.execute("UPDATE validator_key SET revoked = true WHERE device_id = $1", issued.device_id)
        await connection.execute(
            "INSERT INTO validator_key (key_id, device_id, public) VALUES ($1, $2, $3) "
            "ON CONFLICT (key_id) DO UPDATE SET device_id = excluded.device_id, revoked = false",
            *(key_id_of(public), issued.device_id, public),
        )
