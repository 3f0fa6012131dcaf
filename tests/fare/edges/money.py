"""A town whose days are settled: taps go in, days are closed, money goes back, on a real PostgreSQL."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from commons.migrate import migrate
from fare.ledger.audit import trial_balance
from fare.model import AccountCode, CarrierId, Concession, LocatedTap, MediumId, MediumKind, Profile
from fare.refund_service import Refunds
from fare.service import TapIntake, open_taps
from fare.settlement_service import Settlement, SettlementRules
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_ledger import open_ledger
from fare.write_off_desk import WriteOffDesk
from tests.notation.ledger import journal
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, PUPIL, SmallTariff, medium

DAY = dt.date(1970, 1, 1) + dt.timedelta(days=MIDNIGHT_MS // DAY_MS)
NEXT_DAY = DAY + dt.timedelta(days=1)
MORNING_AFTER_MS = MIDNIGHT_MS + DAY_MS + 6 * 3_600_000
PROFILES = {medium(8): Profile(concessions=(Concession(category=PUPIL, from_date="2025-09-01", until_date=""),))}
RULES = SettlementRules(
    commission_bp={MediumKind.TRANSPORT_CARD: 200, MediumKind.BANK_CARD: 300},
    alone_tiyn=150,
    write_off_alone_tiyn=100,
    write_off_day_tiyn=250,
)


async def profiles(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
    return {one: PROFILES[one] for one in media if one in PROFILES}


def of_carrier(tap: LocatedTap, carrier: str, *, route: str = "12", vehicle: str = "bus-1") -> LocatedTap:
    assert tap.ride is not None
    ride = msgspec.structs.replace(tap.ride, carrier_id=CarrierId(carrier), route_id=route, vehicle_id=vehicle)
    return LocatedTap(tap=msgspec.structs.replace(tap.tap, vehicle_id=vehicle), ride=ride)


class MoneyTown:
    def __init__(self, pool: asyncpg.Pool, tariff: SmallTariff | None = None) -> None:
        self.pool = pool
        self.tariff = tariff or SmallTariff()
        self.settlement = Settlement(pool, pricing=self.tariff, profiles=profiles, rules=RULES)
        self.refunds = Refunds(pool, pricing=self.tariff, rules=RULES)
        self.write_offs = WriteOffDesk(pool, rules=RULES)

    @asynccontextmanager
    async def taps(self) -> AsyncIterator[TapIntake]:
        async with open_taps(self.pool, pricing=self.tariff, profiles=profiles, quiet_s=0) as intake:
            yield intake
            await intake.charged()

    async def ride(self, *taps: LocatedTap) -> None:
        async with self.taps() as intake:
            await intake.take(taps)

    async def top_up(self, number: int, tiyn: int) -> None:
        async with open_ledger(self.pool) as ledger:
            await ledger.post([journal(f"up-{number}-{tiyn}", "top_up:kiosk", f"wallet:{number}", tiyn)])

    async def balances(self, *kinds: str) -> dict[AccountCode, int]:
        """Return the balances that are not 0, of some kinds or all; the books are whole whenever anybody looks."""
        audit = await verify(self.pool)
        assert audit.findings == []
        found = await balances_tiyn(self.pool)
        lines = trial_balance(found)
        assert sum(line.debit_tiyn - line.credit_tiyn for line in lines) == 0
        return {code: tiyn for code, tiyn in found.items() if tiyn and (not kinds or code.partition(":")[0] in kinds)}

    async def journals(self) -> int:
        count: int = await self.pool.fetchval("SELECT number FROM ledger_head")
        return count


async def money_town(pool: asyncpg.Pool, tariff: SmallTariff | None = None) -> MoneyTown:
    await migrate(pool, "fare.store")
    town = MoneyTown(pool, tariff)
    await town.top_up(7, 1_000)
    await town.top_up(8, 1_000)
    return town
