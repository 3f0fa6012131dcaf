"""Texts to what a short message can carry, and back: alphabets, and long texts in parts. Pure.

A part holds 140 octets: 160 letters of GSM 7 bit, or 70 UCS-2 characters; a text in parts gives six octets of each to
the header that numbers them, which leaves 153 or 67. We write only two codings: UCS-2, and those letters that GSM 7
bit and ASCII share, because nobody can say which of the two a centre's default alphabet is. Kazakh and Russian
letters are in neither.

Sources: 3GPP TS 23.038 (alphabets, data coding scheme), TS 23.040 section 9.2.3.24.1 and .8 (parts), SMPP 3.4
section 5.2.19.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fare.gateways.smpp_pdu import ESM_UDH, ShortMessage, Tag
from fare.sms.values import PLAIN, PLAIN_MAX, UCS2_MAX

DEFAULT: Final = 0x00
UCS2: Final = 0x08
PLAIN_PART: Final = 153
UCS2_PART: Final = 67
PARTS_SENT_MAX: Final = 255
PARTS_TAKEN_MAX: Final = 6  # what a rider sends is one line; more parts are a mistake or an attack
WAITS_MS: Final = 5 * 60_000  # how long parts wait for the rest
OPEN_PER_SENDER_MAX: Final = 2
OPEN_MAX: Final = 5_000  # of all senders; the oldest makes room

_CONCATENATED_8: Final = 0x00
_CONCATENATED_16: Final = 0x08
_ESCAPE: Final = 0x1B
_ESCAPED: Final[Mapping[int, str]] = dict(zip(b"\x0a\x14\x28\x29\x2f\x3c\x3d\x3e\x40\x65", "\f^{}\\[~]|€", strict=True))
_GSM: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_CHARSETS: Final[Mapping[int, str]] = {0x01: "ascii", 0x03: "latin-1", 0x06: "iso8859-5", UCS2: "utf-16-be"}


class Alphabet(enum.StrEnum):
    """What a centre's default alphabet (data_coding 0) is: it says so in its paper, never on the wire."""

    GSM = enum.auto()
    LATIN1 = enum.auto()


class Unreadable(enum.StrEnum):
    """Why a short message is no text."""

    BINARY = enum.auto()  # data_coding of octets, or one that nobody defined
    MALFORMED = enum.auto()  # header or letters are not what they must be
    TOO_MANY_PARTS = enum.auto()


