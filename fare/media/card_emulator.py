"""A DESFire EV1 card in software, with real cryptography: what tests, the demo and a validator without cards are shown.

It speaks native framing and ISO 7816-4 wrapping, as a card does, and knows the commands that reading needs: select,
versions, application and file lists, file settings, AES authentication, ReadData with CMAC. Its answers are a function
of its state, the command and the random number it is given. Pure; ``fare.media.vpcd`` puts it into a virtual reader.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fare.media import secure_channel
from fare.media.desfire import (
    AUTHENTICATE_AES,
    GET_VERSION,
    MORE_FRAMES,
    READ_DATA,
    SELECT_APPLICATION,
    STATUS_AUTHENTICATION,
    STATUS_MORE,
    STATUS_NO_APPLICATION,
    STATUS_OK,
    UID_BYTES,
    CardApplication,
    CardIdentity,
)
from fare.media.diversify import diversify_aes128
from fare.media.secure_channel import BLOCK, MAC_BYTES, SecureChannel

ATR: Final = bytes.fromhex("3b8180018080")  # what PC/SC readers give for a DESFire card (ISO 14443-4, no history)

GET_APPLICATION_IDS: Final = 0x6A
GET_FILE_IDS: Final = 0x6F
GET_FILE_SETTINGS: Final = 0xF5

STATUS_UNKNOWN_COMMAND: Final = 0x1C
STATUS_LENGTH: Final = 0x7E
STATUS_NO_SUCH_KEY: Final = 0x40
STATUS_PERMISSION: Final = 0x9D
STATUS_BOUNDARY: Final = 0xBE
STATUS_ABORTED: Final = 0xCA
STATUS_NO_FILE: Final = 0xF0

_MASTER: Final = bytes(3)  # the card itself, before any application is selected
_HARDWARE: Final = bytes.fromhex("04010101001a05")  # NXP, DESFire EV1, 8 kB
_SOFTWARE: Final = bytes.fromhex("04010101041a05")
_BATCH_AND_WEEK: Final = bytes.fromhex("ba547e1f302426")  # 5 bytes of batch, production week and year in BCD


@dataclass(frozen=True, slots=True, kw_only=True)
class CardContents:
    """What a card was made with. Files are read with the application's key only, under CMAC."""

    uid: bytes
    aid: bytes
    keys: Mapping[int, bytes] = field(repr=False)
    files: Mapping[int, bytes]


