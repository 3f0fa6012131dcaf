"""A payment gateway with a page of its own that tells us by webhooks, signed as Standard Webhooks has it.

We ask (JSON over HTTPS, ``Authorization: Bearer``):

* ``POST /payments`` {invoice, amount, currency, language, return_url, expires_ms} → the payment with its ``url``. The
  same invoice is the same payment.
* ``GET /payments/{invoice}`` → the payment, or 404.
* ``POST /payments/{invoice}/refunds`` {reference, amount} → the payment. The same reference is the same refund.

The gateway tells: ``POST`` to our hook with the payment as a whole, {id, invoice, amount, currency, status, refunded}.
Signed is ``<webhook-id>.<webhook-timestamp>.<raw body>`` by HMAC-SHA-256; the header ``webhook-signature`` may have
several signatures, and we may know several secrets, so that either side changes its secret without a pause
(github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme").
"""

import base64
import binascii
import decimal
import enum
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import msgspec

from fare.gateways.bank import (
    LINK_MAX,
    TENGE,
    BankSilentError,
    HookRefusal,
    Intent,
    Opened,
    OpenRefused,
    Returning,
    check_operation_id,
    tenge_of,
    tiyn_of,
)
from fare.gateways.bank_http import BankLine
from fare.model import AccountCode
from fare.top_ups import BankName, BankState, BankWord, Invoice

NAME: Final = BankName("redirect")
ACCOUNT: Final = AccountCode("acquirer:redirect")
LIFETIME_MS: Final = 30 * 60_000
TOLERANCE_MS: Final = 5 * 60_000  # what Standard Webhooks' own libraries allow
MESSAGE_ID_MAX: Final = 128  # characters
SIGNATURES_MAX: Final = 10
SECRET_BYTES_MIN: Final = 24  # the specification's least

_PREFIX: Final = "whsec_"
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_MESSAGE_ID: Final = re.compile(rf"[!-~]{{1,{MESSAGE_ID_MAX}}}")


class Status(enum.StrEnum):
    """How a payment stands at the gateway."""

    PENDING = enum.auto()
    PAID = enum.auto()
    REFUSED = enum.auto()
    EXPIRED = enum.auto()


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the gateway tells of it; amounts in tenge."""

    id: str
    invoice: str
    amount: decimal.Decimal
    currency: str
    status: Status
    refunded: decimal.Decimal = decimal.Decimal(0)
    url: str = ""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An authentic message of the gateway."""

    message_id: str
    digest: bytes  # SHA-256 of the body: the same id with another body is no repetition
    word: BankWord


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectSettings:
    """Where the gateway is and what it gave us. ``secrets``: of webhooks, all that are in force."""

    url: str
    key: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)
    return_url: str


def read_secret(text: str) -> bytes:
    """Return a secret of webhooks as the gateway shows it, ``whsec_`` and base64.

    Raises:
        ValueError: if it is none, or shorter than 24 bytes. The message never has it.
    """
    try:
        secret = base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("webhook secret must be whsec_ and base64") from error
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"webhook secret must have at least {SECRET_BYTES_MIN} bytes: {len(secret)}")
    return secret


def read_webhook(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[bytes], now_ms: int
) -> Webhook | HookRefusal:
    """Return what a webhook says, or why it is not believed. ``headers`` are asked for by names in lower case."""
    message_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _MESSAGE_ID.fullmatch(message_id) or not _SECONDS.fullmatch(sent):
        return HookRefusal.MALFORMED
    if not _is_signed(body, message_id, sent, headers.get("webhook-signature", ""), secrets):
        return HookRefusal.SIGNATURE
    if abs(now_ms - int(sent) * 1_000) > TOLERANCE_MS:
        return HookRefusal.CLOCK
    try:
        word = word_of(msgspec.json.decode(body, type=Payment))
    except (msgspec.DecodeError, ValueError):
        return HookRefusal.MALFORMED
    if isinstance(word, HookRefusal):
        return word
    return Webhook(message_id=message_id, digest=hashlib.sha256(body).digest(), word=word)


