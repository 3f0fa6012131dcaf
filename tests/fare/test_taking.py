"""From a validator's record to a ride: at the corrected time, told once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from commons.metrics import Metrics
from fare.model import CarrierId, DeviceId, LocatedTap, MediumKind, Ride, RiderCategory, Riders, Tap
from fare.outcomes import TapOutcome, TapReceipt
from fare.taking import BACKLOG_MS, NotYetError, TapTaking
from tests.fare.api.town import Clock
from tests.fare.inspection.bus import TEN_MS
from tests.notation.rides import medium

ADULT = Riders(category=RiderCategory("adult"), count=1)


@dataclass(kw_only=True)
class Books:
    """Stores what comes, as the intake of taps does, and finds earlier rides as the database does."""

    stored: dict[str, LocatedTap] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    backlogs: list[bool] = field(default_factory=list)
    searched: set[str] = field(default_factory=set)

    async def take(self, taps: Sequence[LocatedTap], *, backlog: bool = False) -> list[TapReceipt]:
        self.backlogs.append(backlog)
        await asyncio.sleep(0)
        receipts = [TapReceipt.REPEATED if one.tap.key in self.stored else TapReceipt.STORED for one in taps]
        self.stored = {one.tap.key: one for one in taps} | self.stored
        return receipts

    async def located(self, taps: Sequence[Tap]) -> list[LocatedTap]:
        return [LocatedTap(tap=tap, ride=ride_of(tap) if tap.outcome.rides else None) for tap in taps]

    def is_searched(self, tap: Tap) -> bool:
        return tap.key in self.searched

    async def tell(self, taps: Sequence[LocatedTap]) -> None:
        self.told += [one.tap.key for one in taps]

    def rides(self) -> set[str]:
        return {key for key, one in self.stored.items() if one.ride is not None}


def ride_of(tap: Tap) -> Ride:
    return Ride(
        key=tap.key,
        tapped_ms=tap.tapped_ms,
        medium_id=tap.medium_id,
        medium_kind=tap.medium_kind,
        riders=tap.riders,
        vehicle_id=tap.vehicle_id,
        carrier_id=CarrierId("k1"),
    )


def taking(books: Books) -> TapTaking:
    return TapTaking(
        intake=books,  # type: ignore[arg-type]
        locating=books,
        told=books.tell,
        clock=Clock(),
        metrics=Metrics(),
    )


def tap(device: str = "front", sequence: int = 1, at_s: int = 590, **more: object) -> Tap:
    values: dict[str, object] = {
        "device_id": DeviceId(device),
        "sequence": sequence,
        "tapped_ms": TEN_MS + at_s * 1_000,
        "medium_id": medium(7),
        "medium_kind": MediumKind.TRANSPORT_CARD,
        "outcome": TapOutcome.ACCEPTED,
        "riders": (ADULT,),
        "vehicle_id": "bus-7",
    }
    return Tap(**(values | more))  # type: ignore[arg-type]


async def test_a_tap_is_stored_at_the_time_when_it_was() -> None:
    books = Books()
    await taking(books).take([tap(clock_offset_ms=5_000)])
    stored = books.stored["front:1"].tap
    assert (stored.tapped_ms, stored.clock_offset_ms) == (TEN_MS + 595_000, 0)


async def test_what_is_refused_or_paid_already_is_kept_and_begins_no_ride() -> None:
    books = Books()
    outcomes = [one for one in TapOutcome if not one.rides]
    await taking(books).take([tap(sequence=n, outcome=one) for n, one in enumerate(outcomes, start=1)])
    assert len(books.stored) == len(outcomes)
    assert books.rides() == set()


async def test_the_same_taps_again_are_told_to_nobody() -> None:
    books = Books()
    for _ in range(2):
        await taking(books).take([tap()])
    assert books.told == ["front:1"]


async def test_a_tap_whose_line_is_about_to_be_known_is_not_charged_as_one_without() -> None:
    books = Books(searched={"front:2"})
    with pytest.raises(NotYetError, match="front:2"):
        await taking(books).take([tap(), tap(sequence=2)])
    assert books.stored == {}
    books.searched.clear()
    await taking(books).take([tap(), tap(sequence=2, medium_id=medium(8))])
    assert len(books.rides()) == 2


async def test_old_taps_go_behind_live_ones() -> None:
    books = Books()
    now_s = 600
    await taking(books).take([tap(at_s=now_s)])
    old = msgspec.structs.replace(tap(sequence=2), tapped_ms=TEN_MS + now_s * 1_000 - BACKLOG_MS - 1)
    await taking(books).take([old])
    assert books.backlogs == [False, True]
