"""Where banks reach us: ``POST /banks/{redirect,epay,kaspi}``, each in its own bank's language.

Nobody is believed for an address alone, nor for a word alone: a webhook is signed, a postLink makes us look at the
bank, a request of Kaspi's is signed and comes from Kaspi. Ten wrong requests of an address within a minute end what
costs us more than a hash; what is rightly signed is taken all the same, so that nobody locks a bank out by sending
nonsense from its side of a proxy. A bank that must say it again (our database is away, the bank itself was silent) gets
status 503.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec
from aiohttp import web

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.api.answers import BODY_MAX_BYTES, answer, refused
from fare.gateways import bank_epay, bank_kaspi, bank_redirect
from fare.gateways.bank import HookRefusal
from fare.gateways.bank_kaspi import Check, KaspiSettings, Notified, Pay, Reply
from fare.model import MediumId
from fare.top_ups import BankName, Heard, Invoice
from fare.topping_up import Message, PaidIn, TopUps
from fare.validator.enrolment import FailureLimit

RETRY_S: Final = 10
LIMIT_S: Final = 60

MediumOf = Callable[[str], Awaitable[MediumId | None]]

_log = get_logger(__name__)
_YES: Final = frozenset({Heard.CREDITED, Heard.REPEATED})


class KaspiAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank's documentation asks for."""

    status: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Which banks may reach us, and what proves them. What is left out is not served."""

    redirect_secrets: tuple[bytes, ...] = ()
    epay: bool = False
    kaspi: KaspiSettings | None = None
    medium_of: MediumOf | None = None  # the medium of a phone number of 11 digits, as a rider types it at Kaspi


class BankHooks:
    """The routes of the banks."""

    def __init__(
        self,
        top_ups: TopUps,
        hooks: Hooks,
        *,
        clock: Clock,
        metrics: Metrics,
        address_of: Callable[[web.Request], str],
    ) -> None:
        self._top_ups, self._hooks = top_ups, hooks
        self._clock, self._metrics, self._address_of = clock, metrics, address_of
        self._limit = FailureLimit()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the banks that may reach us."""
        hooks = self._hooks
        served = [
            (bool(hooks.redirect_secrets), bank_redirect.NAME, self._answer_redirect),
            (hooks.epay, bank_epay.NAME, self._answer_epay),
            (hooks.kaspi is not None, bank_kaspi.NAME, self._answer_kaspi),
        ]
        return [web.post(f"/banks/{name}", handler) for wanted, name, handler in served if wanted]

    async def _answer_redirect(self, request: web.Request) -> web.Response:
        body = await self._body(bank_redirect.NAME, request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        said = bank_redirect.read_webhook(body, headers, self._hooks.redirect_secrets, self._clock.now_ms())
        if isinstance(said, HookRefusal):
            raise self._refused(bank_redirect.NAME, said, request)
        async with _available():
            message = Message(message_id=said.message_id, digest=said.digest)
            await self._top_ups.heard(bank_redirect.NAME, said.word, message)
        return web.Response(status=204)

    async def _answer_epay(self, request: web.Request) -> web.Response:
        said = bank_epay.read_post_link(await self._body(bank_epay.NAME, request))
        if isinstance(said, HookRefusal):
            raise self._refused(bank_epay.NAME, said, request)
        if not self._limit.allows(self._address_of(request), self._clock.now_ms()):
            raise self._refused(bank_epay.NAME, HookRefusal.TOO_OFTEN, request)
        async with _available():
            invoice = Invoice(said.invoice)
            if not bank_epay.is_echoed(said, await self._top_ups.echo_of(bank_epay.NAME, invoice)):
                raise self._refused(bank_epay.NAME, HookRefusal.SIGNATURE, request)
            if await self._top_ups.ask(invoice) is None:
                raise refused(web.HTTPServiceUnavailable, "bank_silent", retry_s=RETRY_S)
        return web.Response(status=200)

    async def _answer_kaspi(self, request: web.Request) -> web.Response:
        settings = self._hooks.kaspi
        if settings is None or not bank_kaspi.may_come_from(self._address_of(request), settings):
            raise self._refused(bank_kaspi.NAME, HookRefusal.ADDRESS, request)
        body = await self._body(bank_kaspi.NAME, request)
        asked = bank_kaspi.read_request(body, request.headers.get("Sign", ""), settings)
        if isinstance(asked, HookRefusal):
            raise self._refused(bank_kaspi.NAME, asked, request)
        async with _available():
            return answer(KaspiAnswer(status=await self._reply(asked)))

    async def _reply(self, asked: Check | Pay | Notified) -> Reply:
        medium_id = await self._hooks.medium_of(asked.account) if self._hooks.medium_of is not None else None
        if medium_id is None:
            return Reply.NO
        if isinstance(asked, Check):
            return Reply.YES
        paid = PaidIn(operation_id=asked.operation_id, medium_id=medium_id, amount_tiyn=asked.amount_tiyn)
        if isinstance(asked, Notified):
            heard = await self._top_ups.confirmed(bank_kaspi.NAME, paid)
        else:
            heard = await self._top_ups.paid_in(bank_kaspi.NAME, paid)
        if heard in _YES:
            return Reply.YES
        return Reply.NO if heard is Heard.OVER_LIMIT else Reply.ERROR

    async def _body(self, bank: BankName, request: web.Request) -> bytes:
        body = bytearray()
        async for chunk in request.content.iter_chunked(BODY_MAX_BYTES):
            body += chunk
            if len(body) > BODY_MAX_BYTES:
                raise self._refused(bank, HookRefusal.MALFORMED, request)
        return bytes(body)

    def _refused(self, bank: BankName, why: HookRefusal, request: web.Request) -> web.HTTPException:
        """Count a request that is not believed, and return its answer."""
        address, now_ms = self._address_of(request), self._clock.now_ms()
        self._metrics.count("bank_hooks_refused_total", bank=bank, reason=why.value)
        if not self._limit.allows(address, now_ms):
            return refused(web.HTTPTooManyRequests, HookRefusal.TOO_OFTEN.value, retry_s=LIMIT_S)
        self._limit.failed(address, now_ms)
        _log.warning("request of a bank not believed", bank=bank, reason=why.value, address=address)
        kind: type[web.HTTPException] = web.HTTPBadRequest
        if why in {HookRefusal.SIGNATURE, HookRefusal.CLOCK}:
            kind = web.HTTPUnauthorized
        elif why is HookRefusal.ADDRESS:
            kind = web.HTTPForbidden
        return refused(kind, why.value)


@contextlib.asynccontextmanager
async def _available() -> AsyncIterator[None]:
    """Answer that it must be said again where the database does not answer."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _log.warning("a bank's word could not be written", error=repr(error))
        raise refused(web.HTTPServiceUnavailable, "unavailable", retry_s=RETRY_S) from error
