"""COSE_Sign1 with Ed25519 in the one form that our codes have (RFC 9052, sections 3.1, 4.2 and 4.4; RFC 9053, 2.2).

    D2 84                             tag 18, an array of four
       4D A2 01 27 04 48 <key id: 8>  protected: {1 (alg): -8 (EdDSA), 4 (kid): key id}
       A0                             unprotected: nothing
       4x | 58 xx <payload>           a byte string; what is in it is the code's own business
       58 40 <signature: 64>

All but key id, payload and signature are these very bytes. So nothing is parsed before it is verified: what is read is
encoded again and must be what was shown. Indefinite lengths, nesting, doubled keys, other algorithms, long forms of
short numbers and trailing bytes are simply other bytes. Any COSE library reads it. Pure.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_ID_BYTES: Final = 8
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PAYLOAD_MAX: Final = 255

_START: Final = bytes.fromhex("d2844d")
_ALGORITHM_AND_KEY: Final = bytes.fromhex("a201270448")
_UNPROTECTED: Final = bytes.fromhex("a0")
_SIGNATURE: Final = bytes.fromhex("5840")
_TO_BE_SIGNED: Final = b"\x84\x6aSignature1\x4d"
_KEY_AT: Final = len(_START) + len(_ALGORITHM_AND_KEY)
_PAYLOAD_AT: Final = _KEY_AT + KEY_ID_BYTES + len(_UNPROTECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign1:
    """A signed payload and which key is said to have signed it."""

    key_id: bytes
    payload: bytes
    signature: bytes


def key_id_of(public: bytes) -> bytes:
    """Return the name of a public key: 8 bytes of its SHA-256."""
    return hashlib.sha256(public).digest()[:KEY_ID_BYTES]


def sign1(payload: bytes, *, context: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return ``payload`` signed by ``key``. ``context`` is signed too but not carried: who verifies must know it.

    Raises:
        ValueError: if the payload is longer than ``PAYLOAD_MAX``.
    """
    key_id = key_id_of(key.public_key().public_bytes_raw())
    signature = key.sign(_to_be_signed(key_id, payload, context))
    return _encoded(Sign1(key_id=key_id, payload=payload, signature=signature))


def read(data: bytes) -> Sign1 | None:
    """Return what ``data`` says, None if it is not of our form. Nothing in it is proved yet."""
    end = len(data) - SIGNATURE_BYTES - len(_SIGNATURE)
    size = end - _PAYLOAD_AT
    if not 1 <= size <= PAYLOAD_MAX + 2:
        return None
    head = 1 if size <= 24 else 2
    message = Sign1(
        key_id=data[_KEY_AT : _KEY_AT + KEY_ID_BYTES],
        payload=data[_PAYLOAD_AT + head : end],
        signature=data[-SIGNATURE_BYTES:],
    )
    return message if _encoded(message) == data else None


def is_signed_by(message: Sign1, public: bytes, *, context: bytes) -> bool:
    """Return whether ``public`` signed ``message`` in ``context``."""
    signed = _to_be_signed(message.key_id, message.payload, context)
    return message.key_id == key_id_of(public) and verifies(public, message.signature, signed)


def verifies(public: bytes, signature: bytes, signed: bytes) -> bool:
    """Return whether ``signature`` is ``public``'s of the bytes ``signed`` (RFC 8032, 5.1.7: S below the order)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _encoded(message: Sign1) -> bytes:
    protected = _ALGORITHM_AND_KEY + message.key_id
    return _START + protected + _UNPROTECTED + _byte_string(message.payload) + _SIGNATURE + message.signature


def _to_be_signed(key_id: bytes, payload: bytes, context: bytes) -> bytes:
    return _TO_BE_SIGNED + _ALGORITHM_AND_KEY + key_id + _byte_string(context) + _byte_string(payload)


def _byte_string(data: bytes) -> bytes:
    if len(data) > PAYLOAD_MAX:
        raise ValueError(f"a byte string of our codes has at most {PAYLOAD_MAX} bytes: {len(data)}")
    return bytes([0x40 + len(data)] if len(data) < 24 else [0x58, len(data)]) + data
