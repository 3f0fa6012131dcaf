"""Turn what a medium says of itself into a ``MediumId`` that tells nobody what it was.

The id is HMAC-SHA-256 over the whole value with a secret key of the city, cut to 128 bits. PCI DSS 4.0.1, requirement
3.5.1.1, asks this of stored hashes: keyed, over the entire value, with a key of at least 128 bits under key management.
A card number never gets this far: a bank card comes as the token or PAR of a certified reader, and what looks like a
card number is refused before it is hashed. Pure.
"""

import enum
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from fare.model import MediumId, MediumKind

KEY_BYTES_MIN: Final = 16  # PCI DSS 4.0.1, 3.5.1.1 with 3.6: effective strength of at least 128 bits
VALUE_MAX: Final = 256  # characters; a PAR (EMVCo) has 29, a reader's token up to 64
PAN_DIGITS_MIN: Final = 12  # ISO/IEC 7812-1
PAN_DIGITS_MAX: Final = 19

_ID_BYTES: Final = 16
_DIGITS: Final = re.compile(rf"[0-9](?:[ -]?[0-9]){{{PAN_DIGITS_MIN - 1},}}")


class Refused(enum.StrEnum):
    """Why a value cannot name a medium."""

    EMPTY = enum.auto()
    TOO_LONG = enum.auto()
    CARD_NUMBER = enum.auto()  # 12 to 19 digits that pass Luhn: a reader that sends it is set up wrongly


class TokenError(ValueError):
    """A value that cannot name a medium. The message says why and never the value: it could be a card number."""

    def __init__(self, refused: Refused, length: int) -> None:
        super().__init__(f"token of {length} characters refused: {refused.value}")
        self.refused = refused
        self.length = length


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """A secret key and the version that names it. ``secret`` never appears in a representation.

    Raises:
        ValueError: if the key is shorter than 128 bits or has no version.
    """

    version: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what would not protect."""
        if self.version < 1:
            raise ValueError(f"token key: version must be 1 or more: {self.version}")
        if len(self.secret) < KEY_BYTES_MIN:
            raise ValueError(f"token key {self.version}: {len(self.secret)} bytes, at least {KEY_BYTES_MIN} are needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKeys:
    """The key that names media now, and those before it under which accounts may still be found.

    Raises:
        ValueError: if two keys have one version, or the current one is not the newest.
    """

    current: TokenKey
    earlier: tuple[TokenKey, ...] = ()

    def __post_init__(self) -> None:
        """Refuse keys that cannot be told apart."""
        versions = [key.version for key in self.earlier]
        if len({*versions, self.current.version}) <= len(versions):
            raise ValueError(f"token keys: a version is used twice: {[self.current.version, *versions]}")
        if any(version > self.current.version for version in versions):
            raise ValueError(f"token keys: the current one, {self.current.version}, is not the newest: {versions}")


def medium_id(kind: MediumKind, value: str, key: TokenKey) -> MediumId:
    """Return the id of the medium of ``kind`` that calls itself ``value`` (a token, a PAR, a card's own identifier).

    The kind is hashed with it, so that a phone cannot take the name of a card. 32 hexadecimal digits.

    Raises:
        TokenError: if ``value`` is empty, too long or contains what looks like a card number.
    """
    if not value:
        raise TokenError(Refused.EMPTY, 0)
    if len(value) > VALUE_MAX:
        raise TokenError(Refused.TOO_LONG, len(value))
    if holds_pan(value):
        raise TokenError(Refused.CARD_NUMBER, len(value))
    message = f"{kind.value}\0{value}".encode()
    return MediumId(hmac.digest(key.secret, message, "sha256")[:_ID_BYTES].hex())


def medium_ids(kind: MediumKind, value: str, keys: TokenKeys) -> tuple[MediumId, ...]:
    """Return the id under each key, the current one first: an account found under a later one moves to the first.

    Raises:
        TokenError: as ``medium_id``.
    """
    return tuple(medium_id(kind, value, key) for key in (keys.current, *keys.earlier))


def holds_pan(text: str) -> bool:
    """Return whether 12 to 19 digits of ``text``, in a row or grouped by blanks or hyphens, pass the Luhn check.

    Only a run of digits that ends where digits end is looked at, so a long number is not taken for the many shorter
    ones inside it.
    """
    for found in _DIGITS.finditer(text):
        digits = re.sub("[ -]", "", found.group())
        if PAN_DIGITS_MIN <= len(digits) <= PAN_DIGITS_MAX and passes_luhn(digits):
            return True
    return False


def passes_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
