"""What a wallet lacks, from the rider's account at the mobile operator: asked once, entered once, or given back.

Every question is on disk before it is sent. Without an answer the operator is asked what became of it; if that is not
known either, the charge goes back, again and again until the operator says so, and the rider has no ticket. What was
charged and not entered within ``ABANDONED_MS``, because a process died, goes back as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import asyncpg

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.gateways.charging_port import (
    Charged,
    ChargeRefusal,
    ChargeRefused,
    ChargeRequest,
    ChargeReversed,
    ChargeUnansweredError,
    ChargeUnknown,
    OperatorCharging,
)
from fare.gateways.postgres_operator_charges import (
    ChargeState,
    KeptCharge,
    abandon_before,
    begin_charge,
    charged,
    enter,
    find_charge,
    give_back,
    owed_back,
    refused,
    reversed_now,
)
from fare.ledger.accounts import AccountKind, wallet
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, MediumId, PhoneNumber
from fare.purchases import BuyRefusal, Purchase
from fare.store.postgres_media import pay_in

ABANDONED_MS: Final = 15 * 60_000  # longer than a message may be late and still buy
SWEEP_S: Final = 30.0
SWEPT_AT_A_TIME: Final = 100

_REFUSALS: Final[Mapping[ChargeRefusal, BuyRefusal]] = MappingProxyType(
    {
        ChargeRefusal.NO_CREDIT: BuyRefusal.NO_CREDIT,
        ChargeRefusal.CORPORATE_NUMBER: BuyRefusal.CORPORATE_NUMBER,
        ChargeRefusal.SIM_CHANGED: BuyRefusal.SIM_CHANGED,
        ChargeRefusal.BARRED: BuyRefusal.BARRED,
        ChargeRefusal.OTHER_OPERATOR: BuyRefusal.BARRED,
        ChargeRefusal.REFUSED: BuyRefusal.BARRED,
    }
)

_log = get_logger(__name__)


class OperatorCharges:
    """Charges of all operators of a city, by their keys.

    Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not answer.
    """

    def __init__(
        self, pool: asyncpg.Pool, operators: Mapping[str, OperatorCharging], *, clock: Clock, metrics: Metrics
    ) -> None:
        self._pool = pool
        self._operators = operators
        self._clock = clock
        self._metrics = metrics

    async def taken(self, key: str) -> Journal | None:
        """Return the journal of what an operator has taken under ``key`` and is not in the books yet."""
        kept = await find_charge(self._pool, key)
        if kept is not None and kept.state is ChargeState.ASKED:  # a process died before it knew the answer
            kept = await self._asked(kept)
        return _journal(kept) if kept is not None and kept.state is ChargeState.CHARGED else None

    async def take(self, request: ChargeRequest, operator: str, medium_id: MediumId) -> Journal | BuyRefusal:
        """Take money once; return the journal that brings it into the medium's wallet, or why there is none."""
        if operator not in self._operators:
            return BuyRefusal.NO_MONEY
        kept = await begin_charge(self._pool, request, operator, medium_id)
        if kept.state is ChargeState.ASKED:
            kept = await self._asked(kept)
        if kept.state is ChargeState.CHARGED:
            return _journal(kept)
        if kept.state is ChargeState.REFUSED:
            return _REFUSALS[ChargeRefusal(kept.reason)]
        return BuyRefusal.NOT_CHARGED

    async def top_up(self, request: ChargeRequest, operator: str, medium_id: MediumId) -> BuyRefusal | None:
        """Take money once and bring it into the medium's wallet; return why not, None if it is there."""
        if operator not in self._operators:
            return BuyRefusal.BARRED
        taken = await self.take(request, operator, medium_id)
        if isinstance(taken, BuyRefusal):
            return None if await self.is_entered(request.key) else taken
        async with self._pool.acquire() as connection, connection.transaction():
            if await enter(connection, request.key):
                await pay_in(connection, medium_id, taken)
                return None
        return await self.top_up(request, operator, medium_id)  # somebody was faster: see what they did

    async def is_entered(self, key: str) -> bool:
        """Return whether the charge under ``key`` is in the books."""
        kept = await find_charge(self._pool, key)
        return kept is not None and kept.state is ChargeState.ENTERED

    async def enter(self, connection: asyncpg.Connection, key: str) -> bool:
        """Take a charge into the transaction that posts its journal; return whether it is still there."""
        return await enter(connection, key)

    async def undo(self, key: str) -> None:
        """Give back what was taken under ``key`` and is not in the books; a later sweep does it if nobody answers."""
        await give_back(self._pool, key)
        kept = await find_charge(self._pool, key)
        if kept is not None and kept.state is ChargeState.REVERSING:
            await self._reverse(kept)

    async def sweep(self) -> int:
        """Give back what is owed to riders; return how many charges still wait for their operators."""
        await abandon_before(self._pool, self._clock.now_ms() - ABANDONED_MS)
        owed = await owed_back(self._pool, SWEPT_AT_A_TIME)
        waiting = [kept.key for kept in owed if not await self._reverse(kept)]
        self._metrics.set("sms_charges_to_give_back", len(waiting))
        return len(waiting)

    async def run(self) -> None:
        """Sweep for ever; ends only by cancellation."""
        while True:
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 - top of the loop: what is owed stays owed
                self._metrics.count("role_errors_total", role="sms", where="charges")
                _log.warning("charges wait to be given back", error=repr(error))
            await self._clock.sleep(SWEEP_S)

    async def _asked(self, kept: KeptCharge) -> KeptCharge:
        """Ask the operator, and keep what it says. Its own memory of the key makes asking again harmless."""
        try:
            answer = await self._ask(kept)
        except ChargeUnansweredError as error:
            self._metrics.count("sms_charges_total", operator=kept.operator, outcome="unanswered")
            _log.warning("a charge goes back", key=kept.key, error=str(error))
            await self.undo(kept.key)
        else:
            if isinstance(answer, Charged) and answer.amount_tiyn != kept.amount_tiyn:
                self._metrics.count("sms_charges_total", operator=kept.operator, outcome="other_amount")
                _log.error("an operator took another amount", key=kept.key, took_tiyn=answer.amount_tiyn)
                await self.undo(kept.key)
            elif isinstance(answer, Charged):
                self._metrics.count("sms_charges_total", operator=kept.operator, outcome="charged")
                await charged(self._pool, kept.key, answer.reference)
            elif isinstance(answer, ChargeRefused):
                self._metrics.count("sms_charges_total", operator=kept.operator, outcome=answer.reason.value)
                await refused(self._pool, kept.key, answer.reason)
            else:
                await self.undo(kept.key)
        return await find_charge(self._pool, kept.key) or kept

    async def _ask(self, kept: KeptCharge) -> Charged | ChargeRefused | ChargeReversed | ChargeUnknown:
        operator = self._operators.get(kept.operator)
        if operator is None:
            raise ChargeUnansweredError(kept.key, f"operator {kept.operator} is not set up any more")
        try:
            return await operator.charge(kept.request)
        except ChargeUnansweredError:
            return await operator.status(kept.key)

    async def _reverse(self, kept: KeptCharge) -> bool:
        """Return whether the operator has given a charge back."""
        operator = self._operators.get(kept.operator)
        if operator is None:
            return False
        try:
            await operator.reverse(kept.key)
        except ChargeUnansweredError as error:
            _log.warning("a charge is not given back yet", key=kept.key, error=str(error))
            return False
        await reversed_now(self._pool, kept.key)
        self._metrics.count("sms_charges_total", operator=kept.operator, outcome="reversed")
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPayer:
    """The ``fare.buying.Payer`` of one rider: ``number``'s account at ``operator``.

    ``is_new``: nobody has asked for money for this purchase before, so there is nothing to look up.
    """

    charges: OperatorCharges
    operator: str
    number: PhoneNumber
    is_new: bool = False

    async def taken(self, purchase: Purchase) -> Journal | None:
        """Return the journal of what was taken for ``purchase`` already."""
        return None if self.is_new else await self.charges.taken(purchase.key)

    async def pay(self, purchase: Purchase, missing_tiyn: int) -> Journal | BuyRefusal:
        """Take what is missing."""
        request = ChargeRequest(
            key=purchase.key, number=self.number, amount_tiyn=missing_tiyn, asked_ms=purchase.asked_ms
        )
        return await self.charges.take(request, self.operator, purchase.medium_id)

    async def enter(self, connection: asyncpg.Connection, purchase: Purchase) -> bool:
        """Take the charge into the transaction of the sale."""
        return await self.charges.enter(connection, purchase.key)

    async def undo(self, purchase: Purchase) -> None:
        """Give back what is not in the books."""
        await self.charges.undo(purchase.key)


def _journal(kept: KeptCharge) -> Journal:
    """Return the journal of a charge: it follows from what is kept, so it is the same whoever makes it."""
    return Journal(
        key=JournalKey(f"operator/{kept.key}"),
        kind=JournalKind.TOP_UP,
        occurred_ms=kept.asked_ms,
        entries=(
            Entry(account=AccountCode(f"{AccountKind.OPERATOR}:{kept.operator}"), amount_tiyn=kept.amount_tiyn),
            Entry(account=wallet(kept.medium_id), amount_tiyn=-kept.amount_tiyn),
        ),
        subject=kept.reference or kept.key,  # what the operator's file is joined by
    )
