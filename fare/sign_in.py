"""Signing in: name and password, a one-time code where it is asked for, then a session.

Guesses are counted by address, and by name for browsers in which nobody of that name has signed in before. Who has one
of their own is counted by that browser, so nobody can lock them out by guessing (attack 50; OWASP, "Slow Down Online
Guessing Attacks with Device Cookies"). An unknown name takes as long as a known one, and gets the same answer.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Final

import argon2

from commons.clock import Clock
from commons.logs import get_logger
from fare.audit_trail import Act
from fare.inspection import allowance
from fare.inspection.allowance import Allowance
from fare.people import PASSWORD_MAX, PersonName, Refusal, Session, SessionToken, check_password, matching_step
from fare.store.postgres_people import Known, PostgresPeople
from fare.store.sealed_seeds import SealError

BROWSER_DAYS: Final = 90
HASHED_AT_ONCE: Final = 2  # each takes 64 MiB and most of a core for 50 ms
COUNTED_MAX: Final = 10_000
DAY_MS: Final = 86_400_000

_log = get_logger(__name__)
_hasher: Final = argon2.PasswordHasher()  # RFC 9106, 4: the second recommended choice, argon2id


def hash_of_password(password: str) -> str:
    """Return what is kept of a password.

    Raises:
        ValueError: if it is too short or too long.
    """
    check_password(password)
    return _hasher.hash(password)


class SignIn:
    """The one door. ``new_secret`` gives a text that nobody can foresee."""

    def __init__(
        self,
        people: PostgresPeople,
        *,
        clock: Clock,
        new_secret: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self._people = people
        self._clock = clock
        self._new_secret = new_secret
        self._nobody = _hasher.hash(new_secret())  # what an unknown name is compared with
        self._counted: dict[str, Allowance] = {}
        self._hashing = asyncio.Semaphore(HASHED_AT_ONCE)

    async def sign_in(
        self, name: str, password: str, code: str = "", *, address: str = "", browser: str = ""
    ) -> Session | Refusal:
        """Return a new session, or why there is none. ``browser`` is the secret that ``remembered`` gave it before.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        now_ms = self._clock.now_ms()
        name = name.strip().lower()
        known_browser = browser != "" and await self._knows(browser, name, now_ms)
        counted = [f"browser {browser}"] if known_browser else [f"name {name}", f"address {address}"]
        if not self._take(counted, now_ms):
            return Refusal.TOO_OFTEN
        known = await self._people.known(name) if name.isprintable() else None
        if not await self._proved(known, password, code, now_ms) or known is None:
            await self._people.noted(now_ms, name[:64] if known else "?", Act.SIGN_IN_REFUSED, detail=address)
            return Refusal.WRONG
        for one in counted:
            self._counted.pop(one, None)
        token, csrf = SessionToken(self._new_secret()), self._new_secret()
        until_ms = await self._people.open(
            *(_digest(token), csrf, known.person.name, now_ms),
            browser=_digest(browser_of(token)),
            browser_until_ms=now_ms + BROWSER_DAYS * DAY_MS,
        )
        return Session(token=token, csrf=csrf, person=known.person, until_ms=until_ms)

    async def session(self, token: str) -> Session | None:
        """Return the session of a token, None if there is none any more.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        found = await self._people.session(_digest(token), self._clock.now_ms()) if token else None
        if found is None:
            return None
        return Session(token=SessionToken(token), csrf=found.csrf, person=found.person, until_ms=found.until_ms)

    async def sign_out(self, session: Session) -> None:
        """End a session.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        await self._people.end(_digest(session.token), PersonName(session.person.name), self._clock.now_ms())

    async def _knows(self, browser: str, name: str, now_ms: int) -> bool:
        return name.isprintable() and await self._people.knows_browser(_digest(browser), name, now_ms)

    async def _proved(self, known: Known | None, password: str, code: str, now_ms: int) -> bool:
        """Return whether password and code are right. All is computed in any case, so that time tells nothing."""
        kept = known.password if known is not None else self._nobody
        async with self._hashing:
            right = await asyncio.to_thread(_verifies, kept, password)
        if known is None or known.revoked or not right:
            return False
        try:
            seed = self._people.seed_of(known)
        except SealError as error:
            _log.error("nobody is let in by a seed that does not open", error=str(error))
            return False
        if seed is None:
            return True
        step = matching_step(seed, code, now_ms, after_step=known.totp_step)
        return step is not None and await self._people.use_step(known.person.name, step)

    def _take(self, counted: list[str], now_ms: int) -> bool:
        taken = {
            one: allowance.taken(self._counted.get(one, Allowance(at_ms=now_ms)), allowance.SIGN_IN, now_ms)
            for one in counted
        }
        left = {one: rest for one, rest in taken.items() if rest is not None}
        if len(left) < len(taken):
            return False
        self._counted |= left
        if len(self._counted) > COUNTED_MAX:
            self._counted = {
                one: kept
                for one, kept in self._counted.items()
                if allowance.refilled(kept, now_ms).tokens < allowance.TOKENS_MAX
            }
        return True


def browser_of(token: SessionToken) -> str:
    """Return the secret by which a browser is known again after the session of ``token`` has ended."""
    return hashlib.sha256(f"browser {token}".encode()).hexdigest()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _verifies(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password[: PASSWORD_MAX + 1].encode(errors="replace"))
    except argon2.exceptions.VerificationError:
        return False
