"""The inspectors' desk in PostgreSQL: sign-in, what is known of a vehicle, looks, and the chain of cases.

Reads taps as they are stored and appends to tables of its own; it has no way to the ledger.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import msgspec

from fare.inspection.cases import CaseOutcome, Entry, PersonId, Record, Role, broken_at, decide, recorded, repeated
from fare.inspection.session import Session, SessionToken
from fare.inspection.values import InspectionRules, KnownTap, Showing, Standing, VehicleFacts, VehicleNow
from fare.model import MediumId, Riders
from fare.outcomes import TapOutcome
from fare.store.postgres_phone_keys import keys_of_media
from fare.validator.rules import Configuration, Reason

SESSION_MS: Final = 12 * 3_600_000
TOKEN_BYTES: Final = 32
PIN_MIN: Final = 4
SHOWN_FOR_MS: Final = 86_400_000  # rides are long over; nobody needs to know any more to whom they were shown

_LOCK: Final = 0x696E7370  # "insp": one appends to the chain at a time

_TAPS: Final = """
SELECT device_id || ':' || sequence AS key, medium_id, vehicle_id, tapped_ms, outcome, riders::text,
    (SELECT coalesce(json_agg(json_build_object('showing_id', showing_id, 'at_ms', at_ms)), '[]')::text
     FROM inspection_shown s WHERE (s.device_id, s.sequence) = (tap.device_id, tap.sequence)) AS shown
FROM tap WHERE tapped_ms >= $2 AND vehicle_id = $1 AND medium_id <> ''
"""
_ELSEWHERE: Final = """
SELECT device_id || ':' || sequence AS key, medium_id, vehicle_id, tapped_ms, outcome, riders::text, '[]' AS shown
FROM tap
WHERE medium_id = ANY ($1::text[]) AND tapped_ms >= $2 AND rides AND vehicle_id <> $3
"""
# A validator with nothing left has sent all it had when it was heard; of another one only what is here is known.
_VALIDATORS: Final = """
SELECT v.stopped OR v.revoked AS off, v.waiting + v.sequence - v.handed AS waiting, v.heard_ms,
    (SELECT max(t.tapped_ms) FROM tap t WHERE t.device_id = v.device_id AND t.tapped_ms >= $2) AS last_ms
