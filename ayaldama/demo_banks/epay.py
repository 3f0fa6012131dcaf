"""The demo's ePay: the other side of ``fare/gateways/bank_epay.py``, and the page that its QRs lead to."""

import secrets
import uuid
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from ayaldama.demo_banks.mischief import Forgery, Mischief, Teller, Telling, Word
from ayaldama.demo_banks.page import Pages, answer_style, payment_page, pressed
from ayaldama.demo_banks.payments import Payment, Standing, tiyn_of
from commons.clock import Clock

QR_MS: Final = 20 * 60_000
FALSE_ECHO: Final = "guessed"

_LANGUAGES: Final = (("kaz", "kk"), ("rus", "ru"), ("eng", "en"))


class EpayDesk:
    """The bank. ``url``: where the merchant and riders' browsers reach it."""

    def __init__(
        self, *, url: str, client_id: str, client_secret: str, mischief: Mischief, teller: Teller, clock: Clock
    ) -> None:
        self._url, self._client = url.rstrip("/"), (client_id, client_secret)
        self._mischief, self._teller, self._clock = mischief, teller, clock
        self._pages = Pages("ePay")
        self._forms: dict[str, dict[str, str]] = {}  # what each token is for
        self._by_invoice: dict[str, Payment] = {}
        self._hooks: dict[str, str] = {}  # postLink by invoice

    def routes(self) -> list[web.RouteDef]:
        """Return what the merchant and the rider's browser ask for."""
        return [
            web.post("/oauth2/token", self._answer_token),
            web.post("/payment/qr/generate", self._answer_qr),
            web.get("/check-status/payment/transaction/{invoice}", self._answer_status),
            web.post("/operation/{id}/refund", self._answer_refund),
            web.get("/qr/{id}", self._answer_page),
            web.post("/qr/{id}", self._answer_press),
            web.get("/bank.css", answer_style),
        ]

    async def _answer_token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if (form.get("client_id"), form.get("client_secret")) != self._client:
            raise web.HTTPUnauthorized
        token = secrets.token_urlsafe(24)
        self._forms[token] = form
        return web.json_response({"access_token": token, "expires_in": "1200", "token_type": "Bearer"})

    async def _answer_qr(self, request: web.Request) -> web.Response:
        form = self._form(request)
        invoice = form.get("invoiceID", "")
        asked = msgspec.json.decode(await request.read(), type=dict[str, str])
        if not invoice.isdecimal() or not 6 <= len(invoice) <= 15 or self._is_like_another(invoice):
            raise web.HTTPBadRequest
        payment = self._by_invoice.get(invoice)
        if payment is None:
            payment = Payment(
                id=str(uuid.uuid4()),
                invoice=invoice,
                amount_tiyn=tiyn_of(form.get("amount", "")),
                expires_ms=self._clock.now_ms() + QR_MS,
                language=dict(_LANGUAGES).get(asked.get("language", ""), "ru"),
                echo=form.get("secret_hash", ""),
            )
            self._by_invoice[invoice], self._hooks[invoice] = payment, asked.get("postLink", "")
        if self._mischief.loses_answer():
            raise web.HTTPBadGateway
        page = f"{self._url}/qr/{payment.id}"
        return web.json_response({"qrcode": page, "homebankLink": page, "billNumber": payment.invoice, "status": "NEW"})

    async def _answer_status(self, request: web.Request) -> web.Response:
        self._form(request)
        payment = self._by_invoice.get(request.match_info["invoice"])
        if payment is None:
            return web.json_response({"resultCode": "102", "resultMessage": "INVOICE NOT FOUND"})
        payment.look(self._clock.now_ms())
        transaction = {
            "id": payment.id,
            "invoiceID": payment.invoice,
            "amount": payment.amount_tiyn / 100,  # a number, as the bank has it
            "currency": "KZT",
            "statusName": _status_name(payment),
        }
        return web.json_response({"resultCode": "100", "resultMessage": "SUCCESS", "transaction": transaction})

    async def _answer_refund(self, request: web.Request) -> web.Response:
        self._form(request)
        payment = self._found(request.match_info["id"])
        amount = request.query.get("amount")
        amount_tiyn = payment.amount_tiyn if amount is None else tiyn_of(amount)
        if not payment.refund(request.query.get("externalID", ""), amount_tiyn):
            return web.json_response({"code": 100, "message": "refused"}, status=400)
        if self._mischief.loses_answer():
            raise web.HTTPBadGateway
        return web.json_response({})

    async def _answer_page(self, request: web.Request) -> web.Response:
        payment = self._found(request.match_info["id"])
        payment.look(self._clock.now_ms())
        return payment_page(self._pages, payment, f"/qr/{payment.id}")

    async def _answer_press(self, request: web.Request) -> web.Response:
        payment = self._found(request.match_info["id"])
        if payment.press(await pressed(request), self._clock.now_ms()):
            for telling in self._mischief.tellings():
                self._teller.tell(telling, self._word(payment, telling))
        raise web.HTTPSeeOther(f"/qr/{payment.id}")

    def _word(self, payment: Payment, telling: Telling) -> Callable[[], Word]:
        """Return the post to the merchant. A forger knows the invoice and the form, but not the echo."""
        paid = payment.standing is Standing.PAID or telling.forgery is not None
        forged = telling.forgery in {Forgery.SECRET, Forgery.AMOUNT}
        amount_tiyn = payment.amount_tiyn * (10 if telling.forgery is Forgery.AMOUNT else 1)
        body = msgspec.json.encode(
            {
                "id": payment.id,
                "invoiceId": payment.invoice,
                "amount": amount_tiyn / 100,
                "currency": "KZT",
                "code": "ok" if paid else "error",
                "secret_hash": FALSE_ECHO if forged else payment.echo,
            }
        )
        word = Word(url=self._hooks[payment.invoice], body=body, headers={"Content-Type": "application/json"})
        return lambda: word

    def _is_like_another(self, invoice: str) -> bool:
        return any(other != invoice and other[-6:] == invoice[-6:] for other in self._by_invoice)

    def _form(self, request: web.Request) -> dict[str, str]:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self._forms:
            raise web.HTTPUnauthorized
        return self._forms[token]

    def _found(self, payment_id: str) -> Payment:
        for payment in self._by_invoice.values():
            if payment.id == payment_id:
                return payment
        raise web.HTTPNotFound


def _status_name(payment: Payment) -> str:
    if payment.standing is Standing.PAID:
        return "REFUND" if payment.refunded_tiyn else "CHARGE"
    return "NEW" if payment.standing is Standing.PENDING else "REJECT"
