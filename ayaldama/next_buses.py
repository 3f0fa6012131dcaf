"""The board of a stop for a rider without a smartphone: what comes next, by the number on the stop's sign."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from commons.clock import Clock
from commons.texts import Language
from fare.sms.values import CancelledBus, NextBus, StopAlert, StopBoard
from gtfs_data.network import Network
from stop_display.plan import Plan
from stop_display.posted import alerts_of
from transit.model import Arrival
from transit.notices import Alert, Cancelled
from transit.outcomes import ArrivalState
from transit.store.redis_notices import NoticesStore
from transit.store.redis_state import StateReader

MINUTE_MS: Final = 60_000
BUSES_MAX: Final = 12  # more than any answer has room for
NOTICES_MAX: Final = 3  # alerts, and cancelled buses
AGE_MAX_MS: Final = 90_000  # what tracking said longer ago is no news: a board would blank its live rows too
AHEAD_MAX_MS: Final = 90 * MINUTE_MS

_LIVE: Final = frozenset({ArrivalState.LIVE.value, ArrivalState.LIVE_TERMINAL.value})


@dataclass(frozen=True, slots=True)
class NextBusesByStop:
    """Answers by what tracking published last. Stops of one number, two sides of a street, are one board."""

    network: Network
    state: StateReader
    notices: NoticesStore
    clock: Clock
    _plan: Plan = field(init=False)
    _stops: dict[str, list[int]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Learn the numbers on the signs."""
        object.__setattr__(self, "_plan", Plan(self.network))
        for stop, code in enumerate(self.network.stops.codes):
            if code:
                self._stops.setdefault(code, []).append(stop)

    async def __call__(self, stop_code: str, language: Language) -> StopBoard | None:
        """Return what comes to the stop with a number, None if there is no such stop.

        Raises:
            RedisError, SchemaError: if what tracking says cannot be read.
        """
        stops = self._stops.get(stop_code.strip(), [])
        if not stops:
            return None
        names = self.network.stops.names_by_language.get(language, self.network.stops.names)
        snapshot = await self.state.snapshot([str(self.network.stops.ids[stop]) for stop in stops])
        notices, now_ms = await self.notices.read(), self.clock.now_ms()
        known = snapshot.as_of_ms is not None and now_ms - snapshot.as_of_ms <= AGE_MAX_MS
        due = [one for one in snapshot.arrivals if _boards(one, now_ms)] if known else []
        due.sort(key=lambda one: (one.arrival_ms, one.key))
        cancelled = notices.cancelled_at(now_ms)
        coming = [one for one in due if not _is_cancelled(one, cancelled)]
        gone = [one for one in due if _is_cancelled(one, cancelled)]
        return StopBoard(
            name=names[stops[0]],
            buses=tuple(self._bus(one, now_ms) for one in coming[:BUSES_MAX]),
            alerts=self._alerts(stops, notices.alerts_at(now_ms), language, now_ms),
            cancelled=tuple(
                CancelledBus(route=self._route(one), planned_ms=one.scheduled_ms or one.arrival_ms)
                for one in gone[:NOTICES_MAX]
            ),
        )

    def _alerts(
        self, stops: Sequence[int], alerts: Sequence[Alert], language: Language, now_ms: int
    ) -> tuple[StopAlert, ...]:
        """Return what hangs at any of the stops, as boards show it, each alert once."""
        ids = [str(self.network.stops.ids[stop]) for stop in stops]
        hanging = {one.id: one for stop in ids for one in alerts_of(self._plan, stop, alerts, now_ms)}
        shown = [(alert, hanging[alert.alert_id]) for alert in alerts if alert.alert_id in hanging]
        return tuple(
            StopAlert(
                header=one.header.get(language, ""),
                foreign=not alert.header.get(language),
                effect=one.effect,
                routes=tuple(one.routes),
            )
            for alert, one in shown[:NOTICES_MAX]
        )

    def _bus(self, arrival: Arrival, now_ms: int) -> NextBus:
        return NextBus(
            route=self._route(arrival),
            minutes=max(arrival.arrival_ms - now_ms, 0) // MINUTE_MS,
            live=arrival.state in _LIVE,
        )

    def _route(self, arrival: Arrival) -> str:
        route = self.network.route_by_id.get(arrival.route_id)
        name = self.network.routes.short_names[route] if route is not None else ""
        return name or arrival.route_id


def _boards(arrival: Arrival, now_ms: int) -> bool:
    """Return whether somebody could still board it, if it runs."""
    return not arrival.last_stop and now_ms <= arrival.arrival_ms <= now_ms + AHEAD_MAX_MS


def _is_cancelled(arrival: Arrival, cancelled: Cancelled) -> bool:
    return arrival.run_key in cancelled or arrival.state == ArrivalState.CANCELLED.value
