"""What the screen of a validator shows: values for the page, made of decisions. Pure."""

from typing import Literal

import msgspec

from fare.model import MediumKind
from fare.outcomes import TapOutcome
from fare.validator.decide import Decision, Holdings
from fare.validator.rules import Reason

State = Literal["in_service", "no_documents", "no_journal", "stopped"]


class Shown(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="shown"):
    """The answer to one tap. ``number`` rises, so that the same answer twice is seen to be two.

    ``history_code`` opens the medium's trips (``fare.history``); the screen shows it only to who asks for it.
    """

    number: int
    reader: str
    green: bool
    outcome: TapOutcome
    reason: Reason
    price_tiyn: int
    riders: int
    category: str
    balance_tiyn: int | None
    recorded: bool
    history_code: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="status"):
    """How the validator is. ``waiting``: records that the server does not have yet."""

    device_id: str
    vehicle_id: str
    route_id: str
    state: State
    online: bool
    waiting: int
    list_version: int
    list_age_s: int  # -1: no list
    clock_offset_ms: int
    companions: int
    prices: tuple[tuple[MediumKind, int], ...]  # tiyn, of the usual category on this line


def shown(decision: Decision, *, number: int, reader: str, recorded: bool, history_code: str = "") -> Shown:
    """Return what the screen shows of ``decision``."""
    return Shown(
        number=number,
        reader=reader,
        green=decision.green,
        outcome=decision.outcome,
        reason=decision.reason,
        price_tiyn=decision.shown_tiyn,
        riders=sum(rider.count for rider in decision.riders),
        category=decision.category or "",
        balance_tiyn=decision.balance_tiyn,
        recorded=recorded,
        history_code=history_code,
    )


def prices(held: Holdings | None, route_id: str, now_ms: int) -> tuple[tuple[MediumKind, int], ...]:
    """Return what one rider of the usual category pays with each kind of medium that is taken."""
    if held is None:
        return ()
    configuration = held.configuration
    found = (
        (rules.kind, held.fares.price(rules.kind, configuration.default_category, route_id, now_ms))
        for rules in configuration.kinds
    )
    return tuple((kind, price[0]) for kind, price in found if price is not None)
