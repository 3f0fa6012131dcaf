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
    assert acts == [Act.REFUND_ASKED, Act.DISPUTE_STEP, Act.DISPUTE_OPENED]


async def test_what_was_accepted_goes_back_also_when_it_was_broken_off_between(
    town: MoneyTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    disputes = Disputes(town.pool, town.refunds)
    await disputes.open(claim())

    async def killed(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as broken:
        broken.setattr(town.refunds, "ask", killed)
        with pytest.raises(asyncio.CancelledError):
            await disputes.take("d1", step(DisputeStep.ACCEPT))
    assert await town.balances("refund") == {}
    for _ in range(2):  # sent again later, by another: the refund is asked for in the name of who accepted
        again = Step(step=DisputeStep.ACCEPT, by="marat", at_ms=MIDNIGHT_MS + 60_000)
        taken = await disputes.take("d1", again)
        assert taken is not None
        assert taken.outcome is StepOutcome.NOT_NOW
        assert taken.refund is not None
        assert taken.refund.amount_tiyn == 100
    assert await town.balances("refund") == {"refund": 100}
    assert await town.pool.fetchval("SELECT asked_by FROM refund") == "bolat"


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
