"""A drawer of cards to hold to an emulated reader. It is a reader as the others are: what it reads is decided and kept.

The cards exist in no pocket: their ids are made with a key that this file publishes, so no real medium can be one of
them, and ``ayaldama validator --emulate`` says on its screen that it is emulated.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from fare.media._base import Presented, Proof
from fare.media.tokens import TokenKey, medium_id
from fare.model import MediumId, MediumKind

KEY: Final = TokenKey(version=1, secret=b"drawer of cards!")
WAITING_MAX: Final = 100


class DrawerCard(msgspec.Struct, frozen=True, kw_only=True):
    """A card of the drawer. ``readable``: whether it proves that it is one of ours."""

    name: str
    kind: MediumKind
    readable: bool = True
    expires_ms: int = 0

    @property
    def medium_id(self) -> MediumId:
        """Return the id that its taps carry."""
        return medium_id(self.kind, self.name, KEY)


CARDS: Final = (
    DrawerCard(name="adult", kind=MediumKind.TRANSPORT_CARD),
    DrawerCard(name="pupil", kind=MediumKind.TRANSPORT_CARD),
    DrawerCard(name="pensioner", kind=MediumKind.TRANSPORT_CARD),
    DrawerCard(name="bank", kind=MediumKind.BANK_CARD),
    DrawerCard(name="denied", kind=MediumKind.TRANSPORT_CARD),
    DrawerCard(name="expired", kind=MediumKind.TRANSPORT_CARD, expires_ms=1_577_836_800_000),
    DrawerCard(name="foreign", kind=MediumKind.TRANSPORT_CARD, readable=False),
)


class EmulatedReader:
    """A reader whose cards are held to it by ``hold``."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._field: asyncio.Queue[Presented] = asyncio.Queue(WAITING_MAX)

    async def __aiter__(self) -> AsyncIterator[Presented]:
        """Yield what is held to it."""
        while True:
            yield await self._field.get()

    def hold(self, names: Sequence[str], *, torn: bool = False) -> None:
        """Hold the cards of these names to the reader, together; ``torn``: take them away too early.

        Raises:
            ValueError: if there is no card, or none of such a name.
            asyncio.QueueFull: if the reader has not read for long.
        """
        cards = [card for name in names for card in CARDS if card.name == name]
        if len(cards) != len(names) or not cards:
            raise ValueError(f"cards must be names of {[card.name for card in CARDS]}: {list(names)}")
        self._field.put_nowait(self._read(cards, torn=torn))

    def _read(self, cards: Sequence[DrawerCard], *, torn: bool) -> Presented:
        card, read_ms = cards[0], self._now_ms()
        if len(cards) > 1:
            return Presented(kind=card.kind, read_ms=read_ms, proof=Proof.CLASH)
        if torn or not card.readable:
            return Presented(kind=card.kind, read_ms=read_ms, proof=Proof.TORN if torn else Proof.FAILED)
        counts = card.kind is MediumKind.BANK_CARD
        return Presented(
            kind=card.kind,
            medium_id=card.medium_id,
            counter=read_ms // 1_000 if counts else -1,  # rises also over restarts, as a chip's does
            read_ms=read_ms,
            proof=Proof.VERIFIED,
            expires_ms=card.expires_ms,
        )
