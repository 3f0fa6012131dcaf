"""How a validator asks for documents: signed, so that lists of media go to devices of the city alone. Pure."""

from typing import Final

import msgspec

from fare.model import DeviceId
from fare.validator.batches import DeviceKey, Receiving
from fare.validator.documents import DocumentKind
from fare.validator.signing import Purpose, Signed, SigningKey, is_signed_by


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of each document a device holds, and how far its journal is.

    ``recorded``: the last sequence of the journal, None while it is not open. Where nobody taps, this is all that says
    that no tap is under way.
    """

    device_id: DeviceId
    sent_ms: int
    recorded: int | None = None
    held: tuple[tuple[DocumentKind, str, int], ...]


_decoder: Final = msgspec.msgpack.Decoder(Asking)


def make_asking(asking: Asking, key: SigningKey) -> Signed:
    """Return ``asking`` signed by the device."""
    return key.sign(Purpose.ASKING, msgspec.msgpack.encode(asking))


def open_asking(signed: Signed, key: DeviceKey | None) -> Asking | Receiving:
    """Return what is asked, or why it is not answered."""
    if key is None or not is_signed_by(signed, Purpose.ASKING, key.public):
        return Receiving.WRONG_KEY
    if key.revoked:
        return Receiving.REVOKED
    try:
        return _decoder.decode(signed.body)
    except (msgspec.DecodeError, ValueError):
        return Receiving.MALFORMED
