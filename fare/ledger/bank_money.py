"""What a rider's payment at a bank does to the books: credited, taken back by the bank, given back by us.

``channel`` is the account of what the bank owes us (``bank_qr:epay``, ``acquirer:redirect``). The subject of each
journal is the reference that the bank's own file has, so that reconciliation can join the two. Pure.
"""

from fare.ledger.accounts import debt, wallet
from fare.ledger.posting import Book
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, MediumId


def available_tiyn(book: Book, medium_id: MediumId) -> int:
    """Return what the wallet of a medium has and holds for nothing else."""
    account = wallet(medium_id)
    return max(-book.balances_tiyn.get(account, 0) - book.held_tiyn.get(account, 0), 0)


def credited(key: str, channel: AccountCode, medium_id: MediumId, tiyn: int, *, subject: str, at_ms: int) -> Journal:
    """Return the journal of a payment that came: the bank owes it to us, we owe it to the rider."""
    return _journal(key, JournalKind.TOP_UP, {channel: tiyn, wallet(medium_id): -tiyn}, subject, at_ms)


def charged_back(
    key: str, channel: AccountCode, medium_id: MediumId, tiyn: int, *, subject: str, at_ms: int, book: Book
) -> Journal:
    """Return the journal of a payment that the bank took back: what the wallet has not any more is owed."""
    from_wallet_tiyn = min(tiyn, available_tiyn(book, medium_id))
    legs = {wallet(medium_id): from_wallet_tiyn, debt(medium_id): tiyn - from_wallet_tiyn, channel: -tiyn}
    return _journal(key, JournalKind.CHARGEBACK, legs, subject, at_ms)


def given_back(key: str, channel: AccountCode, medium_id: MediumId, tiyn: int, *, subject: str, at_ms: int) -> Journal:
    """Return the journal of unused money that we ask the bank to give back."""
    return _journal(key, JournalKind.REFUND, {wallet(medium_id): tiyn, channel: -tiyn}, subject, at_ms)


def kept_after_all(
    key: str, channel: AccountCode, medium_id: MediumId, tiyn: int, *, subject: str, at_ms: int
) -> Journal:
    """Return the journal of money that the bank refused to give back: it is on the wallet again."""
    return _journal(key, JournalKind.CORRECTION, {channel: tiyn, wallet(medium_id): -tiyn}, subject, at_ms)


def _journal(key: str, kind: JournalKind, legs: dict[AccountCode, int], subject: str, at_ms: int) -> Journal:
    entries = tuple(Entry(account=account, amount_tiyn=tiyn) for account, tiyn in legs.items() if tiyn)
    return Journal(key=JournalKey(key), kind=kind, occurred_ms=at_ms, entries=entries, subject=subject)
