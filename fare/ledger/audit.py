"""Proofs that the books are whole: the chain of journals, balances derived anew, the trial balance, a statement.

``Audit`` reads every page from the first and derives from the journals alone what chain, balances and holds must be;
``finish`` says where the books differ. It finds an edited, missing, added or cut-off journal, as long as the last hash
is known from elsewhere: who can write the whole database can write a new chain, so note the hash that
``ayaldama ledger verify`` prints, outside of this system.
"""

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fare.ledger.accounts import AccountKind, kind_of, rule_of
from fare.ledger.posting import GENESIS, Page, chain, content_digest, covered
from fare.model import AccountCode, Entry, JournalKey, JournalKind, Phase
from fare.outcomes import Posting


class Fault(enum.StrEnum):
    """What can be wrong with the books."""

    MISSING = enum.auto()  # numbers are not 1, 2, 3 …
    CHANGED = enum.auto()  # the content is not what its digest covers
    UNCHAINED = enum.auto()  # the hash does not cover content, answer and the journal before
    UNBALANCED = enum.auto()
    CUT_OFF = enum.auto()  # the head, or a hash noted before, is not where the chain is
    WRONG_ENTRIES = enum.auto()  # an account's entries are not the legs of the journals
    WRONG_BALANCE = enum.auto()
    WRONG_HELD = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, and the journal number or the account where it is."""

    fault: Fault
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """What the database keeps of an account, debit positive: its balance, what is held, the sum of its entries.

    ``linked``: whether its entries lead from one to the next, none left out.
    """

    balance_tiyn: int
    held_tiyn: int
    entered_tiyn: int
    linked: bool = True


class Audit:
    """Reads all pages in order. ``findings`` grows; ``number`` and ``head`` are of the last page read."""

    def __init__(self) -> None:
        self.number = 0
        self.head = GENESIS
        self.findings: list[Finding] = []
        self._uncovered = bytearray()  # by a hash, so far
        self._balances_tiyn: dict[AccountCode, int] = defaultdict(int)
        self._held_tiyn: dict[AccountCode, int] = defaultdict(int)
        self._holds: dict[JournalKey, tuple[Entry, ...]] = {}

    def take(self, page: Page) -> None:
        """Check one page and move what it moved."""
        journal = page.journal
        if page.number != self.number + 1:
            self._find(Fault.MISSING, f"journal {self.number + 1}")
        if content_digest(journal) != page.digest:
            self._find(Fault.CHANGED, f"journal {page.number}")
        self.number = page.number
        self._uncovered += covered(page.digest, page.outcome)
        if page.chained is not None:
            if chain(self.head, bytes(self._uncovered)) != page.chained:
                self._find(Fault.UNCHAINED, f"journal {page.number}")
            self.head = page.chained
            self._uncovered.clear()
        if page.outcome is not Posting.POSTED:
            return
        if sum(entry.amount_tiyn for entry in journal.entries) != 0:
            self._find(Fault.UNBALANCED, f"journal {page.number}")
        if journal.pending_key is not None:
            self._hold(self._holds.pop(journal.pending_key, ()), -1)
        if journal.phase is Phase.PENDING:
            self._holds[journal.key] = journal.entries
            self._hold(journal.entries, 1)
            return
        for entry in journal.entries:
            self._balances_tiyn[entry.account] += entry.amount_tiyn

    def finish(self, number: int, head: bytes, accounts: Mapping[AccountCode, AccountState]) -> list[Finding]:
        """Compare with what is kept beside the journals; return all findings."""
        if (number, head) != (self.number, self.head):
            self._find(Fault.CUT_OFF, f"journal {max(number, self.number)}")
        nothing = AccountState(balance_tiyn=0, held_tiyn=0, entered_tiyn=0)
        for code in sorted({*accounts, *self._balances_tiyn, *self._held_tiyn}):
            kept = accounts.get(code, nothing)
            balance_tiyn = self._balances_tiyn.get(code, 0)
            if kept.entered_tiyn != balance_tiyn or not kept.linked:
                self._find(Fault.WRONG_ENTRIES, code)
            if kept.balance_tiyn != balance_tiyn:
                self._find(Fault.WRONG_BALANCE, code)
            if kept.held_tiyn != self._held_tiyn.get(code, 0):
                self._find(Fault.WRONG_HELD, code)
        return self.findings

    def _hold(self, entries: Iterable[Entry], sign: int) -> None:
        for entry in entries:
            rule = rule_of(entry.account)
            if rule is not None:
                self._held_tiyn[entry.account] += sign * max(-rule.side * entry.amount_tiyn, 0)

    def _find(self, fault: Fault, where: str) -> None:
        self.findings.append(Finding(fault=fault, where=where))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLine:
    """The accounts of one kind: how many, and the sums of those with a debit and those with a credit balance."""

    kind: AccountKind
    accounts: int
    debit_tiyn: int
    credit_tiyn: int


def trial_balance(balances_tiyn: Mapping[AccountCode, int]) -> list[TrialLine]:
    """Return one line for each kind that has accounts, as the chart orders them. Debits and credits sum to the same.

    Raises:
        ValueError: if an account is not of the chart.
    """
    of_kind: dict[AccountKind, list[int]] = defaultdict(list)
    for code, balance_tiyn in balances_tiyn.items():
        kind = kind_of(code)
        if kind is None:
            raise ValueError(f"account {code!r} is not of the chart")
        of_kind[kind].append(balance_tiyn)
    return [
        TrialLine(
            kind=kind,
            accounts=len(of_kind[kind]),
            debit_tiyn=sum(balance for balance in of_kind[kind] if balance > 0),
            credit_tiyn=-sum(balance for balance in of_kind[kind] if balance < 0),
        )
        for kind in AccountKind
        if of_kind[kind]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One entry of an account, and the journal it is of. The amount is debit positive."""

    number: int
    key: JournalKey
    kind: JournalKind
    occurred_ms: int
    subject: str
    amount_tiyn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """A move as the account's owner reads it: what the account grew by, and how it stands then."""

    move: Move
    grown_tiyn: int
    standing_tiyn: int


def statement(code: AccountCode, opening_tiyn: int, moves: Iterable[Move]) -> Iterator[StatementLine]:
    """Give the lines of a statement; ``opening_tiyn`` is the balance before, debit positive.

    Raises:
        ValueError: if the account is not of the chart.
    """
    rule = rule_of(code)
    if rule is None:
        raise ValueError(f"account {code!r} is not of the chart")
    balance_tiyn = opening_tiyn
    for move in moves:
        balance_tiyn += move.amount_tiyn
        yield StatementLine(move=move, grown_tiyn=rule.side * move.amount_tiyn, standing_tiyn=rule.side * balance_tiyn)
