"""A ride that was given back, or given up, and then costs otherwise, on a real PostgreSQL: in either order the same."""

import random
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import pytest

from fare.ledger.accounts import debt, wallet
from fare.ledger.bank_money import charged_back, credited
from fare.ledger.posting import Book
from fare.model import Journal, MediumId, MediumKind
from fare.refund_service import Decision, RefundAsked
from fare.settlement.model import RefundReason
from fare.settlement.refunds import AmnestyWindow
from fare.store.postgres_bank_money import post_bank_money
from fare.store.postgres_desk import refunds_listed
from fare.store.postgres_taps import lock_media
from fare.write_off_desk import WriteOffAsked
from tests.fare.edges.money import DAY, MORNING_AFTER_MS, NEXT_DAY, MoneyTown, money_town
from tests.notation.ledger import account
from tests.notation.office import BANK, Act, Office
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, medium, tap

NOON_MS = MIDNIGHT_MS + 12 * 3_600_000
KINDS = (
    "wallet",
    "debt",
    "aggregate",
    "suspense",
    "refund",
    "chargeback",
    "write_off",
    "revenue",
    "carrier",
    "subsidy",
)

Step = Callable[[MoneyTown], Awaitable[object]]


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> MoneyTown:
    return await money_town(postgres)


def rides(*taps: tuple[str, str, int], kind: MediumKind = MediumKind.TRANSPORT_CARD) -> Step:
    return lambda town: town.ride(*(tap(name, at, number, kind=kind) for name, at, number in taps))


def refund(ride_key: str, tiyn: int | None = None, *, reason: RefundReason = RefundReason.COMPLAINT) -> Step:
    async def ask(town: MoneyTown) -> None:
        key = f"{ride_key}/{tiyn}/{reason}"
        asked = RefundAsked(key=key, ride_key=ride_key, amount_tiyn=tiyn, reason=reason)
        await town.refunds.ask(asked, who=key, now_ms=NOON_MS)  # each by another person: nobody has to wait

    return ask


def write_off(number: int, tiyn: int, key: str = "w") -> Step:
    async def ask(town: MoneyTown) -> None:
        asked = WriteOffAsked(key=key, medium_id=MediumId(medium(number)), amount_tiyn=tiyn, why="cannot be found")
        await town.write_offs.ask(asked, who=key, now_ms=NOON_MS)

    return ask


def top_up(number: int, tiyn: int) -> Step:
    return lambda town: town.top_up(number, tiyn)


async def amnesty(town: MoneyTown) -> None:
    window = AmnestyWindow(
        amnesty_id="sept", from_ms=MIDNIGHT_MS, until_ms=NOON_MS, route_ids=frozenset({"12"}), why="readers failed"
    )
    if await town.refunds.ask_amnesty(window, who="aigul", now_ms=NOON_MS):
        assert await town.refunds.decide_amnesty("sept", grant=True, who="bolat", now_ms=NOON_MS) is Decision.TAKEN
    await town.refunds.pay_amnesties(now_ms=NOON_MS)


async def close(town: MoneyTown) -> None:
    await town.settlement.close(DAY, who="aigul", now_ms=MORNING_AFTER_MS)


async def after(town: MoneyTown, steps: Sequence[Step]) -> dict[str, int]:
    """Return the balances after some steps and two closed days: what is late is on the books then, too."""
    for step in steps:
        await step(town)
    for number, day in enumerate((DAY, NEXT_DAY)):
        await town.refunds.pay_amnesties(now_ms=MORNING_AFTER_MS + number * DAY_MS)
        await town.settlement.close(day, who="aigul", now_ms=MORNING_AFTER_MS + number * DAY_MS)
    return dict(await town.balances(*KINDS))


LATE = rides(("w:1", "07:30", 7))  # 08:00 is a transfer then, and free
RIDE = rides(("v:1", "08:00", 7))


@pytest.mark.parametrize(
    ("steps", "wallet_tiyn"),
    [
        ((RIDE, refund("v:1"), LATE), 900),
        ((RIDE, LATE, refund("v:1")), 900),
        ((RIDE, refund("v:1", 60), LATE), 900),
        ((RIDE, close, refund("v:1"), LATE), 900),
        ((RIDE, refund("v:1"), close, LATE), 900),
        ((RIDE, amnesty, LATE), 1_000),
        ((RIDE, LATE, amnesty), 1_000),
        ((RIDE, close, amnesty, LATE), 1_000),
    ],
)
async def test_what_went_back_of_a_ride_that_becomes_free_is_taken_back(
    town: MoneyTown, steps: Sequence[Step], wallet_tiyn: int
) -> None:
    balances = await after(town, steps)
    assert balances[f"wallet:{medium(7)}"] == -wallet_tiyn
    left = {code: tiyn for code, tiyn in balances.items() if code in {"refund", "revenue:adult"}}
    assert left == {}, "all that was advanced was borne, and all fares are settled"
    carrier_tiyn = 1_000 - wallet_tiyn
    assert balances.get("carrier:k1", 0) == -carrier_tiyn + carrier_tiyn * 2 // 100, "and the carrier has one fare"


