"""Scenes of a bank card as text: one line a moment, what happens, what is asked for, what the answer makes of the card.

``at`` is day and time (1-0830). ``what``: ``rode:TIYN`` (the day's bill so far), ``schedule``, ``tap``, ``rider``,
``paid:TIYN`` (by other means). ``asks``: kind and tiyn, ``-`` for nothing. ``answer``: approved, not_sent, unknown,
reversed, or a reason of decline.
"""

from dataclasses import dataclass

from fare.model import MediumId
from fare.risk.bank_card import answered, asked, day_over, denied, due, paid_otherwise, rode
from fare.risk.values import DAY_MS, Answered, BankCard, Decline, Reply, RiskRules, Trigger, WindowState

START_MS = 1_789_900_000_000 // DAY_MS * DAY_MS
RULES = RiskRules()


@dataclass(frozen=True, kw_only=True)
class Moment:
    day: int
    now_ms: int

    @property
    def service_date(self) -> str:
        return f"2026-09-{self.day:02d}"

    @property
    def closes_ms(self) -> int:
        return START_MS + self.day * DAY_MS


def moment(text: str) -> Moment:
    day, time = text.split("-")
    minutes = int(time[:2]) * 60 + int(time[2:])
    return Moment(day=int(day), now_ms=START_MS + (int(day) - 1) * DAY_MS + minutes * 60_000)


def reply_of(card: BankCard, text: str, at_ms: int) -> Reply:
    assert card.pending is not None
    key = card.pending.key
    if text in {*Answered}:
        return Reply(key=key, answered=Answered(text), at_ms=at_ms)
    return Reply(key=key, answered=Answered.DECLINED, decline=Decline(text), at_ms=at_ms)


def played(text: str, rules: RiskRules = RULES) -> tuple[list[tuple[str, ...]], BankCard]:
    """Return what each line asked for, and the state, debt and denial after it."""
    card = BankCard(medium_id=MediumId("card-7"))
    seen: list[tuple[str, ...]] = []
    for line in text.strip().splitlines()[1:]:
        at, what, _, answer, *_ = line.split()
        card = day_over(card, moment(at).now_ms)
        asks, card = happened(card, moment(at), what, answer, rules)
        last = card.windows[-1].state if card.windows else WindowState.CLOSED
        said = denied(card)
        seen.append((at, what, asks, answer, last.value, str(card.debt_tiyn), said.value if said else "-"))
    return seen, card


def happened(card: BankCard, when: Moment, what: str, answer: str, rules: RiskRules) -> tuple[str, BankCard]:
    kind, _, tiyn = what.partition(":")
    if kind == "rode":
        return "-", rode(card, when.service_date, int(tiyn), when.now_ms, when.closes_ms, rules)
    if kind == "paid":
        return "-", paid_otherwise(card, card.windows[-1].service_date, int(tiyn), when.now_ms)
    request = due(card, Trigger(kind), when.now_ms, rules)
    if request is None:
        if card.pending is not None and answer != "-":  # a late answer
            card = answered(card, reply_of(card, answer, when.now_ms), rules)
        return "-", card
    card = asked(card, request)
    reply = reply_of(card, answer, when.now_ms)
    once = answered(card, reply, rules)
    assert answered(once, reply, rules) == once, "an answer counts once"
    return f"{request.kind.value}:{request.amount_tiyn}", once


def check(text: str, rules: RiskRules = RULES) -> BankCard:
    expected = [tuple(line.split()) for line in text.strip().splitlines()[1:]]
    seen, card = played(text, rules)
    assert seen == expected
    return card
