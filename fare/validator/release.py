"""Quarantined taps and what a person decides about them: the time set right, or dropped with a reason.

A validator whose clock was wrong signs a time that nobody can have tapped at. The record stays as it was signed; who
knows the right time says it once, and the tap goes to the books under its own key. Pure; times are epoch milliseconds.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from fare.model import DeviceId, MediumId, MediumKind, Tap
from fare.validator.batches import CLOCK_SET_MS, is_sound

WHY_MAX: Final = 200  # characters


class Refusal(enum.StrEnum):
    """Why a decision about a record is none, in order of precedence."""

    UNKNOWN = enum.auto()  # this device has sent no such record
    NOT_QUARANTINED = enum.auto()
    DECIDED = enum.auto()  # about this one somebody has decided already
    UNSOUND = enum.auto()  # no validator of ours writes such a content: no time makes a fare of it
    BEFORE_2020 = enum.auto()
    IN_FUTURE = enum.auto()
    SAME_MOMENT = enum.auto()  # as another ride of its medium: it would be priced as a companion's, at the full fare


_MEANING: Final[Mapping[Refusal, str]] = {
    Refusal.UNKNOWN: "there is no such record",
    Refusal.NOT_QUARANTINED: "is not quarantined",
    Refusal.DECIDED: "was released or dropped already",
    Refusal.UNSOUND: "its content is none that a validator writes, so it can only be dropped",
    Refusal.BEFORE_2020: "the time would be before 2020",
    Refusal.IN_FUTURE: "the time would be in the future",
    Refusal.SAME_MOMENT: "another ride of its medium has this very time, so say one that differs by a second at least",
}


class ReleaseError(ValueError):
    """Nothing was decided, because of this record."""

    def __init__(self, device_id: DeviceId, sequence: int, refusal: Refusal) -> None:
        super().__init__(f"{device_id}:{sequence}: {_MEANING[refusal]}")
        self.device_id, self.sequence, self.refusal = device_id, sequence, refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A tap that waits for a person; it came at ``received_ms``."""

    tap: Tap
    received_ms: int

    @property
    def is_sound(self) -> bool:
        """Return whether only its time is wrong."""
        return is_sound(self.tap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A record as the store has it. ``waiting``: what it says, None if nobody is to decide about it (any more)."""

    waiting: Quarantined | None = None
    decided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifted:
    """The device's clock was wrong by so much: add ``by_ms`` to what it said."""

    by_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTo:
    """It was at ``at_ms``, whatever the device said."""

    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """It is not charged, whenever it was."""


Decision = Shifted | SetTo | Dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What was decided about a record. ``at_ms`` None: it is dropped."""

    sequence: int
    at_ms: int | None


def decide(
    device_id: DeviceId,
    sequences: Iterable[int],
    decision: Decision,
    kept: Mapping[int, Kept],
    now_ms: int,
    *,
    taken: Iterable[tuple[MediumId, int]] = (),
) -> list[Release]:
    """Return what ``decision`` means for each of ``sequences``, in order and each once: for all of them or for none.

    ``taken``: medium and time (ms) of the device's rides that were released before.

    Raises:
        ReleaseError: about the first for which it cannot be.
    """
    releases, rides = [], set(taken)
    for sequence in sorted(set(sequences)):
        one = kept.get(sequence)
        found = _release(sequence, decision, one, now_ms)
        if isinstance(found, Refusal):
            raise ReleaseError(device_id, sequence, found)
        releases.append(found)
        if found.at_ms is None or one is None or one.waiting is None or not is_own_ride(one.waiting.tap):
            continue
        ride = (one.waiting.tap.medium_id, found.at_ms)
        if ride in rides:
            raise ReleaseError(device_id, sequence, Refusal.SAME_MOMENT)
        rides.add(ride)
    return releases


def is_own_ride(tap: Tap) -> bool:
    """Return whether ``tap`` begins a ride of its medium. Cash has no memory: each ride stands alone."""
    return tap.outcome.rides and tap.medium_kind is not MediumKind.CASH


def at_its_time(tap: Tap, at_ms: int) -> Tap:
    """Return ``tap`` as the books are to have it, at the time that a person set right."""
    return msgspec.structs.replace(tap, tapped_ms=at_ms, clock_offset_ms=0)


def _release(sequence: int, decision: Decision, kept: Kept | None, now_ms: int) -> Release | Refusal:
    if kept is None:
        return Refusal.UNKNOWN
    if kept.waiting is None:
        return Refusal.DECIDED if kept.decided else Refusal.NOT_QUARANTINED
    if isinstance(decision, Dropped):
        return Release(sequence=sequence, at_ms=None)
    if not kept.waiting.is_sound:
        return Refusal.UNSOUND
    at_ms = decision.at_ms if isinstance(decision, SetTo) else kept.waiting.tap.occurred_ms + decision.by_ms
    if at_ms < CLOCK_SET_MS:
        return Refusal.BEFORE_2020
    return Refusal.IN_FUTURE if at_ms > now_ms else Release(sequence=sequence, at_ms=at_ms)
