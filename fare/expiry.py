"""Free what was held and neither posted nor voided in time, for as long as a role runs."""

from collections.abc import Sequence
from typing import Final, Protocol

import asyncpg

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.ledger.holds import expiries
from fare.model import Journal
from fare.outcomes import Posting
from fare.store.postgres_holds import read_due_holds

EVERY_S: Final = 30.0
HOLDS_AT_A_TIME: Final = 500
WHOLE_EVERY_MS: Final = 3_600_000  # resolved holds stay in the index: mostly only the latest part of it is read
LATE_MAX_MS: Final = 3_600_000  # a hold is posted at most so long after it was due, but for what the whole look finds

_log = get_logger(__name__)


class Poster(Protocol):
    """What posts journals; ``fare.store.postgres_ledger.Ledger`` is one."""

    async def post(self, journals: Sequence[Journal]) -> list[Posting]:
        """Return what became of each journal, once that is on disk."""


class HoldExpiry:
    """Expires holds by the city's clock. One per city suffices; several do no harm, a hold is resolved once."""

    def __init__(self, pool: asyncpg.Pool, ledger: Poster, *, clock: Clock, metrics: Metrics) -> None:
        self._pool = pool
        self._ledger = ledger
        self._clock = clock
        self._metrics = metrics
        self._whole_ms = 0  # when all of the past was looked at last
        self._swept_ms = 0

    async def sweep(self) -> int:
        """Expire all that is due; return how many holds that were.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer; what
                was expired until then stays so.
        """
        now_ms = self._clock.now_ms()
        whole = now_ms - self._whole_ms >= WHOLE_EVERY_MS
        since_ms = 0 if whole else self._swept_ms - LATE_MAX_MS
        expired = 0
        while True:
            holds = await read_due_holds(self._pool, since_ms=since_ms, until_ms=now_ms, holds_max=HOLDS_AT_A_TIME)
            answers = await self._ledger.post(expiries(holds, now_ms)) if holds else []
            for answer in set(answers):  # NOTHING_PENDING: somebody else has resolved it in between
                self._metrics.count("ledger_holds_expired_total", answers.count(answer), outcome=answer.value)
            expired += answers.count(Posting.POSTED)
            if len(holds) < HOLDS_AT_A_TIME:
                break
        self._swept_ms = now_ms
        if whole:
            self._whole_ms = now_ms
        return expired

    async def run(self) -> None:
        """Sweep for ever; ends only by cancellation."""
        while True:
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 - top of the loop: what is due stays due
                self._metrics.count("role_errors_total", role="fare", where="expiry")
                _log.warning("holds wait to be expired", error=repr(error))
            await self._clock.sleep(EVERY_S)
