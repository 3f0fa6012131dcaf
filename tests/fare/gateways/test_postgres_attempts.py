"""What was asked of the acquirer, on a real PostgreSQL: kept before it is sent, once, and never changed."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from commons.migrate import migrate
from fare.gateways.acquirer import CardResult, KeyReusedError
from fare.gateways.postgres_attempts import PostgresAttempts
from fare.model import JournalKey
from fare.risk.values import Answered, Decline
from tests.fare.gateways.host import running_host
from tests.fare.gateways.test_iso8583 import Town, request

NOW_MS = 1_789_970_700_000
DAY_MS = 86_400_000
APPROVED = CardResult(answered=Answered.APPROVED, code="00", approval="A00001", reference="6264061000001")


@pytest.fixture
async def attempts(postgres: asyncpg.Pool) -> PostgresAttempts:
    await migrate(postgres, "fare.gateways")
    return PostgresAttempts(postgres)


async def test_what_is_begun_is_found_again_as_it_was(attempts: PostgresAttempts) -> None:
    begun = await attempts.begin(request(), NOW_MS)
    assert (begun.fresh, begun.attempt.request, begun.attempt.trace.sent_ms) == (True, request(), NOW_MS)
    assert await attempts.find(request().key) == begun.attempt
    assert await attempts.find(JournalKey("other")) is None


async def test_i1_of_fifty_that_begin_one_request_at_once_one_sends_it(attempts: PostgresAttempts) -> None:
    begun = await asyncio.gather(*(attempts.begin(request(), NOW_MS + number) for number in range(50)))
    assert [one.fresh for one in begun].count(True) == 1
    assert len({one.attempt.trace for one in begun}) == 1


async def test_attack_42_a_key_names_one_request(attempts: PostgresAttempts) -> None:
    await attempts.begin(request(), NOW_MS)
    with pytest.raises(KeyReusedError, match="window-1"):
        await attempts.begin(request(amount_tiyn=1), NOW_MS)


async def test_a_number_names_one_message_of_a_day_and_comes_again_on_another(
    attempts: PostgresAttempts, postgres: asyncpg.Pool
) -> None:
    first = await attempts.begin(request("a"), NOW_MS)
    second = await attempts.begin(request("b"), NOW_MS)
    assert (first.attempt.trace.stan, second.attempt.trace.stan) == (1, 2)
    await postgres.execute("SELECT setval('card_attempt_stan', 999999)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await attempts.begin(request("c"), NOW_MS)
    await postgres.execute("SELECT setval('card_attempt_stan', 999999)")
    assert (await attempts.begin(request("c"), NOW_MS + DAY_MS)).attempt.trace.stan == 1


async def test_what_has_no_certain_answer_is_owed_in_order(attempts: PostgresAttempts) -> None:
    for key in ("a", "b", "c", "d"):
        await attempts.begin(request(key), NOW_MS)
    await attempts.finish(JournalKey("a"), APPROVED)
    await attempts.finish(JournalKey("b"), CardResult(answered=Answered.UNKNOWN))
    await attempts.finish(JournalKey("d"), CardResult(answered=Answered.DECLINED, decline=Decline.OTHER, code="05"))
    assert [one.request.key for one in await attempts.owed()] == ["b", "c"]
    found = await attempts.find(JournalKey("a"))
    assert found is not None
    assert found.result == APPROVED


async def test_a_final_result_does_not_change_but_an_approval_may_be_taken_back(attempts: PostgresAttempts) -> None:
    await attempts.begin(request(), NOW_MS)
    await attempts.finish(request().key, APPROVED)
    await attempts.finish(request().key, APPROVED)
    for answered in (Answered.UNKNOWN, Answered.DECLINED):
        with pytest.raises(asyncpg.RaiseError, match="approved does not become"):
            await attempts.finish(request().key, CardResult(answered=answered))
    await attempts.finish(request().key, CardResult(answered=Answered.REVERSED))
    with pytest.raises(asyncpg.RaiseError, match="reversed does not become approved"):
        await attempts.finish(request().key, APPROVED)


async def test_what_was_asked_cannot_be_changed_past_the_application(
    attempts: PostgresAttempts, postgres: asyncpg.Pool
) -> None:
    await attempts.begin(request(), NOW_MS)
    with pytest.raises(asyncpg.RaiseError, match="what was asked does not change"):
        await postgres.execute("UPDATE card_attempt SET request = 'x'")


async def test_what_was_never_begun_cannot_be_finished(attempts: PostgresAttempts) -> None:
    with pytest.raises(LookupError, match="nothing was begun"):
        await attempts.finish(JournalKey("other"), APPROVED)


async def test_what_was_begun_when_we_were_killed_is_reversed_after_the_restart(
    attempts: PostgresAttempts, tmp_path: Path, unused_port: int
) -> None:
    await attempts.begin(request(), NOW_MS)
    there = Town(attempts)
    async with running_host(tmp_path, [], unused_port), there.open(unused_port):
        await there.result("window-1", Answered.REVERSED)
    assert there.line.types() == ["0400", "0410"]
    assert await attempts.owed() == []
