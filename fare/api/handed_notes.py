"""Up to where the ledger has the taps of each validator: known at once, written down a little later for all together.

A note that is lost hands taps over again under their keys, no more, so no receipt waits for one, and none outlives
trouble with the database: that may come back as it was before the ledger had the taps.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import asyncpg

from commons.logs import get_logger
from commons.metrics import Metrics
from fare.model import DeviceId
from fare.validator.batches import Until

WRITE_EVERY_S: Final = 0.25

_AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_log = get_logger(__name__)


class HandedNotes:
    """Notes of one process; ``write`` writes some down."""

    def __init__(self, write: Callable[[Mapping[DeviceId, Until]], Awaitable[None]], metrics: Metrics) -> None:
        self._write = write
        self._metrics = metrics
        self._noted: dict[DeviceId, Until] = {}
        self._some = asyncio.Event()
        self._writing = asyncio.Lock()

    def note(self, device_id: DeviceId, until: Until) -> None:
        """Note that the ledger has all taps of a device up to a record."""
        self._noted[device_id] = until
        self._some.set()

    def sequence(self, device_id: DeviceId, *, before: int) -> int:
        """Return up to where it has them by a note that is not written down yet; 0: there is none.

        ``before``: the first record that is new. A note of it, or of one after it, is of a database that was put back.
        """
        noted = self._noted.get(device_id)
        return noted.sequence if noted is not None and noted.sequence < before else 0

    def __contains__(self, device_id: DeviceId) -> bool:
        """Return whether there is a note of a device that is not written down yet."""
        return device_id in self._noted

    async def write(self) -> None:
        """Write down all notes.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if they are not; none is kept then.
        """
        async with self._writing:
            self._some.clear()
            writing = dict(self._noted)
            if not writing:
                return
            try:
                await self._write(writing)
            except _AWAY:
                self._noted.clear()
                raise
            for device_id, until in writing.items():
                if self._noted.get(device_id) is until:
                    del self._noted[device_id]

    async def run(self) -> None:
        """Write notes down for ever."""
        while True:
            await self._some.wait()
            await asyncio.sleep(WRITE_EVERY_S)
            try:
                await self.write()
            except _AWAY as error:
                self._metrics.count("role_errors_total", role="fare", where="handed_notes")
                _log.warning("taps will be handed over again", error=repr(error))
