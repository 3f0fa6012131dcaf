"""Disputes about rides: opened, answered, decided; what is accepted goes back through ``Refunds``.

The rules are ``fare.settlement.disputes``; here each step is taken on the newest state and kept with a line of the log.
An accepted dispute asks for its refund under a key of its own and in the same transaction: one is never without the
other, and a step sent again gives nothing back twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from fare.audit_trail import Act
from fare.model import CarrierId
from fare.refund_service import RefundAnswer, RefundAsked, Refunds
from fare.settlement.disputes import Dispute, DisputeState, DisputeStep, Step, StepOutcome, take_step
from fare.settlement.refunds import RefundOutcome
from fare.store.postgres_audit import note
from fare.store.postgres_settlement import name_of

LISTED_MAX: Final = 200

_RIDE: Final = "SELECT carrier_id FROM tap WHERE device_id = $1 AND sequence = $2 AND rides"
_LISTED: Final = """
SELECT dispute::text FROM dispute WHERE $1::text IS NULL OR carrier_id = $1
ORDER BY dispute->>'state' IN ('accepted', 'rejected', 'withdrawn'), dispute->>'opened_ms' DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """What became of a step, and of the refund where the dispute is accepted."""

    outcome: StepOutcome
    refund: RefundAnswer | None = None


class Disputes:
    """Keeps disputes. Every method raises OSError, asyncpg.PostgresError or asyncpg.InterfaceError without database."""

    def __init__(self, pool: asyncpg.Pool, refunds: Refunds) -> None:
        self._pool = pool
        self._refunds = refunds

    async def open(self, dispute: Dispute) -> bool:
        """Open a dispute; return False if there is one of this id, or no such ride.

        Raises:
            ValueError: if ``ride_key`` is none, the amount not above 0, or the dispute does not begin open.
        """
        if dispute.claimed_tiyn <= 0:
            raise ValueError(f"claimed_tiyn must be above 0: {dispute.claimed_tiyn}")
        if dispute.state is not DisputeState.OPEN or dispute.steps:
            raise ValueError(f"a dispute must begin open and without steps: {dispute.dispute_id}")
        name = name_of(dispute.ride_key)
        async with self._pool.acquire() as connection, connection.transaction():
            carrier_id = await connection.fetchval(_RIDE, *name)
            if carrier_id is None:
                return False
            status: str = await connection.execute(
                "INSERT INTO dispute (dispute_id, device_id, sequence, carrier_id, dispute) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                *(dispute.dispute_id, *name, carrier_id, msgspec.json.encode(dispute).decode()),
            )
            if status != "INSERT 0 1":
                return False
            await note(
                connection,
                dispute.opened_ms,
                dispute.opened_by,
                Act.DISPUTE_OPENED,
                dispute.ride_key,
                dispute.dispute_id,
            )
        return True

    async def take(self, dispute_id: str, step: Step) -> StepTaken | None:
        """Take a step; return what became of it, None if there is no such dispute.

        What is accepted is asked for as a refund in the same transaction: nothing is accepted that cannot go back.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT dispute::text FROM dispute WHERE dispute_id = $1 FOR UPDATE", dispute_id
            )
            if row is None:
                return None
            dispute, outcome = take_step(msgspec.json.decode(row["dispute"], type=Dispute), step)
            refund = None
            if step.step is DisputeStep.ACCEPT and dispute.state is DisputeState.ACCEPTED:
                refund = await self._refunded(connection, dispute, step.at_ms)
            if outcome is not StepOutcome.TAKEN:
                return StepTaken(outcome=outcome, refund=refund)
            if refund is not None and refund.outcome is not RefundOutcome.GRANTED:
                return StepTaken(outcome=StepOutcome.NOT_REFUNDABLE)
            await connection.execute(
                "UPDATE dispute SET dispute = $2 WHERE dispute_id = $1",
                *(dispute_id, msgspec.json.encode(dispute).decode()),
            )
            await note(connection, step.at_ms, step.by, Act.DISPUTE_STEP, dispute_id, step.step)
        return StepTaken(outcome=outcome, refund=refund)

    async def _refunded(self, connection: asyncpg.Connection, dispute: Dispute, now_ms: int) -> RefundAnswer:
        """Ask for the refund in the name of who accepted the dispute; asked again it is the same."""
        accepted = next(one for one in reversed(dispute.steps) if one.step is DisputeStep.ACCEPT)
        asked = RefundAsked(
            key=f"dispute/{dispute.dispute_id}",
            ride_key=dispute.ride_key,
            amount_tiyn=dispute.claimed_tiyn,
            why=f"dispute {dispute.dispute_id}",
        )
        return await self._refunds.ask_within(connection, asked, who=accepted.by, now_ms=now_ms)

    async def listed(self, carrier_id: CarrierId | None = None) -> Sequence[Dispute]:
        """Return disputes, of one carrier's rides or of all: the undecided first, then the latest."""
        rows = await self._pool.fetch(_LISTED, carrier_id, LISTED_MAX)
        return [msgspec.json.decode(row["dispute"], type=Dispute) for row in rows]
