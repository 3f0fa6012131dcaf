"""How a validator becomes known: a one-time code, and a key that never leaves the device.

The operator's code is 28 letters and digits: 80 secret bits that the server keeps as a digest, and 60 bits of the
city's key, so that also a device without any certificate knows at once that it speaks to its own city. The device makes
its key, proves that it has it, and gets its name, its bus and where its journal goes on. A code works once, for one
key; the same key may ask again, because answers get lost. Pure.
"""

import base64
import enum
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fare.model import SELLERS, DeviceId
from fare.validator.journal import Head
from fare.validator.signing import PUBLIC_BYTES, Purpose, Signed, SigningKey, is_signed_by, key_id_of

SECRET_BYTES: Final = 10
SECRET_LETTERS: Final = 16
CITY_LETTERS: Final = 12
CODE_LIFE_MS: Final = 7 * 86_400_000
FAILURES_MAX: Final = 10  # codes of one address in ``FAILURES_MS``
FAILURES_MS: Final = 60_000
ADDRESSES_MAX: Final = 10_000
VEHICLE_MAX: Final = 64

_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Enrolling(enum.StrEnum):
    """What became of a request, in order of precedence."""

    TOO_MANY = enum.auto()  # wrong requests from this address; wait a minute
    MALFORMED = enum.auto()
    NOT_PROVEN = enum.auto()  # whoever asks does not have the key that it brings
    UNKNOWN_CODE = enum.auto()
    USED = enum.auto()  # by another key
    EXPIRED = enum.auto()
    ENROLLED = enum.auto()


class EnrolmentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a device asks, signed with the key it brings."""

    secret: str
    public: bytes


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """What the city answers, signed with the key that the code names."""

    outcome: Enrolling
    public: bytes  # of the city
    server_ms: int
    device_id: DeviceId = DeviceId("")
    city: str = ""
    vehicle_id: str = ""
    sequence: int = 0  # where the device's journal goes on
    hash: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCode:
    """A code as the server keeps it. ``used_by``: the public key that was enrolled with it.

    Raises:
        ValueError: if a device or vehicle cannot be called so.
    """

    digest: bytes
    device_id: DeviceId
    vehicle_id: str
    expires_ms: int
    used_by: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse names that keys of taps, folders and screens could not bear."""
        if not _DEVICE_ID.fullmatch(self.device_id) or self.device_id in SELLERS:
            raise ValueError(
                f"device_id: {self.device_id!r} must be 1 to 64 letters, digits, '.', '_' or '-', not phone or sms"
            )
        if not 0 < len(self.vehicle_id) <= VEHICLE_MAX or not self.vehicle_id.isprintable():
            raise ValueError(f"vehicle_id: {self.vehicle_id!r} must be 1 to {VEHICLE_MAX} characters")


@dataclass(frozen=True, slots=True)
class Code:
    """What the operator gives to who installs the device."""

    secret: str
    city: str  # the first letters of the city key's digest

    @classmethod
    def make(cls, random: bytes, city_public: bytes) -> "Code":
        """Return the code of ``SECRET_BYTES`` random bytes.

        Raises:
            ValueError: if there are more or fewer.
        """
        if len(random) != SECRET_BYTES:
            raise ValueError(f"a code is made of {SECRET_BYTES} random bytes, not {len(random)}")
        return cls(_letters(random), _letters(hashlib.sha256(city_public).digest())[:CITY_LETTERS])

    @classmethod
    def read(cls, text: str) -> "Code":
        """Return the code in ``text``: small or large letters, with hyphens or blanks anywhere.

        Raises:
            ValueError: if it has not 28 letters and digits.
        """
        letters = "".join(text.lower().replace("-", "").split())
        if len(letters) != SECRET_LETTERS + CITY_LETTERS or not letters.isalnum() or not letters.isascii():
            raise ValueError(f"a code has {SECRET_LETTERS + CITY_LETTERS} letters and digits, this one {len(letters)}")
        return cls(letters[:SECRET_LETTERS], letters[SECRET_LETTERS:])

    @property
    def digest(self) -> bytes:
        """Return what the server keeps. 80 random bits need no salt and no slow hash."""
        return digest_of(self.secret)

    def names(self, city_public: bytes) -> bool:
        """Return whether the code was made for the city with this key."""
        return _letters(hashlib.sha256(city_public).digest())[:CITY_LETTERS] == self.city

    def __str__(self) -> str:
        letters = self.secret + self.city
        return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


