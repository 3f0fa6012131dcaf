"""Taps that waited on a device for long are stored at once and charged a little later, each medium once for all of its.

An outage that ends brings a day of taps from every bus within seconds, a few of each passenger from each of many
buses. Charged as they come, every ride would be priced again for each later one of its medium. So storing them notes
their media (``fare.store.postgres_to_charge``), and charging begins when the uploads pause. A crash between the two
loses nothing: what is noted is found again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from commons.logs import get_logger
from commons.metrics import Metrics
from fare.model import MediumId
from fare.precedence import Precedence

QUIET_S: Final = 1.0  # without uploads, then charging begins
UPLOADS_MAX_S: Final = 20.0  # uploads that never pause do not hold it up for longer
AGAIN_S: Final = 1.0  # after trouble
LOOKS_AGAIN_S: Final = 600.0  # for what another process noted and did not come to charge
MEDIA_AT_ONCE: Final = 8  # some dozen rides: a live tap that comes meanwhile waits until these are posted
MEDIA_READ: Final = 2_000
LANES: Final = 2  # one is priced here while the database posts another
REST_MAX_S: Final = 0.05  # after one, while people tap

AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)  # the database
REFUSED: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.PLPGSQLError)  # by it: in vain

_log = get_logger(__name__)

Charge = Callable[[Sequence[MediumId]], Awaitable[None]]
NextMedia = Callable[[MediumId, int], Awaitable[list[MediumId]]]


class PostingTurns:
    """Of all that is charged later, one transaction at a time stands in the way of live taps.

    While people tap it does so half of the time: after each there is a rest as long as it took. Nobody waits for these.
    """

    def __init__(self, precedence: Precedence) -> None:
        self._precedence = precedence
        self._one = asyncio.Lock()
        self._rest_s = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Run the block, up to the commit, when it is its turn."""
        async with self._one:
            await self._precedence.rest(self._rest_s)
            await self._precedence.give_way()
            began_s = asyncio.get_running_loop().time()
            try:
                yield
            finally:
                self._rest_s = min(asyncio.get_running_loop().time() - began_s, REST_MAX_S)


class ChargingLater:
    """Charges noted media until it is closed, as many groups of them at a time as there are ``charges``.

    ``next_media`` gives the noted media that follow one in order of their ids, at most so many.
    """

    def __init__(
        self, next_media: NextMedia, charges: Sequence[Charge], *, metrics: Metrics, quiet_s: float = QUIET_S
    ) -> None:
        self._next_media = next_media
        self._charges = charges
        self._metrics = metrics
        self._quiet_s = quiet_s
        self._noted = asyncio.Event()
        self._noted.set()  # an earlier process may have left something
        self._noted_s = float("-inf")
        self._first_noted_s: float | None = None  # since charging began last
        self._done = asyncio.Event()
        self._closing = asyncio.Event()

    def note(self) -> None:
        """Say that media were noted just now."""
        self._noted_s = asyncio.get_running_loop().time()
        if self._first_noted_s is None:
            self._first_noted_s = self._noted_s
        self._noted.set()
        self._done.clear()

    async def done(self) -> None:
        """Return when all that was noted so far is charged, but for what cannot be."""
        await self._done.wait()

    def close(self) -> None:
        """Begin no more; ``run`` ends with what is under way. What is left stays noted."""
        self._closing.set()

    async def run(self) -> None:
        """Charge what is noted, until ``close``."""
        while not self._closing.is_set():
            await self._pause_of_uploads()
            self._first_noted_s = None
            self._noted.clear()
            try:
                await self._charge_all()
            except* AWAY as errors:
                self._waits(errors.exceptions[0], again_in_s=AGAIN_S)
                self._noted.set()
                await self._sleep(AGAIN_S)
            if not self._noted.is_set():
                self._done.set()
                await self._sleep(LOOKS_AGAIN_S, until=self._noted)

    async def _pause_of_uploads(self) -> None:
        while self._first_noted_s is not None and not self._closing.is_set():
            begins_s = min(self._noted_s + self._quiet_s, self._first_noted_s + UPLOADS_MAX_S)
            now_s = asyncio.get_running_loop().time()
            if now_s >= begins_s:
                return
            await self._sleep(begins_s - now_s)

    async def _charge_all(self) -> None:
        after = MediumId("")
        while media := await self._next_media(after, MEDIA_READ):
            after = media[-1]
            parts = deque(media[first : first + MEDIA_AT_ONCE] for first in range(0, len(media), MEDIA_AT_ONCE))
            async with asyncio.TaskGroup() as lanes:
                for charge in self._charges:
                    lanes.create_task(self._charge_some(charge, parts))
            if self._closing.is_set():
                return

    async def _charge_some(self, charge: Charge, parts: deque[list[MediumId]]) -> None:
        while parts and not self._closing.is_set():
            media = parts.popleft()
            try:
                await charge(media)
            except Exception as error:  # one that cannot be charged must not keep others from it
                if isinstance(error, AWAY) and not isinstance(error, REFUSED):
                    raise
                if len(media) > 1:
                    parts.extend([one] for one in media)
                else:
                    self._waits(error, medium=media[0], again_in_s=LOOKS_AGAIN_S)

    def _waits(self, error: BaseException, **told: object) -> None:
        self._metrics.count("role_errors_total", role="fare", where="charging_later")
        _log.warning("stored taps wait to be charged", error=repr(error), **told)

    async def _sleep(self, for_s: float, *, until: asyncio.Event | None = None) -> None:
        """Return after a while, or when it is closed, or ``until`` is set."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._closing, until) if event is not None]
        try:
            await asyncio.wait(waiting, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
