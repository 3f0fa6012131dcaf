"""Delivery receipts: what a centre says became of a message that it took from us. Pure.

A receipt is a deliver_sm whose esm_class says so. Its facts are in two optional parameters, or, as older centres do
it, in the text ``id:… sub:… dlvrd:… submit date:… done date:… stat:DELIVRD err:… text:…``. Source: SMPP 3.4 sections
5.2.28, 5.3.2.35 and appendix B. Nothing in a receipt proves who wrote it: who takes it checks that the message went
out through the same bind to the same number.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fare.gateways.smpp_pdu import ShortMessage, Tag

MESSAGE_ID_MAX: Final = 64

_TEXT_ID: Final = re.compile(rb"(?:^|\s)id:\s*([!-~]{1,64})", re.IGNORECASE)
_TEXT_STATE: Final = re.compile(rb"\bstat:\s*([A-Za-z]{3,13})", re.IGNORECASE)


class MessageState(enum.StrEnum):
    """What became of a message sent; order of section 5.2.28."""

    ENROUTE = enum.auto()
    DELIVERED = enum.auto()
    EXPIRED = enum.auto()
    DELETED = enum.auto()
    UNDELIVERABLE = enum.auto()
    ACCEPTED = enum.auto()
    UNKNOWN = enum.auto()
    REJECTED = enum.auto()


_BY_NUMBER: Final[Mapping[int, MessageState]] = dict(enumerate(MessageState, start=1))
_BY_WORD: Final[Mapping[str, MessageState]] = {
    "ENROUTE": MessageState.ENROUTE,
    "DELIVRD": MessageState.DELIVERED,
    "EXPIRED": MessageState.EXPIRED,
    "DELETED": MessageState.DELETED,
    "UNDELIV": MessageState.UNDELIVERABLE,
    "ACCEPTD": MessageState.ACCEPTED,
    "UNKNOWN": MessageState.UNKNOWN,
    "REJECTD": MessageState.REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One receipt. ``message_id`` is the centre's."""

    message_id: str
    state: MessageState


def read_receipt(message: ShortMessage) -> Receipt | None:
    """Return what ``message`` says became of which message, None if that cannot be read. Parameters count first."""
    message_id = message.parameters.get(Tag.RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0")
    number = message.parameters.get(Tag.MESSAGE_STATE, b"")
    state = _BY_NUMBER.get(number[0]) if len(number) == 1 else None
    if not message_id and (found := _TEXT_ID.search(message.content)):
        message_id = found[1]
    if state is None and (found := _TEXT_STATE.search(message.content)):
        state = _BY_WORD.get(found[1].decode("ascii").upper()[:7], MessageState.UNKNOWN)
    if state is None or not 0 < len(message_id) <= MESSAGE_ID_MAX or not message_id.isascii():
        return None
    return Receipt(message_id=message_id.decode("ascii"), state=state)
