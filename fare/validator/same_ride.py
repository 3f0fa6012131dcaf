"""Whether a second tap of a medium is the same ride: on one validator when it decides, across validators afterwards.

Two separate validators of one vehicle do not hear of each other in time, so both may accept one passenger.
``without_second_validators`` takes that back before anything is priced; it looks at all taps together, so their order
of arrival does not matter. Pure.
"""

from collections.abc import Iterable

import msgspec

from fare.model import DeviceId, MediumId, Riders, Tap
from fare.outcomes import TapOutcome
from fare.validator.recent import Paid
from fare.validator.rules import Configuration


def is_same_ride(
    paid: Paid | None,
    configuration: Configuration,
    *,
    vehicle_id: str,
    trip_id: str,
    trip_since_ms: int | None,
    at_ms: int,
) -> bool:
    """Return whether a tap at ``at_ms`` belongs to the ride that ``paid`` began.

    ``trip_since_ms`` is when the vehicle's present trip began, None where that is not known.
    """
    if paid is None or paid.vehicle_id != vehicle_id:
        return False
    since_ms = abs(at_ms - paid.tapped_ms)  # a clock set back must not charge again
    if since_ms <= configuration.retap_ms:
        return True
    if not trip_id or not paid.trip_id or since_ms > configuration.ride_max_ms:
        return False
    if paid.trip_id == trip_id:
        return True
    # At a terminus the trip changes under passengers who stay on board.
    return trip_since_ms is not None and at_ms - trip_since_ms <= configuration.rollover_ms


def without_second_validators(taps: Iterable[Tap], configuration: Configuration) -> list[Tap]:
    """Return the taps to be priced, in order of time: accepted ones, less whoever had paid at another validator.

    What one validator decided about its own taps stands. A tap that paid for companions too keeps them.
    """
    rides: list[Tap] = []
    begun: dict[MediumId, tuple[Paid, set[DeviceId]]] = {}  # the ride, and the validators that know of it
    accepted = (tap for tap in taps if tap.outcome is TapOutcome.ACCEPTED)
    for tap in sorted(accepted, key=lambda tap: (tap.occurred_ms, tap.key)):
        paid, knowing = begun.get(tap.medium_id, (None, {tap.device_id}))
        unknowing = tap.device_id not in knowing and is_same_ride(
            paid,
            configuration,
            vehicle_id=tap.vehicle_id,
            trip_id=tap.trip_id,
            trip_since_ms=None,
            at_ms=tap.occurred_ms,
        )
        if not unknowing:
            rides.append(tap)
            now_paid = Paid(tapped_ms=tap.occurred_ms, vehicle_id=tap.vehicle_id, trip_id=tap.trip_id)
            begun[tap.medium_id] = (now_paid, {tap.device_id})
            continue
        knowing.add(tap.device_id)
        if companions := companions_of(tap.riders):
            rides.append(msgspec.structs.replace(tap, riders=companions))
    return rides


def companions_of(riders: tuple[Riders, ...]) -> tuple[Riders, ...]:
    """Return riders without the one whose medium it is: a validator puts that one first."""
    if not riders:
        return ()
    first = msgspec.structs.replace(riders[0], count=riders[0].count - 1)
    return (first, *riders[1:]) if first.count else riders[1:]
