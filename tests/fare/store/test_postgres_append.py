"""Records that go on where the journal was, without a question before: written as ``take`` does, or not at all."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec
import pytest

from fare.model import DeviceId
from fare.store.postgres_append import Append, parameters_of
from fare.store.postgres_devices import PostgresDevices
from fare.validator.batches import Batch, DeviceKey, Reading, make_batch, open_batch
from fare.validator.enrolment import Code, EnrolmentRequest, IssuedCode
from fare.validator.journal import Stretch
from fare.validator.journal_file import JournalFile
from fare.validator.signing import Signed, SigningKey
from tests.fare.store.test_postgres_devices import V1, take
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_batches import KEY, NOW_MS, batch_of, journal_of
from tests.fare.validator.test_journal import tap
from tests.patience import PATIENCE_S

V2 = DeviceId("v-2")
LOCKS_AWAITED = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
Change = Callable[[PostgresDevices], Awaitable[object]]


async def appending(store: PostgresDevices, signed: Signed, device_id: DeviceId = V1) -> Append | None:
    batch = open_batch(signed, DeviceKey(public=KEY.public))
    assert isinstance(batch, Batch)
    return await store.appending(device_id, batch, signed, NOW_MS, "10.0.0.1", reading=Reading(batch))


async def sure(store: PostgresDevices, signed: Signed, device_id: DeviceId = V1) -> Append:
    append = await appending(store, signed, device_id)
    assert append is not None
    return append


async def rows(connection: asyncpg.Connection) -> list[list[tuple[object, ...]]]:
    tables = ("SELECT * FROM validator ORDER BY 1", "SELECT * FROM validator_record ORDER BY 1, 2")
    return [[tuple(row) for row in await connection.fetch(table)] for table in tables]


async def append_records(connection: asyncpg.Connection, appends: list[Append]) -> list[str | None]:
    rows = await connection.fetch("SELECT place, version FROM records_append($1, $2)", *parameters_of(appends))
    versions = {row["place"]: row["version"] for row in rows}
    return [versions.get(place) for place in range(len(appends))]


async def append_all(pool: asyncpg.Pool, appends: list[Append]) -> list[str | None]:
    async with pool.acquire() as connection, connection.transaction():
        return await append_records(connection, appends)


async def second_device(store: PostgresDevices) -> None:
    await enrol(store, V2, SigningKey.from_bytes(b"2" * 32))


async def enrol(store: PostgresDevices, device_id: DeviceId, key: SigningKey) -> None:
    code = Code.make(key.to_bytes()[:10], KEY.public)
    await store.issue(IssuedCode(digest=code.digest, device_id=device_id, vehicle_id="bus-7", expires_ms=NOW_MS + 1))
    await store.enrol(EnrolmentRequest(secret=code.secret, public=key.public), NOW_MS)


def of_second(count: int) -> Signed:
    """Return a batch of the second device."""
    journal = JournalFile(UnsafeDisk(), NOW_MS)
    for number in range(count):
        journal.append_tap(msgspec.structs.replace(tap(number), device_id=V2))
    stretch = journal.after(0, 500, 10**6)
    assert stretch is not None
    key = SigningKey.from_bytes(b"2" * 32)
    return make_batch(stretch, city="kzo", device_id=V2, sent_ms=NOW_MS, waiting=0, key=key)


async def appending_second(store: PostgresDevices, count: int) -> Append:
    signed = of_second(count)
    batch = open_batch(signed, DeviceKey(public=SigningKey.from_bytes(b"2" * 32).public))
    assert isinstance(batch, Batch)
    append = await store.appending(V2, batch, signed, NOW_MS, "10.0.0.2", reading=Reading(batch))
    assert append is not None
    return append


@pytest.mark.parametrize("lost", [(), (1, 3)], ids=["whole", "with lost ones"])
async def test_rows_are_those_that_taking_and_handing_over_leave(
    store: PostgresDevices, postgres: asyncpg.Pool, lost: tuple[int, ...]
) -> None:
    stretch = journal_of(4).after(0, 500, 10**6)
    assert stretch is not None
    payloads = tuple(b"" if place in lost else payload for place, payload in enumerate(stretch.payloads))
    part = Stretch(first_sequence=1, before=stretch.before, payloads=payloads)
    signed = make_batch(part, city="kzo", device_id=V1, sent_ms=NOW_MS, waiting=5, key=KEY)
    async with postgres.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        (version,) = await append_records(connection, [await sure(store, signed)])
        appended = await rows(connection)
        assert version == await connection.fetchval("SELECT xmin::text FROM validator")
        await transaction.rollback()
        batch = open_batch(signed, DeviceKey(public=KEY.public))
        assert isinstance(batch, Batch)
        await store.take(V1, batch, signed, NOW_MS, "10.0.0.1")
        await store.handed(V1, 4)
        assert await rows(connection) == appended


async def test_after_one_the_next_needs_no_question(store: PostgresDevices, postgres: asyncpg.Pool) -> None:
    journal = journal_of(3)
    for after in range(3):
        append = await sure(store, batch_of(journal, after, 1))
        (version,) = await append_all(postgres, [append])
        assert version is not None
        store.appended(append, version)
        await postgres.execute("ALTER TABLE validator RENAME TO not_to_be_asked")
        assert after == 2 or await appending(store, batch_of(journal, after + 1, 1)) is not None
        await postgres.execute("ALTER TABLE not_to_be_asked RENAME TO validator")
    assert await store.behind() == []


async def another_upload(store: PostgresDevices) -> None:
    await take(store, batch_of(journal_of(2), 0, 2))
    await store.handed(V1, 2)


async def a_fork(store: PostgresDevices) -> None:
    await another_upload(store)
    clone = JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    clone.append_tap(tap(99))
    await take(store, batch_of(clone))


async def moved_to_another_bus(store: PostgresDevices) -> None:
    await store._pool.execute("UPDATE validator SET vehicle_id = 'bus-8' WHERE device_id = 'v-1'")


async def only_the_key_is_gone(store: PostgresDevices) -> None:
    await store._pool.execute("UPDATE validator_key SET revoked = true WHERE device_id = 'v-1'")


CHANGES: dict[str, Change] = {
    "asked": lambda store: store.asked(V1, 0, NOW_MS),
    "revoked": lambda store: store.revoke(V1),
    "enrolled again": lambda store: enrol(store, V1, SigningKey.from_bytes(b"n" * 32)),
    "uploaded": another_upload,
    "forked": a_fork,
    "moved": moved_to_another_bus,
    "key revoked": only_the_key_is_gone,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_nothing_is_written_for_a_device_that_stands_otherwise_by_now(
    store: PostgresDevices, postgres: asyncpg.Pool, change: Change
) -> None:
    await second_device(store)
    first, second = await sure(store, batch_of(journal_of(1))), await appending_second(store, 2)
    await change(store)
    async with postgres.acquire() as connection:
        before = await rows(connection)
    versions = await append_all(postgres, [first, second])
    assert versions[0] is None
    assert versions[1] is not None, "another device's are"
    async with postgres.acquire() as connection:
        devices, records = await rows(connection)
    assert devices[0] == before[0][0]
    assert [record for record in records if record[0] == V1] == before[1]
    assert len(records) - len(before[1]) == 2


async def test_a_version_that_was_seen_before_is_none_of_another_history(
    store: PostgresDevices, postgres: asyncpg.Pool
) -> None:
    append = await sure(store, batch_of(journal_of(1)))
    await another_upload(store)
    version = await postgres.fetchval("SELECT xmin::text FROM validator")
    state = dataclasses.replace(append.state, version=version)
    assert await append_all(postgres, [dataclasses.replace(append, state=state)]) == [None]


async def test_of_two_appends_to_one_device_in_one_transaction_one_is_written(
    store: PostgresDevices, postgres: asyncpg.Pool
) -> None:
    twice = [await sure(store, batch_of(journal_of(count))) for count in (1, 2)]
    versions = await append_all(postgres, twice)
    assert sorted(version is None for version in versions) == [False, True]
    head = next(one.reception.head for one, version in zip(twice, versions, strict=True) if version is not None)
    row = await postgres.fetchrow("SELECT sequence, hash, (SELECT count(*) FROM validator_record) FROM validator")
    assert tuple(row) == (head.sequence, head.hash, head.sequence)


async def test_groups_of_the_same_devices_wait_but_not_in_a_circle(
    store: PostgresDevices, postgres: asyncpg.Pool
) -> None:
    await second_device(store)
    both = [await sure(store, batch_of(journal_of(1))), await appending_second(store, 1)]

    async with postgres.acquire() as holder:
        holding = holder.transaction()
        await holding.start()
        await holder.execute("SELECT FROM validator WHERE device_id = 'v-1' FOR UPDATE")
        waiting = []
        for number, appends in enumerate((both, both[::-1]), 1):
            waiting.append(asyncio.create_task(append_all(postgres, appends)))
            async with asyncio.timeout(PATIENCE_S):
                while await postgres.fetchval(LOCKS_AWAITED) < number:  # noqa: ASYNC110 - the database tells nobody
                    await asyncio.sleep(0.01)
        await holding.rollback()
        versions = await asyncio.gather(*waiting)  # raises DeadlockDetectedError
    assert [version is None for version in versions[0]] == [False, False]
    assert versions[1] == [None, None], "the other came first"


@pytest.mark.parametrize("what", ["a repeat", "a gap", "a fork", "of another city", "not handed over before"])
async def test_what_is_not_so_simple_is_left_to_take(store: PostgresDevices, postgres: asyncpg.Pool, what: str) -> None:
    journal = journal_of(4)
    append = await sure(store, batch_of(journal, 0, 2))
    store.appended(append, (await append_all(postgres, [append]))[0])
    match what:
        case "a repeat":
            signed = batch_of(journal, 0, 2)
        case "a gap":
            signed = batch_of(journal, 3, 1)
        case "a fork":
            clone = JournalFile(UnsafeDisk(), now_ms=NOW_MS)
            for number in range(3):
                clone.append_tap(tap(90 + number))
            signed = batch_of(clone, 2)
        case "of another city":
            stretch = journal.after(2, 1, 10**6)
            assert stretch is not None
            signed = make_batch(stretch, city="ala", device_id=V1, sent_ms=NOW_MS, waiting=0, key=KEY)
        case _:
            await take(store, batch_of(journal, 2, 1))
            store.appended(append, None)
            signed = batch_of(journal, 3, 1)
    assert await appending(store, signed) is None
