"""Cities in which everything goes wrong keep their promises, and a city whose program is wrong does not.

``AYALDAMA_SEEDS=10000 pytest tests/fare/simulation -k promise`` plays ten thousand of them.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from fare.ledger import billing
from fare.ledger.billing import Change
from fare.model import DeviceId, MediumId, Tap
from fare.store.postgres_append import Append
from fare.store.postgres_devices import Taken
from fare.validator import batches
from fare.validator.batches import Batch, Known, Reading, Reception
from fare.validator.journal_file import JournalFile
from fare.validator.release import Kept, Quarantined, at_its_time
from tests.fare.simulation import releases, server
from tests.fare.simulation.device import Disk
from tests.fare.simulation.faults import ALL, NONE, CrashedError
from tests.fare.simulation.seeds import broken_by, try_seeds
from tests.fare.simulation.world import play
from tests.notation import claims

SEEDS = int(os.environ.get("AYALDAMA_SEEDS", "100"))
FIRST_SEED = int(os.environ.get("AYALDAMA_FIRST_SEED", "0"))
SEEDS_TO_FIND = 150  # a planted fault
MEETS = {
    *("light", "acknowledged", "server ended", "power", "enrolled again", "restored", "clock set wrong"),
    *("given back", "given up"),
    *("released", "dropped", "command ended", "release refused: decided"),
    *("release refused: in_future", "release refused: before_2020"),
}

Plant = Callable[[pytest.MonkeyPatch], None]


def test_no_seed_breaks_a_promise() -> None:
    failed = list(try_seeds(range(FIRST_SEED, FIRST_SEED + SEEDS)))
    assert not failed, "\n" + "\n".join(map(str, failed))


def test_a_seed_is_one_history() -> None:
    assert play(3, ALL).trace == play(3, ALL).trace
    assert play(3, ALL).trace != play(4, ALL).trace


def test_seeds_meet_everything_that_they_are_there_for() -> None:
    met: Counter[str] = Counter()
    for seed in range(40):
        met.update(play(seed, ALL).counts)
        if met.keys() == MEETS:
            break
    assert met.keys() == MEETS


def test_a_city_without_faults_is_quiet_too() -> None:
    assert play(3, NONE).taps > 0


def answers_before_the_record_is_synced(patch: pytest.MonkeyPatch) -> None:
    append = JournalFile._append

    def careless(journal: JournalFile, record: Any) -> None:
        disk = journal._disk
        with pytest.MonkeyPatch.context() as without:
            without.setattr(disk, "sync", lambda name: None)
            append(journal, record)

    patch.setattr(JournalFile, "_append", careless)


def a_gap_is_taken_as_if_nothing_were_missing(patch: pytest.MonkeyPatch) -> None:
    receive = batches.receive

    def careless(batch: Batch, known: Known, now_ms: int, reading: Reading) -> Reception:
        if batch.first_sequence > known.head.sequence + 1:
            head = batches.Head(sequence=batch.first_sequence - 1, hash=batch.before)
            known = dataclasses.replace(known, head=head)
        return receive(batch, known, now_ms, reading)

    patch.setattr(server, "receive", careless)


def a_new_price_counts_for_rides_before_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("fare.tariff.model.Tariff.version_on", lambda tariff, date: tariff.versions[-1])


def the_second_door_charges_too(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("fare.pricing.without_second_validators", lambda rides, configuration: list(rides))


def a_new_price_does_not_reverse_the_old_one(patch: pytest.MonkeyPatch) -> None:
    post_change = billing.post_change

    def careless(book: Any, change: Change, pricing: Any) -> Any:
        if change.before is not None:
            before = msgspec.structs.replace(change.before, journal_key=None)
            change = msgspec.structs.replace(change, before=before)
        return post_change(book, change, pricing)

    patch.setattr(billing, "post_change", careless)


def a_late_tap_changes_no_later_bill(patch: pytest.MonkeyPatch) -> None:
    changes = billing.changes

    def careless(rides: Any, posted: Any, *more: Any, from_ms: int) -> list[Change]:
        return [one for one in changes(rides, posted, *more, from_ms=from_ms) if one.before is None]

    patch.setattr(server, "changes", careless)


def a_top_up_pays_no_debt(patch: pytest.MonkeyPatch) -> None:
    for where in (server, billing):
        patch.setattr(where, "levelling", lambda *_, **__: None)


def what_was_given_back_stands_whatever_the_ride_costs_then(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claims, "realigned", lambda *_: None)


def what_was_given_up_stands_whatever_the_ride_costs_then(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(claims, "owed_again", lambda *_: None)


def taps_are_noted_before_the_ledger_has_them(patch: pytest.MonkeyPatch) -> None:
    hand_new = server.Devices._hand_new

    async def careless(devices: server.Devices, device_id: DeviceId, taken: Taken) -> list[Tap]:
        if taken.reception.new:
            await devices._store.handed(device_id, taken.reception.new[-1].sequence)
        return await hand_new(devices, device_id, taken)

    patch.setattr(server.Devices, "_hand_new", careless)


def records_go_on_whatever_became_of_their_device(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(server.DeviceRow, "version", "always the same")


def records_that_go_on_are_kept_without_their_taps(patch: pytest.MonkeyPatch) -> None:
    async def careless(books: server.Books, taps: list[Tap], append: Append) -> str | None:
        await books._between("careless: begun")
        return books._tables.devices[append.device_id].version if books._appended(append) else None

    patch.setattr(server.Books, "record", careless)


def stored_taps_are_forgotten_before_they_are_charged(patch: pytest.MonkeyPatch) -> None:
    charge_noted = server.Books._charge_noted

    async def careless(books: server.Books, media: Sequence[MediumId]) -> None:
        to_charge = books._tables.to_charge
        taken = {one: to_charge.pop(one) for one in media if one in to_charge}
        await books._between("careless: committed")
        to_charge.update(taken)
        await charge_noted(books, media)

    patch.setattr(server.Books, "_charge_noted", careless)


def an_older_list_is_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("fare.validator.documents._refused", lambda *_: None)


def what_was_told_to_be_free_stays_in_the_journal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(JournalFile, "_cut_off", lambda *_: None)


def a_torn_tail_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Disk, "cut", lambda *_: None)


def a_record_can_be_released_twice(patch: pytest.MonkeyPatch) -> None:
    kept = releases.Releases._kept

    def careless(store: releases.Releases, device_id: DeviceId, row: Any, sequence: int) -> Kept:
        found = kept(store, device_id, row, sequence)
        if not found.decided:
            return found
        return Kept(waiting=Quarantined(tap=row.records[sequence].tap, received_ms=0))

    patch.setattr(releases.Releases, "_kept", careless)


def a_second_release_is_a_second_tap(patch: pytest.MonkeyPatch) -> None:
    """A tap that is handed over again, because the note that the books have it was lost, gets another key."""
    handed_out: set[tuple[str, int]] = set()

    def careless(tap: Tap, at_ms: int) -> Tap:
        again = (tap.key, at_ms) in handed_out
        handed_out.add((tap.key, at_ms))
        return msgspec.structs.replace(at_its_time(tap, at_ms), sequence=tap.sequence - again)

    patch.setattr(releases, "at_its_time", careless)


def released_taps_are_noted_before_the_ledger_has_them(patch: pytest.MonkeyPatch) -> None:
    async def careless(devices: server.Devices, device_id: DeviceId) -> None:
        store = devices._releases
        assert store is not None
        while taps := await store.pending(device_id, 0):
            await store.handed(device_id, [tap.sequence for tap in taps], 0)
            await devices._house.take_taps(taps)

    patch.setattr(server.Devices, "hand_over_released", careless)


def a_released_tap_keeps_the_time_that_was_wrong(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(releases, "at_its_time", lambda tap, at_ms: tap)


def a_dropped_tap_is_charged(patch: pytest.MonkeyPatch) -> None:
    """At the time that its device said."""
    patch.setattr(releases.Decided, "is_to_hand", property(lambda one: not one.handed))
    patch.setattr(releases, "at_its_time", lambda tap, at_ms: tap if at_ms is None else at_its_time(tap, at_ms))


PLANTED: tuple[Plant, ...] = (
    answers_before_the_record_is_synced,
    a_gap_is_taken_as_if_nothing_were_missing,
    a_new_price_counts_for_rides_before_it,
    the_second_door_charges_too,
    a_new_price_does_not_reverse_the_old_one,
    a_late_tap_changes_no_later_bill,
    a_top_up_pays_no_debt,
    what_was_given_back_stands_whatever_the_ride_costs_then,
    what_was_given_up_stands_whatever_the_ride_costs_then,
    taps_are_noted_before_the_ledger_has_them,
    records_go_on_whatever_became_of_their_device,
    records_that_go_on_are_kept_without_their_taps,
    stored_taps_are_forgotten_before_they_are_charged,
    a_record_can_be_released_twice,
    a_second_release_is_a_second_tap,
    released_taps_are_noted_before_the_ledger_has_them,
    a_released_tap_keeps_the_time_that_was_wrong,
    a_dropped_tap_is_charged,
    an_older_list_is_taken,
    what_was_told_to_be_free_stays_in_the_journal,
    a_torn_tail_stays,
)


@pytest.mark.parametrize("plant", PLANTED, ids=[plant.__name__ for plant in PLANTED])
def test_a_planted_fault_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert any(broken_by(seed) for seed in range(SEEDS_TO_FIND)), f"none of {SEEDS_TO_FIND} seeds tells"


def test_a_server_that_does_not_work_at_all_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(devices: server.Devices, reception: Reception) -> None:
        raise AttributeError("version")

    monkeypatch.setattr(server.Devices, "_count", broken)
    with pytest.raises(CrashedError, match="AttributeError"):
        broken_by(0)
