"""The QR that hangs in a bus: which bus it is, signed by the city, so that a pasted-over one shows (incident I6).

    https://…/b/<base64url of COSE_Sign1>        payload: the issue, four bytes, big-endian; the vehicle's id, UTF-8

The issue is the code's number in the city's register (``fare.store.postgres_bus_codes``): one that was torn off or
hangs in another bus is revoked by it. Whoever scans it is shown bus, line and carrier before anything is paid; that
the bus is not where the phone is, is said too (``is_elsewhere``). The host in the link proves nothing and is not looked
at: what counts is the signature. Pure.
"""

import base64
import binascii
import enum
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fare.phone import cose

PATH: Final = "/b/"
TEXT_MAX: Final = 512  # characters that are looked at
VEHICLE_BYTES_MAX: Final = 64

NEAR_M: Final = 300.0  # from the phone to the bus's antenna, with all that maps and receivers get wrong
SPEED_MAX_MPS: Final = 25.0  # of a bus in a city, while one of the two places grows old
EARTH_M: Final = 6_371_000.0

_ISSUE: Final = struct.Struct(">I")


class BusRefusal(enum.StrEnum):
    """Why a scanned code names no bus, in order of precedence. Each is a text of the phone's page."""

    NOT_OURS = enum.auto()  # another site's address, plain text, or a code that was changed in form
    UNKNOWN_KEY = enum.auto()  # signed by no key of this city
    BAD_SIGNATURE = enum.auto()  # changed, or of another city
    UNREGISTERED = enum.auto()  # signed, but not in the register
    REVOKED = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class BusCode:
    """A code as it was scanned. Nothing is proved before ``refusal``."""

    issue: int
    vehicle_id: str
    message: cose.Sign1

    def refusal(self, keys: Mapping[bytes, bytes], register: "Registered | None", *, city: str) -> BusRefusal | None:
        """Return why the code is not taken, None if it is.

        ``keys``: public keys of the city by their ids (``cose.key_id_of``). ``register``: what is known of ``issue``.
        """
        public = keys.get(self.message.key_id)
        if public is None:
            return BusRefusal.UNKNOWN_KEY
        if not cose.is_signed_by(self.message, public, context=context_of(city)):
            return BusRefusal.BAD_SIGNATURE
        if register is None or register.vehicle_id != self.vehicle_id:
            return BusRefusal.UNREGISTERED
        return BusRefusal.REVOKED if register.revoked else None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A code of the city's register."""

    issue: int
    vehicle_id: str
    issued_ms: int
    revoked: bool = False


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """Where something was: degrees (WGS 84), the radius in metres that it is known to, and when."""

    latitude: float
    longitude: float
    accuracy_m: float = 0.0
    at_ms: int


def bus_link(base_url: str, vehicle_id: str, issue: int, *, city: str, key: Ed25519PrivateKey) -> str:
    """Return the text of a bus's QR. ``base_url``: of the phone's page.

    Raises:
        ValueError: if ``vehicle_id`` is empty or longer than ``VEHICLE_BYTES_MAX`` as UTF-8.
    """
    vehicle = vehicle_id.encode()
    if not 0 < len(vehicle) <= VEHICLE_BYTES_MAX:
        raise ValueError(f"vehicle_id must have 1 to {VEHICLE_BYTES_MAX} bytes: {vehicle_id!r}")
    signed = cose.sign1(_ISSUE.pack(issue) + vehicle, context=context_of(city), key=key)
    return base_url.rstrip("/") + PATH + _text(signed)


def read_bus_code(text: str) -> BusCode | None:
    """Return the code in ``text``, a link or what follows ``PATH`` in it; None if there is none of our form."""
    said = text.strip().rpartition(PATH)[2]
    if len(text) > TEXT_MAX:
        return None
    try:
        data = base64.b64decode(said + "=" * (-len(said) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    message = cose.read(data) if _text(data) == said else None  # Base64 leaves bits over that say nothing
    if message is None or len(message.payload) <= _ISSUE.size:
        return None
    try:
        vehicle_id = message.payload[_ISSUE.size :].decode()
    except UnicodeDecodeError:
        return None
    return BusCode(issue=_ISSUE.unpack_from(message.payload)[0], vehicle_id=vehicle_id, message=message)


def is_elsewhere(bus: Fix, phone: Fix) -> bool:
    """Return whether the phone cannot be in the bus: another bus's code was pasted here, or sent as a picture."""
    apart_s = abs(bus.at_ms - phone.at_ms) / 1_000
    could_be_m = NEAR_M + bus.accuracy_m + phone.accuracy_m + SPEED_MAX_MPS * apart_s
    return _distance_m(bus, phone) > could_be_m


def context_of(city: str) -> bytes:
    """Return what is signed beside the payload: that it is a bus's code, of this form, of this city."""
    return b"ayaldama bus 1\0" + city.encode()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _distance_m(one: Fix, other: Fix) -> float:
    """Return the distance on a sphere (haversine)."""
    north, south = math.radians(one.latitude), math.radians(other.latitude)
    east = math.radians(one.longitude - other.longitude)
    chord = math.sin((north - south) / 2) ** 2 + math.cos(north) * math.cos(south) * math.sin(east / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(min(chord, 1.0)))
