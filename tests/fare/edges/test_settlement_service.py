"""Days closed and paid out: every tiyn of fares ends with a carrier, with us, or back with who paid it."""

import asyncio
import datetime as dt
import random

import asyncpg
import pytest

from fare.audit_trail import Act
from fare.model import CarrierId, LocatedTap, MediumKind
from fare.service import open_taps
from fare.settlement.closing import Closing, Part
from fare.settlement_service import Closed
from fare.store.postgres_audit import audit_broken_at, latest_lines
from tests.fare.edges.money import DAY, MORNING_AFTER_MS, NEXT_DAY, MoneyTown, money_town, of_carrier, profiles
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, SmallTariff, tap

K1, K2 = CarrierId("k1"), CarrierId("k2")


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> MoneyTown:
    return await money_town(postgres)


def a_day() -> list[LocatedTap]:
    return [
        tap("v:1", "08:00", 7),
        of_carrier(tap("v:2", "10:00", 7), "k2"),
        tap("v:3", "08:30", 8),
        of_carrier(tap("v:4", "09:00", 9, kind=MediumKind.BANK_CARD), "k2"),
        tap("v:5", "09:10", 10, kind=MediumKind.CASH),
        tap("v:6", "08:20", 7),  # a transfer: costs nothing and is a ride
    ]


async def close(town: MoneyTown, day: dt.date = DAY, *, now_ms: int = MORNING_AFTER_MS) -> Closed:
    return await town.settlement.close(day, who="aigul", now_ms=now_ms)


async def test_a_day_is_closed_and_revenue_is_empty(town: MoneyTown) -> None:
    await town.ride(*a_day())
    closed = await close(town)
    assert closed.outcome is Closing.CLOSED
    payable = {(one.statement.carrier_id, one.part): one.statement.payable_tiyn for one in closed.statements}
    # k1: 100 by card and 50 by a pupil's card, of which 2 % are 3, and 50 from the city; cash is there already.
    # k2: 100 by card (2 are kept) and 100 by a bank card (3 are kept).
    assert payable == {(K1, Part.DAY): 100 + 50 - 3 + 50, (K2, Part.DAY): 195}
    assert [one.statement.rides for one in closed.statements] == [4, 2]
    assert await town.balances("revenue", "carrier", "commission", "cash", "subsidy") == {
        "carrier:k1": -197,
        "carrier:k2": -195,
        "commission": -8,
        "subsidy:pupil": 50,
    }


async def test_a_day_is_closed_once_whoever_repeats_it(town: MoneyTown) -> None:
    await town.ride(*a_day())
    outcomes = [closed.outcome for closed in await asyncio.gather(*(close(town) for _ in range(4)))]
    assert sorted(outcomes) == [Closing.CLOSED, *3 * [Closing.REPEATED]]
    before = await town.journals()
    again = await close(town)
    assert again.outcome is Closing.REPEATED
    assert [one.statement.payable_tiyn for one in again.statements] == [197, 195]
    assert await town.journals() == before
    acts = [line.act for line in await latest_lines(town.pool, 5)]
    assert acts == [Act.DAY_CLOSED]


async def test_a_day_that_goes_on_is_not_closed_and_days_are_closed_in_order(town: MoneyTown) -> None:
    await town.ride(*a_day())
    assert (await close(town, now_ms=MIDNIGHT_MS + DAY_MS - 1)).outcome is Closing.NOT_OVER
    await close(town, NEXT_DAY, now_ms=MORNING_AFTER_MS + DAY_MS)
    assert (await close(town)).outcome is Closing.OUT_OF_ORDER
    found = await town.settlement.statements(NEXT_DAY)
    assert {one.part for one in found} == {Part.LATE}, "its rides were late for the day after"


async def test_a_tap_that_comes_late_is_settled_with_the_next_day_as_a_difference(town: MoneyTown) -> None:
    await town.ride(*a_day())
    await close(town)
    # An earlier ride of medium 7 makes 08:00 a transfer; the one of 08:20 still is one.
    await town.ride(tap("w:1", "07:30", 7), of_carrier(tap("w:2", "07:40", 11), "k2"))
    await town.ride(tap("w:3", MIDNIGHT_MS + DAY_MS + 8 * 3_600_000, 12))
    closed = await close(town, NEXT_DAY, now_ms=MORNING_AFTER_MS + DAY_MS)
    parts = {
        (one.statement.carrier_id, one.part): (one.statement.charged_tiyn, one.statement.payable_tiyn)
        for one in closed.statements
    }
    assert parts == {(K1, Part.DAY): (100, 98), (K1, Part.LATE): (0, 0), (K2, Part.LATE): (100, 98)}
    assert await town.balances("revenue") == {}
    assert (await town.balances("carrier"))["carrier:k2"] == -(195 + 98)
    after = await close(town, NEXT_DAY + dt.timedelta(days=1), now_ms=MORNING_AFTER_MS + 2 * DAY_MS)
    assert after.statements == [], "nothing is settled twice"


