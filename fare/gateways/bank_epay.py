"""Halyk ePay: a QR that the rider scans in the bank's app, and an unsigned word that we never take for money.

* A token for each payment (``POST /oauth2/token``), bound to invoice, amount, terminal and our ``secret_hash``.
* The QR (``POST /payment/qr/generate``); it lives 20 minutes, then the bank marks it REJECTED.
* The bank posts to our ``postLink`` with the ``secret_hash`` of the invoice. Nothing else proves that it is the bank,
  and amounts in it are not signed. So that post is only a reason to look: what counts is the answer of
  ``GET /check-status/payment/transaction/{invoiceId}``.
* Refunds: ``POST /operation/{id}/refund?amount=…&externalID=…``, ten tenge at least.

An invoice has 6 to 15 digits and must be new in its last six too. From epayment.kz/docs ("QR by API", "Transaction
Status", "Payment page", "Refund/Partial refund") as of 2026; the bank itself has not been spoken to. The terminal must
take payments in one step: one that is only authorised stays pending here. The package halyk-epay (0.1.0, alpha) was
looked at and not taken: it knows no QR, holds amounts as floats and brings a second HTTP client.
"""

import decimal
import hmac
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import msgspec

from fare.gateways.bank import (
    LINK_MAX,
    TENGE,
    TIYN_PER_TENGE,
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

NAME: Final = BankName("epay")
ACCOUNT: Final = AccountCode("bank_qr:epay")
LIFETIME_MS: Final = 20 * 60_000
REFUND_MIN_TIYN: Final = 10 * TIYN_PER_TENGE
SCOPE: Final = "webapi usermanagement email_send verification statement statistics payment"
ECHO_MAX: Final = 128  # characters

FOUND: Final = "100"  # resultCode: the transaction is there, and its status counts
NOT_FOUND: Final = "102"
_LANGUAGES: Final = (("kk", "kaz"), ("ru", "rus"), ("en", "eng"))


@dataclass(frozen=True, slots=True, kw_only=True)
class EpaySettings:
    """Where ePay is, what it calls us, and where it reaches us. ``oauth_url`` ends before ``/oauth2/token``."""

    oauth_url: str
    api_url: str
    client_id: str
    client_secret: str = field(repr=False)
    terminal: str
    post_link: str


class PostLink(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank posts, as far as it is looked at."""

    invoice: str = msgspec.field(name="invoiceId")
    echo: str = msgspec.field(name="secret_hash")


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str


class _Qr(msgspec.Struct, frozen=True, kw_only=True):
    qrcode: str
    link: str = msgspec.field(name="homebankLink", default="")


class _Transaction(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    invoice: str = msgspec.field(name="invoiceID")
    amount: decimal.Decimal
    currency: str
    status: str = msgspec.field(name="statusName")


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    code: str | int = msgspec.field(name="resultCode")
    transaction: _Transaction | None = None


def read_post_link(body: bytes) -> PostLink | HookRefusal:
    """Return what the bank posted, not yet proven."""
    try:
        said = msgspec.json.decode(body, type=PostLink)
    except msgspec.DecodeError:
        return HookRefusal.MALFORMED
    is_invoice = said.invoice.isascii() and said.invoice.isdigit() and 6 <= len(said.invoice) <= 15
    return said if is_invoice and 0 < len(said.echo) <= ECHO_MAX else HookRefusal.MALFORMED


def is_echoed(said: PostLink, echo: str) -> bool:
    """Say whether the bank's post has the secret that its payment was opened with, compared in constant time."""
    return bool(echo) and hmac.compare_digest(said.echo.encode(errors="replace"), echo.encode())


def word_of(transaction: _Transaction) -> BankWord:
    """Return a transaction as a word.

    Raises:
        ValueError: if amount or names have a form that cannot be, or the currency is not tenge.
    """
    if transaction.currency != TENGE:
        raise ValueError(f"currency must be {TENGE}: {transaction.currency[:8]!r}")
    state, refunded_tiyn = _standing(transaction.status)
    return BankWord(
        invoice=Invoice(transaction.invoice),
        operation_id=check_operation_id(transaction.id),
        state=state,
        amount_tiyn=tiyn_of(transaction.amount),
        refunded_tiyn=refunded_tiyn,
    )


def _standing(status: str) -> tuple[BankState, int | None]:
    """Return the state of a ``statusName`` and what went back. ePay does not say how much a refund was."""
    match status:
        case "CHARGE" | "PAID":
            return BankState.PAID, 0
        case "REFUND":
            return BankState.PAID, None
        case "FAILED" | "REJECT" | "REJECTED" | "3D" | "CANCEL" | "CANCEL_OLD":
            return BankState.REFUSED, 0
        case _:  # NEW, AUTH, and what there may be in future: not paid is safe to say
            return BankState.PENDING, 0


class EpayBank:
    """ePay as a ``Bank``."""

    lifetime_ms: Final = LIFETIME_MS

    def __init__(self, settings: EpaySettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._line = BankLine(NAME, session)

    async def open(self, intent: Intent) -> Opened | OpenRefused:
        """See ``Bank.open``. Asked again, the bank makes another QR for the same invoice."""
        links = {"postLink": self._settings.post_link, "failurePostLink": self._settings.post_link}
        payment = {
            "invoiceID": intent.invoice,
            "secret_hash": intent.echo,
            "amount": tenge_of(intent.amount_tiyn),
            "currency": TENGE,
            **links,
        }
        token = await self._token(payment)
        asked = {
            "description": intent.invoice,
            "language": dict(_LANGUAGES).get(intent.language, _LANGUAGES[0][1]),
            **links,
        }
        status, content = await self._api("POST", "/payment/qr/generate", token, asked)
        if status >= 400:
            return OpenRefused(reason=f"status {status}")
        qr = self._line.read(content, _Qr, "open")
        if not qr.qrcode or max(len(qr.qrcode), len(qr.link)) > LINK_MAX:
            raise BankSilentError(NAME, "open", "no QR")
        return Opened(link=qr.link, qr=qr.qrcode)

    async def status(self, invoice: Invoice) -> BankWord | None:
        """See ``Bank.status``."""
        path = f"/check-status/payment/transaction/{invoice}"
        status, content = await self._api("GET", path, await self._token({}))
        answer = self._line.read(content, _Status, "status")
        if str(answer.code) == NOT_FOUND:
            return None
        if status >= 400 or str(answer.code) != FOUND or answer.transaction is None:
            raise BankSilentError(NAME, "status", f"status {status}, resultCode {str(answer.code)[:8]}")
        try:
            word = word_of(answer.transaction)
        except ValueError as error:
            raise BankSilentError(NAME, "status", str(error)) from error
        if word.invoice != invoice:
            raise BankSilentError(NAME, "status", "answered of another payment")
        return word

    async def give_back(self, payment: BankWord, reference: str, amount_tiyn: int) -> Returning:
        """See ``Bank.give_back``. One refund of a payment: a second one is for a person, in the bank's own cabinet.

        Whether the bank knows an ``externalID`` again is not documented, so it is asked how the payment stands first:
        what has gone back already is this refund, whose answer was lost.
        """
        if amount_tiyn < REFUND_MIN_TIYN or payment.refunded_tiyn:
            return Returning.REFUSED
        now = await self.status(payment.invoice)
        if now is None or now.state is not BankState.PAID:
            return Returning.REFUSED
        if now.refunded_tiyn is None:
            return Returning.DONE
        path = f"/operation/{payment.operation_id}/refund?amount={tenge_of(amount_tiyn)}&externalID={reference}"
        status, _ = await self._api("POST", path, await self._token({}))
        if status == 400:
            return Returning.REFUSED
        if status >= 400:
            raise BankSilentError(NAME, "refund", f"status {status}")
        return Returning.DONE

    async def _token(self, payment: dict[str, str]) -> str:
        form = {
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret,
            "terminal": self._settings.terminal,
            **payment,
        }
        url = f"{self._settings.oauth_url.rstrip('/')}/oauth2/token"
        status, content = await self._line.ask("POST", url, form=form)
        if status >= 400:
            raise BankSilentError(NAME, "token", f"status {status}")
        return self._line.read(content, _Token, "token").access_token

    async def _api(self, method: str, path: str, token: str, json: object | None = None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {token}"}
        return await self._line.ask(method, self._settings.api_url.rstrip("/") + path, json=json, headers=headers)
