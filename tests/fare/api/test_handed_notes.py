"""How far the ledger is, is written down for all together, once, and forgotten in trouble."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise

import pytest

from commons.metrics import Metrics
from fare.api.handed_notes import WRITE_EVERY_S, HandedNotes
from fare.model import DeviceId
from fare.validator.batches import Until
from tests.fare.simulation.virtual_time import VirtualLoop, run

V1, V2 = DeviceId("v-1"), DeviceId("v-2")


def until(sequence: int) -> Until:
    return Until(sequence=sequence, received_ms=sequence * 1_000)


class Table:
    def __init__(self) -> None:
        self.written: list[tuple[float, dict[DeviceId, Until]]] = []
        self.away = False

    async def write(self, notes: Mapping[DeviceId, Until]) -> None:
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(0.1)
        if self.away:
            raise ConnectionError("the database is away")
        self.written.append((began_s, dict(notes)))


def test_notes_of_many_taps_are_written_together_the_last_of_each_device() -> None:
    async def main(loop: VirtualLoop) -> None:
        table, metrics = Table(), Metrics()
        notes = HandedNotes(table.write, metrics)
        running = asyncio.create_task(notes.run())
        notes.note(V1, until(1))
        notes.note(V2, until(7))
        notes.note(V1, until(2))
        assert (notes.sequence(V1, before=3), V1 in notes) == (2, True)
        await asyncio.sleep(WRITE_EVERY_S + 0.2)
        assert table.written == [(WRITE_EVERY_S, {V1: until(2), V2: until(7)})]
        assert (notes.sequence(V1, before=3), V1 in notes) == (0, False)
        running.cancel()

    run(main)


def test_what_is_noted_while_others_are_written_is_written_next_and_nothing_twice() -> None:
    async def main(loop: VirtualLoop) -> None:
        table, metrics = Table(), Metrics()
        notes = HandedNotes(table.write, metrics)
        running = asyncio.create_task(notes.run())
        notes.note(V1, until(1))
        await asyncio.sleep(WRITE_EVERY_S + 0.05)
        notes.note(V1, until(2))
        await asyncio.gather(notes.write(), notes.write())
        await asyncio.sleep(1.0)
        assert [written for _, written in table.written] == [{V1: until(1)}, {V1: until(2)}]
        assert all(later - before >= 0.099 for (before, _), (later, _) in pairwise(table.written)), "one after another"
        running.cancel()

    run(main)


def test_no_note_outlives_trouble_with_the_database() -> None:
    """It may come back as it was before the ledger had the taps."""

    async def main(loop: VirtualLoop) -> None:
        table, metrics = Table(), Metrics()
        table.away = True
        notes = HandedNotes(table.write, metrics)
        running = asyncio.create_task(notes.run())
        notes.note(V1, until(1))
        await asyncio.sleep(1.0)
        assert V1 not in notes
        assert 'role_errors_total{role="fare",where="handed_notes"} 1.0' in metrics.exposition().decode()
        notes.note(V1, until(2))
        with pytest.raises(ConnectionError):
            await notes.write()
        table.away = False
        await asyncio.sleep(1.0)
        assert table.written == []
        running.cancel()

    run(main)


def test_a_note_of_a_record_that_is_new_again_does_not_count() -> None:
    notes = HandedNotes(Table().write, Metrics())
    notes.note(V1, until(5))
    assert notes.sequence(V1, before=6) == 5
    assert notes.sequence(V1, before=5) == 0
