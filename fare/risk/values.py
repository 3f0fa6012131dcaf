"""What is known of a bank card that rides, and the rules an operator sets for it.

Rides of one service day are one pay window, charged together once the day is over. Its states and the vocabulary of
debt are those that transit back ends in production publish (Enghouse, in Cal-ITP's data warehouse: Open, Closed, Debt,
DebtFinal, NoAuthDone, AuthDeclined; kinds of charges: Mastercard Gateway's transit fields). Amounts are integer tiyn,
times UTC epoch milliseconds, service days ISO 8601.
"""

import enum
from typing import Final

import msgspec

from fare.model import JournalKey, MediumId

DAY_MS: Final = 86_400_000


class WindowState(enum.StrEnum):
    """Where a pay window is on its way from first ride to paid."""

    NO_AUTH_DONE = enum.auto()  # a card first seen, or not for long, has ridden; nobody has asked the issuer yet
    OPEN = enum.auto()  # the card is good; rides add up
    AUTH_DECLINED = enum.auto()  # the issuer refused, and the scheme still lets the first ride be captured
    CLOSED = enum.auto()  # paid, or nothing was owed
    DEBT = enum.auto()  # not paid; tried again by tap, by the rider and by schedule
    DEBT_FINAL = enum.auto()  # tried as often as allowed, or the card is lost; only the rider can pay now


class FareKind(enum.StrEnum):
    """What an acquirer is asked for, as the rules of card schemes for transit tell it apart."""

    VERIFICATION = enum.auto()  # a nominal amount when a card is first seen, or again after long
    AGGREGATED = enum.auto()  # the rides of a window
    FIRST_RIDE_RISK = enum.auto()  # captured although declined: the scheme bears it, once and up to an amount
    DEBT_RECOVERY_TAP = enum.auto()
    DEBT_RECOVERY_RIDER = enum.auto()
    DEBT_RECOVERY_SCHEDULE = enum.auto()

    @property
    def automatic(self) -> bool:
        """Return whether nobody stands at a reader or holds a phone: such charges keep to the hours for them."""
        return self in {FareKind.AGGREGATED, FareKind.FIRST_RIDE_RISK, FareKind.DEBT_RECOVERY_SCHEDULE}


class Trigger(enum.StrEnum):
    """What makes us look whether something is due."""

    SCHEDULE = enum.auto()
    TAP = enum.auto()  # the card was held to a reader, and perhaps refused
    RIDER = enum.auto()  # the rider asks to pay, in the application or at the office


class Answered(enum.StrEnum):
    """What became of a request to an acquirer, in order of precedence. Each is a metric label."""

    APPROVED = enum.auto()
    DECLINED = enum.auto()
    UNKNOWN = enum.auto()  # sent, no answer: it may have happened; of an authorisation: it is being reversed
    REVERSED = enum.auto()  # it stayed without an answer, or was not wanted any more, and has been taken back
    NOT_SENT = enum.auto()  # there was no connection: nothing happened, ask again later


class Decline(enum.StrEnum):
    """Why a card was declined, as far as it changes what we do next."""

    INSUFFICIENT_FUNDS = enum.auto()
    OVER_LIMIT = enum.auto()
    EXPIRED_CARD = enum.auto()
    LOST_OR_STOLEN = enum.auto()  # never tried again
    INVALID_CARD = enum.auto()  # never tried again
    ISSUER_UNAVAILABLE = enum.auto()  # says nothing about the rider: tried again
    REFUSED_REQUEST = enum.auto()  # ours is wrong (format, sent twice, amount): an alarm, not a debt
    OTHER = enum.auto()

    @property
    def final(self) -> bool:
        """Return whether this card will never pay."""
        return self in {Decline.LOST_OR_STOLEN, Decline.INVALID_CARD}

    @property
    def of_the_rider(self) -> bool:
        """Return whether it says something about the rider's card, and not about a machine between."""
        return self not in {Decline.ISSUER_UNAVAILABLE, Decline.REFUSED_REQUEST}


class Denial(enum.StrEnum):
    """Why a card is on the deny list, in order of precedence; shown to the rider with what takes it off."""

    DEBT_FINAL = enum.auto()
    DEBT = enum.auto()
    AUTH_DECLINED = enum.auto()  # nothing is owed, the issuer refuses the card


class PayWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The rides of one service day. ``owed_tiyn`` is what the day's bill says, ``settled_tiyn`` what was captured."""

    service_date: str
    state: WindowState
    opened_ms: int  # first ride
    closes_ms: int  # the service day is over
    owed_tiyn: int
    settled_tiyn: int = 0
    recoveries: int = 0  # times the debt was asked for and declined
    tried_ms: int = -1  # last request that was answered
    next_ms: int = 0  # by schedule not before

    @property
    def unpaid_tiyn(self) -> int:
        """Return what is still to be captured; below 0 what was captured too much (a fare was taken back)."""
        return self.owed_tiyn - self.settled_tiyn


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask the acquirer now. ``key`` follows from the card's state: who computes it twice, asks once."""

    key: JournalKey
    kind: FareKind
    service_date: str  # of the window; "" for a verification of the card alone
    amount_tiyn: int
    original: JournalKey | None = None  # of a first ride: the request that the issuer declined


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the acquirer said to a ``Due``."""

    key: JournalKey
    answered: Answered
    decline: Decline | None = None
    at_ms: int
    reference: str = ""  # by which the acquirer's file names the payment


class BankCard(msgspec.Struct, frozen=True, kw_only=True):
    """All that decisions about a card need. Kept as a whole, with compare-and-set: each change starts from the last."""

    medium_id: MediumId
    windows: tuple[PayWindow, ...] = ()  # by service day
    approved_ms: int = -1  # when the issuer last approved, -1: never
    declined_ms: int = -1
    declined_key: JournalKey | None = None  # of the request that was declined then
    paid_ms: int = -1  # when the rider last paid what was owed by other means
    requests: int = 0  # made so far: the number in the next key
    pending: Due | None = None  # asked, and no certain answer yet: nothing else is asked meanwhile

    @property
    def declined_since_approved(self) -> bool:
        """Return whether the issuer's last word on the card was no."""
        return self.declined_ms > self.approved_ms

    @property
    def unpaid_tiyn(self) -> int:
        """Return what is still to be captured of all rides."""
        return sum(window.unpaid_tiyn for window in self.windows)

    @property
    def debt_tiyn(self) -> int:
        """Return what the rider owes and could not be charged."""
        debts = {WindowState.DEBT, WindowState.DEBT_FINAL}
        return sum(window.unpaid_tiyn for window in self.windows if window.state in debts)


class RiskRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator has agreed with the acquirer; scheme amounts differ by country."""

    nominal_tiyn: int = 1_000  # of a verification; 0 where the acquirer has one of zero
    verify_again_ms: int = 14 * DAY_MS
    first_ride_max_tiyn: int = 50_000  # what the scheme bears of a declined first ride
    aggregate_max_tiyn: int = 500_000  # an open window is charged earlier when this much is unpaid
    recoveries_max: int = 6
    recovery_gaps_ms: tuple[int, ...] = (DAY_MS, 2 * DAY_MS, 4 * DAY_MS, 7 * DAY_MS)  # the last one again and again
    tap_gap_ms: int = 600_000  # a refused card that is tapped again and again is asked for at most this often
    retry_ms: int = 900_000  # after an acquirer or issuer that could not answer
    charge_from_minute: int = 6 * 60  # automatic charges only between these minutes of the city's day
    charge_until_minute: int = 22 * 60
    requests_per_day_max: int = 8  # of one card

    def __post_init__(self) -> None:
        """Refuse rules that could never be meant.

        Raises:
            ValueError: naming the rule.
        """
        for name in ("nominal_tiyn", "first_ride_max_tiyn", "aggregate_max_tiyn", "recoveries_max"):
            if getattr(self, name) < 0:
                raise ValueError(f"risk.{name} must not be negative: {getattr(self, name)}")
        if not self.recovery_gaps_ms:
            raise ValueError("risk.recovery_gaps_ms must name at least one gap")
        if not 0 <= self.charge_from_minute < self.charge_until_minute <= 24 * 60:
            raise ValueError(f"risk.charge_…_minute: {self.charge_from_minute} to {self.charge_until_minute}")
