"""Everything that validators hold, published and kept fresh: keys, rules, prices, and the lists of media.

``DocumentKeeper.run`` looks after ``wake`` was called and every ``LOOK_S``; what has not changed is not published
again, except that a list is signed anew each hour (``fare.store.publishing``).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from commons.clock import Clock
from commons.logs import get_logger
from commons.metrics import Metrics
from fare.phone.own_qr import listed
from fare.store.postgres_bank_cards import denied_cards
from fare.store.postgres_media import CHANGED, PostgresMedia
from fare.store.postgres_phone_keys import PostgresPhoneKeys
from fare.store.postgres_taps import media_in_debt
from fare.store.publishing import Publisher
from fare.tariff.model import Tariff
from fare.validator.deny_list import DENY, PHONES, SEEN, build_list_of_values
from fare.validator.documents import Published
from fare.validator.rules import Configuration, FareTable

LOOK_S: Final = 30.0  # of city time: an hour's list is renewed, a day's concessions end
GATHER_S: Final = 2.0  # changes of so long go into one version of a list

_log = get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class DocumentKeeper:
    """The one that publishes for a city. ``media`` and ``pool`` say who is denied and who rides as what.

    ``configuration_at`` gives the rules of a moment: a tariff version that begins brings its own concessions.
    """

    publisher: Publisher
    media: PostgresMedia
    phones: PostgresPhoneKeys
    pool: asyncpg.Pool
    tariff: Tariff
    configuration_at: Callable[[int], Configuration]
    fares: FareTable
    clock: Clock
    metrics: Metrics
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Look soon: somebody came into debt, paid, or was blocked."""
        self._changed.set()

    async def publish(self) -> None:
        """Publish what is new.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer, or somebody else
                publishes for this city.
        """
        publisher, now_ms = self.publisher, self.clock.now_ms()
        configuration = self.configuration_at(now_ms)
        self._count(await publisher.keys(now_ms))
        self._count(await publisher.fares(self.fares, now_ms))
        denied = await self.media.blocked() | (await media_in_debt(self.pool)).keys()
        denied |= set(await denied_cards(self.pool))
        self.metrics.set("fare_media_denied", len(denied))
        self._count(await publisher.media(DENY, denied, now_ms))
        self._count(await publisher.media(SEEN, await self.media.known(), now_ms))
        phones = build_list_of_values(dict(map(listed, await self.phones.in_force(now_ms))))
        self._count(await publisher.tokens(PHONES, phones, now_ms))
        holders = await self.media.holders(self.tariff.at(now_ms)[0].date)
        for category in configuration.concessions:
            self._count(await publisher.media(category, holders.get(category, ()), now_ms))
        # Last: a validator takes whoever is on a list that it does not have yet for somebody without a concession.
        self._count(await publisher.configuration(configuration, now_ms, from_ms=0))

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            try:
                async with listening(self.pool, self.wake):
                    while True:
                        await self.publish()
                        await self._pause()
            except Exception as error:  # noqa: BLE001 - the top of the loop: counted, logged, survived
                self.metrics.count("role_errors_total", role="fare", where="documents")
                _log.warning("documents wait", error=repr(error))
                await asyncio.sleep(GATHER_S)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S / self.clock.rate):
                await self._changed.wait()
        await asyncio.sleep(GATHER_S)
        self._changed.clear()

    def _count(self, published: Published | None) -> None:
        if published is not None:
            self.metrics.count("fare_documents_published_total", kind=published.kind.value)


@contextlib.asynccontextmanager
async def listening(pool: asyncpg.Pool, heard: Callable[[], None]) -> AsyncIterator[None]:
    """Call ``heard`` whenever media change, while the block runs."""
    async with pool.acquire() as connection:

        def tell(*_: object) -> None:
            heard()

        await connection.add_listener(CHANGED, tell)
        try:
            yield
        finally:
            await connection.remove_listener(CHANGED, tell)
