"""Unused top-ups given back by the office on a real PostgreSQL: once, by one person up to a limit, by two above it."""

import asyncio

import asyncpg
import pytest

from fare.audit_trail import Act
from fare.ledger.accounts import wallet
from fare.refund_service import Decision, RefundAsked, Refunds, RefundState
from fare.settlement_service import SettlementRules
from fare.store.ledger_books import verify
from fare.store.postgres_audit import audit_broken_at, latest_lines
from fare.top_up_desk import BackAnswer, TopUpBackAsked, TopUpDesk
from fare.top_ups import BackOutcome, Invoice, TopUpState
from tests.fare.edges.test_topping_up import KASPI, OWED_BY_BANK, REDIRECT, TARIFF, Town
from tests.notation.rides import medium

RULES = SettlementRules(alone_tiyn=60_000)


@pytest.fixture
async def town(fare_postgres: asyncpg.Pool) -> Town:
    return Town(fare_postgres)


def desk(town: Town) -> TopUpDesk:
    return TopUpDesk(town.pool, {REDIRECT: OWED_BY_BANK}, rules=RULES)


async def ask(
    town: Town, invoice: Invoice, tiyn: int | None = None, *, key: str = "a", who: str = "aigul"
) -> BackAnswer:
    asked = TopUpBackAsked(key=key, invoice=invoice, amount_tiyn=tiyn, why="moved away")
    return await desk(town).ask(asked, who=who, now_ms=town.now_ms)


async def decide(town: Town, *, who: str, grant: bool = True, key: str = "a") -> Decision:
    return await desk(town).decide(key, grant=grant, who=who, now_ms=town.now_ms)


async def test_what_is_unused_leaves_the_wallet_at_once_and_goes_back_when_the_bank_is_asked(town: Town) -> None:
    invoice = await town.paid(50_000)
    await town.ride("v:1", "08:00")
    given = await ask(town, invoice)
    assert given == BackAnswer(outcome=BackOutcome.ASKED, state=RefundState.GRANTED, amount_tiyn=40_000)
    assert await town.wallet() == 0
    assert [one.bank_state for one in await desk(town).asked()] == ["asked"]
    assert await town.refunds.sweep() == 1
    (asked,) = await desk(town).asked()
    assert (asked.bank_state, asked.decided_by, asked.amount_tiyn) == ("done", "aigul", 40_000)
    (listed,) = await desk(town).top_ups(invoice=invoice)
    assert (listed.back_tiyn, listed.unused_tiyn) == (40_000, 0)
    assert await town.state(invoice) is TopUpState.CREDITED
    assert (await verify(town.pool)).findings == []


async def test_the_same_key_gives_back_once_however_often_it_is_sent(town: Town) -> None:
    invoice = await town.paid(50_000)
    answers = await asyncio.gather(*(ask(town, invoice, 20_000) for _ in range(4)))
    assert sorted(one.outcome for one in answers) == ["asked", "repeated", "repeated", "repeated"]
    assert {one.amount_tiyn for one in answers} == {20_000}
    assert (await ask(town, invoice, 10_000)).outcome is BackOutcome.KEY_REUSED
    assert await town.wallet() == 30_000


async def test_two_at_a_time_never_give_back_more_than_there_is(town: Town) -> None:
    invoice = await town.paid(50_000)
    answers = await asyncio.gather(*(ask(town, invoice, 40_000, key=key, who=key) for key in "abc"))
    assert sorted(one.outcome for one in answers) == ["asked", "exceeds_paid", "exceeds_paid"]
    assert await town.wallet() == 10_000


async def test_above_the_limit_a_second_person_decides_and_nobody_their_own(town: Town) -> None:
    invoice = await town.paid(90_000)
    waiting = await ask(town, invoice, 70_000)
    assert waiting.state is RefundState.WAITING
    assert await town.wallet() == 90_000
    assert await decide(town, who="aigul") is Decision.OWN
    assert await decide(town, who="bolat", key="none") is Decision.UNKNOWN
    assert await decide(town, who="bolat") is Decision.TAKEN
    assert await decide(town, who="bolat", grant=False) is Decision.DECIDED_BEFORE
    assert await town.wallet() == 20_000
    lines = [(line.act, line.who, line.subject) for line in await latest_lines(town.pool, 2)]
    assert lines == [
        (Act.TOP_UP_REFUND_DECIDED, "bolat", invoice),
        (Act.TOP_UP_REFUND_ASKED, "aigul", invoice),
    ]
    assert await audit_broken_at(town.pool) is None


