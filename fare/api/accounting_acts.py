"""What is done on the accountant's page: days closed and paid out, refunds and amnesties asked for and decided.

Who acts is whoever signed in, never what a request says of itself.
"""

import msgspec
from aiohttp import web

from commons.clock import Clock
from commons.metrics import Metrics
from fare.api.accounting_values import DayClosed, Decided
from fare.api.answers import answer, body, day_of, refused
from fare.api.signed_in import Doorkeeper
from fare.model import CarrierId
from fare.people import Right
from fare.refund_service import RefundAsked, Refunds, check_key
from fare.settlement.refunds import AmnestyWindow
from fare.settlement_service import Settlement


class DecisionSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second person's decision."""

    grant: bool


class AmnestySent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amnesty as it is asked for."""

    amnesty_id: str
    from_ms: int
    until_ms: int
    why: str
    vehicle_ids: tuple[str, ...] = ()
    route_ids: tuple[str, ...] = ()


class AccountingActs:
    """Routes that change something."""

    def __init__(
        self, settlement: Settlement, refunds: Refunds, door: Doorkeeper, *, clock: Clock, metrics: Metrics
    ) -> None:
        self._settlement = settlement
        self._refunds = refunds
        self._door = door
        self._clock = clock
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/books/days/{day}/close", self._close),
            web.post("/api/books/days/{day}/{carrier}/pay-out", self._pay_out),
            web.post("/api/books/refunds", self._ask_refund),
            web.post("/api/books/refunds/decision", self._decide_refund),
            web.post("/api/books/amnesties", self._ask_amnesty),
            web.post("/api/books/amnesties/decision", self._decide_amnesty),
        ]

    async def _close(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.SETTLE)
        now_ms = self._clock.now_ms()
        await self._refunds.pay_amnesties(now_ms=now_ms)
        closed = await self._settlement.close(day_of(request.match_info["day"]), who=session.person.name, now_ms=now_ms)
        return answer(DayClosed(outcome=closed.outcome, differing=closed.differing))

    async def _pay_out(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.SETTLE)
        carrier_id = CarrierId(request.match_info["carrier"])
        now_ms = self._clock.now_ms()
        paid_tiyn = await self._settlement.pay_out(
            day_of(request.match_info["day"]), carrier_id, who=session.person.name, now_ms=now_ms
        )
        if paid_tiyn is None:
            raise refused(web.HTTPNotFound, "no_such_statement")
        return answer(Decided(outcome="taken", amount_tiyn=paid_tiyn))

    async def _ask_refund(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.ASK_REFUND)
        asked = await body(request, RefundAsked)
        try:
            check_key(asked.key)
        except ValueError as error:
            raise refused(web.HTTPBadRequest, "wrong_form") from error
        try:
            given = await self._refunds.ask(asked, who=session.person.name, now_ms=self._clock.now_ms())
        except ValueError as error:
            raise refused(web.HTTPBadRequest, "no_such_ride") from error
        self._metrics.count("refunds_total", outcome=given.outcome.value)
        return answer(
            Decided(
                outcome=given.outcome.value,
                state=given.state.value if given.state is not None else "",
                amount_tiyn=given.amount_tiyn,
            )
        )

    async def _decide_refund(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.APPROVE_REFUND)
        sent = await body(request, DecisionSent)
        key = request.query.get("key", "")
        now_ms = self._clock.now_ms()
        decision = await self._refunds.decide(key, grant=sent.grant, who=session.person.name, now_ms=now_ms)
        return answer(Decided(outcome=decision.value))

    async def _ask_amnesty(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.ASK_REFUND)
        sent = await body(request, AmnestySent)
        window = AmnestyWindow(
            amnesty_id=sent.amnesty_id,
            from_ms=sent.from_ms,
            until_ms=sent.until_ms,
            vehicle_ids=frozenset(sent.vehicle_ids),
            route_ids=frozenset(sent.route_ids),
            why=sent.why,
        )
        try:
            new = await self._refunds.ask_amnesty(window, who=session.person.name, now_ms=self._clock.now_ms())
        except ValueError as error:
            raise refused(web.HTTPBadRequest, "wrong_amnesty") from error
        return answer(Decided(outcome="taken" if new else "repeated"))

    async def _decide_amnesty(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.APPROVE_REFUND)
        sent = await body(request, DecisionSent)
        now_ms = self._clock.now_ms()
        decision = await self._refunds.decide_amnesty(
            request.query.get("id", ""), grant=sent.grant, who=session.person.name, now_ms=now_ms
        )
        await self._refunds.pay_amnesties(now_ms=now_ms)
        return answer(Decided(outcome=decision.value))
