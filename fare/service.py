"""Taps become rides, rides bills, and bills journals.

A batch of taps is stored exactly once by (device, sequence); the bills of its media are derived anew over the rides
around, and what differs from what was posted is posted. Nothing is answered before it is on disk. Taps that come late
or again, in any order and through any process, lead to the same balances.

Live taps are stored and charged in one transaction, which may also keep the records that they came in. A backlog is
stored, and answered, and charged when the uploads pause (``fare.charging_later``). Each way has its connections and its
batches. Work on backlogs gives way to live taps before each of its steps, and one transaction of it posts at a time: a
live tap waits for the posting of one at most.
"""

import asyncio
import operator
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import asyncpg

from commons.group_commit import GroupCommit
from commons.metrics import Metrics
from fare.charging_later import LANES, QUIET_S, Charge, ChargingLater, PostingTurns
from fare.ledger.accounts import debt
from fare.ledger.billing import WALLET_KINDS, WINDOW_MS, Change, Pricing, accounts_of, changes, post_changes, posted_by
from fare.located import all_rides, check_ride, first_ms, new_rides
from fare.model import AccountCode, LocatedTap, MediumId, Profile
from fare.outcomes import TapReceipt
from fare.precedence import Precedence
from fare.settlement.standing import Realigned, Returned, realigned
from fare.settlement.written_off import OwedAgain, Priced
from fare.store.kept_connection import KeptConnection, lost_is_said
from fare.store.postgres_append import Append
from fare.store.postgres_charging import lock_and_read, take_and_read
from fare.store.postgres_ledger import OpenBook, Touched, read_book, write_pages
from fare.store.postgres_standing import owed_again_of, read_returned, write_realigned
from fare.store.postgres_taps import (
    Recognised,
    Window,
    few_rows,
    insert_taps,
    lock_media,
    media_between,
    read_windows,
    recognised,
    write_posted,
)
from fare.store.postgres_to_charge import next_to_charge, note_to_charge

LIVE_BATCH_MAX: Final = 500  # taps
BACKLOG_BATCH_MAX: Final = 500
LIVE_WRITES: Final = 2  # under way: who comes while one waits for the disk begins
UPLOAD_MAX: Final = 100  # live taps of one caller that are handed in together
PRICED_WITHOUT_PAUSE: Final = 5  # media: a millisecond or two, in which nothing else of this process goes on
WAITING_MAX: Final = 10_000  # callers
WRITE_MAX_S: Final = 30.0
RECOMPUTED_AT_A_TIME: Final = 200  # media

Done = TypeVar("Done")
Profiles = Callable[[Sequence[MediumId]], Awaitable[Mapping[MediumId, Profile]]]
_NOBODY: Final = Profile()
_IN_TIME: Final = operator.attrgetter("tapped_ms", "key")


async def _at_once() -> None:
    """Let who asks for a turn have it: live taps and those who recompute wait for nobody."""


