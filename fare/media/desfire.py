"""Read the identifier of a transport card, MIFARE DESFire EV1 or EV2, after it has proved to know its own key.

Sans I/O: ``read_identity`` is a dialogue that yields command APDUs, is sent the card's answers and returns the
identity. Commands are DESFire's native ones in ISO 7816-4 wrapping (``90 INS 00 00 Lc … 00``, status ``91 xx``). The
steps: select our application, ask the UID, derive the card's key from it (AN10922), authenticate both ways with AES,
read the file with its CMAC. The card holds no value, so nothing is ever written to it.

What an attacker may try: another key, our own words sent back, a session recorded before, a genuine card relayed from
afar (its answers come late), changed or cut bytes. Each ends in a ``CardError`` whose refusal says which.
"""

import enum
import hmac
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from fare.media import secure_channel
from fare.media.diversify import diversify_aes128
from fare.media.secure_channel import BLOCK, MAC_BYTES, SecureChannel

AUTHENTICATE_AES: Final = 0xAA
MORE_FRAMES: Final = 0xAF
GET_VERSION: Final = 0x60
SELECT_APPLICATION: Final = 0x5A
READ_DATA: Final = 0xBD

STATUS_OK: Final = 0x00
STATUS_MORE: Final = 0xAF
STATUS_NO_APPLICATION: Final = 0xA0
STATUS_AUTHENTICATION: Final = 0xAE

UID_BYTES: Final = 7
VERSION_FRAMES: Final = (7, 7, 14)  # bytes: hardware, software, then UID, batch and week of production
IDENTITY_BYTES: Final = 24
ANSWER_MAX_MS: Final = 200.0  # a card in the field answers in 5 to 40 ms; a relay over two phones needs several hundred

_SYSTEM: Final = b"ayaldama:"  # the part of the diversification input that names the system
_LAYOUT: Final = 1
_ISSUER_BYTES: Final = 7
_ID_BYTES: Final = 8
_FRAME_MAX: Final = 59  # data bytes of one native frame


class Refusal(enum.StrEnum):
    """Why a card is not taken."""

    NOT_OURS = enum.auto()  # it has no application of ours
    MALFORMED = enum.auto()  # an answer without the length, status or layout that it must have
    WRONG_KEY = enum.auto()  # it does not know the key of the card that it says it is
    REFLECTED = enum.auto()  # it sent our own words back
    TAMPERED = enum.auto()  # a CMAC does not fit: bytes were changed, left out or repeated
    TOO_SLOW = enum.auto()  # the answer to the challenge came as late as a relayed one does


