"""Which alerts hang at which stop, as boards are told. Pure."""

from collections.abc import Sequence
from typing import Final

from commons.texts import LANGUAGES
from stop_display.model import BoardAlert
from stop_display.plan import Plan
from transit.notices import Alert, Effect, in_every_language

ALERTS_MAX: Final = 20  # of one stop: more is read by nobody, and boards are small


def alerts_of(plan: Plan, stop_id: str, alerts: Sequence[Alert], now_ms: int) -> list[BoardAlert]:
    """Return the alerts that concern a stop, of those that hold at ``now_ms``, in the same order."""
    network = plan.network
    lines = plan.lines(network.stop_by_id[stop_id]).values() if alerts else ()
    names = {network.routes.ids[line.route]: network.routes.short_names[line.route] for line in lines}
    found = []
    for alert in alerts:
        period = alert.period_at(now_ms)
        here, named = alert.concerns(stop_id, names)
        if period is None or not here:
            continue
        found.append(
            BoardAlert(
                id=alert.alert_id,
                header=in_every_language(alert.header, LANGUAGES),
                text=in_every_language(alert.text, LANGUAGES),
                effect="" if alert.effect is Effect.UNKNOWN_EFFECT else alert.effect.value,
                takeover=alert.takeover,
                routes=[name for route_id, name in names.items() if route_id in named],
                until_ms=period.end_ms,
            )
        )
    return found[:ALERTS_MAX]
