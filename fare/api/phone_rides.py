"""Buying a ride with a phone: which bus, what it costs, a ticket; and the tickets that count now.

The price is shown before it is paid, and never is more paid than was shown. A purchase has a key made by the page, so
that a lost answer asked for again buys nothing twice.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NoReturn

import asyncpg
import msgspec
from aiohttp import web

from commons.clock import Clock
from commons.metrics import Metrics
from fare.api.answers import answer, refused
from fare.api.phone_account import CityNames
from fare.api.phone_door import PhoneDoor
from fare.buying import Buying
from fare.inspection.check_code import ticket_code
from fare.model import Charge, MediumId, MediumKind, PriceReason, Riders
from fare.phone.bus_code import PATH, BusRefusal
from fare.phone.session import PhoneSession
from fare.purchases import BuyRefusal, Purchase, Quote
from fare.store.postgres_bus_codes import PostgresBusCodes
from fare.store.postgres_vehicles import PostgresVehicles
from fare.store.postgres_wallet import RidePaid, ride_paid, rides_paid
from fare.vehicles import Vehicle

QUOTE_TOKENS: Final = 2
UNKNOWN_TOKENS: Final = 6  # who tries number after number finds ten buses a minute (attack 28)
TICKET_TOKENS: Final = 4
CODE_MAX: Final = 64
RIDER_KINDS_MAX: Final = 6

_LINKED: Final = re.compile(r"[A-Za-z0-9_-]{1,400}")
_TICKETS: Final = frozenset({MediumKind.PHONE, MediumKind.SMS})


class BusNow(msgspec.Struct, frozen=True, kw_only=True):
    """A bus in service, where it was last. The phone finds the near ones: where it is itself, nobody is told."""

    vehicle_id: str
    number: str  # what is written on it
    route: str
    lat: float
    lon: float


class BusesNow(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/phone/buses``."""

    buses: tuple[BusNow, ...]


class RideWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/quotes``: a bus by what is written on it, its id, or the QR in it. No riders: one."""

    bus: str = ""
    scanned: str = ""  # whatever the camera read
    riders: tuple[Riders, ...] = ()


class ChargeShown(msgspec.Struct, frozen=True, kw_only=True):
    """Why riders of one category pay what they pay."""

    category: str
    count: int
    reason: PriceReason
    full_tiyn: int
    charged_tiyn: int
    capped_tiyn: int  # the cap that was reached, 0: none
    until_ms: int  # transfers are free until then; 0: none follow


class QuoteShown(msgspec.Struct, frozen=True, kw_only=True):
    """Bus, line, carrier and price, before anything is paid. ``missing_tiyn``: what the wallet lacks."""

    signed: bool  # the bus was named by its QR, which is genuine and registered
    vehicle_id: str
    number: str
    plate: str
    route: str
    carrier: str
    price_tiyn: int
    missing_tiyn: int
    charges: tuple[ChargeShown, ...]


class TicketWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/tickets``. ``key``: a new UUID for each purchase, the same when it is asked again."""

    key: uuid.UUID
    vehicle_id: str
    riders: tuple[Riders, ...] = ()
    shown_tiyn: int


class TicketShown(msgspec.Struct, frozen=True, kw_only=True):
    """A ride that was paid. ``code`` is what an inspector types or scans; ``key`` names its receipt."""

    key: str
    code: str
    vehicle_id: str
    number: str
    plate: str
    route: str
    carrier: str
    riders: tuple[Riders, ...]
    price_tiyn: int
    from_ms: int
    until_ms: int


class TicketsShown(msgspec.Struct, frozen=True, kw_only=True):
    """The tickets of a phone that count now, the newest first."""

    now_ms: int
    tickets: tuple[TicketShown, ...]


BusesOf = Callable[[], Awaitable[Sequence[BusNow]]]


