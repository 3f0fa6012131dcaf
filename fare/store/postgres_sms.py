"""Messages in PostgreSQL: which came, what was answered, how far the answers got.

A message that is answered has lost number and text here; an answer loses them when it is delivered, or after a day.
A statement is a way to the server and back, and the pool adds another, so what belongs together is one statement.
Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from commons.texts import Language
from fare.model import MediumId, PhoneNumber
from fare.sms.values import Outgoing, OutgoingState, ReceiptTaken, Taken

LEASE_MS: Final = 60_000  # in which whoever took an answer hands it over; then it is due again
DUE_AT_A_TIME: Final = 200
SHOWN_MS: Final = 86_400_000  # after which numbers and texts go, delivered or not

_OPEN: Final = """
WITH opened AS (
    INSERT INTO sms_incoming (key, operator, medium_id, number, short_code, text, asked_ms, received_ms)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE NOT EXISTS (SELECT FROM sms_incoming WHERE key = ANY ($9::text[]))
    ON CONFLICT (key) DO NOTHING RETURNING 1
)
SELECT EXISTS (SELECT FROM opened) AS is_new, l.messages, l.wrong, r.language, r.silent
FROM sms_lately($3, $1, $8, $10, $11) AS l LEFT JOIN sms_rider r ON r.medium_id = $3
"""
_BEFORE: Final = """
SELECT key, operator, medium_id, number, short_code, text, asked_ms, received_ms, outcome FROM sms_incoming
WHERE key = ANY ($1::text[]) ORDER BY received_ms LIMIT 1
"""
_AROUND: Final = """
SELECT l.messages, l.wrong, r.language, r.silent
FROM sms_lately($1, $2, $3, $4, $5) AS l LEFT JOIN sms_rider r ON r.medium_id = $1
"""
_WAITING: Final = """
SELECT key, operator, medium_id, number, short_code, text, asked_ms, received_ms, outcome FROM sms_incoming
WHERE outcome IS NULL AND received_ms < $1 ORDER BY received_ms LIMIT $2
"""
_CLOSE: Final = """
WITH closed AS (
    UPDATE sms_incoming SET outcome = $2, wrong = $3, number = '', text = ''
    WHERE key = $1 AND outcome IS NULL AND sold = $8
    RETURNING key, operator, short_code
)
INSERT INTO sms_outgoing (answers, operator, number, short_code, text, made_ms, leased_until_ms)
SELECT key, operator, $4, short_code, $5, $6, $7 FROM closed WHERE $5 <> '' RETURNING id
"""
_SELL: Final = "UPDATE sms_incoming SET sold = true WHERE key = $1 AND outcome IS NULL RETURNING 1"
_DUE: Final = """
UPDATE sms_outgoing SET leased_until_ms = $3 WHERE id IN (
    SELECT id FROM sms_outgoing WHERE state = 'due' AND operator = $1 AND leased_until_ms <= $2
    ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED
) RETURNING id, operator, number, short_code, text
"""
_HANDED_OVER: Final = """
UPDATE sms_outgoing SET state = 'handed_over', centre_id = $2 WHERE id = $1 AND state = 'due'
"""
_REFUSED: Final = """
UPDATE sms_outgoing SET state = 'failed', number = '', text = '' WHERE id = $1 AND state = 'due'
"""
_RECEIPT: Final = """
SELECT id, state FROM sms_outgoing WHERE operator = $1 AND centre_id = $2 ORDER BY id DESC LIMIT 1 FOR UPDATE
"""
_REACHED: Final = "UPDATE sms_outgoing SET state = $2, number = '', text = '' WHERE id = $1"
_FORGET: Final = """
UPDATE sms_outgoing SET number = '', text = '', state = CASE state WHEN 'due' THEN 'failed' ELSE state END
WHERE made_ms < $1 AND number <> ''
"""
_FINAL: Final = frozenset({OutgoingState.DELIVERED, OutgoingState.FAILED})


class KeptMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it is kept: ``number`` and ``text`` are "" once it is answered."""

    key: str
    operator: str
    medium_id: MediumId
    number: PhoneNumber
    short_code: str
    text: str
    asked_ms: int
    received_ms: int
    outcome: Taken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What else a number has sent lately: in all, and numbers that nothing has."""

    messages: int
    wrong: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How long before a message it is counted what its number has sent: in all, and numbers that nothing has."""

    all_ms: int
    wrong_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rider:
    """What a number has told us about how to answer it."""

    language: Language
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What is known around a message."""

    lately: Lately
    rider: Rider


class PostgresSms:
    """The messages of a city."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def open(
        self, message: KeptMessage, same: tuple[str, ...], *, windows: Windows, language: Language
    ) -> Opened | KeptMessage:
        """Keep a new message; return what is known around it, or the earlier one under its key or one of ``same``."""
        row = await self._pool.fetchrow(
            *(_OPEN, message.key, message.operator, message.medium_id, message.number, message.short_code),
            *(message.text, message.asked_ms, message.received_ms, list(same), windows.all_ms, windows.wrong_ms),
        )
        if row["is_new"]:
            return _opened(row, language)
        return _message(await self._pool.fetchrow(_BEFORE, [message.key, *same]))

    async def around(self, message: KeptMessage, *, windows: Windows, language: Language) -> Opened:
        """Return what is known around a message that was opened before."""
        row = await self._pool.fetchrow(
            *(_AROUND, message.medium_id, message.key, message.received_ms, windows.all_ms, windows.wrong_ms)
        )
        return _opened(row, language)

    async def waiting(self, before_ms: int, most: int) -> list[KeptMessage]:
        """Return messages that came before a moment and nobody has answered: their process has died."""
        return [_message(row) for row in await self._pool.fetch(_WAITING, before_ms, most)]

    async def remember(self, medium_id: MediumId, rider: Rider) -> None:
        """Keep how a number wants to be answered."""
        await self._pool.execute(
            "INSERT INTO sms_rider (medium_id, language, silent) VALUES ($1, $2, $3) "
            "ON CONFLICT (medium_id) DO UPDATE SET language = $2, silent = $3",
            *(medium_id, rider.language, rider.silent),
        )

    async def sell(self, connection: asyncpg.Connection, key: str) -> bool:
        """Keep, in the transaction that sells it, that a message's ride is sold; return whether it is not answered.

        Of two processes that answer one message, one may sell and the other refuse: they meet at this row.
        """
        return await connection.fetchval(_SELL, key) is not None

    async def close(
        self, message: KeptMessage, outcome: Taken, *, text: str, wrong: bool, sold: bool, now_ms: int
    ) -> Outgoing | None:
        """Keep the answer to a message ("": none) and forget what it said; None if it was answered already.

        Nor is a refusal kept of a ride that another process has ``sold`` meanwhile. The answer is leased to the caller,
        who hands it over at once.
        """
        number = await self._pool.fetchval(
            *(_CLOSE, message.key, outcome.value, wrong, message.number, text, now_ms, now_ms + LEASE_MS, sold)
        )
        if number is None:
            return None
        return Outgoing(
            id=number, operator=message.operator, to=message.number, short_code=message.short_code, text=text
        )

    async def due(self, operator: str, now_ms: int) -> list[Outgoing]:
        """Return answers to be handed to an operator, each leased to the caller for ``LEASE_MS``."""
        rows = await self._pool.fetch(_DUE, operator, now_ms, now_ms + LEASE_MS, DUE_AT_A_TIME)
        return [
            Outgoing(
                id=row["id"],
                operator=row["operator"],
                to=PhoneNumber(row["number"]),
                short_code=row["short_code"],
                text=row["text"],
            )
            for row in sorted(rows, key=lambda row: row["id"])
        ]

    async def handed_over(self, outgoing_id: int, centre_id: str) -> None:
        """Keep that the operator's centre has a message, and what it calls it; "" where it does not say."""
        await self._pool.execute(_HANDED_OVER, outgoing_id, centre_id or None)

    async def refused(self, outgoing_id: int) -> None:
        """Keep that the centre will not take a message, now or later."""
        await self._pool.execute(_REFUSED, outgoing_id)

    async def receipt(self, operator: str, centre_id: str, state: OutgoingState) -> ReceiptTaken:
        """Keep what an operator says about a message that it was handed; of any other it says nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_RECEIPT, operator, centre_id) if centre_id else None
            if row is None:
                return ReceiptTaken.UNKNOWN
            if OutgoingState(row["state"]) in _FINAL or state not in _FINAL:
                return ReceiptTaken.OLD
            await connection.execute(_REACHED, row["id"], state.value)
        return ReceiptTaken.APPLIED

    async def forget(self, now_ms: int) -> None:
        """Forget numbers and texts that are older than a day; what was not handed over by then has failed."""
        await self._pool.execute(_FORGET, now_ms - SHOWN_MS)


def _message(row: asyncpg.Record) -> KeptMessage:
    return msgspec.convert(dict(row), KeptMessage)


def _opened(row: asyncpg.Record, language: Language) -> Opened:
    rider = Rider(language=row["language"] or language, silent=bool(row["silent"]))
    return Opened(lately=Lately(messages=row["messages"], wrong=row["wrong"]), rider=rider)
