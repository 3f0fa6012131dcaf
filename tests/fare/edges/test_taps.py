"""Taps on a real PostgreSQL: stored once, charged as the tariff says, whatever order they come in."""

import asyncio
import datetime as dt
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from commons.migrate import migrate
from fare.ledger.accounts import debt, wallet
from fare.ledger.billing import Pricing
from fare.model import Bill, Concession, LocatedTap, MediumId, MediumKind, Profile, Ride
from fare.outcomes import TapOutcome, TapReceipt
from fare.precedence import Precedence
from fare.service import TapIntake, open_taps
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_ledger import open_ledger
from fare.store.postgres_taps import media_in_debt
from tests.notation.ledger import journal
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, PUPIL, SmallTariff, medium, tap, total_tiyn
from tests.patience import PATIENCE_S

LOCKS_AWAITED = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
PROFILES = {medium(8): Profile(concessions=(Concession(category=PUPIL, from_date="2025-09-01", until_date=""),))}


async def profiles(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
    return {one: PROFILES[one] for one in media if one in PROFILES}


@asynccontextmanager
async def opens(pool: asyncpg.Pool, tariff: Pricing | None = None) -> AsyncIterator[TapIntake]:
    async with open_taps(pool, pricing=tariff or SmallTariff(), profiles=profiles, quiet_s=0) as taps:
        yield taps
        await taps.charged()


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> AsyncIterator[asyncpg.Pool]:
    """A database in which medium 7 has 1,000 tiyn; whatever a test does, the books are whole after it."""
    await migrate(postgres, "fare.store")
    async with open_ledger(postgres) as ledger:
        await ledger.post([journal("up", "top_up:kiosk", "wallet:7", 1_000)])
    yield postgres
    assert (await verify(postgres)).findings == []


async def journals(pool: asyncpg.Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM journal"))


async def test_a_tap_is_stored_once_and_charged_once(town: asyncpg.Pool) -> None:
    async with opens(town) as taps:
        assert await taps.take([tap("v:1", "08:00"), tap("v:1", "08:00")]) == [TapReceipt.STORED, TapReceipt.REPEATED]
        assert await taps.take([tap("v:1", "08:00"), tap("v:2", "12:00")]) == [TapReceipt.REPEATED, TapReceipt.STORED]
    assert (await balances_tiyn(town))[wallet(medium(7))] == -800


async def test_attack_13_another_tap_under_a_known_name_is_a_fork_and_charges_nothing(town: asyncpg.Pool) -> None:
    async with opens(town) as taps:
        await taps.take([tap("v:1", "08:00")])
        for _ in range(2):
            assert await taps.take([tap("v:1", "12:00")]) == [TapReceipt.FORKED]
        both = [tap("v:2", "13:00"), tap("v:2", "14:00")]
        assert await taps.take(both) == [TapReceipt.STORED, TapReceipt.FORKED]
    assert (await balances_tiyn(town))[wallet(medium(7))] == -800


async def test_attack_13_a_fork_of_another_medium_through_two_processes_is_found_whoever_is_first(
    town: asyncpg.Pool,
) -> None:
    """The locks are of media, so only the name of the tap stands between the two."""
    names = [f"v:{number}" for number in range(1, 31)]
    async with opens(town) as one, opens(town) as other:
        answers = await asyncio.gather(
            one.take([tap(name, "08:00", 8) for name in names]),
            other.take([tap(name, "08:00", 9) for name in reversed(names)], backlog=True),
        )
    first, second = answers[0], answers[1][::-1]
    assert {frozenset(pair) for pair in zip(first, second, strict=True)} == {
        frozenset({TapReceipt.STORED, TapReceipt.FORKED})
    }
    assert await town.fetchval("SELECT count(*) FROM tap") == len(names)


async def test_a_backlog_of_many_media_is_answered_in_its_order(town: asyncpg.Pool) -> None:
    stored = [tap(f"v:{number}", "08:00", number) for number in range(1, 301)]
    async with opens(town) as taps:
        await taps.take(stored[::3], backlog=True)
        answers = await taps.take(stored, backlog=True)
    assert answers == 100 * [TapReceipt.REPEATED, TapReceipt.STORED, TapReceipt.STORED]


class Counting:
    """A tariff that counts the bills it is asked for."""

    bills = 0

    def service_day(self, at_ms: int) -> dt.date:
        return SmallTariff().service_day(at_ms)

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        self.bills += 1
        return SmallTariff().bill(rides, profile)


async def test_a_backlog_is_stored_at_once_and_each_medium_of_it_priced_once(town: asyncpg.Pool) -> None:
    tariff = Counting()
    async with open_taps(town, pricing=tariff, profiles=profiles, quiet_s=60) as taps:
        for number in range(1, 6):
            await taps.take(
                [tap(f"v{number}:1", f"{7 + 2 * number:02}:00"), tap(f"v{number}:2", "09:00", 9)], backlog=True
            )
    assert tariff.bills == 0
    assert await town.fetchval("SELECT count(*) FROM tap") == 10
    assert await journals(town) == 1
    async with opens(town, tariff) as taps:  # the process that stored them is gone
        await taps.charged()
    assert tariff.bills == 2
    balances = await balances_tiyn(town)
    assert balances[wallet(medium(7))] == -750
    assert await town.fetchval("SELECT count(*) FROM medium_to_charge") == 0


async def test_a_live_tap_before_older_ones_are_charged_changes_nothing_in_the_end(town: asyncpg.Pool) -> None:
    """Its day's cap is reached by rides that are stored and not charged yet."""
    async with open_taps(town, pricing=SmallTariff(), profiles=profiles, quiet_s=60) as taps:
        await taps.take([tap("v:1", "08:00"), tap("v:2", "10:00"), tap("v:3", "14:00")], backlog=True)
        await taps.take([tap("w:1", "12:00")])
        assert (await balances_tiyn(town))[wallet(medium(7))] == -1_000 + 50, "the third ride of the day"
    async with opens(town) as taps:
        await taps.charged()
        assert await taps.recompute(MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, post=True) == []
    assert (await balances_tiyn(town))[wallet(medium(7))] == -750


async def test_a_live_tap_that_waits_for_what_is_charged_later_is_not_given_way_to(town: asyncpg.Pool) -> None:
    """Else each would wait for the other, for as long as giving way may last."""
    pricing, at_the_door = asyncio.Event(), asyncio.Event()

    async def slowly(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
        pricing.set()
        await at_the_door.wait()
        return await profiles(media)

    async with (
        asyncio.timeout(PATIENCE_S),
        open_taps(
            town, pricing=SmallTariff(), profiles=slowly, quiet_s=0, precedence=Precedence(give_way_max_s=10**6)
        ) as taps,
    ):
        await taps.take([tap("v:1", "08:00")], backlog=True)
        await pricing.wait()  # its medium is locked
        live = asyncio.create_task(taps.take([tap("v:2", "12:00")]))
        while not await town.fetchval(LOCKS_AWAITED):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
        at_the_door.set()
        assert await live == [TapReceipt.STORED]
        await taps.charged()
    assert (await balances_tiyn(town))[wallet(medium(7))] == -800


async def test_i1_the_same_capture_fifty_times_with_restarts_and_two_workers_is_one_charge(town: asyncpg.Pool) -> None:
    batch = [tap(f"v:{number}", "23:30", number) for number in range(1, 9)]
    receipts: Counter[TapReceipt] = Counter()
    for _ in range(5):
        async with opens(town) as one, opens(town) as other:
            answers = await asyncio.gather(*(worker.take(batch) for worker in (one, other) for _ in range(5)))
        receipts.update(receipt for answer in answers for receipt in answer)
    assert receipts == {TapReceipt.STORED: 8, TapReceipt.REPEATED: 8 * 49}
    assert await town.fetchval("SELECT count(*) FROM journal WHERE key LIKE 'fare/%'") == 8


async def test_taps_that_begin_no_ride_are_stored_and_cost_nothing(town: asyncpg.Pool) -> None:
    async with opens(town) as taps:
        refused = [
            tap(f"v:{number}", "08:00", outcome=outcome)
            for number, outcome in enumerate((TapOutcome.ALREADY_PAID, TapOutcome.REFUSED_DENIED, TapOutcome.TORN), 1)
        ]
        assert await taps.take(refused) == 3 * [TapReceipt.STORED]
    assert await town.fetchval("SELECT count(*) FROM tap WHERE NOT rides") == 3
    assert await journals(town) == 1


async def test_a_ride_that_is_not_of_its_tap_is_the_callers_mistake(town: asyncpg.Pool) -> None:
    mixed = LocatedTap(tap=tap("v:1", "08:00").tap, ride=tap("v:2", "08:00").ride)
    async with opens(town) as taps:
        with pytest.raises(ValueError, match="ride of tap v:1 must have its key"):
            await taps.take([mixed])


async def test_who_owes_is_told_after_the_commit_and_found_again_later(town: asyncpg.Pool) -> None:
    told: dict[MediumId, int] = {}
    async with open_taps(town, pricing=SmallTariff(), profiles=profiles, owing=told.update) as taps:
        await taps.take([tap("v:1", "08:00", 7), tap("v:2", "08:00", 9)])
    assert told == {medium(7): 0, medium(9): 100}
    assert await media_in_debt(town) == {medium(9): 100}


async def test_i10_a_top_up_counts_at_once_without_activation(town: asyncpg.Pool) -> None:
    async with opens(town) as taps, open_ledger(town) as ledger:
        await ledger.post([journal("up-9", "top_up:kiosk", "wallet:9", 150)])
        await taps.take([tap("v:1", "08:00", 9)])
    balances = await balances_tiyn(town)
    assert balances[wallet(medium(9))] == -50, "the next tap after the top-up is paid by it"
    assert balances.get(debt(medium(9)), 0) == 0


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_through_two_processes_gives_the_balances_of_the_tariff(town: asyncpg.Pool, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a scenario, not a secret
    history = [
        tap(f"v{dice.randrange(4)}:{number}", MIDNIGHT_MS + dice.randrange(3 * DAY_MS), dice.choice((7, 8, 9)))
        for number in range(1, 121)
    ]
    arriving = [*history, *dice.sample(history, 40)]
    dice.shuffle(arriving)
    async with opens(town) as one, opens(town) as other:
        await asyncio.gather(
            *(
                dice.choice((one, other)).take(arriving[first : first + 4], backlog=dice.random() < 0.3)
                for first in range(0, len(arriving), 4)
            )
        )
        await asyncio.gather(one.charged(), other.charged())
        before = await journals(town)
        assert await one.recompute(MIDNIGHT_MS, MIDNIGHT_MS + 3 * DAY_MS, post=True) == []
        assert await journals(town) == before, "recomputing from raw taps posts nothing"
    balances = await balances_tiyn(town)
    for medium_id, charged_tiyn in total_tiyn(history, SmallTariff(), PROFILES).items():
        paid_tiyn = 1_000 if medium_id == medium(7) else 0
        standing_tiyn = balances.get(wallet(medium_id), 0) + balances.get(debt(medium_id), 0)
        assert standing_tiyn == charged_tiyn - paid_tiyn
        assert 0 in (balances.get(wallet(medium_id), 0), balances.get(debt(medium_id), 0))


async def test_attack_54_a_tariff_changed_retroactively_is_a_report_before_it_is_money(town: asyncpg.Pool) -> None:
    async with opens(town) as taps:
        await taps.take([tap("v:1", "08:00"), tap("v:2", "12:00"), tap("v:3", "12:00", 9, kind=MediumKind.BANK_CARD)])
    before = await balances_tiyn(town)
    async with opens(town, SmallTariff(ride_tiyn=110)) as taps:
        report = await taps.recompute(MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, post=False)
        assert {change.ride.key: change.difference_tiyn for change in report} == {"v:1": 10, "v:2": 10, "v:3": 10}
        assert await balances_tiyn(town) == before
        assert len(await taps.recompute(MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, post=True)) == 3
        assert await taps.recompute(MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, post=True) == []
    assert (await balances_tiyn(town))[wallet(medium(7))] == -780
    assert await town.fetchval("SELECT count(*) FROM journal WHERE kind = 'correction'") == 3


@pytest.mark.parametrize("table", ["tap", "ride_charge"])
@pytest.mark.parametrize("change", ["UPDATE {} SET sequence = 9", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_facts_stay_as_they_are(town: asyncpg.Pool, table: str, change: str) -> None:
    async with opens(town) as taps:
        await taps.take([tap("v:1", "08:00")])
    with pytest.raises(asyncpg.RestrictViolationError):
        await town.execute(change.format(table))
