"""Decide what becomes of journals: pure, in order of arrival, as ``fare.outcomes.Posting`` ranks it.

``decide`` looks at one journal. ``Book`` holds the part of the ledger that some journals touch and takes them one
after another, each seeing what those before it did; what it answered is in ``Book.pages``, numbered and chained, for
whoever writes them down.

Two phases follow TigerBeetle's transfers (docs.tigerbeetle.com, "Two-Phase Transfers"): a PENDING journal moves
nothing and holds what it would take; it is resolved once, by POST of at most what it holds (the rest is free again),
VOID or EXPIRE. Moments are those of the journals (``occurred_ms``), so a replay decides alike.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fare.ledger.accounts import rule_of
from fare.model import AccountCode, Entry, Journal, JournalKey, Phase
from fare.outcomes import Posting

AMOUNT_MAX_TIYN: Final = 10**15  # ten trillion tenge in one entry is a mistake; sums stay far from 64 bits
ENTRIES_MAX: Final = 100
KEY_MAX: Final = 200  # characters
GENESIS: Final = bytes(32)  # what the hash of journal 1 covers

# What is done for every journal is done thousands of times a second. To name a member of an enum or to hash it takes as
# long as the rest of a rule, hence names and tuples; and values that have no cycles need no look of the collector.
_POSTED: Final = Posting.POSTED
_DIRECT: Final = Phase.DIRECT
_PENDING: Final = Phase.PENDING
_MOVES_NOTHING: Final = (Phase.VOID, Phase.EXPIRE)
_RESOLVES: Final = (Phase.POST, *_MOVES_NOTHING)
_encode: Final = msgspec.json.Encoder().encode
_sha256: Final = hashlib.sha256


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The first answer that a key was given, and to which content."""

    digest: bytes
    outcome: Posting


