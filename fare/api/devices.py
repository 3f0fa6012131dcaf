"""What validators talk to: enrolment, records, documents. HTTP POST of msgpack; the protocol is docs/validator.md.

Who asks is told by a signature, never by an address. A receipt is sent after the records are in the database. Taps of a
bus in service are charged before it, so that it can say what passengers have now: with the records where these simply
go on, else after them. Those of an outage being caught up are handed over after it, while the devices go on sending.
``take_taps`` must know a tap by its key, because after a crash it gets some again.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.api.envelopes import (
    UNAVAILABLE,
    available,
    body_of,
    come_again,
    envelope_in,
    invite,
    left_to_handler,
    packed,
    waits_for_invitation,
)
from fare.api.handed_notes import HandedNotes
from fare.api.way_in import LIVE_RECORDS, Opened, WayIn, is_old
from fare.model import DeviceId, MediumId, Tap
from fare.precedence import Precedence
from fare.store.postgres_append import Append
from fare.store.postgres_devices import Taken
from fare.taking import NotYetError
from fare.validator.asking import Asking, open_asking
from fare.validator.batches import (
    Batch,
    DeviceKey,
    Reading,
    Receipt,
    Receiving,
    Reception,
    Standing,
    Until,
    sign_receipt,
)
from fare.validator.decide import Place
from fare.validator.documents import Published, to_send
from fare.validator.enrolment import Enrolling, EnrolmentRequest, FailureLimit, IssuedCode, answer, open_request
from fare.validator.journal import Head
from fare.validator.signing import Signed, SigningKey

STORE_MAX_S: Final = 15.0
RECORD_TRIES: Final = 2  # of which the second asks how the device stands
STRANGERS_MAX: Final = 100  # requests a minute of one address that no device has signed; a network may have one for all
DOCUMENTS_FRESH_S: Final = 2.0
AGAIN_AFTER_S: Final = "60"
REFUSED: Final = (400, 403)
HAND_EVERY_S: Final = 5.0  # where nothing new came, to devices whose taps had to wait
HAND_PAUSE_S: Final = 0.1
UPLOADS_FIRST_MAX_S: Final = 30.0  # what is on disk waits for the ledger while others still send, but not for ever
HAND_MAX: Final = 1  # devices at a time

_log = get_logger(__name__)
_encoder: Final = msgspec.msgpack.Encoder()


class DeviceStore(Protocol):
    """What the handlers need of a store; ``fare.store.postgres_devices.PostgresDevices`` is one."""

    async def key(self, key_id: str) -> tuple[DeviceId, DeviceKey] | None:
        """Return the device that has a key of this name, and the key."""

    async def take(
        self, device_id: DeviceId, batch: Batch, signed: Signed, now_ms: int, address: str, *, reading: Reading
    ) -> Taken:
        """Decide about a batch, read before, and write what follows from it, all or nothing."""

    async def appending(
        self, device_id: DeviceId, batch: Batch, signed: Signed, now_ms: int, address: str, *, reading: Reading
    ) -> Append | None:
        """Return what a batch adds, if it goes on where the ledger is; None: ``take`` decides."""

    def appended(self, append: Append, version: str | None) -> None:
        """Remember how a device stands after ``append``; without a version, that it is not known."""

    async def pending(self, device_id: DeviceId) -> tuple[list[Tap], int]:
        """Return taps that the ledger does not have yet, and the sequence up to which they reach."""

    async def handed(self, device_id: DeviceId, sequence: int) -> None:
        """Note that the ledger has all taps up to ``sequence``."""

    async def noted(self, notes: Mapping[DeviceId, Until]) -> None:
        """Note up to which records, as they were received, the ledger has all taps of these devices."""

    async def behind(self) -> list[DeviceId]:
        """Return the devices of which the ledger does not have everything."""

    async def asked(self, device_id: DeviceId, recorded: int, sent_ms: int) -> None:
        """Note that a journal had nothing after ``recorded`` at ``sent_ms``."""

    async def enrol(self, request: EnrolmentRequest, now_ms: int) -> tuple[Enrolling, IssuedCode | None, Head]:
        """Decide about a request and, if it is right, make its key the only one of the device."""

    async def published(self, now_ms: int) -> list[Published]:
        """Return the documents in force."""


class ReleaseStore(Protocol):
    """What handing over released taps needs; ``fare.store.postgres_releases.PostgresReleases`` is one."""

    async def behind(self) -> list[DeviceId]:
        """Return the devices of which the ledger does not have all that was released."""

    async def pending(self, device_id: DeviceId, after: int) -> list[Tap]:
        """Return some released taps of a device that the ledger does not have, in order from ``after`` on."""

    async def handed(self, device_id: DeviceId, sequences: Sequence[int], now_ms: int) -> None:
        """Note that the ledger has these."""


TakeTaps = Callable[[list[Tap]], Awaitable[None]]
Record = Callable[[list[Tap], Append], Awaitable[str | None]]
PlaceOf = Callable[[str], Awaitable[Place | None]]
BalancesOf = Callable[[Sequence[MediumId]], Awaitable[Mapping[MediumId, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the rest of the house gives. Without ``place_of`` and ``balances_of`` receipts are silent about them.

    ``record`` takes taps in the transaction that writes what they are in, and returns the version of the device's row
    then; None: it stands otherwise by now. Without it records are kept first, and then their taps taken.
    """

    take_taps: TakeTaps
    record: Record | None = None
    place_of: PlaceOf | None = None
    balances_of: BalancesOf | None = None


