"""The cryptography of an AES session with a DESFire EV1 or EV2 card, the same for card and reader.

Two random numbers make a session key; from then on one initialisation vector runs through all commands and answers, so
that none can be left out, repeated or moved. Sources: NIST SP 800-38B (CMAC); NXP's data sheet is not public, so
session key, vector and the 8 bytes of CMAC on the air are as python-desfire 0.1.5 has them, which reads our emulated
card in the tests. Pure: the random numbers are arguments.
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES128

BLOCK: Final = 16
MAC_BYTES: Final = 8  # of the CMAC's 16, what goes over the air

_ZERO: Final = bytes(BLOCK)
_R128: Final = 0x87  # SP 800-38B, 5.3


def encrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """Return ``blocks`` under AES-128 in CBC mode."""
    encryptor = Cipher(AES128(key), modes.CBC(iv)).encryptor()
    return encryptor.update(blocks) + encryptor.finalize()


def decrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """Return what ``blocks`` are under AES-128 in CBC mode."""
    decryptor = Cipher(AES128(key), modes.CBC(iv)).decryptor()
    return decryptor.update(blocks) + decryptor.finalize()


def rotated(number: bytes) -> bytes:
    """Return ``number`` turned left by one byte: what each side shows of the other's random number."""
    return number[1:] + number[:1]


def session_key(rnd_a: bytes, rnd_b: bytes) -> bytes:
    """Return the key of a session that began with the reader's ``rnd_a`` and the card's ``rnd_b``, 16 bytes each."""
    return rnd_a[:4] + rnd_b[:4] + rnd_a[12:] + rnd_b[12:]


class SecureChannel:
    """One side's view of an authenticated session. Both sides see the same messages in the same order, or part ways."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._iv = _ZERO
        zero_encrypted = encrypt(key, _ZERO, _ZERO)
        self._whole = _doubled(zero_encrypted)  # K1 of SP 800-38B, for messages of whole blocks
        self._padded = _doubled(self._whole)  # K2

    def mac(self, message: bytes) -> bytes:
        """Return the 16 bytes of CMAC over ``message``, chained to all before it."""
        short = -len(message) % BLOCK if message else BLOCK
        padded = message + (b"\x80" + bytes(short - 1) if short else b"")
        last = _xor(padded[-BLOCK:], self._padded if short else self._whole)
        self._iv = encrypt(self._key, self._iv, padded[:-BLOCK] + last)[-BLOCK:]
        return self._iv


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block, "big") << 1
    if number >> (8 * BLOCK):
        number = (number & ((1 << 8 * BLOCK) - 1)) ^ _R128
    return number.to_bytes(BLOCK, "big")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
