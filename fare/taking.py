"""Taps of validators to the books: corrected in time, freed of second validators, located, stored and charged.

``TapTaking.take`` may be given the same taps again and again: storing knows them by their keys. Of several batches of
one vehicle one waits for the other, so that two validators of one bus cannot both charge a passenger.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol
from weakref import WeakValueDictionary

import msgspec

from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.model import LocatedTap, Riders, Tap
from fare.outcomes import TapReceipt
from fare.service import TapIntake
from fare.validator.rules import Configuration
from fare.validator.same_ride import companions_of, without_second_validators

BACKLOG_MS: Final = 120_000  # older taps waited on a device: nobody at a door waits for them

_log = get_logger(__name__)

Rides = Sequence[tuple[Tap, tuple[Riders, ...] | None]]
EarlierRides = Callable[[Sequence[Tap], int], Awaitable[Sequence[Tap]]]
Told = Callable[[Sequence[LocatedTap]], Awaitable[None]]


class NotYetError(Exception):
    """Where a tap was made is about to be known: hand in those before it now, and it and the rest again soon."""

    def __init__(self, tap: Tap) -> None:
        super().__init__(f"tracking has not found the run of tap {tap.key} yet")
        self.sequence = tap.sequence


class Locating(Protocol):
    """Knows where a vehicle was when a tap was made."""

    def is_searched(self, tap: Tap) -> bool:
        """Return whether the place of ``tap`` is not known and will probably be within minutes."""

    async def located(self, taps: Rides) -> list[LocatedTap]:
        """Return ``taps``, each with the riders of its ride (None: it begins none), with their places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapTaking:
    """The way of taps from validators to the books.

    ``earlier``: rides that other validators of the same vehicles began with the same media, at most so many
    milliseconds apart. ``told`` hears of what was stored for the first time, after it is stored.
    """

    intake: TapIntake
    locating: Locating
    configuration: Configuration
    earlier: EarlierRides
    told: Told
    clock: Clock
    metrics: Metrics
    _vehicles: "WeakValueDictionary[str, asyncio.Lock]" = field(default_factory=WeakValueDictionary)

    async def take(self, taps: list[Tap]) -> None:
        """Store and charge ``taps`` of a device, in order; return when they are on disk.

        Raises:
            NotYetError: if the line of one will be known soon: charged now, the ride would cost nothing.
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
        """
        began_s = monotonic_s()
        corrected = [in_own_time(tap) for tap in taps]
        for tap in corrected:
            if tap.outcome.rides and self.locating.is_searched(tap):
                raise NotYetError(tap)
        async with self._alone({tap.vehicle_id for tap in corrected}):
            rides = await self._rides(corrected)
            located = await self.locating.located([(tap, rides.get(tap.key)) for tap in corrected])
            oldest_ms = min(tap.tapped_ms for tap in corrected)
            backlog = self.clock.now_ms() - oldest_ms > BACKLOG_MS
            receipts = await self.intake.take(located, backlog=backlog)
        for receipt in receipts:
            self.metrics.count("fare_taps_total", receipt=receipt.value)
        forked = [one.tap.key for one, receipt in zip(located, receipts, strict=True) if receipt is TapReceipt.FORKED]
        if forked:
            _log.error("taps with two contents", taps=forked)
        self.metrics.observe("fare_taps_seconds", monotonic_s() - began_s)
        await self.told([one for one, r in zip(located, receipts, strict=True) if r is TapReceipt.STORED])

    async def _rides(self, taps: Sequence[Tap]) -> dict[str, tuple[Riders, ...]]:
        """Return the riders of each tap that begins a ride, by its key."""
        retap_ms = self.configuration.retap_ms
        accepted = [tap for tap in taps if tap.outcome.rides]
        stored = await self.earlier(accepted, retap_ms) if accepted else ()
        rides: dict[str, tuple[Riders, ...]] = {}
        for tap in without_second_validators(accepted, self.configuration):
            paid = any(is_second_validator(tap, ride, retap_ms) for ride in stored)
            riders = companions_of(tap.riders) if paid else tap.riders
            if riders or not paid:
                rides[tap.key] = riders
        return rides

    @asynccontextmanager
    async def _alone(self, vehicle_ids: set[str]) -> AsyncIterator[None]:
        async with AsyncExitStack() as locks:
            for vehicle_id in sorted(vehicle_ids):
                lock = self._vehicles.get(vehicle_id)
                if lock is None:
                    lock = self._vehicles[vehicle_id] = asyncio.Lock()
                await locks.enter_async_context(lock)
            yield


def in_own_time(tap: Tap) -> Tap:
    """Return ``tap`` at the time when it was, as well as the device knew: what is stored and priced."""
    return msgspec.structs.replace(tap, tapped_ms=tap.occurred_ms, clock_offset_ms=0)


def is_second_validator(tap: Tap, ride: Tap, retap_ms: int) -> bool:
    """Return whether ``ride``, begun at another validator of the vehicle, is the one that ``tap`` would begin again.

    Only taps within ``retap_ms`` of each other are compared: a stored ride has the trip of the timetable, which a bus
    may drive twice within the time of a ride.
    """
    return (
        ride.device_id != tap.device_id
        and (ride.medium_id, ride.vehicle_id) == (tap.medium_id, tap.vehicle_id)
        and abs(ride.tapped_ms - tap.tapped_ms) <= retap_ms
    )
