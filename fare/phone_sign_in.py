"""Signing in with a phone: a code goes to the number, whoever types it in the same browser is signed in.

Whether a number was ever here is not said: each gets a code, and its first sign-in is its registration.
"""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from commons.clock import Clock
from commons.texts import Language, load_catalogue
from fare.media.phone import phone_number
from fare.model import MediumId, PhoneNumber
from fare.phone.one_time_code import (
    CODE_DIGITS,
    LIFE_MS,
    CodePurpose,
    CodeRefusal,
    CodeRules,
    block_of,
    code_digest,
    hint_of,
    normal_typed,
)
from fare.phone.session import (
    BROWSER_MS,
    SEEN_EVERY_MS,
    PhoneSession,
    PhoneToken,
    SignInRefusal,
    browser_of,
    is_open,
)
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.store.postgres_phones import CodeAsked, CodeKept, PostgresPhones

CHALLENGE_BYTES: Final = 16
TOKEN_BYTES: Final = 32
V6_BITS: Final = 64  # one customer has at least as many addresses


class CodesOut(Protocol):
    """The way of codes to phones."""

    async def send(self, key: str, number: PhoneNumber, text: str) -> None:
        """Let a text be sent, once for each key."""

    async def are_late(self) -> bool:
        """Return whether messages are waiting for a gateway that does not take them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A code is on its way. ``secret`` belongs to the browser that asked and to nobody else."""

    secret: str
    until_ms: int
    late: bool  # messages are held up now: it may take long, or not come


class PhoneSignIn:
    """The door of phones.

    ``medium_of`` names a number; ``out`` is the way of codes, None where no operator sends our messages; ``key`` is the
    server's, for digests.
    """

    def __init__(
        self,
        phones: PostgresPhones,
        keys: PostgresPhoneKeys,
        *,
        medium_of: Callable[[PhoneNumber], MediumId],
        out: CodesOut | None,
        key: bytes,
        clock: Clock,
        rules: CodeRules | None = None,
        new_code: Callable[[], str] = lambda: f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}",
        new_secret: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._phones = phones
        self._keys = keys
        self._medium_of = medium_of
        self._out = out
        self._key = key
        self._clock = clock
        self._rules = rules or CodeRules()
        self._new_code = new_code
        self._new_secret = new_secret
        self._texts = load_catalogue("fare.phone")

    async def ask(
        self, typed: str, purpose: CodePurpose, language: Language, *, address: str, browser: str = ""
    ) -> Challenge | CodeRefusal:
        """Send a code to the number that was typed, or say why none is sent.

        ``browser`` is the secret that this browser was given when a number signed in before.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        if self._out is None:
            return CodeRefusal.NO_SMS
        number = phone_number(typed)
        if number is None:
            return CodeRefusal.NUMBER
        now_ms, medium_id = self._clock.now_ms(), self._medium_of(number)
        known = browser != "" and await self._phones.knows_browser(_digest(browser), medium_id, now_ms)
        secret = self._new_secret(CHALLENGE_BYTES)
        code = self._new_code()
        asked = CodeAsked(
            challenge=_digest(secret),
            medium_id=medium_id,
            hint=hint_of(number),
            purpose=purpose,
            digest=self._code_digest(code, purpose, medium_id, secret),
            asked_ms=now_ms,
            until_ms=now_ms + LIFE_MS,
            known_browser=known,
            address=self._hidden("address", _network_of(address)),
            block=self._hidden("block", block_of(number)),
        )
        limit = await self._phones.ask(asked, self._rules)
        if limit is not None:
            return limit
        late = await self._out.are_late()
        text = self._texts[language][f"code.{purpose.value}"].format(code=code)
        await self._out.send(f"code/{asked.challenge.hex()}", number, text)
        return Challenge(secret=secret, until_ms=asked.until_ms, late=late)

    async def sign_in(self, challenge: str, typed: str) -> PhoneSession | SignInRefusal:
        """Return a new session for who has the code of a challenge, or why there is none.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        kept = await self._proved(challenge, typed, CodePurpose.SIGN_IN)
        if isinstance(kept, SignInRefusal):
            return kept
        now_ms, token = self._clock.now_ms(), PhoneToken(self._new_secret(TOKEN_BYTES))
        session = PhoneSession(token=token, medium_id=kept.medium_id, hint=kept.hint, begun_ms=now_ms, seen_ms=now_ms)
        await self._phones.open(
            _digest(token), session, browser=_digest(browser_of(token)), browser_until_ms=now_ms + BROWSER_MS
        )
        return session

    async def session(self, token: str) -> PhoneSession | None:
        """Return the session of a cookie's token, None if there is none any more.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        if not token:
            return None
        digest, now_ms = _digest(token), self._clock.now_ms()
        session = await self._phones.session(digest, PhoneToken(token))
        if session is None or not is_open(session, now_ms):
            return None
        if now_ms - session.seen_ms >= SEEN_EVERY_MS:
            await self._phones.seen(digest, now_ms)
        return session

    async def sign_out(self, session: PhoneSession, *, everywhere: bool = False) -> None:
        """End a session, or all of its phone: then its browsers are strangers again, and no QR of it counts.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        if everywhere:
            await self._keys.revoke(session.medium_id, self._clock.now_ms())
            await self._phones.end_everywhere(session.medium_id)
        else:
            await self._phones.end(_digest(session.token))

    async def forget(self, session: PhoneSession, challenge: str, typed: str) -> SignInRefusal | None:
        """Remove what is kept of a phone, if a code sent for that proves its owner; else say why not.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        kept = await self._proved(challenge, typed, CodePurpose.FORGET)
        if isinstance(kept, SignInRefusal):
            return kept
        if kept.medium_id != session.medium_id:
            return SignInRefusal.CODE_OVER
        await self._keys.revoke(session.medium_id, self._clock.now_ms())
        await self._phones.forget(session.medium_id)
        return None

    async def _proved(self, challenge: str, typed: str, purpose: CodePurpose) -> CodeKept | SignInRefusal:
        """Count a try of a code; return what it was sent for if it is right, else why not."""
        kept = await self._phones.try_code(_digest(challenge), purpose, self._clock.now_ms())
        if kept is None:
            return SignInRefusal.CODE_OVER
        digest = self._code_digest(normal_typed(typed), purpose, kept.medium_id, challenge)
        if not hmac.compare_digest(digest, kept.digest):
            return SignInRefusal.WRONG_CODE
        return kept if await self._phones.use_code(_digest(challenge)) else SignInRefusal.CODE_OVER

    def _code_digest(self, code: str, purpose: CodePurpose, medium_id: MediumId, challenge: str) -> bytes:
        return code_digest(code, purpose=purpose, medium_id=medium_id, challenge=challenge, key=self._key)

    def _hidden(self, kind: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{kind}\0{value}".encode(), "sha256")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _network_of(address: str) -> str:
    """Return what is counted as one address: of IPv6 the network that one customer has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, V6_BITS), strict=False))
    return str(found)
