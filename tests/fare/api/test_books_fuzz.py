"""Whatever anybody who is signed in sends to the books, the answer is one of a rule: never a failure of the program."""

import itertools
from collections.abc import AsyncIterator
from urllib.parse import quote

import asyncpg
import pytest

from tests.fare.api.books_town import BooksTown, books_town
from tests.fare.edges.money import DAY

ODD = (
    "\0",
    "\udcff",
    "'; --",
    "..",
    "=1+1",
    "ж" * 300,
    "0001-01-01",
    "9999-12-31",
    "2026-W01-1",
    "-1",
    "1e9",
    "{}",
    " ",
)
NUMBERS = (-1, 0, 2**63, 2**70, -(2**70), 10**16)
PATHS = (
    "accounts/{}",
    "accounts/carrier:{}",
    "statements?from={}&until={}",
    f"statements?from={DAY}&until={{}}",
    "statements/{}/k1/day/statement.csv",
    f"statements/{DAY}/{{}}/day/statement.csv",
    f"statements/{DAY}/k1/{{}}/statement.csv",
    f"statements/{DAY}/k1/day/{{}}",
    "rides/{}/k1/fare_transactions.csv",
    f"rides/{DAY}/{{}}/fare_transactions.csv",
    "reports/{}/line",
    f"reports/{DAY}/{{}}",
    "journeys/{}",
    "comparisons/{}",
)
WRITES = (
    ("days/{}/close", {}),
    ("days/{}/k1/pay-out", {}),
    (f"days/{DAY}/{{}}/pay-out", {}),
    ("refunds/decision?key={}", {"grant": True}),
    ("amnesties/decision?id={}", {"grant": True}),
    ("disputes/step?id={}", {"step": "answer"}),
    ("write-offs/decision?key={}", {"grant": True}),
)
BODIES = (
    ("refunds", {"key": "k", "ride_key": "v:1", "amount_tiyn": 1, "reason": "complaint", "why": "?"}),
    (
        "amnesties",
        {"amnesty_id": "a", "from_ms": 0, "until_ms": 1, "why": "?", "vehicle_ids": ["b"], "route_ids": ["1"]},
    ),
    ("disputes", {"dispute_id": "d", "ride_key": "v:1", "claimed_tiyn": 1}),
    ("disputes/step?id=d", {"step": "answer", "note": "seen"}),
    ("write-offs", {"key": "w", "medium_id": "0" * 32, "amount_tiyn": 1, "why": "?"}),
    ("sign-in", {"name": "aigul", "password": "p", "code": ""}),
)


@pytest.fixture
async def town(postgres: asyncpg.Pool) -> AsyncIterator[BooksTown]:
    async with books_town(postgres) as town:
        await town.sign_in("aigul")
        yield town


def escaped(text: str) -> str:
    return quote(text.encode(errors="surrogateescape"), safe="")


def asked() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [
        (path.replace("{}", escaped(odd)), sent)
        for path, sent in [*((path, None) for path in PATHS), *WRITES]
        for odd in ODD
    ]
    for path, whole in BODIES:
        for field, value in itertools.product(
            whole, [*(odd for odd in ODD if odd != "\udcff"), *NUMBERS, None, [], {}]
        ):
            found.append((path, whole | {field: value}))
            if isinstance(whole[field], list):
                found.append((path, whole | {field: [value]}))
    return found


async def test_nothing_that_is_sent_makes_the_program_fail(town: BooksTown) -> None:
    failed = []
    for path, sent in asked():
        town.clock.city_ms += 30_000
        status, _ = await town.ask("aigul", path, sent)
        if status >= 500:
            failed.append((status, path, sent))
        assert status != 401 or path == "sign-in", "the session lasts"
    assert not failed, "\n".join(map(repr, failed))
