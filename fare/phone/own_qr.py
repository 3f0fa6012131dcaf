"""A phone's own QR: "I hold this key, and it is this second". Verified without a connection, dead in half a minute.

    AY1:<Base45 of COSE_Sign1>        payload: the second, UTC, four bytes, big-endian

136 characters of the alphanumeric mode: QR version 6 at level M. It carries no medium, no number and no money: whose it
is follows from the key, which was registered with the city and lies on every validator's list (``listed``). The city
is signed with it (``context_of``), so a code of one city is none in another.

The second is also the counter: a phone's codes rise, so an older one after a newer one is a picture. A phone renews its
code every ``RENEW_MS`` by the server's time, which it learns whenever it hears the server. Pure.
"""

import enum
import struct
from dataclasses import dataclass
from typing import Final, NewType

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fare.model import MediumId
from fare.phone import base45, cose

PREFIX: Final = "AY1:"
TEXT_MAX: Final = 256  # characters that are looked at
RENEW_MS: Final = 10_000
BEHIND_MAX_MS: Final = 30_000  # from the second signed to the reader's time: a picture is dead after that
AHEAD_MAX_MS: Final = 10_000  # the other way: so much may the two clocks differ while nobody has waited

KeyId = NewType("KeyId", str)  # of a phone's key, 16 hexadecimal digits

_SECOND: Final = struct.Struct(">I")
_MEDIUM_BYTES: Final = 16
_VALUE: Final = struct.Struct(f">{cose.PUBLIC_BYTES}s{_MEDIUM_BYTES}sI")


class PhoneKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that was registered for a medium, and until when it counts.

    Raises:
        ValueError: if the key has not 32 bytes.
    """

    public: bytes
    medium_id: MediumId
    until_ms: int

    def __post_init__(self) -> None:
        """Refuse what is no key."""
        if len(self.public) != cose.PUBLIC_BYTES:
            raise ValueError(f"phone key: public must have {cose.PUBLIC_BYTES} bytes: {len(self.public)}")

    @property
    def key_id(self) -> KeyId:
        """Return the name under which codes mention it."""
        return KeyId(cose.key_id_of(self.public).hex())


class OwnRefusal(enum.StrEnum):
    """Why a phone's QR is not taken, in order of precedence."""

    MALFORMED = enum.auto()  # no code of ours, or one that was changed in form
    UNKNOWN_KEY = enum.auto()  # never registered in this city, revoked, or newer than the list
    KEY_EXPIRED = enum.auto()
    BAD_SIGNATURE = enum.auto()  # changed, of another city, or not the phone's
    OLD = enum.auto()  # a picture, or the phone's clock is behind
    EARLY = enum.auto()  # the phone's clock is ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """A code as it was shown. Nothing is proved before ``refusal``."""

    key_id: KeyId
    second: int  # UTC epoch seconds by the phone's idea of the server's time; rises from code to code
    message: cose.Sign1

    def refusal(self, key: PhoneKey | None, *, city: str, now_ms: int) -> OwnRefusal | None:
        """Return why the code is not taken at ``now_ms``, None if it is. ``key``: what is known under ``key_id``."""
        if key is None:
            return OwnRefusal.UNKNOWN_KEY
        if key.until_ms <= now_ms:
            return OwnRefusal.KEY_EXPIRED
        if not cose.is_signed_by(self.message, key.public, context=context_of(city)):
            return OwnRefusal.BAD_SIGNATURE
        return self.clock_refusal(now_ms)

    def clock_refusal(self, now_ms: int) -> OwnRefusal | None:
        """Return whether the code is not of now, whoever made it."""
        behind_ms = now_ms - self.second * 1_000
        if behind_ms > BEHIND_MAX_MS:
            return OwnRefusal.OLD
        return OwnRefusal.EARLY if behind_ms < -AHEAD_MAX_MS else None


def read_own_code(text: str) -> OwnCode | None:
    """Return the code in ``text``, None if there is none of our form."""
    text = text.strip()
    if len(text) > TEXT_MAX or not text.startswith(PREFIX):
        return None
    data = base45.decode(text.removeprefix(PREFIX))
    message = cose.read(data) if data is not None else None
    if message is None or len(message.payload) != _SECOND.size:
        return None
    return OwnCode(key_id=KeyId(message.key_id.hex()), second=_SECOND.unpack(message.payload)[0], message=message)


def own_code(key: Ed25519PrivateKey, *, city: str, now_ms: int) -> str:
    """Return the code that a phone shows at ``now_ms``: what ``web/phone/own_qr.js`` does in a browser."""
    return PREFIX + base45.encode(cose.sign1(_SECOND.pack(now_ms // 1_000), context=context_of(city), key=key))


def proves_possession(text: str, public: bytes, *, city: str, now_ms: int) -> OwnRefusal | None:
    """Return why ``text`` does not prove that who sends it holds ``public`` now, None if it does: to register a key."""
    code = read_own_code(text)
    if code is None:
        return OwnRefusal.MALFORMED
    key = PhoneKey(public=public, medium_id=MediumId(""), until_ms=now_ms + 1)
    return code.refusal(key if key.key_id == code.key_id else None, city=city, now_ms=now_ms)


def context_of(city: str) -> bytes:
    """Return what is signed beside the payload: that it is a phone's code, of this form, for this city."""
    return b"ayaldama phone 1\0" + city.encode()


def listed(key: PhoneKey) -> tuple[int, bytes]:
    """Return ``key`` as validators' lists hold it: the number of its id, and 52 bytes."""
    medium = bytes.fromhex(key.medium_id)
    return int(key.key_id, 16), _VALUE.pack(key.public, medium, key.until_ms // 1_000)


def unlisted(value: bytes) -> PhoneKey | None:
    """Return the key of a list's 52 bytes, None if it is not as many."""
    if len(value) != _VALUE.size:
        return None
    public, medium, until_s = _VALUE.unpack(value)
    return PhoneKey(public=public, medium_id=MediumId(medium.hex()), until_ms=until_s * 1_000)
