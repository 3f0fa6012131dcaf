"""The journal of a validator as bytes: frames that survive a torn write, records that form a chain.

A frame is ``length (u32 LE) | CRC-32C of length and payload (u32 LE) | payload``; the payload is one record in msgpack.
A record carries its sequence and the chain's hash before it; the hash after it is SHA-256(hash before | payload). So
whoever holds one hash can prove the whole past, and a record lost to a bad sector does not cut off those after it.

``scan`` reads whatever a power cut or a bad sector left: damage followed by whole frames is skipped and counted, damage
at the end is a torn write, to be cut off. Pure; files are ``fare.validator.journal_file``.
"""

import enum
import hashlib
import struct
from dataclasses import dataclass
from typing import Final

import msgspec
from fastcrc import crc32

from fare.model import Tap

HASH_BYTES: Final = 32
START: Final = bytes(HASH_BYTES)  # the hash before the first record of a device's first key
RECORD_MAX_BYTES: Final = 4_096

_HEAD: Final = struct.Struct("<II")
HEAD_BYTES: Final = _HEAD.size


class Note(enum.StrEnum):
    """What a journal tells beside taps."""

    STARTED = enum.auto()
    CLOCK_CORRECTED = enum.auto()
    TAIL_CUT = enum.auto()
    RECORDS_LOST = enum.auto()


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A note. ``amount``: milliseconds of a correction, bytes of a tail, records lost."""

    note: Note
    at_ms: int
    amount: int = 0
    source: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: a tap or a note."""

    sequence: int
    before: bytes  # the chain's hash before this record
    tap: Tap | None = None
    noted: Noted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain stands: its last sequence (0: none yet) and the hash after it."""

    sequence: int = 0
    hash: bytes = START


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Consecutive payloads as they were written; ``b""`` stands for one that is lost.

    ``before`` is the chain's hash before them, ``b""`` when it is lost with the record that bore it.
    """

    first_sequence: int
    before: bytes
    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A whole record in a segment: its payload as written, what it says, and where its frame begins and ends."""

    payload: bytes
    record: Record
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a segment holds. ``good_bytes``: up to the end of the last whole frame; the rest is a torn tail."""

    found: tuple[Found, ...]
    good_bytes: int
    damaged_bytes: int  # skipped before that end


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Return the payload of ``record``.

    Raises:
        ValueError: if it is longer than ``RECORD_MAX_BYTES``.
    """
    payload = _encoder.encode(record)
    if len(payload) > RECORD_MAX_BYTES:
        raise ValueError(f"record {record.sequence}: {len(payload)} bytes, at most {RECORD_MAX_BYTES} are allowed")
    return payload


def decode(payload: bytes) -> Record | None:
    """Return what a payload says, None if it is no record."""
    try:
        record = _decoder.decode(payload)
    except (msgspec.DecodeError, ValueError):
        return None
    whole = record.sequence > 0 and len(record.before) == HASH_BYTES and (record.tap is None) != (record.noted is None)
    tap = record.tap
    return record if whole and (tap is None or tap.sequence == record.sequence) else None


def hash_after(before: bytes, payload: bytes) -> bytes:
    """Return the chain's hash after a record."""
    return hashlib.sha256(before + payload).digest()


def frame(payload: bytes) -> bytes:
    """Return the bytes to append for a record."""
    length = len(payload).to_bytes(4, "little")
    return length + crc32.iscsi(length + payload).to_bytes(4, "little") + payload


def scan(data: bytes) -> Scan:
    """Return every whole record of a segment. Sequences that do not rise are damage too."""
    found: list[Found] = []
    at = good = damaged = last = 0
    while at + HEAD_BYTES <= len(data):
        one = _frame_at(data, at)
        if one is None or one.record.sequence <= last:
            at += 1  # look for the next whole frame, byte by byte: CRC and record tell it from chance
            continue
        damaged += at - good
        found.append(one)
        last = one.record.sequence
        at = good = one.end
    return Scan(found=tuple(found), good_bytes=good, damaged_bytes=damaged)


def _frame_at(data: bytes, at: int) -> Found | None:
    length, crc = _HEAD.unpack_from(data, at)
    end = at + HEAD_BYTES + length
    if length > RECORD_MAX_BYTES or end > len(data):
        return None
    payload = data[at + HEAD_BYTES : end]
    if crc32.iscsi(data[at : at + 4] + payload) != crc:
        return None
    record = decode(payload)
    return None if record is None else Found(payload=payload, record=record, begin=at, end=end)