class CardError(Exception):
    """A card that is not taken, and at which command."""

    def __init__(self, refusal: Refusal, command: int, detail: str) -> None:
        super().__init__(f"card: command {command:02x}: {refusal.value}: {detail}")
        self.refusal = refusal
        self.command = command
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class CardApplication:
    """Where a city's identifier is on the card."""

    issuer: str  # who the card is of, as its file says it: the city's short name, at most 7 ASCII characters
    aid: bytes = bytes.fromhex("f5a1d0")
    key_number: int = 1
    file_number: int = 1

    def diversification(self, uid: bytes) -> bytes:
        """Return what AN10922 derives this application's key on the card ``uid`` from."""
        return uid + self.aid + _SYSTEM + self.issuer.encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardIdentity:
    """What the identifier file says. ``expires_ms``: UTC epoch milliseconds, 0 for a card without end."""

    issuer: str
    identifier: bytes  # 8 bytes, random, printed nowhere
    expires_ms: int = 0

    @property
    def value(self) -> str:
        """Return what a ``MediumId`` is made of. Colons keep eight bytes from looking like a card number."""
        return f"{self.issuer}:{self.identifier.hex(':')}"

    def encoded(self) -> bytes:
        """Return the file's 24 bytes: layout, issuer (7), identifier (8), end in epoch seconds (4), zeros (4).

        Raises:
            ValueError: if the issuer or the identifier does not fit its field.
        """
        issuer = self.issuer.encode("ascii")
        if not 0 < len(issuer) <= _ISSUER_BYTES or len(self.identifier) != _ID_BYTES:
            raise ValueError(f"card identity: issuer {self.issuer!r} of 1 to 7, identifier of {_ID_BYTES} bytes")
        expires_s = (self.expires_ms // 1_000).to_bytes(4, "big")
        return bytes([_LAYOUT]) + issuer.ljust(_ISSUER_BYTES, b"\0") + self.identifier + expires_s + bytes(4)

    @classmethod
    def decoded(cls, data: bytes) -> "CardIdentity":
        """Return the identity of a file.

        Raises:
            CardError: MALFORMED, if length, layout or issuer is not what ``encoded`` writes.
        """
        issuer = data[1 : 1 + _ISSUER_BYTES].rstrip(b"\0")
        wrong_form = len(data) != IDENTITY_BYTES or data[0] != _LAYOUT or any(data[-4:])
        if wrong_form or not issuer.isalnum():
            raise CardError(Refusal.MALFORMED, READ_DATA, f"identifier file of {len(data)} bytes")
        return cls(
            issuer=issuer.decode("ascii"),
            identifier=data[8:16],
            expires_ms=int.from_bytes(data[16:20], "big") * 1_000,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The card's answer as it came over the air, and how long it took."""

    data: bytes
    took_ms: float = 0.0


Dialogue = Generator[bytes, Answer, CardIdentity]
_Step = Generator[bytes, Answer, bytes]


def read_identity(
    application: CardApplication, master_key: bytes, rnd_a: bytes, answer_max_ms: float = ANSWER_MAX_MS
) -> Dialogue:
    """Yield command APDUs, take ``Answer``s, return the identity of a card that proved its key.

    ``rnd_a``: 16 bytes that nobody can foresee, new for each dialogue.

    Raises:
        CardError: if the card is not taken.
        ValueError: if ``rnd_a`` or ``master_key`` is not 16 bytes long.
    """
    if len(rnd_a) != BLOCK:
        raise ValueError(f"rnd_a: {len(rnd_a)} bytes, must be {BLOCK}")
    yield from _command(SELECT_APPLICATION, application.aid, length=0)
    uid = yield from _uid()
    key = diversify_aes128(master_key, application.diversification(uid))
    channel = yield from _authenticate(key, application.key_number, rnd_a, answer_max_ms)
    data = yield from _read_file(channel, application.file_number, IDENTITY_BYTES)
    identity = CardIdentity.decoded(data)
    if identity.issuer != application.issuer:
        raise CardError(Refusal.NOT_OURS, READ_DATA, f"issued by {identity.issuer}")
    return identity


def wrapped(command: int, data: bytes = b"") -> bytes:
    """Return a native command as an ISO 7816-4 APDU."""
    head = bytes([0x90, command, 0x00, 0x00])
    return head + (bytes([len(data)]) + data if data else b"") + b"\x00"


def unwrapped(answer: bytes, command: int) -> tuple[bytes, int]:
    """Return data and DESFire status of an answer.

    Raises:
        CardError: MALFORMED, if it is no wrapped DESFire answer.
    """
    if len(answer) < 2 or answer[-2] != 0x91 or len(answer) > _FRAME_MAX + 2:
        raise CardError(Refusal.MALFORMED, command, f"{len(answer)} bytes without status 91 xx")
    return answer[:-2], answer[-1]


def _command(command: int, data: bytes, *, length: int, status: int = STATUS_OK) -> _Step:
    answer = yield wrapped(command, data)
    return _checked(answer, command, length, status)


def _checked(answer: Answer, command: int, length: int, status: int) -> bytes:
    data, got = unwrapped(answer.data, command)
    if got == STATUS_NO_APPLICATION:
        raise CardError(Refusal.NOT_OURS, command, "no such application")
    if got == STATUS_AUTHENTICATION:
        raise CardError(Refusal.WRONG_KEY, command, "the card refuses our key")
    if got != status or len(data) != length:
        raise CardError(
            Refusal.MALFORMED, command, f"status {got:02x} and {len(data)} bytes, not {status:02x}, {length}"
        )
    return data


def _uid() -> _Step:
    command = GET_VERSION
    data = b""
    for number, length in enumerate(VERSION_FRAMES, start=1):
        status = STATUS_OK if number == len(VERSION_FRAMES) else STATUS_MORE
        data = yield from _command(command, b"", length=length, status=status)
        command = MORE_FRAMES
    return data[:UID_BYTES]


def _authenticate(
    key: bytes, key_number: int, rnd_a: bytes, answer_max_ms: float
) -> Generator[bytes, Answer, SecureChannel]:
    """Prove the key to the card and have it prove it to us: three messages, one vector running through them."""
    challenge = yield from _command(AUTHENTICATE_AES, bytes([key_number]), length=BLOCK, status=STATUS_MORE)
    rnd_b = secure_channel.decrypt(key, bytes(BLOCK), challenge)
    token = secure_channel.encrypt(key, challenge, rnd_a + secure_channel.rotated(rnd_b))
    answer = yield wrapped(MORE_FRAMES, token)
    proof = _checked(answer, MORE_FRAMES, BLOCK, STATUS_OK)
    if proof in {token[:BLOCK], token[BLOCK:], challenge}:
        raise CardError(Refusal.REFLECTED, MORE_FRAMES, "the card's proof was said before")
    shown = secure_channel.decrypt(key, token[BLOCK:], proof)
    if not hmac.compare_digest(shown, secure_channel.rotated(rnd_a)):
        raise CardError(Refusal.WRONG_KEY, MORE_FRAMES, "the card's proof is wrong")
    if answer.took_ms > answer_max_ms:
        raise CardError(Refusal.TOO_SLOW, MORE_FRAMES, f"{answer.took_ms:.0f} ms, at most {answer_max_ms:.0f}")
    return SecureChannel(secure_channel.session_key(rnd_a, rnd_b))


def _read_file(channel: SecureChannel, file_number: int, length: int) -> _Step:
    arguments = bytes([file_number]) + bytes(3) + length.to_bytes(3, "little")
    channel.mac(bytes([READ_DATA]) + arguments)
    answer = yield from _command(READ_DATA, arguments, length=length + MAC_BYTES)
    data, mac = answer[:-MAC_BYTES], answer[-MAC_BYTES:]
    if not hmac.compare_digest(channel.mac(data + bytes([STATUS_OK]))[:MAC_BYTES], mac):
        raise CardError(Refusal.TAMPERED, READ_DATA, "the CMAC of the file does not fit")
    return data
