"""Two validators of one vehicle charge one passenger once, whatever order their taps arrive in."""

import random

from hypothesis import given
from hypothesis import strategies as st

from fare.model import DeviceId, MediumKind, RiderCategory, Riders, Tap
from fare.outcomes import TapOutcome
from fare.validator.same_ride import without_second_validators
from tests.fare.validator.cards import CONFIGURATION, NOON_MS, medium

ADULT, PUPIL = RiderCategory("adult"), RiderCategory("pupil")
ONE = (Riders(category=ADULT, count=1),)


def tap(
    device: str, sequence: int, at_s: int, name: str = "ann", *, riders: tuple[Riders, ...] = ONE,
    vehicle: str = "bus-7", trip: str = "", outcome: TapOutcome = TapOutcome.ACCEPTED,
) -> Tap:  # fmt: skip
    return Tap(
        device_id=DeviceId(device),
        sequence=sequence,
        tapped_ms=NOON_MS + at_s * 1_000,
        medium_id=medium(name),
        medium_kind=MediumKind.TRANSPORT_CARD,
        outcome=outcome,
        riders=riders,
        vehicle_id=vehicle,
        trip_id=trip,
    )


def priced(*taps: Tap) -> list[str]:
    return [one.key for one in without_second_validators(taps, CONFIGURATION)]


def test_i4_front_and_rear_door_are_one_ride() -> None:
    assert priced(tap("front", 1, 0), tap("rear", 1, 30), tap("rear", 2, 40, "bob")) == ["front:1", "rear:2"]


def test_another_vehicle_and_a_later_ride_are_rides_of_their_own() -> None:
    assert priced(tap("a", 1, 0), tap("b", 1, 60, vehicle="bus-8")) == ["a:1", "b:1"]
    assert priced(tap("a", 1, 0), tap("b", 1, 1_300)) == ["a:1", "b:1"]
    assert priced(tap("a", 1, 0, trip="t"), tap("b", 1, 1_300, trip="t")) == ["a:1"]


def test_what_a_validator_decided_about_its_own_taps_stands() -> None:
    assert priced(tap("a", 1, 0), tap("a", 2, 30)) == ["a:1", "a:2"], "it was asked to pay for a friend"


def test_companions_at_the_second_validator_are_paid_for() -> None:
    with_pupil = (*ONE, Riders(category=PUPIL, count=2))
    first, second = without_second_validators([tap("a", 1, 0), tap("b", 1, 30, riders=with_pupil)], CONFIGURATION)
    assert first.riders == ONE
    assert second.riders == (Riders(category=PUPIL, count=2),)
    two_adults = (Riders(category=ADULT, count=2),)
    assert (
        without_second_validators([tap("a", 1, 0), tap("b", 1, 30, riders=two_adults)], CONFIGURATION)[1].riders == ONE
    )


def test_a_validator_that_has_seen_the_rider_means_companions_alone() -> None:
    assert priced(tap("a", 1, 0), tap("b", 1, 30), tap("b", 2, 60)) == ["a:1", "b:2"]


def test_refused_taps_are_no_rides() -> None:
    assert priced(tap("a", 1, 0, outcome=TapOutcome.REFUSED_DENIED), tap("b", 1, 5)) == ["b:1"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 4_000), st.sampled_from(["ann", "bob"])), max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(made: list[tuple[str, int, str]], shuffled: random.Random) -> None:
    taps = [tap(device, number, at_s, name) for number, (device, at_s, name) in enumerate(made, start=1)]
    other = list(taps)
    shuffled.shuffle(other)
    assert priced(*taps) == priced(*other)
