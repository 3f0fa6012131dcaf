"""Rides bought by telephone: the bus's number in, a ticket out, paid exactly once.

A purchase becomes a tap of a device that is no device ("phone", "sms"), with the place that its bus had, so that price,
history, occupancy, settlement and inspection see it as any ride. Nothing has happened at a door yet, so unlike a tap it
can be refused: a ride that the wallet cannot pay is not sold, and nobody comes into debt by it.

All of a purchase is one transaction under the lock of its medium: the ride, its charge, the ticket under the purchase's
key. Whatever is killed when, there is all of it or nothing; who asks again with the same key gets the same ticket. Two
purchases of one wallet wait for each other, and all money waits for the ledger's head, so both cannot be paid by the
same last coins.

Money that a mobile operator takes is moved by ``Payer`` before, and enters the wallet in the same transaction. If there
is no ticket in the end, it goes back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import asyncpg
import msgspec

from commons.clock import Clock
from fare.ledger.accounts import debt, wallet
from fare.ledger.billing import Change, changes, post_changes
from fare.model import (
    AccountCode,
    Charge,
    DeviceId,
    Journal,
    LocatedTap,
    MediumId,
    MediumKind,
    Profile,
    Ride,
    Tap,
)
from fare.outcomes import Posting, TapOutcome
from fare.purchases import RIDERS_MAX, BuyRefusal, Purchase, Quote, Ticket
from fare.service import Charging, touched_by_changes
from fare.store.kept_connection import KeptConnection, lost_is_said
from fare.store.postgres_ledger import OpenBook, read_book, write_pages
from fare.store.postgres_purchases import Asked, add_purchase, asked, bought, bought_lately
from fare.store.postgres_taps import Window, lock_media, read_windows, store_taps, write_posted
from fare.store.postgres_vehicles import PostgresVehicles
from fare.taking import Locating, Told
from fare.vehicles import Vehicle

Wanted = Callable[[asyncpg.Connection], Awaitable[bool]]

LANES: Final = 2  # purchases being sold at a time: while one waits for the disk, the other is priced
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
        lanes: int = LANES,
    ) -> None:
        self._pool = pool
        self._charging = charging
        self._locating = locating
        self._told = told
        self._rules = rules
        self._clock = clock
        self._vehicles = PostgresVehicles(pool)
        self._lanes: asyncio.LifoQueue[KeptConnection] = asyncio.LifoQueue()
        for _ in range(lanes):
            self._lanes.put_nowait(KeptConnection(pool, answer_max_s=WRITE_MAX_S))

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
            priced = await self._price(connection, offer)
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

    async def close(self) -> None:
        """Let the connections go."""
        while not self._lanes.empty():
            await self._lanes.get_nowait().close()

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
        kept = await self._lanes.get()
        try:
            async with kept.transaction() as connection:
                found, located = await self._sell(connection, wish, offer, payment)
        except _WithdrawnError:
            return BuyRefusal.WITHDRAWN
        except asyncpg.UniqueViolationError:  # another medium has used the key meanwhile
            before = await bought(self._pool, purchase.key)
            if before is None:
                raise
            return _answer(purchase, before)
        finally:
            self._lanes.put_nowait(kept)
        if located is not None:
            await self._told([located])
        return found

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

    async def _sell(
        self, connection: asyncpg.Connection, wish: _Wish, offer: _Offer, payment: _Payment | None
    ) -> tuple[Ticket | BuyRefusal | _Missing, LocatedTap | None]:
        """Decide in memory on what is locked, and write all of it or nothing."""
        purchase = wish.purchase
        await lock_media(connection, [purchase.medium_id])
        lately = await bought_lately(connection, purchase, self._rules.again_ms)
        for before in lately:
            if before[0].key == purchase.key:
                return _answer(purchase, before), None
        for earlier, ticket in lately:
            if earlier.riders == purchase.riders:
                return ticket, None
        priced = await self._price(connection, offer)
        pricing = self._charging.pricing
        opened = await read_book(connection, touched_by_changes(priced.found, pricing, also=_legs(payment)))
        owed_tiyn = _owed_tiyn(opened, purchase.medium_id)
        if payment is not None:
            _enter(opened, payment.journal)
        done = post_changes(opened.book, priced.found, pricing)
        missing_tiyn = _owed_tiyn(opened, purchase.medium_id) - owed_tiyn
        if missing_tiyn > 0:
            return _Missing(missing_tiyn), None
        if payment is not None and not await payment.payer.enter(connection, purchase):
            return BuyRefusal.NOT_CHARGED, None
        ticket = self._ticket(purchase, offer, priced)
        located = LocatedTap(tap=priced.tap, ride=offer.ride)
        await store_taps(connection, [located])
        await write_pages(connection, opened)
        await write_posted(connection, done)
        await add_purchase(connection, purchase, ticket)
        if wish.wanted is not None and not await wish.wanted(connection):
            raise _WithdrawnError
        return ticket, located

    async def _price(self, connection: asyncpg.Connection, offer: _Offer) -> "_Priced":
        """Return what ``offer`` costs after the rides that its medium has made."""
        medium_id, at_ms = offer.ride.medium_id, offer.ride.tapped_ms
        windows = await read_windows(connection, {medium_id: at_ms - self._charging.past_ms})
        profile = (await self._charging.profiles([medium_id])).get(medium_id, _NOBODY)
        return _priced(offer, windows[medium_id], self._charging, profile)

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

    @property
    def price_tiyn(self) -> int:
        return sum(charge.charged_tiyn for charge in self.charges)


@asynccontextmanager
async def open_buying(
    pool: asyncpg.Pool,
    *,
    charging: Charging,
    locating: Locating,
    told: Told,
    rules: BuyingRules,
    clock: Clock,
    lanes: int = LANES,
) -> AsyncIterator[Buying]:
    """Give a ``Buying`` while the block runs. It keeps ``lanes`` connections of ``pool``, which must have more.

    ``told`` hears of each ride after it is stored, as from validators (``fare.taking.TapTaking``).
    """
    buying = Buying(pool, charging=charging, locating=locating, told=told, rules=rules, clock=clock, lanes=lanes)
    try:
        yield buying
    finally:
        await buying.close()


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


def _legs(payment: _Payment | None) -> Sequence[AccountCode]:
    return [entry.account for entry in payment.journal.entries] if payment is not None else []


def _owed_tiyn(opened: OpenBook, medium_id: MediumId) -> int:
    return opened.book.balances_tiyn.get(debt(medium_id), 0)


def _enter(opened: OpenBook, payment: Journal) -> None:
    posting = opened.book.take(payment)
    if posting is not Posting.POSTED:
        raise RuntimeError(f"journal {payment.key} was not posted: {posting}")
