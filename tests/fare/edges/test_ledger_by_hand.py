"""Going round the application: what plain SQL may not do to the ledger."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from commons.migrate import migrate
from fare.ledger.audit import Fault
from fare.model import Phase
from fare.store.ledger_books import verify
from fare.store.postgres_ledger import open_ledger
from tests.notation.ledger import journal


class Hand:
    """Somebody with psql who knows how the chain is made."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def insert(self, *journals: dict[str, Any]) -> None:
        """Insert ``journals`` in one statement; what is not given is made to fit."""
        number, head = await self.pool.fetchrow("SELECT number, hash FROM ledger_head")
        rows: list[dict[str, Any]] = []
        covered = b""
        for given in journals:
            number += 1
            digest = given.get("digest") or hashlib.sha256(str(given).encode()).digest()
            covered += digest + b"posted"
            row = {"number": number, "phase": "direct", "digest": digest, "key": f"hand-{number}"} | given
            legs = row.pop("legs")
            found = "SELECT coalesce((SELECT account_id FROM account WHERE code = $1), 999)"
            ids = [await self.pool.fetchval(found, code) for code in legs]
            rows.append(row | {"accounts": ids, "amounts_tiyn": list(legs.values())})
        rows[-1] = {"hash": hashlib.sha256(head + covered).digest()} | rows[-1]
        for row in rows:
            row |= {"kind": "fare", "outcome": "posted", "occurred_ms": row.get("occurred_ms", 0), "subject": ""}
        await self.pool.execute(
            "INSERT INTO journal SELECT r.* FROM jsonb_array_elements($1::jsonb) AS one, "
            "jsonb_populate_record(NULL::journal, one || jsonb_build_object('recorded_at', now())) AS r",
            _json(rows),
        )


def _json(rows: list[dict[str, Any]]) -> str:
    plain = [
        {key: f"\\x{value.hex()}" if isinstance(value, bytes) else value for key, value in row.items()} for row in rows
    ]
    return msgspec.json.encode(plain).decode()


RICH, POOR = f"wallet:{1:032x}", f"wallet:{2:032x}"
SALES = "revenue:adult"


@pytest.fixture
async def hand(postgres: asyncpg.Pool) -> AsyncIterator[Hand]:
    await migrate(postgres, "fare.store")
    async with open_ledger(postgres) as ledger:
        await ledger.post(
            [
                journal("up", "top_up:kiosk", "wallet:1", 100),
                journal("up-2", "top_up:kiosk", "wallet:2", 5),
                journal("tap", "wallet:2", SALES, 5),
                journal("hold", "wallet:1", SALES, 60, phase=Phase.PENDING, of="1000"),
            ]
        )
    yield Hand(postgres)
    if not await postgres.fetchval("SELECT count(*) FROM journal WHERE key LIKE 'hand-%'"):
        assert (await verify(postgres)).findings == [], "a refused attempt leaves no trace"


async def test_what_follows_every_rule_is_taken(hand: Hand) -> None:
    """The other tests show nothing unless this one passes: the hand knows how to write a journal."""
    await hand.insert({"legs": {RICH: 40, SALES: -40}})
    await hand.insert({"legs": {RICH: 60, SALES: -60}, "phase": "post", "pending_key": "hold"})
    assert await hand.pool.fetchval("SELECT balance_tiyn FROM account WHERE code = $1", RICH) == 0


@pytest.mark.parametrize("legs", [{RICH: 40, SALES: -39}, {RICH: 40}, {RICH: -40, SALES: -40}])
async def test_an_unbalanced_journal_is_refused(hand: Hand, legs: dict[str, int]) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="do not sum to zero"):
        await hand.insert({"legs": legs})


async def test_two_journals_that_balance_only_together_are_refused(hand: Hand) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="do not sum to zero"):
        await hand.insert({"legs": {RICH: 20, SALES: -19}}, {"legs": {RICH: 19, SALES: -20}})


@pytest.mark.parametrize("twice", ["accounts || accounts", "accounts[1:1] || accounts[1:1]"])
async def test_a_journal_that_names_an_account_twice_is_refused(hand: Hand, twice: str) -> None:
    await hand.insert({"legs": {RICH: 20, SALES: -20}})
    amounts = "amounts_tiyn || amounts_tiyn" if twice == "accounts || accounts" else "amounts_tiyn"
    with pytest.raises(asyncpg.CheckViolationError, match="name an account twice"):
        await hand.pool.execute(
            "INSERT INTO journal SELECT number + 1, 'twice', kind, phase, outcome, occurred_ms, NULL, NULL, NULL, "  # noqa: S608
            f"subject, {twice}, {amounts}, refused, digest, "
            "sha256(hash || digest || 'posted'::bytea) FROM journal ORDER BY number DESC LIMIT 1"
        )


