"""Pages of the ledger as rows for COPY in binary form, which is what the database reads with the least work.

The form is that of PostgreSQL's documentation of COPY, "Binary Format": a header; for each row the number of its fields
and for each field its length and its bytes, length -1 for NULL. Numbers are big-endian, an enum value is its label, an
array of numbers is what ``array_recv`` reads: dimensions, whether there are NULLs, type, length, lower bound, elements.
"""

import functools
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from fare.ledger.posting import Page
from fare.model import AccountCode, Phase
from fare.outcomes import Posting

COLUMNS: Final = (
    *("number", "occurred_ms", "digest", "hash", "accounts", "amounts_tiyn", "kind", "phase", "outcome", "key"),
    *("subject", "expires_ms", "pending_key", "reverses", "refused"),
)

_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no extension
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_NONE_OF_FOUR: Final = 4 * _NULL
_FIXED: Final = struct.Struct(">hiqiqi32si32s")  # up to ``hash``
_SIZE: Final = struct.Struct(">i")
_INT8_OID: Final = 20  # pg_type.dat
_INT8_BYTES: Final = 8
_HASH_BYTES: Final = 32
_FIELDS: Final = len(COLUMNS)
_JSONB_VERSION: Final = b"\x01"
_POSTED, _DIRECT = Posting.POSTED, Phase.DIRECT  # naming a member takes longer than all that is done with it here


def rows_of(pages: Iterable[Page], ids: Mapping[AccountCode, int]) -> bytes:
    """Return ``pages`` as the data of ``COPY journal (COLUMNS) … (FORMAT binary)``. ``ids``: of what was posted to."""
    parts = [_HEADER]
    for page in pages:
        journal = page.journal
        legs = journal.entries if page.outcome is _POSTED else ()
        parts += (
            _FIXED.pack(
                *(_FIELDS, _INT8_BYTES, page.number, _INT8_BYTES, journal.occurred_ms),
                *(_HASH_BYTES, page.digest, _HASH_BYTES, page.chained),
            ),
            _numbers([ids[entry.account] for entry in legs]),
            _numbers([entry.amount_tiyn for entry in legs]),
            _text(journal.kind),
            _text(journal.phase),
            _text(page.outcome),
            _text(journal.key),
            _text(journal.subject),
            _seldom(page),
        )
    parts.append(_TRAILER)
    return b"".join(parts)


def _seldom(page: Page) -> bytes:
    """Return the fields that most pages have none of."""
    journal = page.journal
    refused = page.outcome is not _POSTED
    if journal.phase is _DIRECT and journal.reverses is None and not refused:
        return _NONE_OF_FOUR
    legs = [(entry.account, entry.amount_tiyn) for entry in journal.entries]
    return b"".join(
        (
            struct.pack(">iq", _INT8_BYTES, journal.expires_ms) if journal.expires_ms is not None else _NULL,
            _text(journal.pending_key) if journal.pending_key is not None else _NULL,
            _text(journal.reverses) if journal.reverses is not None else _NULL,
            _sized(_JSONB_VERSION + msgspec.json.encode(legs)) if refused else _NULL,
        )
    )


def _numbers(numbers: Sequence[int]) -> bytes:
    form, head = _array_form(len(numbers))
    elements = [_INT8_BYTES] * (2 * len(numbers))
    elements[1::2] = numbers
    return form.pack(*head, *elements)


@functools.cache
def _array_form(length: int) -> tuple[struct.Struct, tuple[int, ...]]:
    """Return the form of an array of so many numbers, and what stands before them: its size in bytes comes first."""
    form = struct.Struct(">iiii" + ("ii" if length else "") + length * "iq")
    dimension = (length, 1) if length else ()
    return form, (form.size - _SIZE.size, len(dimension) // 2, 0, _INT8_OID, *dimension)


def _sized(data: bytes) -> bytes:
    return _SIZE.pack(len(data)) + data


def _text(text: str) -> bytes:
    data = text.encode()
    return _SIZE.pack(len(data)) + data
