"""The pages of stops beside the boards of one process, with the limits on reports of people."""

import functools
from typing import Final

import asyncpg

from ayaldama.http import RequestLimit, address_of
from ayaldama.settings import Settings
from commons.clock import Clock
from commons.metrics import Metrics
from stop_display.server import Boards
from stop_display.stop_page.report_desk import ReportDesk
from stop_display.stop_page.report_store import ReportStore
from stop_display.stop_page.routes import StopPages

# A mobile operator has thousands of telephones behind one address.
REPORTS_PER_ADDRESS_PER_S: Final = 1 / 60
REPORTS_PER_ADDRESS_BURST: Final = 10
REPORTS_PER_S: Final = 1 / 5
REPORTS_BURST: Final = 200


def stop_pages_of(
    boards: Boards, pool: asyncpg.Pool, settings: Settings, *, clock: Clock, metrics: Metrics
) -> StopPages:
    """Return the pages; they show what ``boards`` has, and keep reports in ``pool``."""
    from_where = functools.partial(address_of, behind_proxy=settings.web.behind_proxy)
    reports = ReportDesk(
        boards.hub,
        ReportStore(pool, boards.hub.network.time_zone),
        clock=clock,
        metrics=metrics,
        by_address=RequestLimit(per_s=REPORTS_PER_ADDRESS_PER_S, burst=REPORTS_PER_ADDRESS_BURST),
        by_city=RequestLimit(per_s=REPORTS_PER_S, burst=REPORTS_BURST),
        address_of=from_where,
    )
    return StopPages(
        boards.hub,
        boards.search,
        reports=reports,
        clock=clock,
        metrics=metrics,
        settings=settings.for_stop_pages,
        address_of=from_where,
    )
