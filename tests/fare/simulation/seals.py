"""Signatures for the simulation: as quick as a hash, worth nothing against an attacker.

Nobody forges anything in a simulated city; who signed what is all that matters. Ed25519 itself is tried in
``tests/fare/validator/test_signing.py``.
"""

import hashlib
import random

from cryptography.exceptions import InvalidSignature


class PublicKey:
    def __init__(self, data: bytes) -> None:
        self._data = data

    @classmethod
    def from_public_bytes(cls, data: bytes) -> "PublicKey":
        return cls(data)

    def public_bytes_raw(self) -> bytes:
        return self._data

    def verify(self, signature: bytes, message: bytes) -> None:
        if signature != hashlib.blake2b(message, key=self._data).digest():
            raise InvalidSignature


class PrivateKey:
    dice = random.Random(0)  # noqa: S311 - keys of a simulation

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._public = PublicKey(hashlib.sha256(seed).digest())

    @classmethod
    def generate(cls) -> "PrivateKey":
        return cls(cls.dice.randbytes(32))

    @classmethod
    def from_private_bytes(cls, seed: bytes) -> "PrivateKey":
        return cls(seed)

    def private_bytes_raw(self) -> bytes:
        return self._seed

    def public_key(self) -> PublicKey:
        return self._public

    def sign(self, message: bytes) -> bytes:
        return hashlib.blake2b(message, key=self._public.public_bytes_raw()).digest()
