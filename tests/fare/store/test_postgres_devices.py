"""Validators on a real PostgreSQL: what is decided is what is written, once, and nothing is changed later."""

import asyncio
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from fare.model import DeviceId
from fare.store.city_key import CityKeyError, open_city_key
from fare.store.postgres_devices import TRIES_MAX, PostgresDevices
from fare.validator.batches import Batch, DeviceKey, Receiving, Until, make_batch, open_batch
from fare.validator.documents import DocumentKind, publish
from fare.validator.enrolment import Code, Enrolling, EnrolmentRequest, IssuedCode
from fare.validator.journal import START, Head, Stretch, decode
from fare.validator.journal_file import JournalFile
from fare.validator.signing import Signed, SigningKey
from tests.fare.validator.cards import CONFIGURATION
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_batches import KEY, NOW_MS, batch_of, journal_of
from tests.fare.validator.test_journal import tap

V1 = DeviceId("v-1")
CODE = Code.make(b"0123456789", KEY.public)


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


async def test_each_record_is_kept_as_it_was_signed_a_lost_one_as_lost(
    store: PostgresDevices, postgres: asyncpg.Pool
) -> None:
    stretch = journal_of(6).after(0, 500, 10**6)
    assert stretch is not None
    payloads = [*stretch.payloads[:2], b"", *stretch.payloads[3:5], b""]
    torn = Stretch(first_sequence=1, before=stretch.before, payloads=tuple(payloads))
    signed = make_batch(torn, city="kzo", device_id=V1, sent_ms=NOW_MS, waiting=0, key=KEY)
    assert await take(store, signed) is Receiving.TAKEN
    rows = await postgres.fetch("SELECT sequence, payload, hash, standing FROM validator_record ORDER BY sequence")
    assert [(row["sequence"], row["payload"]) for row in rows] == list(enumerate(payloads, 1))
    assert [row["standing"] for row in rows] == ["on_time", "on_time", "lost", "on_time", "on_time", "lost"]
    records = [decode(payload) for payload in stretch.payloads]
    befores = [record.before for record in records if record is not None]
    assert [row["hash"] for row in rows] == [*befores[1:], b""], "the record after a lost one tells the chain"


async def test_a_batch_is_decided_again_if_the_device_changed_meanwhile(
    store: PostgresDevices, postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = 0

    async def known(self: PostgresDevices, *args: object) -> bool:
        nonlocal decided
        decided += 1
        if decided <= changes:
            await postgres.execute("UPDATE validator SET heard_ms = coalesce(heard_ms, 0) + 1")
        return await write(self, *args)  # type: ignore[arg-type]

    write = PostgresDevices._write
    monkeypatch.setattr(PostgresDevices, "_write", known)
    changes = 2
    assert await take(store, batch_of(journal_of(2))) is Receiving.TAKEN
    assert decided == 3
    decided, changes = 0, TRIES_MAX
    with pytest.raises(asyncpg.SerializationError, match="changed 10 times"):
        await take(store, batch_of(journal_of(3), 2))
    assert await postgres.fetchval("SELECT count(*) FROM validator_record") == 2


async def test_a_device_that_is_revoked_while_its_batch_is_decided_is_not_taken(
    store: PostgresDevices, postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def revoked_meanwhile(self: PostgresDevices, *args: object) -> bool:
        await store.revoke(V1)
        return await write(self, *args)  # type: ignore[arg-type]

    write = PostgresDevices._write
    monkeypatch.setattr(PostgresDevices, "_write", revoked_meanwhile)
    signed = batch_of(journal_of(2))
    batch = open_batch(signed, DeviceKey(public=KEY.public))
    assert isinstance(batch, Batch)
    with pytest.raises(asyncpg.SerializationError):  # it is revoked again and again
        await store.take(V1, batch, signed, NOW_MS, "10.0.0.1")
    monkeypatch.undo()
    assert await take(store, signed) is Receiving.REVOKED
    assert await postgres.fetchval("SELECT count(*) FROM validator_record") == 0


async def test_what_an_old_key_signed_is_not_taken(store: PostgresDevices) -> None:
    signed = batch_of(journal_of(1))
    code = Code.make(b"9876543210", KEY.public)
    await store.issue(IssuedCode(digest=code.digest, device_id=V1, vehicle_id="bus-8", expires_ms=NOW_MS + 1))
    await store.enrol(EnrolmentRequest(secret=code.secret, public=SigningKey.from_bytes(b"o" * 32).public), NOW_MS)
    assert await take(store, signed) is Receiving.REVOKED


async def test_notes_of_how_far_the_ledger_is_wait_for_each_other_in_no_circle(
    store: PostgresDevices, postgres: asyncpg.Pool
) -> None:
    others = [DeviceId(f"v-{number}") for number in range(2, 40)]
    await postgres.execute(
        "INSERT INTO validator (device_id, vehicle_id, hash) SELECT unnest($1::text[]), 'bus', ''", others
    )
    rows = [(one, sequence, b"", b"x", "note", sequence) for one in others for sequence in range(1, 31)]
    await postgres.copy_records_to_table(
        "validator_record",
        records=rows,
        columns=["device_id", "sequence", "hash", "payload", "standing", "received_ms"],
    )
    await postgres.execute("UPDATE validator SET sequence = 30 WHERE device_id <> 'v-1'")

    async def noted(sequence: int, devices: list[DeviceId]) -> None:
        await store.noted({one: Until(sequence=sequence, received_ms=sequence) for one in devices})

    await asyncio.gather(*(noted(number, others if number % 2 else others[::-1]) for number in range(1, 31)))
    assert await store.behind() == []


async def test_a_note_of_a_record_that_was_received_again_says_nothing(
    store: PostgresDevices, postgres: asyncpg.Pool
) -> None:
    await take(store, batch_of(journal_of(2)), NOW_MS)
    await store.noted({V1: Until(sequence=2, received_ms=NOW_MS - 5_000)})
    assert await store.behind() == [V1]
    await store.noted({V1: Until(sequence=1, received_ms=NOW_MS)})
    assert [one.sequence for one in (await store.pending(V1))[0]] == [2]
    await store.noted({V1: Until(sequence=2, received_ms=NOW_MS), DeviceId("v-9"): Until(sequence=1, received_ms=1)})
    assert await store.behind() == []


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("DELETE FROM validator", asyncpg.RestrictViolationError),
        ("TRUNCATE validator CASCADE", asyncpg.PostgresError),
        ("UPDATE validator SET device_id = 'v-2'", asyncpg.RestrictViolationError),
        (
            "INSERT INTO validator_record VALUES ('v-1', 9, '', '', 'note', 1), ('v-2', 1, '', '', 'note', 1)",
            asyncpg.ForeignKeyViolationError,
        ),
    ],
)
async def test_a_record_names_a_validator_that_is_there_past_the_program_too(
    store: PostgresDevices, postgres: asyncpg.Pool, statement: str, error: type[Exception]
) -> None:
    await take(store, batch_of(journal_of(1)))
    with pytest.raises(error):
        await postgres.execute(statement)
    assert await postgres.fetchval("SELECT count(*) FROM validator_record") == 1


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
