"""The secret keys of a city's media, as a file that the operator puts on a validator (until a SAM holds them)."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fare.media.tokens import KEY_BYTES_MIN, TokenKey, TokenKeys

CARD_KEY_BYTES = 16


class MediaKeysError(Exception):
    """The file cannot be used. The message names the field and never its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaKeys:
    """What names media, and what transport cards must prove. Neither appears in a representation."""

    token_keys: TokenKeys = field(repr=False)
    card_key: bytes = field(repr=False)


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token_version: int
    token_secret: str  # hexadecimal
    card_key: str  # hexadecimal, AES-128


def read_media_keys(path: Path) -> MediaKeys:
    """Return the keys in a TOML file with ``token_version``, ``token_secret`` and ``card_key``.

    Raises:
        MediaKeysError: if others may read it, or a field is missing or wrong.
        OSError: if it cannot be read.
    """
    if path.stat().st_mode & 0o077:
        raise MediaKeysError(f"{path}: others may read these secret keys: chmod 600 {path}")
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), type=_File)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise MediaKeysError(f"{path}: this is not TOML") from None
    except msgspec.ValidationError as error:
        raise MediaKeysError(f"{path}: {error}") from None
    secret = _hexadecimal(path, "token_secret", file.token_secret, KEY_BYTES_MIN, 64)
    card_key = _hexadecimal(path, "card_key", file.card_key, CARD_KEY_BYTES, CARD_KEY_BYTES)
    if file.token_version < 1:
        raise MediaKeysError(f"{path}: token_version must be 1 or more")
    return MediaKeys(
        token_keys=TokenKeys(current=TokenKey(version=file.token_version, secret=secret)), card_key=card_key
    )


def _hexadecimal(path: Path, name: str, text: str, bytes_min: int, bytes_max: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise MediaKeysError(f"{path}: {name} must be hexadecimal") from None
    if not bytes_min <= len(value) <= bytes_max:
        raise MediaKeysError(f"{path}: {name} must have {bytes_min} to {bytes_max} bytes")
    return value
