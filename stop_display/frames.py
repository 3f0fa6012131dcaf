"""WebSocket frames of the server (RFC 6455), made once and written to any number of sockets. Pure.

A server's frames are not masked, so all boards of a stop get the same bytes. Our messages are whole text frames.
"""

import struct
from typing import Final

FINAL_TEXT: Final = 0x81
SHORT_MAX: Final = 125
SHORT_LENGTH: Final = 126
MEDIUM_MAX: Final = 0xFFFF
LONG_LENGTH: Final = 127


def text_frame(payload: bytes) -> bytes:
    """Return ``payload``, UTF-8 text, as one frame."""
    size = len(payload)
    if size <= SHORT_MAX:
        return bytes((FINAL_TEXT, size)) + payload
    if size <= MEDIUM_MAX:
        return struct.pack("!BBH", FINAL_TEXT, SHORT_LENGTH, size) + payload
    return struct.pack("!BBQ", FINAL_TEXT, LONG_LENGTH, size) + payload


def payload_of(frame: bytes) -> bytes:
    """Return the text of a frame made by ``text_frame``."""
    header = {SHORT_LENGTH: 4, LONG_LENGTH: 10}.get(frame[1], 2)
    return frame[header:]
