"""The server of the simulated city: the real handlers and decisions over a store in memory.

The store has the transactions of the PostgreSQL one, and between every two of its statements the process may be killed
or the connection be lost. What is not committed then is gone; what is, may have been answered to nobody.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence

import msgspec
from aiohttp import HttpVersion11, web

from commons.metrics import Metrics
from fare.api.devices import Devices, Surroundings
from fare.charging_later import LANES, ChargingLater
from fare.ledger.accounts import debt
from fare.ledger.billing import WINDOW_MS, Change, Posted, changes, levelling
from fare.ledger.posting import Book
from fare.model import CarrierId, DeviceId, Journal, LocatedTap, MediumId, Profile, Ride, Tap
from fare.outcomes import Posting, TapReceipt
from fare.pricing import CityPricing
from fare.service import BACKLOG_BATCH_MAX
from fare.settlement.model import RefundReason
from fare.store.postgres_append import Append, DeviceState, LastStates, append_of
from fare.store.postgres_devices import HAND_MAX, Taken
from fare.taking import BACKLOG_MS
from fare.validator.batches import (
    Batch,
    DeviceKey,
    Known,
    Reading,
    Standing,
    Until,
    asked_for,
    receive,
)
from fare.validator.decide import Place
from fare.validator.documents import DocumentKind, Published
from fare.validator.enrolment import Enrolling, EnrolmentRequest, IssuedCode, digest_of, enrol
from fare.validator.journal import START, Head
from fare.validator.signing import Signed, SigningKey, key_id_of
from tests.fare.simulation.clock import Clock
from tests.fare.simulation.faults import Dice, KilledError
from tests.fare.simulation.releases import Releases
from tests.fare.simulation.tables import DeviceRow, Effects, Tables, committed, copied
from tests.notation.claims import Claims, refund_of

CITY = "kzo"
CHARGED = (Standing.ON_TIME, Standing.LATE)
METRICS = Metrics()


class Store:
    """``fare.api.devices.DeviceStore`` of one process over ``Tables``; also what ``Publisher`` needs."""

    def __init__(self, tables: Tables, effects: Effects) -> None:
        self._tables = tables
        self._between = effects.between
        self._states = LastStates()

    async def key(self, key_id: str) -> tuple[DeviceId, DeviceKey] | None:
        await self._between("key")
        return self._tables.keys.get(key_id)

    async def take(
        self, device_id: DeviceId, batch: Batch, signed: Signed, now_ms: int, address: str, *, reading: Reading
    ) -> Taken:
        while True:
            row = self._tables.devices[device_id]
            owner, key = self._tables.keys.get(signed.key_id, (None, None))
            hashes = {at: row.records[at].hash for at in asked_for(batch) if at in row.records}
            known = Known(
                device_id=device_id, city=CITY, vehicle_id=row.vehicle_id, head=row.head, stopped=row.stopped,
                revoked=row.revoked or owner != device_id or key is None or key.revoked,
                hashes={0: START, **hashes},
            )  # fmt: skip
            read, handed = (row.head, row.stopped, row.revoked, owner, key), row.handed
            await self._between("take: read")
            reception = receive(batch, known, now_ms, reading)
            await self._between("take: decided")
            if read != (row.head, row.stopped, row.revoked, *self._tables.keys.get(signed.key_id, (None, None))):
                continue  # the database compares the row with the one that was read
            row.keep(reception, now_ms)
            break
        await self._between("take: committed")
        return Taken(reception=reception, handed=handed)

    async def appending(
        self, device_id: DeviceId, batch: Batch, signed: Signed, now_ms: int, address: str, *, reading: Reading
    ) -> Append | None:
        state = self._states.of(device_id, signed.key_id)
        if state is None:
            row = self._tables.devices[device_id]
            owner, key = self._tables.keys.get(signed.key_id, (None, None))
            barred = row.stopped or row.revoked or owner != device_id or key is None or key.revoked
            state = DeviceState(
                key_id=signed.key_id, vehicle_id=row.vehicle_id, head=row.head, handed=row.handed, version=row.version
            )
            await self._between("appending: read")
            if barred:
                return None
        return append_of(state, device_id, CITY, batch, now_ms, address, reading)

    def appended(self, append: Append, version: str | None) -> None:
        self._states.note(append, version)

    async def pending(self, device_id: DeviceId) -> tuple[list[Tap], int]:
        await self._between("pending")
        row = self._tables.devices[device_id]
        rows = [row.records[at] for at in sorted(row.records) if at > row.handed][:HAND_MAX]
        taps = [one.tap for one in rows if one.tap is not None and one.standing in CHARGED]
        return taps, rows[-1].sequence if rows else 0

    async def handed(self, device_id: DeviceId, sequence: int) -> None:
        await self._between("handed")
        row = self._tables.devices[device_id]
        row.handed = max(row.handed, sequence)

    async def noted(self, notes: Mapping[DeviceId, Until]) -> None:
        await self._between("noted")
        for device_id, until in notes.items():
            row = self._tables.devices[device_id]
            if row.received_ms.get(until.sequence) == until.received_ms:
                row.handed = max(row.handed, until.sequence)

    async def behind(self) -> list[DeviceId]:
        await self._between("behind")
        return [device_id for device_id, row in self._tables.devices.items() if row.handed < row.head.sequence]

    async def asked(self, device_id: DeviceId, recorded: int, sent_ms: int) -> None:
        await self._between("asked")  # nothing here depends on when a device was heard

    async def enrol(self, request: EnrolmentRequest, now_ms: int) -> tuple[Enrolling, IssuedCode | None, Head]:
        tables = self._tables
        issued = tables.codes.get(digest_of(request.secret))
        outcome = enrol(request, issued, now_ms)
        await self._between("enrol: code read")
        if outcome is not Enrolling.ENROLLED or issued is None:
            return outcome, issued, Head()
        row = tables.devices.setdefault(issued.device_id, DeviceRow(vehicle_id=issued.vehicle_id))
        if issued.used_by is None:
            tables.codes[issued.digest] = dataclasses.replace(issued, used_by=request.public)
            row.vehicle_id, row.revoked, row.stopped = issued.vehicle_id, False, False
            for key_id, (device_id, key) in tables.keys.items():
                if device_id == issued.device_id:
                    tables.keys[key_id] = (device_id, dataclasses.replace(key, revoked=True))
            tables.keys[key_id_of(request.public)] = (issued.device_id, DeviceKey(public=request.public))
        await self._between("enrol: committed")
        return outcome, issued, row.head

    async def publish(self, published: Published) -> None:
        await self._between("publish")
        self._tables.documents.append(published)

    async def published(
        self, now_ms: int, *, kinds: Sequence[DocumentKind] = tuple(DocumentKind), name: str | None = None
    ) -> list[Published]:
        await self._between("published")
        found = [one for one in self._tables.documents if one.until_ms > now_ms and one.kind in kinds]
        return sorted(
            (one for one in found if name is None or one.name == name),
            key=lambda one: (one.kind, one.name, one.version),
        )


class Books:
    """Taps become money, as ``fare.service`` does it, one transaction after another."""

    def __init__(
        self,
        tables: Tables,
        effects: Effects,
        pricing: CityPricing,
        profiles: Mapping[MediumId, Profile],
        now_ms: Callable[[], int],
    ) -> None:
        self._tables = tables
        self._between = effects.between
        self._pricing = pricing
        self._profiles = profiles
        self._now_ms = now_ms
        self._head = asyncio.Lock()
        self.later = ChargingLater(self._next_to_charge, [self._charge_noted] * LANES, metrics=METRICS)

    async def take_taps(self, taps: list[Tap]) -> None:
        located = [locate(tap) for tap in taps]
        backlog = self._now_ms() - min(one.tap.tapped_ms for one in located) > BACKLOG_MS
        try:
            for first in range(0, len(located), BACKLOG_BATCH_MAX):
                await self._take(located[first : first + BACKLOG_BATCH_MAX], backlog=backlog)
        finally:
            if backlog:
                self.later.note()

    async def record(self, taps: list[Tap], append: Append) -> str | None:
        located = [locate(tap) for tap in taps]
        if self._now_ms() - min(one.tap.tapped_ms for one in located) > BACKLOG_MS:
            return None
        stored = await self._take(located, backlog=False, append=append)
        return self._tables.devices[append.device_id].version if stored is not None else None

    async def top_up(self, journal: Journal, medium_id: MediumId) -> None:
        """Post a top-up and pay debts from it; a channel repeats it until it is answered."""
        async with self._head:
            await self._between("top-up: locked")
            book = copied(self._tables.book)
            if book.take(journal) is not Posting.POSTED:
                raise AssertionError(f"{journal.key} was refused")
            level = levelling(book, medium_id, key=journal.key, occurred_ms=journal.occurred_ms)
            if level is not None:
                book.take(level)
            await self._between("top-up: written")
            self._tables.book = committed(book, after=self._tables.book)
        await self._between("top-up: committed")

    async def give_back(self, ride: Ride, key: str, share: float) -> None:
        """Give back a share of what is left of a ride; asked again under the key it is given once."""
        async with self._head:
            await self._between("refund: locked")
            tables = self._tables
            book, claims, now_ms = copied(tables.book), tables.claims.copied(), self._now_ms()
            tiyn = round(claims.left_tiyn(ride, tables.posted.get(ride.key)) * share)
            refund = refund_of(ride, key, tiyn, self._pricing, RefundReason.COMPLAINT)
            claims.refund(
                book, refund, ride, tables.rides.get(ride.medium_id, ()), tables.posted, self._pricing, now_ms
            )
            await self._between("refund: written")
            tables.book, tables.claims = committed(book, after=tables.book), claims
        await self._between("refund: committed")

    async def give_up(self, medium_id: MediumId, key: str, share: float) -> None:
        """Give up a share of what a medium owes; asked again under the key it is given up once."""
        async with self._head:
            await self._between("write-off: locked")
            tables = self._tables
            book, claims, now_ms = copied(tables.book), tables.claims.copied(), self._now_ms()
            if f"write_off/{key}" not in book.recorded:
                tiyn = round(book.balances_tiyn.get(debt(medium_id), 0) * share)
                claims.write_off(book, medium_id, tiyn, key, tables.rides.get(medium_id, ()), tables.posted, now_ms)
            await self._between("write-off: written")
            tables.book, tables.claims = committed(book, after=tables.book), claims
        await self._between("write-off: committed")

    def owing(self) -> set[MediumId]:
        return {
            MediumId(code[5:])
            for code, tiyn in self._tables.book.balances_tiyn.items()
            if code.startswith("debt:") and tiyn > 0
        }

    async def _take(
        self, taps: Sequence[LocatedTap], *, backlog: bool, append: Append | None = None
    ) -> list[TapReceipt] | None:
        tables = self._tables
        async with self._head:
            await self._between("taps: locked")
            new: dict[str, LocatedTap] = {}
            receipts: list[TapReceipt] = []
            from_ms: dict[MediumId, int] = {}
            for one in taps:
                known = tables.taps.get(one.tap.key) or new.get(one.tap.key)
                if known is not None:
                    receipts.append(TapReceipt.REPEATED if known == one else TapReceipt.FORKED)
                    continue
                new[one.tap.key] = one
                receipts.append(TapReceipt.STORED)
                if one.ride is not None:
                    at_ms = one.tap.tapped_ms
                    from_ms[one.tap.medium_id] = min(from_ms.get(one.tap.medium_id, at_ms), at_ms)
            await self._between("taps: stored")
            rides = {medium_id: list(tables.rides.get(medium_id, ())) for medium_id in from_ms}
            for one in new.values():
                if one.ride is not None:
                    rides[one.ride.medium_id].append(one.ride)
            if backlog:
                await self._between("taps: noted")
                tables.to_charge.update(
                    (medium_id, min(at_ms, tables.to_charge.get(medium_id, at_ms)))
                    for medium_id, at_ms in from_ms.items()
                )
            else:
                book, claims, done = self._charged(rides, from_ms)
                await self._between("taps: charged")
                if append is not None and not self._appended(append):
                    return None
                tables.posted.update((change.ride.key, posted) for change, posted in done)
                tables.book, tables.claims = committed(book, after=tables.book), claims
            tables.taps.update(new)
            tables.rides.update(rides)
        await self._between("taps: committed")
        return receipts

    def _appended(self, append: Append) -> bool:
        """Write records within a transaction, if the row of their device still is what it was."""
        row = self._tables.devices[append.device_id]
        if row.version != append.state.version:
            return False
        row.keep(append.reception, append.now_ms)
        row.handed = row.head.sequence
        return True

    async def _charge_noted(self, media: Sequence[MediumId]) -> None:
        tables = self._tables
        async with self._head:
            await self._between("later: locked")
            from_ms = {one: tables.to_charge[one] for one in media if one in tables.to_charge}
            book, claims, done = self._charged(tables.rides, from_ms)
            await self._between("later: charged")
            for one in from_ms:
                del tables.to_charge[one]
            tables.posted.update((change.ride.key, posted) for change, posted in done)
            tables.book, tables.claims = committed(book, after=tables.book), claims
        await self._between("later: committed")

    async def _next_to_charge(self, after: MediumId, count: int) -> list[MediumId]:
        await self._between("later: asked")
        return sorted(one for one in self._tables.to_charge if one > after)[:count]

    def _charged(
        self, rides: Mapping[MediumId, Sequence[Ride]], from_ms: Mapping[MediumId, int]
    ) -> tuple[Book, Claims, list[tuple[Change, Posted]]]:
        """Return the book with what rides of media, each from its moment on, cost otherwise than posted."""
        book, claims = copied(self._tables.book), self._tables.claims.copied()
        found = [
            change
            for medium_id, at_ms in from_ms.items()
            for change in changes(
                [ride for ride in rides[medium_id] if ride.tapped_ms >= at_ms - WINDOW_MS],
                *(self._tables.posted, self._pricing, self._profiles.get(medium_id, Profile())),
                from_ms=at_ms,
            )
        ]
        of_media = [ride for medium_id in from_ms for ride in rides[medium_id]]
        return book, claims, claims.charge(book, found, of_media, self._tables.posted, self._pricing)


def locate(tap: Tap) -> LocatedTap:
    """Return a tap as the server stores it: at the time it was, as well as the device knew."""
    tap = msgspec.structs.replace(tap, tapped_ms=tap.occurred_ms, clock_offset_ms=0)
    if not tap.outcome.rides:
        return LocatedTap(tap=tap)
    ride = Ride(
        key=tap.key, tapped_ms=tap.tapped_ms, medium_id=tap.medium_id, medium_kind=tap.medium_kind, riders=tap.riders,
        vehicle_id=tap.vehicle_id, carrier_id=CarrierId("A"), route_id=tap.route_id, trip_id=tap.trip_id,
    )  # fmt: skip
    return LocatedTap(tap=tap, ride=ride)


class _Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body


class _Request:
    """As much of an aiohttp request as the handlers look at."""

    def __init__(self, body: bytes, remote: str) -> None:
        self.content = _Content(body)
        self.headers: Mapping[str, str] = {}
        self.version = HttpVersion11
        self.remote = remote


class Process:
    """One life of the server's process. ``kill`` ends it at once."""

    def __init__(
        self,
        tables: Tables,
        dice: Dice,
        *,
        key: SigningKey,
        clock: Clock,
        pricing: CityPricing,
        profiles: Mapping[MediumId, Profile],
        place_of: Callable[[str], Awaitable[Place | None]],
        on_end: Callable[[], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        effects = Effects(tables, dice, self.kill)
        self.store = Store(tables, effects)
        self.books = Books(tables, effects, pricing, profiles, clock.now_ms)
        self._tables = tables
        self._devices = Devices(
            self.store, city=CITY, key=key, clock=clock, metrics=METRICS,
            surroundings=Surroundings(
                take_taps=self.books.take_taps, record=self.books.record, place_of=place_of,
                balances_of=self._balances_of,
            ),
            releases=Releases(tables, effects),
        )  # fmt: skip
        self._handlers = {route.path: route.handler for route in self._devices.routes()}
        self._tasks: list[asyncio.Task[object]] = []
        self._on_end = on_end
        self._on_crash = on_crash
        self.alive = True
        self.start(self._running())
        self.start(self.books.later.run())

    def start(self, work: Coroutine[object, object, object]) -> "asyncio.Task[object]":
        """Do ``work`` for as long as the process lives."""
        task = asyncio.ensure_future(self._living(work))
        task.add_done_callback(lambda _: work.close())  # it may never have begun
        self._tasks = [one for one in self._tasks if not one.done()]
        self._tasks.append(task)
        return task

    def kill(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self._on_end()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    async def answer(self, path: str, body: bytes, remote: str) -> bytes | None:
        """Return what the handler of ``path`` answers, None if that is no success."""
        try:
            response = await self._handlers[path](_Request(body, remote))
        except web.HTTPException:
            return None
        except Exception as error:
            self._on_crash(error)
            raise
        return response.body if response.status == 200 else None

    async def _living(self, work: Awaitable[object]) -> object:
        try:
            return await work
        except BaseExceptionGroup as group:
            if group.subgroup(KilledError) is None:
                raise
            return None
        except KilledError:
            return None

    async def _running(self) -> None:
        async with self._devices.running():
            await asyncio.Event().wait()

    async def _balances_of(self, media: Sequence[MediumId]) -> dict[MediumId, int]:
        balances = self._tables.book.balances_tiyn
        return {one: -balances.get(debt(one), 0) for one in media}
