"""The command by which reports of people at stops are looked at and closed, on a real database."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from click.testing import CliRunner, Result

from ayaldama.cli import cli
from ayaldama.database import bring_up_to_date
from stop_display.model import BoardArrival, Line, StopBoard
from stop_display.stop_page.report import ProblemReport, Shown, ShownRow, Trouble
from stop_display.stop_page.report_store import ReportStore

NOW_MS = 1_790_060_400_000  # 22 September 2026, 12:00 at UTC+5
LINE = Line(
    key="10|Вокзал",
    route_id="10",
    route="10",
    destination={"kk": "Вокзал"},
    state="live",
    arrivals=[BoardArrival(key="k", state="live", arrival_ms=NOW_MS + 180_000, vehicle="101")],
)
HELD = StopBoard(stop="alan", code="1", name={}, lines=[LINE])
SHOWN = Shown(
    at_ms=NOW_MS - 2_000,
    quality="stale",
    silent_s=71,
    rows=[ShownRow(route="10", destination="Вокзал", state="live", said="9 мин", age_s=80)],
)


@pytest.fixture
async def url(postgres: asyncpg.Pool, postgres_dsn: str) -> str:
    await bring_up_to_date(postgres)
    store = ReportStore(postgres, "Asia/Qyzylorda")
    for number, (stop, shown) in enumerate((("alan", SHOWN), ("bazar", None)), start=1):
        said = ProblemReport(
            key=f"{number:032x}",
            trouble=Trouble.BOARD_WRONG,
            language="kk",
            route="10",
            text=f"[red]жоқ[/] {number}\nкеше",
            shown=shown,
        )
        await store.add(stop, said, HELD, NOW_MS)
    return urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{await postgres.fetchval('SELECT current_database()')}"))


async def say(url: str, folder: Path, *arguments: str) -> Result:
    environment = {"AYALDAMA_POSTGRES_URL": url, "AYALDAMA_DATA_FOLDER": str(folder), "COLUMNS": "200"}
    return await asyncio.to_thread(lambda: CliRunner(env=environment).invoke(cli, ["reports", *arguments]))


async def test_what_is_open_is_listed_newest_first(url: str, tmp_path: Path) -> None:
    listed = (await say(url, tmp_path, "list")).output.splitlines()
    assert [line.split()[0] for line in listed] == ["number", "2", "1"]
    assert "[red]жоқ[/] 1 кеше" in listed[2], "what people write is text"
    assert "2026-09-22 12:00:00" in listed[2]
    assert "bazar" not in (await say(url, tmp_path, "list", "--stop", "alan")).output


async def test_a_report_is_shown_beside_what_the_server_had(url: str, tmp_path: Path) -> None:
    shown = (await say(url, tmp_path, "show", "1")).output
    assert "the page showed at 2026-09-22 11:59:58 (stale, server heard 71 s before):" in shown
    assert "10 Вокзал: live, 9 мин  (fix 80 s old)" in shown
    assert "10 Вокзал: live, 2026-09-22 12:03:00 live 101" in shown
    assert "had not heard" in (await say(url, tmp_path, "show", "2")).output
    unknown = await say(url, tmp_path, "show", "3")
    assert (unknown.exit_code, unknown.output) == (
        1,
        "ayaldama: there is no report 3; see `ayaldama reports list --closed`\n",
    )


async def test_what_is_closed_is_told_with_its_note_and_what_was_not_open_is_said(url: str, tmp_path: Path) -> None:
    closed = await say(url, tmp_path, "close", "1", "7", "--note", "panel replaced")
    assert (closed.exit_code, closed.output) == (1, "closed: 1\nayaldama: not open: 7; see `ayaldama reports list`\n")
    assert [line.split()[0] for line in (await say(url, tmp_path, "list")).output.splitlines()] == ["number", "2"]
    assert "closed: panel replaced" in (await say(url, tmp_path, "list", "--closed")).output
    assert (await say(url, tmp_path, "close", "2")).exit_code == 0
    assert (await say(url, tmp_path, "list")).output == "no reports\n"
    assert (await say(url, tmp_path, "close", "2", "--note", "x" * 501)).exit_code == 2
