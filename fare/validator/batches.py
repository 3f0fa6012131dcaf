"""Upload of a journal, exactly once: batches that a device signs, and what the server makes of each.

A batch holds consecutive records byte for byte as they are in the journal, and the chain's hash before them. The server
knows how far it is with the device and the hash there. So a repeat is recognised and changes nothing, a gap is answered
with where to go on from, and a second history under the same numbers (a cloned key, a restored backup, an edited
journal) is a fork: evidence is kept and the device is stopped until a person has looked. Pure: ``receive`` is told what
the store knows and says what the store is to do, in one transaction. What needs no store ``Reading`` does before it, in
parts: a long batch read at once would hold up whoever waits at a door.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fare.model import DeviceId, MediumId, MediumKind, Tap
from fare.tariff.price import RIDERS_MAX
from fare.validator.journal import START, Head, Record, Stretch, decode, hash_after
from fare.validator.signing import Purpose, Signed, SigningKey, is_signed_by

RECORDS_MAX: Final = 500
BYTES_MAX: Final = 192 * 1_024  # of payloads
AHEAD_MAX_MS: Final = 120_000
LATE_AFTER_MS: Final = 30 * 86_400_000
CLOCK_SET_MS: Final = 1_577_836_800_000  # 2020: an earlier time is a clock that was never set
TEXT_MAX: Final = 100  # characters
NUMBER_MAX: Final = 2**53

_MEDIUM: Final = re.compile(r"[0-9a-f]{32}")


class Receiving(enum.StrEnum):
    """What became of a batch, in order of precedence: a metric label, an answer, a line in docs/validator.md."""

    WRONG_KEY = enum.auto()  # no key that we know made this signature
    REVOKED = enum.auto()  # the key, or its device
    MALFORMED = enum.auto()  # rightly signed, and still not a batch: a bug of the device
    WRONG_CITY = enum.auto()
    STOPPED = enum.auto()  # after a fork, until a person has looked
    GAP = enum.auto()  # begins after what we wait for: send again from ``Receipt.acknowledged``
    FORKED = enum.auto()  # other records under numbers that we have
    REPEATED = enum.auto()  # all of it was here already
    TAKEN = enum.auto()


class Standing(enum.StrEnum):
    """What becomes of one record that is new to the server."""

    ON_TIME = enum.auto()
    LATE = enum.auto()  # accepted, and marked: older than ``LATE_AFTER_MS``
    QUARANTINED = (
        enum.auto()
    )  # no clock could have said its time, or no validator of ours its content: kept, not charged
    NOTE = enum.auto()
    LOST = enum.auto()  # the device says that its disk lost it


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a device signs. ``payloads`` hold ``b""`` where a record is lost; ``before`` is then ``b""`` if unknown."""

    city: str
    device_id: DeviceId
    sent_ms: int  # by the device's clock
    first_sequence: int
    before: bytes
    payloads: tuple[bytes, ...]
    waiting: int = 0  # records behind these

    @property
    def last_sequence(self) -> int:
        """Return the sequence of the last record."""
        return self.first_sequence + len(self.payloads) - 1


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What the city signs in return. A device deletes nothing that no receipt has acknowledged."""

    outcome: Receiving
    device_id: DeviceId
    sent_ms: int  # of the batch, so that an old receipt is no answer to a new batch
    acknowledged: int = 0  # we have everything up to here
    hash: bytes = START  # of the chain, after it
    server_ms: int
    quarantined: int = 0  # records of this batch; set the clock
    late: int = 0
    vehicle_id: str = ""  # where the device is, by our register and by tracking
    route_id: str = ""
    trip_id: str = ""
    trip_since_ms: int = 0
    accounts: tuple[tuple[MediumId, int], ...] = ()  # balances in tiyn of media in this batch


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKey:
    """A public key of a device."""

    public: bytes
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store knows of a device. ``hashes``: the chain after some sequences, those that ``asked_for`` names."""

    device_id: DeviceId
    city: str
    vehicle_id: str
    head: Head
    stopped: bool = False
    revoked: bool = False
    hashes: Mapping[int, bytes] = field(default_factory=dict)


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One record that is new to the server. ``hash`` is the chain's after it, ``b""`` if that is lost."""

    sequence: int
    payload: bytes
    hash: bytes
    standing: Standing
    tap: Tap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What to store in one transaction, before ``receipt`` is sent. ``forked_at``: up to where two histories differ."""

    receipt: Receipt
    head: Head
    new: tuple[Received, ...] = ()
    forked_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """The last record of a device whose tap the ledger has, with all before it, and when it was received."""

    sequence: int
    received_ms: int


_encoder: Final = msgspec.msgpack.Encoder()
_batches: Final = msgspec.msgpack.Decoder(Batch)
_receipts: Final = msgspec.msgpack.Decoder(Receipt)


def make_batch(
    stretch: Stretch, *, city: str, device_id: DeviceId, sent_ms: int, waiting: int, key: SigningKey
) -> Signed:
    """Return a signed batch of what the journal gave."""
    batch = Batch(
        city=city,
        device_id=device_id,
        sent_ms=sent_ms,
        first_sequence=stretch.first_sequence,
        before=stretch.before,
        payloads=stretch.payloads,
        waiting=waiting,
    )
    return key.sign(Purpose.BATCH, _encoder.encode(batch))


def open_batch(signed: Signed, key: DeviceKey | None) -> Batch | Receiving:
    """Return the batch in an envelope that ``key`` (the one its ``key_id`` names) has signed, or why there is none."""
    return refused(signed, key) or batch_in(signed)


def refused(signed: Signed, key: DeviceKey | None) -> Receiving | None:
    """Return why nothing that is in an envelope counts; None: ``key`` has signed it as a batch, and may."""
    if key is None or not is_signed_by(signed, Purpose.BATCH, key.public):
        return Receiving.WRONG_KEY
    return Receiving.REVOKED if key.revoked else None


def batch_in(signed: Signed) -> Batch | Receiving:
    """Return the batch in an envelope whose signature is right, or why there is none."""
    try:
        batch = _batches.decode(signed.body)
    except (msgspec.DecodeError, ValueError):
        return Receiving.MALFORMED
    whole = batch.first_sequence >= 1 and 1 <= len(batch.payloads) <= RECORDS_MAX
    return batch if whole else Receiving.MALFORMED


def asked_for(batch: Batch) -> tuple[int, int]:
    """Return the sequences after which ``receive`` must know the chain's hash, where the store has them."""
    return batch.first_sequence - 1, batch.last_sequence


