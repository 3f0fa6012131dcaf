"""The whole tree is killed under load, again and again: API and PostgreSQL, while validators upload.

``AYALDAMA_KILL_ROUNDS`` rounds. This shows that every answer stands for a whole transaction. That it is flushed,
a kill cannot show: ``test_ledger_durable`` counts flushes.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import pytest

from ayaldama.embedded import Server, ServerHome, open_home, start_postgres
from commons.clock import wall_ms
from commons.migrate import migrate
from fare.ledger.accounts import debt
from fare.model import DeviceId, LocatedTap, MediumKind, Tap
from fare.outcomes import TapOutcome
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_devices import PostgresDevices
from fare.validator.batches import BYTES_MAX, make_batch, open_receipt
from fare.validator.enrolment import Code, EnrolmentRequest, IssuedCode
from fare.validator.journal_file import JournalFile
from fare.validator.link import Link, LinkError
from fare.validator.signing import SigningKey
from tests.fare.edges.city_server import CITY, KEY, PLACES
from tests.fare.validator.power import UnsafeDisk
from tests.notation.rides import SmallTariff, medium, total_tiyn
from tests.patience import PATIENCE_S

PROJECT = Path(__file__).parents[3]
KILL_ROUNDS = int(os.environ.get("AYALDAMA_KILL_ROUNDS", "2"))
TAPS_BEFORE_KILL = 300
DEVICES = 6
MEDIA = 40
LEFT = "SELECT (SELECT count(*) FROM validator WHERE handed < sequence) + (SELECT count(*) FROM medium_to_charge)"


class Uploading:
    """A validator's journal and its way to the server. ``acknowledged`` counts what receipts said."""

    def __init__(self, number: int) -> None:
        self.device_id = DeviceId(f"v-{number}")
        self.key = SigningKey.generate()
        self.journal = JournalFile(UnsafeDisk(), wall_ms())
        self.taps: list[Tap] = []
        self._number = number
        self.batch_max = (3, 15, 50)[number % 3]  # in service and catching up

    def tap(self) -> None:
        at = len(self.taps) + 1
        tap = Tap(
            device_id=self.device_id,
            sequence=0,
            tapped_ms=wall_ms() - (at * 7_919) % (86_400_000 if self._number % 2 else 60_000),
            medium_id=medium((self._number * 31 + at * 17) % MEDIA),
            medium_kind=MediumKind.TRANSPORT_CARD,
            outcome=TapOutcome.ACCEPTED,
            vehicle_id=f"bus-{self._number}",
        )
        self.taps.append(self.journal.append_tap(tap))

    async def upload(self, link: Link) -> None:
        """Send the next records.

        Raises:
            LinkError: if nobody answers; they are sent again then.
        """
        journal = self.journal
        stretch = journal.after(journal.acknowledged, self.batch_max, BYTES_MAX)
        if stretch is None:
            return
        sent_ms = wall_ms()
        batch = make_batch(stretch, city=CITY, device_id=self.device_id, sent_ms=sent_ms, waiting=0, key=self.key)
        answered = await link.send(batch)
        receipt = open_receipt(answered.signed, KEY.public, device_id=self.device_id, sent_ms=sent_ms)
        assert receipt is not None
        journal.acknowledge(receipt.acknowledged, receipt.hash)


class City:
    """PostgreSQL and the API before it."""

    def __init__(self, home: ServerHome) -> None:
        self._home = home
        self.postgres = start_postgres(home)
        self._api: subprocess.Popen[bytes] | None = None
        self.url = ""

    def serve(self) -> None:
        self._api = subprocess.Popen(
            [sys.executable, "-m", "tests.fare.edges.city_server", self.postgres.url, "0"],
            stdout=subprocess.PIPE,
            cwd=PROJECT,
        )
        assert self._api.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._api.stdout.readline())}"

    def kill(self) -> None:
        """End every process at once, PostgreSQL's children included."""
        assert self._api is not None
        postmaster = psutil.Process(self.postgres.process.pid)
        for process in (psutil.Process(self._api.pid), postmaster, *postmaster.children(recursive=True)):
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:  # the postmaster's end has ended it
                continue
        self.postgres.process.wait()
        self._api.wait()

    def revive(self) -> Server:
        self.postgres = start_postgres(self._home)
        return self.postgres


