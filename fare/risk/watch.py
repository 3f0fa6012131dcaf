"""Charges that must not be asked for without a person looking at them: what a runaway of our own would look like. Pure.

In August 2021 riders of four towns were charged tens of times a fare, also at night when no bus ran (incident I1). A
charge is therefore looked at again from outside the logic that made it, right before it is sent.
"""

import enum

from fare.risk.values import BankCard, Due, FareKind, RiskRules


class Alarm(enum.StrEnum):
    """What is wrong with a charge. Each is a metric label; a charge with an alarm is not sent."""

    OUTSIDE_HOURS = enum.auto()  # an automatic charge while no bus runs and nobody looks
    MORE_THAN_OWED = enum.auto()
    TOO_OFTEN = enum.auto()  # more requests of one card in a day than any sequence of ours makes


def alarms(card: BankCard, request: Due, city_minute: int, asked_today: int, rules: RiskRules) -> tuple[Alarm, ...]:
    """Return what is wrong with ``request``.

    ``city_minute``: minutes since midnight in the city. ``asked_today``: requests of this card in the last 24 hours.
    """
    found = []
    if request.kind.automatic and not rules.charge_from_minute <= city_minute < rules.charge_until_minute:
        found.append(Alarm.OUTSIDE_HOURS)
    if request.amount_tiyn > _owed_tiyn(card, request, rules):
        found.append(Alarm.MORE_THAN_OWED)
    if asked_today >= rules.requests_per_day_max:
        found.append(Alarm.TOO_OFTEN)
    return tuple(found)


def _owed_tiyn(card: BankCard, request: Due, rules: RiskRules) -> int:
    if request.kind is FareKind.VERIFICATION:
        return rules.nominal_tiyn
    return sum(window.unpaid_tiyn for window in card.windows if window.service_date == request.service_date)
