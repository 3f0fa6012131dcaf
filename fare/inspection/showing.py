"""What a passenger shows, found in a vehicle's list: ten digits, or a phone's live code. Pure.

A list holds phones' public keys so that a code can be verified without a connection, and still lets nobody join two
lists: each key is sealed under a pad of the list's salt and the key's id, which only the shown code says. The pad is
one HMAC-SHA-256, as long as the key.
"""

import hmac
from dataclasses import dataclass
from typing import Final

from fare.inspection.check_code import check_code, code_hash, normal_code
from fare.inspection.values import ListedPhone, VehicleList
from fare.model import MediumId
from fare.phone.own_qr import KeyId, OwnCode, PhoneKey, read_own_code

_PAD: Final = b"phone\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What was shown. ``code_hash``: under which its taps are listed, "" if it is no code of anybody here."""

    code_hash: str = ""
    picture: bool = False  # a phone's code that is not of now, whoever made it


def listed_phone(key: PhoneKey, code_key: bytes, salt: bytes) -> ListedPhone:
    """Return ``key`` as a list holds it."""
    return ListedPhone(
        key_hash=code_hash(key.key_id, salt),
        sealed=_xor(key.public, _pad(key.key_id, salt)).hex(),
        code_hash=code_hash(check_code(key.medium_id, code_key), salt),
    )


def shown(code: str, held: VehicleList, now_ms: int) -> Shown:
    """Return what ``code`` is at ``now_ms``, typed or scanned."""
    salt = bytes.fromhex(held.salt)
    own = read_own_code(code)
    if own is not None:
        return _of_phone(own, held, salt, now_ms)
    digits = normal_code(code)
    return Shown(code_hash=code_hash(digits, salt)) if digits is not None else Shown()


def _of_phone(own: OwnCode, held: VehicleList, salt: bytes, now_ms: int) -> Shown:
    if own.clock_refusal(now_ms) is not None:
        return Shown(picture=True)
    name = code_hash(own.key_id, salt)
    phone = next((phone for phone in held.phones if phone.key_hash == name), None)
    if phone is None:
        return Shown()
    public = _xor(bytes.fromhex(phone.sealed), _pad(own.key_id, salt))
    key = PhoneKey(public=public, medium_id=MediumId(""), until_ms=now_ms + 1)  # the server lists only keys in force
    refused = own.refusal(key, city=held.city, now_ms=now_ms) is not None
    return Shown() if refused else Shown(code_hash=phone.code_hash)


def _pad(key_id: KeyId, salt: bytes) -> bytes:
    return hmac.digest(salt, _PAD + key_id.encode(), "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
