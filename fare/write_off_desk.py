"""Debts given up by people of the office: asked for by one, above a limit decided by another.

One person gives up at most ``SettlementRules.write_off_alone_tiyn`` of a debt at a time, and ``write_off_day_tiyn``
within a day; many small ones are no way round. Which rides the debt was of is kept (``fare.settlement.written_off``):
money that was never paid does not go back when one of them is refunded or becomes cheaper.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.audit_trail import Act
from fare.ledger.accounts import debt, rule_of
from fare.ledger.posting import AMOUNT_MAX_TIYN
from fare.model import MediumId
from fare.outcomes import Posting
from fare.refund_service import Decision, RefundState
from fare.settlement.payback import write_off_journal
from fare.settlement.written_off import STANDS, of_rides_tiyn
from fare.settlement_service import SettlementRules
from fare.store.postgres_audit import note
from fare.store.postgres_ledger import read_book, touched_by, write_pages
from fare.store.postgres_standing import read_history, write_stands
from fare.store.postgres_taps import lock_media

DAY_MS: Final = 86_400_000
KEY_MAX: Final = 100
WHY_MAX: Final = 200
LISTED_MAX: Final = 100

_GIVEN_UP_ALONE: Final = """
SELECT coalesce(sum(amount_tiyn), 0)::bigint FROM write_off WHERE asked_by = $1 AND asked_ms > $2 AND NOT four_eyes
"""
_INSERT: Final = """
INSERT INTO write_off (key, medium_id, amount_tiyn, why, asked_by, asked_ms, state, decided_by, four_eyes,
    of_rides_tiyn)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_LISTED: Final = "SELECT * FROM write_off ORDER BY state <> 'waiting', asked_ms DESC, key LIMIT $1"


class WriteOffOutcome(enum.StrEnum):
    """What became of a request, in order of precedence."""

    REPEATED = enum.auto()  # asked before under this key: the same answer
    KEY_REUSED = enum.auto()
    NOT_OWED = enum.auto()  # so much
    TAKEN = enum.auto()


class WriteOffAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A debt that is to be given up, wholly or in part. The same key gives it up once."""

    key: str
    medium_id: MediumId
    amount_tiyn: int
    why: str


class WriteOffListed(msgspec.Struct, frozen=True, kw_only=True):
    """A debt that was given up, or that somebody asks to give up."""

    key: str
    medium_id: str
    amount_tiyn: int
    why: str
    asked_by: str
    asked_ms: int
    state: str
    decided_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOffAnswer:
    """What became of a request. ``state`` is None where nothing was kept."""

    outcome: WriteOffOutcome
    state: RefundState | None = None


class WriteOffDesk:
    """Gives debts up. Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError without database."""

    def __init__(self, pool: asyncpg.Pool, *, rules: SettlementRules) -> None:
        self._pool, self._rules = pool, rules

    async def ask(self, asked: WriteOffAsked, *, who: str, now_ms: int) -> WriteOffAnswer:
        """Give up what a medium owes, at most as much as it does, or let it wait for a second person, or say why not.

        Raises:
            ValueError: if a field has no form of one, or the amount is not above 0.
        """
        _check(asked)
        async with self._pool.acquire() as connection, connection.transaction():
            await lock_media(connection, [asked.medium_id])
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"write-offs of {who}")
            before = await connection.fetchrow("SELECT * FROM write_off WHERE key = $1", asked.key)
            if before is not None:
                return _repeated(before, asked)
            day_tiyn = asked.amount_tiyn + await connection.fetchval(_GIVEN_UP_ALONE, who, now_ms - DAY_MS)
            alone = asked.amount_tiyn <= self._rules.write_off_alone_tiyn and day_tiyn <= self._rules.write_off_day_tiyn
            outcome, of_rides = await self._given_up(connection, asked, now_ms, post=alone)
            if outcome is not WriteOffOutcome.TAKEN:
                return WriteOffAnswer(outcome=outcome)
            state = RefundState.GRANTED if alone else RefundState.WAITING
            await connection.execute(
                *(_INSERT, asked.key, asked.medium_id, asked.amount_tiyn, asked.why.strip(), who, now_ms),
                *(state.value, who if alone else None, not alone, of_rides),
            )
            await note(connection, now_ms, who, Act.WRITTEN_OFF, asked.key, f"{asked.amount_tiyn} {state}")
        return WriteOffAnswer(outcome=outcome, state=state)

    async def decide(self, key: str, *, grant: bool, who: str, now_ms: int) -> Decision:
        """Grant or decline a write-off that waits for a second person."""
        async with self._pool.acquire() as connection, connection.transaction():
            medium_id = await connection.fetchval("SELECT medium_id FROM write_off WHERE key = $1", key)
            if medium_id is None:
                return Decision.UNKNOWN
            await lock_media(connection, [MediumId(medium_id)])
            row = await connection.fetchrow("SELECT * FROM write_off WHERE key = $1 FOR UPDATE", key)
            if row["asked_by"] == who:
                return Decision.OWN
            if row["state"] != RefundState.WAITING:
                return Decision.DECIDED_BEFORE
            of_rides = None
            if grant:
                asked = WriteOffAsked(
                    key=key, medium_id=MediumId(medium_id), amount_tiyn=row["amount_tiyn"], why=row["why"]
                )
                outcome, of_rides = await self._given_up(connection, asked, now_ms, post=True)
                if outcome is not WriteOffOutcome.TAKEN:
                    return Decision.NOT_POSSIBLE
            state = RefundState.GRANTED if grant else RefundState.DECLINED
            await connection.execute(
                "UPDATE write_off SET state = $2, decided_by = $3, of_rides_tiyn = $4 WHERE key = $1",
                *(key, state.value, who, of_rides),
            )
            await note(connection, now_ms, who, Act.WRITE_OFF_DECIDED, key, state.value)
        return Decision.TAKEN

    async def asked(self) -> Sequence[WriteOffListed]:
        """Return write-offs: those that wait first, then the latest."""
        rows = await self._pool.fetch(_LISTED, LISTED_MAX)
        return [
            msgspec.convert({name: row[name] for name in WriteOffListed.__struct_fields__}, WriteOffListed)
            for row in rows
        ]

    async def _given_up(
        self, connection: asyncpg.Connection, asked: WriteOffAsked, now_ms: int, *, post: bool
    ) -> tuple[WriteOffOutcome, int | None]:
        """Give up a debt of a medium that is locked, if so much is owed; return how much of it is of rides.

        Without ``post`` only say whether so much is owed.
        """
        medium_id = asked.medium_id
        journal = write_off_journal(medium_id, asked.amount_tiyn, asked.key, now_ms)
        history = await read_history(connection, medium_id) if post else None
        opened = await read_book(connection, touched_by([journal]))
        if journal.key in opened.book.recorded:  # from before write-offs were kept beside the ledger
            return WriteOffOutcome.KEY_REUSED, None
        if opened.book.balances_tiyn.get(debt(medium_id), 0) < asked.amount_tiyn:
            return WriteOffOutcome.NOT_OWED, None
        if history is None:
            return WriteOffOutcome.TAKEN, None
        await write_stands(connection, medium_id, history.stands_number + 1, history.stands_tiyn + asked.amount_tiyn)
        outcome = opened.book.take(journal)
        if outcome is not Posting.POSTED:
            raise RuntimeError(f"journal {journal.key} was not posted: {outcome}")
        await write_pages(connection, opened)
        return WriteOffOutcome.TAKEN, of_rides_tiyn(history, asked.amount_tiyn, now_ms)


def _check(asked: WriteOffAsked) -> None:
    if not 1 <= len(asked.key) <= KEY_MAX or not asked.key.isprintable() or asked.key.startswith(STANDS):
        raise ValueError(
            f"key must be 1 to {KEY_MAX} printable characters and not begin with {STANDS!r}: {asked.key!r}"
        )
    if not asked.why.strip() or len(asked.why) > WHY_MAX or not asked.why.isprintable():
        raise ValueError(f"why must be 1 to {WHY_MAX} printable characters")
    if rule_of(debt(asked.medium_id)) is None:
        raise ValueError(f"medium_id must be 32 digits 0 to 9 and a to f: {asked.medium_id[:32]!r}")
    if not 0 < asked.amount_tiyn <= AMOUNT_MAX_TIYN:
        raise ValueError(f"amount_tiyn must be 1 to {AMOUNT_MAX_TIYN}: {asked.amount_tiyn}")


def _repeated(row: asyncpg.Record, asked: WriteOffAsked) -> WriteOffAnswer:
    """Answer a key that was used: as before if it asks for the same."""
    if (row["medium_id"], row["amount_tiyn"]) != (asked.medium_id, asked.amount_tiyn):
        return WriteOffAnswer(outcome=WriteOffOutcome.KEY_REUSED)
    return WriteOffAnswer(outcome=WriteOffOutcome.REPEATED, state=RefundState(row["state"]))
