"""Charge bank cards for what they rode: pay windows, the acquirer and the books, joined.

The books say what each card's days cost; ``fare.risk`` says what to ask for; the acquirer answers; what it captured is
posted in the transaction that keeps its answer. A request is kept before it is sent and has a key that follows from the
card's state, so after a crash, or beside another process, it is asked again and captured once. Nothing here can charge
a card for more than the books say it owes.

The acquirer knows a card by our keyed name of it, which the certified reader's vendor has registered there: we have no
other (``fare.media.tokens``). It is sent in letters, a to p for 0 to f, so that it never looks like a card number.
"""

import asyncio
import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.card_refunds import AFTER_MS, CardRefunds
from fare.gateways.acquirer import Acquirer, KeyReusedError
from fare.gateways.charging import CardAtReader, charge
from fare.ledger.accounts import aggregate
from fare.model import AccountCode, DeviceId, Entry, Journal, JournalKey, JournalKind, MediumId
from fare.outcomes import Posting
from fare.risk.bank_card import answered, asked, day_over, denied, due, rode
from fare.risk.values import DAY_MS, Answered, BankCard, Due, FareKind, Reply, RiskRules, Trigger, WindowState
from fare.risk.watch import alarms
from fare.store.postgres_bank_cards import (
    billed,
    first_ride_ms,
    keep_card,
    last_shown,
    locked_card,
    media_to_look_at,
    overpaid,
    refused_between,
)
from fare.store.postgres_ledger import read_book, touched_by, write_pages

EVERY_S: Final = 30.0
KEPT_MS: Final = 60 * DAY_MS  # paid days are forgotten then: what a later tap of one costs is asked for by itself
TAP_LOOK_BACK_MS: Final = 600_000  # refused taps are uploaded within this, as a rule

