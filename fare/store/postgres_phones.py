"""Codes, sessions, known browsers and cards of phones, in PostgreSQL.

Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg

from fare.model import MediumId
from fare.phone.one_time_code import (
    DAY_MS,
    HOUR_MS,
    TRIES_MAX,
    CodePurpose,
    CodeRefusal,
    CodeRules,
    CodesSent,
    limit_reached,
)
from fare.phone.session import IDLE_MS, LIFE_MS, PhoneSession, PhoneToken

_LOCK: Final = 0x70686F6E  # "phon": one code at a time is counted and written

_SENT: Final = """
SELECT
    count(*) FILTER (WHERE known_browser AND medium_id = $1 AND asked_ms > $2) AS by_browser,
    count(*) FILTER (WHERE NOT known_browser AND medium_id = $1 AND address = $5) AS to_number_from_address,
    count(*) FILTER (WHERE NOT known_browser AND medium_id = $1 AND asked_ms > $2) AS to_number_hour,
    count(*) FILTER (WHERE NOT known_browser AND medium_id = $1) AS to_number_day,
    count(*) FILTER (WHERE NOT known_browser AND block = $4 AND asked_ms > $2) AS to_block,
    count(*) FILTER (WHERE NOT known_browser AND address = $5 AND asked_ms > $2) AS from_address,
    count(*) FILTER (WHERE NOT known_browser AND asked_ms > $2) AS in_all
FROM phone_code WHERE asked_ms > $3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAsked:
    """A code to be kept. ``challenge``, ``address`` and ``block`` are digests of 32 bytes."""

    challenge: bytes
    medium_id: MediumId
    hint: str
    purpose: CodePurpose
    digest: bytes
    asked_ms: int
    until_ms: int
    known_browser: bool
    address: bytes
    block: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeKept:
    """What is known of a code that may still be tried."""

    medium_id: MediumId
    hint: str
    digest: bytes


