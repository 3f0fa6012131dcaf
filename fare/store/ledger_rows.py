"""Pages of the ledger as rows of the table ``journal``."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from fare.ledger.posting import Page
from fare.model import AccountCode, Phase
from fare.outcomes import Posting
from fare.store.copy_rows import INT8_BYTES, NULL, numbers, sized, text

COLUMNS: Final = (
    *("number", "occurred_ms", "digest", "accounts", "amounts_tiyn", "kind", "phase", "outcome", "key", "subject"),
    *("hash", "expires_ms", "pending_key", "reverses", "refused"),
)

_FIELDS: Final = len(COLUMNS)
_FIXED: Final = struct.Struct(">hiqiqi32s")  # up to ``digest``
_HASH_BYTES: Final = 32
_NONE_OF_FIVE: Final = 5 * NULL
_JSONB_VERSION: Final = b"\x01"
_POSTED, _DIRECT = Posting.POSTED, Phase.DIRECT  # naming a member takes longer than all that is done with it here


def rows_of(pages: Iterable[Page], ids: Mapping[AccountCode, int]) -> Iterator[bytes]:
    """Give ``pages`` as rows of ``COLUMNS`` for ``copy_rows``. ``ids``: of all accounts that were posted to."""
    for page in pages:
        journal = page.journal
        legs = journal.entries if page.outcome is _POSTED else ()
        yield b"".join(
            (
                _FIXED.pack(
                    *(_FIELDS, INT8_BYTES, page.number, INT8_BYTES, journal.occurred_ms),
                    *(_HASH_BYTES, page.digest),
                ),
                numbers([ids[entry.account] for entry in legs]),
                numbers([entry.amount_tiyn for entry in legs]),
                text(journal.kind),
                text(journal.phase),
                text(page.outcome),
                text(journal.key),
                text(journal.subject),
                _seldom(page),
            )
        )


def _seldom(page: Page) -> bytes:
    """Return the fields that most pages have none of."""
    journal = page.journal
    refused = page.outcome is not _POSTED
    if journal.phase is _DIRECT and journal.reverses is None and page.chained is None and not refused:
        return _NONE_OF_FIVE
    legs = [(entry.account, entry.amount_tiyn) for entry in journal.entries]
    return b"".join(
        (
            sized(page.chained) if page.chained is not None else NULL,
            struct.pack(">iq", INT8_BYTES, journal.expires_ms) if journal.expires_ms is not None else NULL,
            text(journal.pending_key) if journal.pending_key is not None else NULL,
            text(journal.reverses) if journal.reverses is not None else NULL,
            sized(_JSONB_VERSION + msgspec.json.encode(legs)) if refused else NULL,
        )
    )
