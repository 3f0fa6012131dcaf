"""A validator at work on a real folder: recorded before it is shown, and honest when it cannot record."""

from pathlib import Path

import pytest

from commons.clock import SystemClock, wall_ms
from fare.model import DeviceId, RiderCategory, Riders
from fare.outcomes import TapOutcome
from fare.validator.batches import Receipt, Receiving
from fare.validator.disk import FolderDisk
from fare.validator.documents import Shelving
from fare.validator.enrolment import Enrolled, Enrolling
from fare.validator.home import Home, HomeError, Identity
from fare.validator.journal import START, Note, decode
from fare.validator.program import Validator
from fare.validator.rules import Reason
from fare.validator.screen import Shown
from fare.validator.signing import SigningKey
from tests.fare.validator.cards import PUPIL, shown
from tests.fare.validator.test_documents import ROOT, configuration, fares, listed

V1 = DeviceId("v-1")


def identity_in(home: Home) -> Identity:
    said = Enrolled(
        outcome=Enrolling.ENROLLED,
        public=ROOT.public,
        server_ms=0,
        device_id=V1,
        city="kzo",
        vehicle_id="bus-7",
        hash=START,
    )
    return home.enrolled(said, SigningKey.from_bytes(b"d" * 32), "http://127.0.0.1:1")