class PhoneRides:
    """Routes of buying. ``code_key`` makes the codes of tickets; ``valid_ms`` is how long a ride counts."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        door: PhoneDoor,
        buying: Buying,
        *,
        bus_codes: PostgresBusCodes,
        buses: BusesOf,
        names: CityNames,
        code_key: bytes,
        valid_ms: int,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._door = door
        self._buying = buying
        self._bus_codes = bus_codes
        self._buses = buses
        self._vehicles = PostgresVehicles(pool)
        self._names = names
        self._code_key = code_key
        self._valid_ms = valid_ms
        self._clock = clock
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/phone/buses", self._show_buses),
            web.post("/api/phone/quotes", self._quote),
            web.post("/api/phone/tickets", self._buy),
            web.get("/api/phone/tickets", self._show_tickets),
            web.get(f"{PATH}{{code}}", _open_page),
        ]

    async def _show_buses(self, request: web.Request) -> web.Response:
        await self._door.reading(request)
        return answer(BusesNow(buses=tuple(await self._buses())))

    async def _quote(self, request: web.Request) -> web.Response:
        session, wanted = await self._door.writing(request, RideWanted, tokens=QUOTE_TOKENS)
        _check_riders(wanted.riders)
        vehicle = await self._vehicle(session, wanted)
        quoted = await self._quoted(session, vehicle.vehicle_id, wanted.riders, key=f"quote/{uuid.uuid4()}")
        return answer(self._quote_shown(vehicle, quoted, signed=bool(wanted.scanned)))

    async def _buy(self, request: web.Request) -> web.Response:
        session, wanted = await self._door.writing(request, TicketWanted, tokens=TICKET_TOKENS)
        _check_riders(wanted.riders)
        _check_text(wanted.vehicle_id)
        key = f"phone/{session.medium_id}/{wanted.key}"  # nobody else's key can be hit
        quoted = await self._quoted(session, wanted.vehicle_id, wanted.riders, key=key)
        bought = quoted.ticket
        if bought is None:
            if quoted.price_tiyn > wanted.shown_tiyn:
                self._refuse("price_changed")
            done = await self._buying.buy(_purchase(session, wanted.vehicle_id, wanted.riders, key, self._clock))
            if isinstance(done, BuyRefusal):
                self._refuse(done.value)
            bought = done
        self._metrics.count("phone_tickets_total", outcome="bought")
        ride = await ride_paid(self._pool, [session.medium_id], bought.tap_key)
        if ride is None:
            raise RuntimeError(f"ticket of tap {bought.tap_key} has no ride")
        return answer(self._ticket(ride))

    async def _show_tickets(self, request: web.Request) -> web.Response:
        session = await self._door.reading(request)
        now_ms = self._clock.now_ms()
        rides = await rides_paid(self._pool, [session.medium_id], now_ms - self._valid_ms + 1)
        tickets = [self._ticket(ride) for ride in rides if ride.medium_kind in _TICKETS]
        return answer(TicketsShown(now_ms=now_ms, tickets=tuple(tickets)))

    async def _vehicle(self, session: PhoneSession, wanted: RideWanted) -> Vehicle:
        """Return the bus that is meant; a QR that is not ours names none, whatever is written in it (incident I6)."""
        if wanted.scanned:
            code = await self._bus_codes.read(wanted.scanned)
            if isinstance(code, BusRefusal):
                self._door.take(session.medium_id, UNKNOWN_TOKENS)
                self._refuse(f"qr_{code.value}")
            vehicle = await self._vehicles.by_id(code.vehicle_id)
        else:
            _check_text(wanted.bus)
            vehicle = await self._vehicles.by_id(wanted.bus) or await self._buying.vehicle_of(wanted.bus)
        if vehicle is None:
            self._door.take(session.medium_id, UNKNOWN_TOKENS)
            self._refuse(BuyRefusal.UNKNOWN_VEHICLE.value)
        return vehicle

    async def _quoted(self, session: PhoneSession, vehicle_id: str, riders: tuple[Riders, ...], *, key: str) -> Quote:
        quoted = await self._buying.quote(_purchase(session, vehicle_id, riders, key, self._clock))
        if isinstance(quoted, BuyRefusal):
            self._refuse(quoted.value)
        return quoted

    def _quote_shown(self, vehicle: Vehicle, quoted: Quote, *, signed: bool) -> QuoteShown:
        return QuoteShown(
            signed=signed,
            vehicle_id=vehicle.vehicle_id,
            number=vehicle.fleet_number,
            plate=vehicle.plate,
            route=self._names.routes.get(quoted.route_id, quoted.route_id),
            carrier=self._names.carriers.get(quoted.carrier_id, quoted.carrier_id),
            price_tiyn=quoted.price_tiyn,
            missing_tiyn=quoted.missing_tiyn,
            charges=tuple(_charge_shown(charge) for charge in quoted.charges),
        )

    def _ticket(self, ride: RidePaid) -> TicketShown:
        return TicketShown(
            key=ride.key,
            code=ticket_code(ride.key, MediumId(ride.medium_id), self._code_key),
            vehicle_id=ride.vehicle_id,
            number=ride.number,
            plate=ride.plate,
            route=self._names.routes.get(ride.route_id, ride.route_id),
            carrier=self._names.carriers.get(ride.carrier_id, ride.carrier_id),
            riders=ride.riders,
            price_tiyn=ride.charged_tiyn,
            from_ms=ride.tapped_ms,
            until_ms=ride.tapped_ms + self._valid_ms,
        )

    def _refuse(self, why: str) -> NoReturn:
        self._metrics.count("phone_tickets_total", outcome=why)
        raise refused(web.HTTPConflict, f"buy_{why}")


def _purchase(session: PhoneSession, vehicle_id: str, riders: tuple[Riders, ...], key: str, clock: Clock) -> Purchase:
    return Purchase(
        key=key,
        medium_id=session.medium_id,
        medium_kind=MediumKind.PHONE,
        vehicle_id=vehicle_id,
        riders=riders,
        asked_ms=clock.now_ms(),
    )


async def _open_page(request: web.Request) -> web.Response:
    """Open the page on the bus whose QR any camera has read."""
    code = request.match_info["code"]
    if not _LINKED.fullmatch(code):
        raise web.HTTPNotFound
    raise web.HTTPFound(f"/phone/#pay/{code}")


def _check_riders(riders: tuple[Riders, ...]) -> None:
    categories = {one.category for one in riders}
    right = all(one.count >= 1 and one.category.isprintable() and len(one.category) <= CODE_MAX for one in riders)
    if not right or len(categories) < len(riders) or len(riders) > RIDER_KINDS_MAX:
        raise refused(web.HTTPBadRequest, "wrong_riders")


def _check_text(text: str) -> None:
    if not text or len(text) > CODE_MAX or not text.isprintable():
        raise refused(web.HTTPBadRequest, "wrong_form")


def _charge_shown(charge: Charge) -> ChargeShown:
    return ChargeShown(
        category=charge.category,
        count=charge.count,
        reason=charge.reason,
        full_tiyn=charge.full_tiyn,
        charged_tiyn=charge.charged_tiyn,
        capped_tiyn=charge.capped_tiyn,
        until_ms=charge.until_ms,
    )
