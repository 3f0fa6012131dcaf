"""The city's transport card: DESFire in a PC/SC reader, named by its identifier file once it has proved its key."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from commons.clock import monotonic_s
from fare.media._base import Medium, MediumReader, Presented, Proof, ReaderSettings
from fare.media.desfire import Answer, CardError, CardIdentity, Dialogue, read_identity
from fare.media.pcsc import CardGoneError, Field, PcscReader
from fare.media.secure_channel import BLOCK
from fare.media.tokens import medium_id
from fare.model import MediumKind

POLL_S: Final = 0.25  # how soon a reader that is closed stops waiting


class TransportCardReader:
    """Showings of transport cards, one for each time a card comes into the empty field."""

    def __init__(self, reader: PcscReader, settings: ReaderSettings) -> None:
        self._reader = reader
        self._settings = settings
        self._answered = 0  # of the cards in the field: a card that stays is one showing

    async def __aiter__(self) -> AsyncIterator[Presented]:
        """Yield what is shown, until the reader is closed.

        Raises:
            PcscError: if the reader or its service is gone.
        """
        while True:
            shown = await asyncio.to_thread(self._next)
            if shown is not None:
                yield shown

    def _next(self) -> Presented | None:
        field = self._reader.wait(POLL_S)
        if field is None:
            return None
        answered, self._answered = self._answered, len(field.present)
        return self._read(field) if len(field.present) > answered else None

    def _read(self, field: Field) -> Presented:
        read_ms = self._settings.now_ms()
        if len(field.present) > 1:
            return _unnamed(Proof.CLASH, read_ms)
        if field.mute:
            return _unnamed(Proof.FAILED, read_ms)
        try:
            with self._reader.card(field.present[0]) as card:
                identity = carry(self._dialogue(), card.transmit)
        except CardGoneError:
            self._answered = 0
            return _unnamed(Proof.TORN, read_ms)
        except CardError:
            return _unnamed(Proof.FAILED, read_ms)
        joined = self._reader.wait(0.0)
        if joined is not None:
            self._answered = len(joined.present)
        if self._answered > 1:
            return _unnamed(Proof.CLASH, read_ms)
        return Presented(
            kind=MediumKind.TRANSPORT_CARD,
            medium_id=medium_id(MediumKind.TRANSPORT_CARD, identity.value, self._settings.token_keys.current),
            read_ms=read_ms,
            proof=Proof.VERIFIED,
            expires_ms=identity.expires_ms,
        )

    def _dialogue(self) -> Dialogue:
        settings = self._settings
        return read_identity(
            settings.card_application, settings.card_key, secrets.token_bytes(BLOCK), settings.answer_max_ms
        )


def carry(dialogue: Dialogue, transmit: Callable[[bytes], bytes]) -> CardIdentity:
    """Carry ``dialogue`` to its end over ``transmit``, measuring how long each answer takes.

    Raises:
        CardError: if the card is not taken.
        CardGoneError: whenever ``transmit`` raises it.
    """
    command = next(dialogue)
    while True:
        asked_s = monotonic_s()
        answer = transmit(command)
        try:
            command = dialogue.send(Answer(data=answer, took_ms=(monotonic_s() - asked_s) * 1_000))
        except StopIteration as done:
            identity: CardIdentity = done.value
            return identity


def _unnamed(proof: Proof, read_ms: int) -> Presented:
    return Presented(kind=MediumKind.TRANSPORT_CARD, read_ms=read_ms, proof=proof)


@asynccontextmanager
async def open_reader(settings: ReaderSettings) -> AsyncIterator[MediumReader]:
    """Open the PC/SC reader ``settings.device`` while the block runs.

    Raises:
        PcscError: if there is no such reader, no service or no pyscard.
    """
    reader = await asyncio.to_thread(PcscReader, settings.device)
    try:
        yield TransportCardReader(reader, settings)
    finally:
        await asyncio.to_thread(reader.close)


MEDIUM = Medium(name="transport_card", kind=MediumKind.TRANSPORT_CARD, open_reader=open_reader)
