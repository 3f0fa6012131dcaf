"""Uploading a journal exactly once, whatever is repeated, lost, forged or set wrongly."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.model import DeviceId, MediumId, MediumKind, RiderCategory, Riders, Tap
from fare.outcomes import TapOutcome
from fare.validator.batches import (
    Batch,
    DeviceKey,
    Known,
    Reading,
    Receipt,
    Receiving,
    Reception,
    Standing,
    asked_for,
    make_batch,
    open_batch,
    open_receipt,
    receive,
    sign_receipt,
)
from fare.validator.journal import START, Head, Note, Noted, Stretch, hash_after
from fare.validator.journal_file import JournalFile
from fare.validator.signing import Purpose, Signed, SigningKey
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_journal import tap

KEY = SigningKey.from_bytes(b"v" * 32)
CITY = SigningKey.from_bytes(b"c" * 32)
NOW_MS = 1_789_970_460_000  # a minute after ``tap(0)``
MINUTE_MS = 60_000
DAY_MS = 86_400_000
V1 = DeviceId("v-1")


class Server:
    """What a store does with a reception."""

    def __init__(self) -> None:
        self.head = Head()
        self.hashes: dict[int, bytes] = {0: START}
        self.taps: list[Tap] = []
        self.standings: dict[int, Standing] = {}
        self.stopped = False
        self.city = "kzo"

    def take(self, signed: Signed, now_ms: int = NOW_MS) -> Reception:
        batch = open_batch(signed, DeviceKey(public=KEY.public))
        assert isinstance(batch, Batch)
        known = Known(
            device_id=V1,
            city=self.city,
            vehicle_id="bus-7",
            head=self.head,
            stopped=self.stopped,
            hashes={at: self.hashes[at] for at in asked_for(batch) if at in self.hashes},
        )
        reception = receive(batch, known, now_ms)
        self.head = reception.head
        self.stopped |= reception.forked_at is not None
        for one in reception.new:
            self.hashes[one.sequence] = one.hash
            self.standings[one.sequence] = one.standing
            if one.tap is not None and one.standing in {Standing.ON_TIME, Standing.LATE}:
                self.taps.append(one.tap)
        return reception

    def outcome(self, signed: Signed, now_ms: int = NOW_MS) -> Receiving:
        return self.take(signed, now_ms).receipt.outcome


def journal_of(count: int) -> JournalFile:
    journal = JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    for number in range(1, count + 1):
        journal.append_tap(tap(number))
    return journal


def batch_of(journal: JournalFile, after: int = 0, count: int = 500, **changed: object) -> Signed:
    stretch = journal.after(after, count, 10**6)
    assert stretch is not None
    return signed(stretch, **changed)


def signed(stretch: Stretch, **changed: object) -> Signed:
    batch = Batch(
        city="kzo",
        device_id=V1,
        sent_ms=NOW_MS,
        first_sequence=stretch.first_sequence,
        before=stretch.before,
        payloads=stretch.payloads,
    )
    body = msgspec.msgpack.encode(msgspec.structs.replace(batch, **changed))
    return KEY.sign(Purpose.BATCH, body)


def test_records_are_taken_once_and_in_order() -> None:
    server, journal = Server(), journal_of(7)
    first = server.take(batch_of(journal, 0, 4)).receipt
    assert (first.outcome, first.acknowledged) == (Receiving.TAKEN, 4)
    journal.acknowledge(first.acknowledged, first.hash)
    assert server.outcome(batch_of(journal, 4)) is Receiving.TAKEN
    assert [one.sequence for one in server.taps] == [1, 2, 3, 4, 5, 6, 7]
    assert server.head == journal.head


def test_attack_12_a_replayed_batch_is_a_success_that_changes_nothing() -> None:
    server, journal = Server(), journal_of(6)
    batches = [batch_of(journal, 0, 3), batch_of(journal, 3, 3)]
    for one in batches:
        server.take(one)
    for one in batches:
        again = server.take(one)
        assert (again.receipt.outcome, again.receipt.acknowledged, again.new) == (Receiving.REPEATED, 6, ())
    assert len(server.taps) == 6


def test_attack_12_a_record_recorded_from_another_device_is_no_record_of_this_one() -> None:
    foreign = JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    foreign.append_tap(msgspec.structs.replace(tap(1), device_id=DeviceId("v-2")))
    assert Server().outcome(batch_of(foreign)) is Receiving.MALFORMED


def test_what_overlaps_is_taken_from_where_it_is_new() -> None:
    server, journal = Server(), journal_of(6)
    server.take(batch_of(journal, 0, 4))
    reception = server.take(batch_of(journal, 2))
    assert [one.sequence for one in reception.new] == [5, 6]


def test_attack_13_after_a_gap_the_server_says_from_where_to_go_on() -> None:
    server, journal = Server(), journal_of(9)
    server.take(batch_of(journal, 0, 3))
    gap = server.take(batch_of(journal, 5)).receipt
    assert (gap.outcome, gap.acknowledged, gap.hash) == (Receiving.GAP, 3, server.hashes[3])
    assert server.outcome(batch_of(journal, gap.acknowledged)) is Receiving.TAKEN
    assert len(server.taps) == 9


@pytest.mark.parametrize("shared", [0, 1, 3])
def test_attacks_13_and_14_a_second_history_under_one_key_stops_the_device(shared: int) -> None:
    """A cloned key or a restored backup: up to ``shared`` both are the same, then each goes its own way."""
    honest, clone = JournalFile(UnsafeDisk(), now_ms=NOW_MS), JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    for number in range(1, 6):
        honest.append_tap(tap(number))
        clone.append_tap(tap(number if number <= shared else 100 + number))
    server = Server()
    server.take(batch_of(honest))
    forked = server.take(batch_of(clone, shared))
    assert forked.receipt.outcome is Receiving.FORKED
    assert forked.forked_at == 5
    assert forked.new == ()
    assert server.outcome(batch_of(honest)) is Receiving.STOPPED, "nobody knows which one is the bus"
    assert [one.tapped_ms - 1_789_970_400_000 for one in server.taps] == [1, 2, 3, 4, 5]


def test_attacks_13_and_14_a_clone_that_waits_until_its_numbers_are_new_is_found_by_the_chain() -> None:
    honest, clone = journal_of(3), JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    for number in range(101, 109):
        clone.append_tap(tap(number))
    server = Server()
    server.take(batch_of(honest))
    assert server.take(batch_of(clone, 3)).forked_at == 3


def test_a_record_edited_on_the_device_breaks_the_chain() -> None:
    journal = journal_of(4)
    stretch = journal.after(0, 10, 10**6)
    assert stretch is not None
    cheaper = stretch.payloads[1].replace(b"accepted", b"torntorn")
    payloads = (stretch.payloads[0], cheaper, *stretch.payloads[2:])
    assert Server().outcome(signed(replace(stretch, payloads=payloads))) is Receiving.MALFORMED


def test_attack_18_taps_from_the_future_wait_in_quarantine_and_the_clock_is_corrected() -> None:
    server = Server()
    journal = JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    for ahead_ms in (0, 2 * MINUTE_MS, 2 * MINUTE_MS + 1, 3_600_000):
        journal.append_tap(msgspec.structs.replace(tap(0), tapped_ms=NOW_MS + ahead_ms))
    receipt = server.take(batch_of(journal)).receipt
    assert list(server.standings.values()) == [Standing.ON_TIME] * 2 + [Standing.QUARANTINED] * 2
    assert (receipt.outcome, receipt.quarantined, receipt.server_ms) == (Receiving.TAKEN, 2, NOW_MS)
    assert len(server.taps) == 2


@pytest.mark.parametrize(
    ("device_ms", "offset_ms", "standing"),
    [
        (NOW_MS - 3_600_000, 0, Standing.ON_TIME),  # nobody can tell a slow clock from a slow network
        (NOW_MS + 3_600_000, 0, Standing.QUARANTINED),
        (NOW_MS + 3_600_000, -3_600_000, Standing.ON_TIME),
        (1_000_000, 0, Standing.QUARANTINED),
        (1_000_000, NOW_MS - 1_000_000, Standing.ON_TIME),
        (NOW_MS - 40 * DAY_MS, 0, Standing.LATE),
        (NOW_MS - 29 * DAY_MS, 0, Standing.ON_TIME),
    ],
)
def test_attacks_8_and_18_a_wrong_clock_and_a_late_upload(device_ms: int, offset_ms: int, standing: Standing) -> None:
    server = Server()
    journal = JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    journal.append_tap(msgspec.structs.replace(tap(0), tapped_ms=device_ms, clock_offset_ms=offset_ms))
    receipt = server.take(batch_of(journal)).receipt
    assert server.standings[1] is standing
    assert receipt.late == (standing is Standing.LATE)
    assert len(server.taps) == (standing is not Standing.QUARANTINED)


def test_attack_19_without_the_devices_own_key_nothing_is_taken() -> None:
    stolen = batch_of(journal_of(1))
    other = SigningKey.from_bytes(b"x" * 32)
    minted = other.sign(Purpose.BATCH, stolen.body)
    assert open_batch(minted, None) is Receiving.WRONG_KEY
    assert open_batch(msgspec.structs.replace(minted, key_id=KEY.key_id), DeviceKey(public=KEY.public)) is (
        Receiving.WRONG_KEY
    )
    assert open_batch(stolen, DeviceKey(public=KEY.public, revoked=True)) is Receiving.REVOKED
    for_another_purpose = KEY.sign(Purpose.ASKING, stolen.body)
    assert open_batch(for_another_purpose, DeviceKey(public=KEY.public)) is Receiving.WRONG_KEY


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_attack_1_a_flipped_bit_anywhere_is_refused(at: int, bit: int) -> None:
    good = batch_of(journal_of(2))
    at %= len(good.body) + len(good.signature)
    bits = bytearray(good.body + good.signature)
    bits[at] ^= 1 << bit
    bad = msgspec.structs.replace(good, body=bytes(bits[: len(good.body)]), signature=bytes(bits[len(good.body) :]))
    assert open_batch(bad, DeviceKey(public=KEY.public)) is Receiving.WRONG_KEY


def test_another_city_and_another_device_are_refused() -> None:
    journal = journal_of(2)
    assert Server().outcome(batch_of(journal, city="ala")) is Receiving.WRONG_CITY
    known = Known(device_id=DeviceId("v-2"), city="kzo", vehicle_id="bus-8", head=Head())
    batch = open_batch(batch_of(journal), DeviceKey(public=KEY.public))
    assert isinstance(batch, Batch)
    assert receive(batch, known, NOW_MS).receipt.outcome is Receiving.WRONG_KEY
    assert receive(batch, replace(known, revoked=True), NOW_MS).receipt.outcome is Receiving.REVOKED


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x81\xa4city\xa3kzo", b"\x91" * 5_000, msgspec.msgpack.encode([1, 2])]
)
def test_signed_nonsense_is_malformed(body: bytes) -> None:
    assert open_batch(KEY.sign(Purpose.BATCH, body), DeviceKey(public=KEY.public)) is Receiving.MALFORMED


@pytest.mark.parametrize("count", [0, 501])
def test_a_batch_has_one_to_five_hundred_records(count: int) -> None:
    batch = signed(Stretch(first_sequence=1, before=START, payloads=(b"",) * count))
    assert open_batch(batch, DeviceKey(public=KEY.public)) is Receiving.MALFORMED


@pytest.mark.parametrize("lost", [(2,), (1,), (2, 3), (4,)])
def test_records_that_a_disk_lost_keep_their_numbers_and_cost_no_other(lost: tuple[int, ...]) -> None:
    server, journal = Server(), journal_of(4)
    stretch = journal.after(0, 10, 10**6)
    assert stretch is not None
    payloads = tuple(b"" if at in lost else payload for at, payload in enumerate(stretch.payloads, start=1))
    reception = server.take(signed(replace(stretch, payloads=payloads)))
    assert reception.receipt.outcome is Receiving.TAKEN
    assert [at for at, standing in server.standings.items() if standing is Standing.LOST] == list(lost)
    assert [one.sequence for one in server.taps] == [at for at in (1, 2, 3, 4) if at not in lost]
    journal.append_tap(tap(5))
    assert server.outcome(batch_of(journal, 4)) is Receiving.TAKEN


def test_notes_have_numbers_too_and_charge_nobody() -> None:
    server, journal = Server(), journal_of(1)
    journal.append_note(Noted(note=Note.CLOCK_CORRECTED, at_ms=NOW_MS, amount=5_000))
    journal.append_tap(tap(2))
    server.take(batch_of(journal))
    assert [one.sequence for one in server.taps] == [1, 3]
    assert server.standings[2] is Standing.NOTE


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), max_size=30))
def test_whatever_order_batches_come_in_each_tap_is_taken_once(sends: list[tuple[int, int]]) -> None:
    server, journal = Server(), journal_of(12)
    for after, count in [*sends, (server.head.sequence, 12), (0, 12)]:
        if after < 12:
            server.take(batch_of(journal, after, count))
    assert [one.sequence for one in server.taps] == list(range(1, 13))
    assert not server.stopped


def test_a_receipt_is_the_citys_and_for_this_batch() -> None:
    receipt = Server().take(batch_of(journal_of(2))).receipt
    envelope = sign_receipt(receipt, CITY)
    assert open_receipt(envelope, CITY.public, device_id=V1, sent_ms=NOW_MS) == receipt
    assert open_receipt(envelope, KEY.public, device_id=V1, sent_ms=NOW_MS) is None
    assert open_receipt(envelope, CITY.public, device_id=DeviceId("v-2"), sent_ms=NOW_MS) is None
    assert open_receipt(envelope, CITY.public, device_id=V1, sent_ms=NOW_MS + 1) is None, "an old one, sent again"
    assert isinstance(receipt, Receipt)


def test_make_batch_signs_what_the_journal_gave() -> None:
    journal = journal_of(3)
    stretch = journal.after(0, 2, 10**6)
    assert stretch is not None
    made = make_batch(stretch, city="kzo", device_id=V1, sent_ms=NOW_MS, waiting=1, key=KEY)
    batch = open_batch(made, DeviceKey(public=KEY.public))
    assert isinstance(batch, Batch)
    assert (batch.payloads, batch.last_sequence, batch.waiting) == (stretch.payloads, 2, 1)
    assert hash_after(batch.before, batch.payloads[0]) == hash_after(START, stretch.payloads[0])


HOSTILE = (
    {"medium_id": MediumId("0" * 31)},
    {"medium_id": MediumId("0" * 31 + "\0")},
    {"medium_id": MediumId("")},
    {"medium_id": MediumId("A" * 32)},
    {"vehicle_id": "bus\0"},
    {"vehicle_id": "b" * 101},
    {"route_id": "\0"},
    {"trip_id": "\x1b[2J"},
    {"tariff_version": "\n"},
    {"shown_tiyn": -1},
    {"shown_tiyn": 2**63},
    {"deny_list_version": 2**64 - 1},
    {"counter": 2**63},
    {"counter": -2},
    {"riders": (Riders(category=RiderCategory("adult"), count=0),)},
    {"riders": (Riders(category=RiderCategory("adult"), count=-5),)},
    {"riders": (Riders(category=RiderCategory("adult"), count=101),)},
    {"riders": tuple(Riders(category=RiderCategory(f"{number}"), count=60) for number in range(2))},
    {"riders": (Riders(category=RiderCategory("\0"), count=1),)},
)


@pytest.mark.parametrize("changed", HOSTILE)
def test_attack_19_what_the_books_could_not_take_of_a_stolen_validator_waits_for_a_person(
    changed: dict[str, object],
) -> None:
    server, journal = Server(), JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    journal.append_tap(tap(1))
    journal.append_tap(msgspec.structs.replace(tap(2), **changed))
    journal.append_tap(tap(3))
    assert server.outcome(batch_of(journal)) is Receiving.TAKEN
    assert list(server.standings.values()) == [Standing.ON_TIME, Standing.QUARANTINED, Standing.ON_TIME]


def test_what_validators_do_record_is_taken() -> None:
    server, journal = Server(), JournalFile(UnsafeDisk(), now_ms=NOW_MS)
    family = tuple(Riders(category=RiderCategory(name), count=50) for name in ("adult", "оқушы"))
    for changed in (
        {"riders": family, "vehicle_id": "505 АВ 11", "counter": 65_535},
        {"medium_id": MediumId(""), "outcome": TapOutcome.TORN},
        {"medium_id": MediumId(""), "medium_kind": MediumKind.CASH},
    ):
        journal.append_tap(msgspec.structs.replace(tap(1), **changed))
    server.take(batch_of(journal))
    assert set(server.standings.values()) == {Standing.ON_TIME}


@given(st.lists(st.integers(1, 5), max_size=12), st.sets(st.integers(0, 9), max_size=3), st.integers(0, 12))
def test_in_whatever_parts_a_batch_is_read_the_same_becomes_of_it(
    parts: list[int], lost: set[int], other_devices: int
) -> None:
    stretch = journal_of(10).after(0, 10, 10**6)
    assert stretch is not None
    payloads = [b"" if place in lost else payload for place, payload in enumerate(stretch.payloads)]
    if other_devices < len(payloads) and payloads[other_devices]:
        payloads[other_devices] = payloads[other_devices].replace(V1.encode(), b"v2")
    batch = open_batch(signed(replace(stretch, payloads=tuple(payloads))), DeviceKey(public=KEY.public))
    assert isinstance(batch, Batch)
    known = Known(device_id=V1, city="kzo", vehicle_id="bus", head=Head(), hashes={0: START})
    reading = Reading(batch)
    for count in parts:
        reading.read(count)
    in_parts, at_once = receive(batch, known, NOW_MS, reading), receive(batch, known, NOW_MS)
    assert in_parts == at_once
    whole = other_devices >= len(payloads) or other_devices in lost
    assert at_once.receipt.outcome is (Receiving.TAKEN if whole else Receiving.MALFORMED)