async def test_many_small_ones_are_no_way_round_the_limit_and_rides_count_with_them(town: Town) -> None:
    invoice = await town.paid(90_000)
    await town.ride("v:1", "08:00")
    refunds = Refunds(town.pool, pricing=TARIFF, rules=RULES)
    given = await refunds.ask(RefundAsked(key="ride", ride_key="v:1"), who="aigul", now_ms=town.now_ms)
    assert given.state is RefundState.GRANTED
    states = [(await ask(town, invoice, 20_000, key=key)).state for key in "abc"]
    assert states == [RefundState.GRANTED, RefundState.GRANTED, RefundState.WAITING]
    assert (await ask(town, invoice, 20_000, key="d", who="bolat")).state is RefundState.GRANTED
    await town.ride("v:2", "12:00")
    more = await refunds.ask(
        RefundAsked(key="more", ride_key="v:2", amount_tiyn=10_000), who="aigul", now_ms=town.now_ms
    )
    assert more.state is RefundState.GRANTED, "60 000 in all"
    await town.ride("v:3", "16:00")
    beyond = await refunds.ask(RefundAsked(key="beyond", ride_key="v:3"), who="aigul", now_ms=town.now_ms)
    assert beyond.state is RefundState.WAITING


async def test_what_was_spent_while_it_waited_stays(town: Town) -> None:
    invoice = await town.paid(80_000)
    assert (await ask(town, invoice)).state is RefundState.WAITING
    await town.ride("v:1", "08:00")
    assert await decide(town, who="bolat") is Decision.NOT_POSSIBLE
    assert await town.wallet() == 70_000
    assert await decide(town, who="bolat", grant=False) is Decision.TAKEN
    assert [(one.state, one.bank_state) for one in await desk(town).asked()] == [("declined", None)]


async def test_what_the_bank_refuses_is_on_the_wallet_again(town: Town) -> None:
    invoice = await town.paid(50_000)
    await ask(town, invoice, 20_000)
    town.bank.refuses = True
    await town.refunds.sweep()
    assert await town.wallet() == 50_000
    assert [one.bank_state for one in await desk(town).asked()] == ["refused"]


async def test_what_cannot_go_back_says_why_and_is_not_kept(town: Town) -> None:
    unpaid = await town.begun(20_000, key="unpaid")
    paid = await town.paid(50_000, key="paid", number=8)
    await town.ride("v:1", "08:00", number=8)
    assert (await ask(town, Invoice("999"), 100)).outcome is BackOutcome.UNKNOWN
    assert (await ask(town, Invoice("x"), 100)).outcome is BackOutcome.UNKNOWN
    assert (await ask(town, unpaid, 100)).outcome is BackOutcome.NOT_CREDITED
    assert (await ask(town, paid, 0)).outcome is BackOutcome.NOT_POSITIVE
    assert (await ask(town, paid, 50_001)).outcome is BackOutcome.EXCEEDS_PAID
    assert (await ask(town, paid, 50_000)).outcome is BackOutcome.SPENT
    nobody = TopUpDesk(town.pool, {KASPI: OWED_BY_BANK}, rules=RULES)
    asked = TopUpBackAsked(key="a", invoice=paid, why="?")
    assert (await nobody.ask(asked, who="aigul", now_ms=0)).outcome is BackOutcome.NOT_POSSIBLE
    assert [one.unused_tiyn for one in await nobody.top_ups(invoice=paid)] == [0]
    for wrong in (TopUpBackAsked(key="", invoice=paid, why="?"), TopUpBackAsked(key="a", invoice=paid, why=" ")):
        with pytest.raises(ValueError, match=r"(key|why) must be"):
            await desk(town).ask(wrong, who="aigul", now_ms=0)
    assert await desk(town).asked() == []


async def test_top_ups_are_found_by_number_or_medium_the_latest_first(town: Town) -> None:
    first = await town.paid(20_000, key="first")
    town.now_ms += 60_000
    second = await town.paid(30_000, key="second")
    other = await town.paid(40_000, key="third", number=8)
    assert [one.invoice for one in await desk(town).top_ups(medium_id=medium(7))] == [second, first]
    assert [one.invoice for one in await desk(town).top_ups(invoice=other)] == [other]
    assert len(await desk(town).top_ups()) == 3
    assert wallet(medium(7)) not in str(await desk(town).top_ups()), "the page is told no medium"


async def test_the_database_refuses_to_change_what_was_decided(town: Town) -> None:
    invoice = await town.paid(50_000)
    await ask(town, invoice, 20_000)
    for change in ("amount_tiyn = 1", "decided_by = 'x'", "state = 'waiting'"):
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError)):
            await town.pool.execute(f"UPDATE top_up_refund SET {change}")  # noqa: S608 - constants above
    with pytest.raises(asyncpg.RestrictViolationError):
        await town.pool.execute("DELETE FROM top_up_refund")