@dataclass(slots=True)
class _Handed:
    """A tap on its way, and its receipt. ``append``: what is to be recorded with it, and once it is, the version."""

    tap: LocatedTap
    append: Append | None = None
    receipt: TapReceipt | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charging:
    """What happens to taps within one transaction: they are stored, and their media charged."""

    pricing: Pricing
    profiles: Profiles
    past_ms: int = WINDOW_MS

    async def take(self, connection: asyncpg.Connection, handed: Sequence[_Handed]) -> dict[MediumId, int]:
        """Record, store and charge what was ``handed`` in; return what wallets' media owe now.

        One whose device stands otherwise by now is left as it is.
        """
        appends = list({id(one.append): one.append for one in handed if one.append is not None}.values())
        taps = [one.tap for one in handed]
        locked = await lock_and_read(connection, taps, self._since_ms(all_rides(taps)), appends)
        versions = {id(append): version for append, version in zip(appends, locked.versions, strict=True)}
        for one in handed:
            one.version = versions.get(id(one.append))
        taken = [one for one in handed if one.append is None or one.version is not None]
        taps = [one.tap for one in taken]
        found = recognised(locked.known, taps)
        for one, receipt in zip(taken, found.receipts, strict=True):
            one.receipt = receipt
        new, riding = new_rides(taps, found.receipts), locked.riding
        for medium_id, rides in new.items():
            riding.windows[medium_id].rides.extend(rides)
            riding.windows[medium_id].rides.sort(key=_IN_TIME)
        changed = await self._differing(riding.windows, first_ms(new))
        return await self._post_new(connection, found, changed, riding.given_up)

    async def _post_new(
        self,
        connection: asyncpg.Connection,
        found: Recognised,
        changed: Sequence[Change],
        given_up: Collection[MediumId],
    ) -> dict[MediumId, int]:
        """Store taps and post what their rides cost: in one question less each, where that is all there is to do."""
        done = [(change, posted_by(change)) for change in changed]
        rows = few_rows(found, done) if done else None
        if rows is None or given_up or any(change.before is not None for change in changed):
            await insert_taps(connection, found)
            return await self.post(connection, changed, given_up=given_up)
        opened = await read_book(connection, touched_by_changes(changed, self.pricing), inserting=rows)
        return await self._write_pages(connection, opened, changed, ())

    async def store(
        self, connection: asyncpg.Connection, taps: Sequence[LocatedTap], give_way: Callable[[], Awaitable[None]]
    ) -> list[TapReceipt]:
        """Store taps and note their media for ``charge_noted``; return receipts in their order."""
        found = recognised((await lock_and_read(connection, taps, {})).known, taps)
        await give_way()
        await insert_taps(connection, found)
        await note_to_charge(connection, first_ms(new_rides(taps, found.receipts)))
        return found.receipts

    async def charge_noted(
        self, connection: asyncpg.Connection, media: Sequence[MediumId], turn: Callable[[], Awaitable[None]]
    ) -> dict[MediumId, int]:
        """Charge those of ``media`` that are noted; return what wallets' media owe then. ``turn`` as for ``post``."""
        from_ms, riding = await take_and_read(connection, media, self.past_ms)
        return await self.post(
            connection, await self._differing(riding.windows, from_ms), turn, given_up=riding.given_up
        )

    async def differing(self, connection: asyncpg.Connection, from_ms: Mapping[MediumId, int]) -> list[Change]:
        """Return what rides of media, each from its moment on, cost otherwise than posted."""
        windows = await read_windows(connection, self._since_ms(from_ms)) if from_ms else {}
        return await self._differing(windows, from_ms)

    def _since_ms(self, from_ms: Mapping[MediumId, int]) -> dict[MediumId, int]:
        """Return since when rides of media matter to the price of one at its moment."""
        return {medium_id: at_ms - self.past_ms for medium_id, at_ms in from_ms.items()}

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
        self,
        connection: asyncpg.Connection,
        found: Sequence[Change],
        turn: Callable[[], Awaitable[None]] = _at_once,
        *,
        given_up: Collection[MediumId] | None = None,
    ) -> dict[MediumId, int]:
        """Post ``found``; return what media with wallets owe then.

        ``turn`` returns when they may be posted: from then on until the transaction ends, nobody else posts.
        ``given_up``: as for ``realigned``.
        """
        if not found:
            return {}
        await write_posted(connection, [(change, posted_by(change)) for change in found])  # others may post meanwhile
        follows = await self.realigned(connection, found, given_up)
        await write_realigned(connection, follows)
        await turn()
        opened = await read_book(connection, touched_by_changes(found, self.pricing, follows))
        return await self._write_pages(connection, opened, found, follows)

    async def _write_pages(
        self,
        connection: asyncpg.Connection,
        opened: OpenBook,
        found: Sequence[Change],
        follows: Sequence[Realigned | OwedAgain],
    ) -> dict[MediumId, int]:
        post_changes(opened.book, found, self.pricing, [one.journals for one in follows])
        await write_pages(connection, opened)
        media = {change.ride.medium_id for change in found if change.ride.medium_kind in WALLET_KINDS}
        return {medium: opened.book.balances_tiyn.get(debt(medium), 0) for medium in media}

    async def realigned(
        self, connection: asyncpg.Connection, found: Sequence[Change], given_up: Collection[MediumId] | None = None
    ) -> list[Realigned | OwedAgain]:
        """Return what the new prices of ``found`` make of money that was given back or given up.

        ``given_up``: the media of which a debt ever was, where the caller has read which these are.
        """
        again = [change for change in found if change.before is not None]  # nothing was given back of a new ride
        returned = await read_returned(connection, [change.ride.key for change in again])
        changed: dict[MediumId, dict[str, Priced]] = defaultdict(dict)
        at_ms: dict[MediumId, int] = {}
        for change in found:
            ride = change.ride
            if ride.medium_kind in WALLET_KINDS:
                changed[ride.medium_id][ride.key] = Priced(tapped_ms=ride.tapped_ms, priced_tiyn=_priced_tiyn(change))
                at_ms[ride.medium_id] = ride.tapped_ms
        of_rides = (self._realigned(change, returned) for change in again)
        return [
            *(one for one in of_rides if one is not None),
            *await owed_again_of(connection, changed, at_ms, given_up),
        ]

    def _realigned(self, change: Change, returned: Mapping[str, Returned]) -> Realigned | None:
        ride = change.ride
        if ride.key not in returned:
            return None
        day = self.pricing.service_day(ride.tapped_ms)
        return realigned(ride, day, change.version, _priced_tiyn(change), returned[ride.key])


