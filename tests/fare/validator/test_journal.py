"""The journal keeps what the passenger was shown, whatever happens to power and disk."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare.model import DeviceId, MediumId, MediumKind, Tap
from fare.outcomes import TapOutcome
from fare.validator.disk import FolderDisk
from fare.validator.journal import START, Head, Note, Noted, decode, hash_after
from fare.validator.journal_file import ACKNOWLEDGED, JournalError, JournalFile
from tests.fare.validator.power import UnsafeDisk

SMALL_SEGMENT = 1_000  # some three taps


def tap(number: int) -> Tap:
    return Tap(
        device_id=DeviceId("v-1"),
        sequence=0,
        tapped_ms=1_789_970_400_000 + number,
        medium_id=MediumId(f"{number:032x}"),
        medium_kind=MediumKind.TRANSPORT_CARD,
        outcome=TapOutcome.ACCEPTED,
        vehicle_id="bus-7",
        shown_tiyn=10_000,
    )


def opened(disk: UnsafeDisk, segment_bytes: int = 10**6) -> JournalFile:
    return JournalFile(disk, now_ms=7, segment_bytes=segment_bytes)


def written(count: int, disk: UnsafeDisk, segment_bytes: int = 10**6) -> JournalFile:
    journal = opened(disk, segment_bytes)
    for number in range(1, count + 1):
        journal.append_tap(tap(number))
    return journal


def kept(journal: JournalFile) -> list[int]:
    """The numbers of the taps that are there."""
    return [one.tapped_ms - 1_789_970_400_000 for one in journal.taps_after(0)]


def notes(journal: JournalFile) -> list[Note]:
    stretch = journal.after(0, 10_000, 10**9)
    records = [decode(payload) for payload in stretch.payloads if payload] if stretch else []
    return [record.noted.note for record in records if record is not None and record.noted is not None]


def test_taps_are_numbered_chained_and_read_back() -> None:
    disk = UnsafeDisk()
    journal = written(8, disk, SMALL_SEGMENT)
    assert len(disk.names()) == 2, "several segments"
    again = opened(disk, SMALL_SEGMENT)
    assert again.head == journal.head
    assert kept(again) == [1, 2, 3, 4, 5, 6, 7, 8]
    stretch = again.after(0, 100, 10**6)
    assert stretch is not None
    at = START
    for sequence, payload in enumerate(stretch.payloads, start=1):
        record = decode(payload)
        assert record is not None
        assert (record.sequence, record.before) == (sequence, at)
        at = hash_after(at, payload)
    assert at == journal.head.hash


def test_a_record_is_synced_before_append_returns() -> None:
    disk = UnsafeDisk()
    journal = opened(disk)
    for number in range(1, 6):
        journal.append_tap(tap(number))
        assert disk.syncs == number
        assert disk.durable == disk.volatile


def test_cut_at_any_byte_every_whole_record_is_kept() -> None:
    disk = UnsafeDisk()
    ends = []
    journal = opened(disk)
    for number in range(1, 5):
        journal.append_tap(tap(number))
        ends.append(len(disk.read(disk.names()[0])))
    name, whole = disk.names()[0], disk.read(disk.names()[0])
    for size in range(len(whole) + 1):
        torn = UnsafeDisk()
        torn.volatile = torn.durable = {name: whole[:size]}
        after = opened(torn)
        survivors = sum(end <= size for end in ends)
        assert kept(after) == list(range(1, survivors + 1)), size
        is_torn = size not in (0, *ends)
        assert notes(after) == [Note.TAIL_CUT] * is_torn, size
        assert after.append_tap(tap(9)).sequence == survivors + is_torn + 1
        assert kept(opened(torn))[-1] == 9


def test_a_flipped_bit_at_any_byte_costs_that_record_alone_and_is_noted() -> None:
    disk = UnsafeDisk()
    ends = []
    journal = opened(disk)
    for number in range(1, 5):
        journal.append_tap(tap(number))
        ends.append(len(disk.read(disk.names()[0])))
    name, whole = disk.names()[0], disk.read(disk.names()[0])
    for at in range(len(whole)):
        hurt = UnsafeDisk()
        hurt.volatile = hurt.durable = {name: whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]}
        victim = 1 + sum(end <= at for end in ends)
        after = opened(hurt)
        assert kept(after) == [number for number in range(1, 5) if number != victim], at
        assert notes(after) == [Note.TAIL_CUT if victim == 4 else Note.RECORDS_LOST], at
        stretch = after.after(0, 100, 10**6)
        assert stretch is not None
        assert stretch.payloads[:4].count(b"") == (victim != 4), "what is lost keeps its number"
        assert notes(opened(hurt)) == notes(after), "noted once, not at every start"


def test_notes_say_how_much_is_gone() -> None:
    disk = UnsafeDisk()
    written(6, disk)
    name, whole = disk.names()[0], bytearray(disk.read(disk.names()[0]))
    size = len(whole) // 6
    whole[size + 20] ^= 1  # the second record
    whole[2 * size + 20] ^= 1  # and the third
    disk.volatile = disk.durable = {name: bytes(whole) + b"torn"}
    after = opened(disk)
    stretch = after.after(0, 100, 10**6)
    assert stretch is not None
    records = [decode(payload) for payload in stretch.payloads if payload]
    amounts = [(one.noted.note, one.noted.amount) for one in records if one is not None and one.noted is not None]
    assert amounts == [(Note.TAIL_CUT, 4), (Note.RECORDS_LOST, 2)]
    assert opened(disk).head == after.head, "noted once"


def test_the_chain_is_known_where_a_record_or_a_receipt_says_it() -> None:
    disk = UnsafeDisk()
    journal = written(4, disk)
    stretch = journal.after(0, 4, 10**6)
    assert stretch is not None
    hashes = [START]
    for payload in stretch.payloads:
        hashes.append(hash_after(hashes[-1], payload))
    assert [journal.hash_at(sequence) for sequence in range(5)] == hashes
    assert journal.hash_at(9) is None
    disk.volatile.clear()
    assert opened(disk).hash_at(3) is None


def test_what_is_no_longer_on_disk_is_sent_as_lost_in_stretches_of_the_size_asked_for() -> None:
    disk = UnsafeDisk()
    journal = written(20, disk, SMALL_SEGMENT)
    journal.acknowledge(20, journal.head.hash)
    first_kept = int(disk.names()[0][:12])
    assert first_kept > 5
    stretch = journal.after(0, 3, 10**6)
    assert stretch is not None
    assert (stretch.before, stretch.payloads) == (b"", (b"", b"", b""))
    border = journal.after(first_kept - 2, 2, 10**6)
    assert border is not None
    assert [bool(payload) for payload in border.payloads] == [False, True]


@settings(max_examples=200)
@given(st.integers(0, 60), st.integers(0, 2**32), st.integers(1, 12))
def test_whenever_the_power_goes_what_was_acknowledged_to_the_passenger_is_there(
    operations: int, seed: int, ack_every: int
) -> None:
    disk = UnsafeDisk(operations)
    shown: list[int] = []
    journal: JournalFile | None = None
    try:
        journal = opened(disk, SMALL_SEGMENT)
        for number in range(1, 30):
            journal.append_tap(tap(number))
            shown.append(number)
            if number % ack_every == 0:
                journal.acknowledge(journal.head.sequence, journal.head.hash)
    except JournalError:
        pass
    acknowledged = journal.acknowledged if journal else 0
    disk.restart(random.Random(seed))  # noqa: S311
    after = opened(disk, SMALL_SEGMENT)
    there = kept(after)
    assert set(shown) - set(range(1, acknowledged + 1)) <= set(there)
    assert there == sorted(there)
    assert set(there) <= {*shown, len(shown) + 1}, "at most the one that was being written"
    assert after.append_tap(tap(99)).sequence > max(len(shown), acknowledged)


def test_after_a_failed_write_nothing_is_taken_until_the_journal_is_opened_anew() -> None:
    disk = UnsafeDisk()
    journal = written(2, disk)
    disk.operations_left = 0
    with pytest.raises(JournalError, match="record 3 is not on disk: no power"):
        journal.append_tap(tap(3))
    disk.operations_left = 99
    with pytest.raises(JournalError, match="must be opened anew"):
        journal.append_tap(tap(3))
    again = opened(disk)
    assert again.append_tap(tap(3)).sequence == again.head.sequence
    assert kept(again) == [1, 2, 3]


def test_segments_go_only_when_the_server_has_them() -> None:
    disk = UnsafeDisk()
    journal = written(20, disk, SMALL_SEGMENT)
    segments = [name for name in disk.names() if name != ACKNOWLEDGED]
    second = int(segments[1][:12])
    stretch = journal.after(0, second - 2, 10**6)
    assert stretch is not None
    journal.acknowledge(second - 2, b"h" * 32)
    assert set(segments) <= set(disk.names()), "its last record is not acknowledged"
    journal.acknowledge(second - 1, b"h" * 32)
    assert segments[0] not in disk.names()
    assert set(segments[1:]) <= set(disk.names())
    journal.acknowledge(journal.head.sequence, journal.head.hash)
    assert [name for name in disk.names() if name != ACKNOWLEDGED] == segments[-2:], "who paid a moment ago stays"
    again = opened(disk, SMALL_SEGMENT)
    assert (again.head, again.waiting) == (journal.head, 0)
    assert again.after(again.acknowledged, 10, 10**6) is None


def test_upload_goes_on_where_the_server_is_in_stretches_of_the_size_asked_for() -> None:
    disk = UnsafeDisk()
    journal = written(10, disk, SMALL_SEGMENT)
    first = journal.after(0, 4, 10**6)
    assert first is not None
    assert (first.first_sequence, first.before, len(first.payloads)) == (1, START, 4)
    small = journal.after(4, 100, 2 * len(first.payloads[0]))
    assert small is not None
    assert (small.first_sequence, len(small.payloads)) == (5, 2)


def test_a_journal_whose_end_was_lost_goes_on_after_what_the_server_has() -> None:
    disk = UnsafeDisk()
    journal = written(3, disk)
    journal.acknowledge(5, b"h" * 32)
    assert journal.head == Head(sequence=5, hash=b"h" * 32)
    assert journal.append_tap(tap(6)).sequence == 6
    stretch = journal.after(5, 10, 10**6)
    assert stretch is not None
    assert (stretch.before, len(stretch.payloads)) == (b"h" * 32, 1)


def test_a_device_enrolled_anew_goes_on_where_its_chain_ended() -> None:
    journal = JournalFile(UnsafeDisk(), now_ms=7, start=Head(sequence=41, hash=b"h" * 32))
    assert journal.append_tap(tap(1)).sequence == 42


def test_what_is_acknowledged_and_unreadable_is_asked_for_again_from_the_server() -> None:
    disk = UnsafeDisk()
    journal = written(3, disk)
    journal.acknowledge(3, journal.head.hash)
    disk.volatile[ACKNOWLEDGED] = disk.volatile[ACKNOWLEDGED][:-3]
    assert (opened(disk).acknowledged, opened(disk).head) == (0, journal.head)


def test_on_a_real_folder_a_killed_process_loses_no_tap_it_had_shown(tmp_path: Path) -> None:
    program = (
        "import itertools, os, pathlib, sys\n"
        "from fare.validator.disk import FolderDisk\n"
        "from fare.validator.journal_file import JournalFile\n"
        "from tests.fare.validator.test_journal import tap\n"
        f"journal = JournalFile(FolderDisk(pathlib.Path({str(tmp_path)!r})), now_ms=7, segment_bytes=1_000)\n"
        "for number in itertools.count(len(list(journal.taps_after(0))) + 1):\n"
        "    journal.append_tap(tap(number))\n"
        "    os.write(1, b'.')\n"
    )
    shown = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            shown += len(process.stdout.read(25))
            process.kill()
            shown += len(process.stdout.read())
    journal = JournalFile(FolderDisk(tmp_path), now_ms=7)
    assert kept(journal)[:shown] == list(range(1, shown + 1))
    journal.append_note(Noted(note=Note.STARTED, at_ms=8))
