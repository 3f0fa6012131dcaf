"""Going round the application: what plain SQL may not do to what was asked, decided, settled or said."""

import asyncpg
import pytest

from fare.dispute_service import Disputes
from fare.model import MediumId
from fare.settlement.disputes import Dispute, DisputeStep, Step
from fare.write_off_desk import WriteOffAsked
from tests.fare.edges.money import DAY, MORNING_AFTER_MS, MoneyTown, money_town
from tests.fare.edges.test_refund_service import NOON_MS, ask, failed_bus, grant
from tests.notation.rides import MIDNIGHT_MS, medium, tap

REFUSED = (
    "UPDATE account_kind SET overdraft_tiyn = NULL WHERE kind = 'wallet'",
    "INSERT INTO account_kind (kind, side, overdraft_tiyn) VALUES ('pocket', 1, NULL)",
    "DELETE FROM account_kind WHERE kind = 'wallet'",
    "UPDATE refund SET amount_tiyn = 1 WHERE key = 'a'",
    "UPDATE refund SET state = 'waiting', decided_by = NULL WHERE key = 'a'",
    "UPDATE refund SET settled_on = NULL WHERE key = 'a'",
    "UPDATE refund SET asked_by = 'dana' WHERE key = 'b'",
    "UPDATE refund SET four_eyes = false, state = 'granted', decided_by = 'aigul' WHERE key = 'b'",
    "UPDATE amnesty SET route_ids = '{}', vehicle_ids = '{}'",
    "UPDATE amnesty SET granted = NULL, decided_by = NULL",
    "UPDATE settled_statement SET statement = '{}'",
    "UPDATE settled_statement SET paid_key = NULL",
    "UPDATE settled_statement SET paid_key = 'again'",
    "UPDATE dispute SET dispute = jsonb_set(dispute, '{claimed_tiyn}', '1')",
    "UPDATE dispute SET dispute = jsonb_set(dispute, '{state}', '\"accepted\"')",
    "UPDATE dispute SET dispute = jsonb_set(dispute, '{steps}', '[]')",
    "UPDATE dispute SET dispute = jsonb_set(dispute, '{steps}', '[{}, {}]')",
    "UPDATE dispute SET dispute = dispute - 'steps'",
    "UPDATE write_off SET amount_tiyn = 1 WHERE key = 'w1'",
    "UPDATE write_off SET state = 'waiting', decided_by = NULL, of_rides_tiyn = NULL WHERE key = 'w1'",
    "UPDATE write_off SET of_rides_tiyn = 0 WHERE key = 'w1'",
    "UPDATE write_off SET four_eyes = false, state = 'granted', of_rides_tiyn = 0, decided_by = 'me' WHERE key = 'w2'",
    "DELETE FROM write_off WHERE key = 'w2'",
    "UPDATE write_off_stands SET stands_tiyn = 0",
    "DELETE FROM write_off_stands",
)


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> MoneyTown:
    """A day that is closed and paid out: a refund granted, one waiting, an amnesty granted, a dispute answered."""
    town = await money_town(postgres)
    await town.ride(tap("v:1", "10:00", 7), tap("v:2", "08:00", 8), tap("v:3", "12:00", 9), tap("v:4", "13:30", 7))
    await town.ride(tap("v:5", "10:00", 12), tap("v:6", "12:00", 12))
    await ask(town, "a", "v:1")
    await ask(town, "b", "v:3")
    for key, tiyn in (("w1", 10), ("w2", 150)):
        given_up = WriteOffAsked(key=key, medium_id=MediumId(medium(12)), amount_tiyn=tiyn, why="cannot be found")
        await town.write_offs.ask(given_up, who="aigul", now_ms=NOON_MS)
    await grant(town, failed_bus())
    await town.refunds.pay_amnesties(now_ms=NOON_MS)
    disputes = Disputes(town.pool, town.refunds)
    await disputes.open(
        Dispute(dispute_id="d1", ride_key="v:4", claimed_tiyn=100, opened_ms=MIDNIGHT_MS, opened_by="aigul")
    )
    await disputes.take("d1", Step(step=DisputeStep.ANSWER, by="bolat", at_ms=MIDNIGHT_MS, note="seen"))
    closed = await town.settlement.close(DAY, who="aigul", now_ms=MORNING_AFTER_MS)
    assert closed.statements
    for one in closed.statements:
        await town.settlement.pay_out(DAY, one.statement.carrier_id, who="aigul", now_ms=MORNING_AFTER_MS)
    return town


async def test_what_was_asked_decided_settled_or_said_stays(town: MoneyTown) -> None:
    counts = await town.pool.fetchrow(
        "SELECT (SELECT count(*) FROM refund WHERE settled_on IS NOT NULL), (SELECT count(*) FROM amnesty), "
        "(SELECT count(*) FROM settled_statement WHERE paid_key IS NOT NULL), (SELECT count(*) FROM dispute), "
        "(SELECT count(*) = 2 AND count(of_rides_tiyn) = 1 FROM write_off)"
    )
    assert all(counts), "there is something to be changed of everything"
    taken = []
    for statement in REFUSED:
        try:
            await town.pool.execute(statement)
        except asyncpg.RestrictViolationError:
            continue
        taken.append(statement)
    assert taken == []


async def test_what_the_program_does_is_still_done(town: MoneyTown) -> None:
    disputes = Disputes(town.pool, town.refunds)
    await disputes.take("d1", Step(step=DisputeStep.REJECT, by="bolat", at_ms=MIDNIGHT_MS, note="no"))
    assert len((await disputes.listed())[0].steps) == 2
    await town.refunds.decide("b", grant=True, who="bolat", now_ms=NOON_MS)
    assert await town.pool.fetchval("SELECT state FROM refund WHERE key = 'b'") == "granted"
    with pytest.raises(asyncpg.CheckViolationError):
        await town.pool.execute(
            "INSERT INTO refund SELECT 'own', device_id, sequence, carrier_id, 1, reason, service_date, why, asked_by, "
            "asked_ms, state, asked_by, true, NULL FROM refund WHERE key = 'a'"
        )
