"""Validators on a real PostgreSQL: what is decided is what is written, once, and nothing is changed later."""

import asyncio
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from commons.migrate import migrate
from fare.model import DeviceId
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.postgres_devices import PostgresDevices
from fare.validator.batches import Batch, DeviceKey, Receiving, open_batch
from fare.validator.documents import DocumentKind, publish
from fare.validator.enrolment import Code, Enrolling, EnrolmentRequest, IssuedCode
from fare.validator.journal import START, Head
from fare.validator.journal_file import JournalFile
from fare.validator.signing import Signed, SigningKey
from tests.fare.validator.cards import CONFIGURATION
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_batches import KEY, NOW_MS, batch_of, journal_of
from tests.fare.validator.test_journal import tap

V1 = DeviceId("v-1")
CODE = Code.make(b"0123456789", KEY.public)


@pytest.fixture
async def store(postgres: asyncpg.Pool) -> PostgresDevices:
    await migrate(postgres, "fare.store")
    devices = PostgresDevices(postgres, "kzo")
    await devices.issue(IssuedCode(digest=CODE.digest, device_id=V1, vehicle_id="bus-7", expires_ms=NOW_MS + 1))
    outcome, *_ = await devices.enrol(EnrolmentRequest(secret=CODE.secret, public=KEY.public), NOW_MS)
    assert outcome is Enrolling.ENROLLED
    return devices


async def take(store: PostgresDevices, signed: Signed, now_ms: int = NOW_MS) -> Receiving:
    batch = open_batch(signed, DeviceKey(public=KEY.public))
    assert isinstance(batch, Batch)
    return (await store.take(V1, batch, signed, now_ms, "10.0.0.1")).reception.receipt.outcome


async def test_records_are_kept_as_signed_and_taps_wait_for_the_ledger(store: PostgresDevices) -> None:
    journal = journal_of(5)
    assert await take(store, batch_of(journal, 0, 3)) is Receiving.TAKEN
    assert await take(store, batch_of(journal, 0, 3)) is Receiving.REPEATED
    assert await take(store, batch_of(journal, 4)) is Receiving.GAP
    assert await take(store, batch_of(journal, 1)) is Receiving.TAKEN
    assert await store.behind() == [V1]
    taps, until = await store.pending(V1)
    assert ([one.sequence for one in taps], until) == ([1, 2, 3, 4, 5], 5)
    await store.handed(V1, 3)
    assert [one.sequence for one in (await store.pending(V1))[0]] == [4, 5]
    await store.handed(V1, until)
    assert await store.behind() == []


async def test_of_two_uploads_at_a_time_each_record_is_taken_once(
    store: PostgresDevices, postgres: asyncpg.Pool
) -> None:
    journal = journal_of(40)
    batches = [batch_of(journal, after, 20) for after in (0, 0, 0, 0)]
    outcomes = await asyncio.gather(*(take(store, one) for one in batches))
    assert sorted(outcomes) == [Receiving.REPEATED] * 3 + [Receiving.TAKEN]
    assert await postgres.fetchval("SELECT count(*) FROM validator_record") == 20


async def test_attack_14_both_histories_of_a_cloned_key_are_kept_with_their_addresses(
    store: PostgresDevices, postgres: asyncpg.Pool
) -> None:
    await take(store, batch_of(journal_of(3)))
    clone = JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    clone.append_tap(tap(99))
    signed = batch_of(clone)
    batch = open_batch(signed, DeviceKey(public=KEY.public))
    assert isinstance(batch, Batch)
    taken = await store.take(V1, batch, signed, NOW_MS, "203.0.113.9")
    assert taken.reception.receipt.outcome is Receiving.FORKED
    row = await postgres.fetchrow("SELECT address, forked_at, envelope FROM validator_evidence")
    assert (row["address"], row["forked_at"]) == ("203.0.113.9", 1)
    assert signed.signature in row["envelope"]
    assert await take(store, batch_of(journal_of(3))) is Receiving.STOPPED
    (device,) = await store.list_devices()
    assert (device.stopped, device.sequence) == (True, 3)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM validator_record",
        "UPDATE validator_record SET payload = '\\x00'",
        "UPDATE validator_record SET standing = 'late'",
        "UPDATE validator_record SET released_ms = 1",
    ],
)
async def test_a_record_is_never_changed_not_even_past_the_program(
    store: PostgresDevices, postgres: asyncpg.Pool, statement: str
) -> None:
    await take(store, batch_of(journal_of(1)))
    with pytest.raises(asyncpg.RaiseError, match="a record of a validator is never changed"):
        await postgres.execute(statement)


async def test_a_new_code_replaces_the_key_and_the_journal_goes_on(store: PostgresDevices) -> None:
    await take(store, batch_of(journal_of(3)))
    assert await store.revoke(V1)
    assert not await store.revoke(DeviceId("v-9"))
    found = await store.key(KEY.key_id)
    assert found == (V1, DeviceKey(public=KEY.public, revoked=True))
    other = SigningKey.from_bytes(b"o" * 32)
    code = Code.make(b"9876543210", other.public)
    await store.issue(IssuedCode(digest=code.digest, device_id=V1, vehicle_id="bus-8", expires_ms=NOW_MS + 1))
    request = EnrolmentRequest(secret=code.secret, public=other.public)
    for _ in range(2):  # the first answer may be lost
        outcome, _, head = await store.enrol(request, NOW_MS)
        assert (outcome, head) == (Enrolling.ENROLLED, journal_of(3).head)
    assert await store.key(other.key_id) == (V1, DeviceKey(public=other.public))
    old = await store.key(KEY.key_id)
    assert old is not None
    assert old[1].revoked
    assert (await store.list_devices())[0].vehicle_id == "bus-8"


async def test_a_wrong_code_changes_nothing(store: PostgresDevices) -> None:
    request = EnrolmentRequest(secret="a" * 16, public=KEY.public)
    assert await store.enrol(request, NOW_MS) == (Enrolling.UNKNOWN_CODE, None, Head(sequence=0, hash=START))


async def test_documents_are_published_once_under_a_version(store: PostgresDevices) -> None:
    document = publish(
        CONFIGURATION,
        kind=DocumentKind.CONFIGURATION,
        city="kzo",
        version=1,
        made_ms=NOW_MS,
        until_ms=NOW_MS + 9,
        key=KEY,
    )
    await store.publish(document)
    with pytest.raises(asyncpg.UniqueViolationError):
        await store.publish(document)
    assert await store.published(NOW_MS) == [document]
    assert await store.published(NOW_MS + 9) == []


def test_the_citys_key_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    path = tmp_path / "city-key"
    key = open_city_key(path)
    assert open_city_key(path).public == key.public
    assert [file.name for file in tmp_path.iterdir()] == ["city-key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(CityKeyError, match="others may read this secret key"):
        open_city_key(path)
    path.chmod(0o600)
    path.write_text("nonsense")
    with pytest.raises(CityKeyError, match="no key of 64 hexadecimal digits") as raised:
        open_city_key(path)
    assert "nonsense" not in str(raised.value)


def test_all_who_make_the_citys_key_at_once_have_the_same(tmp_path: Path) -> None:
    for trial in range(50):
        path, gate = tmp_path / str(trial), threading.Barrier(4)

        def made(path: Path = path, gate: threading.Barrier = gate) -> bytes:
            gate.wait()
            return open_city_key(path).public

        with ThreadPoolExecutor(4) as pool:
            assert len({one.result() for one in [pool.submit(made) for _ in range(4)]}) == 1
