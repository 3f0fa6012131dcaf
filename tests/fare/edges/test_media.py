"""Who holds a medium, on a real PostgreSQL: money at the counter, rights, passes, blocks."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

import asyncpg
import pytest

from commons.migrate import migrate
from fare.ledger.accounts import debt, wallet
from fare.model import AccountCode, Concession, PassHeld, RiderCategory
from fare.outcomes import Posting
from fare.store.documents import listening
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_ledger import open_ledger
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_taps import media_in_debt
from tests.notation.ledger import journal
from tests.notation.rides import medium
from tests.patience import PATIENCE_S

ANN, BOB = medium(7), medium(8)
PUPIL = Concession(category=RiderCategory("pupil"), from_date="2026-09-01", until_date="2027-05-31", evidence="p-1")


@pytest.fixture
async def media(postgres: asyncpg.Pool) -> AsyncIterator[PostgresMedia]:
    await migrate(postgres, "fare.store")
    yield PostgresMedia(postgres)
    assert (await verify(postgres)).findings == []


async def test_a_top_up_moves_cash_to_the_wallet_once(media: PostgresMedia, postgres: asyncpg.Pool) -> None:
    for at_ms in (1, 2):  # the counter asks again, because the answer was lost
        assert await media.top_up(ANN, 50_000, desk="d1", key="r1", occurred_ms=at_ms) is Posting.POSTED
    assert await balances_tiyn(postgres) == {AccountCode("cash:d1"): 50_000, wallet(ANN): -50_000}
    assert await media.balances_tiyn([ANN, BOB]) == {ANN: 50_000}


async def test_another_amount_under_the_same_receipt_takes_nothing(media: PostgresMedia) -> None:
    await media.top_up(ANN, 50_000, desk="d1", key="r1", occurred_ms=1)
    assert await media.top_up(ANN, 60_000, desk="d1", key="r1", occurred_ms=2) is Posting.KEY_REUSED
    assert await media.balances_tiyn([ANN]) == {ANN: 50_000}


async def test_what_is_owed_is_paid_first_and_the_medium_leaves_the_deny_list(
    media: PostgresMedia, postgres: asyncpg.Pool
) -> None:
    async with open_ledger(postgres) as ledger:
        await ledger.post([journal("ride", "debt:7", "revenue:adult", 9_000)])
    assert await media_in_debt(postgres) == {ANN: 9_000}
    await media.top_up(ANN, 20_000, desk="d1", key="r1", occurred_ms=1)
    assert await media_in_debt(postgres) == {}
    balances = await balances_tiyn(postgres)
    assert (balances[wallet(ANN)], balances[debt(ANN)]) == (-11_000, 0)
    assert await media.balances_tiyn([ANN]) == {ANN: 11_000}


async def test_less_than_is_owed_leaves_the_rest_owed(media: PostgresMedia, postgres: asyncpg.Pool) -> None:
    async with open_ledger(postgres) as ledger:
        await ledger.post([journal("ride", "debt:7", "revenue:adult", 9_000)])
    await media.top_up(ANN, 5_000, desk="d1", key="r1", occurred_ms=1)
    assert await media_in_debt(postgres) == {ANN: 4_000}


@pytest.mark.parametrize("amount_tiyn", [0, -1])
async def test_nothing_is_no_top_up(media: PostgresMedia, amount_tiyn: int) -> None:
    with pytest.raises(ValueError, match="amount_tiyn must be above 0"):
        await media.top_up(ANN, amount_tiyn, desk="d1", key="r1", occurred_ms=1)


async def test_rights_and_passes_are_kept_and_hold_on_their_days(media: PostgresMedia, postgres: asyncpg.Pool) -> None:
    for _ in range(2):
        await media.grant([ANN], PUPIL, 1)
    held = PassHeld(product_id="month", from_ms=5, until_ms=9)
    await media.give_pass(BOB, held, 1)
    profiles = await media.profiles([ANN, BOB, medium(9)])
    assert profiles[ANN].concessions == (PUPIL,)
    assert profiles[BOB].passes == (held,)
    assert set(profiles) == {ANN, BOB}
    days = {"2026-08-31": [], "2026-09-01": [ANN], "2027-05-31": [ANN], "2027-06-01": []}
    found = {day: (await media.holders(dt.date.fromisoformat(day))).get(PUPIL.category, []) for day in days}
    assert found == days
    assert sorted(await media.known()) == [ANN, BOB]


async def test_a_lost_medium_is_blocked_and_whoever_listens_hears_of_it(
    media: PostgresMedia, postgres: asyncpg.Pool
) -> None:
    heard = asyncio.Event()
    async with listening(postgres, heard.set):
        await media.block([ANN], 1)
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()
    assert await media.blocked() == {ANN}
    await media.block([ANN], 2, blocked=False)
    assert await media.blocked() == set()
