"""A passenger or carrier disputes a ride: who may do what next, and what is left when it is decided.

The state is what its steps say, in their order; a step that does not fit changes nothing and says why.
"""

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class DisputeState(enum.StrEnum):
    """Where a dispute stands."""

    OPEN = enum.auto()
    ANSWERED = enum.auto()  # the carrier or operator has shown evidence
    ACCEPTED = enum.auto()  # money goes back
    REJECTED = enum.auto()
    WITHDRAWN = enum.auto()

    @property
    def decided(self) -> bool:
        """Return whether it is over."""
        return self in {DisputeState.ACCEPTED, DisputeState.REJECTED, DisputeState.WITHDRAWN}


class DisputeStep(enum.StrEnum):
    """What somebody did."""

    ANSWER = enum.auto()
    ACCEPT = enum.auto()
    REJECT = enum.auto()
    WITHDRAW = enum.auto()
    APPEAL = enum.auto()  # of a rejection, once


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step, who took it and why."""

    step: DisputeStep
    by: str
    at_ms: int
    note: str = ""


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute about a ride, and what was done."""

    dispute_id: str
    ride_key: str
    claimed_tiyn: int
    opened_ms: int
    opened_by: str
    state: DisputeState = DisputeState.OPEN
    steps: tuple[Step, ...] = ()


class StepOutcome(enum.StrEnum):
    """What became of a step."""

    TAKEN = enum.auto()
    REPEATED = enum.auto()  # it is the last step that was taken, sent again
    OWN_CASE = enum.auto()  # nobody decides what they opened
    NOT_NOW = enum.auto()
    NOT_REFUNDABLE = enum.auto()  # accepted, more would go back than was paid: see what went back of the ride before


NEXT: Final[Mapping[tuple[DisputeState, DisputeStep], DisputeState]] = MappingProxyType(
    {
        (DisputeState.OPEN, DisputeStep.ANSWER): DisputeState.ANSWERED,
        (DisputeState.OPEN, DisputeStep.ACCEPT): DisputeState.ACCEPTED,
        (DisputeState.OPEN, DisputeStep.WITHDRAW): DisputeState.WITHDRAWN,
        (DisputeState.ANSWERED, DisputeStep.ANSWER): DisputeState.ANSWERED,
        (DisputeState.ANSWERED, DisputeStep.ACCEPT): DisputeState.ACCEPTED,
        (DisputeState.ANSWERED, DisputeStep.REJECT): DisputeState.REJECTED,  # never before somebody has looked
        (DisputeState.ANSWERED, DisputeStep.WITHDRAW): DisputeState.WITHDRAWN,
        (DisputeState.REJECTED, DisputeStep.APPEAL): DisputeState.OPEN,
    }
)
DECISIONS: Final = frozenset({DisputeStep.ACCEPT, DisputeStep.REJECT})


def take_step(dispute: Dispute, step: Step) -> tuple[Dispute, StepOutcome]:
    """Return the dispute after a step, and what became of it. What is sent again may say another time."""
    if dispute.steps and msgspec.structs.replace(dispute.steps[-1], at_ms=step.at_ms) == step:
        return dispute, StepOutcome.REPEATED
    if step.step in DECISIONS and step.by == dispute.opened_by:
        return dispute, StepOutcome.OWN_CASE
    appealed = any(one.step is DisputeStep.APPEAL for one in dispute.steps)
    after = NEXT.get((dispute.state, step.step))
    if after is None or (step.step is DisputeStep.APPEAL and appealed):
        return dispute, StepOutcome.NOT_NOW
    return msgspec.structs.replace(dispute, state=after, steps=(*dispute.steps, step)), StepOutcome.TAKEN


def undecided(disputes: Iterable[Dispute], older_than_ms: int) -> tuple[Dispute, ...]:
    """Return the disputes that were opened before a moment and are not decided, the oldest first."""
    waiting = (one for one in disputes if not one.state.decided and one.opened_ms < older_than_ms)
    return tuple(sorted(waiting, key=lambda one: (one.opened_ms, one.dispute_id)))
