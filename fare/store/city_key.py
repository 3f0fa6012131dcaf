"""The city's signing key in a file that only its owner can read. Production may give another ``SigningKey``."""

import os
from pathlib import Path

from fare.validator.signing import SigningKey


class CityKeyError(Exception):
    """The key file cannot be used; the message says why."""


def open_city_key(path: Path) -> SigningKey:
    """Return the key in ``path``; make one when there is none.

    Raises:
        CityKeyError: if others may read it or it holds no key.
        OSError: if it cannot be read or written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _read(path)
    key = SigningKey.generate()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.to_bytes().hex())
        file.flush()
        os.fsync(file.fileno())
    return key


def _read(path: Path) -> SigningKey:
    if path.stat().st_mode & 0o077:
        raise CityKeyError(f"{path}: others may read this secret key: chmod 600 {path}")
    try:
        return SigningKey.from_bytes(bytes.fromhex(path.read_text(encoding="ascii")))
    except ValueError:
        raise CityKeyError(f"{path}: this is no key of 64 hexadecimal digits") from None