async def test_what_was_taken_back_is_named_beside_what_was_granted(town: MoneyTown) -> None:
    for step in (RIDE, refund("v:1", 60), refund("v:1", 30), LATE):
        await step(town)
    listed = await refunds_listed(town.pool)
    assert {(one.reason, one.amount_tiyn, one.excess_tiyn) for one in listed} == {
        ("complaint", 60, 0),
        ("complaint", 30, 0),
        ("correction", -90, 0),
    }


async def test_a_ride_that_costs_again_what_was_given_back_is_given_back_again(town: MoneyTown) -> None:
    third = rides(("v:3", "09:05", 7))
    steps = (third, refund("v:3"), rides(("v:2", "08:30", 7)), rides(("v:1", "08:00", 7)))
    balances = await after(town, steps)  # paid, free, and paid again, as 08:30 is a transfer then
    assert balances[f"wallet:{medium(7)}"] == -900
    assert [one.amount_tiyn for one in await refunds_listed(town.pool)] == [100, -100, 100]


async def test_a_chargeback_stays_the_banks_and_the_card_is_given_nothing_beside_it(town: MoneyTown) -> None:
    bank = MediumKind.BANK_CARD
    steps = (
        rides(("v:1", "08:00", 9), kind=bank),
        refund("v:1", 40),
        refund("v:1", 60, reason=RefundReason.CHARGEBACK),
        rides(("w:1", "07:30", 9), kind=bank),
    )
    balances = await after(town, steps)
    assert balances[f"aggregate:{medium(9)}:{DAY}"] == 160, "60 that the bank has taken back, and a ride of 100"


@pytest.mark.parametrize("kind", [MediumKind.CASH, MediumKind.BANK_CARD])
@pytest.mark.parametrize("steps", [(0, 1), (1, 0)])
async def test_cards_and_cash_get_a_ride_back_once(town: MoneyTown, kind: MediumKind, steps: Sequence[int]) -> None:
    both = refund("v:1"), rides(("w:1", "07:30", 9), kind=kind)
    balances = await after(town, [rides(("v:1", "08:00", 9), kind=kind), *(both[step] for step in steps)])
    card, cash = f"aggregate:{medium(9)}:{DAY}", "suspense"
    assert {code: tiyn for code, tiyn in balances.items() if code in {card, cash, "refund"}} == (
        {card: 100} if kind is MediumKind.BANK_CARD else {}
    )


OWED = rides(("v:1", "08:00", 9))
OWED_LATE = rides(("w:1", "07:30", 9))
GIVE_UP_150 = write_off(9, 100, "a"), write_off(9, 50, "b")


@pytest.mark.parametrize(
    ("steps", "wallet_tiyn", "owed_tiyn", "written_off_tiyn"),
    [
        ((OWED, write_off(9, 100), refund("v:1")), 0, 0, 0),
        ((OWED, refund("v:1"), write_off(9, 100)), 0, 0, 0),
        ((OWED, write_off(9, 100), OWED_LATE), 0, 0, 100),
        ((OWED, OWED_LATE, write_off(9, 100)), 0, 0, 100),
        # Of 100 the wallet paid 40; 60 were owed and given up.
        ((top_up(9, 40), OWED, write_off(9, 60), refund("v:1")), 40, 0, 0),
        ((top_up(9, 40), OWED, write_off(9, 60), refund("v:1", 50)), 0, 0, 10),
        ((top_up(9, 40), OWED, refund("v:1", 50), write_off(9, 10)), 0, 0, 10),
        ((top_up(9, 40), OWED, write_off(9, 60), refund("v:1", 50), refund("v:1")), 40, 0, 0),
        # What was not given up is paid later: that is all that was ever paid.
        ((OWED, write_off(9, 60), top_up(9, 40), refund("v:1")), 40, 0, 0),
        ((OWED, write_off(9, 60), refund("v:1"), top_up(9, 40)), 40, 0, 0),
        ((OWED, write_off(9, 60), top_up(9, 140), amnesty), 140, 0, 0),
        # The latest ride was not paid; the one that was paid is given back in money.
        (
            (top_up(9, 100), OWED, rides(("v:2", "10:00", 9)), write_off(9, 100), refund("v:1")),
            *(100, 0, 100),
        ),
        (
            (top_up(9, 100), OWED, rides(("v:2", "10:00", 9)), write_off(9, 100), refund("v:2")),
            *(0, 0, 0),
        ),
        # Given back, given up and free: each undoes what it can, and nothing goes back that was never paid.
        ((OWED, write_off(9, 60), refund("v:1", 30), OWED_LATE), 0, 40, 60),
        ((OWED, OWED_LATE, write_off(9, 60)), 0, 40, 60),
        (
            (OWED, rides(("v:2", "10:00", 9)), *GIVE_UP_150, rides(("w:1", "09:30", 9)), refund("w:1")),
            *(0, 50, 50),  # 09:30 took over the fare of 10:00, and what was given up of it
        ),
        # A ride after the debt was given up is none of it.
        ((OWED, write_off(9, 100), rides(("v:2", "13:00", 9)), refund("v:1")), 0, 100, 0),
    ],
)
async def test_what_was_given_up_was_never_paid_and_does_not_go_back(
    town: MoneyTown, steps: Sequence[Step], wallet_tiyn: int, owed_tiyn: int, written_off_tiyn: int
) -> None:
    balances = await after(town, steps)
    found = [balances.get(code, 0) for code in (f"wallet:{medium(9)}", f"debt:{medium(9)}", "write_off")]
    assert found == [-wallet_tiyn, owed_tiyn, written_off_tiyn]
    assert balances.get("refund", 0) == 0, "the carrier bears what went back, a write-off we bear"


