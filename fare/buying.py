"""Rides bought by telephone: the bus's number in, a ticket out, paid exactly once.

A purchase becomes a tap of a device that is no device ("phone", "sms"), with the place that its bus had, so that price,
history, occupancy, settlement and inspection see it as any ride. Nothing has happened at a door yet, so unlike a tap it
can be refused: a ride that the wallet cannot pay is not sold, and nobody comes into debt by it.

All of a purchase is one transaction under the lock of its medium: the ride, its charge, the ticket under the purchase's
key. Whatever is killed when, there is all of it or nothing; who asks again with the same key gets the same ticket. Two
purchases of one wallet wait for each other, and all money waits for the ledger's head, so both cannot be paid by the
same last coins. Purchases of different media that arrive together share a transaction, as there is one head.

Money that a mobile operator takes is moved by ``Payer`` before, and enters the wallet in the same transaction. If there
is no ticket in the end, it goes back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

import asyncpg
import msgspec

from commons.clock import Clock
from commons.group_commit import GroupCommit
from fare.ledger.accounts import wallet
from fare.ledger.billing import Change, Posted, changes, post_changes
from fare.model import (
    Charge,
    DeviceId,
    Journal,
    LocatedTap,
    MediumKind,
    Profile,
    Ride,
    Tap,
)
from fare.outcomes import Posting, TapOutcome
from fare.purchases import RIDERS_MAX, BuyRefusal, Purchase, Quote, Ticket
from fare.service import Charging, touched_by_changes
from fare.settlement.standing import Realigned
from fare.settlement.written_off import OwedAgain
from fare.store.kept_connection import KeptConnection, lost_is_said
from fare.store.postgres_ledger import OpenBook, Touched, read_book, write_pages
from fare.store.postgres_purchases import Asked, add_purchases, asked, bought, bought_lately
from fare.store.postgres_standing import write_realigned
from fare.store.postgres_taps import Window, lock_media, read_windows, store_taps, write_posted
from fare.store.postgres_vehicles import PostgresVehicles
from fare.taking import Locating, Told
from fare.vehicles import Vehicle

Wanted = Callable[[asyncpg.Connection], Awaitable[bool]]

BATCH_MAX: Final = 50  # purchases sold in one transaction; who is first in a batch waits for that many at most
WAITING_MAX: Final = 1_000  # callers
WRITE_MAX_S: Final = 15.0

_SOLD_AS: Final = frozenset({MediumKind.PHONE, MediumKind.SMS})
_NOBODY: Final = Profile()
_IN_WALLET: Final = "SELECT coalesce(sum(balance_tiyn + held_tiyn), 0)::bigint FROM account WHERE code = $1"


class Payer(Protocol):
    """Whoever pays what a wallet lacks, from outside our books. All is by the purchase's key, and durable."""

    async def taken(self, purchase: Purchase) -> Journal | None:
        """Return the journal of what was taken for ``purchase`` already and not given back."""

    async def pay(self, purchase: Purchase, missing_tiyn: int) -> Journal | BuyRefusal:
        """Take ``missing_tiyn``; return the journal that brings them into the wallet, or why they were not taken."""

    async def enter(self, connection: asyncpg.Connection, purchase: Purchase) -> bool:
        """Take what was taken into the transaction that posts it; return whether it was not given back meanwhile."""

    async def undo(self, purchase: Purchase) -> None:
        """Give back what was taken and not entered. Returns once that will happen for certain."""


class BuyingRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator sets."""

    late_max_ms: int = (
        10 * 60_000
    )  # a purchase that took longer to reach us is refused: a stop or two, with a bad network
    again_ms: int = 3 * 60_000  # the same riders on the same bus again within this are the same ride, asked for twice
    valid_ms: int = 120 * 60_000  # as long as a ride by card: ``Configuration.ride_max_ms``


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A ride on the market: where it would begin, on which vehicle, as which tap."""

    vehicle: Vehicle
    tap: Tap
    ride: Ride


