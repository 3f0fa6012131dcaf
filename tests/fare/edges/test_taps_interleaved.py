"""Taps of two processes on a real PostgreSQL whose connections are killed at any moment, compared with the oracle.

``AYALDAMA_INTERLEAVINGS`` histories are played; each is made by its seed, and so is when connections are killed.
"""

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import asyncpg
import pytest

from commons.migrate import migrate
from fare.ledger.accounts import debt, wallet
from fare.model import LocatedTap, MediumId, Profile
from fare.outcomes import TapReceipt
from fare.service import TapIntake, open_taps
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_ledger import open_ledger
from tests.notation.ledger import journal
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, SmallTariff, medium, tap, total_tiyn

HISTORIES = int(os.environ.get("AYALDAMA_INTERLEAVINGS", "5"))
MEDIA = (7, 8, 9)
TAPS = 60
KILLS_MAX = 150  # several times as many as there are, lest a busy machine get nothing done between two
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
KILL_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'taps'
ORDER BY hashtext(pid::text || $1) LIMIT 1
"""


async def nobody(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
    return {}


def pool_like(pool: asyncpg.Pool) -> asyncpg.Pool:
    """Return a pool of another process to the same database."""
    return asyncpg.create_pool(
        pool._connect_args[0],
        min_size=1,
        max_size=7,
        server_settings={"application_name": "taps"},
    )


async def upload(intakes: Sequence[TapIntake], taps: Sequence[LocatedTap], dice: random.Random) -> list[TapReceipt]:
    """Hand taps in until they are answered, to whichever process, as a device does."""
    while True:
        try:
            return await dice.choice(intakes).take(taps, backlog=dice.random() < 0.4)
        except AWAY:
            await asyncio.sleep(dice.uniform(0, 0.02))


async def kill_connections(pool: asyncpg.Pool, dice: random.Random) -> None:
    for _ in range(KILLS_MAX):
        await asyncio.sleep(dice.uniform(0.002, 0.05))
        await pool.fetchval(KILL_ONE, str(dice.random()))


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_killed_connections_lose_no_tap_and_charge_none_twice(postgres: asyncpg.Pool, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a history, not a secret
    await migrate(postgres, "fare.store")
    async with open_ledger(postgres) as ledger:
        await ledger.post([journal("up", "top_up:kiosk", "wallet:7", 1_000)])
    history = [
        tap(f"v{dice.randrange(3)}:{number}", MIDNIGHT_MS + dice.randrange(2 * DAY_MS), dice.choice(MEDIA))
        for number in range(1, TAPS + 1)
    ]
    arriving = [*history, *dice.sample(history, TAPS // 3)]
    dice.shuffle(arriving)
    async with AsyncExitStack() as processes:
        intakes = [
            await processes.enter_async_context(
                open_taps(
                    await processes.enter_async_context(pool_like(postgres)),
                    pricing=SmallTariff(),
                    profiles=nobody,
                    quiet_s=0,
                )
            )
            for _ in range(2)
        ]
        killing = asyncio.create_task(kill_connections(postgres, dice))
        receipts = await asyncio.gather(
            *(upload(intakes, arriving[first : first + 3], dice) for first in range(0, len(arriving), 3))
        )
        killing.cancel()
        await asyncio.gather(*(intake.charged() for intake in intakes))
    assert {receipt for some in receipts for receipt in some} <= {TapReceipt.STORED, TapReceipt.REPEATED}
    rows = await postgres.fetch("SELECT device_id, sequence FROM tap")
    assert sorted(f"{row['device_id']}:{row['sequence']}" for row in rows) == sorted(one.tap.key for one in history)
    assert (await verify(postgres)).findings == []
    balances = await balances_tiyn(postgres)
    for medium_id, charged_tiyn in total_tiyn(history, SmallTariff(), {}).items():
        paid_tiyn = 1_000 if medium_id == medium(7) else 0
        in_wallet, owed = balances.get(wallet(medium_id), 0), balances.get(debt(medium_id), 0)
        assert in_wallet + owed == charged_tiyn - paid_tiyn
        assert 0 in (in_wallet, owed)
