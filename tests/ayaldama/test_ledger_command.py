"""``ayaldama ledger`` on the books of a stopped system."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from ayaldama.cli import cli
from ayaldama.commands.ledger import tenge
from ayaldama.embedded import open_home, start_postgres
from commons.migrate import migrate
from fare.store.postgres_ledger import open_ledger
from tests.notation.fares import fare_feed
from tests.notation.ledger import account, journal


async def fill(url: str) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        await migrate(pool, "fare.store")
        async with open_ledger(pool) as ledger:
            await ledger.post(
                [
                    journal("up", "top_up:kiosk", "wallet:7", 500_000),
                    journal("tap", "wallet:7", "revenue:adult", 9_050),
                    journal("far", "wallet:8", "revenue:adult", 9_050),
                ]
            )


async def embezzle(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE account DISABLE TRIGGER USER")
    await connection.execute("UPDATE account SET balance_tiyn = balance_tiyn + 100 WHERE code = 'revenue:adult'")
    await connection.close()


def call(folder: Path, *arguments: str, feed: Path | None = None) -> Result:
    variables = {"COLUMNS": "200"} | ({"AYALDAMA_GTFS__FEED": str(feed)} if feed else {})
    return CliRunner().invoke(cli, ["--data-folder", str(folder), "ledger", *arguments], env=variables)


def test_the_books_are_read_without_a_running_system(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    server = start_postgres(open_home(tmp_path))
    asyncio.run(fill(server.url))
    server.stop()

    verified = call(tmp_path, "verify")
    assert verified.exit_code == 0, verified.output
    noted = verified.stdout.splitlines()[-1]
    assert noted.startswith("3:")
    assert call(tmp_path, "verify", "--noted", noted).exit_code == 0
    assert call(tmp_path, "verify", "--noted", "3:" + "00" * 32).exit_code == 1
    assert call(tmp_path, "verify", "--noted", "3").exit_code == 2

    balance = call(tmp_path, "balance")
    assert balance.exit_code == 0
    assert balance.output.splitlines()[-1].split() == ["all", "3", "5", "000.00", "5", "000.00"]

    statement = call(tmp_path, "statement", account("wallet:7"))
    assert [line.split()[-2:] for line in statement.output.splitlines()[1:]] == [["5", "000.00"], ["4", "909.50"]]
    assert call(tmp_path, "statement", "slush:fund").exit_code == 2
    (tmp_path / "town").mkdir()
    (tmp_path / "broken.zip").write_bytes(b"")
    for feed, time in (
        (None, "00:00:00Z"),
        (fare_feed(tmp_path / "town"), "05:00:00"),
        (tmp_path / "broken.zip", "00:00:00Z"),
    ):
        shown = call(tmp_path, "statement", account("wallet:7"), feed=feed)
        assert [line.split()[1:3] for line in shown.output.splitlines()[1:]] == [["1970-01-01", time]] * 2

    server = start_postgres(open_home(tmp_path))
    asyncio.run(embezzle(server.url))
    server.stop()
    found = call(tmp_path, "verify")
    assert found.exit_code == 1
    assert "wrong_balance: revenue:adult" in found.output
    assert call(tmp_path, "balance").exit_code == 1


@pytest.mark.parametrize(
    ("tiyn", "written"), [(0, "0.00"), (-5, "-0.05"), (123_456_789, "1 234 567.89"), (-100_000, "-1 000.00")]
)
def test_amounts_are_written_as_people_write_them(tiyn: int, written: str) -> None:
    assert tenge(tiyn) == written