def personalised(uid: bytes, identity: CardIdentity, application: CardApplication, master_key: bytes) -> CardContents:
    """Return a card as the operator hands it out: own key, identifier file.

    Raises:
        ValueError: if ``uid`` is not 7 bytes long, or the identity does not fit its file.
    """
    if len(uid) != UID_BYTES:
        raise ValueError(f"uid: {len(uid)} bytes, must be {UID_BYTES}")
    key = diversify_aes128(master_key, application.diversification(uid))
    return CardContents(
        uid=uid,
        aid=application.aid,
        keys={application.key_number: key},
        files={application.file_number: identity.encoded()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Challenge:
    """We sent a random number, encrypted, and wait for the reader's half."""

    key: bytes = field(repr=False)
    rnd_b: bytes
    sent: bytes


class EmulatedCard:
    """A card in the field. ``random`` gives as many unforeseeable bytes as it is asked for."""

    def __init__(self, contents: CardContents, random: Callable[[int], bytes]) -> None:
        self._contents = contents
        self._random = random
        self.reset()

    def reset(self) -> None:
        """Forget all that was said, as a card does when it leaves the field."""
        self._selected = _MASTER
        self._channel: SecureChannel | None = None
        self._challenge: _Challenge | None = None
        self._frames: tuple[bytes, ...] = ()  # of an answer that is longer than one
        self._sent = b""  # of that answer

    def answer(self, apdu: bytes) -> bytes:
        """Return the answer in the framing of ``apdu``. Whatever the bytes are, there is one."""
        if apdu[:1] == b"\x90":
            command, data = _unwrapped(apdu)
            if command is None:
                return bytes([0x91, STATUS_LENGTH])
            status, answer = self._said(command, data)
            return answer + bytes([0x91, status])
        if not apdu:
            return bytes([STATUS_LENGTH])
        status, answer = self._said(apdu[0], apdu[1:])
        return bytes([status]) + answer

    def _said(self, command: int, data: bytes) -> tuple[int, bytes]:
        if command == MORE_FRAMES:
            return self._continued(data)
        self._frames, self._sent, self._challenge = (), b"", None
        if command == AUTHENTICATE_AES:
            return self._challenged(data)
        if command == SELECT_APPLICATION:
            return self._select(data)
        if self._channel is not None:
            self._channel.mac(bytes([command]) + data)
        status, answer = self._plain(command, data)
        if status != STATUS_OK:
            self._channel = None  # an error ends the session
            return status, b""
        return self._framed(answer)

    def _framed(self, frames: tuple[bytes, ...]) -> tuple[int, bytes]:
        """Return the first of ``frames``; MORE_FRAMES fetches the others, the last one with the CMAC of all."""
        first, *rest = frames
        self._frames = tuple(rest)
        self._sent += first
        if rest:
            return STATUS_MORE, first
        if self._channel is None:
            return STATUS_OK, first
        return STATUS_OK, first + self._channel.mac(self._sent + bytes([STATUS_OK]))[:MAC_BYTES]

    def _plain(self, command: int, data: bytes) -> tuple[int, tuple[bytes, ...]]:
        card = self._contents
        if command == READ_DATA:
            status, answer = self._read(data)
            return status, (answer,)
        if command == GET_FILE_SETTINGS:
            return self._settings(data)
        lists: Mapping[int, tuple[bytes, ...]] = {GET_VERSION: (_HARDWARE, _SOFTWARE, card.uid + _BATCH_AND_WEEK)}
        if self._selected == _MASTER:
            lists = {**lists, GET_APPLICATION_IDS: (card.aid,)}
        else:
            lists = {**lists, GET_FILE_IDS: (bytes(card.files),)}
        if command not in lists:
            return STATUS_UNKNOWN_COMMAND, ()
        return (STATUS_LENGTH, ()) if data else (STATUS_OK, lists[command])

    def _settings(self, data: bytes) -> tuple[int, tuple[bytes, ...]]:
        if len(data) != 1:
            return STATUS_LENGTH, ()
        content = self._contents.files.get(data[0]) if self._selected == self._contents.aid else None
        if content is None:
            return STATUS_NO_FILE, ()
        key_number = min(self._contents.keys)
        rights = bytes([0xFF, key_number << 4 | 0x0F])  # read with our key; write, read-write and change: never
        return STATUS_OK, (b"\x00\x01" + rights + len(content).to_bytes(3, "little"),)

    def _select(self, data: bytes) -> tuple[int, bytes]:
        self._channel = None
        if data not in {_MASTER, self._contents.aid}:
            return (STATUS_NO_APPLICATION if len(data) == len(_MASTER) else STATUS_LENGTH), b""
        self._selected = data
        return STATUS_OK, b""

    def _challenged(self, data: bytes) -> tuple[int, bytes]:
        self._channel = None
        if len(data) != 1:
            return STATUS_LENGTH, b""
        key = self._contents.keys.get(data[0]) if self._selected == self._contents.aid else None
        if key is None:
            return STATUS_NO_SUCH_KEY, b""
        rnd_b = self._random(BLOCK)
        sent = secure_channel.encrypt(key, bytes(BLOCK), rnd_b)
        self._challenge = _Challenge(key=key, rnd_b=rnd_b, sent=sent)
        return STATUS_MORE, sent

    def _continued(self, data: bytes) -> tuple[int, bytes]:
        challenge, self._challenge = self._challenge, None
        if challenge is not None:
            return self._proved(challenge, data)
        if self._frames and not data:
            return self._framed(self._frames)
        return STATUS_ABORTED, b""

    def _proved(self, challenge: _Challenge, token: bytes) -> tuple[int, bytes]:
        if len(token) != 2 * BLOCK:
            return STATUS_LENGTH, b""
        said = secure_channel.decrypt(challenge.key, challenge.sent, token)
        rnd_a, shown = said[:BLOCK], said[BLOCK:]
        if not hmac.compare_digest(shown, secure_channel.rotated(challenge.rnd_b)):
            return STATUS_AUTHENTICATION, b""
        self._channel = SecureChannel(secure_channel.session_key(rnd_a, challenge.rnd_b))
        return STATUS_OK, secure_channel.encrypt(challenge.key, token[BLOCK:], secure_channel.rotated(rnd_a))

    def _read(self, data: bytes) -> tuple[int, bytes]:
        if len(data) != 7:
            return STATUS_LENGTH, b""
        content = self._contents.files.get(data[0]) if self._selected == self._contents.aid else None
        if content is None:
            return STATUS_NO_FILE, b""
        if self._channel is None:
            return STATUS_AUTHENTICATION, b""
        offset, length = int.from_bytes(data[1:4], "little"), int.from_bytes(data[4:7], "little")
        end = offset + length if length else len(content)
        if offset >= len(content) or end > len(content):
            return STATUS_BOUNDARY, b""
        return STATUS_OK, content[offset:end]


def _unwrapped(apdu: bytes) -> tuple[int | None, bytes]:
    """Return command and data of ``90 INS 00 00 [Lc data] 00``; None if lengths do not fit."""
    if len(apdu) < 5 or apdu[2:4] != b"\0\0" or apdu[-1] != 0:
        return None, b""
    if len(apdu) == 5:
        return apdu[1], b""
    return (apdu[1], apdu[5:-1]) if apdu[4] == len(apdu) - 6 else (None, b"")
