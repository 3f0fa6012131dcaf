"""Money back to bank cards: what was captured for a day and is not owed any more, through the acquirer.

A refund, an amnesty or an earlier tap that came late lets the books owe a card something for a day that was captured
already (``aggregate:<card>:<day>`` below zero). It goes back in refunds of that day's captures, one request at a time.
A request has a key made of the capture's and a number; what was kept under it is asked again until it is known what
became of it, and then posted once. One that was declined, or taken back as nobody answered, is followed by another
number, a few times; then somebody must look.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from commons.logs import get_logger
from commons.metrics import Metrics
from fare.gateways.acquirer import Acquirer, Asked, CardRequest, KeyReusedError
from fare.gateways.postgres_attempts import attempts_like
from fare.ledger.accounts import aggregate
from fare.ledger.audit import Move
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, MediumId
from fare.outcomes import Posting
from fare.risk.values import DAY_MS, Answered
from fare.store.ledger_books import moves_of
from fare.store.postgres_bank_cards import locked_card
from fare.store.postgres_ledger import read_book, touched_by, write_pages

AFTER_MS: Final = DAY_MS  # from the end of the day on: taps that come late change what it cost
TRIES_MAX: Final = 3  # of one capture
CAPTURED: Final = ":captured"  # ends the key of the journal of a capture (fare.collecting)
_DEAD: Final = frozenset({Answered.DECLINED, Answered.REVERSED})

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRefunds:
    """Gives back what is owed to cards. ``account`` is what the acquirer owes us."""

    pool: asyncpg.Pool
    acquirer: Acquirer
    account: AccountCode
    metrics: Metrics

    async def give_back(self, medium_id: MediumId, day: dt.date, now_ms: int) -> int:
        """Give back to a card what is too much of a day; return how much now. Done again it goes on.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        code = aggregate(medium_id, day)
        async with self.pool.acquire() as connection, connection.transaction():
            card = await locked_card(connection, medium_id)
            request = await self._next(connection, code) if card.pending is None else None
        if request is None:
            return 0
        try:
            result = await self.acquirer.ask(request)
        except KeyReusedError:  # another process was quicker, and knew of another amount
            return 0
        self.metrics.count("card_refunds_total", answered=result.answered.value)
        if result.answered is not Answered.APPROVED:
            _log.warning("a card refund waits", key=request.key, answered=result.answered.value)
            return 0
        return await self._post(medium_id, code, request, result.reference, now_ms)

    async def _next(self, connection: asyncpg.Connection, code: AccountCode) -> CardRequest | None:
        """Return what is to be asked now: a request without a certain end, else of the latest capture that has left."""
        moves = await moves_of(connection, code)
        excess_tiyn = -sum(move.amount_tiyn for move in moves)
        if excess_tiyn <= 0:
            return None
        posted = {move.key for move in moves}
        for move in reversed(moves):
            if not move.key.endswith(CAPTURED):
                continue
            of = move.key.removesuffix(CAPTURED)
            kept = await attempts_like(connection, f"{of}:refund-")
            under_way = [
                one.request
                for one in kept
                if _journal_key(one.request.key) not in posted
                and (one.result is None or one.result.answered not in _DEAD)
            ]
            if under_way:
                return under_way[0]
            left_tiyn = -move.amount_tiyn - _refunded_tiyn(moves, of)
            dead = sum(one.result is not None and one.result.answered in _DEAD for one in kept)
            (original,) = await attempts_like(connection, of, exactly=True) or (None,)
            if left_tiyn <= 0 or dead >= TRIES_MAX or original is None:
                continue
            return CardRequest(
                key=JournalKey(f"{of}:refund-{len(kept) + 1}"),
                asked=Asked.REFUND,
                amount_tiyn=min(left_tiyn, excess_tiyn),
                card_token=original.request.card_token,
                terminal_id=original.request.terminal_id,
                occurred_ms=original.request.occurred_ms,
                fare_kind=original.request.fare_kind,
                original=JournalKey(of),
            )
        return None

    async def _post(
        self, medium_id: MediumId, code: AccountCode, request: CardRequest, reference: str, now_ms: int
    ) -> int:
        journal = Journal(
            key=_journal_key(request.key),
            kind=JournalKind.REFUND,
            occurred_ms=now_ms,
            entries=(
                Entry(account=code, amount_tiyn=request.amount_tiyn),
                Entry(account=self.account, amount_tiyn=-request.amount_tiyn),
            ),
            subject=reference or request.key,  # what the acquirer's file is joined by
        )
        async with self.pool.acquire() as connection, connection.transaction():
            await locked_card(connection, medium_id)
            opened = await read_book(connection, touched_by([journal]))
            if journal.key in opened.book.recorded:  # another process was quicker
                return 0
            outcome = opened.book.take(journal)
            if outcome is not Posting.POSTED:
                raise RuntimeError(f"card refund {journal.key}: the ledger says {outcome.value}")
            await write_pages(connection, opened)
        return request.amount_tiyn


def _journal_key(request_key: JournalKey) -> JournalKey:
    return JournalKey(f"{request_key}:refunded")


def _refunded_tiyn(moves: Sequence[Move], of: str) -> int:
    """Return what went back of a capture already."""
    return sum(move.amount_tiyn for move in moves if move.key.startswith(f"{of}:refund-"))
