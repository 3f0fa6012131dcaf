"""Decisions about quarantined taps on a real PostgreSQL: once, with who and why, and by nothing else."""

import asyncio
from typing import Any

import asyncpg
import msgspec
import pytest

from fare.audit_trail import Act
from fare.model import DeviceId
from fare.store import postgres_releases
from fare.store.postgres_audit import audit_broken_at, latest_lines, note
from fare.store.postgres_devices import PostgresDevices
from fare.store.postgres_releases import PostgresReleases
from fare.validator.journal_file import JournalFile
from fare.validator.release import Dropped, Refusal, ReleaseError, SetTo, Shifted
from tests.fare.store.test_postgres_devices import V1, take
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_batches import NOW_MS, batch_of, journal_of
from tests.fare.validator.test_journal import tap

HOUR_MS = 3_600_000
LATER_MS = NOW_MS + HOUR_MS


@pytest.fixture
async def releases(store: PostgresDevices, postgres: asyncpg.Pool) -> PostgresReleases:
    """Three taps of v-1 came an hour before they say they were made."""
    await take(store, batch_of(journal_of(3)), now_ms=NOW_MS - HOUR_MS)
    return PostgresReleases(postgres)


async def drop(releases: PostgresReleases, *sequences: int) -> None:
    await releases.decide(V1, sequences, Dropped(), LATER_MS, who="command", why="a test bench")


async def test_attack_18_quarantined_taps_wait_until_somebody_decides(
    releases: PostgresReleases,
    store: PostgresDevices,
    postgres: asyncpg.Pool,
) -> None:
    assert (await store.pending(V1))[0] == []
    waiting = await releases.waiting()
    assert [(one.tap.sequence, one.received_ms) for one in waiting] == [(n, NOW_MS - HOUR_MS) for n in (1, 2, 3)]
    assert await releases.waiting(DeviceId("v-2")) == []
    await releases.decide(V1, [2], Shifted(by_ms=-HOUR_MS), LATER_MS, who="command", why="clock of winter time")
    await drop(releases, 3)
    assert [one.tap.sequence for one in await releases.waiting(V1)] == [1]
    assert (await store.list_devices())[0].quarantined == 1
    lines = await latest_lines(postgres, 2)
    said_ms = waiting[1].tap.occurred_ms - HOUR_MS
    assert [(one.who, one.act, one.subject, one.detail, one.at_ms) for one in lines] == [
        ("command", Act.TAPS_DROPPED, "v-1", "3: a test bench", LATER_MS),
        ("command", Act.TAPS_RELEASED, "v-1", f"2 at {said_ms}: clock of winter time", LATER_MS),
    ]
    assert await audit_broken_at(postgres) is None

    assert await releases.behind() == [V1]
    (released,) = await releases.pending(V1, 0)
    assert (released.key, released.occurred_ms) == ("v-1:2", said_ms)
    assert await releases.pending(V1, 2) == []
    await releases.handed(V1, [2], LATER_MS)
    assert await releases.behind() == []
    assert await releases.pending(V1, 0) == []


@pytest.mark.parametrize(
    ("sequences", "at_ms", "refusal"),
    [
        ([1, 9], NOW_MS, Refusal.UNKNOWN),
        ([1, 2], LATER_MS + 1, Refusal.IN_FUTURE),
        ([1, 2], 0, Refusal.BEFORE_2020),
        ([1, 3], NOW_MS, Refusal.DECIDED),
    ],
)
async def test_a_refused_decision_leaves_everything_as_it_was(
    releases: PostgresReleases, postgres: asyncpg.Pool, sequences: list[int], at_ms: int, refusal: Refusal
) -> None:
    await drop(releases, 3)
    with pytest.raises(ReleaseError) as raised:
        await releases.decide(V1, sequences, SetTo(at_ms=at_ms), LATER_MS, who="command", why="said so")
    assert raised.value.refusal is refusal
    assert [one.tap.sequence for one in await releases.waiting(V1)] == [1, 2]
    assert len(await latest_lines(postgres, 9)) == 1


async def test_a_tap_that_is_not_quarantined_is_not_decided_about(
    store: PostgresDevices,
    postgres: asyncpg.Pool,
) -> None:
    await take(store, batch_of(journal_of(1)))
    with pytest.raises(ReleaseError, match="v-1:1: is not quarantined"):
        await drop(PostgresReleases(postgres), 1)
    with pytest.raises(asyncpg.RestrictViolationError, match="does not wait for a decision"):
        await postgres.execute(
            "INSERT INTO validator_release (device_id, sequence, decided_ms, who, why) VALUES ('v-1', 1, 1, 'x', 'y')"
        )


@pytest.mark.parametrize("why", ["", "  ", "two\nlines", "x" * 201])
async def test_a_decision_has_a_reason_that_can_be_read(releases: PostgresReleases, why: str) -> None:
    with pytest.raises(ValueError, match="why: must be 1 to 200 characters"):
        await releases.decide(V1, [1], Dropped(), LATER_MS, who="command", why=why)


async def test_of_two_who_decide_at_a_time_one_is_told_that_it_is_done(releases: PostgresReleases) -> None:
    asked = (
        releases.decide(V1, [1, 2], SetTo(at_ms=NOW_MS - number), LATER_MS, who="command", why="twice")
        for number in range(4)
    )
    done = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in done if isinstance(one, ReleaseError)]
    assert [one.refusal for one in refused] == [Refusal.DECIDED] * 3


async def test_two_who_release_two_rides_of_a_card_at_one_minute_are_not_both_right(
    store: PostgresDevices,
    postgres: asyncpg.Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def slow(*arguments: Any) -> None:
        await asyncio.sleep(0.3)  # all have begun before one is done
        await note(*arguments)

    monkeypatch.setattr(postgres_releases, "note", slow)
    journal = JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    for number in (1, 2, 3):
        journal.append_tap(msgspec.structs.replace(tap(1), tapped_ms=NOW_MS + number))
    await take(store, batch_of(journal), now_ms=NOW_MS - HOUR_MS)
    releases = PostgresReleases(postgres)
    asked = (
        releases.decide(V1, [sequence], SetTo(at_ms=NOW_MS), LATER_MS, who="command", why="the driver's list")
        for sequence in (1, 2, 3)
    )
    done = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in done if isinstance(one, ReleaseError)]
    assert [one.refusal for one in refused] == [Refusal.SAME_MOMENT] * 2
    assert len(await releases.waiting(V1)) == 2
    assert await postgres.fetchval("SELECT count(*) FROM validator_release") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM validator_release",
        "TRUNCATE validator_release",
        "UPDATE validator_release SET at_ms = at_ms - 1",
        "UPDATE validator_release SET why = 'another'",
        "UPDATE validator_release SET handed_ms = NULL",
        "INSERT INTO validator_release VALUES ('v-1', 2, 1577836799999, 1789970460000, 'x', 'y')",
        "INSERT INTO validator_release VALUES ('v-1', 2, 1789970460001, 1789970460000, 'x', 'y')",
    ],
)
async def test_a_decision_is_never_changed_not_even_past_the_program(
    releases: PostgresReleases, postgres: asyncpg.Pool, statement: str
) -> None:
    await releases.decide(V1, [1], SetTo(at_ms=NOW_MS), LATER_MS, who="command", why="said so")
    await releases.handed(V1, [1], LATER_MS)
    with pytest.raises((asyncpg.RestrictViolationError, asyncpg.CheckViolationError, asyncpg.RaiseError)):
        await postgres.execute(statement)