class TapIntake:
    """Where taps come in. Made by ``open_taps``."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        charging: Charging,
        owing: Callable[[Mapping[MediumId, int]], None],
        metrics: Metrics,
        *,
        precedence: Precedence,
        quiet_s: float,
    ) -> None:
        self._pool = pool
        self._charging = charging
        self._owing = owing
        self._kept: list[KeptConnection] = []
        self._precedence = precedence
        self._posting = PostingTurns(precedence)
        self._live = self._live_lane()
        self._backlog = self._backlog_lane()
        lanes = [self._charging_lane() for _ in range(LANES)]
        self._later = ChargingLater(self._next_to_charge, lanes, metrics=metrics, quiet_s=quiet_s)

    async def take(self, taps: Sequence[LocatedTap], *, backlog: bool = False) -> list[TapReceipt]:
        """Return what became of each of ``taps``, in their order, once they are stored and charged.

        ``backlog``: they waited on a device for long, and nobody waits at a door for the answer: they are stored, and
        charged soon (``charged``).

        Raises:
            ValueError: if a ride is not that of its tap; nothing is stored then.
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
                They may be stored or not; hand in the same again to know.
        """
        for one in taps:
            check_ride(one)
        handed = [_Handed(one) for one in taps]
        lane, at_once = (self._backlog, BACKLOG_BATCH_MAX) if backlog else (self._live, UPLOAD_MAX)
        for first in range(0, len(handed), at_once):
            await lane.submit(handed[first : first + at_once])
        return [one.receipt for one in handed if one.receipt is not None]

    async def record(self, taps: Sequence[LocatedTap], append: Append) -> tuple[list[TapReceipt], str] | None:
        """Store and charge ``taps`` in the transaction that writes the records they are in.

        Return what became of each, in their order, and the version of their device's row, once all is on disk. None:
        the device stands otherwise than ``append`` says by now, and nothing is stored.

        Raises:
            ValueError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: as ``take``.
        """
        for one in taps:
            check_ride(one)
        handed = [_Handed(one, append) for one in taps]
        await self._live.submit(handed)
        receipts = [one.receipt for one in handed if one.receipt is not None]
        version = handed[0].version
        return (receipts, version) if version is not None else None

    async def charged(self) -> None:
        """Return when every backlog that was answered is charged."""
        await self._later.done()

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
            await asyncio.gather(self._live.run(), self._backlog.run(), self._later.run())
        finally:
            for kept in self._kept:
                await kept.close()

    def close(self) -> None:
        """Take no more; ``run`` ends when what waits is stored. What stays noted is charged after the next opening."""
        for part in (self._live, self._backlog, self._later):
            part.close()

    async def _next_to_charge(self, after: MediumId, count: int) -> list[MediumId]:
        with lost_is_said():
            return await next_to_charge(self._pool, after, count)

    def _connection(self) -> KeptConnection:
        self._kept.append(KeptConnection(self._pool, answer_max_s=WRITE_MAX_S))
        return self._kept[-1]

    def _live_lane(self) -> GroupCommit[_Handed]:
        idle = [self._connection() for _ in range(LIVE_WRITES)]

        async def write(handed: Sequence[_Handed]) -> None:
            kept = idle.pop()

            async def charge() -> dict[MediumId, int]:
                async with kept.transaction() as connection:
                    return await self._charging.take(connection, handed)

            try:
                with self._precedence.first(_media_of(handed)):
                    owed = await _again_if_known(charge)
            finally:
                idle.append(kept)
            self._owing(owed)

        return GroupCommit(write, batch_max=LIVE_BATCH_MAX, waiting_max=WAITING_MAX, writes_max=LIVE_WRITES)

    def _backlog_lane(self) -> GroupCommit[_Handed]:
        kept = self._connection()

        async def write(handed: Sequence[_Handed]) -> None:
            async def store() -> list[TapReceipt]:
                async with kept.transaction() as connection:
                    return await self._charging.store(
                        connection, [one.tap for one in handed], self._precedence.give_way
                    )

            await self._precedence.give_way()
            try:
                with self._precedence.holding(_media_of(handed)):
                    _answer(handed, await _again_if_known(store))
            finally:
                self._later.note()  # what a lost connection does not answer may be stored all the same

        return GroupCommit(write, batch_max=BACKLOG_BATCH_MAX, waiting_max=WAITING_MAX)

    def _charging_lane(self) -> Charge:
        kept = self._connection()

        async def charge(media: Sequence[MediumId]) -> None:
            async with AsyncExitStack() as until_committed:

                async def after_others() -> None:
                    await until_committed.enter_async_context(self._posting.turn())

                await self._precedence.give_way()
                until_committed.enter_context(self._precedence.holding(media))
                async with kept.transaction() as connection:
                    owed = await self._charging.charge_noted(connection, media, after_others)
            self._owing(owed)

        return charge


@asynccontextmanager
async def open_taps(
    pool: asyncpg.Pool,
    *,
    pricing: Pricing,
    profiles: Profiles,
    owing: Callable[[Mapping[MediumId, int]], None] = lambda _: None,
    past_ms: int = WINDOW_MS,
    metrics: Metrics | None = None,
    precedence: Precedence | None = None,
    quiet_s: float = QUIET_S,
) -> AsyncIterator[TapIntake]:
    """Give an intake while the block runs; on leaving, what was handed in is still stored.

    It keeps five connections of ``pool``. ``owing`` is told after each commit what the media of wallets owe that were
    charged: above zero they belong on the deny list, at zero off it (``media_in_debt`` knows all of them).
    ``past_ms``: how long before a tap are the rides that its price may depend on; two days, where no cap is of a week.
    ``precedence``: of live taps, where more than the intake knows of them. ``quiet_s``: how long uploads of backlogs
    pause before these are charged.
    """
    charging = Charging(pricing=pricing, profiles=profiles, past_ms=past_ms)
    precedence = precedence or Precedence()
    intake = TapIntake(pool, charging, owing, metrics or Metrics(), precedence=precedence, quiet_s=quiet_s)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(intake.run(), name="taps")
        try:
            yield intake
        finally:
            intake.close()


async def _again_if_known(write: Callable[[], Awaitable[Done]]) -> Done:
    """Return what ``write`` does, done again if another tap of the same name was stored meanwhile: now it is known."""
    try:
        return await write()
    except asyncpg.UniqueViolationError:
        return await write()


def _media_of(handed: Iterable[_Handed]) -> set[MediumId]:
    return {one.tap.tap.medium_id for one in handed}


def _answer(handed: Iterable[_Handed], receipts: Iterable[TapReceipt]) -> None:
    for one, receipt in zip(handed, receipts, strict=True):
        one.receipt = receipt


def _priced_tiyn(change: Change) -> int:
    return sum(one.charged_tiyn for one in change.amounts)


def touched_by_changes(
    found: Iterable[Change],
    pricing: Pricing,
    follows: Iterable[Realigned | OwedAgain] = (),
    *,
    also: Iterable[AccountCode] = (),
) -> Touched:
    """Return all that posting ``found`` and what follows touches, wallets to be levelled and ``also`` included."""
    touched = Touched(keys=set(), accounts=set(also), references=set())
    for one in follows:
        touched.accounts.update(one.accounts)
    for change in found:
        touched.accounts.update(accounts_of(change, pricing))
        if change.before is not None and change.before.journal_key is not None:
            touched.references.add(change.before.journal_key)
    return touched