async def admit(pool: asyncpg.Pool, device: Uploading) -> None:
    store = PostgresDevices(pool, CITY)
    code = Code.make(os.urandom(10), KEY.public)
    await store.issue(
        IssuedCode(digest=code.digest, device_id=device.device_id, vehicle_id="bus", expires_ms=wall_ms() + 60_000)
    )
    await store.enrol(EnrolmentRequest(secret=code.secret, public=device.key.public), wall_ms())


async def load(city: City, devices: list[Uploading], taps: int) -> None:
    """Tap and upload on all devices until so many more are acknowledged."""
    goal = sum(device.journal.acknowledged for device in devices) + taps
    reached = asyncio.Event()

    async def work(device: Uploading, link: Link) -> None:
        while True:
            for _ in range(device.batch_max):
                device.tap()
            await device.upload(link)
            if sum(one.journal.acknowledged for one in devices) >= goal:
                reached.set()

    async with aiohttp.ClientSession() as session:
        working = [asyncio.create_task(work(device, Link(session, city.url))) for device in devices]
        await asyncio.wait_for(reached.wait(), PATIENCE_S)
        city.kill()  # between any two instructions of them all
        for failure in await asyncio.gather(*working, return_exceptions=True):
            assert isinstance(failure, LinkError), failure


async def finish(city: City, devices: list[Uploading]) -> None:
    """Upload all that waits, and let the ledger have it."""
    async with (
        aiohttp.ClientSession() as session,
        asyncpg.create_pool(city.postgres.url, min_size=1, max_size=1) as pool,
    ):
        for device in devices:
            while device.journal.waiting:
                await device.upload(Link(session, city.url))
        async with asyncio.timeout(PATIENCE_S):
            while await pool.fetchval(LEFT):  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.1)


async def check(pool: asyncpg.Pool, devices: list[Uploading], *, all_is_here: bool) -> None:
    for device in devices:
        rows = await pool.fetch("SELECT sequence FROM validator_record WHERE device_id = $1", device.device_id)
        here = sorted(row["sequence"] for row in rows)
        assert here == list(range(1, len(here) + 1)), "one chain, no gap, nothing twice"
        assert len(here) >= device.journal.acknowledged, f"{device.device_id}: acknowledged and not here"
    assert (await verify(pool)).findings == []
    if not all_is_here:
        return
    made: list[LocatedTap] = [PLACES.at_its_place(tap) for device in devices for tap in device.taps]
    rows = await pool.fetch("SELECT device_id, sequence FROM tap")
    assert sorted(f"{row['device_id']}:{row['sequence']}" for row in rows) == sorted(one.tap.key for one in made)
    balances = await balances_tiyn(pool)
    for medium_id, charged_tiyn in total_tiyn(made, SmallTariff(), {}).items():
        assert balances.get(debt(medium_id), 0) == charged_tiyn


@pytest.fixture
def city(tmp_path: Path) -> City:
    tmp_path.chmod(0o755)
    return City(open_home(tmp_path))


async def test_nothing_acknowledged_is_missing_or_doubled_when_the_whole_tree_is_killed(city: City) -> None:
    devices = [Uploading(number) for number in range(DEVICES)]
    async with asyncpg.create_pool(city.postgres.url, min_size=1, max_size=1) as pool:
        await migrate(pool, "fare.store")
        for device in devices:
            await admit(pool, device)
    for _ in range(KILL_ROUNDS):
        city.serve()
        await load(city, devices, TAPS_BEFORE_KILL)
        async with asyncpg.create_pool(city.revive().url, min_size=1, max_size=1) as pool:
            await check(pool, devices, all_is_here=False)
    city.serve()
    await finish(city, devices)
    async with asyncpg.create_pool(city.postgres.url, min_size=1, max_size=1) as pool:
        await check(pool, devices, all_is_here=True)
    city.kill()
