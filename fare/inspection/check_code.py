"""Ten digits that stand for a medium or for one ticket, typed or scanned by an inspector.

A medium's code is printed on a card and shown by the application. A ticket's is in the message that sold it: it is of
one ride of one medium, so yesterday's message shows yesterday's code.

Nine digits of a keyed hash and a check digit by Damm's quasigroup, which finds every wrong digit and every pair of
neighbours that changed places, so a mistyped code is not taken for another passenger's. Digits, as every keyboard and
language has them. A code proves nothing and pays for nothing: it only asks. Pure.

Source of the check digit: H. M. Damm, "Total anti-symmetrische Quasigruppen", Marburg 2004, the table of order 10.
"""

import hmac
import re
from typing import Final

from fare.model import MediumId

CODE_DIGITS: Final = 10
HASH_BYTES: Final = 8

_TICKET: Final = b"ticket"  # a medium's id alone never begins so: the two kinds of code have nothing in common
_QUASIGROUP: Final = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)


def check_code(medium_id: MediumId, key: bytes) -> str:
    """Return the code of a medium under the city's ``key`` (at least 16 bytes)."""
    return _code(medium_id.encode(), key)


def ticket_code(tap_key: str, medium_id: MediumId, key: bytes) -> str:
    """Return the code of one ride of a medium, named by its tap, under the city's ``key`` (at least 16 bytes)."""
    return _code(b"\0".join((_TICKET, medium_id.encode(), tap_key.encode())), key)


def normal_code(typed: str) -> str | None:
    """Return the ten digits of what was typed or scanned, None if it is no code."""
    digits = re.sub(r"[\s\-–]", "", typed)
    if not re.fullmatch(rf"[0-9]{{{CODE_DIGITS}}}", digits) or _damm(digits) != 0:
        return None
    return digits


def code_hash(code: str, salt: bytes) -> str:
    """Return what a list holds in the place of ``code``: 16 hexadecimal digits."""
    return hmac.digest(salt, code.encode(), "sha256")[:HASH_BYTES].hex()


def _code(said: bytes, key: bytes) -> str:
    digest = hmac.digest(key, said, "sha256")
    body = f"{int.from_bytes(digest[:8], 'big') % 10 ** (CODE_DIGITS - 1):0{CODE_DIGITS - 1}d}"
    return body + str(_damm(body))


def _damm(digits: str) -> int:
    interim = 0
    for digit in digits:
        interim = int(_QUASIGROUP[interim][int(digit)])
    return interim
