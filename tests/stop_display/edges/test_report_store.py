"""Reports of people at stops on a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from commons.migrate import migrate
from stop_display.model import StopBoard
from stop_display.stop_page import report_store as module
from stop_display.stop_page.report import ProblemReport, Shown, ShownRow, Trouble
from stop_display.stop_page.report_store import KEPT_DAYS, ReportStore, TooManyError

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
HELD = StopBoard(stop="alan", code="001", name={"kk": "Алаң"}, lines=[])


def report(number: int, text: str = "") -> ProblemReport:
    shown = Shown(
        at_ms=NOW_MS,
        quality="stale",
        silent_s=70,
        rows=[ShownRow(route="10", destination="Вокзал", state="live", said="3 мин\x00", age_s=71)],
    )
    return ProblemReport(
        key=f"{number:032x}", trouble=Trouble.BUS_MISSING, language="kk", route="10", text=text, shown=shown
    )


@pytest.fixture
async def store(postgres: asyncpg.Pool) -> ReportStore:
    await migrate(postgres, "stop_display.stop_page")
    return ReportStore(postgres, "Asia/Qyzylorda")


async def test_a_report_is_read_back_as_it_came(store: ReportStore) -> None:
    number, new = await store.add("alan", report(1, "Күттім'; DROP TABLE"), HELD, NOW_MS)
    assert new
    kept = await store.report(number)
    assert kept is not None
    assert (kept.stop_id, kept.trouble, kept.route, kept.text) == ("alan", "bus_missing", "10", "Күттім'; DROP TABLE")
    assert (kept.reported_ms, kept.time_zone, kept.closed_ms) == (NOW_MS, "Asia/Qyzylorda", None)
    assert kept.page == report(1).shown
    assert kept.board == HELD
    assert await store.report(number + 1) is None


async def test_a_report_that_is_sent_again_counts_once_also_at_the_same_moment(store: ReportStore) -> None:
    answers = await asyncio.gather(*(store.add("alan", report(7), HELD, NOW_MS) for _ in range(8)))
    assert len({number for number, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1
    assert await store.open_count() == 1


async def test_reports_of_one_stop_have_a_bound_and_closing_makes_room(store: ReportStore) -> None:
    most = module.OPEN_PER_STOP_MAX
    answers = await asyncio.gather(
        *(store.add("alan", report(n), HELD, NOW_MS) for n in range(most + 5)), return_exceptions=True
    )
    assert len([one for one in answers if isinstance(one, TooManyError)]) == 5
    await store.add("bazar", report(100), HELD, NOW_MS)
    numbers = [one.number for one in await store.listed(stop_id="alan")]
    assert len(numbers) == most
    assert await store.close([numbers[0], 10_000], "mended", NOW_MS) == [numbers[0]]
    await store.add("alan", report(101), HELD, NOW_MS)


async def test_the_city_has_a_bound_too(store: ReportStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_MAX", 2)
    for n in range(2):
        await store.add(f"stop-{n}", report(n), HELD, NOW_MS)
    with pytest.raises(TooManyError, match="2 reports are open"):
        await store.add("stop-3", report(3), HELD, NOW_MS)


async def test_a_closed_report_keeps_its_note_and_goes_after_its_time(store: ReportStore) -> None:
    number, _ = await store.add("alan", report(1), HELD, NOW_MS)
    assert await store.close([number], "panel replaced", NOW_MS) == [number]
    assert await store.close([number], "twice", NOW_MS + 1) == []
    assert await store.listed() == []
    (kept,) = await store.listed(closed_too=True)
    assert (kept.note, kept.closed_ms) == ("panel replaced", NOW_MS)
    for later_days, left in ((KEPT_DAYS - 1, 2), (KEPT_DAYS + 1, 2)):
        await store.add("bazar", report(10 + later_days), HELD, NOW_MS + later_days * DAY_MS)
        assert len(await store.listed(closed_too=True)) == left
    assert await store.report(number) is None
