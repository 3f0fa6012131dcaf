"""Taps become rides, rides bills, and bills journals, in one transaction.

A batch of taps is stored exactly once by (device, sequence); the bills of its media are derived anew over the rides
around, and what differs from what was posted is posted. Nothing is answered before it is on disk. Taps that come late
or again, in any order and through any process, lead to the same balances.

Live taps and backlogs go through lanes of their own: each has a connection and its batches. A batch of the backlog
begins when no live batch is under way, and posts when none is and no other backlog does, so a live tap waits for the
posting of one of them at most. Lanes of backlogs share no media, so that while one is priced here the database works on
another.
"""

import asyncio
import contextlib
import operator
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from commons.group_commit import GroupCommit
from fare.ledger.accounts import debt
from fare.ledger.billing import WALLET_KINDS, WINDOW_MS, Change, Pricing, accounts_of, changes, post_changes, posted_by
from fare.model import AccountCode, LocatedTap, MediumId, Profile, Ride
from fare.outcomes import TapReceipt
from fare.store.kept_connection import KeptConnection
from fare.store.postgres_ledger import Touched, read_book, write_pages
from fare.store.postgres_taps import (
    Window,
    insert_taps,
    lock_media,
    media_between,
    read_windows,
    recognise_taps,
    write_posted,
)

LIVE_BATCH_MAX: Final = 500  # taps
BACKLOG_BATCH_MAX: Final = 200
BACKLOG_LANES: Final = 2
UPLOAD_MAX: Final = 100  # taps of one caller that are handed in together
PRICED_WITHOUT_PAUSE: Final = 50  # media: some milliseconds, in which nothing else of this process goes on
BACKLOG_YIELDS_S: Final = 0.02  # to live batches that follow one another without a gap; then it takes its turn
WAITING_MAX: Final = 10_000  # callers
WRITE_MAX_S: Final = 30.0
RECOMPUTED_AT_A_TIME: Final = 200  # media

Profiles = Callable[[Sequence[MediumId]], Awaitable[Mapping[MediumId, Profile]]]
_NOBODY: Final = Profile()
_IN_TIME: Final = operator.attrgetter("tapped_ms", "key")


async def _at_once() -> None:
    """Let who asks for a turn have it: live taps and those who recompute wait for nobody."""


@dataclass(slots=True)
class _Handed:
    """A tap on its way, and its receipt."""

    tap: LocatedTap
    receipt: TapReceipt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charging:
    """What happens to taps within one transaction: they are stored, and their media charged."""

    pricing: Pricing
    profiles: Profiles
    past_ms: int = WINDOW_MS

    async def take(
        self, connection: asyncpg.Connection, taps: Sequence[LocatedTap], turn: Callable[[], Awaitable[None]]
    ) -> tuple[list[TapReceipt], dict[MediumId, int]]:
        """Store and charge ``taps``; return receipts in their order, and what wallets' media owe now.

        ``turn`` returns when they may be posted: from then on until the transaction ends, nobody else posts.
        """
        await lock_media(connection, {one.tap.medium_id for one in taps})
        recognised = await recognise_taps(connection, taps)
        new: dict[MediumId, list[Ride]] = defaultdict(list)
        for one, receipt in zip(taps, recognised.receipts, strict=True):
            if receipt is TapReceipt.STORED and one.ride is not None:
                new[one.ride.medium_id].append(_as_stored(one.ride))
        from_ms = {medium_id: min([ride.tapped_ms for ride in rides]) for medium_id, rides in new.items()}
        windows = await self._windows(connection, from_ms)
        await insert_taps(connection, recognised)
        for medium_id, rides in new.items():
            windows[medium_id].rides.extend(rides)
            windows[medium_id].rides.sort(key=_IN_TIME)
        found = await self._differing(windows, from_ms)
        return recognised.receipts, await self.post(connection, found, turn)

    async def differing(self, connection: asyncpg.Connection, from_ms: Mapping[MediumId, int]) -> list[Change]:
        """Return what rides of media, each from its moment on, cost otherwise than posted."""
        return await self._differing(await self._windows(connection, from_ms), from_ms)

    async def _windows(self, connection: asyncpg.Connection, from_ms: Mapping[MediumId, int]) -> dict[MediumId, Window]:
        """Return the rides of media that the price of one at its moment may depend on, and all after."""
        if not from_ms:
            return {}
        return await read_windows(connection, {medium: at_ms - self.past_ms for medium, at_ms in from_ms.items()})

    async def _differing(self, windows: Mapping[MediumId, Window], from_ms: Mapping[MediumId, int]) -> list[Change]:
        if not from_ms:
            return []
        profiles = await self.profiles(list(from_ms))
        found: list[Change] = []
        for number, (medium, at_ms) in enumerate(from_ms.items(), 1):
            if number % PRICED_WITHOUT_PAUSE == 0:
                await asyncio.sleep(0)  # live taps go first
            window, profile = windows[medium], profiles.get(medium, _NOBODY)
            found += changes(window.rides, window.posted, self.pricing, profile, from_ms=at_ms)
        return found

    async def post(
        self, connection: asyncpg.Connection, found: Sequence[Change], turn: Callable[[], Awaitable[None]] = _at_once
    ) -> dict[MediumId, int]:
        """Post ``found``; return what media with wallets owe then. ``turn`` as for ``take``."""
        if not found:
            return {}
        await write_posted(connection, [(change, posted_by(change)) for change in found])  # others may post meanwhile
        await turn()
        opened = await read_book(connection, touched_by_changes(found, self.pricing))
        post_changes(opened.book, found, self.pricing)
        await write_pages(connection, opened)
        media = {change.ride.medium_id for change in found if change.ride.medium_kind in WALLET_KINDS}
        return {medium: opened.book.balances_tiyn.get(debt(medium), 0) for medium in media}


