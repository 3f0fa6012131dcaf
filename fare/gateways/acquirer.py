"""What an acquirer of bank cards does for us, whatever it speaks: authorise, capture, refund, reverse.

A question without an answer is the hard case: the money may have moved. So every request is kept durably before its
first byte is sent (``AttemptLog.begin``), and one that stays unanswered is reversed, again and again, until the
acquirer says so. An approval that comes late changes nothing: the reversal has won. A key moves money once, however
often it is asked for.

Amounts are integer tiyn, times UTC epoch milliseconds. A card is named by the token that its certified reader made for
this acquirer, never by its number.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from fare.media.tokens import Refused, TokenError, holds_pan
from fare.model import JournalKey
from fare.risk.values import Answered, Decline, FareKind

CARD_TOKEN_MAX: Final = 64  # characters


class Asked(enum.StrEnum):
    """What is asked of the acquirer."""

    AUTHORISE = enum.auto()
    CAPTURE = enum.auto()
    REFUND = enum.auto()
    REVERSE = enum.auto()


class CardRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``key`` names it for ever; ``original`` is the authorisation that capture, refund, reversal are of.

    Raises:
        ValueError: if the amount is negative, or an original is missing or too much.
        TokenError: if ``card_token`` is empty, too long or holds what looks like a card number.
    """

    key: JournalKey
    asked: Asked
    amount_tiyn: int
    card_token: str
    terminal_id: str  # 8 characters: each validator its own, as card schemes ask
    occurred_ms: int  # of the tap or of the decision, not of the sending
    fare_kind: FareKind
    original: JournalKey | None = None

    def __post_init__(self) -> None:
        """Refuse what must never be sent."""
        if self.amount_tiyn < 0:
            raise ValueError(f"card request {self.key}: amount_tiyn must not be negative: {self.amount_tiyn}")
        if (self.asked is Asked.AUTHORISE) != (self.original is None):
            raise ValueError(f"card request {self.key}: {self.asked.value} with original {self.original!r}")
        if not self.card_token:
            raise TokenError(Refused.EMPTY, 0)
        if len(self.card_token) > CARD_TOKEN_MAX:
            raise TokenError(Refused.TOO_LONG, len(self.card_token))
        if holds_pan(self.card_token):
            raise TokenError(Refused.CARD_NUMBER, len(self.card_token))


class CardResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request. ``reference`` is the acquirer's retrieval reference: what reconciliation joins by."""

    answered: Answered
    decline: Decline | None = None
    code: str = ""  # the acquirer's own response code
    approval: str = ""  # the issuer's approval code
    reference: str = ""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What names a message on the wire: its number, unique on its day, and when it was first sent."""

    stan: int  # system trace audit number, 1 to 999999
    sent_ms: int


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the log keeps it."""

    request: CardRequest
    trace: Trace
    result: CardResult | None = None  # None: begun, and nothing known yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What ``AttemptLog.begin`` found. Only who gets ``fresh`` sends; others wait for what that one finds out."""

    attempt: Attempt
    fresh: bool


def reversal_of(request: CardRequest) -> CardRequest:
    """Return the request that takes ``request`` back when nobody knows what became of it. It has a key of its own."""
    return msgspec.structs.replace(
        request, key=JournalKey(f"{request.key}:reversal"), asked=Asked.REVERSE, original=request.key
    )


def check_follows(request: CardRequest, original: Attempt) -> None:
    """Refuse what must not follow ``original``: money out of nothing, or more of it than was authorised.

    A first ride is captured although its authorisation, of a nominal amount as a rule, was declined.

    Raises:
        ValueError: if the original was not answered as it must have been, or was for less.
    """
    answered = original.result.answered if original.result is not None else Answered.UNKNOWN
    first_ride = request.asked is Asked.CAPTURE and request.fare_kind is FareKind.FIRST_RIDE_RISK
    needed = Answered.DECLINED if first_ride else Answered.APPROVED
    if request.asked is not Asked.REVERSE and answered is not needed:
        raise ValueError(f"card request {request.key}: original {request.original} is {answered.value}")
    if not first_ride and request.amount_tiyn > original.request.amount_tiyn:
        raise ValueError(
            f"card request {request.key}: {request.amount_tiyn} tiyn of {original.request.amount_tiyn} authorised"
        )


class KeyReusedError(Exception):
    """A key was used for another request: a bug or a fraud, never a success."""

    def __init__(self, key: JournalKey) -> None:
        super().__init__(f"card request {key}: the key names another request")
        self.key = key


class AttemptLog(Protocol):
    """The durable memory of requests. Each method returns once what it says is durable."""

    async def begin(self, request: CardRequest, now_ms: int) -> Begun:
        """Keep ``request`` with a trace number of its own, or return what is kept under its key.

        Raises:
            KeyReusedError: if the key is kept with another request.
        """

    async def find(self, key: JournalKey) -> Attempt | None:
        """Return what is kept under ``key``."""

    async def finish(self, key: JournalKey, result: CardResult) -> None:
        """Keep what became of a request."""

    async def owed(self) -> Sequence[Attempt]:
        """Return what was begun and has no result or an UNKNOWN one, in the order in which it was begun."""


class Acquirer(Protocol):
    """Moves money of bank cards. Safe to call again with the same request: the first answer counts."""

    async def ask(self, request: CardRequest) -> CardResult:
        """Return what became of ``request``.

        Raises:
            KeyReusedError: if its key names another request.
            LookupError: if its original is not known.
            ValueError: if it must not follow its original (``check_follows``).
        """