class Referred(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A posted journal that another one resolves or reverses. ``closed``: that has happened already."""

    phase: Phase
    entries: tuple[Entry, ...]
    expires_ms: int | None
    closed: bool


class Page(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One answered journal as the ledger keeps it.

    ``chained`` covers it and all before. Of pages that are written together only the last has it, of others it is None.
    """

    number: int
    journal: Journal
    digest: bytes
    outcome: Posting
    chained: bytes | None


def check_form(journal: Journal) -> None:
    """Refuse what no state of the ledger could make right.

    Raises:
        ValueError: naming the field, its value and the rule.
    """
    _check_text("key", journal.key, empty=False)
    _check_text("subject", journal.subject, empty=True)
    entries = journal.entries
    if journal.phase is not _DIRECT or journal.pending_key is not None or journal.expires_ms is not None:
        _check_phase(journal)
    elif not 0 < len(entries) <= ENTRIES_MAX:
        raise ValueError(f"entries of {journal.key} must be none for VOID and EXPIRE, else 1 to {ENTRIES_MAX}")
    if len({entry.account for entry in entries}) != len(entries):
        raise ValueError(f"entries of {journal.key} must name each account once")
    for entry in entries:
        if not 0 < abs(entry.amount_tiyn) <= AMOUNT_MAX_TIYN:
            raise ValueError(f"amount_tiyn of {journal.key} must be ±1 to ±{AMOUNT_MAX_TIYN}: {entry.amount_tiyn}")


def _check_phase(journal: Journal) -> None:
    """Refuse what does not go with the phase of ``journal``.

    Raises:
        ValueError: as ``check_form``.
    """
    resolves = journal.phase in _RESOLVES
    if resolves != (journal.pending_key is not None):
        raise ValueError(f"pending_key of {journal.key} must be {'the hold it resolves' if resolves else 'None'}")
    if (journal.phase is _PENDING) != (journal.expires_ms is not None):
        raise ValueError(f"expires_ms of {journal.key} must be set for PENDING, and only there: {journal.expires_ms}")
    if journal.reverses is not None and journal.phase is not _DIRECT:
        raise ValueError(f"reverses of {journal.key} needs phase DIRECT: {journal.phase}")
    if (journal.phase in _MOVES_NOTHING) != (not journal.entries) or len(journal.entries) > ENTRIES_MAX:
        raise ValueError(f"entries of {journal.key} must be none for VOID and EXPIRE, else 1 to {ENTRIES_MAX}")


def content_digest(journal: Journal) -> bytes:
    """Return the SHA-256 of all that ``journal`` says. The form is fixed: digests are compared across versions."""
    content = (
        1,
        journal.key,
        journal.kind,
        journal.occurred_ms,
        journal.phase,
        journal.pending_key,
        journal.expires_ms,
        journal.reverses,
        journal.subject,
        [(entry.account, entry.amount_tiyn) for entry in journal.entries],
    )
    return _sha256(_encode(content)).digest()


def covered(digest: bytes, outcome: Posting) -> bytes:
    """Return what the chain covers of a journal: its content and the answer."""
    return digest + outcome.encode()


def chain(previous: bytes, pages: bytes) -> bytes:
    """Return the hash of what is ``covered`` of some pages, one after another, and, by ``previous``, of all before."""
    return hashlib.sha256(previous + pages).digest()


def decide(
    journal: Journal,
    digest: bytes,
    *,
    earlier: Recorded | None,
    referred: Referred | None,
    balances_tiyn: Mapping[AccountCode, int],
    held_tiyn: Mapping[AccountCode, int],
) -> Posting:
    """Say what becomes of ``journal``, which has the form that ``check_form`` asks.

    ``earlier`` is the record of its key, ``referred`` the posted journal that it resolves or reverses; balances are
    debit positive, held amounts positive; what is missing in either is zero.
    """
    if earlier is not None:
        return earlier.outcome if earlier.digest == digest else Posting.KEY_REUSED
    refusal = _unsound(journal.entries)
    if refusal is not None:
        return refusal
    if journal.pending_key is not None:
        return _resolving(journal, referred)
    if journal.reverses is not None:
        refusal = _reversing(journal, referred)
        if refusal is not None:
            return refusal
    return _taking(journal.entries, balances_tiyn, held_tiyn)


def _unsound(entries: Sequence[Entry]) -> Posting | None:
    """Return what is wrong with ``entries`` by themselves, or None."""
    sum_tiyn, known = 0, True
    for entry in entries:
        sum_tiyn += entry.amount_tiyn
        known = known and rule_of(entry.account) is not None
    if sum_tiyn != 0:
        return Posting.UNBALANCED
    return None if known else Posting.UNKNOWN_ACCOUNT


def _resolving(journal: Journal, hold: Referred | None) -> Posting:
    """Answer a POST, VOID or EXPIRE. A hold lives until it expires and expires only then; what it took was kept."""
    if hold is None or hold.phase is not Phase.PENDING or hold.closed or hold.expires_ms is None:
        return Posting.NOTHING_PENDING
    if (journal.occurred_ms >= hold.expires_ms) != (journal.phase is Phase.EXPIRE):
        return Posting.NOTHING_PENDING
    limits_tiyn = {entry.account: entry.amount_tiyn for entry in hold.entries}
    for entry in journal.entries:
        limit_tiyn = limits_tiyn.get(entry.account, 0)
        if not (0 < entry.amount_tiyn <= limit_tiyn or limit_tiyn <= entry.amount_tiyn < 0):
            return Posting.EXCEEDS_PENDING
    return Posting.POSTED


def _reversing(journal: Journal, wrong: Referred | None) -> Posting | None:
    """Return why ``journal`` cannot reverse ``wrong``, or None."""
    if wrong is None or wrong.phase not in {Phase.DIRECT, Phase.POST}:
        return Posting.NOTHING_TO_REVERSE
    legs = {(entry.account, entry.amount_tiyn) for entry in wrong.entries}
    if {(entry.account, -entry.amount_tiyn) for entry in journal.entries} != legs:
        return Posting.NOTHING_TO_REVERSE
    return Posting.ALREADY_REVERSED if wrong.closed else None


def _taking(
    entries: Sequence[Entry], balances_tiyn: Mapping[AccountCode, int], held_tiyn: Mapping[AccountCode, int]
) -> Posting:
    """Answer whether all accounts, which are of the chart, have what is taken from them."""
    for entry in entries:
        account = entry.account
        rule = rule_of(account)
        if rule is None or rule.overdraft_tiyn is None:
            continue
        side = rule.side
        taken_tiyn = -side * entry.amount_tiyn
        if taken_tiyn > 0:
            available_tiyn = side * balances_tiyn.get(account, 0) - held_tiyn.get(account, 0) + rule.overdraft_tiyn
            if taken_tiyn > available_tiyn:
                return Posting.BALANCE_TOO_LOW
    return _POSTED


@dataclass(slots=True, kw_only=True)
class Book:
    """The part of the ledger that some journals touch, while they are taken.

    ``number`` is of the last page, ``head`` the hash of the last that was sealed.
    """

    number: int = 0
    head: bytes = GENESIS
    balances_tiyn: dict[AccountCode, int] = field(default_factory=dict)
    held_tiyn: dict[AccountCode, int] = field(default_factory=dict)
    recorded: dict[JournalKey, Recorded] = field(default_factory=dict)
    referred: dict[JournalKey, Referred] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)

    def take(self, journal: Journal, digest: bytes | None = None) -> Posting:
        """Answer ``journal``, move or hold what it moves or holds, and keep the page of a first answer."""
        digest = digest or content_digest(journal)
        earlier = self.recorded.get(journal.key)
        reference = journal.pending_key or journal.reverses
        referred = self.referred.get(reference) if reference is not None else None
        outcome = decide(
            journal,
            digest,
            earlier=earlier,
            referred=referred,
            balances_tiyn=self.balances_tiyn,
            held_tiyn=self.held_tiyn,
        )
        if earlier is not None:
            return outcome
        self.number += 1
        self.pages.append(Page(number=self.number, journal=journal, digest=digest, outcome=outcome, chained=None))
        self.recorded[journal.key] = Recorded(digest=digest, outcome=outcome)
        if outcome is _POSTED:
            self._apply(journal, referred)
        return outcome

    def seal(self) -> list[Page]:
        """Chain the pages that were taken since the last seal, and hand them over to be written together."""
        pages, self.pages = self.pages, []
        if pages:
            self.head = chain(self.head, b"".join([covered(page.digest, page.outcome) for page in pages]))
            pages[-1] = msgspec.structs.replace(pages[-1], chained=self.head)
        return pages

    def _apply(self, journal: Journal, referred: Referred | None) -> None:
        if referred is not None:
            self._close(journal.pending_key or journal.reverses, referred)
        if journal.phase is _PENDING:
            self._hold(journal.entries, 1)
        else:
            balances = self.balances_tiyn
            for entry in journal.entries:
                balances[entry.account] = balances.get(entry.account, 0) + entry.amount_tiyn
        self.referred[journal.key] = Referred(
            phase=journal.phase, entries=journal.entries, expires_ms=journal.expires_ms, closed=False
        )

    def _close(self, key: JournalKey | None, referred: Referred) -> None:
        if key is None:
            return
        if referred.phase is Phase.PENDING:
            self._hold(referred.entries, -1)
        self.referred[key] = Referred(
            phase=referred.phase, entries=referred.entries, expires_ms=referred.expires_ms, closed=True
        )

    def _hold(self, entries: tuple[Entry, ...], sign: int) -> None:
        for entry in entries:
            rule = rule_of(entry.account)
            taken_tiyn = -rule.side * entry.amount_tiyn if rule is not None else 0
            if taken_tiyn > 0:
                self.held_tiyn[entry.account] = self.held_tiyn.get(entry.account, 0) + sign * taken_tiyn


def _check_text(name: str, value: str, *, empty: bool) -> None:
    if (not value and not empty) or len(value) > KEY_MAX or not value.isprintable():
        raise ValueError(f"{name} must be {0 if empty else 1} to {KEY_MAX} printable characters: {value[:KEY_MAX]!r}")
