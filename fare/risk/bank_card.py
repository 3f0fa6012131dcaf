"""What to ask an acquirer for a bank card that rides, and what its answer makes of the card. Pure.

A ride is given first and paid later: ``rode`` keeps what the day's bill says, ``due`` says what to ask now, ``asked``
notes it, ``answered`` draws the conclusion. Each takes a card and returns one. All of them may be called again with
the same arguments: a bill is a total and not an addition, a key follows from the state, an answer counts once. So one
window is charged once, whatever is repeated and by however many workers (incident I1).

Whether a card is denied is not kept but follows from its windows (``denied``): who pays is off the list by that alone.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from fare.model import JournalKey
from fare.risk.values import (
    Answered,
    BankCard,
    Denial,
    Due,
    FareKind,
    PayWindow,
    Reply,
    RiskRules,
    Trigger,
    WindowState,
)

_RECOVERIES: Final[Mapping[Trigger, FareKind]] = {
    Trigger.SCHEDULE: FareKind.DEBT_RECOVERY_SCHEDULE,
    Trigger.TAP: FareKind.DEBT_RECOVERY_TAP,
    Trigger.RIDER: FareKind.DEBT_RECOVERY_RIDER,
}
_RIDING: Final = frozenset({WindowState.NO_AUTH_DONE, WindowState.OPEN})
_DEBTS: Final = frozenset({WindowState.DEBT, WindowState.DEBT_FINAL})


def rode(
    card: BankCard, service_date: str, owed_tiyn: int, tapped_ms: int, closes_ms: int, rules: RiskRules
) -> BankCard:
    """Return ``card`` with the bill of a day: what all its rides cost now, also those that were uploaded late.

    Raises:
        ValueError: if ``owed_tiyn`` is negative.
    """
    if owed_tiyn < 0:
        raise ValueError(f"bank card: owed_tiyn of {service_date} must not be negative: {owed_tiyn}")
    window = _window(card, service_date)
    if window is None:
        ever = card.approved_ms >= 0 and not card.declined_since_approved
        verified = ever and tapped_ms - card.approved_ms < rules.verify_again_ms
        state = WindowState.OPEN if verified else WindowState.NO_AUTH_DONE
        window = PayWindow(
            service_date=service_date, state=state, opened_ms=tapped_ms, closes_ms=closes_ms, owed_tiyn=owed_tiyn
        )
        windows = sorted([*card.windows, window], key=lambda one: one.service_date)
        return msgspec.structs.replace(card, windows=tuple(windows))
    reopened = window.state is WindowState.CLOSED and owed_tiyn > window.settled_tiyn
    changed = msgspec.structs.replace(
        window,
        owed_tiyn=owed_tiyn,
        opened_ms=min(window.opened_ms, tapped_ms),
        state=WindowState.OPEN if reopened else window.state,
    )
    if changed.state is WindowState.AUTH_DECLINED and changed.unpaid_tiyn > rules.first_ride_max_tiyn:
        changed = msgspec.structs.replace(changed, state=WindowState.DEBT)
    return _with(card, _closed_if_paid(changed) if window.state in _DEBTS else changed)


def due(card: BankCard, trigger: Trigger, now_ms: int, rules: RiskRules) -> Due | None:
    """Return what to ask the acquirer now, oldest window first; None: nothing, or an answer is still awaited."""
    if card.pending is not None:
        return None
    for window in card.windows:
        kind = _kind_due(window, trigger, now_ms, rules)
        if kind is not None:
            verification = kind is FareKind.VERIFICATION
            amount_tiyn = rules.nominal_tiyn if verification else window.unpaid_tiyn
            return _next(card, kind, window.service_date, amount_tiyn)
    by_hand = trigger is Trigger.RIDER or (trigger is Trigger.TAP and now_ms - card.declined_ms >= rules.tap_gap_ms)
    if by_hand and denied(card) is Denial.AUTH_DECLINED:
        return _next(card, FareKind.VERIFICATION, "", rules.nominal_tiyn)
    return None


def asked(card: BankCard, request: Due) -> BankCard:
    """Return ``card`` waiting for the answer to ``request``. To be kept before the request is sent.

    Raises:
        ValueError: if the card waits for another answer, or ``request`` is not its next one.
    """
    if card.pending == request:
        return card
    if card.pending is not None or request.key != _key(card):
        raise ValueError(f"bank card: {request.key} is not the next request: {card.pending or _key(card)}")
    return msgspec.structs.replace(card, pending=request, requests=card.requests + 1)


def answered(card: BankCard, reply: Reply, rules: RiskRules) -> BankCard:
    """Return what ``reply`` makes of ``card``. An answer to what it does not wait for changes nothing."""
    request = card.pending
    if request is None or reply.key != request.key or reply.answered is Answered.UNKNOWN:
        return card
    card = msgspec.structs.replace(card, pending=None)
    if reply.answered is Answered.APPROVED:
        return _approved(card, request, reply.at_ms)
    if reply.answered is Answered.DECLINED and reply.decline is not None and reply.decline.of_the_rider:
        return _declined(card, request, reply, rules, final=reply.decline.final)
    return _each(card, request, lambda window: _later(window, reply.at_ms, rules.retry_ms))


def paid_otherwise(card: BankCard, service_date: str, settled_tiyn: int, at_ms: int) -> BankCard:
    """Return ``card`` once the rider paid a window by other means; ``settled_tiyn`` is all that was paid for it.

    Raises:
        LookupError: if there is no such window.
    """
    window = _window(card, service_date)
    if window is None:
        raise LookupError(f"bank card {card.medium_id}: no rides on {service_date}")
    paid = msgspec.structs.replace(window, settled_tiyn=max(window.settled_tiyn, settled_tiyn))
    card = _with(card, _closed_if_paid(paid) if window.state not in _RIDING else paid)
    return msgspec.structs.replace(card, paid_ms=max(card.paid_ms, at_ms))


def day_over(card: BankCard, now_ms: int) -> BankCard:
    """Return ``card`` with the windows closed whose day is over and that owe nothing: nobody needs to be asked."""
    windows = tuple(
        _closed_if_paid(window) if window.closes_ms <= now_ms and window.state not in _DEBTS else window
        for window in card.windows
    )
    return msgspec.structs.replace(card, windows=windows)


def denied(card: BankCard) -> Denial | None:
    """Return why the card must not ride, None if it may."""
    states = {window.state for window in card.windows}
    if WindowState.DEBT_FINAL in states:
        return Denial.DEBT_FINAL
    if WindowState.DEBT in states:
        return Denial.DEBT
    return Denial.AUTH_DECLINED if card.declined_ms > max(card.approved_ms, card.paid_ms) else None


def _kind_due(window: PayWindow, trigger: Trigger, now_ms: int, rules: RiskRules) -> FareKind | None:
    """Return what the window asks for now."""
    in_time = now_ms >= window.next_ms
    kind: FareKind | None = None
    if window.state is WindowState.NO_AUTH_DONE:
        kind = FareKind.VERIFICATION if in_time else None
    elif window.unpaid_tiyn <= 0 or window.state is WindowState.CLOSED:
        kind = None
    elif window.state is WindowState.OPEN:
        ripe = now_ms >= window.closes_ms or window.unpaid_tiyn >= rules.aggregate_max_tiyn
        kind = FareKind.AGGREGATED if ripe and in_time else None
    elif window.state is WindowState.AUTH_DECLINED:
        kind = FareKind.FIRST_RIDE_RISK if in_time else None
    elif _may_recover(window, trigger, now_ms, rules):
        kind = _RECOVERIES[trigger]
    return kind


def _may_recover(window: PayWindow, trigger: Trigger, now_ms: int, rules: RiskRules) -> bool:
    if trigger is Trigger.RIDER:
        return True
    if window.state is WindowState.DEBT_FINAL:
        return False
    if trigger is Trigger.TAP:
        return now_ms - window.tried_ms >= rules.tap_gap_ms
    return now_ms >= window.next_ms


def _approved(card: BankCard, request: Due, at_ms: int) -> BankCard:
    if request.kind is FareKind.FIRST_RIDE_RISK:  # the scheme pays; the issuer has not said that the card is good
        return _each(card, request, lambda window: _first_ride_paid(window, request.amount_tiyn, at_ms))
    card = msgspec.structs.replace(card, approved_ms=at_ms)
    if request.kind is not FareKind.VERIFICATION:
        return _each(card, request, lambda window: _paid(window, request.amount_tiyn, at_ms))
    windows = tuple(
        msgspec.structs.replace(window, state=WindowState.OPEN, tried_ms=at_ms)
        if window.state is WindowState.NO_AUTH_DONE
        else window
        for window in card.windows
    )
    return msgspec.structs.replace(card, windows=windows)


def _declined(card: BankCard, request: Due, reply: Reply, rules: RiskRules, *, final: bool) -> BankCard:
    first = not card.declined_since_approved
    card = msgspec.structs.replace(card, declined_ms=reply.at_ms, declined_key=reply.key)
    if request.service_date == "":
        return card

    def changed(window: PayWindow) -> PayWindow:
        recovery = window.state in _DEBTS
        recoveries = window.recoveries + recovery
        gap_ms = rules.recovery_gaps_ms[min(recoveries, len(rules.recovery_gaps_ms) - 1)]
        scheme_bears = first and not final and request.kind is not FareKind.FIRST_RIDE_RISK
        if not recovery and scheme_bears and window.unpaid_tiyn <= rules.first_ride_max_tiyn:
            return msgspec.structs.replace(window, state=WindowState.AUTH_DECLINED, tried_ms=reply.at_ms)
        exhausted = final or recoveries >= rules.recoveries_max
        return msgspec.structs.replace(
            window,
            state=WindowState.DEBT_FINAL if exhausted else WindowState.DEBT,
            recoveries=recoveries,
            tried_ms=reply.at_ms,
            next_ms=reply.at_ms + gap_ms,
        )

    return _each(card, request, changed)


def _paid(window: PayWindow, amount_tiyn: int, at_ms: int) -> PayWindow:
    paid = msgspec.structs.replace(window, settled_tiyn=window.settled_tiyn + amount_tiyn, tried_ms=at_ms)
    still_riding = window.state in _RIDING and at_ms < window.closes_ms
    return paid if still_riding else _closed_if_paid(paid)


def _first_ride_paid(window: PayWindow, amount_tiyn: int, at_ms: int) -> PayWindow:
    paid = msgspec.structs.replace(window, settled_tiyn=window.settled_tiyn + amount_tiyn, tried_ms=at_ms)
    return _closed_if_paid(
        msgspec.structs.replace(paid, state=WindowState.DEBT)
    )  # nobody bears the risk of later rides


def _later(window: PayWindow, at_ms: int, retry_ms: int) -> PayWindow:
    return msgspec.structs.replace(window, next_ms=at_ms + retry_ms)


def _closed_if_paid(window: PayWindow) -> PayWindow:
    if window.unpaid_tiyn > 0:
        return window
    return msgspec.structs.replace(window, state=WindowState.CLOSED)


def _window(card: BankCard, service_date: str) -> PayWindow | None:
    return next((window for window in card.windows if window.service_date == service_date), None)


def _with(card: BankCard, changed: PayWindow) -> BankCard:
    windows = (changed if one.service_date == changed.service_date else one for one in card.windows)
    return msgspec.structs.replace(card, windows=tuple(windows))


def _each(card: BankCard, request: Due, change: Callable[[PayWindow], PayWindow]) -> BankCard:
    """Return ``card`` with the window of ``request`` changed."""
    window = _window(card, request.service_date)
    return card if window is None else _with(card, change(window))


def _next(card: BankCard, kind: FareKind, service_date: str, amount_tiyn: int) -> Due:
    original = card.declined_key if kind is FareKind.FIRST_RIDE_RISK else None
    return Due(key=_key(card), kind=kind, service_date=service_date, amount_tiyn=amount_tiyn, original=original)


def _key(card: BankCard) -> JournalKey:
    return JournalKey(f"bank_card:{card.medium_id}:{card.requests + 1}")
