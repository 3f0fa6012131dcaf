"""Bank cards and phones with one: what a certified reader says of them, one line of JSON for each showing.

The reader holds the EMV kernel, does offline data authentication and keeps the card number to itself (PCI PTS); from
it come ``{"token": …, "atc": …, "proof": …}``: the token or PAR that stands for the card, the card's application
transaction counter and ``verified``, ``unverified``, ``failed``, ``torn`` or ``clash``. Makers' own protocols differ;
a small adapter beside the reader's driver writes these lines to a TCP port of the validator's loopback.
``ReaderSettings.device`` is its ``host:port``. A line that cannot be taken is a failed showing, and never logged: it
could hold a card number.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from commons.logs import get_logger
from fare.media._base import Medium, MediumReader, Presented, Proof, ReaderSettings
from fare.media.tokens import TokenError, medium_id
from fare.model import MediumId, MediumKind

LINE_MAX_BYTES: Final = 4_096
COUNTER_MAX: Final = 65_535  # EMV 9F36 has two bytes

log = get_logger(__name__)


class ReaderGoneError(OSError):
    """The reader's adapter hung up or sends lines that never end."""


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    token: str = ""
    atc: int = -1
    proof: Proof


class CertifiedReader:
    """Showings as the adapter sends them."""

    def __init__(self, lines: asyncio.StreamReader, settings: ReaderSettings) -> None:
        self._lines = lines
        self._settings = settings

    async def __aiter__(self) -> AsyncIterator[Presented]:
        """Yield what is shown.

        Raises:
            ReaderGoneError: if the adapter hung up, or a line is longer than any of ours.
        """
        while True:
            try:
                line = await self._lines.readuntil(b"\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
                raise ReaderGoneError(f"bank card reader {self._settings.device}: {type(error).__name__}") from error
            yield presented(line, self._settings)


def presented(line: bytes, settings: ReaderSettings) -> Presented:
    """Return the showing that ``line`` tells of; a failed one if it cannot be taken."""
    read_ms = settings.now_ms()
    try:
        shown = msgspec.json.decode(line, type=_Shown)
        named = shown.proof in {Proof.VERIFIED, Proof.UNVERIFIED}
        name = MediumId("")
        if named:
            name = medium_id(MediumKind.BANK_CARD, shown.token, settings.token_keys.current)
        counter = shown.atc if named and 0 <= shown.atc <= COUNTER_MAX else -1
    except TokenError as error:
        log.error("bank card reader sends what names no card", refused=error.refused.value)  # noqa: TRY400
        return Presented(kind=MediumKind.BANK_CARD, read_ms=read_ms, proof=Proof.FAILED)
    except msgspec.DecodeError:
        log.error("bank card reader sends a line of the wrong form", length=len(line))  # noqa: TRY400
        return Presented(kind=MediumKind.BANK_CARD, read_ms=read_ms, proof=Proof.FAILED)
    return Presented(kind=MediumKind.BANK_CARD, medium_id=name, counter=counter, read_ms=read_ms, proof=shown.proof)


@asynccontextmanager
async def open_reader(settings: ReaderSettings) -> AsyncIterator[MediumReader]:
    """Connect to the adapter at ``settings.device`` while the block runs.

    Raises:
        ValueError: if ``settings.device`` is not ``host:port``.
        OSError: if nothing listens there.
    """
    host, colon, port = settings.device.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"bank card reader: device must be host:port: {settings.device!r}")
    reader, writer = await asyncio.open_connection(host, int(port), limit=LINE_MAX_BYTES)
    try:
        yield CertifiedReader(reader, settings)
    finally:
        writer.close()


MEDIUM = Medium(name="bank_card", kind=MediumKind.BANK_CARD, open_reader=open_reader)
