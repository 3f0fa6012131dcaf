"""The durable memory of what was asked of the acquirer, in PostgreSQL (``AttemptLog``).

Each method is one statement in a transaction of its own, committed before it returns. The database itself refuses a
second use of a key or of a day's number, and a final result that would change. One process at a time holds the
acquirer's connection: ``owed`` would take back what another has just sent.
"""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from fare.gateways.acquirer import Attempt, Begun, CardRequest, CardResult, KeyReusedError, Trace
from fare.model import JournalKey

ANSWER_MAX_S: Final = 10.0

_COLUMNS: Final = "request, stan, sent_ms, result"
_BEGIN: Final = f"""
INSERT INTO card_attempt (key, request, sent_ms) VALUES ($1, $2, $3)
ON CONFLICT (key) DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - names of our own
_FIND: Final = f"SELECT {_COLUMNS} FROM card_attempt WHERE key = $1"  # noqa: S608
_LIKE: Final = f"""
SELECT {_COLUMNS} FROM card_attempt WHERE starts_with(key, $1) AND substr(key, length($1) + 1) ~ '^[0-9]+$'
ORDER BY begun
"""  # noqa: S608
_FINISH: Final = "UPDATE card_attempt SET answered = $2, result = $3 WHERE key = $1"
_OWED: Final = f"""
SELECT {_COLUMNS} FROM card_attempt WHERE answered IS NULL OR answered = 'unknown' ORDER BY begun
"""  # noqa: S608

_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(CardRequest)
_results: Final = msgspec.msgpack.Decoder(CardResult)


class PostgresAttempts:
    """Attempts in the table ``card_attempt`` of ``pool``; ``migrate(pool, "fare.gateways")`` makes it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def begin(self, request: CardRequest, now_ms: int) -> Begun:
        """Keep ``request``, or return what is kept under its key; see ``AttemptLog.begin``."""
        row = await self._pool.fetchrow(_BEGIN, request.key, _encoder.encode(request), now_ms, timeout=ANSWER_MAX_S)
        if row is not None:
            return Begun(attempt=_attempt(row), fresh=True)
        earlier = await self.find(request.key)
        if earlier is None or earlier.request != request:
            raise KeyReusedError(request.key)
        return Begun(attempt=earlier, fresh=False)

    async def find(self, key: JournalKey) -> Attempt | None:
        """Return what is kept under ``key``."""
        row = await self._pool.fetchrow(_FIND, key, timeout=ANSWER_MAX_S)
        return _attempt(row) if row is not None else None

    async def finish(self, key: JournalKey, result: CardResult) -> None:
        """Keep what became of a request.

        Raises:
            LookupError: if nothing was begun under ``key``.
            asyncpg.RaiseError: if another final result is kept already.
        """
        done = await self._pool.execute(
            _FINISH, key, result.answered.value, _encoder.encode(result), timeout=ANSWER_MAX_S
        )
        if done != "UPDATE 1":
            raise LookupError(f"card request {key}: nothing was begun")

    async def owed(self) -> Sequence[Attempt]:
        """Return what has no certain result, in the order in which it was begun."""
        return [_attempt(row) for row in await self._pool.fetch(_OWED, timeout=ANSWER_MAX_S)]


async def attempts_like(connection: asyncpg.Connection, begins: str, *, exactly: bool = False) -> list[Attempt]:
    """Return what is kept under keys that begin so and then have a number (or under this very key), the oldest first.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    if exactly:
        rows = await connection.fetch(_FIND, begins, timeout=ANSWER_MAX_S)
    else:
        rows = await connection.fetch(_LIKE, begins, timeout=ANSWER_MAX_S)
    return [_attempt(row) for row in rows]


def _attempt(row: asyncpg.Record) -> Attempt:
    result = row["result"]
    return Attempt(
        request=_requests.decode(row["request"]),
        trace=Trace(stan=row["stan"], sent_ms=row["sent_ms"]),
        result=_results.decode(result) if result is not None else None,
    )
