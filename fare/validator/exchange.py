"""What a validator exchanges with the server in the background: records up, documents down. Never in a tap's way."""

import asyncio
import contextlib
from typing import Final

from fastcrc import crc32

from commons.logs import get_logger
from fare.validator.asking import Asking, make_asking
from fare.validator.batches import BYTES_MAX, RECORDS_MAX, Receiving, make_batch, open_receipt
from fare.validator.documents import DocumentKind, Shelving
from fare.validator.link import Link, LinkError
from fare.validator.program import Validator

PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 60.0
BARRED_S: Final = 600.0  # a stopped device asks so often whether a person has looked
UNCONFIGURED_S: Final = 5.0
ASK_AGAIN_S: Final = 5.0  # for a phone that the list does not know, whoever shows how many

_GOING_ON: Final = frozenset({Receiving.TAKEN, Receiving.REPEATED, Receiving.GAP})
_log = get_logger(__name__)


class Pauses:
    """Pauses after failures: doubling, and different for each device, so that a city does not come back in one moment.

    ``device_id`` spreads the pauses over 75 to 125 percent of their length.
    """

    def __init__(self, device_id: str) -> None:
        self._spread = 0.75 + (crc32.iscsi(device_id.encode()) % 1_000) / 2_000
        self._next_s = PAUSE_FIRST_S

    def next_s(self) -> float:
        """Return how long to wait after one more failure."""
        pause_s, self._next_s = self._next_s, min(self._next_s * 2, PAUSE_MAX_S)
        return pause_s * self._spread

    def reset(self) -> None:
        """Begin again: something worked."""
        self._next_s = PAUSE_FIRST_S


class Exchange:
    """Both loops of one validator. ``run`` ends only by cancellation."""

    def __init__(self, validator: Validator, link: Link) -> None:
        self._validator = validator
        self._link = link
        self._key = validator.identity.key
        self._resume: int | None = None  # where the server wants us to go on, if it has less than it acknowledged
        self._last_sent_ms = 0
        self._whole_lists = False

    async def run(self) -> None:
        """Upload and ask, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._upload_for_ever(), name="upload")
            tasks.create_task(self._ask_for_ever(), name="documents")

    async def upload(self) -> bool:
        """Send one batch; return whether there was one.

        Raises:
            LinkError: if it was not answered by the city.
        """
        validator = self._validator
        found = await validator.stretch(self._resume, RECORDS_MAX, BYTES_MAX)
        if found is None:
            return False
        stretch, waiting = found
        self._last_sent_ms = sent_ms = max(validator.device_ms(), self._last_sent_ms + 1)
        identity = validator.identity
        batch = make_batch(
            stretch, city=identity.city, device_id=identity.device_id, sent_ms=sent_ms, waiting=waiting, key=self._key
        )
        answered = await self._link.send(batch)
        public = validator.shelf.public_of(answered.signed.key_id, validator.now_ms())
        if isinstance(public, Shelving):
            raise LinkError(f"receipt by a key that may not sign: {public.value}")
        receipt = open_receipt(answered.signed, public, device_id=identity.device_id, sent_ms=sent_ms)
        if receipt is None:
            raise LinkError("the receipt is not the city's, or not for this batch")
        validator.stopped = receipt.outcome not in _GOING_ON
        if validator.stopped:
            _log.error("device is barred", device=identity.device_id, outcome=receipt.outcome.value)
            return False
        behind = receipt.acknowledged < validator.acknowledged  # it was restored from a backup: send again
        self._resume = receipt.acknowledged if behind else None
        await validator.take_receipt(receipt, round_trip_ms=answered.round_trip_ms)
        return True

    async def ask(self) -> list[Shelving]:
        """Ask for newer documents and take them in; return what became of each.

        Raises:
            LinkError: if there is no answer.
        """
        validator = self._validator
        held = validator.shelf.versions()
        if self._whole_lists:  # a delta did not fit: ask as if we had none
            held = tuple(one for one in held if one[0] is not DocumentKind.LIST)
        asking = Asking(
            device_id=validator.identity.device_id,
            sent_ms=validator.now_ms(),
            recorded=validator.recorded_until,
            held=held,
        )
        outcomes = await validator.take_documents(await self._link.ask(make_asking(asking, self._key)))
        self._whole_lists = Shelving.WRONG_BASE in outcomes
        refused = [outcome.value for outcome in outcomes if outcome not in {Shelving.TAKEN, Shelving.HELD}]
        if refused:
            _log.warning("documents refused", device=validator.identity.device_id, outcomes=refused)
        return outcomes

    def _failed(self, what: str, error: Exception) -> None:
        if isinstance(error, LinkError):
            self._validator.online = False
            _log.warning("no exchange with the server", what=what, error=str(error))
        else:
            _log.error("exchange failed", what=what, error=repr(error))

    async def _upload_for_ever(self) -> None:
        validator = self._validator
        pauses = Pauses(validator.identity.device_id)
        while True:
            try:
                sent = await self.upload()
            except Exception as error:  # noqa: BLE001 - top of a loop: whatever it is, passengers go on tapping
                self._failed("upload", error)
                await asyncio.sleep(pauses.next_s())
                continue
            if validator.stopped:
                await asyncio.sleep(BARRED_S)
                continue
            pauses.reset()
            if sent:
                validator.online = True
                continue
            await validator.recorded.wait()

    async def _ask_for_ever(self) -> None:
        validator = self._validator
        pauses = Pauses(validator.identity.device_id)
        while True:
            try:
                await self.ask()
            except Exception as error:  # noqa: BLE001 - as above
                self._failed("documents", error)
                await asyncio.sleep(pauses.next_s())
                continue
            validator.online = True
            pauses.reset()
            decides = validator.holdings() is not None
            await self._until_asking(validator.configuration.ask_every_s if decides else UNCONFIGURED_S)

    async def _until_asking(self, pause_s: float) -> None:
        """Wait ``pause_s``, or until a phone is shown that may be newer than the list."""
        wanted = self._validator.list_wanted
        await asyncio.sleep(min(pause_s, ASK_AGAIN_S))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(pause_s - ASK_AGAIN_S, 0)):
                await wanted.wait()
        wanted.clear()
