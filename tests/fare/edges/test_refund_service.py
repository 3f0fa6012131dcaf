"""Money back on a real PostgreSQL: never twice, never more than was paid, never by one person alone above a limit."""

import asyncio

import asyncpg
import msgspec
import pytest

from fare.model import MediumKind
from fare.refund_service import Decision, RefundAnswer, RefundAsked, RefundState
from fare.settlement.model import RefundReason
from fare.settlement.refunds import AmnestyWindow, RefundOutcome
from tests.fare.edges.money import DAY, MORNING_AFTER_MS, NEXT_DAY, MoneyTown, money_town, of_carrier
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, medium, tap

BREAK_AT_1200 = """
CREATE FUNCTION power_fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM refund) >= 1200 THEN RAISE EXCEPTION 'power'; END IF;
    RETURN new;
END
$$;
CREATE TRIGGER power_fails BEFORE INSERT ON refund FOR EACH ROW EXECUTE FUNCTION power_fails();
"""
NOON_MS = MIDNIGHT_MS + 12 * 3_600_000


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> MoneyTown:
    town = await money_town(postgres)
    await town.ride(
        tap("v:1", "08:00", 7),
        tap("v:2", "08:30", 9),
        tap("v:3", "09:00", 10, kind=MediumKind.BANK_CARD),
        of_carrier(tap("v:4", "10:00", 7), "k2"),
    )
    return town


async def ask(
    town: MoneyTown, key: str, ride_key: str, amount_tiyn: int | None = None, *, who: str = "aigul"
) -> RefundAnswer:
    asked = RefundAsked(key=key, ride_key=ride_key, amount_tiyn=amount_tiyn, why="two touches")
    return await town.refunds.ask(asked, who=who, now_ms=NOON_MS)


async def test_a_ride_is_given_back_where_it_was_paid_from(town: MoneyTown) -> None:
    assert await ask(town, "a", "v:1") == RefundAnswer(
        outcome=RefundOutcome.GRANTED, state=RefundState.GRANTED, amount_tiyn=100
    )
    await ask(town, "b", "v:3", 40)
    balances = await town.balances("wallet", "aggregate", "refund")
    assert balances[f"wallet:{medium(7)}"] == -900
    assert balances[f"aggregate:{medium(10)}:{DAY}"] == 60
    assert balances["refund"] == 140


async def test_a_refund_to_who_owes_pays_the_debt_first(town: MoneyTown) -> None:
    await ask(town, "a", "v:2")
    assert await town.balances("wallet", "debt") == {f"wallet:{medium(7)}": -800, f"wallet:{medium(8)}": -1_000}


async def test_attack_40_a_refund_is_given_once_and_never_more_than_was_paid(town: MoneyTown) -> None:
    answers = await asyncio.gather(*(ask(town, f"k{number % 2}", "v:1", 60) for number in range(8)))
    outcomes = sorted(answer.outcome for answer in answers)
    assert outcomes.count(RefundOutcome.GRANTED) == 1
    assert outcomes.count(RefundOutcome.REPEATED) == 3
    assert outcomes.count(RefundOutcome.EXCEEDS_PAID) == 4
    assert (await town.balances("refund")) == {"refund": 60}
    assert (await ask(town, "k0", "v:2", 60)).outcome in {RefundOutcome.KEY_REUSED, RefundOutcome.GRANTED}


async def test_attack_40_a_refund_and_a_chargeback_at_once_give_back_one_fare(town: MoneyTown) -> None:
    chargeback = RefundAsked(key="bank-1", ride_key="v:3", reason=RefundReason.CHARGEBACK)
    both = await asyncio.gather(ask(town, "desk-1", "v:3"), town.refunds.ask(chargeback, who="bolat", now_ms=NOON_MS))
    assert sum(answer.amount_tiyn for answer in both) == 100
    assert sum((await town.balances("refund", "chargeback")).values()) == 100


@pytest.mark.parametrize(
    ("key", "ride_key", "amount", "outcome"),
    [
        ("a", "v:9", 10, RefundOutcome.UNKNOWN_RIDE),
        ("a", "v:1", 0, RefundOutcome.NOT_POSITIVE),
        ("a", "v:1", -50, RefundOutcome.NOT_POSITIVE),
        ("a", "v:1", 101, RefundOutcome.EXCEEDS_PAID),
        ("a", "v:1", 10**17, RefundOutcome.EXCEEDS_PAID),
    ],
)
async def test_what_cannot_go_back_does_not(
    town: MoneyTown, key: str, ride_key: str, amount: int, outcome: RefundOutcome
) -> None:
    assert (await ask(town, key, ride_key, amount)).outcome is outcome
    assert await town.balances("refund") == {}


