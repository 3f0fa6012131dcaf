"""The city's signing key in a file that only its owner can read. Production may give another ``SigningKey``."""

import contextlib
import os
import threading
from pathlib import Path

from fare.validator.signing import SigningKey


class CityKeyError(Exception):
    """The key file cannot be used; the message says why."""


def open_city_key(path: Path) -> SigningKey:
    """Return the key in ``path``; make one when there is none. Of several that make one, one is kept and all get it.

    Raises:
        CityKeyError: if others may read it or it holds no key.
        OSError: if it cannot be read or written.
    """
    if not path.exists():
        _make(path)
    return _read(path)


def _make(path: Path) -> None:
    """Write a new key where there is none: whole or not at all, as other processes may look meanwhile."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(SigningKey.generate().to_bytes().hex())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another was quicker: that one is the city's
            os.link(unfinished, path)
    finally:
        unfinished.unlink()


def _read(path: Path) -> SigningKey:
    if path.stat().st_mode & 0o077:
        raise CityKeyError(f"{path}: others may read this secret key: chmod 600 {path}")
    try:
        return SigningKey.from_bytes(bytes.fromhex(path.read_text(encoding="ascii")))
    except ValueError:
        raise CityKeyError(f"{path}: this is no key of 64 hexadecimal digits") from None
