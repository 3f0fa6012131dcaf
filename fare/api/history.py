"""The trips of a medium, for who holds it: bus and code of a touch open them, for a quarter of an hour.

There is no way to ask by number of a card. Whatever is wrong gets one answer; tries run out by address, and by bus, so
that many addresses together cannot sweep the codes of one (attack 48).
"""

import hashlib
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec
from aiohttp import web

from commons.clock import Clock
from fare.api.answers import answer, body, refused
from fare.history import HISTORY_DAYS, OPENED_WITHIN_MS, READ_FOR_MS, touch_of
from fare.inspection import allowance
from fare.inspection.allowance import Allowance
from fare.store.postgres_history import RideShown, open_history, opened_medium, rides_of, touches_of

COUNTED_MAX: Final = 10_000
TRY_TOKENS: Final = 12  # of 60, refilled at 30 a minute: five tries, then one in 24 s
DAY_MS: Final = 86_400_000
RETRY_S: Final = 60


class CodeSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/history``: the bus on which the medium was presented, and the code that was shown."""

    vehicle_id: str
    code: str


class HistoryOpened(msgspec.Struct, frozen=True, kw_only=True):
    """What reads the history, as ``Authorization: Bearer``, and until when."""

    token: str
    until_ms: int


class HistoryShown(msgspec.Struct, frozen=True, kw_only=True):
    """The rides of ``HISTORY_DAYS``, the newest first."""

    rides: tuple[RideShown, ...]


class History:
    """Routes of trip history. ``new_token`` gives a text that nobody can foresee."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        clock: Clock,
        new_token: Callable[[], str],
        address_of: Callable[[web.Request], str] = lambda request: request.remote or "",
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._new_token = new_token
        self._address_of = address_of
        self._counted: dict[str, Allowance] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/api/history", self._open), web.get("/api/history", self._read)]

    async def _open(self, request: web.Request) -> web.Response:
        sent = await body(request, CodeSent, nul=True)  # it is as wrong as any other, and no answer of its own
        now_ms = self._clock.now_ms()
        self._take(f"address {self._address_of(request)}", now_ms)
        self._take(f"bus {sent.vehicle_id[:64]}", now_ms)
        found = None
        if sent.vehicle_id.isprintable():
            touches = await touches_of(self._pool, sent.vehicle_id, now_ms - OPENED_WITHIN_MS)
            found = touch_of(sent.code, touches, now_ms)
        token = self._new_token()
        until_ms = now_ms + READ_FOR_MS
        if found is None or not await open_history(self._pool, found, _digest(token), until_ms):
            raise refused(web.HTTPForbidden, "no_such_code")
        return answer(HistoryOpened(token=token, until_ms=until_ms))

    async def _read(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        now_ms = self._clock.now_ms()
        medium_id = None
        if scheme == "Bearer" and token:
            medium_id = await opened_medium(self._pool, _digest(token), now_ms)
        if medium_id is None:
            raise refused(web.HTTPUnauthorized, "present_it_again")
        rides = await rides_of(self._pool, medium_id, now_ms - HISTORY_DAYS * DAY_MS)
        return answer(HistoryShown(rides=tuple(rides)))

    def _take(self, who: str, now_ms: int) -> None:
        left = allowance.taken(self._counted.get(who, Allowance(at_ms=now_ms)), TRY_TOKENS, now_ms)
        if left is None:
            raise refused(web.HTTPTooManyRequests, "too_often", retry_s=RETRY_S)
        self._counted[who] = left
        if len(self._counted) > COUNTED_MAX:
            self._counted = {
                one: kept
                for one, kept in self._counted.items()
                if allowance.refilled(kept, now_ms).tokens < allowance.TOKENS_MAX
            }


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
