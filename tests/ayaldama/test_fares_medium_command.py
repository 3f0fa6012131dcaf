"""The counter's commands on a real database: what they say, and what they refuse before they touch it."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from click.testing import CliRunner, Result

from ayaldama.cli import cli
from ayaldama.database import bring_up_to_date
from ayaldama.demo import build_sample_feed

MEDIUM = "0" * 31 + "7"


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sample_feed(tmp_path_factory.mktemp("feed"))


@pytest.fixture
async def url(postgres: asyncpg.Pool, postgres_dsn: str) -> str:
    await bring_up_to_date(postgres)
    name = await postgres.fetchval("SELECT current_database()")
    return urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))


async def say(url: str, *arguments: str, feed: Path | None = None) -> Result:
    environment = {"AYALDAMA_POSTGRES_URL": url} | ({"AYALDAMA_GTFS__FEED": str(feed)} if feed else {})
    command = ["fares", *arguments]
    return await asyncio.to_thread(lambda: CliRunner(env=environment).invoke(cli, command))


async def test_a_receipt_pays_in_once(url: str) -> None:
    for _ in range(2):
        paid = await say(url, "medium", "top-up", MEDIUM, "500", "--key", "R-17")
        assert (paid.exit_code, paid.output) == (0, "receipt R-17: balance 500.00\n")
    other = await say(url, "medium", "top-up", MEDIUM, "600", "--key", "R-17")
    assert other.exit_code == 1
    assert "nothing was taken: key_reused (receipt R-17)" in other.output


async def test_a_pupil_rides_as_one_until_the_birthday_that_ends_it(url: str, feed: Path) -> None:
    granted = await say(
        url, "medium", "concession", MEDIUM, "pupil", "--evidence", "P-4", "--born", "2012-05-01", feed=feed
    )
    assert granted.exit_code == 0, granted.output
    await say(url, "medium", "block", MEDIUM)
    shown = await say(url, "medium", "show", MEDIUM)
    assert shown.output.splitlines()[0] == "balance 0.00, blocked"
    assert shown.output.splitlines()[1].endswith("until 2030-04-30, P-4")
    await say(url, "medium", "block", MEDIUM, "--off")
    assert (await say(url, "medium", "show", MEDIUM)).output.splitlines()[0] == "balance 0.00"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("medium", "show", "4400430012345678"), "32 hexadecimal digits"),
        (("medium", "top-up", MEDIUM, "0"), "0 is not in the range"),
        (("medium", "concession", MEDIUM, "astronaut", "--evidence", "x"), "no such concession"),
        (("medium", "concession", MEDIUM, "pupil", "--evidence", "x"), "born: must be given"),
        (("medium", "pass", MEDIUM, "single"), "no such pass"),
        (("inspector", "7", "--pin", "12"), "pin must have 4 characters"),
    ],
)
async def test_what_cannot_be_is_said(url: str, feed: Path, arguments: tuple[str, ...], said: str) -> None:
    refused = await say(url, *arguments, feed=feed)
    assert refused.exit_code == 2, refused.output
    assert said in refused.output
