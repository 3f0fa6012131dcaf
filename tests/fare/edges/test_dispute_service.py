"""Disputes on a real PostgreSQL: each step once, and what is accepted goes back once."""

import asyncio

import asyncpg
import pytest

from fare.audit_trail import Act
from fare.dispute_service import Disputes, StepTaken
from fare.model import CarrierId
from fare.settlement.disputes import Dispute, DisputeState, DisputeStep, Step, StepOutcome
from fare.store.postgres_audit import latest_lines
from tests.fare.edges.money import MoneyTown, money_town
from tests.notation.rides import MIDNIGHT_MS, tap


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> MoneyTown:
    town = await money_town(postgres)
    await town.ride(tap("v:1", "08:00", 7))
    return town


def claim(name: str = "d1", ride_key: str = "v:1", claimed_tiyn: int = 100) -> Dispute:
    return Dispute(
        dispute_id=name, ride_key=ride_key, claimed_tiyn=claimed_tiyn, opened_ms=MIDNIGHT_MS, opened_by="aigul"
    )


def step(what: DisputeStep, by: str = "bolat") -> Step:
    return Step(step=what, by=by, at_ms=MIDNIGHT_MS + 1, note="seen")


async def test_what_is_accepted_goes_back_once_whoever_sends_it_again(town: MoneyTown) -> None:
    disputes = Disputes(town.pool, town.refunds)
    assert await disputes.open(claim())
    assert not await disputes.open(claim()), "an id is of one dispute"
    assert await disputes.take("d1", step(DisputeStep.ACCEPT, "aigul")) == StepTaken(outcome=StepOutcome.OWN_CASE)
    taken = await asyncio.gather(*(disputes.take("d1", step(DisputeStep.ACCEPT)) for _ in range(3)))
    assert sorted(one.outcome for one in taken if one) == ["repeated", "repeated", "taken"]
    assert await town.balances("refund") == {"refund": 100}
    assert [one.state for one in await disputes.listed()] == [DisputeState.ACCEPTED]
    acts = [line.act for line in await latest_lines(town.pool, 3)]
    assert acts == [Act.DISPUTE_STEP, Act.REFUND_ASKED, Act.DISPUTE_OPENED]


POWER_FAILS = """
CREATE FUNCTION power_fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'power'; END $$;
CREATE TRIGGER power_fails BEFORE INSERT ON refund FOR EACH ROW EXECUTE FUNCTION power_fails();
"""


async def test_a_dispute_is_accepted_with_its_refund_or_not_at_all(town: MoneyTown) -> None:
    disputes = Disputes(town.pool, town.refunds)
    await disputes.open(claim())
    await town.pool.execute(POWER_FAILS)
    with pytest.raises(asyncpg.RaiseError, match="power"):
        await disputes.take("d1", step(DisputeStep.ACCEPT))
    assert [one.state for one in await disputes.listed()] == [DisputeState.OPEN]
    await town.pool.execute("DROP TRIGGER power_fails ON refund")
    taken = await disputes.take("d1", step(DisputeStep.ACCEPT))
    assert taken is not None
    assert (taken.outcome, taken.refund.amount_tiyn if taken.refund else 0) == (StepOutcome.TAKEN, 100)
    assert await town.balances("refund") == {"refund": 100}


async def test_what_cannot_go_back_is_not_accepted(town: MoneyTown) -> None:
    disputes = Disputes(town.pool, town.refunds)
    await disputes.open(claim(claimed_tiyn=101))
    assert await disputes.take("d1", step(DisputeStep.ACCEPT)) == StepTaken(outcome=StepOutcome.NOT_REFUNDABLE)
    assert [one.state for one in await disputes.listed()] == [DisputeState.OPEN]
    assert await town.balances("refund") == {}
    assert await disputes.take("d1", step(DisputeStep.ANSWER)) == StepTaken(outcome=StepOutcome.TAKEN)
    assert await disputes.take("d1", step(DisputeStep.REJECT)) == StepTaken(outcome=StepOutcome.TAKEN)


async def test_a_step_that_does_not_fit_changes_nothing(town: MoneyTown) -> None:
    disputes = Disputes(town.pool, town.refunds)
    await disputes.open(claim())
    assert await disputes.take("d1", step(DisputeStep.REJECT)) == StepTaken(outcome=StepOutcome.NOT_NOW)
    assert await disputes.take("d2", step(DisputeStep.ANSWER)) is None
    assert [one.steps for one in await disputes.listed(CarrierId("k1"))] == [()]
    assert await disputes.listed(CarrierId("k2")) == []


async def test_only_rides_are_disputed_and_for_something(town: MoneyTown) -> None:
    disputes = Disputes(town.pool, town.refunds)
    assert not await disputes.open(claim(ride_key="v:9"))
    with pytest.raises(ValueError, match="claimed_tiyn must be above 0: 0"):
        await disputes.open(claim(claimed_tiyn=0))
