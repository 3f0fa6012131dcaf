"""Keys of phones in PostgreSQL: registered by who holds them, revoked by whose they are, listed for validators.

Each change is told on ``postgres_media.CHANGED``, so that validators' lists follow within seconds.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from fare.model import MediumId
from fare.phone.cose import PUBLIC_BYTES
from fare.phone.own_qr import KeyId, OwnRefusal, PhoneKey, proves_possession
from fare.store.postgres_media import KNOW, NOTIFY

LIFE_MS: Final = 400 * 86_400_000  # a phone in use registers anew long before; one in a drawer dies by itself
PHONES_MAX: Final = 5  # of one medium at a time: the oldest key goes when a sixth comes

_IN_FORCE: Final = "SELECT public, medium_id, until_ms FROM phone_key WHERE revoked_ms IS NULL AND until_ms > $1"


class Registering(enum.StrEnum):
    """What became of a key, in order of precedence."""

    NOT_PROVED = enum.auto()  # ``Registered.refusal`` says why: OLD and EARLY mean that the phone must ask for the time
    TAKEN = enum.auto()  # another medium has it, or it was revoked: make new keys
    REGISTERED = enum.auto()  # also when it was registered before for the same medium


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The answer to a registration. ``key``: of REGISTERED; ``refusal``: of NOT_PROVED."""

    outcome: Registering
    key: PhoneKey | None = None
    refusal: OwnRefusal | None = None


class PostgresPhoneKeys:
    """The keys of a city's phones.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, city: str) -> None:
        self._pool = pool
        self._city = city

    async def register(self, medium_id: MediumId, public: bytes, code: str, now_ms: int) -> Registered:
        """Register ``public`` for a medium whose owner has signed in. ``code`` is what the phone shows now.

        The code proves that who registers holds the private key, and that the phone knows the time.
        """
        malformed = len(public) != PUBLIC_BYTES
        refusal = OwnRefusal.MALFORMED if malformed else proves_possession(code, public, city=self._city, now_ms=now_ms)
        if refusal is not None:
            return Registered(outcome=Registering.NOT_PROVED, refusal=refusal)
        key = PhoneKey(public=public, medium_id=medium_id, until_ms=now_ms + LIFE_MS)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"phone {medium_id}")
            await connection.execute(KNOW, [medium_id], now_ms)
            await connection.execute(
                "INSERT INTO phone_key (key_id, public, medium_id, registered_ms, until_ms) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                *(key.key_id, public, medium_id, now_ms, key.until_ms),
            )
            kept = await connection.fetchrow(
                _IN_FORCE + " AND key_id = $2 AND medium_id = $3", now_ms, key.key_id, medium_id
            )
            if kept is None:
                return Registered(outcome=Registering.TAKEN)
            await connection.execute(
                "UPDATE phone_key SET revoked_ms = $2 WHERE key_id IN (SELECT key_id FROM phone_key "
                "WHERE medium_id = $1 AND revoked_ms IS NULL ORDER BY registered_ms DESC, key_id OFFSET $3)",
                *(medium_id, now_ms, PHONES_MAX),
            )
            await connection.execute(NOTIFY)
        return Registered(outcome=Registering.REGISTERED, key=_key(kept))

    async def revoke(self, medium_id: MediumId, now_ms: int, *, key_id: KeyId | None = None) -> int:
        """Revoke a key of a medium, or all of them (the phone is lost); return how many were in force."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "UPDATE phone_key SET revoked_ms = $2 WHERE medium_id = $1 AND revoked_ms IS NULL "
                "AND ($3::text IS NULL OR key_id = $3) RETURNING key_id",
                *(medium_id, now_ms, key_id),
            )
            await connection.execute(NOTIFY)
        return len(rows)

    async def in_force(self, now_ms: int) -> list[PhoneKey]:
        """Return all keys that count."""
        return [_key(row) for row in await self._pool.fetch(_IN_FORCE, now_ms)]


async def keys_of_media(pool: asyncpg.Pool, media: Sequence[MediumId], now_ms: int) -> list[PhoneKey]:
    """Return the keys of ``media`` that count.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    rows = await pool.fetch(_IN_FORCE + " AND medium_id = ANY ($2::text[])", now_ms, list(media))
    return [_key(row) for row in rows]


def _key(row: asyncpg.Record) -> PhoneKey:
    return PhoneKey(public=row["public"], medium_id=MediumId(row["medium_id"]), until_ms=row["until_ms"])