class Reading:
    """The records of a batch, read in parts: what they say, whether they can be charged, the chain's hashes.

    ``hashes``: the chain after each record read and after the one before the first; ``b""`` where it is lost.
    ``malformed``: they are no stretch of this device's chain.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._at = batch.before
        self.records: list[Record | None] = []  # None: lost
        self.sound: list[bool] = []
        self.hashes: dict[int, bytes] = {batch.first_sequence - 1: batch.before}
        self.malformed = False

    def read(self, count: int) -> None:
        """Read at most ``count`` more, as long as nothing is wrong with them."""
        batch, first = self._batch, len(self.records)
        for place, payload in enumerate(batch.payloads[first : first + count], first):
            self.malformed = self.malformed or not self._add(batch.first_sequence + place, payload)

    def _add(self, sequence: int, payload: bytes) -> bool:
        if not payload:
            self.records.append(None)
            self.sound.append(False)
            self.hashes[sequence] = self._at = b""
            return True
        record = decode(payload)
        if record is None or record.sequence != sequence or (self._at and record.before != self._at):
            return False
        if record.tap is not None and record.tap.device_id != self._batch.device_id:
            return False
        self.records.append(record)
        self.sound.append(record.tap is not None and is_sound(record.tap))
        self.hashes[sequence - 1] = record.before
        self.hashes[sequence] = self._at = hash_after(record.before, payload)
        return True


def receive(batch: Batch, known: Known, now_ms: int, reading: Reading | None = None) -> Reception:
    """Say what becomes of a batch whose signature was found right. ``reading``: of it, as far as it was read before."""
    barred = _barred(batch, known)
    if barred is not None:
        return _unchanged(barred, batch, known, now_ms)
    reading = reading or Reading(batch)
    reading.read(RECORDS_MAX)
    if reading.malformed:
        return _unchanged(Receiving.MALFORMED, batch, known, now_ms)
    if batch.first_sequence > known.head.sequence + 1:
        return _unchanged(Receiving.GAP, batch, known, now_ms)
    hashes = reading.hashes
    ours = {**known.hashes, known.head.sequence: known.head.hash}
    forked_at = min(
        (at for at, hash_ in ours.items() if hash_ and hashes.get(at, hash_) not in {hash_, b""}), default=None
    )
    if forked_at is not None:
        return _unchanged(Receiving.FORKED, batch, known, now_ms, forked_at=forked_at)
    new = _new(batch, reading, known.head.sequence, now_ms)
    if not new:
        return _unchanged(Receiving.REPEATED, batch, known, now_ms)
    head = Head(sequence=new[-1].sequence, hash=new[-1].hash)
    standings = [one.standing for one in new]
    receipt = _receipt(
        Receiving.TAKEN,
        batch,
        known,
        now_ms,
        head=head,
        quarantined=standings.count(Standing.QUARANTINED),
        late=standings.count(Standing.LATE),
    )
    return Reception(receipt=receipt, head=head, new=new)


def sign_receipt(receipt: Receipt, key: SigningKey) -> Signed:
    """Return ``receipt`` signed by the city."""
    return key.sign(Purpose.RECEIPT, _encoder.encode(receipt))


def open_receipt(signed: Signed, public: bytes, *, device_id: DeviceId, sent_ms: int) -> Receipt | None:
    """Return the receipt for the batch sent at ``sent_ms``, None if it is none or ``public`` did not sign it."""
    if not is_signed_by(signed, Purpose.RECEIPT, public):
        return None
    try:
        receipt = _receipts.decode(signed.body)
    except (msgspec.DecodeError, ValueError):
        return None
    return receipt if receipt.device_id == device_id and receipt.sent_ms == sent_ms else None


def _barred(batch: Batch, known: Known) -> Receiving | None:
    checks = (
        (known.revoked, Receiving.REVOKED),
        (batch.device_id != known.device_id, Receiving.WRONG_KEY),
        (batch.city != known.city, Receiving.WRONG_CITY),
        (known.stopped, Receiving.STOPPED),
    )
    return next((outcome for barred, outcome in checks if barred), None)


def _new(batch: Batch, reading: Reading, known_until: int, now_ms: int) -> tuple[Received, ...]:
    """Return the records after ``known_until``."""
    first = max(0, known_until + 1 - batch.first_sequence)
    return tuple(
        Received(
            sequence=batch.first_sequence + place,
            payload=batch.payloads[place],
            hash=reading.hashes[batch.first_sequence + place],
            standing=_standing(record, now_ms, sound=reading.sound[place]),
            tap=record.tap if record is not None else None,
        )
        for place, record in enumerate(reading.records[first:], first)
    )


def _standing(record: Record | None, now_ms: int, *, sound: bool) -> Standing:
    if record is None:
        return Standing.LOST
    if record.tap is None:
        return Standing.NOTE
    at_ms = record.tap.occurred_ms
    if at_ms > now_ms + AHEAD_MAX_MS or at_ms < CLOCK_SET_MS or not sound:
        return Standing.QUARANTINED
    return Standing.LATE if now_ms - at_ms > LATE_AFTER_MS else Standing.ON_TIME


def is_sound(tap: Tap) -> bool:
    """Return whether a tap can be stored and priced.

    Who has the key of a stolen validator signs what they like. What the books could not take would come again and
    again, and hold up the taps of others that are written with it.
    """
    categories = [riders.category for riders in tap.riders]
    texts = (tap.medium_id, tap.vehicle_id, tap.route_id, tap.trip_id, tap.tariff_version, *categories)
    if any(len(text) > TEXT_MAX or not text.isprintable() for text in texts):
        return False
    if not (0 <= tap.shown_tiyn <= NUMBER_MAX and 0 <= tap.deny_list_version <= NUMBER_MAX):
        return False
    if not -1 <= tap.counter <= NUMBER_MAX:
        return False
    if any(riders.count < 1 for riders in tap.riders) or sum(riders.count for riders in tap.riders) > RIDERS_MAX:
        return False
    named = tap.medium_kind is MediumKind.CASH or _MEDIUM.fullmatch(tap.medium_id) is not None
    return named or not tap.outcome.rides


def _unchanged(
    outcome: Receiving, batch: Batch, known: Known, now_ms: int, *, forked_at: int | None = None
) -> Reception:
    receipt = _receipt(outcome, batch, known, now_ms, head=known.head)
    return Reception(receipt=receipt, head=known.head, forked_at=forked_at)


def _receipt(
    outcome: Receiving, batch: Batch, known: Known, now_ms: int, *, head: Head, quarantined: int = 0, late: int = 0
) -> Receipt:
    return Receipt(
        outcome=outcome,
        device_id=batch.device_id,
        sent_ms=batch.sent_ms,
        acknowledged=head.sequence,
        hash=head.hash,
        server_ms=now_ms,
        quarantined=quarantined,
        late=late,
        vehicle_id=known.vehicle_id,
    )
