"""What a bank of the demo knows of its payments, and what each press of a button does to them. Pure."""

import enum
from dataclasses import dataclass, field


class Standing(enum.StrEnum):
    """How a payment stands."""

    PENDING = enum.auto()
    PAID = enum.auto()
    REFUSED = enum.auto()
    EXPIRED = enum.auto()


class Press(enum.StrEnum):
    """What the person at the bank's page wants."""

    PAY = enum.auto()
    REFUSE = enum.auto()
    TAKE_BACK = enum.auto()  # a chargeback, as the payer's bank does it


@dataclass(slots=True, kw_only=True)
class Payment:
    """One payment. ``echo``, ``return_url`` and ``language`` are what the merchant said."""

    id: str
    invoice: str
    amount_tiyn: int
    expires_ms: int
    language: str = "kk"
    return_url: str = ""
    echo: str = ""
    standing: Standing = Standing.PENDING
    refunds_tiyn: dict[str, int] = field(default_factory=dict)  # by the merchant's reference
    charged_back_tiyn: int = 0

    @property
    def refunded_tiyn(self) -> int:
        """Return what has gone back in all."""
        return sum(self.refunds_tiyn.values()) + self.charged_back_tiyn

    def look(self, now_ms: int) -> None:
        """Let it expire, if its time is over."""
        if self.standing is Standing.PENDING and now_ms >= self.expires_ms:
            self.standing = Standing.EXPIRED

    def press(self, press: Press, now_ms: int) -> bool:
        """Do what a person wants; return whether it changed anything."""
        self.look(now_ms)
        if press is Press.TAKE_BACK:
            left_tiyn = self.amount_tiyn - self.refunded_tiyn
            if self.standing is not Standing.PAID or left_tiyn == 0:
                return False
            self.charged_back_tiyn += left_tiyn
            return True
        if self.standing is not Standing.PENDING:
            return False
        self.standing = Standing.PAID if press is Press.PAY else Standing.REFUSED
        return True

    def refund(self, reference: str, amount_tiyn: int) -> bool:
        """Give part back, once for each reference; return whether it is given back."""
        if reference in self.refunds_tiyn:
            return self.refunds_tiyn[reference] == amount_tiyn
        if self.standing is not Standing.PAID or not 0 < amount_tiyn <= self.amount_tiyn - self.refunded_tiyn:
            return False
        self.refunds_tiyn[reference] = amount_tiyn
        return True


def tenge(tiyn: int) -> str:
    """Return an amount as the demo's banks write it."""
    return f"{tiyn // 100}.{tiyn % 100:02d}"


def tiyn_of(amount: str) -> int:
    """Return an amount that a merchant wrote so.

    Raises:
        ValueError: if it is none.
    """
    whole, point, part = amount.partition(".")
    if not whole.isdecimal() or (point and (len(part) != 2 or not part.isdecimal())):
        raise ValueError(f"amount must be like 500 or 500.00: {amount!r}")
    return int(whole) * 100 + int(part or "0")