ACTS = ("top_up", "refund", "refund_all", "write_off", "bank_takes_back")


@pytest.mark.parametrize("seed", [12, 16, 29])  # in which refunds and write-offs meet new prices often
async def test_services_and_database_do_what_the_same_decisions_do_in_memory(town: MoneyTown, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - the same each time
    offices = [Office(number=number) for number in range(20, 24)]
    for count in range(1, 51):
        office = dice.choice(offices)
        number, key = int(office.device[1:]), f"{office.device}/{count}"
        if dice.random() < 0.4:
            at_ms = MIDNIGHT_MS + dice.randint(0, 22) * 1_800_000
            ride = tap(f"{office.device}:{count}", at_ms, number)
            office.arrive(ride)
            await town.ride(ride)
        else:
            ridden = int(dice.choice(list(office.rides) or ["v:0"]).partition(":")[2])
            act = Act(dice.choice(ACTS), ridden, dice.randint(1, 250))
            await done(town, office, act, key)
            office.act(act, NOON_MS)
        office.check()
    balances = await town.balances(*KINDS)
    for office in offices:
        for code in (wallet(office.medium), debt(office.medium)):
            assert balances.get(code, 0) == office.book.balances_tiyn.get(code, 0), code
    for code in ("refund", "write_off", "revenue:adult"):
        tiyn = sum(office.book.balances_tiyn.get(account(code), 0) for office in offices)
        assert balances.get(account(code), 0) == tiyn, code
    repriced = await town.pool.fetchval("SELECT count(*) FROM refund WHERE key LIKE 'repriced/%'")
    shrunk = await town.pool.fetchval("SELECT count(*) FROM journal WHERE key LIKE 'write_off/stands/%'")
    assert repriced > 0 < shrunk, "there was something to be wrong"


async def done(town: MoneyTown, office: Office, act: Act, key: str) -> None:
    """Do through the services what ``office`` is about to do, with a second person where one is needed."""
    if act.what == "top_up":
        await banked(town, office, lambda _: credited(key, BANK, office.medium, act.tiyn, subject=key, at_ms=NOON_MS))
    elif act.what == "bank_takes_back":
        tiyn = min(act.tiyn, office.paid_in_tiyn)
        if tiyn:
            await banked(
                *(town, office),
                lambda book: charged_back(key, BANK, office.medium, tiyn, subject=key, at_ms=NOON_MS, book=book),
            )
    elif act.what == "write_off":
        tiyn = min(act.tiyn, office.owed_tiyn)
        if tiyn:
            await write_off(int(office.device[1:]), tiyn, key)(town)
            await town.write_offs.decide(key, grant=True, who="second", now_ms=NOON_MS)
    else:
        tiyn = None if act.what == "refund_all" else act.tiyn
        asked = RefundAsked(key=key, ride_key=f"{office.device}:{act.ride}", amount_tiyn=tiyn)
        await town.refunds.ask(asked, who=key, now_ms=NOON_MS)
        await town.refunds.decide(key, grant=True, who="second", now_ms=NOON_MS)


async def banked(town: MoneyTown, office: Office, move: Callable[[Book], Journal]) -> None:
    async with town.pool.acquire() as connection, connection.transaction():
        await lock_media(connection, [office.medium])
        await post_bank_money(connection, office.medium, BANK, [move], NOON_MS)
