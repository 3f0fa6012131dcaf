"""One medium, its rides and all that people do about them: the product's decisions, with books in memory."""

from collections import defaultdict
from typing import NamedTuple

from fare.ledger.accounts import debt, wallet
from fare.ledger.bank_money import charged_back, credited
from fare.ledger.billing import Posted, changes, levelling
from fare.ledger.posting import Book
from fare.model import LocatedTap, MediumKind, Profile, Ride
from fare.outcomes import Posting
from fare.settlement.model import RefundReason
from tests.notation.claims import Claims, priced_tiyn, refund_of
from tests.notation.ledger import account
from tests.notation.rides import SmallTariff, medium

BANK = account("bank_qr:epay")


class Act(NamedTuple):
    """Something that happens: ``what``, of which ride (by number), and how much."""

    what: str
    ride: int
    tiyn: int


class Office:
    """Where it is done. Rides are of the device ``v`` and the number of the medium."""

    def __init__(self, kind: MediumKind = MediumKind.TRANSPORT_CARD, number: int = 7) -> None:
        self.medium, self.device = medium(number), f"v{number}"
        self.kind, self.book, self.claims, self.tariff = kind, Book(), Claims(), SmallTariff()
        self.rides: dict[str, Ride] = {}
        self.posted: dict[str, Posted] = {}
        self.acts = 0
        self.paid_in_tiyn = 0

    def arrive(self, one: LocatedTap) -> None:
        if one.ride is None or one.ride.key in self.rides:
            return
        self.rides[one.ride.key] = one.ride
        rides = list(self.rides.values())
        found = changes(rides, self.posted, self.tariff, Profile(), from_ms=one.ride.tapped_ms)
        done = self.claims.charge(self.book, found, rides, self.posted, self.tariff)
        self.posted |= {change.ride.key: posted for change, posted in done}

    def act(self, act: Act, at_ms: int) -> None:
        """Do what may be done; what is refused changes nothing."""
        self.acts += 1
        key, ride = f"act-{self.acts}", self.rides.get(f"{self.device}:{act.ride}")
        if act.what == "top_up":
            self.paid_in_tiyn += act.tiyn
            self.book.take(credited(key, BANK, self.medium, act.tiyn, subject=key, at_ms=at_ms))
            self.level(key)
        elif act.what == "bank_takes_back":
            tiyn = min(act.tiyn, self.paid_in_tiyn)
            if tiyn:
                self.paid_in_tiyn -= tiyn
                self.book.take(charged_back(key, BANK, self.medium, tiyn, subject=key, at_ms=at_ms, book=self.book))
                self.level(key)
        elif act.what == "write_off":
            tiyn = min(act.tiyn, self.owed_tiyn)
            self.claims.write_off(self.book, self.medium, tiyn, key, self.rides.values(), self.posted, at_ms)
        elif act.what == "amnesty":
            for one in sorted(self.rides.values(), key=lambda ride: ride.key):
                self.give_back(one, f"{key}/{one.key}", None, RefundReason.AMNESTY, at_ms)
        elif ride is not None:
            reason = RefundReason.CHARGEBACK if act.what == "chargeback" else RefundReason.COMPLAINT
            self.give_back(ride, key, None if act.what == "refund_all" else act.tiyn, reason, at_ms)

    def give_back(self, ride: Ride, key: str, tiyn: int | None, reason: RefundReason, at_ms: int) -> None:
        if tiyn is None:
            tiyn = self.claims.left_tiyn(ride, self.posted.get(ride.key))
        refund = refund_of(ride, key, tiyn, self.tariff, reason)
        self.claims.refund(self.book, refund, ride, self.rides.values(), self.posted, self.tariff, at_ms)

    @property
    def owed_tiyn(self) -> int:
        return self.book.balances_tiyn.get(debt(self.medium), 0)

    def level(self, key: str) -> None:
        level = levelling(self.book, self.medium, key=key, occurred_ms=0)
        if level is not None:
            self.book.take(level)

    def check(self) -> None:
        """Check what must hold at any moment."""
        balances = self.book.balances_tiyn
        assert sum(balances.values()) == 0
        assert all(page.outcome is Posting.POSTED for page in self.book.pages)
        returned: dict[str, int] = defaultdict(int)
        for one in self.claims.refunds:
            returned[one.ride_key] += one.amount_tiyn
        net_tiyn = 0
        for key in self.rides:
            price_tiyn = priced_tiyn(self.posted.get(key))
            assert 0 <= returned[key] <= price_tiyn, "of no ride goes back more than it costs"
            net_tiyn += price_tiyn - returned[key]
        refunded_tiyn = sum(balances.get(account(code), 0) for code in ("refund", "chargeback"))
        assert refunded_tiyn == sum(returned.values())
        if self.kind is MediumKind.BANK_CARD:
            return
        has_tiyn, owed_tiyn = -balances.get(wallet(self.medium), 0), balances.get(debt(self.medium), 0)
        assert has_tiyn >= 0 <= owed_tiyn
        assert not (has_tiyn and owed_tiyn)
        given_up_tiyn = balances.get(account("write_off"), 0)
        assert 0 <= given_up_tiyn <= net_tiyn, "nothing is given up that nobody has to pay"
        banks_tiyn = -balances.get(account("acquirer:main"), 0)  # of chargebacks: to the rider, past the wallet
        assert has_tiyn - owed_tiyn == self.paid_in_tiyn - net_tiyn + given_up_tiyn - banks_tiyn
        assert has_tiyn + banks_tiyn <= self.paid_in_tiyn + owed_tiyn, "nobody has more than they paid"
