"""What stands between passengers and the books: disputed rides, and debts that are paid by nobody.

Who acts is whoever signed in. Disputes are opened and answered by who may ask for refunds, and decided by who may
approve them, never by who opened them.
"""

from typing import Final

import asyncpg
import msgspec
from aiohttp import web

from commons.clock import Clock
from commons.metrics import Metrics
from fare.api.accounting_acts import DecisionSent
from fare.api.accounting_values import Decided
from fare.api.answers import answer, body, refused
from fare.api.signed_in import Doorkeeper
from fare.dispute_service import Disputes
from fare.people import Right
from fare.refund_service import Refunds
from fare.settlement.disputes import DECISIONS, Dispute, DisputeStep, Step
from fare.store.postgres_desk import debts_listed
from fare.write_off_desk import WriteOffAsked, WriteOffDesk

LINE_MAX: Final = 200
NOTED: Final = frozenset({DisputeStep.ANSWER, DisputeStep.REJECT})  # what the other side has to be able to read


class DisputeSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dispute as it is opened: the same id is the same dispute. ``ride_key``: device:sequence of its tap."""

    dispute_id: str
    ride_key: str
    claimed_tiyn: int


class StepSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done about a dispute, and why."""

    step: DisputeStep
    note: str = ""


class Claims:
    """Routes of disputes and debts, and of debts that are given up."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        refunds: Refunds,
        write_offs: WriteOffDesk,
        door: Doorkeeper,
        *,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._disputes = Disputes(pool, refunds)
        self._write_offs = write_offs
        self._door = door
        self._clock = clock
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/books/disputes", self._listed),
            web.post("/api/books/disputes", self._open),
            web.post("/api/books/disputes/step", self._step),
            web.get("/api/books/debts", self._debts),
            web.get("/api/books/write-offs", self._written_off),
            web.post("/api/books/write-offs", self._write_off),
            web.post("/api/books/write-offs/decision", self._decide_write_off),
        ]

    async def _listed(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_CLAIMS)
        return answer(await self._disputes.listed())

    async def _open(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.ASK_REFUND)
        sent = await body(request, DisputeSent)
        dispute = Dispute(
            dispute_id=_short(sent.dispute_id),
            ride_key=sent.ride_key,
            claimed_tiyn=sent.claimed_tiyn,
            opened_ms=self._clock.now_ms(),
            opened_by=session.person.name,
        )
        try:
            new = await self._disputes.open(dispute)
        except ValueError as error:
            raise refused(web.HTTPBadRequest, "no_such_ride") from error
        self._metrics.count("disputes_total", outcome="opened" if new else "refused")
        return answer(Decided(outcome="opened" if new else "unknown_or_repeated", state=dispute.state.value))

    async def _step(self, request: web.Request) -> web.Response:
        sent_by = await self._door.writing(request, Right.ASK_REFUND)
        sent = await body(request, StepSent)
        if sent.step in DECISIONS:
            sent_by = await self._door.writing(request, Right.APPROVE_REFUND)
        now_ms, note = self._clock.now_ms(), _short(sent.note.strip(), empty=True)
        if sent.step in NOTED and not note:
            raise refused(web.HTTPBadRequest, "note_needed")
        step = Step(step=sent.step, by=sent_by.person.name, at_ms=now_ms, note=note)
        taken = await self._disputes.take(request.query.get("id", ""), step)
        if taken is None:
            raise refused(web.HTTPNotFound, "no_such_dispute")
        self._metrics.count("disputes_total", outcome=taken.outcome.value)
        if taken.refund is None:
            return answer(Decided(outcome=taken.outcome.value))
        state = (taken.refund.state or taken.refund.outcome).value
        return answer(Decided(outcome=taken.outcome.value, state=state, amount_tiyn=taken.refund.amount_tiyn))

    async def _debts(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_BOOKS)
        return answer(await debts_listed(self._pool))

    async def _write_off(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.APPROVE_REFUND)
        sent = await body(request, WriteOffAsked)
        try:
            given = await self._write_offs.ask(sent, who=session.person.name, now_ms=self._clock.now_ms())
        except ValueError as error:
            raise refused(web.HTTPBadRequest, "wrong_form") from error
        self._metrics.count("write_offs_total", outcome=given.outcome.value)
        if given.state is None:
            raise refused(web.HTTPConflict, given.outcome.value)
        return answer(Decided(outcome=given.outcome.value, state=given.state.value, amount_tiyn=sent.amount_tiyn))

    async def _written_off(self, request: web.Request) -> web.Response:
        await self._door.reading(request, Right.READ_BOOKS)
        return answer(await self._write_offs.asked())

    async def _decide_write_off(self, request: web.Request) -> web.Response:
        session = await self._door.writing(request, Right.APPROVE_REFUND)
        sent = await body(request, DecisionSent)
        decision = await self._write_offs.decide(
            request.query.get("key", ""), grant=sent.grant, who=session.person.name, now_ms=self._clock.now_ms()
        )
        return answer(Decided(outcome=decision.value))


def _short(text: str, *, empty: bool = False) -> str:
    """Return a text that somebody typed, if it is no longer than a line and can be printed."""
    if len(text) > LINE_MAX or not text.isprintable() or not (text or empty):
        raise refused(web.HTTPBadRequest, "wrong_form")
    return text
