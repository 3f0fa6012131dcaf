"""Which part of a body is asked for: single ranges of bytes (RFC 9110, section 14). Pure.

aiohttp reads the header, too, but cannot tell ``bytes=-0`` from ``bytes=0-`` and knows ``If-Range`` by date only.
Players on Apple's devices play nothing that is not given in ranges.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

DIGITS_MAX: Final = 15
BYTES: Final = re.compile(r"bytes\s*=\s*(\d*)-(\d*)\s*", re.ASCII | re.IGNORECASE)


class RangeError(ValueError):
    """Nothing of the body is in the range."""


def range_asked(header: str, size: int) -> range | None:
    """Return the bytes that ``header`` asks for of a body of ``size``, None if all of it is to be given.

    A header that cannot be read, another unit, or several ranges at once: all is given, as the RFC allows.

    Raises:
        RangeError: if the range begins behind the end, or is the last 0 bytes.
    """
    found = BYTES.fullmatch(header)
    if found is None or max(map(len, found.groups())) > DIGITS_MAX:
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is None:
        if last is None:
            return None
        wanted = range(max(size - last, 0), size)
    else:
        if last is not None and last < first:
            return None
        wanted = range(first, size if last is None else min(last + 1, size))
    if not wanted:
        raise RangeError(f"must begin before byte {size}")
    return wanted


def pieces(parts: Sequence[bytes], wanted: range, piece_bytes: int) -> Iterator[memoryview]:
    """Yield the bytes ``wanted`` of a body in ``parts``, not copied, at most ``piece_bytes`` at once."""
    at = 0
    for part in parts:
        first, end = max(wanted.start - at, 0), min(wanted.stop - at, len(part))
        for begin in range(first, end, piece_bytes):
            yield memoryview(part)[begin : min(begin + piece_bytes, end)]
        at += len(part)
