"""Takes reports of people at stops: limited by address, checked, kept; answers name what is wrong with a request."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import asyncpg
import msgspec
from aiohttp import web

from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from stop_display.http_edge import BodyError, read_body, refused
from stop_display.hub import Hub
from stop_display.stop_page.model import PageProblem, ReportTaken
from stop_display.stop_page.report import BODY_MAX_BYTES, ProblemReport, ReportError, ReportOutcome, read_report
from stop_display.stop_page.report_store import ReportStore, TooManyError

BODY_MAX_S: Final = 10.0
COUNT_EVERY_S: Final = 60.0
CITY: Final = "city"

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Limit(Protocol):
    """A bucket of requests for each name."""

    def wait_s(self, name: str, now_s: float, /) -> float:
        """Take one request of ``name``; return 0, or how many seconds it comes too early."""


class ReportDesk:
    """Run ``run`` for as long as ``answer`` is served. ``by_address`` and ``by_city`` limit how many are taken."""

    def __init__(
        self,
        hub: Hub,
        store: ReportStore,
        *,
        clock: Clock,
        metrics: Metrics,
        by_address: Limit,
        by_city: Limit,
        address_of: Callable[[web.Request], str],
    ) -> None:
        self._hub = hub
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._by_address = by_address
        self._by_city = by_city
        self._address_of = address_of

    async def run(self, stop: asyncio.Event) -> None:
        """Count what is open, until ``stop``."""
        while not stop.is_set():
            await self._count_open()
            try:
                async with asyncio.timeout(COUNT_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                pass

    async def answer(self, request: web.Request) -> web.Response:
        """Answer ``POST /api/stops/{stop_id}/reports`` of a stop that the network knows."""
        try:
            report = await self._read(request)
        except ReportError as error:
            self._note(ReportOutcome.UNREADABLE)
            return refused(400, PageProblem.UNREADABLE, error.field, error.value, error.rule)
        now_s = monotonic_s()
        wait_s = self._by_address.wait_s(self._address_of(request), now_s) or self._by_city.wait_s(CITY, now_s)
        if wait_s > 0:
            self._note(ReportOutcome.TOO_MANY, report)
            answer = refused(
                429, PageProblem.TOO_MANY, "address", "", "sends more reports than are taken: later, please"
            )
            answer.headers["Retry-After"] = str(int(wait_s) + 1)
            return answer
        return await self._keep(request.match_info["stop_id"], report)

    async def _read(self, request: web.Request) -> ProblemReport:
        if request.content_type != "application/json":  # a form of another site cannot send this type
            raise ReportError("Content-Type", request.content_type, "must be application/json")
        try:
            return read_report(await read_body(request, bytes_max=BODY_MAX_BYTES, within_s=BODY_MAX_S))
        except BodyError as error:
            raise ReportError("body", error.value, error.rule) from error

    async def _keep(self, stop_id: str, report: ProblemReport) -> web.Response:
        now_ms = self._clock.now_ms()
        try:
            number, new = await self._store.add(stop_id, report, self._hub.board(stop_id, now_ms), now_ms)
        except TooManyError as error:
            self._note(ReportOutcome.TOO_MANY, report)
            return refused(429, PageProblem.TOO_MANY, "stop", stop_id, str(error))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._note(ReportOutcome.NOT_KEPT, report)
            _log.warning("a report could not be kept", stop=stop_id, error=repr(error))
            raise web.HTTPServiceUnavailable(text="the report could not be kept\n") from error
        self._note(ReportOutcome.TAKEN if new else ReportOutcome.REPEATED, report)
        await self._count_open()
        return web.Response(body=_encoder.encode(ReportTaken(number=number)), content_type="application/json")

    async def _count_open(self) -> None:
        try:
            self._metrics.set("stop_reports_open", await self._store.open_count())
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._metrics.count("role_errors_total", role="boards", where="reports")
            _log.warning("open reports could not be counted", error=repr(error))

    def _note(self, outcome: ReportOutcome, report: ProblemReport | None = None) -> None:
        trouble = report.trouble.value if report is not None else "unknown"
        self._metrics.count("stop_reports_total", trouble=trouble, outcome=outcome.value)
