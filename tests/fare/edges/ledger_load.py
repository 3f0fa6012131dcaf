"""A process that posts taps for ever and says each key as soon as it is answered.

python -m tests.fare.edges.ledger_load URL ROUND
"""

import asyncio
import os
import sys

import asyncpg
import uvloop

from commons.logs import configure_logs
from commons.migrate import migrate
from fare.outcomes import Posting
from fare.store.postgres_ledger import open_ledger
from tests.notation.ledger import journal

CLIENTS = 32


async def load(url: str, name: str) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        await migrate(pool, "fare.store")
        async with open_ledger(pool) as ledger:

            async def client(number: int) -> None:
                sequence = 0
                while True:
                    sequence += 1
                    key = f"{name}-{number}:{sequence}"
                    [posting] = await ledger.post([journal(key, "top_up:kiosk", f"wallet:{number}", 100)])
                    assert posting is Posting.POSTED
                    os.write(1, f"{key}\n".encode())  # at once: nothing may wait in a buffer of ours

            await asyncio.gather(*(client(number) for number in range(CLIENTS)))


if __name__ == "__main__":
    configure_logs("load", level="ERROR")
    uvloop.run(load(sys.argv[1], sys.argv[2]))