async def test_journals_of_one_statement_are_chained_in_their_order(hand: Hand) -> None:
    await hand.insert({"legs": {RICH: 20, SALES: -20}}, {"legs": {RICH: 5, SALES: -5}}, {"legs": {RICH: 1, SALES: -1}})
    with pytest.raises(asyncpg.SerializationError, match="does not follow"):
        await hand.insert({"legs": {RICH: 2, SALES: -2}}, {"legs": {RICH: 3, SALES: -3}, "hash": bytes(32)})
    with pytest.raises(asyncpg.SerializationError, match="does not follow"):
        await hand.insert({"legs": {RICH: 2, SALES: -2}, "hash": bytes(32)}, {"legs": {RICH: 3, SALES: -3}})
    with pytest.raises(asyncpg.SerializationError, match="does not follow"):  # a number is left out
        await hand.insert({"legs": {RICH: 2, SALES: -2}}, {"legs": {RICH: 3, SALES: -3}, "number": 10})
    with pytest.raises(asyncpg.SerializationError, match="does not follow"):  # or was never given
        await hand.insert({"legs": {RICH: 2, SALES: -2}, "number": 0}, {"legs": {RICH: 3, SALES: -3}, "number": 9})
    faults = {finding.fault for finding in (await verify(hand.pool)).findings}
    assert faults == {Fault.CHANGED}, "of journals by hand no digest is right, but their chain is"


async def test_the_chain_is_that_of_numbers_whatever_the_order_of_rows(hand: Hand) -> None:
    number, head = await hand.pool.fetchrow("SELECT number, hash FROM ledger_head")
    covered = b"".join(bytes([digest]) * 32 + b"posted" for digest in (1, 2))
    insert = (
        "INSERT INTO journal (number, key, kind, phase, outcome, occurred_ms, subject, accounts, amounts_tiyn, digest, "
        "hash) SELECT $1 + place, 'hand-' || place, 'fare', 'direct', 'posted', 0, '', accounts, amounts_tiyn, "
        "decode(repeat('0' || place, 32), 'hex'), CASE place WHEN 2 THEN $2::bytea END "
        "FROM (SELECT accounts, amounts_tiyn FROM journal WHERE key = 'up') AS j, generate_series(2, 1, -1) AS place"
    )
    with pytest.raises(asyncpg.SerializationError, match="does not follow"):
        await hand.pool.execute(insert, number, hashlib.sha256(head + covered[38:] + covered[:38]).digest())
    await hand.pool.execute(insert, number, hashlib.sha256(head + covered).digest())
    assert {finding.fault for finding in (await verify(hand.pool)).findings} == {Fault.CHANGED}


@pytest.mark.parametrize(
    "misfit",
    [
        {"legs": {RICH: 0, SALES: 0}},
        {"legs": {}},
        {"legs": {RICH: 1, SALES: -1}, "digest": b"short"},
        {"legs": {RICH: 1, SALES: -1}, "phase": "pending"},
        {"legs": {RICH: 1, SALES: -1}, "expires_ms": 1000},
        {"legs": {RICH: 1, SALES: -1}, "pending_key": "hold"},
        {"legs": {RICH: 1, SALES: -1}, "phase": "post"},
        {"legs": {RICH: 1, SALES: -1}, "phase": "void", "pending_key": "hold"},
        {"legs": {RICH: 60, SALES: -60}, "phase": "post", "pending_key": "hold", "reverses": "tap"},
        {"legs": {RICH: 1, SALES: -1}, "refused": []},
    ],
)
async def test_a_journal_that_does_not_fit_together_is_refused(hand: Hand, misfit: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="do not fit together"):
        await hand.insert(misfit)


async def test_a_second_use_of_a_key_is_refused(hand: Hand) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await hand.insert({"legs": {RICH: 1, SALES: -1}, "key": "tap"})


async def test_an_overdraft_is_refused(hand: Hand) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="account_not_overdrawn"):
        await hand.insert({"legs": {POOR: 1, SALES: -1}})


async def test_money_that_is_held_cannot_be_spent_beside_the_hold(hand: Hand) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="account_not_overdrawn"):
        await hand.insert({"legs": {RICH: 41, SALES: -41}})


