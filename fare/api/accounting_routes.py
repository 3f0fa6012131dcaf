"""Everything of the accountant's page, mounted by one call."""

import secrets
from collections.abc import Callable

from aiohttp import web

from commons.clock import Clock
from commons.metrics import Metrics
from fare.api.accounting import Accounting, Books
from fare.api.accounting_acts import AccountingActs
from fare.api.accounting_top_ups import MediumOfPhone, TopUpRoutes
from fare.api.claims import Claims
from fare.api.signed_in import Doorkeeper
from fare.refund_service import Refunds
from fare.sign_in import SignIn
from fare.top_up_desk import TopUpDesk
from fare.write_off_desk import WriteOffDesk

AddressOf = Callable[[web.Request], str]


def accounting_routes(
    books: Books,
    *,
    sign_in: SignIn,
    refunds: Refunds,
    write_offs: WriteOffDesk,
    top_ups: TopUpDesk,
    medium_of_phone: MediumOfPhone,
    clock: Clock,
    metrics: Metrics,
    address_of: AddressOf = lambda request: request.remote or "",
) -> list[web.RouteDef]:
    """Return page ``/books/`` and ``/api/books/…`` for the application of the fare role."""
    door = Doorkeeper(sign_in, books.people, clock, address_of)
    acts = AccountingActs(books.settlement, refunds, door, clock=clock, metrics=metrics)
    claims = Claims(books.pool, refunds, write_offs, door, clock=clock, metrics=metrics)
    paid_in = TopUpRoutes(top_ups, books.people, door, medium_of=medium_of_phone, clock=clock, metrics=metrics)
    return [
        *door.routes(),
        *Accounting(books, door, clock).routes(),
        *acts.routes(),
        *claims.routes(),
        *paid_in.routes(),
    ]


def new_history_token() -> str:
    """Return a token that reads one medium's trips for a while."""
    return secrets.token_urlsafe(32)


def new_export_key() -> bytes:
    """Return a key that names media in one file and is then forgotten."""
    return secrets.token_bytes(32)
