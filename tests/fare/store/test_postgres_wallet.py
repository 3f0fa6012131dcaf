"""What a phone's owner reads of a wallet."""

import asyncpg
import msgspec

from fare.model import Journal, JournalKind, MediumId, Phase
from fare.store.postgres_ledger import open_ledger
from fare.store.postgres_wallet import wallet_moves
from tests.notation.ledger import journal

MEDIUM = MediumId(f"{7:032x}")


def topped_up(key: str, tiyn: int) -> Journal:
    return msgspec.structs.replace(journal(key, "top_up:kiosk", "wallet:7", tiyn, at_ms=5), kind=JournalKind.TOP_UP)


async def test_each_move_is_told_by_itself_however_they_were_written(postgres: asyncpg.Pool) -> None:
    async with open_ledger(postgres) as ledger:
        await ledger.post([topped_up("up-1", 100), journal("ride", "wallet:7", "suspense", 30), topped_up("up-2", 50)])
        await ledger.post([journal("hold", "wallet:7", "suspense", 20, phase=Phase.PENDING, of="1000")])
        await ledger.post([topped_up("up-3", 1)])
    moves = await wallet_moves(postgres, [MEDIUM], 0)
    assert [(move.key, move.amount_tiyn) for move in moves] == [("up-3", 1), ("up-2", 50), ("up-1", 100)]
    assert await wallet_moves(postgres, [MEDIUM], 6) == []