class SegmentError(Exception):
    """A short message that cannot be read; ``reason`` says why."""

    def __init__(self, reason: Unreadable) -> None:
        super().__init__(f"short message: {reason.value}")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a text, ``number`` of ``total`` from 1; a whole text is 1 of 1."""

    content: bytes
    data_coding: int
    reference: int = 0
    number: int = 1
    total: int = 1

    @property
    def esm_class(self) -> int:
        """Return what submit_sm says of it."""
        return ESM_UDH if self.total > 1 else 0

    @property
    def with_header(self) -> bytes:
        """Return what goes into short_message."""
        if self.total == 1:
            return self.content
        return bytes((5, _CONCATENATED_8, 3, self.reference & 0xFF, self.total, self.number)) + self.content


def split(text: str, reference: int) -> tuple[Part, ...]:
    """Return ``text`` in as few parts as carry it. ``reference`` is what they have in common (its last eight bits).

    Raises:
        ValueError: if it is empty or needs more than 255 parts.
    """
    if not text:
        raise ValueError("short message: text must not be empty")
    plain = PLAIN.issuperset(text)
    encoded = text.encode("ascii") if plain else text.encode("utf-16-be", "replace")
    unit = 1 if plain else 2
    whole, part = (PLAIN_MAX, PLAIN_PART) if plain else (UCS2_MAX * unit, UCS2_PART * unit)
    coding = DEFAULT if plain else UCS2
    if len(encoded) <= whole:
        return (Part(content=encoded, data_coding=coding),)
    contents = []
    at = 0
    while at < len(encoded):
        end = at + part
        if not plain and end < len(encoded) and 0xD8 <= encoded[end - 2] <= 0xDB:
            end -= 2  # a surrogate pair stays in one part: phones show each part as it comes
        contents.append(encoded[at:end])
        at = end
    if len(contents) > PARTS_SENT_MAX:
        raise ValueError(f"short message: {len(contents)} parts, at most {PARTS_SENT_MAX}")
    return tuple(
        Part(content=content, data_coding=coding, reference=reference & 0xFF, number=number, total=len(contents))
        for number, content in enumerate(contents, start=1)
    )


def read_part(message: ShortMessage) -> Part:
    """Return the part that ``message`` is, by its user data header or by its sar parameters.

    Raises:
        SegmentError: if the header is malformed.
    """
    content, reference, number, total = message.content, 0, 1, 1
    if message.has_header:
        elements, content = _read_header(content)
        if _CONCATENATED_8 in elements and len(elements[_CONCATENATED_8]) == 3:
            reference, total, number = elements[_CONCATENATED_8]
        elif _CONCATENATED_16 in elements and len(elements[_CONCATENATED_16]) == 4:
            high, low, total, number = elements[_CONCATENATED_16]
            reference = high << 8 | low
    elif Tag.SAR_TOTAL in message.parameters:
        reference, total, number = (
            int.from_bytes(message.parameters.get(tag, b"")[:2], "big")
            for tag in (Tag.SAR_REFERENCE, Tag.SAR_TOTAL, Tag.SAR_NUMBER)
        )
    if not 1 <= number <= total:
        raise SegmentError(Unreadable.MALFORMED)
    return Part(content=content, data_coding=message.data_coding, reference=reference, number=number, total=total)


def read_text(content: bytes, data_coding: int, default: Alphabet) -> str:
    """Return the text of ``content``.

    Raises:
        SegmentError: if it is no text, or not one in its alphabet.
    """
    coding = _plain_coding(data_coding)
    if coding == DEFAULT:
        return _read_gsm(content) if default is Alphabet.GSM else content.decode("latin-1")
    charset = _CHARSETS.get(coding)
    if charset is None:
        raise SegmentError(Unreadable.BINARY)
    try:
        return content.decode(charset)
    except UnicodeDecodeError as error:
        raise SegmentError(Unreadable.MALFORMED) from error


@dataclass(slots=True)
class _Open:
    since_ms: int
    parts: dict[int, Part] = field(default_factory=dict)


class Joiner:
    """Joins parts that come in any order, some twice, some never. What it holds is bounded whatever is sent."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int, int], _Open] = {}  # by sender, reference and total, the oldest first

    def __len__(self) -> int:
        """Return how many texts wait for parts."""
        return len(self._open)

    def add(self, sender: str, part: Part, now_ms: int) -> bytes | None:
        """Return the whole content once ``part`` completes it, else None.

        Raises:
            SegmentError: if the text has more parts than any honest one.
        """
        if part.total == 1:
            return part.content
        if part.total > PARTS_TAKEN_MAX:
            raise SegmentError(Unreadable.TOO_MANY_PARTS)
        self.forget(now_ms)
        key = (sender, part.reference, part.total)
        waiting = self._open.get(key)
        if waiting is None:
            self._make_room(sender)
            waiting = self._open[key] = _Open(now_ms)
        waiting.parts.setdefault(part.number, part)
        if len(waiting.parts) < part.total:
            return None
        del self._open[key]
        return b"".join(waiting.parts[number].content for number in range(1, part.total + 1))

    def forget(self, now_ms: int) -> int:
        """Forget what waited too long; return how many texts."""
        late = []
        for key, waiting in self._open.items():
            if now_ms - waiting.since_ms <= WAITS_MS:
                break
            late.append(key)
        for key in late:
            del self._open[key]
        return len(late)

    def _make_room(self, sender: str) -> None:
        own = [key for key in self._open if key[0] == sender]
        if len(own) >= OPEN_PER_SENDER_MAX:
            del self._open[own[0]]
        elif len(self._open) >= OPEN_MAX:
            del self._open[next(iter(self._open))]


def _read_header(content: bytes) -> tuple[dict[int, bytes], bytes]:
    if not content or content[0] + 1 > len(content):
        raise SegmentError(Unreadable.MALFORMED)
    header, rest = content[1 : 1 + content[0]], content[1 + content[0] :]
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(header):
        if at + 2 > len(header) or at + 2 + header[at + 1] > len(header):
            raise SegmentError(Unreadable.MALFORMED)
        elements[header[at]] = header[at + 2 : at + 2 + header[at + 1]]  # the last of its kind counts
        at += 2 + header[at + 1]
    return elements, rest


def _plain_coding(data_coding: int) -> int:
    """Return the alphabet that ``data_coding`` names, without class and compression (TS 23.038 section 4)."""
    if data_coding < 0x10:
        return data_coding
    group = data_coding >> 4
    if group in (0x1, 0x5):  # general data coding, with a message class, not compressed
        return {0b00: DEFAULT, 0b10: UCS2}.get(data_coding >> 2 & 0b11, 0x04)
    if group == 0xF:
        return DEFAULT if not data_coding & 0b100 else 0x04
    return 0x04


def _read_gsm(content: bytes) -> str:
    if any(octet > 0x7F for octet in content):
        raise SegmentError(Unreadable.MALFORMED)
    letters = []
    escaped = False
    for octet in content:
        if escaped:
            letters.append(_ESCAPED.get(octet, _GSM[octet]))
        elif octet != _ESCAPE:
            letters.append(_GSM[octet])
        escaped = octet == _ESCAPE and not escaped
    return "".join(letters)
