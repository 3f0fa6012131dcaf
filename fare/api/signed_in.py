"""Who asks: sessions in cookies, the token that writing requests repeat, rights, and how often anybody may ask.

What is asked for without the right to it is answered 403 and noted; whether the thing exists is not said.
"""

import hmac
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec
from aiohttp import web

from commons.clock import Clock
from fare.api.answers import answer, body, refuse_nul, refused
from fare.audit_trail import Act
from fare.inspection import allowance
from fare.inspection.allowance import Allowance
from fare.model import CarrierId
from fare.people import RIGHTS, Refusal, Right, Role, Session
from fare.sign_in import BROWSER_DAYS, DAY_MS, SignIn, browser_of
from fare.store.postgres_people import PostgresPeople

SESSION_COOKIE: Final = "__Host-books"  # the prefix makes browsers insist on Secure, one host and no other path
BROWSER_COOKIE: Final = "__Host-books-browser"
CSRF_HEADER: Final = "X-CSRF-Token"
RETRY_S: Final = 60


class SignInSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/books/sign-in``."""

    name: str
    password: str
    code: str = ""


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in, what they may do, and what writing requests must repeat as ``X-CSRF-Token``."""

    name: str
    role: Role
    carrier_id: CarrierId | None
    rights: tuple[Right, ...]
    csrf: str
    until_ms: int


class Doorkeeper:
    """Signs people in and out, and says who asks.

    ``address_of`` says where a request comes from: behind a proxy that is what the proxy has seen.
    """

    def __init__(
        self, sign_in: SignIn, people: PostgresPeople, clock: Clock, address_of: Callable[[web.Request], str]
    ) -> None:
        self._sign_in = sign_in
        self._people = people
        self._clock = clock
        self._address_of = address_of
        self._allowances: dict[str, Allowance] = {}

    def routes(self, base: str = "/api/books") -> list[web.RouteDef]:
        """Return the routes of signing in and out. Who signs in below one ``base`` is signed in on the whole host."""
        return [
            web.post(f"{base}/sign-in", self._open),
            web.post(f"{base}/sign-out", self._end),
            web.get(f"{base}/me", self._me),
        ]

    async def reading(self, request: web.Request, right: Right, *, tokens: int = 1) -> Session:
        """Return who asks to read something.

        Raises:
            HTTPUnauthorized, HTTPForbidden, HTTPTooManyRequests: if nobody is signed in, may not, or asks too often.
            HTTPBadRequest: as ``refuse_nul``.
        """
        session = await self._session(request)
        refuse_nul(request)
        if not session.person.may(right):
            await self.forbid(session, route_of(request))
        self._take(session.person.name, tokens)
        return session

    async def writing(self, request: web.Request, right: Right) -> Session:
        """Return who asks to change something; the request must have come from our page.

        Raises:
            HTTPUnauthorized, HTTPForbidden, HTTPTooManyRequests: as ``reading``.
        """
        session = await self.reading(request, right)
        _check_csrf(request, session)
        return session

    async def forbid(self, session: Session, what: str) -> NoReturn:
        """Note that somebody asked for what is not theirs, and refuse.

        Raises:
            HTTPForbidden: always.
        """
        await self._people.noted(self._clock.now_ms(), session.person.name, Act.FORBIDDEN, what[:200])
        raise refused(web.HTTPForbidden, "forbidden")

    async def _open(self, request: web.Request) -> web.Response:
        sent = await body(request, SignInSent)
        browser = request.cookies.get(BROWSER_COOKIE, "")
        opened = await self._sign_in.sign_in(
            sent.name, sent.password, sent.code, address=self._address_of(request), browser=browser
        )
        if opened is Refusal.TOO_OFTEN:
            raise refused(web.HTTPTooManyRequests, "too_often", retry_s=RETRY_S)
        if isinstance(opened, Refusal):
            raise refused(web.HTTPUnauthorized, "wrong_name_or_password")
        response = answer(_me(opened))
        _set(response, SESSION_COOKIE, opened.token, None)
        _set(response, BROWSER_COOKIE, browser_of(opened.token), BROWSER_DAYS * DAY_MS // 1_000)
        return response

    async def _end(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        _check_csrf(request, session)
        await self._sign_in.sign_out(session)
        response = answer({})
        response.del_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
        return response

    async def _me(self, request: web.Request) -> web.Response:
        return answer(_me(await self._session(request)))

    async def _session(self, request: web.Request) -> Session:
        session = await self._sign_in.session(request.cookies.get(SESSION_COOKIE, ""))
        if session is None:
            raise refused(web.HTTPUnauthorized, "signed_out")
        return session

    def _take(self, who: str, tokens: int) -> None:
        now_ms = self._clock.now_ms()
        left = allowance.taken(self._allowances.get(who, Allowance(at_ms=now_ms)), tokens, now_ms)
        if left is None:
            raise refused(web.HTTPTooManyRequests, "too_often", retry_s=RETRY_S)
        self._allowances[who] = left  # as many as there are people


def route_of(request: web.Request) -> str:
    """Return the pattern of a request's path, never the path: anything may be typed there, and it is kept."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _check_csrf(request: web.Request, session: Session) -> None:
    sent = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(sent.encode(errors="replace"), session.csrf.encode()):
        raise refused(web.HTTPForbidden, "not_from_our_page")


def _me(session: Session) -> Me:
    person = session.person
    return Me(
        name=person.name,
        role=person.role,
        carrier_id=person.carrier_id,
        rights=tuple(right for right in Right if right in RIGHTS[person.role]),
        csrf=session.csrf,
        until_ms=session.until_ms,
    )


def _set(response: web.Response, name: str, value: str, max_age_s: int | None) -> None:
    response.set_cookie(name, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="Strict")
