"""Who asks with a phone: cookies, the token that writing requests repeat, limits; signing in and out.

The cookie is for our pages alone (HttpOnly, SameSite=Strict) and for this host alone (``__Host-``). What changes
anything must be JSON, which no form of another page can send, and repeat a token that only our page was told.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from commons.clock import Clock
from commons.metrics import Metrics
from commons.texts import Language
from fare.api.answers import Sent, answer, body, refused
from fare.inspection import allowance
from fare.inspection.allowance import Allowance
from fare.phone.one_time_code import CodePurpose, CodeRefusal
from fare.phone.session import BROWSER_MS, LIFE_MS, PhoneSession, SignInRefusal, browser_of, csrf_of, from_our_page
from fare.phone_sign_in import PhoneSignIn

SESSION_COOKIE: Final = "__Host-phone"
BROWSER_COOKIE: Final = "__Host-phone-browser"
CSRF_HEADER: Final = "X-CSRF-Token"
COUNTED_MAX: Final = 20_000
RETRY_S: Final = 60
CODE_RETRY_S: Final = 600
MS: Final = 1_000


class CodeWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/code``: where to send a code, and what it is for."""

    number: str
    language: Language
    purpose: CodePurpose = CodePurpose.SIGN_IN


class CodeSent(msgspec.Struct, frozen=True, kw_only=True):
    """A code is on its way. ``challenge`` goes back with it; it is worth nothing without."""

    challenge: str
    until_ms: int
    late: bool  # messages are held up now: it may take long, or not come


class CodeTyped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/sign-in`` and ``POST /api/phone/forget``."""

    challenge: str
    code: str


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is signed in. ``csrf`` is what writing requests repeat as ``X-CSRF-Token``."""

    hint: str  # the last digits of the number
    csrf: str


class SignOutWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/sign-out``."""

    everywhere: bool = False


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It is done, and there is nothing to say about it."""


class PhoneDoor:
    """Lets phones in, and says who asks. ``address_of``: behind a proxy, what the proxy has seen."""

    def __init__(
        self, sign_in: PhoneSignIn, *, clock: Clock, metrics: Metrics, address_of: Callable[[web.Request], str]
    ) -> None:
        self._sign_in = sign_in
        self._clock = clock
        self._metrics = metrics
        self._address_of = address_of
        self._counted: dict[str, Allowance] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of signing in and out."""
        return [
            web.post("/api/phone/code", self._ask),
            web.post("/api/phone/sign-in", self._open),
            web.post("/api/phone/sign-out", self._end),
            web.post("/api/phone/forget", self._forget),
        ]

    async def reading(self, request: web.Request, *, tokens: int = 1) -> PhoneSession:
        """Return who asks to read something of theirs.

        Raises:
            HTTPUnauthorized, HTTPTooManyRequests: if nobody is signed in, or they ask too often.
        """
        session = await self._sign_in.session(request.cookies.get(SESSION_COOKIE, ""))
        if session is None:
            raise refused(web.HTTPUnauthorized, "signed_out")
        self.take(session.medium_id, tokens)
        return session

    async def writing(self, request: web.Request, kind: type[Sent], *, tokens: int = 1) -> tuple[PhoneSession, Sent]:
        """Return who asks to change something, and what they sent; it must have come from our page.

        Raises:
            HTTPForbidden, HTTPBadRequest, HTTPUnauthorized, HTTPTooManyRequests: as ``reading`` and ``body``.
        """
        session = await self.reading(request, tokens=tokens)
        if not from_our_page(request.headers.get(CSRF_HEADER, ""), session.token):
            raise refused(web.HTTPForbidden, "not_from_our_page")
        return session, await json_body(request, kind)

    def take(self, who: str, tokens: int) -> None:
        """Take tokens of ``who``, or refuse the request.

        Raises:
            HTTPTooManyRequests: if there are not as many left.
        """
        now_ms = self._clock.now_ms()
        left = allowance.taken(self._counted.get(who, Allowance(at_ms=now_ms)), tokens, now_ms)
        if left is None:
            raise refused(web.HTTPTooManyRequests, "too_often", retry_s=RETRY_S)
        self._counted[who] = left
        if len(self._counted) > COUNTED_MAX:
            self._counted = {
                one: kept
                for one, kept in self._counted.items()
                if allowance.refilled(kept, now_ms).tokens < allowance.TOKENS_MAX
            }

    async def _ask(self, request: web.Request) -> web.Response:
        wanted = await json_body(request, CodeWanted)
        asked = await self._sign_in.ask(
            *(wanted.number, wanted.purpose, wanted.language),
            address=self._address_of(request),
            browser=request.cookies.get(BROWSER_COOKIE, ""),
        )
        outcome = asked.value if isinstance(asked, CodeRefusal) else "sent"
        self._metrics.count("phone_codes_total", outcome=outcome)
        if asked is CodeRefusal.NUMBER:
            raise refused(web.HTTPBadRequest, "wrong_number")
        if asked is CodeRefusal.NO_SMS:
            raise refused(web.HTTPConflict, "no_sms")
        if isinstance(asked, CodeRefusal):
            raise refused(web.HTTPTooManyRequests, "codes_too_often", retry_s=CODE_RETRY_S)
        return answer(CodeSent(challenge=asked.secret, until_ms=asked.until_ms, late=asked.late))

    async def _open(self, request: web.Request) -> web.Response:
        typed = await json_body(request, CodeTyped)
        opened = await self._sign_in.sign_in(typed.challenge, typed.code)
        outcome = opened.value if isinstance(opened, SignInRefusal) else "signed_in"
        self._metrics.count("phone_sign_ins_total", outcome=outcome)
        if isinstance(opened, SignInRefusal):
            raise refused(web.HTTPUnauthorized, opened.value)
        response = answer(SignedIn(hint=opened.hint, csrf=csrf_of(opened.token)))
        _set(response, SESSION_COOKIE, opened.token, LIFE_MS // MS)
        _set(response, BROWSER_COOKIE, browser_of(opened.token), BROWSER_MS // MS)
        return response

    async def _end(self, request: web.Request) -> web.Response:
        session, wanted = await self.writing(request, SignOutWanted)
        await self._sign_in.sign_out(session, everywhere=wanted.everywhere)
        return _let_go(forget_browser=wanted.everywhere)

    async def _forget(self, request: web.Request) -> web.Response:
        session, typed = await self.writing(request, CodeTyped)
        refusal = await self._sign_in.forget(session, typed.challenge, typed.code)
        if refusal is not None:
            raise refused(web.HTTPForbidden, refusal.value)
        return _let_go(forget_browser=True)


async def json_body(request: web.Request, kind: type[Sent]) -> Sent:
    """Return what a page of ours sent: a form of another page cannot say that it is JSON.

    Raises:
        HTTPUnsupportedMediaType: if it does not say so.
        HTTPRequestEntityTooLarge, HTTPBadRequest: as ``body``.
    """
    if request.content_type != "application/json":
        raise refused(web.HTTPUnsupportedMediaType, "wrong_form")
    return await body(request, kind)


def _let_go(*, forget_browser: bool) -> web.Response:
    response = answer(Done())
    for name in (SESSION_COOKIE, BROWSER_COOKIE) if forget_browser else (SESSION_COOKIE,):
        response.del_cookie(name, path="/", secure=True, httponly=True, samesite="Strict")
    return response


def _set(response: web.Response, name: str, value: str, max_age_s: int) -> None:
    response.set_cookie(name, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="Strict")
