"""Somebody signed in with their phone: how long that lasts, and what proves that a request came from our page. Pure."""

import enum
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, NewType

from fare.model import MediumId

PhoneToken = NewType("PhoneToken", str)

DAY_MS: Final = 86_400_000
LIFE_MS: Final = 180 * DAY_MS  # from signing in
IDLE_MS: Final = 60 * DAY_MS  # without a visit
SEEN_EVERY_MS: Final = DAY_MS  # a visit is noted once a day
BROWSER_MS: Final = 365 * DAY_MS  # a browser in which a number has signed in is remembered


class SignInRefusal(enum.StrEnum):
    """Why a code that was typed proves nothing."""

    WRONG_CODE = enum.auto()
    CODE_OVER = enum.auto()  # too late, used, tried too often, or never sent: which of them is nobody's business


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneSession:
    """A phone signed in. ``token`` is the cookie's; ``hint`` are the last digits of the number."""

    token: PhoneToken = field(repr=False)
    medium_id: MediumId
    hint: str
    begun_ms: int
    seen_ms: int


def is_open(session: PhoneSession, now_ms: int) -> bool:
    """Return whether a session still counts."""
    return now_ms < until_ms(session)


def until_ms(session: PhoneSession) -> int:
    """Return when a session ends if nobody comes again."""
    return min(session.begun_ms + LIFE_MS, session.seen_ms + IDLE_MS)


def csrf_of(token: PhoneToken) -> str:
    """Return what writing requests repeat: whoever cannot read our page's answers cannot know it."""
    return hashlib.sha256(f"csrf {token}".encode()).hexdigest()


def from_our_page(sent: str, token: PhoneToken) -> bool:
    """Return whether a request repeats what our page was told."""
    return hmac.compare_digest(sent.encode(errors="replace"), csrf_of(token).encode())


def browser_of(token: PhoneToken) -> str:
    """Return the secret by which a browser is known again after the session of ``token`` has ended."""
    return hashlib.sha256(f"browser {token}".encode()).hexdigest()