async def test_a_tap_that_waited_for_months_on_a_device_is_settled_too(town: MoneyTown) -> None:
    await town.ride(*a_day())
    await close(town)
    old_ms = MIDNIGHT_MS - 70 * DAY_MS + 8 * 3_600_000
    # The second is a transfer as soon as the first is there, which comes after it was settled.
    await town.ride(tap("w:2", old_ms + 1_200_000, 7))
    closed = await close(town, NEXT_DAY, now_ms=MORNING_AFTER_MS + DAY_MS)
    assert [(one.part, one.statement.charged_tiyn) for one in closed.statements] == [(Part.LATE, 100)]
    await town.ride(of_carrier(tap("w:1", old_ms, 7), "k2"))
    closed = await close(town, NEXT_DAY + dt.timedelta(days=1), now_ms=MORNING_AFTER_MS + 2 * DAY_MS)
    assert {one.statement.carrier_id: one.statement.charged_tiyn for one in closed.statements} == {K1: -100, K2: 100}
    assert await town.balances("revenue") == {}


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_when_all_statements_together_are_what_rides_cost(town: MoneyTown, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a scenario, not a secret
    history = [
        of_carrier(
            tap(f"v{dice.randrange(3)}:{number}", MIDNIGHT_MS + dice.randrange(3 * DAY_MS), dice.choice((7, 8, 9))),
            dice.choice(("k1", "k2")),
        )
        for number in range(1, 61)
    ]
    dice.shuffle(history)
    for day in range(4):
        await town.ride(*history[day * 15 : day * 15 + 15])
        await close(town, DAY + dt.timedelta(days=day), now_ms=MORNING_AFTER_MS + day * DAY_MS)
    await close(town, DAY + dt.timedelta(days=4), now_ms=MORNING_AFTER_MS + 4 * DAY_MS)
    assert await town.balances("revenue") == {}
    settled = await town.pool.fetch("SELECT statement::text FROM settled_statement")
    assert settled
    balances = await town.balances("wallet", "debt", "subsidy", "commission", "carrier")
    assert sum(balances.values()) == -2_000, "all that was paid in, less what rides cost, is still the riders'"


async def test_books_that_say_otherwise_than_the_tariff_are_not_closed(town: MoneyTown) -> None:
    await town.ride(*a_day())
    dearer = MoneyTown(town.pool, SmallTariff(ride_tiyn=110))
    refused = await close(dearer)
    assert (refused.outcome, refused.differing) == (Closing.BOOKS_DIFFER, 5)
    assert await town.pool.fetchval("SELECT count(*) FROM settled_day") == 0


async def test_a_day_with_rides_that_are_stored_and_not_charged_yet_is_not_closed(town: MoneyTown) -> None:
    async with open_taps(town.pool, pricing=town.tariff, profiles=profiles, quiet_s=60) as intake:
        await intake.take(a_day(), backlog=True)
    refused = await close(town)
    assert (refused.outcome, refused.differing) == (Closing.BOOKS_DIFFER, 5)
    async with town.taps() as intake:  # the next process charges them
        await intake.charged()
    assert (await close(town)).outcome is Closing.CLOSED


async def test_a_carrier_is_paid_once(town: MoneyTown) -> None:
    await town.ride(*a_day())
    assert await town.settlement.pay_out(DAY, K1, who="aigul", now_ms=MORNING_AFTER_MS) is None
    await close(town)
    paid = await asyncio.gather(
        *(town.settlement.pay_out(DAY, K1, who="aigul", now_ms=MORNING_AFTER_MS) for _ in range(3))
    )
    assert sorted(one for one in paid if one is not None) == [0, 0, 197]
    assert await town.balances("carrier", "bank") == {"carrier:k2": -195, "bank:main": -197}
    assert await audit_broken_at(town.pool) is None


@pytest.mark.parametrize("table", ["settled_day", "settled_ride"])
async def test_what_was_settled_stays(town: MoneyTown, table: str) -> None:
    await town.ride(*a_day())
    await close(town)
    with pytest.raises(asyncpg.RestrictViolationError):
        await town.pool.execute(f"DELETE FROM {table}")  # noqa: S608 - a table of ours
