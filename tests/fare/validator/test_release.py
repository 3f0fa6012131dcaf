"""What a person may decide about a quarantined tap, and what not."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.model import DeviceId, MediumId, MediumKind, RiderCategory, Riders
from fare.outcomes import TapOutcome
from fare.validator.batches import CLOCK_SET_MS
from fare.validator.release import (
    Decision,
    Dropped,
    Kept,
    Quarantined,
    Refusal,
    Release,
    ReleaseError,
    SetTo,
    Shifted,
    at_its_time,
    decide,
)
from tests.fare.validator.test_batches import NOW_MS
from tests.fare.validator.test_journal import tap

V1 = DeviceId("v-1")
HOUR_MS = 3_600_000
AHEAD = msgspec.structs.replace(tap(0), sequence=1, tapped_ms=NOW_MS + HOUR_MS, clock_offset_ms=HOUR_MS)
FORGED = msgspec.structs.replace(AHEAD, riders=(Riders(category=RiderCategory("adult"), count=-1),))
KEPT = {
    1: Kept(waiting=Quarantined(tap=AHEAD, received_ms=NOW_MS)),
    2: Kept(),
    3: Kept(decided=True),
    4: Kept(waiting=Quarantined(tap=FORGED, received_ms=NOW_MS)),
}


@pytest.mark.parametrize(
    ("sequence", "decision", "at_ms"),
    [
        (1, Shifted(by_ms=-2 * HOUR_MS), NOW_MS),
        (1, Shifted(by_ms=-3 * HOUR_MS), NOW_MS - HOUR_MS),
        (1, SetTo(at_ms=NOW_MS), NOW_MS),
        (1, SetTo(at_ms=CLOCK_SET_MS), CLOCK_SET_MS),
        (1, Dropped(), None),
        (4, Dropped(), None),
    ],
)
def test_a_time_that_can_be_is_set_and_anything_can_be_dropped(
    sequence: int, decision: Decision, at_ms: int | None
) -> None:
    assert decide(V1, [sequence], decision, KEPT, NOW_MS) == [Release(sequence=sequence, at_ms=at_ms)]


@pytest.mark.parametrize(
    ("sequence", "decision", "refusal"),
    [
        (9, Dropped(), Refusal.UNKNOWN),
        (2, Dropped(), Refusal.NOT_QUARANTINED),
        (3, SetTo(at_ms=NOW_MS), Refusal.DECIDED),
        (4, SetTo(at_ms=NOW_MS), Refusal.UNSOUND),
        (1, SetTo(at_ms=CLOCK_SET_MS - 1), Refusal.BEFORE_2020),
        (1, SetTo(at_ms=NOW_MS + 1), Refusal.IN_FUTURE),
        (1, Shifted(by_ms=0), Refusal.IN_FUTURE),
        (1, Shifted(by_ms=-NOW_MS), Refusal.BEFORE_2020),
    ],
)
def test_what_cannot_be_decided_is_said_with_its_reason(sequence: int, decision: Decision, refusal: Refusal) -> None:
    with pytest.raises(ReleaseError, match=rf"^v-1:{sequence}: \w") as raised:
        decide(V1, [sequence], decision, KEPT, NOW_MS)
    assert (raised.value.sequence, raised.value.refusal) == (sequence, refusal)


@given(
    st.lists(st.integers(1, 5), min_size=1),
    st.one_of(
        st.builds(Dropped),
        st.builds(SetTo, at_ms=st.integers()),
        st.builds(Shifted, by_ms=st.integers()),
    ),
)
def test_all_are_decided_at_a_time_that_can_be_or_none_is(sequences: list[int], decision: Decision) -> None:
    try:
        releases = decide(V1, sequences, decision, KEPT, NOW_MS)
    except ReleaseError:
        return
    assert [one.sequence for one in releases] == sorted(set(sequences))
    assert all(one.at_ms is None or CLOCK_SET_MS <= one.at_ms <= NOW_MS for one in releases)


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({}, True),
        ({"medium_id": MediumId("1" * 32)}, False),
        ({"outcome": TapOutcome.REFUSED_DENIED}, False),
        ({"medium_kind": MediumKind.CASH, "medium_id": ""}, False),
    ],
)
def test_two_rides_of_a_medium_are_not_put_at_one_moment(changed: dict[str, object], *, refused: bool) -> None:
    """The second would be priced as a companion on the same tap: at the full fare, without transfer."""
    first = msgspec.structs.replace(AHEAD, **{key: one for key, one in changed.items() if key == "medium_kind"})
    second = msgspec.structs.replace(AHEAD, sequence=2, **changed)
    kept = {tap.sequence: Kept(waiting=Quarantined(tap=tap, received_ms=NOW_MS)) for tap in (first, second)}
    taken = [(first.medium_id, NOW_MS)] if first.medium_kind is not MediumKind.CASH else []
    if refused:
        for sequences, before in (([1, 2], []), ([2], taken)):
            with pytest.raises(ReleaseError, match="v-1:2: another ride of its medium") as raised:
                decide(V1, sequences, SetTo(at_ms=NOW_MS), kept, NOW_MS, taken=before)
            assert raised.value.refusal is Refusal.SAME_MOMENT
    else:
        assert len(decide(V1, [1, 2], SetTo(at_ms=NOW_MS), kept, NOW_MS)) == 2
        decide(V1, [2], SetTo(at_ms=NOW_MS), kept, NOW_MS, taken=taken)
    decide(V1, [1, 2], Dropped(), kept, NOW_MS, taken=taken)
    decide(V1, [2], SetTo(at_ms=NOW_MS - 1_000), kept, NOW_MS, taken=taken)


def test_the_books_get_the_tap_under_its_own_key_at_the_right_time() -> None:
    released = at_its_time(AHEAD, NOW_MS)
    assert (released.key, released.occurred_ms) == (AHEAD.key, NOW_MS)
    assert msgspec.structs.replace(released, tapped_ms=AHEAD.tapped_ms, clock_offset_ms=HOUR_MS) == AHEAD
