"""Debts are given up once, never above what is owed, and above a limit by two people, on a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from fare.model import MediumId
from fare.refund_service import Decision, RefundState
from fare.write_off_desk import WriteOffAnswer, WriteOffAsked, WriteOffOutcome
from tests.fare.edges.money import MoneyTown, money_town
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, medium, tap

NOON_MS = MIDNIGHT_MS + 12 * 3_600_000


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> MoneyTown:
    town = await money_town(postgres)
    await town.ride(*(tap(f"v:{number}", "08:00", number) for number in (9, 11, 12, 13)), tap("v:1", "10:00", 9))
    return town


async def ask(
    town: MoneyTown, key: str, tiyn: int, number: int = 9, *, who: str = "aigul", at_ms: int = NOON_MS
) -> WriteOffAnswer:
    asked = WriteOffAsked(key=key, medium_id=MediumId(medium(number)), amount_tiyn=tiyn, why="cannot be found")
    return await town.write_offs.ask(asked, who=who, now_ms=at_ms)


def answer(outcome: WriteOffOutcome, state: RefundState | None = RefundState.GRANTED) -> WriteOffAnswer:
    return WriteOffAnswer(outcome=outcome, state=state)


async def test_i5_a_debt_is_given_up_once_and_never_more_than_is_owed(town: MoneyTown) -> None:
    assert await ask(town, "a", 201) == answer(WriteOffOutcome.NOT_OWED, None)
    both = await asyncio.gather(ask(town, "b", 100), ask(town, "b", 100))
    assert sorted(one.outcome for one in both) == [WriteOffOutcome.REPEATED, WriteOffOutcome.TAKEN]
    assert await ask(town, "b", 99) == answer(WriteOffOutcome.KEY_REUSED, None)
    assert await ask(town, "b", 100, 11) == answer(WriteOffOutcome.KEY_REUSED, None)
    assert await ask(town, "c", 101) == answer(WriteOffOutcome.NOT_OWED, None)
    assert (await town.balances("write_off"))["write_off"] == 100
    assert (await town.balances("debt"))[f"debt:{medium(9)}"] == 100


async def test_more_than_one_may_at_a_time_waits_for_a_second_person_and_never_the_same(town: MoneyTown) -> None:
    assert await ask(town, "a", 101) == answer(WriteOffOutcome.TAKEN, RefundState.WAITING)
    assert await town.balances("write_off") == {}
    decide = town.write_offs.decide
    assert await decide("a", grant=True, who="aigul", now_ms=NOON_MS) is Decision.OWN
    assert await decide("x", grant=True, who="bolat", now_ms=NOON_MS) is Decision.UNKNOWN
    answers = await asyncio.gather(*(decide("a", grant=True, who="bolat", now_ms=NOON_MS) for _ in range(3)))
    assert sorted(answers) == [*2 * [Decision.DECIDED_BEFORE], Decision.TAKEN]
    assert await town.balances("write_off") == {"write_off": 101}
    (listed,) = await town.write_offs.asked()
    assert (listed.state, listed.asked_by, listed.decided_by) == ("granted", "aigul", "bolat")


async def test_many_small_ones_are_no_way_round_even_at_once(town: MoneyTown) -> None:
    answers = await asyncio.gather(*(ask(town, f"k{number}", 100, number) for number in (11, 12, 13)))
    assert sorted(str(one.state) for one in answers) == ["granted", "granted", "waiting"]
    assert await town.balances("write_off") == {"write_off": 200}, "of 250 within a day"
    assert (await ask(town, "other", 100, who="bolat")).state is RefundState.GRANTED
    assert (await ask(town, "later", 50, at_ms=NOON_MS + DAY_MS + 1)).state is RefundState.GRANTED


async def test_what_was_declined_or_is_not_owed_any_more_is_not_given_up(town: MoneyTown) -> None:
    await ask(town, "a", 200)
    await ask(town, "b", 200, who="bolat")
    assert await town.write_offs.decide("a", grant=False, who="bolat", now_ms=NOON_MS) is Decision.TAKEN
    assert await town.balances("write_off") == {}
    await ask(town, "c", 1)
    assert await town.write_offs.decide("b", grant=True, who="aigul", now_ms=NOON_MS) is Decision.NOT_POSSIBLE
    assert await town.balances("write_off") == {"write_off": 1}
    with pytest.raises(asyncpg.RestrictViolationError):
        await town.pool.execute("UPDATE write_off SET decided_by = 'aigul' WHERE key = 'a'")


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"key": ""}, "key must be"),
        ({"key": "stands/1"}, "key must be"),
        ({"why": " "}, "why must be"),
        ({"amount_tiyn": 0}, "amount_tiyn must be"),
        ({"medium_id": "x\0"}, "medium_id must be"),
    ],
)
async def test_what_has_no_form_is_refused(town: MoneyTown, changed: dict[str, object], rule: str) -> None:
    asked = {"key": "a", "medium_id": medium(9), "amount_tiyn": 1, "why": "?"} | changed
    with pytest.raises(ValueError, match=rule):
        await town.write_offs.ask(WriteOffAsked(**asked), who="aigul", now_ms=NOON_MS)  # type: ignore[arg-type]
