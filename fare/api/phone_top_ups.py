"""Topping up a wallet by bank: a wish, where to pay, and how it stands. The money counts from the moment it is here."""

import uuid
from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from commons.texts import Language
from fare.api.answers import answer, refused
from fare.api.phone_door import PhoneDoor
from fare.top_ups import BankName, Beginning, Invoice, TopUpRules, TopUpState
from fare.topping_up import TopUpAsked, TopUps

BEGIN_TOKENS: Final = 6
INVOICE_MAX: Final = 15  # digits


class TopUpWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/phone/top-ups``. ``key``: a new UUID for each wish, the same when it is asked again."""

    key: uuid.UUID
    bank: BankName
    amount_tiyn: int
    language: Language


class TopUpBegun(msgspec.Struct, frozen=True, kw_only=True):
    """Where to pay: the bank's page, and for some banks a QR that its app scans."""

    invoice: Invoice
    link: str
    qr: str


class TopUpShown(msgspec.Struct, frozen=True, kw_only=True):
    """How a top-up stands. ``credited``: the wallet has had it."""

    invoice: Invoice
    bank: BankName
    amount_tiyn: int
    state: TopUpState
    credited: bool


class BanksShown(msgspec.Struct, frozen=True, kw_only=True):
    """By which banks a wallet can be topped up, and by how much."""

    banks: tuple[BankName, ...]
    min_tiyn: int
    max_tiyn: int


class PhoneTopUps:
    """Routes of topping up. ``banks``: those that we open payments at."""

    def __init__(self, door: PhoneDoor, top_ups: TopUps, *, banks: Sequence[BankName], rules: TopUpRules) -> None:
        self._door = door
        self._top_ups = top_ups
        self._banks = tuple(banks)
        self._rules = rules

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/phone/banks", self._show_banks),
            web.post("/api/phone/top-ups", self._begin),
            web.get("/api/phone/top-ups/{invoice}", self._show),
        ]

    async def _show_banks(self, request: web.Request) -> web.Response:
        await self._door.reading(request)
        return answer(BanksShown(banks=self._banks, min_tiyn=self._rules.min_tiyn, max_tiyn=self._rules.max_tiyn))

    async def _begin(self, request: web.Request) -> web.Response:
        session, wanted = await self._door.writing(request, TopUpWanted, tokens=BEGIN_TOKENS)
        begun = await self._top_ups.begin(
            TopUpAsked(
                key=str(wanted.key),
                medium_id=session.medium_id,
                bank=wanted.bank,
                amount_tiyn=wanted.amount_tiyn,
                language=wanted.language,
            )
        )
        if begun.outcome is not Beginning.BEGUN or begun.top_up is None:
            raise refused(web.HTTPConflict, f"top_up_{begun.outcome.value}")
        opened = begun.opened
        return answer(
            TopUpBegun(
                invoice=begun.top_up.invoice,
                link=opened.link if opened is not None else "",
                qr=opened.qr if opened is not None else "",
            )
        )

    async def _show(self, request: web.Request) -> web.Response:
        session = await self._door.reading(request)
        invoice = request.match_info["invoice"]
        known = invoice.isascii() and invoice.isdigit() and len(invoice) <= INVOICE_MAX
        top_up = await self._top_ups.of_medium(session.medium_id, Invoice(invoice)) if known else None
        if top_up is None:
            raise refused(web.HTTPNotFound, "no_such_top_up")
        return answer(
            TopUpShown(
                invoice=top_up.invoice,
                bank=top_up.bank,
                amount_tiyn=top_up.amount_tiyn,
                state=top_up.state,
                credited=top_up.credited,
            )
        )
