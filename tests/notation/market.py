"""A street with two buses where rides are bought by telephone, on a real PostgreSQL.

Bus ``bus-1`` (0451, plate 123 ABC 11) drives line 12, ``bus-2`` (0452) stands in the depot. A ride costs 100 tiyn, free
within an hour of a paid one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from ayaldama.simulate.places import ToldPlaces
from commons.migrate import migrate
from fare.buying import Buying, BuyingRules, open_buying
from fare.ledger.accounts import debt, wallet
from fare.model import (
    AccountCode,
    Entry,
    Journal,
    JournalKey,
    JournalKind,
    LocatedTap,
    MediumId,
    MediumKind,
    Profile,
)
from fare.purchases import BuyRefusal, Purchase
from fare.service import Charging
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_ledger import open_ledger
from fare.store.postgres_vehicles import PostgresVehicles
from fare.taking import Told
from fare.vehicles import Vehicle
from tests.notation.ledger import account, journal
from tests.notation.rides import MIDNIGHT_MS, SmallTariff, medium

NOON_MS = MIDNIGHT_MS + 12 * 3_600_000
BUSES = (
    Vehicle(vehicle_id="bus-1", fleet_number="0451", plate="123 ABC 11"),
    Vehicle(vehicle_id="bus-2", fleet_number="0452"),
)
LINES = {"bus-1": "12"}


class MarketClock:
    """City time, moved by tests."""

    rate = 1.0

    def __init__(self) -> None:
        self.city_ms = NOON_MS

    def now_ms(self) -> int:
        return self.city_ms

    async def sleep(self, city_s: float) -> None:
        self.city_ms += round(city_s * 1_000)


@dataclass(slots=True)
class OperatorInMemory:
    """A payer that takes what is missing from an account of its own; ``refusal``: it takes nothing."""

    refusal: BuyRefusal | None = None
    took: dict[str, Journal] = field(default_factory=dict)
    entered: set[str] = field(default_factory=set)
    gave_back: list[str] = field(default_factory=list)
    then: Callable[[], Awaitable[None]] | None = None  # happens right after it has taken

    async def taken(self, purchase: Purchase) -> Journal | None:
        return self.took.get(purchase.key)

    async def pay(self, purchase: Purchase, missing_tiyn: int) -> Journal | BuyRefusal:
        if self.refusal is not None:
            return self.refusal
        self.took[purchase.key] = Journal(
            key=JournalKey(f"operator/{purchase.key}"),
            kind=JournalKind.TOP_UP,
            occurred_ms=purchase.asked_ms,
            entries=(
                Entry(account=AccountCode("operator:alma"), amount_tiyn=missing_tiyn),
                Entry(account=wallet(purchase.medium_id), amount_tiyn=-missing_tiyn),
            ),
            subject=purchase.medium_id,
        )
        if self.then is not None:
            await self.then()
        return self.took[purchase.key]

    async def enter(self, connection: asyncpg.Connection, purchase: Purchase) -> bool:
        self.entered.add(purchase.key)
        return True

    async def undo(self, purchase: Purchase) -> None:
        if purchase.key not in self.entered:
            self.gave_back.append(purchase.key)
            del self.took[purchase.key]


class Market:
    """Where tests buy."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.clock = MarketClock()
        self.lines = dict(LINES)
        self.boarded: list[LocatedTap] = []
        self.tariff = SmallTariff()

    async def profiles(self, media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
        return {}

    @asynccontextmanager
    async def opened(self, rules: BuyingRules | None = None, told: Told | None = None) -> AsyncIterator[Buying]:
        """Give a place to buy, as a process of its own has it."""

        async def board(taps: Sequence[LocatedTap]) -> None:
            self.boarded.extend(taps)

        async with open_buying(
            self.pool,
            charging=Charging(pricing=self.tariff, profiles=self.profiles),
            locating=ToldPlaces(lines=self.lines, stop_id="market"),
            told=told or board,
            rules=rules or BuyingRules(),
            clock=self.clock,
        ) as buying:
            yield buying

    async def top_up(self, number: int, tiyn: int) -> None:
        async with open_ledger(self.pool) as ledger:
            await ledger.post([journal(f"up-{number}-{tiyn}", "top_up:kiosk", f"wallet:{number}", tiyn)])

    async def stands(self, number: int) -> tuple[int, int]:
        """Return what is in the wallet of a medium, and what it owes."""
        found = await balances_tiyn(self.pool)
        return -found.get(wallet(medium(number)), 0), found.get(debt(medium(number)), 0)

    async def operator_owes(self) -> int:
        return (await balances_tiyn(self.pool)).get(account("operator:alma"), 0)

    async def rides(self) -> int:
        count: int = await self.pool.fetchval("SELECT count(*) FROM tap WHERE rides")
        return count


def purchase(
    key: str, number: int = 7, vehicle_id: str = "bus-1", *, kind: MediumKind = MediumKind.SMS, at_ms: int = NOON_MS
) -> Purchase:
    """Return a wish to ride of medium ``number``."""
    return Purchase(key=key, medium_id=medium(number), medium_kind=kind, vehicle_id=vehicle_id, asked_ms=at_ms)


@asynccontextmanager
async def market(pool: asyncpg.Pool) -> AsyncIterator[Market]:
    """Give a market in which nobody has money; whatever is done there, the books are whole after it."""
    await migrate(pool, "fare.store")
    await PostgresVehicles(pool).register(BUSES)
    yield Market(pool)
    assert (await verify(pool)).findings == []
