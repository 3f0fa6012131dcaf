"""A validator at work: what a reader reads is decided, recorded, and only then shown.

One decision at a time, whatever number of readers the vehicle has: two readers that see one card within a moment must
not both take its fare. Without documents, or with a disk that does not take records, the operator's rule counts; what
could not even be recorded is shown so. Amounts are tiyn, times milliseconds of the corrected clock.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from fare.history import history_code
from fare.media._base import MediumReader, Presented
from fare.model import MediumId, MediumKind, Riders, Tap
from fare.validator.batches import Receipt
from fare.validator.clock_check import ClockCheck, Offset
from fare.validator.codes import presented_of
from fare.validator.decide import Decision, Holdings, Place, decide, out_of_service
from fare.validator.documents import DocumentKind, Shelf, Shelving, holdings, shelve
from fare.validator.home import Home, Identity
from fare.validator.journal import Note, Noted, Stretch
from fare.validator.journal_file import JournalError, JournalFile, Unfinished
from fare.validator.qr_reader import Scanner
from fare.validator.recent import RecentTaps
from fare.validator.rules import Configuration, Reason
from fare.validator.screen import Shown, State, Status, prices, shown
from fare.validator.signing import Signed

COMPANIONS_MAX: Final = 20
COMPANIONS_FOR_S: Final = 20.0
SAME_CODE_S: Final = 2.0  # a scanner reads what stays before it again and again

_UNTIL_CONFIGURED: Final = Configuration(kinds=())
_log = get_logger(__name__)


class Validator:
    """The state of one validator. ``open_journal`` comes first; every method runs on one event loop."""

    def __init__(self, home: Home, identity: Identity, *, clock: Clock, show: Callable[[Shown], None]) -> None:
        self._home = home
        self._clock = clock
        self._show = show
        self._journal: JournalFile | None = None
        self._unfinished: Unfinished | None = None  # what is to be cut off before the journal is opened again
        self._disk = home.journal_disk()
        self._one_at_a_time = asyncio.Lock()
        self._number = 0
        self._companions: tuple[Riders, ...] = ()
        self._companions_until_s = 0.0
        self._last_code = ("", 0.0)
        self._clock_check = ClockCheck()
        self._place = Place(vehicle_id=identity.vehicle_id)
        self.identity = identity
        self.shelf: Shelf = home.shelf(identity)
        self.recent = RecentTaps()
        self.recorded = asyncio.Event()  # something waits for upload
        self.list_wanted = asyncio.Event()  # a phone was shown that may be newer than the list of phones
        self.online = False
        self.stopped = False

    def now_ms(self) -> int:
        """Return the corrected time."""
        return self._clock.now_ms() + self._clock_check.offset_ms

    def device_ms(self) -> int:
        """Return what the device's own clock says."""
        return self._clock.now_ms()

    @property
    def recorded_until(self) -> int | None:
        """Return the last sequence of the journal, None while it is not open."""
        return None if self._journal is None else self._journal.head.sequence

    @property
    def acknowledged(self) -> int:
        """Return the last sequence that the server acknowledged, 0 while the journal is not open."""
        return 0 if self._journal is None else self._journal.acknowledged

    @property
    def configuration(self) -> Configuration:
        """Return the rules in force, those of an unconfigured device if there are none."""
        held = self.shelf.current(DocumentKind.CONFIGURATION, "", self.now_ms())
        return held.content if held and isinstance(held.content, Configuration) else _UNTIL_CONFIGURED

    def holdings(self) -> Holdings | None:
        """Return the documents in force, None if they are not enough to decide."""
        return holdings(self.shelf, self.now_ms())

    def status(self) -> Status:
        """Return how the validator is."""
        held = self.holdings()
        journal = self._journal
        return Status(
            device_id=self.identity.device_id,
            vehicle_id=self._place.vehicle_id,
            route_id=self._place.route_id,
            state=self._state(held),
            online=self.online,
            waiting=0 if journal is None else journal.waiting,
            list_version=0 if held is None else held.denied_version,
            list_age_s=-1 if held is None else max((self.now_ms() - held.denied_ms) // 1_000, 0),
            clock_offset_ms=self._clock_check.offset_ms,
            companions=sum(rider.count for rider in self._chosen()),
            prices=prices(held, self._place.route_id, self.now_ms()),
        )

    def choose(self, companions: tuple[Riders, ...]) -> None:
        """Let the next tap pay for these too, if it comes within ``COMPANIONS_FOR_S``.

        Raises:
            ValueError: if there are more than ``COMPANIONS_MAX`` or a count is not positive.
        """
        if any(rider.count < 1 for rider in companions) or sum(one.count for one in companions) > COMPANIONS_MAX:
            raise ValueError(f"companions: 1 to {COMPANIONS_MAX} riders, each count above 0")
        self._companions = companions
        self._companions_until_s = monotonic_s() + COMPANIONS_FOR_S

    async def follow(self, name: str, reader: MediumReader) -> None:
        """Answer what ``reader`` reads until it is closed."""
        async for presented in reader:
            await self.present(presented, name)

    async def follow_scanner(self, name: str, scanner: Scanner) -> None:
        """Answer what ``scanner`` reads until it is gone."""
        async for text in scanner:
            await self.present_code(text, name)

    async def present_code(self, text: str, reader: str) -> Decision | None:
        """Decide about a scanned code as about a medium; None if it is the one that was scanned a moment ago."""
        before, at_s = self._last_code
        self._last_code = (text, monotonic_s())
        if text == before and self._last_code[1] - at_s < SAME_CODE_S:
            return None
        held = self.holdings()
        phones = held.phones if held is not None else None
        shown_now = presented_of(text, phones, city=self.identity.city, now_ms=self.now_ms(), read_ms=self.device_ms())
        decision = await self.present(shown_now, reader)
        if decision.reason is Reason.CODE_UNKNOWN:
            self.list_wanted.set()
        return decision

    async def present(self, presented: Presented, reader: str) -> Decision:
        """Decide about one showing, record it, show the answer."""
        async with self._one_at_a_time:
            held, now_ms = self.holdings(), self.now_ms()
            if held is None:
                decision = out_of_service(self.configuration)
            else:
                decision = decide(
                    presented,
                    held,
                    self.recent,
                    now_ms,
                    place=self._place,
                    reader=reader,
                    companions=self._chosen(),
                )
            decision, recorded = await self._record(
                decision, presented.kind, presented.medium_id, presented.counter, reader
            )
            if decision.green:
                self._companions = ()
            code = history_code(self._journal.head.hash) if recorded and self._journal is not None else ""
        return self._shown(decision, reader, recorded=recorded, code=code)

    async def let_ride(self) -> Decision:
        """Record a passenger whom the reader cannot serve: the driver's button."""
        async with self._one_at_a_time:
            decision = out_of_service(self.configuration)
            decision, recorded = await self._record(decision, MediumKind.CASH, MediumId(""), -1, "driver")
        return self._shown(decision, "driver", recorded=recorded)

    async def open_journal(self) -> bool:
        """Open the journal and read back who has paid; return whether that worked."""
        async with self._one_at_a_time:
            return await self._open_journal()

    def close(self) -> None:
        """Close the journal's files; what was shown is on disk already."""
        self._journal = None
        self._disk.close()

    async def stretch(self, after: int | None, records_max: int, bytes_max: int) -> tuple[Stretch, int] | None:
        """Return records to upload, after ``after`` or what is acknowledged, and how many there are behind them."""
        async with self._one_at_a_time:
            journal = self._journal
            self.recorded.clear()
            if journal is None:
                return None
            start = journal.acknowledged if after is None else after
            try:
                stretch = await asyncio.to_thread(journal.after, start, records_max, bytes_max)
            except JournalError as error:
                self._broken(error)
                return None
        return None if stretch is None else (stretch, journal.head.sequence - start - len(stretch.payloads))

    async def take_receipt(self, receipt: Receipt, *, round_trip_ms: int) -> None:
        """Take in what the server said: what it has, what time it is, where we are, what our passengers have."""
        offset = self._clock_check.by_server(
            server_ms=receipt.server_ms,
            device_ms=self.device_ms(),
            round_trip_ms=round_trip_ms,
            at_ms=round(monotonic_s() * 1_000),
        )
        async with self._one_at_a_time:
            await self._note(offset)
            if self._journal is not None:
                try:
                    await asyncio.to_thread(self._journal.acknowledge, receipt.acknowledged, receipt.hash)
                except JournalError as error:
                    self._broken(error)
            self.recent.acknowledge(receipt.acknowledged)
            self.recent.hear(receipt.accounts, receipt.server_ms)
            self._place = Place(
                vehicle_id=receipt.vehicle_id or self._place.vehicle_id,
                route_id=receipt.route_id,
                trip_id=receipt.trip_id,
                trip_since_ms=receipt.trip_since_ms,
            )
            if receipt.vehicle_id and receipt.vehicle_id != self.identity.vehicle_id:
                self.identity = await asyncio.to_thread(self._home.moved, self.identity, receipt.vehicle_id)

    async def take_gps(self, gps_ms: int) -> None:
        """Take in the time of a GPS sentence that came just now."""
        at_ms = round(monotonic_s() * 1_000)
        offset = self._clock_check.by_gps(gps_ms=gps_ms, device_ms=self.device_ms(), at_ms=at_ms)
        if offset is not None:
            async with self._one_at_a_time:
                await self._note(offset)

    async def take_documents(self, documents: Iterable[Signed]) -> list[Shelving]:
        """Take in documents; return what became of each."""
        outcomes: list[Shelving] = []
        shelf = self.shelf
        for signed in documents:
            outcome, shelf = await asyncio.to_thread(shelve, shelf, signed, self.now_ms())
            outcomes.append(outcome)
        if shelf is not self.shelf:
            await asyncio.to_thread(self._home.keep_shelf, shelf)
            self.shelf = shelf
        return outcomes

    async def _record(
        self, decision: Decision, kind: MediumKind, medium_id: MediumId, counter: int, reader: str
    ) -> tuple[Decision, bool]:
        """Put a decision on disk; where that fails the passenger rides by the rule for broken validators."""
        held = self.holdings()
        tap = Tap(
            device_id=self.identity.device_id,
            sequence=0,
            tapped_ms=self.device_ms(),
            clock_offset_ms=self._clock_check.offset_ms,
            medium_id=medium_id,
            medium_kind=kind,
            outcome=decision.outcome,
            riders=decision.riders,
            vehicle_id=self._place.vehicle_id,
            route_id=self._place.route_id,
            trip_id=self._place.trip_id,
            shown_tiyn=decision.shown_tiyn,
            tariff_version=decision.tariff_version,
            deny_list_version=0 if held is None else held.denied_version,
            counter=counter,
        )
        if self._journal is None:
            await self._open_journal()
        if self._journal is not None:
            try:
                written = await asyncio.to_thread(self._journal.append_tap, tap)
            except JournalError as error:
                self._broken(error)
            else:
                self.recent.remember(written, reader=reader)
                self.recorded.set()
                return decision, True
        return out_of_service(self.configuration), False

    async def _open_journal(self) -> bool:
        try:
            unfinished = self._unfinished
            journal = await asyncio.to_thread(
                lambda: JournalFile(self._disk, self.device_ms(), start=self.identity.start, unfinished=unfinished)
            )
            self._unfinished = None
            taps = await asyncio.to_thread(lambda: list(journal.taps_after(0)))
            started = Noted(note=Note.STARTED, at_ms=self.device_ms())
            await asyncio.to_thread(journal.append_note, started)
        except JournalError as error:
            self._broken(error)
            return False
        self.recent = RecentTaps()
        for tap in taps:
            self.recent.remember(tap)
        self.recent.acknowledge(journal.acknowledged)
        self._journal = journal
        self.recorded.set()
        return True

    def _broken(self, error: JournalError) -> None:
        if self._journal is not None and self._journal.unfinished is not None:
            self._unfinished = self._journal.unfinished
        self._journal = None  # opened anew at the next tap
        self._disk.close()
        _log.error("journal is broken", device=self.identity.device_id, error=str(error))

    async def _note(self, offset: Offset | None) -> None:
        if offset is None:
            return
        _log.info("clock corrected", offset_ms=offset.offset_ms, source=offset.source.value)
        if self._journal is None:
            return
        noted = Noted(
            note=Note.CLOCK_CORRECTED, at_ms=self.device_ms(), amount=offset.offset_ms, source=offset.source.value
        )
        try:
            await asyncio.to_thread(self._journal.append_note, noted)
        except JournalError as error:
            self._broken(error)

    def _state(self, held: Holdings | None) -> State:
        if self.stopped:
            return "stopped"
        if self._journal is None:
            return "no_journal"
        return "no_documents" if held is None else "in_service"

    def _chosen(self) -> tuple[Riders, ...]:
        return self._companions if monotonic_s() < self._companions_until_s else ()

    def _shown(self, decision: Decision, reader: str, *, recorded: bool, code: str = "") -> Decision:
        self._number += 1
        self._show(shown(decision, number=self._number, reader=reader, recorded=recorded, history_code=code))
        return decision
