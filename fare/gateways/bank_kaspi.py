"""A bank whose app has us as a service: it asks whether an account may be topped up, tops it up, and says that it did.

The rider types a phone number in the bank's app. ``check`` asks whether we know it; ``pay`` holds the money until we
answer YES, so that answer is the credit; ``notify`` says that the bank's own books are done. A bank that gets no answer
says the same again under the same ``operationId`` (developerhub.8b.world, "Bank Transfers (Kaspi Bank)").

The header ``Sign`` is MD5 over the values one after another and a shared secret. Nothing separates the values, so
``12`` + ``34`` is signed as ``1`` + ``234`` is (attack 37). Therefore each field has one form, and all but one of a
``pay`` have one length, so that no other request has its signature. A ``notify`` has two of variable length: it credits
nothing, and must say the amount that ``pay`` did. MD5 is what the bank speaks; requests are taken from its addresses
only. Pure.
"""

import decimal
import enum
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from fare.gateways.bank import TENGE, HookRefusal, tiyn_of
from fare.model import AccountCode
from fare.top_ups import BankName

NAME: Final = BankName("kaspi")
ACCOUNT: Final = AccountCode("bank_qr:kaspi")
OPERATION_DIGITS: Final = 10  # as in the bank's examples

_ACCOUNT: Final = re.compile(r"7\d{10}", re.ASCII)  # E.164 without the plus: Kazakhstan has eleven digits
_TRANSACTION: Final = re.compile(r"[1-9]\d{0,17}", re.ASCII)
_AMOUNT: Final = re.compile(r"[1-9]\d{0,8}\.\d\d", re.ASCII)


class Sent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A request as it comes. Which of the three it is follows from the fields that are there."""

    account: str
    operation_id: str = ""
    transaction_id: str = ""
    amount: str = ""
    currency: str = ""
    status: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """May this account be topped up? Asked any number of times; nothing happens."""

    account: str  # 11 digits


class Pay(msgspec.Struct, frozen=True, kw_only=True):
    """Top this account up. The money is held at the bank until we say yes."""

    account: str
    operation_id: str
    amount_tiyn: int


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """The bank's own books are done."""

    account: str
    operation_id: str
    transaction_id: str
    amount_tiyn: int


class Reply(enum.StrEnum):
    """What the bank is answered. After ERROR it asks again, after NO it gives the rider the money back."""

    YES = "YES"
    NO = "NO"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class KaspiSettings:
    """What was agreed with the bank. Without addresses nobody is believed."""

    secret: str = field(repr=False)
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    operation_digits: int = OPERATION_DIGITS

    def __post_init__(self) -> None:
        """Refuse what would not protect.

        Raises:
            ValueError: if the secret is too short to be one.
        """
        if len(self.secret) < 8:
            raise ValueError(f"kaspi secret must have at least 8 characters: {len(self.secret)}")


def read_networks(texts: Iterable[str]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Return the addresses of a bank.

    Raises:
        ValueError: if one is no address and no network.
    """
    return tuple(ipaddress.ip_network(text.strip()) for text in texts if text.strip())


def may_come_from(address: str, settings: KaspiSettings) -> bool:
    """Say whether ``address`` is one of the bank's."""
    try:
        asked = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(asked, ipaddress.IPv6Address) and asked.ipv4_mapped is not None:
        asked = asked.ipv4_mapped
    return any(asked in network for network in settings.networks)


def sign(values: Iterable[str], secret: str) -> str:
    """Return the signature of a request's values, in the order of the bank's documentation."""
    return hashlib.md5(("".join(values) + secret).encode(), usedforsecurity=False).hexdigest()  # the bank's choice


def signed_values(sent: Sent) -> tuple[str, ...]:
    """Return the values that a request's signature covers, in their order."""
    return (sent.operation_id, sent.account, sent.transaction_id, sent.amount, sent.currency, sent.status)


def read_request(body: bytes, signature: str, settings: KaspiSettings) -> Check | Pay | Notified | HookRefusal:
    """Return what the bank asks, or why it is not believed."""
    try:
        sent = msgspec.json.decode(body, type=Sent)
    except msgspec.DecodeError:
        return HookRefusal.MALFORMED
    kind = _kind_of(sent, settings.operation_digits)
    if kind is None:
        return HookRefusal.MALFORMED
    wanted = sign(signed_values(sent), settings.secret)
    if not hmac.compare_digest(wanted.encode(), signature.lower().encode(errors="replace")):
        return HookRefusal.SIGNATURE
    return _understood(sent, kind)


def _understood(sent: Sent, kind: Literal["check", "pay", "notify"]) -> Check | Pay | Notified | HookRefusal:
    if kind == "check":
        return Check(account=sent.account)
    if sent.currency != TENGE:
        return HookRefusal.CURRENCY
    amount_tiyn = tiyn_of(decimal.Decimal(sent.amount))
    if kind == "pay":
        return Pay(account=sent.account, operation_id=sent.operation_id, amount_tiyn=amount_tiyn)
    return Notified(
        account=sent.account,
        operation_id=sent.operation_id,
        transaction_id=sent.transaction_id,
        amount_tiyn=amount_tiyn,
    )


def _kind_of(sent: Sent, operation_digits: int) -> Literal["check", "pay", "notify"] | None:
    """Return which request it is, None where a field has another form than it must have."""
    if not _ACCOUNT.fullmatch(sent.account):
        return None
    if not any((sent.operation_id, sent.transaction_id, sent.amount, sent.currency, sent.status)):
        return "check"
    operation = re.fullmatch(rf"[1-9]\d{{{operation_digits - 1}}}", sent.operation_id, re.ASCII)
    if operation is None or not _AMOUNT.fullmatch(sent.amount) or not re.fullmatch("[A-Z]{3}", sent.currency):
        return None
    if not sent.transaction_id and not sent.status:
        return "pay"
    return "notify" if _TRANSACTION.fullmatch(sent.transaction_id) and sent.status == "completed" else None
