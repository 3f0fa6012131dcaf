"""How often one person may ask, so that inspection is no oracle for codes (attack 11): a bucket of tokens. Pure.

A check costs one token, one that found no ride costs more: who inspects a bus asks for riders who paid; who sweeps
codes asks for ones that nobody has.
"""

from typing import Final

import msgspec

TOKENS_MAX: Final = 60
TOKENS_PER_MINUTE: Final = 30
CHECK: Final = 1
FOUND_NOTHING: Final = 3
SIGN_IN: Final = 12  # five tries, then one in 24 s


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a person's tokens at a time."""

    tokens: float = TOKENS_MAX
    at_ms: int = 0


def refilled(allowance: Allowance, now_ms: int) -> Allowance:
    """Return the allowance as it is at ``now_ms``; a clock that steps back gives nothing."""
    passed_minutes = max(now_ms - allowance.at_ms, 0) / 60_000
    tokens = min(allowance.tokens + passed_minutes * TOKENS_PER_MINUTE, TOKENS_MAX)
    return Allowance(tokens=tokens, at_ms=max(now_ms, allowance.at_ms))


def taken(allowance: Allowance, tokens: int, now_ms: int) -> Allowance | None:
    """Return what is left after ``tokens`` are taken; None if there are not as many."""
    now = refilled(allowance, now_ms)
    return None if now.tokens < tokens else Allowance(tokens=now.tokens - tokens, at_ms=now.at_ms)