async def test_a_key_is_of_one_refund(town: MoneyTown) -> None:
    await ask(town, "a", "v:1", 10)
    assert (await ask(town, "a", "v:1", 20)).outcome is RefundOutcome.KEY_REUSED
    assert (await ask(town, "a", "v:3", 10)).outcome is RefundOutcome.KEY_REUSED
    assert (await ask(town, "a", "v:1", 10)).outcome is RefundOutcome.REPEATED


async def test_above_the_limit_of_a_day_a_second_person_decides_and_never_the_same(town: MoneyTown) -> None:
    assert (await ask(town, "a", "v:1")).state is RefundState.GRANTED
    waiting = await ask(town, "b", "v:3")
    assert waiting.state is RefundState.WAITING, "many small ones are no way round"
    assert await town.balances("refund") == {"refund": 100}
    decide = town.refunds.decide
    assert await decide("b", grant=True, who="aigul", now_ms=NOON_MS) is Decision.OWN
    assert await decide("x", grant=True, who="bolat", now_ms=NOON_MS) is Decision.UNKNOWN
    answers = await asyncio.gather(*(decide("b", grant=True, who="bolat", now_ms=NOON_MS) for _ in range(3)))
    assert sorted(answers) == [*2 * [Decision.DECIDED_BEFORE], Decision.TAKEN]
    assert await town.balances("refund") == {"refund": 200}
    with pytest.raises(asyncpg.RestrictViolationError):
        await town.pool.execute("UPDATE refund SET decided_by = asked_by WHERE key = 'b'")


async def test_what_was_declined_gives_nothing_back_and_its_ride_may_be_asked_for_again(town: MoneyTown) -> None:
    await ask(town, "a", "v:1")
    await ask(town, "b", "v:3")
    assert await town.refunds.decide("b", grant=False, who="bolat", now_ms=NOON_MS) is Decision.TAKEN
    assert (await ask(town, "b", "v:3")).state is RefundState.DECLINED
    assert (await ask(town, "c", "v:3", who="dana")).state is RefundState.GRANTED


async def test_carriers_bear_refunds_on_the_statement_of_the_day(town: MoneyTown) -> None:
    await ask(town, "a", "v:1")
    closed = await town.settlement.close(DAY, who="aigul", now_ms=MORNING_AFTER_MS)
    assert [one.statement.refunds_tiyn for one in closed.statements] == [100, 0]
    assert await town.balances("refund", "revenue") == {}


def failed_bus(**changes: int) -> AmnestyWindow:
    hour = 3_600_000
    return AmnestyWindow(
        amnesty_id="sept",
        from_ms=changes.get("from_ms", MIDNIGHT_MS + 7 * hour),
        until_ms=changes.get("until_ms", MIDNIGHT_MS + 9 * hour),
        vehicle_ids=frozenset({"bus-1"}),
        why="validators could not read",
    )


async def grant(town: MoneyTown, window: AmnestyWindow) -> None:
    assert await town.refunds.ask_amnesty(window, who="aigul", now_ms=NOON_MS)
    assert await town.refunds.decide_amnesty("sept", grant=True, who="aigul", now_ms=NOON_MS) is Decision.OWN
    assert await town.refunds.decide_amnesty("sept", grant=True, who="bolat", now_ms=NOON_MS) is Decision.TAKEN


async def test_i2_an_amnesty_gives_back_once_settles_at_nothing_and_stays_to_be_seen(town: MoneyTown) -> None:
    await grant(town, failed_bus())
    assert sum(await asyncio.gather(*(town.refunds.pay_amnesties(now_ms=NOON_MS) for _ in range(3)))) == 2
    # A tap of the window comes only now, as it did in Atyrau: it is charged, and given back before the day is closed.
    await town.ride(tap("w:1", "08:45", 11))
    assert await town.refunds.pay_amnesties(now_ms=NOON_MS) == 1
    assert await town.refunds.pay_amnesties(now_ms=NOON_MS) == 0
    closed = await town.settlement.close(DAY, who="aigul", now_ms=MORNING_AFTER_MS)
    k1 = closed.statements[0].statement
    assert (k1.forgiven_rides, k1.forgiven_tiyn, k1.refunds_tiyn) == (3, 300, 0)
    balances = await town.balances("refund", "revenue", "debt", "wallet")
    assert balances == {f"wallet:{medium(7)}": -900, f"wallet:{medium(8)}": -1_000}
    assert (await ask(town, "greedy", "v:1")).outcome is RefundOutcome.NOT_POSITIVE


