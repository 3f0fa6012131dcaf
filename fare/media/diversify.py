"""Derive each card's own key from one master key, so that a key taken out of one card opens no other.

Source: NXP AN10922, "Symmetric key diversifications", rev. 2.2, section 2.2 (AES-128). Pure.
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC

KEY_BYTES: Final = 16
INPUT_BYTES_MIN: Final = 16  # from here on AN10922's padding to two blocks is what CMAC does by itself
INPUT_BYTES_MAX: Final = 31

_AES128: Final = b"\x01"  # the constant that says what the derived key is for


def diversify_aes128(master_key: bytes, diversification: bytes) -> bytes:
    """Return the AES-128 key of the card that ``diversification`` names: its UID, application and system identifier.

    Raises:
        ValueError: if the key is not 16 bytes long, or the input not 16 to 31.
    """
    if len(master_key) != KEY_BYTES:
        raise ValueError(f"master key: {len(master_key)} bytes, AES-128 has {KEY_BYTES}")
    if not INPUT_BYTES_MIN <= len(diversification) <= INPUT_BYTES_MAX:
        raise ValueError(
            f"diversification input: {len(diversification)} bytes, must be {INPUT_BYTES_MIN} to {INPUT_BYTES_MAX}"
        )
    derivation = CMAC(AES128(master_key))
    derivation.update(_AES128 + diversification)
    return derivation.finalize()
