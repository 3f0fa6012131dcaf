"""A ride bought without a validator, and the ticket for it. Amounts are integer tiyn, times UTC epoch milliseconds."""

import enum
from typing import Final

import msgspec

from fare.model import CarrierId, Charge, MediumId, MediumKind, Riders

RIDERS_MAX: Final = 10  # on one ticket; a company of more buys two


class BuyRefusal(enum.StrEnum):
    """Why there is no ticket, in order of precedence. Nothing was written and no money kept. Each has its text."""

    KEY_REUSED = enum.auto()  # same key, another purchase: a bug or a fraud
    TOO_LATE = enum.auto()  # asked so long ago that the rider has left the bus, or was found without a ticket
    TOO_MANY_RIDERS = enum.auto()
    UNKNOWN_VEHICLE = enum.auto()
    NOT_IN_SERVICE = enum.auto()  # the bus drives no line now, as far as tracking knows: there is nothing to pay for
    NO_MONEY = enum.auto()  # in the wallet
    NO_CREDIT = enum.auto()  # at the mobile operator
    CORPORATE_NUMBER = enum.auto()  # operators charge no number that a company pays for
    SIM_CHANGED = enum.auto()  # less than a day ago: somebody else may hold the number
    BARRED = enum.auto()  # the operator does not charge this number: unpaid loan, never topped up, service barred
    WITHDRAWN = enum.auto()  # who asked has been refused meanwhile, by another process
    NOT_CHARGED = enum.auto()  # the operator did not answer; what it may have taken goes back


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to ride. ``key`` is made by who asks: the same key buys once."""

    key: str
    medium_id: MediumId
    medium_kind: MediumKind
    vehicle_id: str
    riders: tuple[Riders, ...] = ()  # empty: one rider of the category that the medium's profile has
    asked_ms: int  # by the server's clock, or by the operator's where it is to be believed

    def is_same_as(self, other: "Purchase") -> bool:
        """Return whether ``other`` wants the same, whenever."""
        return msgspec.structs.replace(self, asked_ms=other.asked_ms) == other


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ride that was paid. ``tap_key`` names the ride everywhere else."""

    key: str  # of the purchase
    tap_key: str
    medium_id: MediumId
    medium_kind: MediumKind
    vehicle_id: str
    fleet_number: str
    route_id: str
    carrier_id: CarrierId
    riders: tuple[Riders, ...]
    price_tiyn: int
    from_ms: int
    until_ms: int
    charges: tuple[Charge, ...]  # why it costs that


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a purchase would cost now. ``ticket``: it is bought already, and costs nothing more."""

    vehicle_id: str
    fleet_number: str
    route_id: str
    carrier_id: CarrierId
    price_tiyn: int
    missing_tiyn: int  # in the wallet
    charges: tuple[Charge, ...]
    ticket: Ticket | None = None
