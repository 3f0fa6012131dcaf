"""The demo's payment gateway: the other side of ``fare/gateways/bank_redirect.py``, with a page to press "pay" on.

It signs with the package standardwebhooks, so that what we check is not what we wrote.
"""

import datetime as dt
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web
from standardwebhooks import Webhook

from ayaldama.demo_banks.mischief import Forgery, Mischief, Teller, Telling, Word
from ayaldama.demo_banks.page import Pages, answer_style, payment_page, pressed, sent
from ayaldama.demo_banks.payments import Payment, Press, tenge, tiyn_of
from commons.clock import Clock

OLD_S: Final = 3_600
FALSE_SECRET: Final = b"not a secret of this gateway, but as long"


class _Opening(msgspec.Struct, frozen=True, kw_only=True):
    invoice: str
    amount: str
    currency: str
    language: str
    return_url: str
    expires_ms: int


class _Refunding(msgspec.Struct, frozen=True, kw_only=True):
    reference: str
    amount: str


class RedirectDesk:
    """The gateway. ``url``: where riders' browsers reach it; ``hook``: where it reaches the merchant."""

    def __init__(
        self,
        *,
        url: str,
        hook: str,
        key: str,
        secret: bytes,
        mischief: Mischief,
        teller: Teller,
        clock: Clock,
    ) -> None:
        self._url, self._hook, self._key, self._secret = url.rstrip("/"), hook, key, secret
        self._mischief, self._teller, self._clock = mischief, teller, clock
        self._pages = Pages("Redirect")
        self._by_invoice: dict[str, Payment] = {}
        self._by_id: dict[str, Payment] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return what the merchant and the rider's browser ask for."""
        return [
            web.post("/payments", self._answer_open),
            web.get("/payments/{invoice}", self._answer_status),
            web.post("/payments/{invoice}/refunds", self._answer_refund),
            web.get("/pay/{id}", self._answer_page),
            web.post("/pay/{id}", self._answer_press),
            web.get("/bank.css", answer_style),
        ]

    async def _answer_open(self, request: web.Request) -> web.Response:
        self._check_key(request)
        asked = await sent(request, _Opening)
        payment = self._by_invoice.get(asked.invoice)
        if payment is None:
            payment = Payment(
                id=secrets.token_hex(8),
                invoice=asked.invoice,
                amount_tiyn=tiyn_of(asked.amount),
                expires_ms=asked.expires_ms,
                language=asked.language,
                return_url=asked.return_url,
            )
            self._by_invoice[payment.invoice] = self._by_id[payment.id] = payment
        return self._answered(payment)

    async def _answer_status(self, request: web.Request) -> web.Response:
        self._check_key(request)
        return self._answered(self._found(self._by_invoice, request.match_info["invoice"]))

    async def _answer_refund(self, request: web.Request) -> web.Response:
        self._check_key(request)
        payment = self._found(self._by_invoice, request.match_info["invoice"])
        asked = await sent(request, _Refunding)
        before = self._state(payment)
        if not payment.refund(asked.reference, tiyn_of(asked.amount)):
            raise web.HTTPConflict
        self._tell(payment, before)
        return self._answered(payment)

    async def _answer_page(self, request: web.Request) -> web.Response:
        payment = self._found(self._by_id, request.match_info["id"])
        payment.look(self._clock.now_ms())
        return payment_page(self._pages, payment, f"/pay/{payment.id}")

    async def _answer_press(self, request: web.Request) -> web.Response:
        payment = self._found(self._by_id, request.match_info["id"])
        press = await pressed(request)
        before = self._state(payment)
        if payment.press(press, self._clock.now_ms()):
            self._tell(payment, before)
        if press is not Press.TAKE_BACK and payment.return_url.startswith(("http://", "https://")):
            raise web.HTTPSeeOther(payment.return_url)
        raise web.HTTPSeeOther(f"/pay/{payment.id}")

    def _tell(self, payment: Payment, before: dict[str, object]) -> None:
        now = self._state(payment)
        for telling in self._mischief.tellings():
            self._teller.tell(telling, self._word(before if telling.older else now, telling))

    def _word(self, state: dict[str, object], telling: Telling) -> Callable[[], Word]:
        if telling.forgery is Forgery.AMOUNT:
            state = state | {"amount": f"{state['amount']}0"}
        body, message_id = msgspec.json.encode(state), f"msg_{secrets.token_hex(8)}"
        secret = FALSE_SECRET if telling.forgery in {Forgery.SECRET, Forgery.AMOUNT} else self._secret

        def made() -> Word:
            at_s = self._clock.now_ms() // 1_000 - (OLD_S if telling.forgery is Forgery.OLD else 0)
            signature = Webhook(secret).sign(message_id, dt.datetime.fromtimestamp(at_s, dt.UTC), body.decode())
            headers = {
                "Content-Type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": str(at_s),
                "webhook-signature": signature,
            }
            return Word(url=self._hook, body=body, headers=headers)

        return made

    def _state(self, payment: Payment) -> dict[str, object]:
        payment.look(self._clock.now_ms())
        return {
            "id": payment.id,
            "invoice": payment.invoice,
            "amount": tenge(payment.amount_tiyn),
            "currency": "KZT",
            "status": payment.standing.value,
            "refunded": tenge(payment.refunded_tiyn),
            "url": f"{self._url}/pay/{payment.id}",
        }

    def _answered(self, payment: Payment) -> web.Response:
        if self._mischief.loses_answer():
            raise web.HTTPBadGateway
        return web.json_response(self._state(payment))

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self._key}".encode()):
            raise web.HTTPUnauthorized

    def _found(self, payments: dict[str, Payment], name: str) -> Payment:
        if name not in payments:
            raise web.HTTPNotFound
        return payments[name]
