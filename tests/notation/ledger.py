"""Journals written as text: a table of what is asked, what is answered, and how accounts stand then.

``phase`` is that of the model; ``of`` names the hold that is resolved or the journal that is reversed, and for a
pending journal when it expires; ``-`` is nothing. ``wallet:7`` means the wallet of the medium with number 7.
Columns named like accounts show their balance, grown positive.
"""

from fare.ledger.accounts import rule_of
from fare.ledger.posting import Book
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, Phase

MEDIUM_KINDS = ("wallet", "deposit", "debt")


def account(short: str) -> AccountCode:
    kind, _, detail = short.partition(":")
    return AccountCode(f"{kind}:{int(detail):032x}" if kind in MEDIUM_KINDS else short)


def journal(
    key: str, debit: str, credit: str, tiyn: int, *, at_ms: int = 0, phase: Phase = Phase.DIRECT, of: str = "-"
) -> Journal:
    """Return a journal of two legs; without legs where ``tiyn`` is 0."""
    legs = (Entry(account=account(debit), amount_tiyn=tiyn), Entry(account=account(credit), amount_tiyn=-tiyn))
    resolves = phase in {Phase.POST, Phase.VOID, Phase.EXPIRE}
    return Journal(
        key=JournalKey(key),
        kind=JournalKind.FARE if phase is not Phase.DIRECT or of == "-" else JournalKind.CORRECTION,
        occurred_ms=at_ms,
        entries=legs if tiyn else (),
        phase=phase,
        pending_key=JournalKey(of) if resolves else None,
        expires_ms=int(of) if phase is Phase.PENDING else None,
        reverses=JournalKey(of) if phase is Phase.DIRECT and of != "-" else None,
    )


def rows(text: str) -> list[dict[str, str]]:
    header, *lines = [line.split() for line in text.strip().splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def journal_of(row: dict[str, str]) -> Journal:
    return journal(
        *(row["key"], row["debit"], row["credit"], int(row["tiyn"])),
        at_ms=int(row.get("at", "0")),
        phase=Phase(row.get("phase", "direct")),
        of=row.get("of", "-"),
    )


def check(text: str) -> None:
    """Take the journals of ``text`` in order; each must be answered, and leave accounts, as it says."""
    book = Book()
    for row in rows(text):
        outcome = book.take(journal_of(row))
        shown = {"outcome": str(outcome)}
        for column in row:
            rule = rule_of(account(column)) if column.partition(":")[0] not in Journal.__struct_fields__ else None
            if rule is not None:
                shown[column] = str(rule.side * book.balances_tiyn.get(account(column), 0))
        assert shown == {column: row[column] for column in shown}, row
