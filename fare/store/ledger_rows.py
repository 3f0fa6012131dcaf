"""Pages of the ledger as rows of the table ``journal``."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from fare.ledger.posting import Page
from fare.model import AccountCode, Journal, Phase
from fare.outcomes import Posting
from fare.store.copy_rows import INT8_BYTES, NULL, before_first, numbers, sized, text

COLUMNS: Final = (
    *("number", "occurred_ms", "digest", "accounts", "amounts_tiyn", "kind", "phase", "outcome", "key", "subject"),
    *("hash", "expires_ms", "pending_key", "reverses", "refused"),
)

_TWO: Final = 2
_FIXED: Final = struct.Struct(">6sq4sq4s32s")  # up to ``digest``
_TWO_LEGS: Final = struct.Struct(">6sq4sq4s32s28sq4sq28sq4sq")  # up to ``amounts_tiyn``
_FIRST: Final = struct.pack(">hi", len(COLUMNS), INT8_BYTES)
_OF_8: Final = struct.pack(">i", INT8_BYTES)
_OF_32: Final = struct.pack(">i", 32)
_BEFORE_TWO: Final = before_first(_TWO)
_NONE_OF_FIVE: Final = 5 * NULL
_JSONB_VERSION: Final = b"\x01"
_POSTED, _DIRECT = Posting.POSTED, Phase.DIRECT  # naming a member takes longer than all that is done with it here


def rows_of(pages: Iterable[Page], ids: Mapping[AccountCode, int]) -> Iterator[bytes]:
    """Give ``pages`` as rows of ``COLUMNS`` for ``copy_rows``. ``ids``: of all accounts that were posted to."""
    kind, phase, outcome, labels = None, None, None, b""  # mostly those of the page before
    for page in pages:
        journal = page.journal
        if journal.kind is not kind or journal.phase is not phase or page.outcome is not outcome:
            kind, phase, outcome = journal.kind, journal.phase, page.outcome
            labels = text(kind) + text(phase) + text(outcome)
        direct = outcome is _POSTED and phase is _DIRECT and journal.reverses is None and page.chained is None
        yield b"".join(
            (
                _beginning(page, ids),
                labels,
                text(journal.key),
                text(journal.subject),
                _NONE_OF_FIVE if direct else _seldom(page),
            )
        )


def values_of(page: Page, ids: Mapping[AccountCode, int]) -> tuple[object, ...]:
    """Return the values of ``COLUMNS`` of one page. ``ids``: of all accounts that were posted to."""
    journal, posted = page.journal, page.outcome is _POSTED
    entries = journal.entries if posted else ()
    return (
        page.number,
        journal.occurred_ms,
        page.digest,
        [ids[leg.account] for leg in entries],
        [leg.amount_tiyn for leg in entries],
        journal.kind,
        journal.phase,
        page.outcome,
        journal.key,
        journal.subject,
        page.chained,
        journal.expires_ms,
        journal.pending_key,
        journal.reverses,
        None if posted else _legs(journal).decode(),
    )


def _beginning(page: Page, ids: Mapping[AccountCode, int]) -> bytes:
    """Return the fields up to the legs, which most journals have two of: to pack those at once takes half the time."""
    entries = page.journal.entries if page.outcome is _POSTED else ()
    if len(entries) == _TWO:
        one, other = entries
        return _TWO_LEGS.pack(
            _FIRST,
            page.number,
            _OF_8,
            page.journal.occurred_ms,
            _OF_32,
            page.digest,
            _BEFORE_TWO,
            ids[one.account],
            _OF_8,
            ids[other.account],
            _BEFORE_TWO,
            one.amount_tiyn,
            _OF_8,
            other.amount_tiyn,
        )
    fixed = _FIXED.pack(_FIRST, page.number, _OF_8, page.journal.occurred_ms, _OF_32, page.digest)
    return fixed + numbers([ids[leg.account] for leg in entries]) + numbers([leg.amount_tiyn for leg in entries])


def _seldom(page: Page) -> bytes:
    """Return the fields that most pages have none of."""
    journal = page.journal
    refused = page.outcome is not _POSTED
    return b"".join(
        (
            sized(page.chained) if page.chained is not None else NULL,
            struct.pack(">iq", INT8_BYTES, journal.expires_ms) if journal.expires_ms is not None else NULL,
            text(journal.pending_key) if journal.pending_key is not None else NULL,
            text(journal.reverses) if journal.reverses is not None else NULL,
            sized(_JSONB_VERSION + _legs(journal)) if refused else NULL,
        )
    )


def _legs(journal: Journal) -> bytes:
    """Return the legs of a refused journal, as they are kept."""
    return msgspec.json.encode([(entry.account, entry.amount_tiyn) for entry in journal.entries])
