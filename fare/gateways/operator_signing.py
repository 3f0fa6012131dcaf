"""How we and a mobile operator sign what we say to each other over HTTP. Pure.

HMAC-SHA-256 over what is asked, when, and the whole body; an answer is signed together with the signature of its
question, so it fits no other. Fields are joined by line ends, which none of them holds, so no two messages are signed
alike (attack 37). Times are UTC epoch seconds, and one that is far off is refused: a recording is worth nothing.
"""

import hmac
import re
from typing import Final

SIGNATURE: Final = "X-Ayaldama-Signature"  # headers
TIMESTAMP: Final = "X-Ayaldama-Timestamp"
APART_MAX_S: Final = 300
SECRET_MIN: Final = 16  # bytes

_DIGITS: Final = re.compile(r"[0-9]{1,12}")


def sign_question(secret: bytes, method: str, path: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a question, hexadecimal.

    Raises:
        ValueError: if method, path or timestamp holds a line end: it could be taken for another field.
    """
    return _sign(secret, ("question", method, path, timestamp), body)


def sign_answer(secret: bytes, question: str, status: int, body: bytes) -> str:
    """Return the signature of the answer to the question that is signed ``question``."""
    return _sign(secret, ("answer", question, str(status)), body)


def is_signed(expected: str, given: str) -> bool:
    """Return whether a signature is right, in a time that tells nothing."""
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))


def is_of_now(timestamp: str, now_s: int) -> bool:
    """Return whether a time is one, and near enough."""
    return _DIGITS.fullmatch(timestamp) is not None and abs(int(timestamp) - now_s) <= APART_MAX_S


def _sign(secret: bytes, fields: tuple[str, ...], body: bytes) -> str:
    if any("\n" in one or "\r" in one for one in fields):
        raise ValueError(f"a signed field must not hold a line end: {fields!r}")
    return hmac.new(secret, "\n".join(fields).encode() + b"\n" + body, "sha256").hexdigest()
