"""``ayaldama gtfs build``, as docs/city_without_gtfs.md shows it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ayaldama.commands.gtfs import gtfs
from tests.notation.village import PAGE, write_village

WRONG = {
    "stops.csv": ("Mosque,44.89991", "Mosque,44.8x9"),
    "service.csv": ("1,0,workday,09:00,21:00", "1,0,workday,09:00,9:00"),
}


def shown(command: str) -> list[str]:
    """Return the lines that the page shows below ``command``, without the one that tells the time it took."""
    text = PAGE.read_text(encoding="utf-8")
    block = text[text.index(f"$ {command}\n") :].split("```")[0]
    return [line for line in block.splitlines()[2:] if line]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(gtfs, ["build", *arguments], catch_exceptions=False)


def printed(result: Result) -> list[str]:
    return [line.rstrip() for line in result.stdout.splitlines()[1:] if line.strip()]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def test_it_shows_what_the_page_shows() -> None:
    write_village(Path("village"))
    result = run("village", "-o", "village.zip")
    assert result.exit_code == 0
    assert printed(result) == shown("ayaldama gtfs build village -o village.zip")
    assert Path("village.zip").exists()


def test_it_shows_all_faults_and_writes_nothing() -> None:
    write_village(Path("wrong"), change=WRONG)
    result = run("wrong", "-o", "village.zip")
    assert result.exit_code == 1
    assert printed(result) == shown("ayaldama gtfs build wrong -o village.zip")
    assert [path.name for path in Path().iterdir()] == ["wrong"]


def test_it_speaks_json_of_feeds_and_of_faults() -> None:
    write_village(Path("village"))
    built = json.loads(run("village", "-o", "village.zip", "--json").stdout)
    assert (built["routes"], built["last_day"]) == (2, "2026-12-31")
    write_village(Path("wrong"), change=WRONG)
    result = run("wrong", "-o", "village.zip", "--json")
    assert result.exit_code == 1
    assert [notice["file"] for notice in json.loads(result.stdout)["notices"]] == ["stops.csv", "service.csv"]


def test_validity_counts_from_the_day_that_is_given() -> None:
    dates = "first_day = 2026-01-01\nlast_day = 2026-12-31"
    write_village(Path("village"), change={"city.toml": (dates, "days = 365")})
    built = json.loads(run("village", "-o", "village.zip", "--today", "2026-05-01", "--json").stdout)
    assert (built["first_day"], built["last_day"]) == ("2026-05-01", "2027-04-30")


def test_a_folder_that_is_not_there_is_one_sentence() -> None:
    result = run("nowhere", "-o", "village.zip")
    assert result.exit_code == 1
    assert result.stderr == "ayaldama: nowhere: no such folder\n"
