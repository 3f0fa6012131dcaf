"""A dispute goes one way, is decided by others than who opened it, and may be appealed once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare.settlement.disputes import Dispute, DisputeState, DisputeStep, Step, StepOutcome, take_step, undecided

STEPS = {step.value: step for step in DisputeStep}


def opened(**more: object) -> Dispute:
    return Dispute(dispute_id="d1", ride_key="v:1", claimed_tiyn=9_000, opened_ms=0, opened_by="rider", **more)  # type: ignore[arg-type]


def after(text: str) -> tuple[Dispute, list[StepOutcome]]:
    """Return a dispute after steps such as ``carrier:answer clerk:reject``, and what became of each."""
    dispute, outcomes = opened(), []
    for place, word in enumerate(text.split()):
        by, _, step = word.partition(":")
        dispute, outcome = take_step(dispute, Step(step=STEPS[step], by=by, at_ms=place))
        outcomes.append(outcome)
    return dispute, outcomes


@pytest.mark.parametrize(
    ("text", "state", "last"),
    [
        ("clerk:accept", DisputeState.ACCEPTED, StepOutcome.TAKEN),
        ("clerk:reject", DisputeState.OPEN, StepOutcome.NOT_NOW),  # nobody has looked
        ("carrier:answer clerk:reject", DisputeState.REJECTED, StepOutcome.TAKEN),
        ("carrier:answer rider:accept", DisputeState.ANSWERED, StepOutcome.OWN_CASE),
        ("rider:withdraw clerk:accept", DisputeState.WITHDRAWN, StepOutcome.NOT_NOW),
        ("carrier:answer clerk:reject rider:appeal", DisputeState.OPEN, StepOutcome.TAKEN),
        (
            "carrier:answer clerk:reject rider:appeal carrier:answer chief:accept",
            DisputeState.ACCEPTED,
            StepOutcome.TAKEN,
        ),
        (
            "carrier:answer clerk:reject rider:appeal carrier:answer chief:reject rider:appeal",
            DisputeState.REJECTED,
            StepOutcome.NOT_NOW,
        ),
        ("clerk:accept clerk:accept", DisputeState.ACCEPTED, StepOutcome.REPEATED),
        ("clerk:accept chief:accept", DisputeState.ACCEPTED, StepOutcome.NOT_NOW),
    ],
)
def test_a_dispute_goes_one_way(text: str, state: DisputeState, last: StepOutcome) -> None:
    dispute, outcomes = after(text)
    assert (dispute.state, outcomes[-1]) == (state, last)


def test_the_same_step_sent_again_a_little_later_is_taken_once() -> None:
    step = Step(step=DisputeStep.ANSWER, by="carrier", at_ms=5, note="the bus's photo")
    once, _ = take_step(opened(), step)
    for again in (step, Step(step=DisputeStep.ANSWER, by="carrier", at_ms=900, note="the bus's photo")):
        assert take_step(once, again) == (once, StepOutcome.REPEATED)
    more = Step(step=DisputeStep.ANSWER, by="carrier", at_ms=900, note="and the driver's word")
    assert take_step(once, more)[1] is StepOutcome.TAKEN


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["rider", "carrier", "clerk"]), st.sampled_from(list(DisputeStep))), max_size=9)
)
def test_what_is_decided_for_a_rider_stays_decided(steps: list[tuple[str, DisputeStep]]) -> None:
    dispute, final = opened(), None
    for place, (by, step) in enumerate(steps):
        dispute, _ = take_step(dispute, Step(step=step, by=by, at_ms=place))
        assert final in {None, dispute.state}
        if dispute.state in {DisputeState.ACCEPTED, DisputeState.WITHDRAWN}:
            final = dispute.state


def test_what_waits_longest_is_named_first() -> None:
    waiting = [opened(state=DisputeState.ANSWERED), opened(state=DisputeState.REJECTED), opened()]
    assert undecided(waiting, 0) == ()
    assert [one.state for one in undecided(waiting, 1)] == [DisputeState.ANSWERED, DisputeState.OPEN]
