"""Base45 (RFC 9285): bytes in the 45 characters of a QR code's alphanumeric mode, five and a half bits each. Pure."""

from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def encode(data: bytes) -> str:
    """Return ``data`` as text: three characters for two bytes, two for a last one."""
    text: list[str] = []
    for at in range(0, len(data), 2):
        pair = data[at : at + 2]
        number = int.from_bytes(pair)
        for _ in range(len(pair) + 1):
            number, digit = divmod(number, 45)
            text.append(ALPHABET[digit])
    return "".join(text)


def decode(text: str) -> bytes | None:
    """Return the bytes of ``text``, None if it is no Base45."""
    data = bytearray()
    for at in range(0, len(text), 3):
        digits = [ALPHABET.find(character) for character in text[at : at + 3]]
        number = sum(digit * 45**place for place, digit in enumerate(digits))
        size = len(digits) - 1
        if -1 in digits or size == 0 or number >= 256**size:
            return None
        data += number.to_bytes(size)
    return bytes(data)
