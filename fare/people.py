"""People who sign in, most to work with money: what each role may do, how they prove who they are, how often they try.

What is not granted is refused. A role is given when a person is added (``ayaldama people add``) and never changes:
whoever needs another one is added under another name, so no request can raise anybody (attack 47). A carrier's person
sees only what is of their carrier (attack 46).

One-time codes: RFC 6238 with SHA-1, 30 seconds and six digits, which every authenticator app reads. A step is taken
once, so a code that was seen over a shoulder is of no use.
"""

import enum
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NewType

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

from fare.model import CarrierId

PersonName = NewType("PersonName", str)
SessionToken = NewType("SessionToken", str)

PASSWORD_MIN: Final = 12  # characters, and nothing else is asked of them: NIST SP 800-63B-4, 3.1.1
PASSWORD_MAX: Final = 128
NAME_MAX: Final = 64
CODE_DIGITS: Final = 6
STEP_S: Final = 30
STEPS_AROUND: Final = 1  # a phone's clock may be a step off: RFC 6238, 5.2


class Role(enum.StrEnum):
    """What somebody is."""

    ACCOUNTANT = enum.auto()
    CARRIER = enum.auto()
    INSPECTOR = enum.auto()
    OPERATOR = enum.auto()
    AUDITOR = enum.auto()
    DISPATCHER = enum.auto()


class Right(enum.StrEnum):
    """What somebody may do."""

    READ_BOOKS = enum.auto()  # trial balance and accounts
    READ_STATEMENTS = enum.auto()  # of all carriers
    READ_OWN_STATEMENTS = enum.auto()
    READ_REPORTS = enum.auto()
    READ_CLAIMS = enum.auto()  # refunds, amnesties, disputes
    READ_AUDIT = enum.auto()
    EXPORT = enum.auto()  # what they may read, as a file
    SETTLE = enum.auto()
    RECONCILE = enum.auto()
    ASK_REFUND = enum.auto()
    APPROVE_REFUND = enum.auto()  # never what they asked for themselves
    INSPECT = enum.auto()
    WATCH_BOARDS = enum.auto()  # which are dark, stale or wrong; nothing of money


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = MappingProxyType(
    {
        Role.ACCOUNTANT: frozenset(Right)
        - {Right.READ_AUDIT, Right.INSPECT, Right.READ_OWN_STATEMENTS, Right.WATCH_BOARDS},
        Role.CARRIER: frozenset({Right.READ_OWN_STATEMENTS, Right.EXPORT}),
        Role.INSPECTOR: frozenset({Right.INSPECT}),
        Role.DISPATCHER: frozenset({Right.WATCH_BOARDS}),
        Role.OPERATOR: frozenset({Right.READ_REPORTS, Right.READ_CLAIMS, Right.ASK_REFUND}),
        Role.AUDITOR: frozenset(
            {
                *(Right.READ_BOOKS, Right.READ_STATEMENTS, Right.READ_REPORTS, Right.READ_CLAIMS),
                *(Right.READ_AUDIT, Right.EXPORT),
            }
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may sign in. ``carrier_id`` is set for the role carrier and for no other."""

    name: PersonName
    role: Role
    carrier_id: CarrierId | None = None

    def __post_init__(self) -> None:
        """Refuse a person that could not be told apart from another, or sees nobody's statements.

        Raises:
            ValueError: naming field, value and rule.
        """
        if not 1 <= len(self.name) <= NAME_MAX or not self.name.isprintable() or self.name != self.name.strip().lower():
            raise ValueError(f"name must be 1 to {NAME_MAX} printable small letters or digits: {self.name!r}")
        if (self.role is Role.CARRIER) != bool(self.carrier_id):
            raise ValueError(f"carrier_id must be given for the role carrier and only then: {self.carrier_id!r}")

    def may(self, right: Right) -> bool:
        """Return whether their role grants a right."""
        return right in RIGHTS[self.role]

    def sees(self, carrier_id: CarrierId) -> bool:
        """Return whether they may read what a carrier is owed."""
        if self.may(Right.READ_STATEMENTS):
            return True
        return self.may(Right.READ_OWN_STATEMENTS) and self.carrier_id == carrier_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """How long somebody stays signed in: without doing anything, and at most. Minutes."""

    idle_minutes: int = 30
    whole_minutes: int = 12 * 60

    def until_ms(self, begun_ms: int, seen_ms: int) -> int:
        """Return when a session ends unless it is used again."""
        return min(seen_ms + self.idle_minutes * 60_000, begun_ms + self.whole_minutes * 60_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody signed in. ``token`` and ``csrf`` are secret: the browser has them, and no log."""

    token: SessionToken = field(repr=False)
    csrf: str = field(repr=False)  # what a writing request must repeat: a page of others cannot read it
    person: Person
    until_ms: int


class Refusal(enum.StrEnum):
    """Why somebody is not signed in. Whether there is such a name is not said."""

    WRONG = enum.auto()  # name, password or code
    TOO_OFTEN = enum.auto()


def check_password(password: str) -> None:
    """Refuse a password that is too short to be kept.

    Raises:
        ValueError: saying the rule, not the password.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise ValueError(f"a password must have {PASSWORD_MIN} to {PASSWORD_MAX} characters, not {len(password)}")


def matching_step(secret: bytes, code: str, now_ms: int, *, after_step: int) -> int | None:
    """Return the step whose code was given, None if it is of no step around ``now_ms`` later than ``after_step``."""
    if len(code) != CODE_DIGITS or not code.isascii() or not code.isdigit():
        return None
    now = now_ms // 1_000 // STEP_S
    found = None
    for step in range(max(now - STEPS_AROUND, after_step + 1, 0), now + STEPS_AROUND + 1):
        if _is_code(secret, code, step):
            found = step
    return found


def code_of(secret: bytes, at_ms: int) -> str:
    """Return the one-time code of a moment."""
    return _hotp(secret).generate(at_ms // 1_000 // STEP_S).decode()


def authenticator_link(name: PersonName, secret_base32: str, issuer: str) -> str:
    """Return the link that an authenticator app reads as a QR."""
    return f"otpauth://totp/{issuer}:{name}?secret={secret_base32}&issuer={issuer}&digits={CODE_DIGITS}&period={STEP_S}"


def _hotp(secret: bytes) -> HOTP:
    # RFC 4226 asks for 128 bits; its own vectors have 160.
    return HOTP(secret, CODE_DIGITS, SHA1())  # noqa: S303 - as HMAC, which the RFC and all apps have


def _is_code(secret: bytes, code: str, step: int) -> bool:
    return hmac.compare_digest(_hotp(secret).generate(step), code.encode())
