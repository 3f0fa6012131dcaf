"""Sales of a day on a real PostgreSQL: reports say what was posted, and derive it once."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest

from fare.model import Bill, CarrierId, Profile, Ride
from fare.settlement.model import Sale
from fare.store.postgres_sales import bounds_ms
from tests.fare.edges.money import DAY, MORNING_AFTER_MS, NEXT_DAY, MoneyTown, money_town
from tests.fare.edges.test_settlement_service import a_day, close
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, SmallTariff, tap


@dataclass(frozen=True, slots=True)
class Counting(SmallTariff):
    """A tariff that counts how often it is asked for a bill."""

    bills: list[int] = field(default_factory=list)

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        self.bills.append(len(rides))
        return SmallTariff.bill(self, rides, profile)


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> MoneyTown:
    return await money_town(postgres, Counting())


def asked(town: MoneyTown) -> int:
    """Return how many bills were derived since this was asked last."""
    assert isinstance(town.tariff, Counting)
    count = len(town.tariff.bills)
    town.tariff.bills.clear()
    return count


def money(sales: Sequence[Sale]) -> dict[str, tuple[int, int]]:
    return {sale.ride.key: (sale.priced_tiyn, sale.subsidy_tiyn) for sale in sales}


POSTED = {"v:1": (100, 0), "v:2": (100, 0), "v:3": (50, 50), "v:4": (100, 0), "v:5": (100, 0), "v:6": (0, 0)}


async def test_bills_are_derived_once_and_of_what_came_since(town: MoneyTown) -> None:
    await town.ride(*a_day())
    asked(town)
    sales = await town.settlement.sales(DAY)
    assert asked(town) == 4, "of each medium once"
    assert money(sales) == POSTED
    assert await town.settlement.sales(DAY) == sales
    assert [sale.ride.key for sale in await town.settlement.sales(DAY, CarrierId("k2"))] == ["v:4", "v:2"]
    assert asked(town) == 0
    await town.ride(tap("v:7", "18:00", 9))
    asked(town)
    assert money(await town.settlement.sales(DAY)) == POSTED | {"v:7": (100, 0)}
    assert asked(town) == 1
    assert await town.settlement.sales(NEXT_DAY) == []


async def test_a_late_tap_that_changes_a_price_changes_the_report(town: MoneyTown) -> None:
    await town.ride(*a_day())
    await town.settlement.sales(DAY)
    await town.ride(tap("v:8", "07:30", 7))  # now the ride at eight is a transfer
    sales = money(await town.settlement.sales(DAY))
    assert (sales["v:8"], sales["v:1"]) == ((100, 0), (0, 0))
    assert sum(charged for charged, _ in sales.values()) == -sum((await town.balances("revenue")).values()) - 50


async def test_a_report_says_what_was_posted_although_the_tariff_is_another_now(town: MoneyTown) -> None:
    await town.ride(*a_day())
    dearer = MoneyTown(town.pool, SmallTariff(ride_tiyn=170))
    assert money(await dearer.settlement.sales(DAY)) == POSTED
    assert money(await town.settlement.sales(DAY)) == POSTED


async def test_what_is_settled_is_read_from_there(town: MoneyTown) -> None:
    await town.ride(*a_day())
    before = await town.settlement.sales(DAY)
    assert await town.pool.fetchval("SELECT count(*) FROM ride_bill") == 6
    await close(town)
    assert await town.pool.fetchval("SELECT count(*) FROM ride_bill") == 0, "lines are kept in one place"
    asked(town)
    assert await town.settlement.sales(DAY) == before
    assert asked(town) == 0


async def test_lines_are_there_before_anybody_asks(town: MoneyTown) -> None:
    await town.ride(*a_day())
    asked(town)
    done = [await town.settlement.keep_bills(MORNING_AFTER_MS, media_at_a_time=3, pause_s=0) for _ in range(2)]
    assert (done, asked(town)) == ([4, 0], 4)
    assert money(await town.settlement.sales(DAY)) == POSTED
    assert asked(town) == 0


async def test_a_day_is_read_from_its_first_to_its_last_moment(town: MoneyTown) -> None:
    edges = [MIDNIGHT_MS - 1, MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS - 1, MIDNIGHT_MS + DAY_MS]
    await town.ride(*(tap(f"v:{place}", at_ms, 20 + place) for place, at_ms in enumerate(edges, 1)))
    assert [sale.ride.tapped_ms for sale in await town.settlement.sales(DAY)] == edges[1:3]
    from_ms, until_ms = bounds_ms(town.tariff, DAY)
    assert from_ms <= MIDNIGHT_MS
    assert until_ms >= MIDNIGHT_MS + DAY_MS
    assert until_ms - from_ms <= DAY_MS + 2 * 3_600_000


async def test_in_whatever_order_taps_come_the_report_sums_to_the_books(town: MoneyTown) -> None:
    chance = random.Random(7)  # noqa: S311 - the same taps each time
    taps = [tap(f"v:{n}", MIDNIGHT_MS + chance.randrange(DAY_MS), 7 + n % 3) for n in range(1, 40)]
    chance.shuffle(taps)
    for first in range(0, len(taps), 8):
        await town.ride(*taps[first : first + 8])
        sales = await town.settlement.sales(DAY)
        assert len(sales) == len(taps[: first + 8])
        posted = sum(sale.priced_tiyn + sale.subsidy_tiyn for sale in sales)
        assert posted == -sum((await town.balances("revenue")).values())
