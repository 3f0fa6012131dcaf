"""Quarantined records of the simulated city: what the store keeps about them, and the person who decides.

The store has the transactions of ``fare.store.postgres_releases``. The person looks now and then, knows the right time
of what waits, guesses it, or drops it. Each command is a process of its own that may end between any two of its
effects; who got no answer gives the command again, and so does now and then who got one, or a colleague meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from fare.model import DeviceId, Tap
from fare.validator.batches import Standing
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
    is_own_ride,
)
from tests.fare.simulation.faults import FoundError, KilledError

if TYPE_CHECKING:
    from tests.fare.simulation.tables import DeviceRow, Effects, Tables
    from tests.fare.simulation.world import World

PAGE = 3  # few, so that handing over takes several
RecordId = tuple[DeviceId, int]
Result = TypeVar("Result")


@dataclass(slots=True)
class Decided:
    """A line of ``validator_release``. ``at_ms`` None: dropped."""

    at_ms: int | None
    handed: bool = False

    @property
    def is_to_hand(self) -> bool:
        return self.at_ms is not None and not self.handed


class Releases:
    """``fare.api.devices.ReleaseStore`` of one process over ``Tables``; also what the commands need."""

    def __init__(self, tables: "Tables", effects: "Effects") -> None:
        self._tables = tables
        self._between = effects.between

    async def waiting(self) -> list[Quarantined]:
        await self._between("release: listed")
        return [
            one
            for device_id, row in sorted(self._tables.devices.items())
            for sequence in sorted(row.records)
            if (one := self._kept(device_id, row, sequence).waiting) is not None
        ]

    async def decide(
        self, device_id: DeviceId, sequences: Sequence[int], decision: Decision, now_ms: int
    ) -> list[Release]:
        async with self._tables.deciding:
            await self._between("release: rows locked")
            row = self._tables.devices[device_id]
            kept = {one: self._kept(device_id, row, one) for one in sequences if one in row.records}
            taken = {
                (record.tap.medium_id, decided.at_ms)
                for (of, sequence), decided in self._tables.releases.items()
                if of == device_id
                and decided.at_ms is not None
                and (record := row.records[sequence]).tap is not None
                and is_own_ride(record.tap)
            }
            releases = decide(device_id, sequences, decision, kept, now_ms, taken=taken)
            await self._between("release: decisions written")
            await self._between("release: audit log written")
            self._tables.releases |= {(device_id, one.sequence): Decided(one.at_ms) for one in releases}
        await self._between("release: committed")
        return releases

    async def behind(self) -> list[DeviceId]:
        await self._between("released: behind")
        return sorted({device_id for (device_id, _), one in self._tables.releases.items() if one.is_to_hand})

    async def pending(self, device_id: DeviceId, after: int) -> list[Tap]:
        await self._between("released: pending")
        records = self._tables.devices[device_id].records
        found = sorted(
            (sequence, one.at_ms)
            for (of, sequence), one in self._tables.releases.items()
            if of == device_id and sequence > after and one.is_to_hand
        )
        taps = [(records[sequence].tap, at_ms) for sequence, at_ms in found[:PAGE]]
        return [at_its_time(tap, at_ms) for tap, at_ms in taps if tap is not None]  # type: ignore[arg-type]

    async def handed(self, device_id: DeviceId, sequences: Sequence[int], now_ms: int) -> None:
        await self._between("released: handed")
        for sequence in sequences:
            self._tables.releases[device_id, sequence].handed = True
        await self._between("released: committed")

    def _kept(self, device_id: DeviceId, row: "DeviceRow", sequence: int) -> Kept:
        record = row.records[sequence]
        if record.standing is not Standing.QUARANTINED or record.tap is None:
            return Kept()
        if (device_id, sequence) in self._tables.releases:
            return Kept(decided=True)
        return Kept(waiting=Quarantined(tap=record.tap, received_ms=0))  # nothing is decided by when it came


class Person:
    """Who decides about quarantined records. ``told``: what a command answered that it did, and no restore undid."""

    def __init__(self, world: "World") -> None:
        self.told: dict[RecordId, int | None] = {}
        self._world = world
        self._dice = world.dice.of("person")
        self._commands: set[asyncio.Task[object]] = set()

    async def work(self) -> None:
        """Look now and then, for as long as the seed lasts."""
        world = self._world
        while world.loop.seconds < world.span_s:
            await asyncio.sleep(self._dice.uniform(0.01, 0.15) * world.span_s)
            await self.look()

    async def look(self) -> None:
        """List what waits, and decide about some of it: of a device, some records, with one decision."""
        seen = await self._command(Releases.waiting)
        if not seen:
            return
        device_id = self._dice.choice(seen).tap.device_id
        of_device = [one for one in seen if one.tap.device_id == device_id]
        chosen = self._dice.sample(of_device, self._dice.randint(1, len(of_device)))
        await asyncio.sleep(self._dice.choice((1, 60, 3_600)))  # what was seen may have been decided meanwhile
        decisions = [self._decision(device_id, chosen)]
        if self._dice.random() < 0.3:  # a colleague has another opinion
            decisions.append(self._decision(device_id, chosen))
        await asyncio.gather(*(self._insist(device_id, chosen, one) for one in decisions))

    def database_lost(self) -> None:
        """End commands that run."""
        for task in self._commands:
            task.cancel()

    def database_restored(self) -> None:
        """Forget what was undone: somebody decides again."""
        there = self._world.tables.releases
        self.told = {one: at_ms for one, at_ms in self.told.items() if one in there}

    def check(self) -> None:
        """Check that what was answered is what is kept.

        Raises:
            FoundError: if it is not.
        """
        there = self._world.tables.releases
        for one, at_ms in self.told.items():
            if one not in there or there[one].at_ms != at_ms:
                raise FoundError(f"{one}: somebody was told {at_ms}, kept is {there.get(one)}")

    def _decision(self, device_id: DeviceId, chosen: Sequence[Quarantined]) -> Decision:
        world, dice = self._world, self._dice
        now_ms = world.true_ms()
        wrong_ms = next(one for one in world.devices if one.device_id == device_id).clock.ahead_ms
        so = dice.random()
        if so < 0.2:
            return Dropped()
        if so < 0.5:
            return SetTo(at_ms=dice.randint(world.began_ms, now_ms + 3_600_000))  # also one that is to come
        if so < 0.7:
            return Shifted(by_ms=-wrong_ms + dice.randint(-600_000, 60_000))
        return Shifted(by_ms=now_ms - dice.randint(1, 7_200_000) - max(one.tap.occurred_ms for one in chosen))

    async def _insist(self, device_id: DeviceId, chosen: Sequence[Quarantined], decision: Decision) -> None:
        """Give a command until it is answered, and perhaps once more."""
        sequences = [one.tap.sequence for one in chosen]
        again = self._dice.random() < 0.4
        while True:

            async def release(store: Releases) -> list[Release] | Refusal:
                try:
                    return await store.decide(device_id, sequences, decision, self._world.true_ms())
                except ReleaseError as error:
                    return error.refusal

            answer = await self._command(release)
            if answer is None:
                await asyncio.sleep(self._dice.choice((1, 30, 600)))
                continue
            self._hear(device_id, answer)
            if not again:
                return
            again = False

    def _hear(self, device_id: DeviceId, answer: list[Release] | Refusal) -> None:
        if isinstance(answer, Refusal):
            self._world.note(f"release refused: {answer}", device_id)
            return
        for one in answer:
            key = (device_id, one.sequence)
            if key in self.told:
                raise FoundError(f"{key}: decided twice, {self.told[key]} and {one.at_ms}")
            self.told[key] = one.at_ms
            self._world.note("dropped" if one.at_ms is None else "released", *key, one.at_ms)

    async def _command(self, act: Callable[[Releases], Awaitable[Result]]) -> Result | None:
        """Return what a command answered, None if it ended before it did."""
        task = asyncio.ensure_future(act(self._world.releases_of_a_command()))
        self._commands.add(task)
        await asyncio.wait([task])
        self._commands.remove(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConnectionError | KilledError):
            raise error
        if task.cancelled() or error is not None:
            self._world.note("command ended")
            return None
        return task.result()