def _is_signed(body: bytes, message_id: str, sent: str, signatures: str, secrets: Sequence[bytes]) -> bool:
    """Say whether any of the signatures is of any of the secrets; all are compared, each in constant time."""
    signed = f"{message_id}.{sent}.".encode() + body
    right = [hmac.digest(secret, signed, "sha256") for secret in secrets]
    found = False
    for one in signatures.split(" ", SIGNATURES_MAX)[:SIGNATURES_MAX]:
        version, _, text = one.partition(",")
        try:
            given = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        if version == "v1":
            found |= any([hmac.compare_digest(given, wanted) for wanted in right])  # noqa: C419 - all of them, always
    return found


def word_of(payment: Payment) -> BankWord | HookRefusal:
    """Return a payment of the gateway as a word.

    Raises:
        ValueError: if amounts or names have a form that cannot be.
    """
    if payment.currency != TENGE:
        return HookRefusal.CURRENCY
    return BankWord(
        invoice=Invoice(check_operation_id(payment.invoice)),
        operation_id=check_operation_id(payment.id),
        state=BankState(payment.status.value),
        amount_tiyn=tiyn_of(payment.amount),
        refunded_tiyn=tiyn_of(payment.refunded) if payment.refunded else 0,
    )


class RedirectBank:
    """The gateway as a ``Bank``."""

    lifetime_ms: Final = LIFETIME_MS

    def __init__(self, settings: RedirectSettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._line = BankLine(NAME, session)

    async def open(self, intent: Intent) -> Opened | OpenRefused:
        """See ``Bank.open``."""
        asked = {
            "invoice": intent.invoice,
            "amount": tenge_of(intent.amount_tiyn),
            "currency": TENGE,
            "language": intent.language,
            "return_url": self._settings.return_url,
            "expires_ms": intent.expires_ms,
        }
        status, content = await self._ask("POST", "/payments", asked)
        if status >= 400:
            return OpenRefused(reason=f"status {status}")
        payment = self._read(content, "open")
        word = self._word(payment, "open")
        if (word.invoice, word.amount_tiyn) != (intent.invoice, intent.amount_tiyn):
            return OpenRefused(reason="opened something else")
        if not payment.url or len(payment.url) > LINK_MAX:
            raise BankSilentError(NAME, "open", "no address of a page")
        return Opened(link=payment.url)

    async def status(self, invoice: Invoice) -> BankWord | None:
        """See ``Bank.status``."""
        status, content = await self._ask("GET", f"/payments/{invoice}")
        if status == 404:
            return None
        return self._understood(status, content, invoice, "status")

    async def give_back(self, payment: BankWord, reference: str, amount_tiyn: int) -> Returning:
        """See ``Bank.give_back``."""
        asked = {"reference": reference, "amount": tenge_of(amount_tiyn)}
        status, content = await self._ask("POST", f"/payments/{payment.invoice}/refunds", asked)
        if status in {409, 422}:  # what the gateway says when it has looked and will not
            return Returning.REFUSED
        self._understood(status, content, payment.invoice, "refund")
        return Returning.DONE

    async def _ask(self, method: str, path: str, json: object | None = None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._settings.key}"}
        return await self._line.ask(method, self._settings.url.rstrip("/") + path, json=json, headers=headers)

    def _understood(self, status: int, content: bytes, invoice: Invoice, what: str) -> BankWord:
        if status >= 400:
            raise BankSilentError(NAME, what, f"status {status}")
        word = self._word(self._read(content, what), what)
        if word.invoice != invoice:
            raise BankSilentError(NAME, what, "answered of another payment")
        return word

    def _read(self, content: bytes, what: str) -> Payment:
        return self._line.read(content, Payment, what)

    def _word(self, payment: Payment, what: str) -> BankWord:
        try:
            word = word_of(payment)
        except ValueError as error:
            raise BankSilentError(NAME, what, str(error)) from error
        if isinstance(word, HookRefusal):
            raise BankSilentError(NAME, what, f"currency {payment.currency}")
        return word
