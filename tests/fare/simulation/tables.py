"""What the database of the simulated city has committed, and what may happen within a transaction."""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from fare.ledger.billing import Posted
from fare.ledger.posting import Book
from fare.model import DeviceId, LocatedTap, MediumId, Ride
from fare.validator.batches import DeviceKey, Received, Receiving, Reception
from fare.validator.documents import Published
from fare.validator.enrolment import IssuedCode
from fare.validator.journal import Head
from tests.fare.simulation.faults import Dice, KilledError
from tests.fare.simulation.releases import Decided, RecordId
from tests.notation.claims import Claims


class Effects:
    """What may happen between two statements of a transaction."""

    def __init__(
        self, tables: "Tables", dice: Dice, kill: Callable[[], None], *, crashes: str = "server_crashes"
    ) -> None:
        self._tables = tables
        self._dice = dice
        self._kill = kill
        self._crashes = crashes

    async def between(self, where: str) -> None:
        """Let others go on; perhaps be killed, or lose the database.

        Raises:
            KilledError: if the process is killed here.
            ConnectionError: if the connection ends here.
        """
        restored = self._tables.restored
        await asyncio.sleep(self._dice.of("database").choice((0, 0.002, 0.02)))
        if self._tables.restored != restored:
            raise ConnectionError(f"{where}: the database was put back")
        if self._dice.strikes(self._crashes, where):
            self._kill()
            raise KilledError(where)
        if self._dice.strikes("database_lost", where):
            raise ConnectionError(where)


@dataclass(slots=True)
class DeviceRow:
    vehicle_id: str
    head: Head = field(default_factory=Head)
    handed: int = 0
    stopped: bool = False
    revoked: bool = False
    records: dict[int, Received] = field(default_factory=dict)
    received_ms: dict[int, int] = field(default_factory=dict)  # of records

    @property
    def version(self) -> str:
        """Return another for each state of its row."""
        return repr((self.vehicle_id, self.head, self.handed, self.stopped, self.revoked))

    def keep(self, reception: Reception, now_ms: int) -> None:
        for one in reception.new:
            if one.sequence in self.records:
                raise ConnectionError(f"record {one.sequence} is there")  # the primary key
        self.records.update((one.sequence, one) for one in reception.new)
        self.received_ms.update((one.sequence, now_ms) for one in reception.new)
        self.head = reception.head
        self.stopped = self.stopped or reception.receipt.outcome is Receiving.FORKED


class Tables:
    """What is committed."""

    def __init__(self) -> None:
        self.restored = 0  # times
        self.devices: dict[DeviceId, DeviceRow] = {}
        self.keys: dict[str, tuple[DeviceId, DeviceKey]] = {}
        self.codes: dict[bytes, IssuedCode] = {}
        self.documents: list[Published] = []
        self.releases: dict[RecordId, Decided] = {}
        self.deciding = asyncio.Lock()  # the rows of records, for those who decide about them
        self.taps: dict[str, LocatedTap] = {}
        self.rides: dict[MediumId, list[Ride]] = {}
        self.to_charge: dict[MediumId, int] = {}
        self.posted: dict[str, Posted] = {}
        self.book = Book()
        self.claims = Claims()

    def backup(self) -> "Tables":
        """Return a copy of records, decisions, taps and books; keys and documents are kept elsewhere."""
        copy = Tables()
        copy.devices = {
            device_id: dataclasses.replace(one, records=dict(one.records), received_ms=dict(one.received_ms))
            for device_id, one in self.devices.items()
        }
        copy.releases = {one: dataclasses.replace(decided) for one, decided in self.releases.items()}
        copy.taps, copy.posted, copy.book = dict(self.taps), dict(self.posted), copied(self.book)
        copy.to_charge, copy.claims = dict(self.to_charge), self.claims.copied()
        copy.rides = {medium_id: list(rides) for medium_id, rides in self.rides.items()}
        return copy

    def restore(self, backup: "Tables") -> None:
        """Go back to ``backup``; every transaction under way is lost."""
        self.restored += 1
        for device_id, one in backup.devices.items():
            now = self.devices[device_id]
            now.head, now.handed, now.records, now.received_ms = one.head, one.handed, one.records, one.received_ms
        self.taps, self.rides, self.posted, self.book = backup.taps, backup.rides, backup.posted, backup.book
        self.to_charge, self.claims, self.releases = backup.to_charge, backup.claims, backup.releases


def copied(book: Book) -> Book:
    """Return what a transaction may change; nobody sees it before it is committed."""
    return Book(
        number=book.number, head=book.head, balances_tiyn=dict(book.balances_tiyn), held_tiyn=dict(book.held_tiyn),
        recorded=dict(book.recorded), referred=dict(book.referred), pages=list(book.pages),
    )  # fmt: skip


def committed(book: Book, *, after: Book) -> Book:
    """Return ``book`` with the pages since ``after`` chained together, as one transaction writes them."""
    book.pages = book.pages[len(after.pages) :]
    book.pages = after.pages + book.seal()
    return book