@dataclass(frozen=True, slots=True)
class _Payment:
    """Money from outside our books for one purchase."""

    journal: Journal
    payer: Payer


@dataclass(frozen=True, slots=True)
class _Wish:
    """A purchase, and who knows whether it is still wanted."""

    purchase: Purchase
    wanted: Wanted | None


class _WithdrawnError(Exception):
    """Who asked for it has been refused meanwhile: the transaction must not be."""


@dataclass(frozen=True, slots=True)
class _Missing:
    """A wallet lacks so much."""

    tiyn: int


@dataclass(slots=True, kw_only=True)
class _Handed:
    """A purchase on its way to be sold, and what becomes of it: ``found`` None is to be handed in once more."""

    wish: _Wish
    offer: _Offer
    payment: _Payment | None
    found: Ticket | BuyRefusal | _Missing | None = None
    located: LocatedTap | None = None

    @property
    def purchase(self) -> Purchase:
        return self.wish.purchase


class Buying:
    """Where rides are bought. Made by ``open_buying``; several may work on one database.

    Its methods raise OSError, TimeoutError, asyncpg.PostgresError or asyncpg.InterfaceError if the database does not
    answer: the ride may be bought or not, and the same purchase handed in again tells.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        charging: Charging,
        locating: Locating,
        told: Told,
        rules: BuyingRules,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._charging = charging
        self._locating = locating
        self._told = told
        self._rules = rules
        self._clock = clock
        self._vehicles = PostgresVehicles(pool)
        self._kept = KeptConnection(pool, answer_max_s=WRITE_MAX_S)
        self._commit: GroupCommit[_Handed] = GroupCommit(self._write, batch_max=BATCH_MAX, waiting_max=WAITING_MAX)

    async def vehicle_of(self, code: str) -> Vehicle | None:
        """Return the vehicle with a fleet number or plate, however it was typed; None if there is none."""
        return await self._vehicles.by_code(code)

    async def quote(self, purchase: Purchase) -> Quote | BuyRefusal:
        """Return what ``purchase`` would cost if it were bought now. Nothing is written.

        Raises:
            ValueError: as ``buy``.
        """
        _check(purchase)
        known = await asked(self._pool, purchase)
        if known.before is not None:
            answer = _answer(purchase, known.before)
            return answer if isinstance(answer, BuyRefusal) else _quote_of(answer)
        offer = self._late(purchase) or await self._offer(purchase, known)
        if isinstance(offer, BuyRefusal):
            return offer
        async with self._pool.acquire() as connection:
            (priced,) = await self._priced(connection, [offer])
            available_tiyn = -await connection.fetchval(_IN_WALLET, wallet(purchase.medium_id))
        return Quote(
            vehicle_id=purchase.vehicle_id,
            fleet_number=offer.vehicle.fleet_number,
            route_id=offer.ride.route_id,
            carrier_id=offer.ride.carrier_id,
            price_tiyn=priced.price_tiyn,
            missing_tiyn=max(priced.price_tiyn - available_tiyn, 0),
            charges=priced.charges,
        )

    async def buy(
        self, purchase: Purchase, *, paid_by: Payer | None = None, wanted: Wanted | None = None
    ) -> Ticket | BuyRefusal:
        """Return the ticket of ``purchase`` once it is paid and on disk, or why there is none.

        The same key again returns the same ticket, and so does another key for the same riders on the same bus within
        ``BuyingRules.again_ms``. ``paid_by`` is asked for what the wallet lacks. ``wanted`` is asked within the
        transaction of the sale, last of all: False, and there is none, as who asked has been refused meanwhile.

        Raises:
            ValueError: if the kind of medium buys no rides, or a count of riders is below 1.
        """
        _check(purchase)
        with lost_is_said():
            return await self._buy(_Wish(purchase, wanted), paid_by)

    async def run(self) -> None:
        """Sell what is handed in, until ``close``; then let the connection go."""
        try:
            await self._commit.run()
        finally:
            await self._kept.close()

    def close(self) -> None:
        """Take no more; ``run`` ends when what waits is sold."""
        self._commit.close()

    async def _buy(self, wish: _Wish, paid_by: Payer | None) -> Ticket | BuyRefusal:
        purchase = wish.purchase
        if paid_by is None:
            found = await self._attempt(wish, None)
            return BuyRefusal.NO_MONEY if isinstance(found, _Missing) else found
        journal = await paid_by.taken(purchase)
        found = await self._attempt(wish, _Payment(journal, paid_by) if journal is not None else None)
        if isinstance(found, _Missing) and journal is None:
            paid = await paid_by.pay(purchase, found.tiyn)
            if isinstance(paid, BuyRefusal):
                return paid
            journal = paid
            found = await self._attempt(wish, _Payment(journal, paid_by))
        if journal is not None:
            await paid_by.undo(purchase)  # entered it stays; else there is no ticket, or one that was paid otherwise
        return BuyRefusal.NO_MONEY if isinstance(found, _Missing) else found

    def _late(self, purchase: Purchase) -> BuyRefusal | None:
        late_ms = self._clock.now_ms() - purchase.asked_ms
        return BuyRefusal.TOO_LATE if late_ms > self._rules.late_max_ms else None

    async def _attempt(self, wish: _Wish, payment: _Payment | None) -> Ticket | BuyRefusal | _Missing:
        """Buy with what is in the wallet and what ``payment`` brings there."""
        purchase = wish.purchase
        known = await asked(self._pool, purchase)
        if known.before is not None:
            return _answer(purchase, known.before)
        offer = self._late(purchase) or await self._offer(purchase, known)
        if isinstance(offer, BuyRefusal):
            return offer
        handed = _Handed(wish=wish, offer=offer, payment=payment)
        while handed.found is None:
            await self._commit.submit([handed])
        if handed.located is not None:
            await self._told([handed.located])
        return handed.found

    async def _write(self, handed: Sequence[_Handed]) -> None:
        """Sell to each medium once; who asks for a second ride at a time is left to the next batch."""
        batch = list({one.purchase.medium_id: one for one in reversed(handed)}.values())
        try:
            await self._sell_all(batch)
        except (asyncpg.UniqueViolationError, _WithdrawnError):
            if len(batch) == 1:
                await self._explain(batch[0])
                return
            for one in batch:  # one of them cannot be sold, so none was
                await self._write([one])

    async def _explain(self, one: _Handed) -> None:
        """Say why a purchase could not be sold: its key is another medium's now, or nobody wants it any more."""
        before = await bought(self._pool, one.purchase.key)
        one.found = BuyRefusal.WITHDRAWN if before is None else _answer(one.purchase, before)

    async def _sell_all(self, batch: Sequence[_Handed]) -> None:
        for one in batch:
            one.found = one.located = None
        try:
            async with self._kept.transaction() as connection:
                await self._sell(connection, batch)
        except BaseException:
            for one in batch:
                one.found = one.located = None
            raise

    async def _offer(self, purchase: Purchase, known: Asked) -> _Offer | BuyRefusal:
        """Return the ride, at the place where the bus was when it was asked for."""
        if sum(riders.count for riders in purchase.riders) > RIDERS_MAX:
            return BuyRefusal.TOO_MANY_RIDERS
        if known.vehicle is None:
            return BuyRefusal.UNKNOWN_VEHICLE
        tap = Tap(
            device_id=DeviceId(purchase.medium_kind.value),
            sequence=known.sequence,
            tapped_ms=purchase.asked_ms,
            medium_id=purchase.medium_id,
            medium_kind=purchase.medium_kind,
            outcome=TapOutcome.ACCEPTED,
            riders=purchase.riders,
            vehicle_id=purchase.vehicle_id,
        )
        (located,) = await self._locating.located([tap])
        if located.ride is None or not located.ride.route_id:
            return BuyRefusal.NOT_IN_SERVICE
        return _Offer(vehicle=known.vehicle, tap=tap, ride=located.ride)

    async def _sell(self, connection: asyncpg.Connection, batch: Sequence[_Handed]) -> None:
        """Decide in memory on what is locked, and write all of it or nothing."""
        await lock_media(connection, [one.purchase.medium_id for one in batch])
        lately = await bought_lately(connection, [one.purchase for one in batch], self._rules.again_ms)
        for one, before in zip(batch, lately, strict=True):
            one.found = _bought_before(one.purchase, before)
        wanted = [one for one in batch if one.found is None]
        if not wanted:
            return
        priced = await self._priced(connection, [one.offer for one in wanted])
        opened = await read_book(connection, self._touched(wanted, priced))
        posted: list[tuple[Change, Posted]] = []
        realigned: list[Realigned | OwedAgain] = []
        for one, price in zip(wanted, priced, strict=True):
            one.found = await self._decide(connection, one, price, opened)
            if one.found is None:
                follows = [one.journals for one in price.follows]
                posted += post_changes(opened.book, price.found, self._charging.pricing, follows)
                realigned += price.follows
                one.found = self._ticket(one.purchase, one.offer, price)
                one.located = LocatedTap(tap=price.tap, ride=one.offer.ride)
        sold = [one for one in wanted if one.located is not None]
        await store_taps(connection, [one.located for one in sold if one.located is not None])
        await write_pages(connection, opened)
        await write_posted(connection, posted)
        await write_realigned(connection, realigned)
        await add_purchases(connection, [(one.purchase, one.found) for one in sold if isinstance(one.found, Ticket)])

    async def _decide(
        self, connection: asyncpg.Connection, one: _Handed, price: "_Priced", opened: OpenBook
    ) -> BuyRefusal | _Missing | None:
        """Return why a ride is not sold; None: it is, and money from outside is in the wallet."""
        code, payment = wallet(one.purchase.medium_id), one.payment
        book = opened.book
        available_tiyn = -book.balances_tiyn.get(code, 0) - book.held_tiyn.get(code, 0)
        if payment is not None:
            available_tiyn -= sum(leg.amount_tiyn for leg in payment.journal.entries if leg.account == code)
        missing_tiyn = price.difference_tiyn - max(available_tiyn, 0)
        if price.difference_tiyn > 0 and missing_tiyn > 0:
            return _Missing(missing_tiyn)
        if payment is not None and not await payment.payer.enter(connection, one.purchase):
            return BuyRefusal.NOT_CHARGED
        if one.wish.wanted is not None and not await one.wish.wanted(connection):
            raise _WithdrawnError
        if payment is not None:
            _enter(opened, payment.journal)
        return None

    def _touched(self, wanted: Sequence[_Handed], priced: Sequence["_Priced"]) -> Touched:
        found = [change for price in priced for change in price.found]
        wallets = [wallet(one.purchase.medium_id) for one in wanted]
        paid = [leg.account for one in wanted if one.payment is not None for leg in one.payment.journal.entries]
        follows = [one for price in priced for one in price.follows]
        return touched_by_changes(found, self._charging.pricing, follows, also=[*wallets, *paid])

    async def _priced(self, connection: asyncpg.Connection, offers: Sequence[_Offer]) -> list["_Priced"]:
        """Return what ``offers`` to different media cost after the rides that those have made."""
        from_ms = {one.ride.medium_id: one.ride.tapped_ms - self._charging.past_ms for one in offers}
        windows = await read_windows(connection, from_ms)
        profiles = await self._charging.profiles(list(from_ms))
        priced = [
            _priced(one, windows[one.ride.medium_id], self._charging, profiles.get(one.ride.medium_id, _NOBODY))
            for one in offers
        ]
        follows = await self._charging.realigned(connection, [change for one in priced for change in one.found])
        return [
            replace(one, follows=[other for other in follows if other.medium_id == one.tap.medium_id]) for one in priced
        ]

    def _ticket(self, purchase: Purchase, offer: _Offer, priced: "_Priced") -> Ticket:
        return Ticket(
            key=purchase.key,
            tap_key=offer.tap.key,
            medium_id=purchase.medium_id,
            medium_kind=purchase.medium_kind,
            vehicle_id=purchase.vehicle_id,
            fleet_number=offer.vehicle.fleet_number,
            route_id=offer.ride.route_id,
            carrier_id=offer.ride.carrier_id,
            riders=purchase.riders,
            price_tiyn=priced.price_tiyn,
            from_ms=purchase.asked_ms,
            until_ms=purchase.asked_ms + self._rules.valid_ms,
            charges=priced.charges,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    """An offer with its price: the tap that says so, why it costs that, and what is to be posted."""

    tap: Tap
    charges: tuple[Charge, ...]
    found: list[Change]
    follows: Sequence[Realigned | OwedAgain] = ()

    @property
    def price_tiyn(self) -> int:
        return sum(charge.charged_tiyn for charge in self.charges)

    @property
    def difference_tiyn(self) -> int:
        """How much more the medium pays in all: a ride may change what later ones cost."""
        dearer_tiyn = sum(change.difference_tiyn for change in self.found)
        return dearer_tiyn + sum(one.taken_tiyn for one in self.follows)


@asynccontextmanager
async def open_buying(
    pool: asyncpg.Pool,
    *,
    charging: Charging,
    locating: Locating,
    told: Told,
    rules: BuyingRules,
    clock: Clock,
) -> AsyncIterator[Buying]:
    """Give a ``Buying`` while the block runs. It keeps a connection of ``pool``, which must have more.

    ``told`` hears of each ride after it is stored, as from validators (``fare.taking.TapTaking``).
    """
    buying = Buying(pool, charging=charging, locating=locating, told=told, rules=rules, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(buying.run(), name="buying")
        try:
            yield buying
        finally:
            buying.close()


def _priced(offer: _Offer, window: Window, charging: Charging, profile: Profile) -> _Priced:
    rides = [*window.rides, offer.ride]
    bill = charging.pricing.bill(rides, profile)
    charges = tuple(charge for charge in bill.charges if charge.ride_key == offer.ride.key)
    tap = msgspec.structs.replace(
        offer.tap,
        shown_tiyn=sum(charge.charged_tiyn for charge in charges),
        tariff_version=bill.tariff_versions[-1] if bill.tariff_versions else "",
    )
    found = changes(rides, window.posted, charging.pricing, profile, from_ms=offer.ride.tapped_ms)
    return _Priced(tap=tap, charges=charges, found=found)


def _check(purchase: Purchase) -> None:
    if purchase.medium_kind not in _SOLD_AS:
        raise ValueError(f"medium_kind of purchase {purchase.key} must be phone or sms: {purchase.medium_kind}")
    for riders in purchase.riders:
        if riders.count < 1:
            raise ValueError(f"count of riders of purchase {purchase.key} must be 1 or more: {riders.count}")


def _answer(purchase: Purchase, before: tuple[Purchase, Ticket]) -> Ticket | BuyRefusal:
    return before[1] if before[0].is_same_as(purchase) else BuyRefusal.KEY_REUSED


def _quote_of(ticket: Ticket) -> Quote:
    return Quote(
        vehicle_id=ticket.vehicle_id,
        fleet_number=ticket.fleet_number,
        route_id=ticket.route_id,
        carrier_id=ticket.carrier_id,
        price_tiyn=ticket.price_tiyn,
        missing_tiyn=0,
        charges=ticket.charges,
        ticket=ticket,
    )


def _bought_before(purchase: Purchase, lately: Sequence[tuple[Purchase, Ticket]]) -> Ticket | BuyRefusal | None:
    """Return the answer of the same key, or the ticket of the same riders on the same bus a moment ago."""
    for before in lately:
        if before[0].key == purchase.key:
            return _answer(purchase, before)
    return next((ticket for earlier, ticket in lately if earlier.riders == purchase.riders), None)


def _enter(opened: OpenBook, payment: Journal) -> None:
    posting = opened.book.take(payment)
    if posting is not Posting.POSTED:
        raise RuntimeError(f"journal {payment.key} was not posted: {posting}")
