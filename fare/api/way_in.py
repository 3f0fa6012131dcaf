"""How batches of validators come to be worked on: a bus in service at once, outages being caught up one at a time.

All validators of a city may send a day in one moment, 60 MB. To take that in, and to see for each who has signed it,
would hold up buses in service for a quarter of a second: so validators ask before they send much, a few are invited at
a time, and batches are looked at one at a time. What is not signed never stands in the line for the turn itself, in
which there are some thirty a second.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from commons.clock import Clock
from fare.api.envelopes import envelope_in
from fare.api.outage_lane import OutageLane
from fare.model import DeviceId, Tap
from fare.precedence import Precedence
from fare.taking import BACKLOG_MS
from fare.validator.batches import Batch, DeviceKey, Reading, Receiving, batch_in, refused
from fare.validator.signing import Signed

LIVE_RECORDS: Final = 20  # a batch of at most so many is a bus in service, a longer one an outage being caught up
LIVE_BYTES: Final = 16_384  # more than so many records are
LIVE_MAX: Final = 32  # live batches at a time; more wait
SIGNERS_MAX: Final = 10_000  # some 3 MB

KeyOf = Callable[[str], Awaitable[tuple[DeviceId, DeviceKey] | None]]


@dataclass(frozen=True, slots=True)
class Sent:
    """What a device has signed."""

    device_id: DeviceId
    signed: Signed


@dataclass(frozen=True, slots=True)
class Opened:
    """A batch whose signature is right, and its records. ``live``: of a bus in service."""

    sent: Sent
    batch: Batch
    reading: Reading
    live: bool = False


class WayIn:
    """Where batches wait for their turn. ``key_of`` says whose a key is, by its name."""

    def __init__(self, key_of: KeyOf, *, precedence: Precedence, clock: Clock) -> None:
        self._key_of = key_of
        self._precedence = precedence
        self._clock = clock
        self._live = asyncio.Semaphore(LIVE_MAX)
        self._outages = OutageLane(precedence)
        self._signers: OrderedDict[str, tuple[DeviceId, DeviceKey]] = OrderedDict()  # by key id

    @property
    def is_busy(self) -> bool:
        """Return whether an outage is being caught up."""
        return self._outages.is_busy

    def forget(self, key_id: str) -> None:
        """Look up whose this key is when it comes again: it is not in force, or another device's."""
        self._signers.pop(key_id, None)

    def coming(self) -> AbstractAsyncContextManager[None]:
        """Run the block, in which an invited batch comes, when few others do."""
        return self._outages.coming()

    @asynccontextmanager
    async def turn(self, body: bytearray) -> AsyncIterator[Opened | Receiving]:
        """Run the block when it is the turn of the batch in ``body``; give it, or why there is none.

        Raises:
            web.HTTPBadRequest: if there is no envelope in it.
            Exception: what ``key_of`` raises.
        """
        long = len(body) > LIVE_BYTES
        async with self._outages.looking() if long else contextlib.nullcontext():
            sent = await self._sent(body)
        if isinstance(sent, Receiving):
            yield sent
            return
        live = None if long else self._live_batch(sent)
        if live is not None:
            with self._precedence.first():
                async with self._live:
                    yield live
            return
        async with self._outages.turn():
            batch = batch_in(sent.signed)
            if isinstance(batch, Receiving):
                yield batch
            else:
                yield Opened(sent, batch, await self._outages.read(batch))

    async def _sent(self, body: bytearray) -> Sent | Receiving:
        signed = envelope_in(body)
        found = await self._signer(signed.key_id)
        if found is None:
            return Receiving.WRONG_KEY
        device_id, key = found
        return refused(signed, key) or Sent(device_id, signed)

    async def _signer(self, key_id: str) -> tuple[DeviceId, DeviceKey] | None:
        """Return whose key this is, as it was when last read: who keeps the records knows whether it still is."""
        found = self._signers.get(key_id)
        if found is not None:
            self._signers.move_to_end(key_id)
            return found
        found = await self._key_of(key_id)
        if found is not None and not found[1].revoked:
            self._signers[key_id] = found
            if len(self._signers) > SIGNERS_MAX:
                self._signers.popitem(last=False)
        return found

    def _live_batch(self, sent: Sent) -> Opened | None:
        """Return the batch of a bus in service; None: it is not one."""
        batch = batch_in(sent.signed)
        if isinstance(batch, Receiving) or len(batch.payloads) > LIVE_RECORDS:
            return None
        reading = Reading(batch)
        reading.read(LIVE_RECORDS)
        taps = [record.tap for record in reading.records if record is not None and record.tap is not None]
        return None if is_old(taps, self._clock.now_ms()) else Opened(sent, batch, reading, live=True)


def is_old(taps: Sequence[Tap], now_ms: int) -> bool:
    """Return whether some waited on the device for so long that nobody at a door waits for their receipt."""
    return any(now_ms - tap.occurred_ms > BACKLOG_MS for tap in taps)
