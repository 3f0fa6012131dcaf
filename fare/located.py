"""Taps with their places: what must hold of them, and their rides by medium, as pricing wants these."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from fare.model import LocatedTap, MediumId, Ride
from fare.outcomes import TapReceipt


def check_ride(one: LocatedTap) -> None:
    """Refuse a ride that is not that of its tap.

    Raises:
        ValueError: naming the tap and the rule.
    """
    tap, ride = one.tap, one.ride
    if ride is None:
        return
    if not tap.outcome.rides:
        raise ValueError(f"ride of tap {tap.key} must be None: its outcome is {tap.outcome}")
    told, made = (ride.key, ride.tapped_ms, ride.medium_id), (tap.key, tap.tapped_ms, tap.medium_id)
    if told != made or ride.medium_kind is not tap.medium_kind:
        raise ValueError(f"ride of tap {tap.key} must have its key, time and medium: {ride}")


def new_rides(taps: Iterable[LocatedTap], receipts: Iterable[TapReceipt]) -> dict[MediumId, list[Ride]]:
    """Return the rides that are stored now, as they will be read, by medium."""
    new: dict[MediumId, list[Ride]] = defaultdict(list)
    for one, receipt in zip(taps, receipts, strict=True):
        if receipt is TapReceipt.STORED and one.ride is not None:
            new[one.ride.medium_id].append(_as_stored(one.ride))
    return new


def all_rides(taps: Iterable[LocatedTap]) -> dict[MediumId, int]:
    """Return when the first ride of each medium began among ``taps``, new ones and others."""
    first: dict[MediumId, int] = {}
    for one in taps:
        if one.ride is not None:
            first[one.ride.medium_id] = min(one.ride.tapped_ms, first.get(one.ride.medium_id, one.ride.tapped_ms))
    return first


def first_ms(rides: Mapping[MediumId, Iterable[Ride]]) -> dict[MediumId, int]:
    """Return when the first ride of each medium began."""
    return {medium_id: min([ride.tapped_ms for ride in some]) for medium_id, some in rides.items()}


def _as_stored(ride: Ride) -> Ride:
    """Return ``ride`` as it will be read again: prices must not depend on when they were derived."""
    return msgspec.structs.replace(ride, to_stop_id="") if ride.to_stop_id else ride