async def test_a_hold_is_resolved_once(hand: Hand) -> None:
    await hand.insert({"legs": {}, "phase": "void", "pending_key": "hold"})
    with pytest.raises(asyncpg.UniqueViolationError, match="journal_resolves_once"):
        await hand.insert({"legs": {RICH: 60, SALES: -60}, "phase": "post", "pending_key": "hold"})


@pytest.mark.parametrize(
    ("legs", "resolution"),
    [
        ({RICH: 61, SALES: -61}, {"phase": "post", "pending_key": "hold"}),  # more than is held
        ({POOR: 60, SALES: -60}, {"phase": "post", "pending_key": "hold"}),  # of somebody else
        ({RICH: -60, SALES: 60}, {"phase": "post", "pending_key": "hold"}),  # the other way round
        ({RICH: 60, SALES: -60}, {"phase": "post", "pending_key": "tap"}),  # of what is no hold
        ({RICH: 60, SALES: -60}, {"phase": "post", "pending_key": "hold", "occurred_ms": 1000}),  # too late
        ({}, {"phase": "expire", "pending_key": "hold", "occurred_ms": 999}),  # too early
    ],
)
async def test_a_hold_is_resolved_only_by_what_it_holds(
    hand: Hand, legs: dict[str, int], resolution: dict[str, Any]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="resolves nothing that is pending"):
        await hand.insert({"legs": legs} | resolution)


async def test_a_journal_is_reversed_once_and_exactly(hand: Hand) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="not the opposite"):
        await hand.insert({"legs": {SALES: 4, POOR: -4}, "reverses": "tap"})
    with pytest.raises(asyncpg.CheckViolationError, match="not the opposite"):
        await hand.insert({"legs": {SALES: 5, POOR: -5}, "reverses": "nothing"})
    await hand.insert({"legs": {SALES: 5, POOR: -5}, "reverses": "tap"})
    with pytest.raises(asyncpg.UniqueViolationError, match="journal_reverses_once"):
        await hand.insert({"legs": {SALES: 5, POOR: -5}, "reverses": "tap"})


async def test_a_journal_of_an_account_that_does_not_exist_is_refused(hand: Hand) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="do not exist"):
        await hand.insert({"legs": {"carrier:none": 5, SALES: -5}})


async def test_a_journal_out_of_the_chain_is_refused(hand: Hand) -> None:
    with pytest.raises(asyncpg.SerializationError, match="does not follow"):
        await hand.insert({"legs": {RICH: 1, SALES: -1}, "number": 9})
    with pytest.raises(asyncpg.SerializationError, match="does not follow"):
        await hand.insert({"legs": {RICH: 1, SALES: -1}, "hash": bytes(32)})


async def test_an_account_that_the_chart_does_not_know_is_not_opened(hand: Hand) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="the chart has no such kind"):
        await hand.pool.execute("INSERT INTO account (code) VALUES ('slush:fund')")


async def test_an_account_opens_empty_and_with_the_limits_of_its_kind(hand: Hand) -> None:
    await hand.pool.execute(
        "INSERT INTO account (code, side, overdraft_tiyn, balance_tiyn) VALUES ('deposit:7', 1, 999, 500)"
    )
    row = await hand.pool.fetchrow("SELECT side, overdraft_tiyn, balance_tiyn FROM account WHERE code = 'deposit:7'")
    assert tuple(row) == (-1, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET amounts_tiyn = '{1,-1}' WHERE number = 1",
        "DELETE FROM journal WHERE number = 4",
        "TRUNCATE journal",
        "UPDATE entry SET amount_tiyn = 0",
        "DELETE FROM entry",
        "TRUNCATE entry",
        "INSERT INTO entry (account_id, number, amount_tiyn) VALUES (1, 99, 1)",
        "UPDATE posting SET first_number = 0",
        "DELETE FROM posting",
        "TRUNCATE posting",
        "INSERT INTO posting VALUES (99, 99, '{1}', '{1}', '{1}')",
        "UPDATE account SET balance_tiyn = balance_tiyn + 1",
        "UPDATE account SET overdraft_tiyn = 1000",
        "DELETE FROM account",
        "TRUNCATE account",
        "UPDATE ledger_head SET number = 0",
        "DELETE FROM ledger_head",
        "TRUNCATE ledger_head",
        "INSERT INTO ledger_head (one, number, hash) VALUES (true, 0, '')",
    ],
)
async def test_what_is_written_stays_as_it_is(hand: Hand, change: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="corrections are reversals"):
        await hand.pool.execute(change)
