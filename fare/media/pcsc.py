"""Cards through PC/SC: what is in the field of a reader, and APDUs to the card that is.

Everything here blocks; whoever reads in an event loop calls it in a thread. pyscard is needed (extra ``pcsc``) and
with it the system's PC/SC service, pcscd. A reader with several slots is one field: two cards in it at once are a
clash.
"""

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

HELP: Final = (
    "PC/SC needs pyscard: pip install 'ayaldama[pcsc]', which is built with swig and libpcsclite-dev "
    "(Debian, Ubuntu: apt install pcscd swig libpcsclite-dev gcc python3-dev)"
)


class PcscError(OSError):
    """The reader or the service behind it cannot be used. What was in the field is unknown."""

    def __init__(self, doing: str, reason: str) -> None:
        super().__init__(f"PC/SC: {doing}: {reason}")
        self.doing = doing
        self.reason = reason


class CardGoneError(Exception):
    """The card left the field before it had answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What is in the field: the slots that hold a card, and whether a card there can speak at all."""

    present: tuple[str, ...]
    mute: tuple[str, ...] = ()


class CardConnection:
    """A card in the field, spoken to by APDUs."""

    def __init__(self, scard: Any, card: Any, protocol: int) -> None:
        self._scard = scard
        self._card = card
        self._header = scard.SCARD_PCI_T1 if protocol == scard.SCARD_PROTOCOL_T1 else scard.SCARD_PCI_T0

    def transmit(self, apdu: bytes) -> bytes:
        """Return the card's answer.

        Raises:
            CardGoneError: if it left the field.
        """
        result, answer = self._scard.SCardTransmit(self._card, self._header, list(apdu))
        if result != self._scard.SCARD_S_SUCCESS:
            raise CardGoneError(self._scard.SCardGetErrorMessage(result))
        if not answer:  # vpcd's driver calls it a success when the card is gone
            raise CardGoneError("it answered nothing")
        return bytes(answer)


class PcscReader:
    """One PC/SC reader with all its slots. Belongs to one thread at a time."""

    def __init__(self, device: str) -> None:
        """Open the reader whose name begins with ``device``; "" is the first one found.

        Raises:
            PcscError: without pyscard, without the service, without such a reader.
        """
        try:
            self._scard: Any = importlib.import_module("smartcard.scard")
        except ImportError as error:
            raise PcscError("open", HELP) from error
        result, self._context = self._scard.SCardEstablishContext(self._scard.SCARD_SCOPE_USER)
        self._check("reach the service (is pcscd running?)", result)
        result, names = self._scard.SCardListReaders(self._context, [])
        found = [name for name in names if name.startswith(device)] if names else []
        if not found:
            self.close()
            raise PcscError("open", f"no reader named {device!r}, there are {list(names or ())}")
        reader = found[0].rpartition(" ")[0]  # PC/SC Lite ends a name with the number of its slot
        self._states = {name: self._scard.SCARD_STATE_UNAWARE for name in found if name.startswith(reader)}

    def close(self) -> None:
        """Let the service forget us."""
        self._scard.SCardReleaseContext(self._context)

    def wait(self, wait_s: float) -> Field | None:
        """Return what is in the field once that changes; None if it did not within ``wait_s``.

        Raises:
            PcscError: if the reader was unplugged or the service ended.
        """
        scard = self._scard
        asked = list(self._states.items())
        result, states = scard.SCardGetStatusChange(self._context, math.ceil(wait_s * 1_000), asked)
        if result == scard.SCARD_E_TIMEOUT:
            return None
        self._check("wait for a card", result)
        for name, state, _ in states:
            if state & (scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE):
                raise PcscError("wait for a card", f"reader {name} is gone")
            self._states[name] = state & ~scard.SCARD_STATE_CHANGED
        return Field(present=self._holding(scard.SCARD_STATE_PRESENT), mute=self._holding(scard.SCARD_STATE_MUTE))

    @contextmanager
    def card(self, slot: str) -> Iterator[CardConnection]:
        """Speak to the card in ``slot`` while the block runs; nobody else may meanwhile.

        Raises:
            CardGoneError: if there is none, any more.
        """
        scard = self._scard
        either = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, card, protocol = scard.SCardConnect(self._context, slot, scard.SCARD_SHARE_EXCLUSIVE, either)
        if result != scard.SCARD_S_SUCCESS:
            raise CardGoneError(scard.SCardGetErrorMessage(result))
        try:
            yield CardConnection(scard, card, protocol)
        finally:
            scard.SCardDisconnect(card, scard.SCARD_RESET_CARD)

    def _holding(self, flag: int) -> tuple[str, ...]:
        return tuple(name for name, state in self._states.items() if state & flag)

    def _check(self, doing: str, result: int) -> None:
        if result != self._scard.SCARD_S_SUCCESS:
            raise PcscError(doing, self._scard.SCardGetErrorMessage(result))