async def test_i2_what_an_amnesty_left_to_a_refund_that_was_declined_is_given_back_later(town: MoneyTown) -> None:
    await ask(town, "a", "v:3", 100)  # of the 150 that aigul gives back alone
    assert (await ask(town, "b", "v:1", 60)).state is RefundState.WAITING
    await grant(town, failed_bus())
    assert await town.refunds.pay_amnesties(now_ms=NOON_MS) == 2
    assert (await town.balances("refund"))["refund"] == 100 + 40 + 100
    await town.refunds.decide("b", grant=False, who="bolat", now_ms=NOON_MS)
    assert await town.refunds.pay_amnesties(now_ms=NOON_MS) == 1
    assert await town.refunds.pay_amnesties(now_ms=NOON_MS) == 0
    assert (await town.balances("refund"))["refund"] == 300
    keys = await town.pool.fetch("SELECT key FROM refund WHERE device_id = 'v' AND sequence = 1 ORDER BY key")
    assert [row["key"] for row in keys] == ["amnesty/sept/v:1", "amnesty/sept/v:1/2", "b"]


async def test_i2_17_000_rides_are_given_back_balanced_and_once_though_it_breaks_off(postgres: asyncpg.Pool) -> None:
    town = await money_town(postgres)
    rides = [
        tap(f"v{number % 200}:{number + 1}", MIDNIGHT_MS + 8 * 3_600_000, number + 100) for number in range(17_000)
    ]
    async with town.taps() as intake:
        for first in range(0, len(rides), 2_000):
            await intake.take(rides[first : first + 2_000], backlog=True)
    owed = (await town.balances("debt")).values()
    assert (len(owed), sum(owed)) == (17_000, 1_700_000)
    await grant(town, failed_bus())
    await postgres.execute(BREAK_AT_1200)
    with pytest.raises(asyncpg.RaiseError, match="power"):
        await town.refunds.pay_amnesties(now_ms=NOON_MS)
    await postgres.execute("DROP TRIGGER power_fails ON refund")
    left = 17_000 - await postgres.fetchval("SELECT count(*) FROM refund")
    assert left == 16_000, "what was done stays done, in whole transactions"
    assert await town.refunds.pay_amnesties(now_ms=NOON_MS) == left
    assert await town.refunds.pay_amnesties(now_ms=NOON_MS) == 0
    assert await town.balances("debt") == {}
    closed = await town.settlement.close(DAY, who="aigul", now_ms=MORNING_AFTER_MS)
    assert [one.statement.forgiven_rides for one in closed.statements] == [17_000]
    assert await town.balances("refund", "revenue", "carrier") == {}


async def test_i2_an_amnesty_after_the_day_is_closed_is_not_borne_twice(town: MoneyTown) -> None:
    await town.settlement.close(DAY, who="aigul", now_ms=MORNING_AFTER_MS)
    await grant(town, failed_bus())
    assert await town.refunds.pay_amnesties(now_ms=MORNING_AFTER_MS) == 2
    closed = await town.settlement.close(NEXT_DAY, who="aigul", now_ms=MORNING_AFTER_MS + DAY_MS)
    assert [one.statement.refunds_tiyn for one in closed.statements] == [200]
    assert await town.balances("refund", "revenue") == {}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"until_ms": MIDNIGHT_MS + 30 * DAY_MS}, "at most 14 days"),
        ({"until_ms": MIDNIGHT_MS}, "at most 14 days"),
    ],
)
async def test_an_amnesty_is_for_hours_and_buses(town: MoneyTown, change: dict[str, int], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        await town.refunds.ask_amnesty(failed_bus(**change), who="aigul", now_ms=NOON_MS)


@pytest.mark.parametrize("key", ["amnesty/sept/v:1", "dispute/d1", "repriced/v:1/2", "", "x" * 101, "a\0"])
async def test_nobody_takes_the_key_of_an_amnestys_or_disputes_refund(town: MoneyTown, key: str) -> None:
    with pytest.raises(ValueError, match="key must be"):
        await ask(town, key, "v:1", 1)
    await grant(town, failed_bus())
    assert await town.refunds.pay_amnesties(now_ms=NOON_MS) == 2


@pytest.mark.parametrize("name", ["", "sept/v:1", "a\0", " ", "n" * 65])
async def test_an_amnesty_has_a_name_that_is_part_of_keys(town: MoneyTown, name: str) -> None:
    window = msgspec.structs.replace(failed_bus(), amnesty_id=name)
    with pytest.raises(ValueError, match="amnesty_id must be"):
        await town.refunds.ask_amnesty(window, who="aigul", now_ms=NOON_MS)