class PostgresPhones:
    """All that is kept of phones but their money."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def ask(self, asked: CodeAsked, rules: CodeRules) -> CodeRefusal | None:
        """Keep a code unless a limit stands against it; return that limit. Codes of another day are forgotten."""
        day_ago_ms = asked.asked_ms - DAY_MS
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute("DELETE FROM phone_code WHERE asked_ms <= $1", day_ago_ms)
            row = await connection.fetchrow(
                *(_SENT, asked.medium_id, asked.asked_ms - HOUR_MS, day_ago_ms, asked.block, asked.address)
            )
            limit = limit_reached(CodesSent(**row), rules, known_browser=asked.known_browser)
            if limit is None:
                await connection.execute(
                    "INSERT INTO phone_code (challenge, medium_id, hint, purpose, digest, asked_ms, until_ms, "
                    "known_browser, address, block) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    *(asked.challenge, asked.medium_id, asked.hint, asked.purpose.value, asked.digest),
                    *(asked.asked_ms, asked.until_ms, asked.known_browser, asked.address, asked.block),
                )
        return limit

    async def try_code(self, challenge: bytes, purpose: CodePurpose, now_ms: int) -> CodeKept | None:
        """Count a try; return what to compare with, None if the code may not be tried any more."""
        row = await self._pool.fetchrow(
            "UPDATE phone_code SET tries = tries + 1 WHERE challenge = $1 AND purpose = $2 AND NOT used "
            "AND until_ms > $3 AND tries < $4 RETURNING medium_id, hint, digest",
            *(challenge, purpose.value, now_ms, TRIES_MAX),
        )
        return None if row is None else CodeKept(**row)

    async def use_code(self, challenge: bytes) -> bool:
        """Use a code up; return False if somebody else did so meanwhile."""
        status: str = await self._pool.execute(
            "UPDATE phone_code SET used = true WHERE challenge = $1 AND NOT used", challenge
        )
        return status == "UPDATE 1"

    async def open(self, digest: bytes, session: PhoneSession, *, browser: bytes, browser_until_ms: int) -> None:
        """Keep a session, and the browser that it was opened in; those that are over are forgotten."""
        now_ms = session.begun_ms
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("DELETE FROM phone_browser WHERE until_ms <= $1", now_ms)
            await connection.execute(
                "DELETE FROM phone_session WHERE begun_ms <= $1 OR seen_ms <= $2", now_ms - LIFE_MS, now_ms - IDLE_MS
            )
            await connection.execute(
                "INSERT INTO phone_session (digest, medium_id, hint, begun_ms, seen_ms) VALUES ($1, $2, $3, $4, $5)",
                *(digest, session.medium_id, session.hint, session.begun_ms, session.seen_ms),
            )
            await connection.execute(
                "INSERT INTO phone_browser (digest, medium_id, until_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                *(browser, session.medium_id, browser_until_ms),
            )

    async def session(self, digest: bytes, token: PhoneToken) -> PhoneSession | None:
        """Return the session of a token's digest, None if there is none; whether it still counts is for others."""
        row = await self._pool.fetchrow(
            "SELECT medium_id, hint, begun_ms, seen_ms FROM phone_session WHERE digest = $1", digest
        )
        return None if row is None else PhoneSession(token=token, **row)

    async def seen(self, digest: bytes, now_ms: int) -> None:
        """Note a visit."""
        await self._pool.execute("UPDATE phone_session SET seen_ms = $2 WHERE digest = $1", digest, now_ms)

    async def end(self, digest: bytes) -> None:
        """End a session."""
        await self._pool.execute("DELETE FROM phone_session WHERE digest = $1", digest)

    async def end_everywhere(self, medium_id: MediumId) -> None:
        """End all sessions of a phone, and know none of its browsers any more."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("DELETE FROM phone_session WHERE medium_id = $1", medium_id)
            await connection.execute("DELETE FROM phone_browser WHERE medium_id = $1", medium_id)

    async def knows_browser(self, digest: bytes, medium_id: MediumId, now_ms: int) -> bool:
        """Return whether a phone has signed in before in a browser."""
        found = await self._pool.fetchval(
            "SELECT 1 FROM phone_browser WHERE digest = $1 AND medium_id = $2 AND until_ms > $3",
            *(digest, medium_id, now_ms),
        )
        return found is not None

    async def link_card(self, card_id: MediumId, medium_id: MediumId, now_ms: int) -> None:
        """Let a card belong to a phone, and to no other any more."""
        await self._pool.execute(
            "INSERT INTO phone_card (card_id, medium_id, linked_ms) VALUES ($1, $2, $3) "
            "ON CONFLICT (card_id) DO UPDATE SET medium_id = $2, linked_ms = $3",
            *(card_id, medium_id, now_ms),
        )

    async def unlink_card(self, card_id: MediumId, medium_id: MediumId) -> bool:
        """Let a card go; return False if it does not belong to the phone."""
        status: str = await self._pool.execute(
            "DELETE FROM phone_card WHERE card_id = $1 AND medium_id = $2", card_id, medium_id
        )
        return status == "DELETE 1"

    async def cards_of(self, medium_id: MediumId) -> list[MediumId]:
        """Return the cards of a phone, the first linked first."""
        rows = await self._pool.fetch(
            "SELECT card_id FROM phone_card WHERE medium_id = $1 ORDER BY linked_ms, card_id", medium_id
        )
        return [MediumId(row["card_id"]) for row in rows]

    async def forget(self, medium_id: MediumId) -> None:
        """Remove all of a phone: sessions, browsers, cards, codes. The books keep what rides cost, without a number."""
        async with self._pool.acquire() as connection, connection.transaction():
            for table in ("phone_session", "phone_browser", "phone_card", "phone_code"):
                await connection.execute(f"DELETE FROM {table} WHERE medium_id = $1", medium_id)  # noqa: S608 - our names
