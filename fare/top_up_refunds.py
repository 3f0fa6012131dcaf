"""Unused money of a top-up goes back to where it came from.

It leaves the wallet before the bank is asked, so that nobody can ride on it meanwhile. If the bank refuses, it is on
the wallet again; while the bank is silent it is asked again under the same reference. A refund and a chargeback, which
is the bank's own taking back, may meet: together they take no more than was paid (attack 40, ``fare.top_ups``).
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import asyncpg

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.gateways import postgres_top_ups as store
from fare.gateways.bank import BankSilentError, Returning
from fare.ledger.bank_money import given_back, kept_after_all
from fare.model import AccountCode, MediumId
from fare.store.postgres_bank_money import post_bank_money, wallet_tiyn
from fare.store.postgres_taps import lock_media
from fare.top_ups import (
    BackOutcome,
    BankName,
    BankState,
    BankWord,
    Invoice,
    asked_back,
    decide_back,
    refused_back,
)
from fare.topping_up import ASK_FIRST_MS, ASK_MAX_MS, DUE_MAX, KEY_MAX, Channels, TopUps

EVERY_S: Final = 5.0
REFERENCE_HEX: Final = 16  # digits of the key's hash in a reference

_ANSWERED: Final[Mapping[str, BackOutcome]] = MappingProxyType(
    {"asked": BackOutcome.REPEATED, "done": BackOutcome.DONE, "refused": BackOutcome.BANK_REFUSED}
)

_log = get_logger(__name__)


class TopUpRefunds:
    """Gives money of top-ups back. Every method raises what those of ``TopUps`` raise."""

    def __init__(self, pool: asyncpg.Pool, channels: Channels, *, clock: Clock, metrics: Metrics) -> None:
        self._pool, self._channels, self._clock, self._metrics = pool, channels, clock, metrics

    async def give_back(self, *, key: str, medium_id: MediumId, invoice: Invoice, amount_tiyn: int) -> BackOutcome:
        """Give unused money of a top-up back. The same ``key`` gives it back once, and is answered how it stands.

        Raises:
            ValueError: if ``key`` has no form of one.
        """
        check_key(key)
        async with self._pool.acquire() as connection, connection.transaction():
            begun = await begin_back(
                connection,
                {name: self._channels.accounts[name] for name in self._channels.banks},
                key=key,
                medium_id=medium_id,
                invoice=invoice,
                amount_tiyn=amount_tiyn,
                now_ms=self._clock.now_ms(),
            )
        outcome = await self.ask(begun.reference) if begun.outcome is BackOutcome.ASKED else begun.outcome
        self._metrics.count("top_up_refunds_total", outcome=outcome.value)
        return outcome

    async def ask(self, reference: str) -> BackOutcome:
        """Ask the bank for a refund that was begun, and do what follows; ASKED while the bank is silent."""
        kept = await store.find_back(self._pool, reference)
        found = await store.find_top_up(self._pool, kept.invoice) if kept is not None else None
        if kept is None or found is None or kept.state != "asked":
            return _ANSWERED[kept.state] if kept is not None else BackOutcome.UNKNOWN
        top_up = found.top_up
        payment = BankWord(
            invoice=top_up.invoice,
            operation_id=top_up.operation_id,
            state=BankState.PAID,
            amount_tiyn=top_up.amount_tiyn,
            refunded_tiyn=await store.done_back_tiyn(self._pool, top_up.invoice),
        )
        try:
            returning = await self._channels.banks[top_up.bank].give_back(payment, reference, kept.amount_tiyn)
        except BankSilentError as error:
            _log.warning("bank does not answer a refund", reference=reference, error=str(error))
            ask_ms = self._clock.now_ms() + min(ASK_FIRST_MS << min(kept.asked, 10), ASK_MAX_MS)
            await store.ask_back_later(self._pool, reference, ask_ms)
            return BackOutcome.ASKED
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._conclude(connection, top_up.medium_id, reference, returning)

    async def sweep(self) -> int:
        """Ask for every refund that is due, once; return how many."""
        due = await store.due_to_give_back(self._pool, self._clock.now_ms(), DUE_MAX)
        for reference in due:
            await self.ask(reference)
        return len(due)

    async def run(self, top_ups: TopUps) -> None:
        """Sweep top-ups and refunds for ever; ends only by cancellation."""
        while True:
            try:
                await top_ups.sweep()
                await self.sweep()
                self._metrics.set("top_ups_unsettled", await store.unsettled(self._pool, self._clock.now_ms()))
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._metrics.count("role_errors_total", role="phone", where="top_ups")
                _log.warning("top-ups wait", error=repr(error))
            await asyncio.sleep(EVERY_S)

    async def _conclude(
        self, connection: asyncpg.Connection, medium_id: MediumId, reference: str, returning: Returning
    ) -> BackOutcome:
        """Write what the bank answered; what it refused is on the wallet again."""
        await lock_media(connection, [medium_id])
        kept = await store.find_back(connection, reference, lock=True)
        found = await store.find_top_up(connection, kept.invoice, lock=True) if kept is not None else None
        if kept is None or found is None or kept.state != "asked":
            return _ANSWERED[kept.state] if kept is not None else BackOutcome.UNKNOWN
        now_ms = self._clock.now_ms()
        done = returning is Returning.DONE
        await store.end_back(connection, reference, "done" if done else "refused")
        top_up = found.top_up if done else refused_back(found.top_up, kept.amount_tiyn)
        # The bank is asked once more how the whole stands: what it took back besides shows only then.
        await store.keep_top_up(connection, top_up, ask_ms=now_ms + ASK_FIRST_MS, asked=0)
        again_tiyn = found.top_up.taken_tiyn - top_up.taken_tiyn
        if again_tiyn:
            channel = self._channels.accounts[top_up.bank]
            name, subject = f"bank/{top_up.bank}/refused/{reference}", f"{reference}-refused"
            await post_bank_money(
                *(connection, medium_id, channel),
                [lambda _: kept_after_all(name, channel, medium_id, again_tiyn, subject=subject, at_ms=now_ms)],
                now_ms,
            )
        return BackOutcome.DONE if done else BackOutcome.BANK_REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class BackBegun:
    """What became of a wish to give money back; ASKED: it left the wallet, and the bank is to be asked."""

    reference: str
    outcome: BackOutcome


def check_key(key: str) -> None:
    """Refuse what is no key of a refund.

    Raises:
        ValueError: saying the rule.
    """
    if not 1 <= len(key) <= KEY_MAX or not key.isprintable():
        raise ValueError(f"key must be 1 to {KEY_MAX} printable characters: {key!r}")


async def begin_back(
    connection: asyncpg.Connection,
    accounts: Mapping[BankName, AccountCode],
    *,
    key: str,
    medium_id: MediumId,
    invoice: Invoice,
    amount_tiyn: int,
    now_ms: int,
) -> BackBegun:
    """Take the money from the wallet and keep the refund, or say why not, within the caller's transaction.

    ``accounts``: those of the banks that can be asked. ``TopUpRefunds`` asks, at the latest with its next sweep.
    """
    reference = f"{invoice}-{hashlib.sha256(f'{medium_id}/{key}'.encode()).hexdigest()[:REFERENCE_HEX]}"
    await lock_media(connection, [medium_id])
    found = await store.find_top_up(connection, invoice, lock=True)
    if found is None or found.top_up.medium_id != medium_id:
        return BackBegun(reference=reference, outcome=BackOutcome.UNKNOWN)
    before = await store.find_back(connection, reference)
    if before is not None:
        same = before.amount_tiyn == amount_tiyn
        return BackBegun(reference=reference, outcome=_ANSWERED[before.state] if same else BackOutcome.KEY_REUSED)
    top_up = found.top_up
    if top_up.bank not in accounts:
        return BackBegun(reference=reference, outcome=BackOutcome.NOT_POSSIBLE)
    outcome = decide_back(top_up, amount_tiyn, await wallet_tiyn(connection, medium_id))
    if outcome is not BackOutcome.ASKED:
        return BackBegun(reference=reference, outcome=outcome)
    channel = accounts[top_up.bank]
    await store.insert_back(connection, reference, invoice, amount_tiyn, now_ms)
    await store.keep_top_up(connection, asked_back(top_up, amount_tiyn), ask_ms=found.ask_ms, asked=found.asked)
    name = f"bank/{top_up.bank}/refund/{reference}"
    await post_bank_money(
        *(connection, medium_id, channel),
        [lambda _: given_back(name, channel, medium_id, amount_tiyn, subject=reference, at_ms=now_ms)],
        now_ms,
    )
    return BackBegun(reference=reference, outcome=outcome)
