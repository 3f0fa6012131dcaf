"""The real servers of boards and stops' pages over the small city; what tracking says is the test's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from ayaldama.http import RequestLimit
from ayaldama.web.vendor import vendor_routes
from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from gtfs_data.network import Network
from stop_display.hub import Hub
from stop_display.model import StopBoard
from stop_display.plan import Plan
from stop_display.search import StopSearch
from stop_display.server import Boards, BoardSettings
from stop_display.stop_page.report import ProblemReport
from stop_display.stop_page.report_desk import ReportDesk
from stop_display.stop_page.report_store import ReportStore
from stop_display.stop_page.routes import StopPages
from stop_display.stop_page.values import StopPageSettings
from tests.dispatch.pages import served
from tests.dispatch.sightings import NOON_MS
from tests.dispatch.small_city import network_of
from transit.model import Arrival, Update, VehiclePosition
from transit.store.redis_state import StateSnapshot

RATE = 0.001  # the city's time all but stands still: what is said of it does not hang on a machine's speed


class KeptInMemory(ReportStore):
    """What the pages' reports become where no database is."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, ProblemReport]] = []
        self.away = False

    async def add(self, stop_id: str, report: ProblemReport, held: StopBoard, now_ms: int) -> tuple[int, bool]:
        if self.away:
            raise ConnectionRefusedError
        known = [one.key for _, one in self.reports]
        if report.key in known:
            return known.index(report.key) + 1, False
        self.reports.append((stop_id, report))
        return len(self.reports), True

    async def open_count(self) -> int:
        return len(self.reports)


@dataclass(slots=True)
class Tracking:
    """What the change feed says: the whole at first, then one update after the other."""

    vehicles: Sequence[VehiclePosition] = ()
    arrivals: Sequence[Arrival] = ()
    updates: asyncio.Queue[Update] = field(default_factory=asyncio.Queue)

    async def snapshot(self) -> StateSnapshot:
        return StateSnapshot(stream_id="0", as_of_ms=NOON_MS, vehicles=self.vehicles, arrivals=self.arrivals)

    async def follow(self, from_id: str) -> AsyncIterator[tuple[str, Update]]:
        while True:
            yield from_id, await self.updates.get()


def stop_pages(
    store: ReportStore,
    *,
    hub: Hub | None = None,
    network: Network | None = None,
    by_address: RequestLimit | None = None,
) -> StopPages:
    """Return the pages over ``hub``; without one, over a city that nothing is heard of."""
    hub = hub or Hub(network or network_of())
    clock, metrics = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS, rate=RATE)), Metrics()
    desk = ReportDesk(
        hub,
        store,
        clock=clock,
        metrics=metrics,
        by_address=by_address or RequestLimit(per_s=100, burst=100),
        by_city=RequestLimit(per_s=100, burst=100),
        address_of=lambda _: "",
    )
    search = StopSearch(hub.network, Plan(hub.network))
    return StopPages(
        hub,
        search,
        reports=desk,
        clock=clock,
        metrics=metrics,
        settings=StopPageSettings(sms_code="2505"),
        address_of=lambda _: "",
    )


@asynccontextmanager
async def stop_city(
    tracking: Tracking,
    *,
    store: ReportStore | None = None,
    by_address: RequestLimit | None = None,
    more: Sequence[web.RouteDef] = (),
) -> AsyncIterator[str]:
    """Serve boards and pages; give the address without a path."""
    boards = Boards(
        network_of(),
        state=tracking,
        clock=SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=NOON_MS, rate=RATE)),
        metrics=Metrics(),
        settings=BoardSettings(),
    )
    pages = stop_pages(store or KeptInMemory(), hub=boards.hub, by_address=by_address)
    stop = asyncio.Event()
    routes = [*boards.routes(), *pages.routes(), *vendor_routes(), *more]
    async with asyncio.TaskGroup() as tasks, served(routes) as port:
        tasks.create_task(boards.run(stop))
        tasks.create_task(pages.run(stop))
        yield f"http://127.0.0.1:{port}"
        stop.set()
