"""Seeds of one-time codes as they lie in the database: AES-256-GCM (NIST SP 800-38D) under a key of the city.

Sealed is version 1, a nonce of 12 bytes, then ciphertext and tag. The person's name is authenticated with it, so the
seed of a row opens under no other name. Whoever has the database or a backup of it, and not the key, has no codes.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fare.people import PersonName

VERSION: Final = b"\x01"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # random: SP 800-38D, 8.3, allows 2**32 seals under a key
TAG_BYTES: Final = 16

_CONTEXT: Final = b"ayaldama seed 1\0"


class SealError(Exception):
    """A seed that does not open: of another person, under another key, changed, or not sealed at all."""

    def __init__(self, name: PersonName) -> None:
        super().__init__(
            f"the seed of {name} does not open with the city's key: `ayaldama people totp {name}` gives another"
        )
        self.name = name


@dataclass(frozen=True, slots=True)
class SeedKey:
    """The key that seals seeds. It never appears in a representation.

    Raises:
        ValueError: if it does not have 32 bytes.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what would not protect."""
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"seed key: {len(self.secret)} bytes, {KEY_BYTES} are needed")

    def seal(self, name: PersonName, seed: bytes) -> bytes:
        """Return the seed of a person as it is kept."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return VERSION + nonce + AESGCM(self.secret).encrypt(nonce, seed, _belongs_to(name))

    def open(self, name: PersonName, sealed: bytes) -> bytes:
        """Return the seed of a person.

        Raises:
            SealError: if it is not that person's, sealed under this key.
        """
        if not is_sealed(sealed):
            raise SealError(name)
        nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return AESGCM(self.secret).decrypt(nonce, rest, _belongs_to(name))
        except InvalidTag:
            raise SealError(name) from None


def is_sealed(kept: bytes) -> bool:
    """Return whether a seed was sealed, by form; those of before were 20 bytes. The database has the same rule."""
    return kept[:1] == VERSION and len(kept) > 1 + NONCE_BYTES + TAG_BYTES


def _belongs_to(name: PersonName) -> bytes:
    return _CONTEXT + name.encode()
