"""The chart of accounts: which kinds there are, on which side they grow, and how far each may be overdrawn.

A code is a kind, and for kinds of which there are many, what it is for: ``wallet:<medium>``, ``carrier:<agency>``,
``suspense``. Accounts open by being posted to; a code that the chart does not know opens nothing. Balances are kept
debit positive, so an account stands where its kind grows when ``side * balance`` is positive. The migration of the
ledger holds the same chart, because the database refuses overdrafts by itself; a test compares the two.
"""

import datetime as dt
import enum
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fare.model import AccountCode, CarrierId, MediumId, RiderCategory


class Side(enum.IntEnum):
    """Sign of an entry, and the side on which an account grows."""

    DEBIT = 1
    CREDIT = -1


class AccountKind(enum.StrEnum):
    """What an account says: the first part of its code."""

    WALLET = enum.auto()
    DEPOSIT = enum.auto()
    DEBT = enum.auto()
    AGGREGATE = enum.auto()
    OPERATOR = enum.auto()
    ACQUIRER = enum.auto()
    BANK_QR = enum.auto()
    TOP_UP = enum.auto()
    CASH = enum.auto()
    BANK = enum.auto()
    SUBSIDY = enum.auto()
    CARRIER = enum.auto()
    DEFERRED = enum.auto()
    REVENUE = enum.auto()
    COMMISSION = enum.auto()
    REFUND = enum.auto()
    CHARGEBACK = enum.auto()
    WRITE_OFF = enum.auto()
    SUSPENSE = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRule:
    """What holds for all accounts of a kind. ``detail`` is what may follow the colon, None: nothing."""

    side: Side
    overdraft_tiyn: int | None  # how far beyond zero against ``side``; None: any amount
    detail: re.Pattern[str] | None
    meaning: str


CODES_REMEMBERED: Final = 1 << 17  # accounts of a busy day; reading a code takes as long as posting to it

_MEDIUM: Final = re.compile(r"[0-9a-f]{32}")
_MEDIUM_DAY: Final = re.compile(r"[0-9a-f]{32}:\d{4}-\d\d-\d\d")
_NAME: Final = re.compile(r"[^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,63}")

CHART: Final[Mapping[AccountKind, AccountRule]] = MappingProxyType(
    {
        kind: AccountRule(side=side, overdraft_tiyn=overdraft_tiyn, detail=detail, meaning=meaning)
        for kind, side, overdraft_tiyn, detail, meaning in (
            (AccountKind.WALLET, Side.CREDIT, 0, _MEDIUM, "a rider's money that we keep"),
            (AccountKind.DEPOSIT, Side.CREDIT, 0, _MEDIUM, "deposit for a card, due when it is given back"),
            (AccountKind.DEBT, Side.DEBIT, None, _MEDIUM, "rides that happened and a medium has not paid"),
            (
                AccountKind.AGGREGATE,
                Side.DEBIT,
                None,
                _MEDIUM_DAY,
                "a bank card's rides of a service day, to be charged",
            ),
            (AccountKind.OPERATOR, Side.DEBIT, None, _NAME, "what a mobile operator owes for SMS rides"),
            (AccountKind.ACQUIRER, Side.DEBIT, None, _NAME, "what an acquirer owes for captured card payments"),
            (AccountKind.BANK_QR, Side.DEBIT, None, _NAME, "what a bank owes for payments by QR"),
            (AccountKind.TOP_UP, Side.DEBIT, None, _NAME, "top-ups taken by a channel, not yet handed over"),
            (AccountKind.CASH, Side.DEBIT, None, _NAME, "cash that a carrier or a sales point holds for us"),
            (AccountKind.BANK, Side.DEBIT, None, _NAME, "our account at a bank, as far as our books know"),
            (AccountKind.SUBSIDY, Side.DEBIT, None, _NAME, "what the city owes for concessions of a category"),
            (AccountKind.CARRIER, Side.CREDIT, None, _NAME, "what we owe a carrier for its rides"),
            (AccountKind.DEFERRED, Side.CREDIT, None, _NAME, "passes sold, rides still owed"),
            (AccountKind.REVENUE, Side.CREDIT, None, _NAME, "fares of a rider category, until settled with carriers"),
            (AccountKind.COMMISSION, Side.CREDIT, None, None, "what we keep of fares, by agreement with carriers"),
            (AccountKind.REFUND, Side.DEBIT, None, None, "fares given back"),
            (AccountKind.CHARGEBACK, Side.DEBIT, None, None, "card payments that banks took back"),
            (AccountKind.WRITE_OFF, Side.DEBIT, None, None, "debts and amnesties that nobody will pay"),
            (AccountKind.SUSPENSE, Side.CREDIT, None, None, "money whose owner is not known yet"),
        )
    }
)


def kind_of(code: AccountCode) -> AccountKind | None:
    """Return the kind of account ``code``, or None where the chart has no such account."""
    name, colon, detail = code.partition(":")
    try:
        kind = AccountKind(name)
    except ValueError:
        return None
    pattern = CHART[kind].detail
    if pattern is None:
        return None if colon else kind
    return kind if pattern.fullmatch(detail) else None


@functools.lru_cache(maxsize=CODES_REMEMBERED)
def rule_of(code: AccountCode) -> AccountRule | None:
    """Return what holds for account ``code``, or None where the chart has no such account."""
    kind = kind_of(code)
    return None if kind is None else CHART[kind]


# Codes are made many times for every ride; naming the kind by its member would take eight times as long.
def wallet(medium_id: MediumId) -> AccountCode:
    """Return the account of what riders have paid in on a medium."""
    return AccountCode(f"wallet:{medium_id}")


def debt(medium_id: MediumId) -> AccountCode:
    """Return the account of what a medium owes for rides that happened."""
    return AccountCode(f"debt:{medium_id}")


def aggregate(medium_id: MediumId, service_day: dt.date) -> AccountCode:
    """Return the account of a bank card's rides of one service day."""
    return AccountCode(f"aggregate:{medium_id}:{service_day.isoformat()}")


def cash(carrier_id: CarrierId) -> AccountCode:
    """Return the account of the cash that a carrier holds for us."""
    return AccountCode(f"cash:{carrier_id}")


def carrier(carrier_id: CarrierId) -> AccountCode:
    """Return the account of what a carrier is owed."""
    return AccountCode(f"carrier:{carrier_id}")


def revenue(category: RiderCategory) -> AccountCode:
    """Return the account of the fares of a rider category."""
    return AccountCode(f"revenue:{category}")


def subsidy(category: RiderCategory) -> AccountCode:
    """Return the account of what is owed to us for concessions of a rider category."""
    return AccountCode(f"subsidy:{category}")
