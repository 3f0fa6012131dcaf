"""A validator without disk and network: taps in a row, as text, against the decision that must come."""

from dataclasses import replace

import msgspec

from fare.model import DeviceId, MediumKind, RiderCategory, Riders, Tap
from fare.validator.decide import Decision, Holdings, Place, decide
from fare.validator.recent import RecentTaps
from tests.fare.validator.cards import BUS, NOON_MS, Proof, holdings, shown

KINDS = {"card": MediumKind.TRANSPORT_CARD, "bank": MediumKind.BANK_CARD, "phone": MediumKind.PHONE}


class Bus:
    """Readers of one vehicle. ``tap`` is one showing; a recorded one is remembered, as the program does it."""

    def __init__(self, held: Holdings | None = None, place: Place = BUS) -> None:
        self.held = held or holdings()
        self.place = place
        self.recent = RecentTaps()
        self.taps: list[Tap] = []

    def tap(
        self, name: str, at_s: float, *, kind: str = "card", reader: str = "front", counter: int = -1,
        proof: Proof = Proof.VERIFIED, companions: tuple[Riders, ...] = (), expires_ms: int = 0,
    ) -> Decision:  # fmt: skip
        now_ms = NOON_MS + round(at_s * 1_000)
        presented = shown(name, kind=KINDS[kind], counter=counter, at_ms=now_ms, proof=proof, expires_ms=expires_ms)
        decision = decide(
            presented, self.held, self.recent, now_ms, place=self.place, reader=reader, companions=companions
        )
        tap = Tap(
            device_id=DeviceId("v-1"),
            sequence=len(self.taps) + 1,
            tapped_ms=now_ms,
            medium_id=presented.medium_id,
            medium_kind=presented.kind,
            outcome=decision.outcome,
            riders=decision.riders,
            vehicle_id=self.place.vehicle_id,
            route_id=self.place.route_id,
            trip_id=self.place.trip_id,
            shown_tiyn=decision.shown_tiyn,
            counter=counter,
        )
        self.taps.append(tap)
        self.recent.remember(tap, reader=reader)
        return decision

    def drive(self, **place: str | int) -> None:
        self.place = replace(self.place, **place)

    def restart(self) -> None:
        """Lose the memory and read the journal again."""
        self.recent = RecentTaps()
        for tap in self.taps:
            self.recent.remember(tap)

    def rules(self, **changed: object) -> None:
        self.held = replace(self.held, configuration=msgspec.structs.replace(self.held.configuration, **changed))


def companion(category: str = "adult", count: int = 1) -> tuple[Riders, ...]:
    return (Riders(category=RiderCategory(category), count=count),)


def play(scene: str, bus: Bus) -> None:
    """Play ``at_s reader medium kind counter → outcome reason tiyn`` lines; "-" is nothing."""
    lines = [line.split() for line in scene.strip().splitlines()]
    assert lines[0] == ["at_s", "reader", "medium", "kind", "counter", "outcome", "reason", "tiyn"]
    for at_s, reader, name, kind, counter, outcome, reason, tiyn in lines[1:]:
        decision = bus.tap(name, float(at_s), kind=kind, reader=reader, counter=-1 if counter == "-" else int(counter))
        assert (decision.outcome.value, decision.reason.value) == (outcome, reason), f"{name} at {at_s} s"
        assert decision.shown_tiyn == int(tiyn), f"{name} at {at_s} s"
