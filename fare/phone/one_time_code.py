"""One-time codes: who reads what is sent to a number has the number in hand. Six digits, five minutes, five tries.

A code is bound to what it was asked for and to the challenge that only the asking browser holds, so it opens nothing
else and guesses made elsewhere do not use up its tries (attacks 49 and 50). What is kept of it is a keyed digest: six
digits alone would be found in a second. How many are sent is limited by number, by address, by block of a thousand
numbers and in all; no single address can use up what a number is sent. Whoever once signed in with a number in a
browser is counted by that browser alone, so strangers who ask for codes in their name cannot lock them out. Pure.
"""

import enum
import hmac
from dataclasses import dataclass
from typing import Final

from fare.model import MediumId, PhoneNumber

CODE_DIGITS: Final = 6
LIFE_MS: Final = 5 * 60_000
TRIES_MAX: Final = 5
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
BLOCK_DIGITS: Final = 3  # ranges are rented by the thousand
HINT_DIGITS: Final = 2

_CONTEXT: Final = b"ayaldama one-time code 1"


class CodePurpose(enum.StrEnum):
    """What a code allows."""

    SIGN_IN = enum.auto()
    FORGET = enum.auto()  # remove all that we keep of a number, except the books


class CodeRefusal(enum.StrEnum):
    """Why no code was sent, in order of precedence. Of the limits people are told only that they ask too often."""

    NO_SMS = enum.auto()  # no operator sends our messages
    NUMBER = enum.auto()  # no mobile number of this country: neither premium services nor other countries
    BROWSER = enum.auto()
    NUMBER_FROM_ADDRESS = enum.auto()
    NUMBER_HOUR = enum.auto()
    NUMBER_DAY = enum.auto()
    ADDRESS = enum.auto()
    BLOCK = enum.auto()
    ALL = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodesSent:
    """How many codes went out lately that have something in common with the one asked for.

    Those that a known browser asked for with its own number are counted in ``by_browser`` only.
    """

    by_browser: int = 0  # in an hour
    to_number_from_address: int = 0  # in a day
    to_number_hour: int = 0
    to_number_day: int = 0
    to_block: int = 0  # in an hour
    from_address: int = 0  # in an hour
    in_all: int = 0  # in an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRules:
    """How many codes may be sent.

    Fifteen a day to a number leave who has no code 75 guesses of a million; three networks are needed to ask for them.
    An address may be that of a mobile operator's gateway with thousands of phones behind it, so alone it counts little.
    """

    by_browser: int = 6
    to_number_from_address: int = 5
    to_number_hour: int = 6
    to_number_day: int = 15
    to_block: int = 40
    from_address: int = 30
    in_all: int = 3_000


def limit_reached(sent: CodesSent, rules: CodeRules, *, known_browser: bool) -> CodeRefusal | None:
    """Return what stands against one more code, None if nothing does. No limit of strangers binds a known browser."""
    if known_browser:
        return CodeRefusal.BROWSER if sent.by_browser >= rules.by_browser else None
    counted = (
        (CodeRefusal.NUMBER_FROM_ADDRESS, sent.to_number_from_address, rules.to_number_from_address),
        (CodeRefusal.NUMBER_HOUR, sent.to_number_hour, rules.to_number_hour),
        (CodeRefusal.NUMBER_DAY, sent.to_number_day, rules.to_number_day),
        (CodeRefusal.ADDRESS, sent.from_address, rules.from_address),
        (CodeRefusal.BLOCK, sent.to_block, rules.to_block),
        (CodeRefusal.ALL, sent.in_all, rules.in_all),
    )
    return next((limit for limit, count, most in counted if count >= most), None)


def code_digest(code: str, *, purpose: CodePurpose, medium_id: MediumId, challenge: str, key: bytes) -> bytes:
    """Return what is kept of a code: 32 bytes under the server's ``key``."""
    parts = (_CONTEXT, purpose.encode(), medium_id.encode(), challenge.encode(), code.encode())
    return hmac.digest(key, b"\0".join(parts), "sha256")


def normal_typed(typed: str) -> str:
    """Return the digits of a code as people type it, "" if it is none. Digits of other scripts are none."""
    digits = typed.replace(" ", "").replace("-", "")
    return digits if len(digits) == CODE_DIGITS and digits.isascii() and digits.isdigit() else ""


def block_of(number: PhoneNumber) -> str:
    """Return the thousand numbers of which ``number`` is one."""
    return number[:-BLOCK_DIGITS]


def hint_of(number: PhoneNumber) -> str:
    """Return what reminds its owner of a number and tells nobody else what it is."""
    return number[-HINT_DIGITS:]