FROM validator v WHERE v.vehicle_id = $1
"""

_json: Final = msgspec.json.Decoder(tuple[Riders, ...])
_showings: Final = msgspec.json.Decoder(tuple[Showing, ...])


WhereIs = Callable[[str], Awaitable[VehicleNow | None]]


class PostgresInspection:
    """All that inspection keeps of a city.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(
        self, pool: asyncpg.Pool, *, configuration: Configuration, where_is: WhereIs, cash_aboard: bool = True
    ) -> None:
        """``cash_aboard``: on buses without a validator people may have paid in a way that nobody told us of."""
        self._pool = pool
        self._configuration = configuration
        self._cash_aboard = cash_aboard
        self._where_is = where_is

    async def sign_in(self, person_id: PersonId, pin: str, now_ms: int) -> Session | None:
        """Return a new session, None if number and PIN do not belong together; both take as long."""
        row = await self._pool.fetchrow("SELECT role, salt, digest FROM inspector WHERE person_id = $1", person_id)
        salt, digest = (row["salt"], row["digest"]) if row is not None else (bytes(16), bytes(32))
        right = hmac.compare_digest(await _stretched(pin, salt), digest)
        if row is None or not right:
            return None
        token = SessionToken(secrets.token_urlsafe(TOKEN_BYTES))
        until_ms = now_ms + SESSION_MS
        await self._pool.execute(
            "INSERT INTO inspector_session (token_digest, person_id, until_ms) VALUES ($1, $2, $3)",
            *(_digest(token), person_id, until_ms),
        )
        return Session(token=token, person_id=person_id, role=Role(row["role"]), until_ms=until_ms)

    async def session(self, token: SessionToken, now_ms: int) -> Session | None:
        """Return the session of ``token``, None if there is none any more."""
        row = await self._pool.fetchrow(
            "SELECT person_id, role, until_ms FROM inspector_session JOIN inspector USING (person_id) "
            "WHERE token_digest = $1 AND until_ms > $2",
            *(_digest(token), now_ms),
        )
        if row is None:
            return None
        return Session(
            token=token, person_id=PersonId(row["person_id"]), role=Role(row["role"]), until_ms=row["until_ms"]
        )

    async def facts(self, vehicle_id: str, now_ms: int) -> VehicleFacts | None:
        """Return what is known of a vehicle, None if it has neither a validator nor a place."""
        since_ms = now_ms - self._configuration.ride_max_ms
        validators = await self._pool.fetch(_VALIDATORS, vehicle_id, since_ms)
        place = await self._where_is(vehicle_id)
        if not validators and place is None:
            return None
        place = place or VehicleNow()
        here = await self._pool.fetch(_TAPS, vehicle_id, since_ms)
        media = list({row["medium_id"] for row in here})
        elsewhere = await self._pool.fetch(_ELSEWHERE, media, since_ms, vehicle_id) if media else []
        heard = [row["heard_ms"] if row["waiting"] == 0 else row["last_ms"] for row in validators]
        unheard_ms = 0 if self._cash_aboard else now_ms  # without a validator all rides are sold, and known, here
        out_of_service = bool(validators) and all(row["off"] for row in validators)
        return VehicleFacts(
            vehicle_id=vehicle_id,
            route_id=place.route_id,
            taps=tuple(self._known(row) for row in (*here, *elsewhere)),
            phones=tuple(await keys_of_media(self._pool, media, now_ms)),
            complete_until_ms=min((at_ms or 0 for at_ms in heard), default=unheard_ms),
            left_stop_ms=place.left_stop_ms,
            next_stop=place.next_stop,
            rides_free=out_of_service and Reason.OUT_OF_SERVICE in self._configuration.free_for,
        )

    async def looked(self, person_id: PersonId, vehicle_id: str, standing: Standing, now_ms: int) -> None:
        """Keep that a person asked and what the answer was."""
        await self._pool.execute(
            "INSERT INTO inspection_look (person_id, vehicle_id, standing, at_ms) VALUES ($1, $2, $3, $4)",
            *(person_id, vehicle_id, standing.value, now_ms),
        )

    async def shown(self, tap_key: str, person_id: PersonId, showing: Showing) -> None:
        """Keep that a person was shown what a tap paid for; the same showing twice is one."""
        device_id, _, sequence = tap_key.rpartition(":")
        await self._pool.execute(
            "INSERT INTO inspection_shown (showing_id, device_id, sequence, person_id, at_ms) "
            "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            *(showing.showing_id, device_id, int(sequence), person_id, showing.at_ms),
        )
        await self._pool.execute("DELETE FROM inspection_shown WHERE at_ms < $1", showing.at_ms - SHOWN_FOR_MS)

    async def append(self, entry: Entry, rules: InspectionRules) -> CaseOutcome:
        """Keep ``entry`` as ``cases.decide`` says, behind the newest record of the chain."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            kept = await connection.fetchval("SELECT entry FROM inspection_record WHERE entry_id = $1", entry.entry_id)
            if kept is not None:
                return repeated(msgspec.json.decode(kept, type=Entry), entry)
            rows = await connection.fetch(
                "SELECT entry FROM inspection_record WHERE case_id = $1 ORDER BY sequence", entry.case_id
            )
            outcome = decide([msgspec.json.decode(row["entry"], type=Entry) for row in rows], entry, rules)
            if outcome is CaseOutcome.RECORDED:
                last = await connection.fetchrow("SELECT * FROM inspection_record ORDER BY sequence DESC LIMIT 1")
                record = recorded(entry, _record(last) if last is not None else None)
                await connection.execute(
                    "INSERT INTO inspection_record (sequence, entry_id, case_id, entry, previous, digest) "
                    "VALUES ($1, $2, $3, $4, $5, $6)",
                    *(record.sequence, entry.entry_id, entry.case_id),
                    *(msgspec.json.encode(entry).decode(), record.previous, record.digest),
                )
        return outcome

    async def broken_at(self, head: str = "") -> int | None:
        """Return the first record of the chain that does not fit, None if all do (``cases.broken_at``)."""
        rows = await self._pool.fetch("SELECT * FROM inspection_record ORDER BY sequence")
        return broken_at([_record(row) for row in rows], head)

    def _known(self, row: asyncpg.Record) -> KnownTap:
        outcome = TapOutcome(row["outcome"])
        begins = outcome in {TapOutcome.ACCEPTED, TapOutcome.FREE_BY_RULE}
        return KnownTap(
            key=row["key"],
            medium_id=MediumId(row["medium_id"]),
            vehicle_id=row["vehicle_id"],
            tapped_ms=row["tapped_ms"],
            outcome=outcome,
            riders=_json.decode(row["riders"]) if row["riders"] is not None else (),
            until_ms=row["tapped_ms"] + self._configuration.ride_max_ms if begins else 0,
            shown=_showings.decode(row["shown"]),
        )


async def set_pin(pool: asyncpg.Pool, person_id: PersonId, role: Role, pin: str) -> None:
    """Let somebody sign in with ``pin``; an earlier PIN and all sessions of theirs end.

    Raises:
        ValueError: if the PIN is too short, or riders cannot be signed in.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    if len(pin) < PIN_MIN:
        raise ValueError(f"pin must have {PIN_MIN} characters at least")
    if role is Role.RIDER:
        raise ValueError("role: riders do not sign in here")
    salt = secrets.token_bytes(16)
    digest = await _stretched(pin, salt)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO inspector (person_id, role, salt, digest) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (person_id) DO UPDATE SET role = $2, salt = $3, digest = $4",
            *(person_id, role.value, salt, digest),
        )
        await connection.execute("DELETE FROM inspector_session WHERE person_id = $1", person_id)


def _record(row: asyncpg.Record) -> Record:
    return Record(
        sequence=row["sequence"],
        entry=msgspec.json.decode(row["entry"], type=Entry),
        previous=row["previous"],
        digest=row["digest"],
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def _stretched(pin: str, salt: bytes) -> bytes:
    """Return scrypt of a PIN (RFC 7914, section 2: the costs for somebody who waits), 16 MB for each guess."""
    return await asyncio.to_thread(lambda: hashlib.scrypt(pin.encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=32))