class TapIntake:
    """Where taps come in. Made by ``open_taps``."""

    def __init__(self, pool: asyncpg.Pool, charging: Charging, owing: Callable[[Mapping[MediumId, int]], None]) -> None:
        self._pool = pool
        self._charging = charging
        self._owing = owing
        self._kept: list[KeptConnection] = []
        self._live_rests = asyncio.Event()
        self._live_rests.set()
        self._backlog_posts = asyncio.Lock()
        self._live = self._lane(LIVE_BATCH_MAX, yields=False)
        self._backlogs = [self._lane(BACKLOG_BATCH_MAX, yields=True) for _ in range(BACKLOG_LANES)]

    async def take(self, taps: Sequence[LocatedTap], *, backlog: bool = False) -> list[TapReceipt]:
        """Return what became of each of ``taps``, in their order, once they are stored and charged.

        ``backlog``: they waited on a device for long, and nobody waits at a door for the answer.

        Raises:
            ValueError: if a ride is not that of its tap; nothing is stored then.
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
                They may be stored or not; hand in the same again to know.
        """
        for one in taps:
            _check(one)
        handed = [_Handed(one) for one in taps]
        if not backlog:
            await _hand_in(self._live, handed)
        else:
            lanes: list[list[_Handed]] = [[] for _ in self._backlogs]
            for waiting in handed:
                lanes[zlib.crc32(waiting.tap.tap.medium_id.encode()) % BACKLOG_LANES].append(waiting)
            await asyncio.gather(*(_hand_in(*lane) for lane in zip(self._backlogs, lanes, strict=True)))
        return [one.receipt for one in handed if one.receipt is not None]

    async def recompute(self, from_ms: int, until_ms: int, *, post: bool) -> list[Change]:
        """Derive all bills again for media that rode from ``from_ms`` until ``until_ms``; return what differs.

        What differs is a report; it is posted only where ``post`` says so. Nothing differs unless the tariff, a
        profile or the program changed. Rides after ``until_ms`` of the same media are derived too.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer;
                with ``post`` some media may be done and others not: call again.
        """
        media = await media_between(self._pool, from_ms, until_ms)
        found: list[Change] = []
        kept = KeptConnection(self._pool, answer_max_s=WRITE_MAX_S)
        try:
            for first in range(0, len(media), RECOMPUTED_AT_A_TIME):
                some = media[first : first + RECOMPUTED_AT_A_TIME]
                async with kept.transaction() as connection:
                    await lock_media(connection, some)
                    differing = await self._charging.differing(connection, dict.fromkeys(some, from_ms))
                    owed = await self._charging.post(connection, differing) if post else {}
                self._owing(owed)
                found += differing
        finally:
            await kept.close()
        return found

    async def run(self) -> None:
        """Write what is handed in, until ``close``; then let the connections go."""
        try:
            await asyncio.gather(*(lane.run() for lane in (self._live, *self._backlogs)))
        finally:
            for kept in self._kept:
                await kept.close()

    def close(self) -> None:
        """Take no more; ``run`` ends when what waits is written."""
        for lane in (self._live, *self._backlogs):
            lane.close()

    async def _let_live_go(self) -> None:
        """Return when no live batch is under way, or after long enough."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BACKLOG_YIELDS_S):
                while not self._live_rests.is_set():  # again: the next live batch may have been quicker
                    await self._live_rests.wait()

    def _lane(self, batch_max: int, *, yields: bool) -> GroupCommit[_Handed]:
        kept = KeptConnection(self._pool, answer_max_s=WRITE_MAX_S)
        self._kept.append(kept)

        async def write(handed: Sequence[_Handed], turn: Callable[[], Awaitable[None]] = _at_once) -> None:
            taps = [one.tap for one in handed]
            try:
                async with kept.transaction() as connection:
                    receipts, owed = await self._charging.take(connection, taps, turn)
            except (
                asyncpg.UniqueViolationError
            ):  # another tap under the same name was stored meanwhile: now it is known
                async with kept.transaction() as connection:
                    receipts, owed = await self._charging.take(connection, taps, _at_once)
            for one, receipt in zip(handed, receipts, strict=True):
                one.receipt = receipt
            self._owing(owed)

        async def write_first(handed: Sequence[_Handed]) -> None:
            self._live_rests.clear()
            try:
                await write(handed)
            finally:
                self._live_rests.set()

        async def write_after(handed: Sequence[_Handed]) -> None:
            async with AsyncExitStack() as until_committed:

                async def after_others() -> None:
                    """Of all backlogs, one at a time stands in the way of live taps."""
                    await until_committed.enter_async_context(self._backlog_posts)
                    await self._let_live_go()

                await self._let_live_go()
                await write(handed, after_others)

        return GroupCommit(write_after if yields else write_first, batch_max=batch_max, waiting_max=WAITING_MAX)


@asynccontextmanager
async def open_taps(
    pool: asyncpg.Pool,
    *,
    pricing: Pricing,
    profiles: Profiles,
    owing: Callable[[Mapping[MediumId, int]], None] = lambda _: None,
    past_ms: int = WINDOW_MS,
) -> AsyncIterator[TapIntake]:
    """Give an intake while the block runs; on leaving, what was handed in is still written.

    It keeps three connections of ``pool``. ``owing`` is told after each commit what the media of wallets owe that were
    charged: above zero they belong on the deny list, at zero off it (``media_in_debt`` knows all of them).
    ``past_ms``: how long before a tap are the rides that its price may depend on; two days, where no cap is of a week.
    """
    intake = TapIntake(pool, Charging(pricing=pricing, profiles=profiles, past_ms=past_ms), owing)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(intake.run(), name="taps")
        try:
            yield intake
        finally:
            intake.close()


async def _hand_in(lane: GroupCommit[_Handed], handed: Sequence[_Handed]) -> None:
    for first in range(0, len(handed), UPLOAD_MAX):
        await lane.submit(handed[first : first + UPLOAD_MAX])


def _as_stored(ride: Ride) -> Ride:
    """Return ``ride`` as it will be read again: prices must not depend on when they were derived."""
    return msgspec.structs.replace(ride, to_stop_id="") if ride.to_stop_id else ride


def _check(one: LocatedTap) -> None:
    tap, ride = one.tap, one.ride
    if ride is None:
        return
    if not tap.outcome.rides:
        raise ValueError(f"ride of tap {tap.key} must be None: its outcome is {tap.outcome}")
    told, made = (ride.key, ride.tapped_ms, ride.medium_id), (tap.key, tap.tapped_ms, tap.medium_id)
    if told != made or ride.medium_kind is not tap.medium_kind:
        raise ValueError(f"ride of tap {tap.key} must have its key, time and medium: {ride}")


def touched_by_changes(found: Iterable[Change], pricing: Pricing, *, also: Iterable[AccountCode] = ()) -> Touched:
    """Return all of the ledger that posting ``found`` touches, wallets to be levelled and ``also`` included."""
    touched = Touched(keys=set(), accounts=set(also), references=set())
    for change in found:
        touched.accounts.update(accounts_of(change, pricing))
        if change.before is not None and change.before.journal_key is not None:
            touched.references.add(change.before.journal_key)
    return touched
