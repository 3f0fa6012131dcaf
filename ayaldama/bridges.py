"""Where fares meet transit: a tap gets its line, trip and stop, and boardings become how full a bus is.

The two rooms do not know each other. Fares ask ``Locator`` where a vehicle was; ``follow_places`` keeps what tracking
published lately, and stop events in PostgreSQL answer for what was longer ago. ``count_riders`` reads the boardings
that fares publish and writes loads for maps and boards.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.inspection.values import VehicleNow
from fare.keys import FareKeys
from fare.model import CarrierId, LocatedTap, Ride, Tap
from fare.store.redis_boardings import Boarding, follow_boardings
from fare.validator.decide import Place
from transit.keys import Keys
from transit.model import Update
from transit.store.redis_occupancy import read_loads, write_loads
from transit.store.redis_state import FeedGapError, StateReader
from transit.tracking.occupancy import Loads
from transit.tracking.whereabouts import Whereabout, Whereabouts

PAUSE_S: Final = 1.0
WRITE_LOADS_S: Final = 2.0
SEARCHED_MAX_MS: Final = 240_000  # after that a tap is stored without a place
EARLIER_MAX_MS: Final = 20 * 60_000  # between a tap and the stop event before it

_EARLIER: Final = """
SELECT asked.place, found.route_id, found.trip_id, found.stop_id
FROM unnest($1::integer[], $2::text[], $3::bigint[]) AS asked (place, vehicle_id, at_ms)
CROSS JOIN LATERAL (
    SELECT route_id, trip_id, stop_id FROM stop_event e
    WHERE e.vehicle_id = asked.vehicle_id
        AND e.service_date BETWEEN to_timestamp(asked.at_ms / 1000.0)::date - 1
            AND to_timestamp(asked.at_ms / 1000.0)::date + 1
        AND e.actual_arrival_time <= to_timestamp(asked.at_ms / 1000.0)
        AND e.actual_arrival_time > to_timestamp((asked.at_ms - $4) / 1000.0)
    ORDER BY e.actual_arrival_time DESC LIMIT 1
) AS found
"""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TapPlace:
    """Where a tap was made, and who said so: ``tracking``, ``stop_events``, ``vehicle`` or nobody."""

    route_id: str = ""
    trip_id: str = ""
    stop_id: str = ""
    source: str = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locator:
    """Gives taps their place. ``carriers``: by line; ``carrier``: of a ride whose line nobody knows."""

    whereabouts: Whereabouts
    pool: asyncpg.Pool
    carriers: Mapping[str, CarrierId]
    carrier: CarrierId
    clock: Clock
    metrics: Metrics

    def is_searched(self, tap: Tap) -> bool:
        """Return whether tracking hears the vehicle and has not found its run yet."""
        if self.clock.now_ms() - tap.occurred_ms > SEARCHED_MAX_MS or tap.route_id:
            return False
        found = self.whereabouts.at(tap.vehicle_id, tap.occurred_ms)
        return found is not None and not found.route_id

    async def located(self, taps: Sequence[Tap]) -> list[LocatedTap]:
        """Return ``taps`` with their places; those that begin a ride, with the ride.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        located = []
        for tap, place in zip(taps, await self._places(taps), strict=True):
            if tap.outcome.rides:
                self.metrics.count("fare_taps_located_total", source=place.source)
            located.append(LocatedTap(tap=tap, ride=self._ride(tap, place) if tap.outcome.rides else None))
        return located

    async def place_of(self, vehicle_id: str) -> Place | None:
        """Return where a vehicle is, for its validators.

        Their trip is a run: a trip of frequencies.txt has one id for every departure of a day, and who rode at eight
        has not paid for the ride at ten.
        """
        found = self.whereabouts.now(vehicle_id)
        if found is None:
            return None
        return Place(
            vehicle_id=vehicle_id,
            route_id=found.route_id,
            trip_id=found.run_key,
            trip_since_ms=found.run_since_ms,
        )

    async def vehicle_now(self, vehicle_id: str) -> VehicleNow | None:
        """Return where a vehicle is, for inspectors."""
        found = self.whereabouts.now(vehicle_id)
        if found is None:
            return None
        network = self.whereabouts.network
        stop = network.stop_by_id.get(found.next_stop_id)
        return VehicleNow(
            route_id=found.route_id,
            left_stop_ms=found.left_stop_ms,
            next_stop=network.stops.names[stop] if stop is not None else "",
        )

    async def _places(self, taps: Sequence[Tap]) -> list[TapPlace]:
        places = [place_by_tracking(self.whereabouts.at(tap.vehicle_id, tap.occurred_ms)) or TapPlace() for tap in taps]
        late = [number for number, place in enumerate(places) if not place.stop_id]
        if not late:
            return places
        for row in await self.pool.fetch(
            _EARLIER,
            late,
            [taps[number].vehicle_id for number in late],
            [taps[number].occurred_ms for number in late],
            EARLIER_MAX_MS,
        ):
            places[row["place"]] = TapPlace(
                route_id=row["route_id"], trip_id=row["trip_id"], stop_id=row["stop_id"], source="stop_events"
            )
        return [
            place if place.route_id or not tap.route_id else TapPlace(route_id=tap.route_id, source="vehicle")
            for tap, place in zip(taps, places, strict=True)
        ]

    def _ride(self, tap: Tap, place: TapPlace) -> Ride:
        return Ride(
            key=tap.key,
            tapped_ms=tap.tapped_ms,
            medium_id=tap.medium_id,
            medium_kind=tap.medium_kind,
            riders=tap.riders,
            vehicle_id=tap.vehicle_id,
            carrier_id=self.carriers.get(place.route_id, self.carrier),
            route_id=place.route_id,
            trip_id=place.trip_id,
            stop_id=place.stop_id,
        )