_ASKED_SINCE: Final = """
SELECT count(*) FROM card_attempt WHERE key LIKE $1 || ':%' AND key NOT LIKE $1 || ':%:%' AND sent_ms > $2
"""  # captures and releases of what was asked have longer keys
_IN_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The city's service days: when one begins and ends, and the minute of the city's day at a moment."""

    bounds: Callable[[dt.date], tuple[int, int]]
    minute: Callable[[int], int]


class Collector:
    """Asks the acquirer for what is due. One per city; a second one does no harm."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        acquirer: Acquirer,
        *,
        name: str,
        rules: RiskRules,
        days: Days,
        clock: Clock,
        metrics: Metrics,
        denials_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool, self._acquirer, self._account = pool, acquirer, AccountCode(f"acquirer:{name}")
        self._rules, self._days = rules, days
        self._clock, self._metrics, self._denials_changed = clock, metrics, denials_changed
        self._looked_ms: int | None = None
        self._refunds = CardRefunds(pool=pool, acquirer=acquirer, account=self._account, metrics=metrics)

    async def sweep(self) -> int:
        """Look at all cards once; return how many requests were answered.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        now_ms = self._clock.now_ms()
        from_ms = now_ms - TAP_LOOK_BACK_MS if self._looked_ms is None else self._looked_ms - TAP_LOOK_BACK_MS
        tapped = await refused_between(self._pool, from_ms, now_ms)
        self._looked_ms = now_ms
        done = [await self.collect(medium_id, Trigger.TAP) for medium_id in tapped]
        done += [await self.collect(one, Trigger.SCHEDULE) for one in await media_to_look_at(self._pool)]
        for medium_id, day in await overpaid(self._pool):
            if self._days.bounds(day)[1] + AFTER_MS <= now_ms:
                await self._refunds.give_back(medium_id, day, now_ms)
        return sum(reply is not None for reply in done)

    async def run(self) -> None:
        """Sweep for ever; ends only by cancellation."""
        while True:
            try:
                await self.sweep()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._metrics.count("role_errors_total", role="fare", where="collecting")
                _log.warning("bank cards wait", error=repr(error))
            await asyncio.sleep(EVERY_S)

    async def collect(self, medium_id: MediumId, trigger: Trigger) -> Reply | None:
        """Ask for what is due of one card, if anything is; return what the acquirer said.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        now_ms = self._clock.now_ms()
        async with self._pool.acquire() as connection, connection.transaction():
            before = await locked_card(connection, medium_id)
            card = await self._with_bills(connection, before, now_ms)
            request = card.pending or due(card, trigger, now_ms, self._rules)
            if request is not None and card.pending is None:
                request = await self._if_sane(connection, card, request, now_ms)
            if request is not None:
                card = asked(card, request)
            if card != before:
                await keep_card(connection, card)
            shown = await last_shown(connection, medium_id) if request is not None else None
        self._tell_denial(before, card)
        if request is None or shown is None:
            return None
        at_reader = CardAtReader(
            card_token=medium_id.translate(_IN_LETTERS), terminal_id=terminal_of(shown.device_id), shown_ms=shown.at_ms
        )
        try:
            reply = await charge(request, at_reader, self._acquirer, self._clock.now_ms())
        except KeyReusedError:
            self._metrics.count("card_charges_stopped_total", reason="key_reused")
            _log.error("card charge stopped", key=request.key, reason="key_reused")
            return None
        self._metrics.count("card_charges_total", kind=request.kind.value, answered=reply.answered.value)
        await self._conclude(medium_id, request, reply)
        return reply

    async def _with_bills(self, connection: asyncpg.Connection, card: BankCard, now_ms: int) -> BankCard:
        """Return ``card`` with what the books say of its days."""
        settled_tiyn = {window.service_date: window.settled_tiyn for window in card.windows}
        for day, unpaid_tiyn in sorted((await billed(connection, card.medium_id)).items()):
            name = day.isoformat()
            owed_tiyn = unpaid_tiyn + settled_tiyn.get(name, 0)
            if name not in settled_tiyn and owed_tiyn <= 0:
                continue
            from_ms, until_ms = self._days.bounds(day)
            first_ms = await first_ride_ms(connection, card.medium_id, from_ms, until_ms)
            tapped_ms = from_ms if first_ms is None else first_ms
            card = rode(card, name, max(owed_tiyn, 0), tapped_ms, until_ms, self._rules)
        return _without_old(day_over(card, now_ms), now_ms)

    async def _if_sane(self, connection: asyncpg.Connection, card: BankCard, request: Due, now_ms: int) -> Due | None:
        """Return ``request`` unless a person must look at it first."""
        asked_today = await connection.fetchval(
            *(_ASKED_SINCE, f"bank_card:{card.medium_id}", now_ms - DAY_MS),
        )
        found = alarms(card, request, self._days.minute(now_ms), asked_today, self._rules)
        for alarm in found:
            self._metrics.count("card_charges_stopped_total", reason=alarm.value)
            _log.warning("card charge stopped", key=request.key, reason=alarm.value)
        return None if found else request

    async def _conclude(self, medium_id: MediumId, request: Due, reply: Reply) -> None:
        """Keep what the acquirer said, and post what it captured, in one transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            before = await locked_card(connection, medium_id)
            if before.pending != request:  # another process was quicker
                return
            card = answered(before, reply, self._rules)
            await keep_card(connection, card)
            if reply.answered is Answered.APPROVED and request.kind is not FareKind.VERIFICATION:
                await self._post(connection, medium_id, request, reply)
        self._tell_denial(before, card)

    async def _post(self, connection: asyncpg.Connection, medium_id: MediumId, request: Due, reply: Reply) -> None:
        recovered = request.kind.value.startswith("debt_recovery")
        paid_for = aggregate(medium_id, dt.date.fromisoformat(request.service_date))
        captured = Journal(
            key=JournalKey(f"{request.key}:captured"),
            kind=JournalKind.DEBT_RECOVERY if recovered else JournalKind.SETTLEMENT,
            occurred_ms=reply.at_ms,
            entries=(
                Entry(account=self._account, amount_tiyn=request.amount_tiyn),
                Entry(account=paid_for, amount_tiyn=-request.amount_tiyn),
            ),
            subject=reply.reference or request.key,  # what the acquirer's file is joined by
        )
        opened = await read_book(connection, touched_by([captured]))
        outcome = opened.book.take(captured)
        if outcome is not Posting.POSTED:
            raise RuntimeError(f"captured card payment {captured.key}: the ledger says {outcome.value}")
        await write_pages(connection, opened)

    def _tell_denial(self, before: BankCard, card: BankCard) -> None:
        if denied(before) is not denied(card):
            self._denials_changed()


def terminal_of(device_id: DeviceId) -> str:
    """Return the eight characters by which the acquirer knows a validator; each has its own, as card schemes ask."""
    return hashlib.sha256(device_id.encode()).hexdigest()[:8].upper()


def _without_old(card: BankCard, now_ms: int) -> BankCard:
    """Return ``card`` without days paid long ago."""
    kept = tuple(
        window
        for window in card.windows
        if window.state is not WindowState.CLOSED or now_ms - window.closes_ms < KEPT_MS
    )
    return card if len(kept) == len(card.windows) else msgspec.structs.replace(card, windows=kept)
