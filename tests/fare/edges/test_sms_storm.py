"""Messages of two processes, a badly behaved operator, connections killed at any moment: both books agree in the end.

``AYALDAMA_STORMS`` storms are played; each is made by its seed.
"""

import asyncio
import os
import random
from collections.abc import Sequence

import asyncpg
import pytest

from ayaldama.simulate.operator import bad_moods
from commons.metrics import Metrics
from fare.buying import BuyingRules
from fare.sms.values import Incoming
from fare.sms_service import SmsService
from fare.store.postgres_sms import LEASE_MS
from tests.fare.edges.sms_town import SmsTown, incoming, service_of, sms_town

STORMS = int(os.environ.get("AYALDAMA_STORMS", "2"))
RIDERS = 8
KILLS_MAX = 150  # more than there are, lest a busy machine get nothing done between two
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
KILL_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY hashtext(pid::text || $1) LIMIT 1
"""


def messages(dice: random.Random) -> list[Incoming]:
    """Return what riders send: rides, top-ups and questions, some of them several times."""
    sent = []
    for rider in range(RIDERS):
        number = f"+770112345{rider:02d}"
        for text in dice.sample(["0451", "0451 2", "КАРТА 500", "БАЛАНС", "0452", "9999"], 3):
            sent += [incoming(text, sender=number)] * dice.choice((1, 1, 2, 4))
    dice.shuffle(sent)
    return sent


async def deliver(message: Incoming, services: Sequence[SmsService], dice: random.Random) -> None:
    """Hand a message in until it is acknowledged, to whichever process, as a message centre does."""
    while True:
        try:
            await dice.choice(services).take(message)
        except AWAY:
            await asyncio.sleep(dice.uniform(0, 0.05))
        else:
            return


async def kill_connections(dsn: str, dice: random.Random) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for _ in range(KILLS_MAX):
            await asyncio.sleep(dice.uniform(0.02, 0.1))
            await connection.execute(KILL_ONE, str(dice.random()))
    finally:
        await connection.close()


@pytest.mark.parametrize("seed", range(STORMS))
async def test_after_a_storm_each_message_is_answered_once_and_both_books_agree(
    postgres: asyncpg.Pool, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - a scenario, not a secret
    async with sms_town(postgres) as town, town.market.opened(BuyingRules()) as buying:
        services = (town.service, service_of(town.market, buying, town.charges, metrics=Metrics()))
        sent = messages(dice)
        town.operator.moods = bad_moods(seed, 0.3)
        killing = asyncio.create_task(kill_connections(postgres._connect_args[0], dice))
        await asyncio.gather(*(deliver(message, services, dice) for message in sent))
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        await _calm(town)
        distinct = {message.message_id for message in sent}
        rows = await postgres.fetch(
            "SELECT i.outcome, o.text FROM sms_incoming i JOIN sms_outgoing o ON o.answers = i.key"
        )
        assert len(rows) == len(distinct)
        assert {row["outcome"] for row in rows} == {"answered"}
        tickets = {row["text"] for row in rows if row["text"].startswith("Билет")}
        assert len(tickets) == await town.market.rides() == await postgres.fetchval("SELECT count(*) FROM purchase")
        states = {row["state"] for row in await postgres.fetch("SELECT DISTINCT state FROM operator_charge")}
        assert states <= {"entered", "refused", "reversed"}
        owed = await postgres.fetchval("SELECT coalesce(sum(balance_tiyn), 0) FROM account WHERE code LIKE 'debt:%'")
        assert owed == 0


async def _calm(town: SmsTown) -> None:
    """Let the operator be well, and do what processes do by themselves."""
    town.moods()
    town.market.clock.city_ms += LEASE_MS
    await town.service.resume()
    town.market.clock.city_ms += 3_600_000
    assert await town.charges.sweep() == 0