def place_by_tracking(found: Whereabout | None) -> TapPlace | None:
    """Return the place of a tap on a vehicle that was there, None if that says nothing."""
    if found is None or not found.route_id:
        return None
    return TapPlace(route_id=found.route_id, trip_id=found.trip_id, stop_id=found.stop_id, source="tracking")


async def follow_places(state: StateReader, whereabouts: Whereabouts, loads: Loads, *, metrics: Metrics) -> None:
    """Keep what tracking publishes in ``whereabouts``, and let riders leave at the stops reached. For ever."""
    while True:
        try:
            snapshot = await state.snapshot(())
            _take(Update(as_of_ms=0, vehicles=list(snapshot.vehicles), arrivals=[], withdrawn=[]), whereabouts, loads)
            async for _, update in state.follow(snapshot.stream_id):
                _take(update, whereabouts, loads)
        except FeedGapError as gap:
            _log.info("places take a new snapshot", reason=str(gap))
        except Exception as error:  # noqa: BLE001 - the top of the loop: counted, logged, survived
            metrics.count("role_errors_total", role="fare", where="places")
            _log.warning("places wait for tracking", error=repr(error), again_in_s=PAUSE_S)
            await asyncio.sleep(PAUSE_S)


async def count_riders(redis: Redis, keys: Keys, fare_keys: FareKeys, loads: Loads, metrics: Metrics) -> None:
    """Count boardings as they come. For ever; those that come while Redis is away are not counted."""
    while True:
        try:
            loads.restore(await read_loads(redis, keys))
            async for boardings in follow_boardings(redis, fare_keys):
                board(boardings, loads)
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            metrics.count("role_errors_total", role="fare", where="boardings")
            _log.warning("boardings wait for Redis", error=repr(error), again_in_s=PAUSE_S)
            await asyncio.sleep(PAUSE_S)


def board(boardings: Sequence[Boarding], loads: Loads) -> None:
    """Let riders board."""
    for boarding in boardings:
        loads.boarded(boarding.vehicle_id, boarding.riders, boarding.at_ms)


async def tell_loads(redis: Redis, keys: Keys, loads: Loads, *, metrics: Metrics) -> None:
    """Write loads that changed, every two seconds. For ever."""
    while True:
        await asyncio.sleep(WRITE_LOADS_S)
        changed, gone = loads.take_changes()
        if not changed and not gone:
            continue
        try:
            await write_loads(redis, keys, changed, gone)
        except (RedisError, OSError) as error:
            metrics.count("role_errors_total", role="fare", where="loads")
            _log.warning("loads wait for Redis", error=repr(error))
        by_status: dict[str, int] = {}
        for load in loads.known():
            by_status[load.status] = by_status.get(load.status, 0) + 1
        metrics.clear("fare_vehicles_occupancy")
        for status, count in by_status.items():
            metrics.set("fare_vehicles_occupancy", count, status=status)


def _take(update: Update, whereabouts: Whereabouts, loads: Loads) -> None:
    whereabouts.forget(update.gone)
    for vehicle_id in update.gone:
        loads.forget(vehicle_id)
    for position in update.vehicles:
        whereabouts.note(position)
        found = whereabouts.now(position.vehicle_id)
        if found is not None:
            loads.moved(found.vehicle_id, found.run_key, found.stop_number, found.stops, position.fix_ms)
