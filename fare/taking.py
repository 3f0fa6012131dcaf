"""Taps of validators to the books: corrected in time, located, stored and charged.

``TapTaking.take`` may be given the same taps again and again: storing knows them by their keys. That two validators of
one bus took a passenger's fare is put right where bills are derived (``fare.pricing``).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.model import LocatedTap, Tap
from fare.outcomes import TapReceipt
from fare.service import TapIntake
from fare.store.postgres_append import Append

BACKLOG_MS: Final = 120_000  # older taps waited on a device: nobody at a door waits for them

_log = get_logger(__name__)

Told = Callable[[Sequence[LocatedTap]], Awaitable[None]]


class NotYetError(Exception):
    """Where a tap was made is about to be known: hand in those before it now, and it and the rest again soon."""

    def __init__(self, tap: Tap) -> None:
        super().__init__(f"tracking has not found the run of tap {tap.key} yet")
        self.sequence = tap.sequence


class Locating(Protocol):
    """Knows where a vehicle was when a tap was made."""

    def is_searched(self, tap: Tap) -> bool:
        """Return whether the place of ``tap`` is not known and will probably be within minutes."""

    async def located(self, taps: Sequence[Tap]) -> list[LocatedTap]:
        """Return ``taps`` with their places; those that begin a ride, with the ride."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapTaking:
    """The way of taps from validators to the books.

    ``told`` hears of what was stored for the first time, after it is stored.
    """

    intake: TapIntake
    locating: Locating
    told: Told
    clock: Clock
    metrics: Metrics

    async def record(self, taps: list[Tap], append: Append) -> str | None:
        """Store and charge ``taps`` of a bus in service in the transaction that writes ``append``.

        Return the version of their device's row then, once all is on disk; None: it stands otherwise by now, or they
        waited for long, and nothing is stored.

        Raises:
            NotYetError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: as ``take``.
        """
        began_s = monotonic_s()
        located = await self._located(taps)
        if self._waited(located):
            return None
        done = await self.intake.record(located, append)
        if done is None:
            return None
        receipts, version = done
        await self._tell(located, receipts, began_s)
        return version

    async def take(self, taps: list[Tap]) -> None:
        """Store and charge ``taps`` of a device, in order; return when they are on disk.

        Raises:
            NotYetError: if the line of one will be known soon: charged now, the ride would cost nothing.
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        began_s = monotonic_s()
        located = await self._located(taps)
        receipts = await self.intake.take(located, backlog=self._waited(located))
        await self._tell(located, receipts, began_s)

    async def _located(self, taps: Sequence[Tap]) -> list[LocatedTap]:
        corrected = [in_own_time(tap) for tap in taps]
        for tap in corrected:
            if tap.outcome.rides and self.locating.is_searched(tap):
                raise NotYetError(tap)
        return await self.locating.located(corrected)

    def _waited(self, located: Sequence[LocatedTap]) -> bool:
        return self.clock.now_ms() - min(one.tap.tapped_ms for one in located) > BACKLOG_MS

    async def _tell(self, located: Sequence[LocatedTap], receipts: Sequence[TapReceipt], began_s: float) -> None:
        for receipt in receipts:
            self.metrics.count("fare_taps_total", receipt=receipt.value)
        forked = [one.tap.key for one, receipt in zip(located, receipts, strict=True) if receipt is TapReceipt.FORKED]
        if forked:
            _log.error("taps with two contents", taps=forked)
        self.metrics.observe("fare_taps_seconds", monotonic_s() - began_s)
        await self.told([one for one, r in zip(located, receipts, strict=True) if r is TapReceipt.STORED])


def in_own_time(tap: Tap) -> Tap:
    """Return ``tap`` at the time when it was, as well as the device knew: what is stored and priced."""
    return msgspec.structs.replace(tap, tapped_ms=tap.occurred_ms, clock_offset_ms=0)
