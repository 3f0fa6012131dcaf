"""What the accountant's page is answered: amounts in tiyn, times UTC epoch milliseconds."""

import datetime as dt

import msgspec

from fare.ledger.accounts import AccountKind
from fare.model import AccountCode, CarrierId, JournalKind
from fare.settlement.closing import Closing, Part
from fare.settlement.reports import Dimension, Totals


class BalanceLine(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of one kind, and the side on which they grow."""

    kind: AccountKind
    accounts: int
    debit_tiyn: int
    credit_tiyn: int
    grows: str


class BalanceShown(msgspec.Struct, frozen=True, kw_only=True):
    """The trial balance. ``difference_tiyn`` is 0, always."""

    currency: str
    lines: tuple[BalanceLine, ...]
    difference_tiyn: int


class AccountLine(msgspec.Struct, frozen=True, kw_only=True):
    """A move: what the account grew by, and how it stood then."""

    number: int
    occurred_ms: int
    kind: JournalKind
    subject: str
    grown_tiyn: int
    standing_tiyn: int


class AccountShown(msgspec.Struct, frozen=True, kw_only=True):
    """The latest moves of an account, the newest first; ``moves``: how many there are in all."""

    account: AccountCode
    moves: int
    lines: tuple[AccountLine, ...]


class StatementListed(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier is owed for a day."""

    carrier_id: CarrierId
    carrier_name: str
    day: dt.date
    part: Part
    paid: bool
    rides: int
    forgiven_rides: int
    charged_tiyn: int
    cash_tiyn: int
    subsidy_tiyn: int
    refunds_tiyn: int
    commission_tiyn: int
    payable_tiyn: int


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a dimension, as a line or an hour, and how people call it."""

    value: str
    name: str
    totals: Totals


class ReportShown(msgspec.Struct, frozen=True, kw_only=True):
    """A day of sales by one dimension."""

    by: Dimension
    lines: tuple[ReportLine, ...]
    total: Totals


class JourneyLine(msgspec.Struct, frozen=True, kw_only=True):
    """How many went from one stop to another."""

    from_stop_id: str
    from_stop: str
    to_stop_id: str
    to_stop: str
    riders: int


class JourneysShown(msgspec.Struct, frozen=True, kw_only=True):
    """Origins and destinations; riders of pairs with few are only counted, and those whose end nobody knows."""

    lines: tuple[JourneyLine, ...]
    few_riders: int
    unknown_riders: int


class ComparisonListed(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison with a file of others."""

    number: int
    account: AccountCode
    file_name: str
    at_ms: int
    by: str


class ActLine(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what."""

    number: int
    at_ms: int
    who: str
    act: str
    subject: str
    detail: str
    hash: str


class ActsShown(msgspec.Struct, frozen=True, kw_only=True):
    """The latest acts, the newest first; ``broken_at``: the first line of the whole log that is not what it was."""

    broken_at: int | None
    lines: tuple[ActLine, ...]


class DayClosed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of closing a day."""

    outcome: Closing
    differing: int


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request that changes something: an outcome's name, and how much money went."""

    outcome: str
    state: str = ""
    amount_tiyn: int = 0