class Devices:
    """Run ``running`` for as long as the application serves ``routes``.

    ``releases`` has the quarantined taps that a person let go. ``address_of`` says where a request comes from: behind a
    proxy that is what the proxy has seen.
    """

    def __init__(
        self,
        store: DeviceStore,
        *,
        city: str,
        key: SigningKey,
        clock: Clock,
        metrics: Metrics,
        surroundings: Surroundings,
        precedence: Precedence | None = None,
        releases: ReleaseStore | None = None,
        address_of: Callable[[web.Request], str] = lambda request: request.remote or "",
    ) -> None:
        self._store = store
        self._releases = releases
        self._address_of = address_of
        self._city = city
        self._key = key
        self._clock = clock
        self._metrics = metrics
        self._house = surroundings
        self._precedence = precedence or Precedence()
        self._limit = FailureLimit()
        self._strangers = FailureLimit(STRANGERS_MAX)
        self._way_in = WayIn(store.key, precedence=self._precedence, clock=clock)
        self._published: tuple[float, list[Published]] = (float("-inf"), [])
        self._publishing = asyncio.Lock()
        self._left = asyncio.Event()  # something to hand over that came with a batch
        self._handing: Counter[DeviceId] = Counter()  # whose live taps are on their way to the ledger
        self._notes = HandedNotes(store.noted, metrics)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that validators speak to."""
        return [
            web.post("/validators/enrol", self._answer_enrol),
            web.post("/validators/records", self._limited(self._answer_records), expect_handler=left_to_handler),
            web.post("/validators/documents", self._limited(self._answer_documents)),
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hand over to the ledger what batches and earlier failures left, while the block runs."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._hand_for_ever(), name="validators")]
            running.append(tasks.create_task(self._notes.run(), name="handed-notes"))
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    async def hand_over(self, device_id: DeviceId) -> None:
        """Hand all taps of a device to the ledger that it does not have.

        Raises:
            NotYetError: if one must wait; those before it are handed over.
            Exception: whatever the ledger or the store raised; what it has until then is noted.
        """
        while True:
            await self._precedence.give_way()
            taps, until = await self._store.pending(device_id)
            if not until:
                return
            await self._precedence.give_way()
            try:
                if taps:
                    await self._house.take_taps(taps)
            except NotYetError as error:
                ready = [tap for tap in taps if tap.sequence < error.sequence]
                if ready:
                    await self._house.take_taps(ready)
                    await self._store.handed(device_id, error.sequence - 1)
                raise
            await self._store.handed(device_id, until)

    async def hand_over_released(self, device_id: DeviceId) -> None:
        """Hand the taps of a device that a person released to the ledger. One that must wait holds up no other.

        Raises:
            Exception: whatever the ledger or the store raised; what it has until then is noted.
        """
        if self._releases is None:
            return
        after = 0
        while taps := await self._releases.pending(device_id, after):
            after = taps[-1].sequence
            while taps:
                await self._precedence.give_way()
                try:
                    await self._house.take_taps(taps)
                except NotYetError as error:
                    _log.debug("released tap waits for its place", device=device_id, reason=str(error))
                    taps = [tap for tap in taps if tap.sequence != error.sequence]
                    continue
                self._metrics.count("validator_taps_released_total", len(taps))
                await self._releases.handed(device_id, [tap.sequence for tap in taps], self._clock.now_ms())
                break

    async def _answer_enrol(self, request: web.Request) -> web.Response:
        now_ms, address = self._clock.now_ms(), self._address_of(request)
        if not self._limit.allows(address, now_ms):
            return self._enrolled(Enrolling.TOO_MANY, answer(Enrolling.TOO_MANY, self._key, now_ms), status=429)
        asked = open_request(envelope_in(await body_of(request)))
        if isinstance(asked, Enrolling):
            self._limit.failed(address, now_ms)
            return self._enrolled(asked, answer(asked, self._key, now_ms))
        async with available(), asyncio.timeout(STORE_MAX_S):
            outcome, issued, head = await self._store.enrol(asked, now_ms)
        if outcome is not Enrolling.ENROLLED:
            self._limit.failed(address, now_ms)
        said = answer(outcome, self._key, now_ms, issued=issued, city=self._city, head=head)
        return self._enrolled(outcome, said)

    def _limited(self, handler: Handler) -> Handler:
        """Turn away, unread, what comes from where too much came that no device has signed."""

        async def limited(request: web.Request) -> web.StreamResponse:
            address = self._address_of(request)
            if not self._strangers.allows(address, self._clock.now_ms()):
                self._metrics.count("validator_batches_total", outcome="too_many")
                raise web.HTTPTooManyRequests(text="too many", headers={hdrs.RETRY_AFTER: AGAIN_AFTER_S})
            try:
                response = await handler(request)
            except web.HTTPClientError:
                self._strangers.failed(address, self._clock.now_ms())
                raise
            if response.status in REFUSED:
                self._strangers.failed(address, self._clock.now_ms())
            return response

        return limited

    async def _answer_records(self, request: web.Request) -> web.Response:
        body = await self._records_of(request)
        async with available(), asyncio.timeout(STORE_MAX_S), self._way_in.turn(body) as opened:
            if isinstance(opened, Receiving):
                return self._barred(opened)
            reception, charged = await self._kept(opened, self._address_of(request))
            if reception.receipt.outcome is Receiving.REVOKED:
                return await self._revoked(opened.sent.signed.key_id)
            self._count(reception)
        receipt = reception.receipt
        if receipt.outcome is Receiving.FORKED:
            _log.error(
                "device stopped: its journal has two histories", device=receipt.device_id, at=reception.forked_at
            )
        return packed(_encoder.encode(sign_receipt(await self._filled(receipt, charged), self._key)))

    async def _records_of(self, request: web.Request) -> bytearray:
        if not waits_for_invitation(request):
            return await body_of(request)
        async with contextlib.AsyncExitStack() as stack:
            async with available(), asyncio.timeout(STORE_MAX_S):
                await stack.enter_async_context(self._way_in.coming())
            await invite(request)
            return await body_of(request)

    async def _answer_documents(self, request: web.Request) -> web.Response:
        signed = envelope_in(await body_of(request))
        async with available(), asyncio.timeout(STORE_MAX_S):
            found = await self._store.key(signed.key_id)
            asking = open_asking(signed, found[1] if found else None)
            if not isinstance(asking, Asking):
                return self._barred(asking)
            now_ms = self._clock.now_ms()
            if found is not None and asking.recorded is not None:
                await self._store.asked(found[0], asking.recorded, min(asking.sent_ms, now_ms))
            documents = to_send(await self._documents(), asking.held, now_ms)
        return packed(_encoder.encode(documents))

    async def _revoked(self, key_id: str) -> web.Response:
        """Answer for a key that ``take`` found not to be in force, or to be another device's by now."""
        self._way_in.forget(key_id)
        found = await self._store.key(key_id)
        if found is not None and not found[1].revoked:
            raise come_again()
        return self._barred(Receiving.REVOKED)

    async def _filled(self, receipt: Receipt, handed: Sequence[Tap]) -> Receipt:
        """Add where the bus is and what passengers have after ``handed``; failing that, it is silent about them."""
        changed: dict[str, object] = {}
        try:
            place = await self._house.place_of(receipt.vehicle_id) if self._house.place_of else None
            if place is not None:
                changed |= {
                    "route_id": place.route_id,
                    "trip_id": place.trip_id,
                    "trip_since_ms": place.trip_since_ms,
                }
            media = list(dict.fromkeys(tap.medium_id for tap in handed))
            if self._house.balances_of and media:
                changed["accounts"] = tuple((await self._house.balances_of(media)).items())
        except UNAVAILABLE as error:
            _log.warning("receipt without place or balances", device=receipt.device_id, error=repr(error))
        return msgspec.structs.replace(receipt, **changed)

    async def _kept(self, opened: Opened, address: str) -> tuple[Reception, list[Tap]]:
        """Keep what is new of a batch, and charge taps of a bus in service; return what was decided, and these taps."""
        device_id, signed = opened.sent.device_id, opened.sent.signed
        batch, reading = opened.batch, opened.reading
        if opened.live and self._house.record is not None:
            with self._left_to_running(device_id):
                for _ in range(RECORD_TRIES):
                    now_ms = self._clock.now_ms()
                    append = await self._store.appending(device_id, batch, signed, now_ms, address, reading=reading)
                    taps = _chargeable(append.reception) if append is not None else []
                    if append is None or not taps:
                        break
                    self._store.appended(append, version := await self._house.record(taps, append))
                    if version is not None:
                        return append.reception, taps
        taken = await self._store.take(device_id, batch, signed, self._clock.now_ms(), address, reading=reading)
        return taken.reception, await self._hand_new(device_id, taken)

    async def _hand_new(self, device_id: DeviceId, taken: Taken) -> list[Tap]:
        """Hand the taps of a batch to the ledger, or leave them to ``running``; return what the ledger has now."""
        new = taken.reception.new
        if not new:
            return []
        taps = _chargeable(taken.reception)
        outage = len(new) > LIVE_RECORDS or is_old(taps, self._clock.now_ms())
        handed = max(taken.handed, self._notes.sequence(device_id, before=new[0].sequence))
        if outage or handed != new[0].sequence - 1:  # or some wait before them
            self._left.set()
            return []
        left = True
        self._handing[device_id] += 1
        try:
            with self._left_to_running(device_id):
                if taps:
                    await self._house.take_taps(taps)
                received_ms = taken.reception.receipt.server_ms
                self._notes.note(device_id, Until(sequence=new[-1].sequence, received_ms=received_ms))
                left = False
        finally:
            self._handing[device_id] -= 1
        if left:
            self._left.set()
        return [] if left else taps

    def _is_being_handed(self, device_id: DeviceId) -> bool:
        return self._handing[device_id] > 0 or device_id in self._notes

    async def _hand_for_ever(self) -> None:
        while True:
            await self._let_uploads_go()
            self._left.clear()
            try:
                await self._notes.write()
                behind = deque(one for one in await self._store.behind() if not self._is_being_handed(one))
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(HAND_MAX):
                        tasks.create_task(self._hand_some(behind))
                for device_id in await self._releases.behind() if self._releases is not None else ():
                    with self._left_to_running(device_id):
                        await self.hand_over_released(device_id)
            except Exception as error:  # noqa: BLE001 - top of the loop: tried again
                self._waits(error)
            await asyncio.sleep(HAND_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HAND_EVERY_S):
                    await self._left.wait()

    async def _let_uploads_go(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UPLOADS_FIRST_MAX_S):
                while self._way_in.is_busy:  # noqa: ASYNC110 - it tells nobody when it is free
                    await asyncio.sleep(HAND_PAUSE_S)

    async def _hand_some(self, behind: deque[DeviceId]) -> None:
        while behind:
            device_id = behind.popleft()
            with self._left_to_running(device_id):
                await self.hand_over(device_id)

    @contextlib.contextmanager
    def _left_to_running(self, device_id: DeviceId) -> Iterator[None]:
        """Go on after trouble with the taps of a device: the records are safe, and ``running`` tries again."""
        try:
            yield
        except NotYetError as error:
            _log.debug("taps wait for their place", device=device_id, reason=str(error))
        except Exception as error:  # noqa: BLE001 - those of others need not wait for it
            self._waits(error, device_id)

    def _waits(self, error: Exception, device_id: DeviceId | None = None) -> None:
        self._metrics.count("role_errors_total", role="fare", where="hand_over")
        _log.warning("taps wait for the ledger", device=device_id, error=repr(error))

    async def _documents(self) -> list[Published]:
        async with self._publishing:
            loop_s = asyncio.get_running_loop().time()
            if loop_s - self._published[0] > DOCUMENTS_FRESH_S:
                self._published = (loop_s, await self._store.published(self._clock.now_ms()))
            return self._published[1]

    def _count(self, reception: Reception) -> None:
        self._metrics.count("validator_batches_total", outcome=reception.receipt.outcome.value)
        standings = [one.standing for one in reception.new]
        for standing in set(standings):
            self._metrics.count("validator_records_total", standings.count(standing), standing=standing.value)

    def _barred(self, outcome: Receiving) -> web.Response:
        self._metrics.count("validator_batches_total", outcome=outcome.value)
        return web.Response(status=400 if outcome is Receiving.MALFORMED else 403, text=outcome.value)

    def _enrolled(self, outcome: Enrolling, said: Signed, *, status: int = 200) -> web.Response:
        self._metrics.count("validator_enrolments_total", outcome=outcome.value)
        return packed(_encoder.encode(said), status=status)


def _chargeable(reception: Reception) -> list[Tap]:
    """Return the taps that are new and go to the ledger."""
    return [
        one.tap for one in reception.new if one.tap is not None and one.standing in (Standing.ON_TIME, Standing.LATE)
    ]
