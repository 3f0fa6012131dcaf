"""What a passenger's medium says when it is shown to a reader, and what a reader is.

A medium is the key, the account is the money: nothing of value is read from it or written to it. A new medium is one
new file of ``fare.media.readers`` with one constant, ``MEDIUM = Medium(...)``.
"""

import enum
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from fare.media.desfire import ANSWER_MAX_MS, CardApplication
from fare.media.tokens import TokenKeys
from fare.model import MediumId, MediumKind


class Proof(enum.StrEnum):
    """How sure a reader is of what was shown to it, in order of precedence."""

    CLASH = enum.auto()  # two media in the field: which one would pay is unknown, so none does
    TORN = enum.auto()  # it left the field before the end: hold it again
    FAILED = enum.auto()  # no medium of ours, or it does not know our key
    STALE = enum.auto()  # a phone's code of ours that is not of now
    UNVERIFIED = enum.auto()  # it gave a name that it could not prove, as a typed or printed one
    VERIFIED = enum.auto()  # it proved to know its key, or a certified reader says that it did


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """One showing of a medium to a reader. Times are UTC epoch milliseconds by the device's clock.

    Raises:
        ValueError: if ``medium_id`` is missing where the proof needs one, or given where none can be known.
    """

    kind: MediumKind
    medium_id: MediumId = MediumId("")  # "" when the proof is CLASH, TORN, FAILED or STALE
    counter: int = -1  # EMV application transaction counter, or the second of a phone's code; -1: it has none
    read_ms: int
    proof: Proof
    expires_ms: int = 0  # when the medium's own life ends, by what it says; 0: never

    def __post_init__(self) -> None:
        """Refuse a name without proof, and a proof without a name."""
        named = self.proof in {Proof.VERIFIED, Proof.UNVERIFIED}
        if named != bool(self.medium_id):
            raise ValueError(f"presented.medium_id of a {self.proof.value} medium: {self.medium_id!r}")


class MediumReader(Protocol):
    """A reader that is open. Iterating it gives showings as they happen and ends when the reader is closed."""

    def __aiter__(self) -> AsyncIterator[Presented]:
        """Return what is shown from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """What every reader is opened with: its own name for the driver, the keys of its media, the device's clock."""

    device: str = ""  # PC/SC reader name or what the driver calls it; "": the first one found
    token_keys: TokenKeys
    card_application: CardApplication
    card_key: bytes = field(repr=False)  # AES-128 master key that each transport card's own is derived from
    answer_max_ms: float = ANSWER_MAX_MS
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """A plug-in: which medium it reads and how its reader is opened for as long as a block runs."""

    name: str
    kind: MediumKind
    open_reader: Callable[[ReaderSettings], AbstractAsyncContextManager[MediumReader]]
