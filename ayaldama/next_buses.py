"""The board of a stop for a rider without a smartphone: what comes next, by the number on the stop's sign."""

from dataclasses import dataclass, field
from typing import Final

from commons.clock import Clock
from commons.texts import Language
from fare.sms.values import NextBus, StopBoard
from gtfs_data.network import Network
from transit.model import Arrival
from transit.notices import Cancelled
from transit.outcomes import ArrivalState
from transit.store.redis_notices import NoticesStore
from transit.store.redis_state import StateReader

MINUTE_MS: Final = 60_000
BUSES_MAX: Final = 12  # more than any answer has room for
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
    _stops: dict[str, list[int]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Learn the numbers on the signs."""
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
        now_ms = self.clock.now_ms()
        if snapshot.as_of_ms is None or now_ms - snapshot.as_of_ms > AGE_MAX_MS:
            return StopBoard(name=names[stops[0]], buses=())
        cancelled = (await self.notices.read()).cancelled_at(now_ms)
        coming = sorted(
            (one for one in snapshot.arrivals if _comes(one, cancelled, now_ms)),
            key=lambda one: (one.arrival_ms, one.key),
        )
        return StopBoard(name=names[stops[0]], buses=tuple(self._bus(one, now_ms) for one in coming[:BUSES_MAX]))

    def _bus(self, arrival: Arrival, now_ms: int) -> NextBus:
        route = self.network.route_by_id.get(arrival.route_id)
        name = self.network.routes.short_names[route] if route is not None else ""
        return NextBus(
            route=name or arrival.route_id,
            minutes=max(arrival.arrival_ms - now_ms, 0) // MINUTE_MS,
            live=arrival.state in _LIVE,
        )


def _comes(arrival: Arrival, cancelled: Cancelled, now_ms: int) -> bool:
    """Return whether somebody can still board it."""
    if arrival.last_stop or arrival.run_key in cancelled or arrival.state == ArrivalState.CANCELLED.value:
        return False
    return now_ms <= arrival.arrival_ms <= now_ms + AHEAD_MAX_MS