@dataclass(slots=True)
class FailureLimit:
    """Failed requests per address: a right one is refused too, for a minute, where so many wrong ones came from."""

    failures_max: int = FAILURES_MAX
    _failures: "OrderedDict[str, list[int]]" = field(default_factory=OrderedDict)

    def allows(self, address: str, now_ms: int) -> bool:
        """Return whether a request of ``address`` is looked at."""
        recent = [at_ms for at_ms in self._failures.get(address, ()) if now_ms - at_ms < FAILURES_MS]
        if recent:
            self._failures[address] = recent
        else:
            self._failures.pop(address, None)
        return len(recent) < self.failures_max

    def failed(self, address: str, now_ms: int) -> None:
        """Count a failed request."""
        self._failures.setdefault(address, []).append(now_ms)
        self._failures.move_to_end(address)
        if len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)


_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(EnrolmentRequest)
_answers: Final = msgspec.msgpack.Decoder(Enrolled)


def digest_of(secret: str) -> bytes:
    """Return the digest under which the secret part of a code is kept."""
    return hashlib.sha256(secret.encode()).digest()


def make_request(code: Code, key: SigningKey) -> Signed:
    """Return a device's request."""
    return key.sign(Purpose.ENROLMENT, _encoder.encode(EnrolmentRequest(secret=code.secret, public=key.public)))


def open_request(signed: Signed) -> EnrolmentRequest | Enrolling:
    """Return what is asked, if it is signed by the key that it brings."""
    try:
        request = _requests.decode(signed.body)
    except (msgspec.DecodeError, ValueError):
        return Enrolling.MALFORMED
    if len(request.public) != PUBLIC_BYTES or signed.key_id != key_id_of(request.public):
        return Enrolling.MALFORMED
    return request if is_signed_by(signed, Purpose.ENROLMENT, request.public) else Enrolling.NOT_PROVEN


def enrol(request: EnrolmentRequest, issued: IssuedCode | None, now_ms: int) -> Enrolling:
    """Say what becomes of a request; ``issued`` is the code with the digest of ``request.secret``."""
    if issued is None:
        return Enrolling.UNKNOWN_CODE
    if issued.used_by is not None:
        return Enrolling.ENROLLED if issued.used_by == request.public else Enrolling.USED
    return Enrolling.ENROLLED if now_ms < issued.expires_ms else Enrolling.EXPIRED


def answer(
    outcome: Enrolling, key: SigningKey, now_ms: int, *, issued: IssuedCode | None = None, city: str = "",
    head: Head | None = None,
) -> Signed:  # fmt: skip
    """Return the city's answer; the rest is said only to who is enrolled."""
    said = Enrolled(outcome=outcome, public=key.public, server_ms=now_ms)
    if outcome is Enrolling.ENROLLED and issued is not None and head is not None:
        said = msgspec.structs.replace(
            said,
            device_id=issued.device_id,
            city=city,
            vehicle_id=issued.vehicle_id,
            sequence=head.sequence,
            hash=head.hash,
        )
    return key.sign(Purpose.ENROLMENT, _encoder.encode(said))


def open_answer(signed: Signed, code: Code) -> Enrolled | None:
    """Return the answer of the city that ``code`` names, None if it is anybody else's."""
    try:
        said = _answers.decode(signed.body)
    except (msgspec.DecodeError, ValueError):
        return None
    return said if code.names(said.public) and is_signed_by(signed, Purpose.ENROLMENT, said.public) else None


def _letters(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()