class Cabin:
    """A validator, its folder and its screen."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.shown: list[Shown] = []
        identity = self.home.identity() or identity_in(self.home)
        self.validator = Validator(self.home, identity, clock=SystemClock(), show=self.shown.append)

    async def hold(self, name: str) -> Shown:
        await self.validator.present(shown(name, at_ms=wall_ms()), "front")
        return self.shown[-1]

    async def notes(self) -> list[Note]:
        found = await self.validator.stretch(0, 1_000, 10**6)
        assert found is not None
        records = [decode(payload) for payload in found[0].payloads]
        return [record.noted.note for record in records if record is not None and record.noted is not None]


@pytest.fixture
async def cabin(tmp_path: Path) -> Cabin:
    cabin = Cabin(tmp_path)
    assert await cabin.validator.open_journal()
    documents = (configuration(1), fares(1), listed(1, "eve", made_ms=wall_ms()), listed(1, "kid", name=PUPIL))
    outcomes = await cabin.validator.take_documents(one.signed for one in documents)
    assert set(outcomes) == {Shelving.TAKEN}
    return cabin


async def test_a_tap_is_on_disk_when_it_is_shown(cabin: Cabin) -> None:
    said = await cabin.hold("ann")
    assert (said.green, said.outcome, said.price_tiyn, said.recorded) == (True, TapOutcome.ACCEPTED, 10_000, True)
    status = cabin.validator.status()
    assert (status.state, status.waiting, status.prices[0][1]) == ("in_service", 2, 10_000)


async def test_a_restart_remembers_documents_and_who_paid(cabin: Cabin, tmp_path: Path) -> None:
    await cabin.hold("ann")
    again = Cabin(tmp_path)
    assert await again.validator.open_journal()
    assert (await again.hold("ann")).outcome is TapOutcome.ALREADY_PAID
    assert await again.notes() == [Note.STARTED, Note.STARTED]


async def test_without_documents_everybody_rides_free_and_is_recorded(tmp_path: Path) -> None:
    cabin = Cabin(tmp_path)
    await cabin.validator.open_journal()
    said = await cabin.hold("ann")
    assert (said.outcome, said.reason, said.recorded) == (TapOutcome.FREE_BY_RULE, Reason.OUT_OF_SERVICE, True)
    assert cabin.validator.status().state == "no_documents"


async def test_a_disk_that_fails_lets_ride_says_so_and_is_tried_again(
    cabin: Cabin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: FolderDisk, _name: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(FolderDisk, "sync", refuse)
        said = await cabin.hold("ann")
        assert (said.green, said.outcome, said.recorded) == (True, TapOutcome.FREE_BY_RULE, False)
        assert cabin.validator.status().state == "no_journal"
        assert not (await cabin.hold("bob")).recorded
    said = await cabin.hold("cid")
    assert (said.outcome, said.recorded) == (TapOutcome.ACCEPTED, True)
    assert cabin.validator.status().state == "in_service"


async def test_i2_who_was_told_that_the_ride_is_free_is_not_charged_when_the_disk_works_again(
    cabin: Cabin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: FolderDisk, _name: str) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(FolderDisk, "sync", refuse)  # the record is written whole, and nobody can say that it stays
        assert not (await cabin.hold("ann")).recorded
    await cabin.hold("bob")
    found = await cabin.validator.stretch(0, 1_000, 10**6)
    assert found is not None
    records = [decode(payload) for payload in found[0].payloads]
    taps = [record.tap for record in records if record is not None and record.tap is not None]
    assert [tap.medium_id for tap in taps] == [shown("bob").medium_id]


async def test_companions_ride_on_the_next_tap_alone(cabin: Cabin) -> None:
    cabin.validator.choose((Riders(category=RiderCategory("adult"), count=2),))
    assert cabin.validator.status().companions == 2
    said = await cabin.hold("ann")
    assert (said.riders, said.price_tiyn) == (3, 30_000)
    assert cabin.validator.status().companions == 0
    with pytest.raises(ValueError, match="companions: 1 to 20 riders"):
        cabin.validator.choose((Riders(category=RiderCategory("adult"), count=21),))


async def test_the_drivers_button_records_whom_the_reader_could_not_serve(cabin: Cabin) -> None:
    decision = await cabin.validator.let_ride()
    assert decision.outcome is TapOutcome.FREE_BY_RULE
    assert cabin.shown[-1].recorded


async def test_a_receipt_moves_the_bus_corrects_the_clock_and_frees_the_disk(cabin: Cabin, tmp_path: Path) -> None:
    await cabin.hold("ann")
    receipt = Receipt(
        outcome=Receiving.TAKEN, device_id=V1, sent_ms=0, acknowledged=2, hash=b"h" * 32,
        server_ms=wall_ms() + 3_600_000, vehicle_id="bus-8", route_id="12",
        accounts=((shown("ann").medium_id, 55_000),),
    )  # fmt: skip
    await cabin.validator.take_receipt(receipt, round_trip_ms=100)
    status = cabin.validator.status()
    assert (status.vehicle_id, status.route_id) == ("bus-8", "12")
    assert abs(status.clock_offset_ms - 3_600_000) < 60_000
    assert Note.CLOCK_CORRECTED in await cabin.notes()
    assert cabin.validator.acknowledged == 2
    assert Cabin(tmp_path).validator.status().vehicle_id == "bus-8", "also after a restart"


def test_one_process_per_folder(tmp_path: Path) -> None:
    home, other = Home(tmp_path), Home(tmp_path)
    with home.locked(), pytest.raises(HomeError, match="another validator process uses this folder"), other.locked():
        pass
    with other.locked():
        pass


def test_secrets_are_for_the_owner_and_show_nowhere(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    identity = identity_in(home)
    assert "seed" not in repr(identity)
    assert all(not path.stat().st_mode & 0o077 for path in (tmp_path / "home").iterdir())


def test_a_damaged_identity_is_said_and_damaged_documents_are_asked_for_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    identity = identity_in(home)
    (tmp_path / "documents").write_bytes(b"\xc1")
    assert home.shelf(identity).versions() == ()
    (tmp_path / "identity").write_bytes(b"\xc1")
    with pytest.raises(HomeError, match="identity is damaged: enrol the device again"):
        home.identity()


def test_the_key_to_be_enrolled_stays_until_it_is(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.new_key().public == Home(tmp_path).new_key().public
    identity_in(home)
    assert home.new_key().public != SigningKey.from_bytes(b"d" * 32).public
