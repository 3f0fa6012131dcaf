"""Ask an acquirer for what is due of a bank card, in the messages that this takes.

A verification is authorised and released; a charge is authorised and captured; a first ride that was declined is
captured alone. Each message has a key that follows from the key of what is due, so that asking again, after a crash or
by another worker, sends what was not sent yet and nothing twice.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from fare.gateways.acquirer import Acquirer, Asked, CardRequest
from fare.model import JournalKey
from fare.risk.values import Answered, Due, FareKind, Reply

_UNDER_WAY: Final = frozenset(
    {Answered.APPROVED, Answered.UNKNOWN}
)  # an advice without answer is said again until it has


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAtReader:
    """The card as it was last shown: its token for this acquirer, where, and when."""

    card_token: str
    terminal_id: str
    shown_ms: int


async def charge(due: Due, card: CardAtReader, acquirer: Acquirer, now_ms: int) -> Reply:
    """Return what became of ``due``. UNKNOWN: ask again later with the same ``due``; nothing is charged twice.

    A crash right after a verification was released makes it be asked for once more.

    Raises:
        KeyReusedError: if the key of ``due`` was used for something else.
    """
    first = CardRequest(
        key=due.key,
        asked=Asked.CAPTURE if due.kind is FareKind.FIRST_RIDE_RISK else Asked.AUTHORISE,
        amount_tiyn=due.amount_tiyn,
        card_token=card.card_token,
        terminal_id=card.terminal_id,
        occurred_ms=card.shown_ms,
        fare_kind=due.kind,
        original=due.original,
    )
    result = await acquirer.ask(first)
    if first.asked is Asked.CAPTURE or result.answered is not Answered.APPROVED:
        return Reply(
            key=due.key, answered=result.answered, decline=result.decline, at_ms=now_ms, reference=result.reference
        )
    verification = due.kind is FareKind.VERIFICATION
    second = msgspec.structs.replace(
        first,
        key=JournalKey(f"{due.key}:{'release' if verification else 'capture'}"),
        asked=Asked.REVERSE if verification else Asked.CAPTURE,
        original=due.key,
    )
    followed = await acquirer.ask(second)
    if followed.answered is Answered.NOT_SENT:
        return Reply(key=due.key, answered=Answered.UNKNOWN, at_ms=now_ms)
    if verification or followed.answered in _UNDER_WAY:
        return Reply(key=due.key, answered=Answered.APPROVED, at_ms=now_ms, reference=followed.reference)
    return Reply(key=due.key, answered=followed.answered, decline=followed.decline, at_ms=now_ms)
