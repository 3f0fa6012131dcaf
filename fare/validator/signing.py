"""Signed envelopes: what devices and the city say to each other, byte for byte as it was signed.

Ed25519 (RFC 8032) over the purpose and the body, so that a signature made for one purpose is worth nothing for another.
The body travels as the bytes that were signed and is decoded only after the signature was found right: no canonical
form is needed, and nothing unsigned is ever parsed. Pure.
"""

import enum
import hashlib
from dataclasses import dataclass, field
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_CONTEXT: Final = b"ayaldama 1\0"


class Purpose(enum.StrEnum):
    """What a signature is for."""

    BATCH = enum.auto()  # records of a journal, by the device
    ASKING = enum.auto()  # which documents a device holds, by the device
    ENROLMENT = enum.auto()  # a device's first word, by the key it brings
    RECEIPT = enum.auto()  # what the server says to a batch, by the city
    DOCUMENT = enum.auto()  # keys, configuration, fares and lists, by the city


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, who signed them and for what. ``key_id`` only says which key to try; it proves nothing."""

    purpose: Purpose
    key_id: str
    body: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key. It never appears in a representation."""

    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> "SigningKey":
        """Return a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, seed: bytes) -> "SigningKey":
        """Return the key of a 32-byte seed (RFC 8032, 5.1.5).

        Raises:
            ValueError: if ``seed`` has another length.
        """
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def to_bytes(self) -> bytes:
        """Return the seed: a secret."""
        return self.private.private_bytes_raw()

    @property
    def public(self) -> bytes:
        """Return the public key, 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        """Return the name of the public key."""
        return key_id_of(self.public)

    def sign(self, purpose: Purpose, body: bytes) -> Signed:
        """Return ``body`` in a signed envelope."""
        signature = self.private.sign(_message(purpose, body))
        return Signed(purpose=purpose, key_id=self.key_id, body=body, signature=signature)


def key_id_of(public: bytes) -> str:
    """Return the name of a public key: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def is_signed_by(signed: Signed, purpose: Purpose, public: bytes) -> bool:
    """Return whether ``public`` signed this envelope for ``purpose``."""
    if signed.purpose is not purpose or len(public) != PUBLIC_BYTES or len(signed.signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed.signature, _message(purpose, signed.body))
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(purpose: Purpose, body: bytes) -> bytes:
    return _CONTEXT + purpose.value.encode() + b"\0" + body
