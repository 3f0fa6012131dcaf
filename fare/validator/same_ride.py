"""Whether a second tap of a medium is the same ride: on one validator when it decides, across validators afterwards.

Two separate validators of one vehicle do not hear of each other in time, so both may accept one passenger.
``without_second_validators`` takes that back before anything is priced. It looks at all rides of a medium together,
each time a bill is derived, so it does not matter in which order and when the taps arrive. Pure.
"""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from fare.model import SELLERS, MediumId, Ride, Riders, Tap
from fare.outcomes import TapOutcome
from fare.validator.recent import Paid
from fare.validator.rules import Configuration

Fact = TypeVar("Fact", Tap, Ride)


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


def without_second_validators(facts: Iterable[Fact], configuration: Configuration) -> list[Fact]:
    """Return the taps or rides to be priced, in order of time, less whoever had paid at another validator.

    What one validator decided about its own taps stands. A tap that paid for companions too keeps them. Of taps, only
    accepted ones begin rides. A later ride never changes what becomes of an earlier one, and after a pause longer than
    ``ride_max_ms`` and ``retap_ms`` the past does not matter. A ride bought by telephone was asked for, so it is always
    one; whoever then holds the same phone to a validator has paid.
    """
    rides: list[Fact] = []
    begun: dict[MediumId, tuple[Paid, set[str]]] = {}  # the ride, and the validators that know of it
    accepted = (fact for fact in facts if isinstance(fact, Ride) or fact.outcome is TapOutcome.ACCEPTED)
    for fact in sorted(accepted, key=lambda fact: (_at_ms(fact), fact.key)):
        device_id = fact.key.rpartition(":")[0]
        paid, knowing = begun.get(fact.medium_id, (None, {device_id}))
        unknowing = device_id not in knowing | SELLERS and is_same_ride(
            paid,
            configuration,
            vehicle_id=fact.vehicle_id,
            trip_id=fact.trip_id,
            trip_since_ms=None,
            at_ms=_at_ms(fact),
        )
        if not unknowing:
            rides.append(fact)
            now_paid = Paid(tapped_ms=_at_ms(fact), vehicle_id=fact.vehicle_id, trip_id=fact.trip_id)
            begun[fact.medium_id] = (now_paid, {device_id})
            continue
        knowing.add(device_id)
        if companions := companions_of(fact.riders):
            rides.append(msgspec.structs.replace(fact, riders=companions))
    return rides


def _at_ms(fact: Tap | Ride) -> int:
    return fact.tapped_ms if isinstance(fact, Ride) else fact.occurred_ms


def companions_of(riders: tuple[Riders, ...]) -> tuple[Riders, ...]:
    """Return riders without the one whose medium it is: a validator puts that one first."""
    if not riders:
        return ()
    first = msgspec.structs.replace(riders[0], count=riders[0].count - 1)
    return (first, *riders[1:]) if first.count else riders[1:]
