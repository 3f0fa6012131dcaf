"""Taps that must wait for their place hold up those behind them, never those before them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from commons.metrics import Metrics
from fare.api.devices import Devices, Surroundings
from fare.model import DeviceId, MediumKind, Tap
from fare.outcomes import TapOutcome
from fare.taking import NotYetError
from fare.validator.batches import Until
from fare.validator.signing import SigningKey
from tests.fare.api.town import Clock
from tests.notation.rides import medium

DEVICE = DeviceId("v-1")


@dataclass(kw_only=True)
class Records:
    """What a device sent, and how far the ledger is."""

    last: int
    at: int = 0
    waits: set[int] = field(default_factory=set)
    taken: list[int] = field(default_factory=list)

    async def key(self, _: str) -> None:
        """Nobody sends anything here."""

    async def pending(self, _: DeviceId) -> tuple[list[Tap], int]:
        return [tap(number) for number in range(self.at + 1, self.last + 1)], self.last if self.at < self.last else 0

    async def handed(self, _: DeviceId, sequence: int) -> None:
        self.at = sequence

    async def noted(self, notes: Mapping[DeviceId, Until]) -> None:
        self.at = notes[DEVICE].sequence

    async def take(self, taps: list[Tap]) -> None:
        for one in taps:
            if one.sequence in self.waits:
                raise NotYetError(one)
        self.taken += [one.sequence for one in taps]


def tap(sequence: int) -> Tap:
    return Tap(
        device_id=DEVICE,
        sequence=sequence,
        tapped_ms=sequence,
        medium_id=medium(7),
        medium_kind=MediumKind.TRANSPORT_CARD,
        outcome=TapOutcome.ACCEPTED,
        vehicle_id="bus",
    )


@dataclass(kw_only=True)
class Releases:
    """What a person released. ``breaks``: the process ends before it notes what the ledger has."""

    waiting: list[int]
    breaks: bool = False

    async def behind(self) -> list[DeviceId]:
        return [DEVICE] if self.waiting else []

    async def pending(self, _: DeviceId, after: int) -> list[Tap]:
        return [tap(number) for number in self.waiting if number > after][:3]

    async def handed(self, _: DeviceId, sequences: Sequence[int], now_ms: int) -> None:
        if self.breaks:
            raise ConnectionError("gone")
        self.waiting = [one for one in self.waiting if one not in sequences]


def devices(records: Records, releases: Releases | None = None) -> Devices:
    return Devices(
        records,  # type: ignore[arg-type]
        city="kzo",
        key=SigningKey.generate(),
        clock=Clock(),
        metrics=Metrics(),
        surroundings=Surroundings(take_taps=records.take),
        releases=releases,
    )


async def test_a_bus_that_is_searched_for_long_does_not_hold_up_its_older_taps() -> None:
    records = Records(last=5, waits={4, 5})
    with pytest.raises(NotYetError):
        await devices(records).hand_over(DEVICE)
    assert (records.taken, records.at) == ([1, 2, 3], 3)
    records.waits = {5}
    with pytest.raises(NotYetError):
        await devices(records).hand_over(DEVICE)
    records.waits.clear()
    await devices(records).hand_over(DEVICE)
    assert (records.taken, records.at) == ([1, 2, 3, 4, 5], 5)


async def test_the_first_that_waits_hands_over_nothing() -> None:
    records = Records(last=2, waits={1})
    with pytest.raises(NotYetError):
        await devices(records).hand_over(DEVICE)
    assert (records.taken, records.at) == ([], 0)


async def test_a_released_tap_that_must_wait_holds_up_no_other() -> None:
    records, releases = Records(last=0, waits={2, 3}), Releases(waiting=[1, 2, 3, 4, 5])
    await devices(records, releases).hand_over_released(DEVICE)
    assert (records.taken, releases.waiting) == ([1, 4, 5], [2, 3])
    records.waits.clear()
    await devices(records, releases).hand_over_released(DEVICE)
    assert (records.taken, releases.waiting) == ([1, 4, 5, 2, 3], [])


async def test_what_was_handed_over_and_not_noted_is_handed_over_again_as_it_was() -> None:
    records, releases = Records(last=0), Releases(waiting=[1, 2], breaks=True)
    with pytest.raises(ConnectionError):
        await devices(records, releases).hand_over_released(DEVICE)
    releases.breaks = False
    await devices(records, releases).hand_over_released(DEVICE)
    assert (records.taken, releases.waiting) == ([1, 2, 1, 2], [])
