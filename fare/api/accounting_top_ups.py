"""Top-ups on the accountant's page: looked up by number or telephone, and unused money given back.

Who looks for a telephone is noted, as it says what somebody pays. Who acts is whoever signed in.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from commons.clock import Clock
from commons.metrics import Metrics
from fare.api.accounting_acts import DecisionSent
from fare.api.accounting_values import Decided
from fare.api.answers import answer, body, refused
from fare.api.signed_in import Doorkeeper
from fare.audit_trail import Act
from fare.model import MediumId
from fare.people import Right
from fare.store.postgres_people import PostgresPeople
from fare.top_up_desk import TopUpBackAsked, TopUpDesk, TopUpListed, TopUpRefundListed
from fare.top_ups import Invoice

INVOICE: Final = re.compile(r"[0-9]{1,15}")

MediumOfPhone = Callable[[str], MediumId | None]


class TopUpsLookedFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody looks for: a top-up's number, a telephone, or nothing for the latest."""

    of: str = ""


class TopUpsShown(msgspec.Struct, frozen=True, kw_only=True):
    """Top-ups that were looked for, the latest first, and what was asked back of any."""

    top_ups: tuple[TopUpListed, ...]
    asked: tuple[TopUpRefundListed, ...]


class TopUpRoutes:
    """Routes of top-ups. ``medium_of``: the medium of a telephone as somebody types it, None if it is none."""

    def __init__(
        self,
        desk: TopUpDesk,
        people: PostgresPeople,
        door: Doorkeeper,
        *,
        medium_of: MediumOfPhone,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._desk, self._people, self._door = desk, people, door
        self._medium_of, self._clock, self._metrics = medium_of, clock, metrics

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/books/top-ups", self._looked_for),
            web.post("/api/books/top-up-refunds", self._ask),
            web.post("/api/books/top-up-refunds/decision", self._decide),
        ]

    async def _looked_for(self, request: web.Request) -> web.Response:
        """Answer what was looked for. A telephone is no part of an address, which is written down in many places."""
        session = await self._door.writing(request, Right.ASK_REFUND)
        of = (await body(request, TopUpsLookedFor)).of.strip()
        medium_id = self._medium_of(of)
        if not of:
            found = await self._desk.top_ups()
        elif medium_id is None:
            if not INVOICE.fullmatch(of):
                raise refused(web.HTTPBadRequest, "no_number")
            found = await self._desk.top_ups(invoice=Invoice(of))
        else:
            await self._people.noted(self._clock.now_ms(), session.person.name, Act.HISTORY_READ, medium_id, "top-ups")
            found = await self._desk.top_ups(medium_id=medium_id)
        return answer(TopUpsShown(top_ups=tuple(found), asked=tuple(await self._desk.asked())))

    async def _ask(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.ASK_REFUND)
        asked = await body(request, TopUpBackAsked)
        try:
            given = await self._desk.ask(asked, who=session.person.name, now_ms=self._clock.now_ms())
        except ValueError as error:
            raise refused(web.HTTPBadRequest, "wrong_form") from error
        self._metrics.count("top_up_refunds_total", outcome=given.outcome.value)
        state = given.state.value if given.state is not None else ""
        return answer(Decided(outcome=given.outcome.value, state=state, amount_tiyn=given.amount_tiyn))

    async def _decide(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.APPROVE_REFUND)
        sent = await body(request, DecisionSent)
        decision = await self._desk.decide(
            request.query.get("key", ""), grant=sent.grant, who=session.person.name, now_ms=self._clock.now_ms()
        )
        return answer(Decided(outcome=decision.value))
