"""Holds on a real PostgreSQL: what is due is freed, by however many processes, and what is not stays held."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from commons.metrics import Metrics
from commons.migrate import migrate
from fare import expiry
from fare.expiry import HoldExpiry
from fare.model import Phase
from fare.outcomes import Posting
from fare.store.ledger_books import verify
from fare.store.postgres_ledger import Ledger, open_ledger
from tests.fare.api.town import Clock
from tests.notation.ledger import account, journal

DUE_MS = 1_000_000
HELD = "SELECT held_tiyn FROM account WHERE code = $1"


@pytest.fixture
async def ledger(postgres: asyncpg.Pool) -> AsyncIterator[Ledger]:
    await migrate(postgres, "fare.store")
    async with open_ledger(postgres) as ledger:
        await ledger.post([journal("up", "top_up:kiosk", "wallet:7", 1_000)])
        yield ledger
    assert (await verify(postgres)).findings == []


async def hold(ledger: Ledger, key: str, tiyn: int, expires_ms: int) -> None:
    asked = journal(key, "wallet:7", "revenue:adult", tiyn, phase=Phase.PENDING, of=str(expires_ms))
    assert await ledger.post([asked]) == [Posting.POSTED]


def sweeper(pool: asyncpg.Pool, ledger: Ledger, metrics: Metrics | None = None) -> tuple[HoldExpiry, Clock]:
    clock = Clock()
    clock.city_ms = DUE_MS
    return HoldExpiry(pool, ledger, clock=clock, metrics=metrics or Metrics()), clock


async def test_what_is_due_is_free_and_the_rest_is_held(postgres: asyncpg.Pool, ledger: Ledger) -> None:
    metrics = Metrics()
    sweeping, clock = sweeper(postgres, ledger, metrics)
    await hold(ledger, "due", 100, DUE_MS)
    await hold(ledger, "later", 30, DUE_MS + 1)
    await hold(ledger, "taken", 7, DUE_MS - 1)
    taken = journal("post", "wallet:7", "revenue:adult", 7, phase=Phase.POST, of="taken")
    assert await ledger.post([taken]) == [Posting.POSTED]
    assert await sweeping.sweep() == 1
    assert await postgres.fetchval(HELD, account("wallet:7")) == 30
    assert await sweeping.sweep() == 0
    clock.city_ms += 1
    assert await sweeping.sweep() == 1
    assert await postgres.fetchval(HELD, account("wallet:7")) == 0
    assert b'ayaldama_ledger_holds_expired_total{outcome="posted"} 2.0' in metrics.exposition()


async def test_two_processes_expire_each_hold_once_in_portions(
    postgres: asyncpg.Pool, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "HOLDS_AT_A_TIME", 3)
    for number in range(10):
        await hold(ledger, f"h{number}", 1, DUE_MS - number)
    async with open_ledger(postgres) as other:
        sweepers = [sweeper(postgres, one)[0] for one in (ledger, other)]
        await asyncio.gather(*(one.sweep() for one in sweepers))
    assert await postgres.fetchval("SELECT count(*) FROM journal WHERE phase = 'expire' AND outcome = 'posted'") == 10
    assert await postgres.fetchval("SELECT count(*) FROM journal WHERE phase = 'expire'") == 10


async def test_a_hold_that_comes_long_after_it_was_due_is_found_by_the_whole_look(
    postgres: asyncpg.Pool, ledger: Ledger
) -> None:
    sweeping, clock = sweeper(postgres, ledger)
    clock.city_ms = 10 * expiry.WHOLE_EVERY_MS
    assert await sweeping.sweep() == 0
    await hold(ledger, "long ago", 5, DUE_MS)
    assert await sweeping.sweep() == 0
    clock.city_ms += expiry.WHOLE_EVERY_MS
    assert await sweeping.sweep() == 1
