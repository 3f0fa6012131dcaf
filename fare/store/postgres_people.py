"""People and their sessions in PostgreSQL. Secrets come in as digests and hashes; what is kept signs nobody in.

The seed of one-time codes has to be known again: it is sealed under a key that is not in the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from fare.audit_trail import Act
from fare.model import CarrierId
from fare.people import Person, PersonName, Role, SessionRules
from fare.store.postgres_audit import note
from fare.store.sealed_seeds import SeedKey, is_sealed

COMMAND = "command line"  # who acts where somebody has the machine itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A person and what proves them."""

    person: Person
    password: str = field(repr=False)  # argon2id
    sealed_seed: bytes | None = field(repr=False)  # None: no one-time codes asked for
    totp_step: int
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session as it is kept."""

    person: Person
    csrf: str = field(repr=False)
    until_ms: int


class PostgresPeople:
    """All people of a city. ``key`` seals the seeds of their one-time codes.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, key: SeedKey, rules: SessionRules | None = None) -> None:
        self._pool = pool
        self._key = key
        self._rules = rules or SessionRules()

    async def add(self, person: Person, password: str, now_ms: int) -> bool:
        """Keep a new person with the hash of a password; return False if the name is taken, also by a revoked one."""
        async with self._pool.acquire() as connection, connection.transaction():
            status: str = await connection.execute(
                "INSERT INTO person (name, role, carrier_id, password) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                *(person.name, person.role.value, person.carrier_id, password),
            )
            if status != "INSERT 0 1":
                return False
            detail = f"{person.role} {person.carrier_id or ''}".strip()
            await note(connection, now_ms, COMMAND, Act.PERSON_ADDED, person.name, detail)
        return True

    async def revoke(self, name: PersonName, now_ms: int) -> bool:
        """Let somebody in no more and end their sessions; return whether there is such a person."""
        async with self._pool.acquire() as connection, connection.transaction():
            status: str = await connection.execute("UPDATE person SET revoked = true WHERE name = $1", name)
            if status != "UPDATE 1":
                return False
            await self._end_all(connection, name)
            await note(connection, now_ms, COMMAND, Act.PERSON_REVOKED, name)
        return True

    async def ask_codes(self, name: PersonName, seed: bytes | None, now_ms: int) -> bool:
        """Ask somebody for one-time codes from now on (None: no more) and end their sessions; return whether known."""
        sealed = self._key.seal(name, seed) if seed is not None else None
        async with self._pool.acquire() as connection, connection.transaction():
            status: str = await connection.execute(
                "UPDATE person SET totp_secret = $2, totp_step = 0 WHERE name = $1", name, sealed
            )
            if status != "UPDATE 1":
                return False
            await self._end_all(connection, name)
            await note(connection, now_ms, COMMAND, Act.ONE_TIME_CODES, name, "on" if sealed else "off")
        return True

    async def seal_seeds(self) -> int:
        """Seal the seeds that were kept as they are before 0016_sealed_seeds.sql; return how many."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "SELECT name, totp_secret FROM person WHERE totp_secret IS NOT NULL FOR UPDATE"
            )
            plain = {PersonName(row["name"]): row["totp_secret"] for row in rows if not is_sealed(row["totp_secret"])}
            await connection.executemany(
                "UPDATE person SET totp_secret = $2 WHERE name = $1",
                [(name, self._key.seal(name, seed)) for name, seed in plain.items()],
            )
        return len(plain)

    def seed_of(self, known: Known) -> bytes | None:
        """Return the seed of somebody's one-time codes, None if no codes are asked for.

        Raises:
            SealError: if it does not open: nobody can be let in by it.
        """
        return None if known.sealed_seed is None else self._key.open(known.person.name, known.sealed_seed)

    async def everybody(self) -> Sequence[Known]:
        """Return all people by name."""
        return [_known(row) for row in await self._pool.fetch("SELECT * FROM person ORDER BY name")]

    async def known(self, name: str) -> Known | None:
        """Return who has a name, None if nobody."""
        row = await self._pool.fetchrow("SELECT * FROM person WHERE name = $1", name)
        return None if row is None else _known(row)

    async def use_step(self, name: PersonName, step: int) -> bool:
        """Use up a step of somebody's one-time codes; return False if it, or a later one, was used meanwhile."""
        status: str = await self._pool.execute(
            "UPDATE person SET totp_step = $2 WHERE name = $1 AND totp_step < $2", name, step
        )
        return status == "UPDATE 1"

    async def knows_browser(self, digest: bytes, name: str, now_ms: int) -> bool:
        """Return whether somebody has signed in with this browser before."""
        return bool(
            await self._pool.fetchval(
                "SELECT EXISTS (SELECT FROM person_browser WHERE digest = $1 AND name = $2 AND until_ms > $3)",
                *(digest, name, now_ms),
            )
        )

    async def open(
        self, digest: bytes, csrf: str, name: PersonName, now_ms: int, *, browser: bytes, browser_until_ms: int
    ) -> int:
        """Open a session, remember the browser, forget what has ended; return until when it lasts unless used."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "DELETE FROM person_session WHERE seen_ms < $1 OR begun_ms < $2",
                now_ms - self._rules.idle_minutes * 60_000,
                now_ms - self._rules.whole_minutes * 60_000,
            )
            await connection.execute("DELETE FROM person_browser WHERE until_ms <= $1", now_ms)
            await connection.execute(
                "INSERT INTO person_session (digest, csrf, name, begun_ms, seen_ms) VALUES ($1, $2, $3, $4, $4)",
                *(digest, csrf, name, now_ms),
            )
            await connection.execute(
                "INSERT INTO person_browser (digest, name, until_ms) VALUES ($1, $2, $3) "
                "ON CONFLICT (digest) DO UPDATE SET name = excluded.name, until_ms = excluded.until_ms",
                *(browser, name, browser_until_ms),
            )
            await note(connection, now_ms, name, Act.SIGN_IN)
        return self._rules.until_ms(now_ms, now_ms)

    async def session(self, digest: bytes, now_ms: int) -> OpenSession | None:
        """Return a session that has not ended, and note that it was used; None if there is none."""
        row = await self._pool.fetchrow(
            "UPDATE person_session s SET seen_ms = greatest(seen_ms, $2) FROM person p "
            "WHERE s.digest = $1 AND p.name = s.name AND NOT p.revoked AND s.seen_ms > $3 AND s.begun_ms > $4 "
            "RETURNING p.*, s.csrf, s.begun_ms",
            *(digest, now_ms),
            now_ms - self._rules.idle_minutes * 60_000,
            now_ms - self._rules.whole_minutes * 60_000,
        )
        if row is None:
            return None
        until_ms = self._rules.until_ms(row["begun_ms"], now_ms)
        return OpenSession(person=_known(row).person, csrf=row["csrf"], until_ms=until_ms)

    async def end(self, digest: bytes, name: PersonName, now_ms: int) -> None:
        """End a session."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("DELETE FROM person_session WHERE digest = $1", digest)
            await note(connection, now_ms, name, Act.SIGN_OUT)

    async def noted(self, now_ms: int, who: str, act: Act, subject: str = "", detail: str = "") -> None:
        """Note an act that changes nothing else."""
        async with self._pool.acquire() as connection, connection.transaction():
            await note(connection, now_ms, who, act, subject, detail)

    async def _end_all(self, connection: asyncpg.Connection, name: PersonName) -> None:
        await connection.execute("DELETE FROM person_session WHERE name = $1", name)
        await connection.execute("DELETE FROM person_browser WHERE name = $1", name)


def _known(row: asyncpg.Record) -> Known:
    carrier_id = CarrierId(row["carrier_id"]) if row["carrier_id"] is not None else None
    return Known(
        person=Person(name=PersonName(row["name"]), role=Role(row["role"]), carrier_id=carrier_id),
        password=row["password"],
        sealed_seed=row["totp_secret"],
        totp_step=row["totp_step"],
        revoked=row["revoked"],
    )
