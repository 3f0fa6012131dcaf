"""The command that registers boards, on a real database."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from click.testing import CliRunner, Result

from ayaldama.addresses import told
from ayaldama.cli import cli
from ayaldama.database import bring_up_to_date
from ayaldama.processes import sole_user_of
from ayaldama.settings import Settings, Web
from stop_display.panels import store
from tests.notation.fares import fare_feed

Say = Callable[..., Awaitable[Result]]


@pytest.fixture
async def say(fare_postgres: asyncpg.Pool, postgres_dsn: str, tmp_path: Path) -> Say:
    await bring_up_to_date(fare_postgres)
    name = await fare_postgres.fetchval("SELECT current_database()")
    environment = {
        "AYALDAMA_POSTGRES_URL": urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}")),
        "AYALDAMA_DATA_FOLDER": str(tmp_path / "data"),
        "COLUMNS": "200",
    }

    async def run(*arguments: str, **more: str) -> Result:
        command = ["boards", *arguments]
        return await asyncio.to_thread(lambda: CliRunner(env=environment | more).invoke(cli, command))

    return run


async def test_a_board_is_registered_changed_told_to_reload_and_revoked(say: Say, fare_postgres: asyncpg.Pool) -> None:
    added = await say("add", "kiosk-4", "--stops", "alan, bazar", "--hours", "05:30-00:30", "--volume", "40")
    assert added.exit_code == 0, added.output
    key = added.stdout.strip()
    assert len(key) == 26
    assert added.stderr == f"open once on the board: http://127.0.0.1:8080/panel#{key}\n"
    panel = await store.find_panel(fare_postgres, "kiosk-4")
    assert panel is not None
    assert panel.key_digest == store.digest_of(key)
    assert key not in str(await fare_postgres.fetch("SELECT * FROM panel"))
    assert (panel.config.stops, panel.config.hours, panel.config.volume) == (("alan", "bazar"), "05:30-00:30", 40)

    assert (await say("set", "kiosk-4", "--theme", "light", "--hours", "always")).exit_code == 0
    shown = (await say("show", "kiosk-4")).stdout
    assert "stops     alan,bazar\n" in shown
    assert "theme     light\n" in shown
    assert "hours     \n" in shown
    assert (await say("reload", "kiosk-4")).stdout == "1 told\n"
    assert (await say("reload", "--all")).stdout == "1 told\n"
    assert "reload    asked for 2 times" in (await say("show", "kiosk-4")).stdout

    assert (await say("revoke", "kiosk-4")).exit_code == 0
    listed = (await say("list")).stdout.splitlines()[1].split()
    assert listed == ["kiosk-4", "alan,bazar", "rotate", "always", "light", "revoked"]
    assert (await say("reload", "kiosk-4")).exit_code == 1
    assert (await say("reload", "--all")).stdout == "0 told\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("add", "kiosk-4"), 2, "--stops: missing"),
        (("add", "Kiosk 4", "--stops", "alan"), 2, "name: 'Kiosk 4'"),
        (("add", "kiosk-4", "--stops", "a,b,c,d,e"), 2, "stops: 'a,b,c,d,e'"),
        (("add", "kiosk-4", "--stops", "alan", "--hours", "5-23"), 2, "hours: '5-23'"),
        (("add", "kiosk-4", "--stops", "alan", "--volume", "101"), 2, "101 is not in the range"),
        (("add", "kiosk-4", "--stops", "alan", "--language", "tr"), 2, "'tr' is not one of"),
        (("set", "nobody", "--theme", "dark"), 1, "there is no board nobody"),
        (("set", "nobody"), 2, "nothing to change"),
        (("show", "nobody"), 1, "there is no board nobody"),
        (("revoke", "nobody"), 1, "there is no board nobody"),
        (("add", "kiosk-4", "--stops", "alan", "--url", "boards.kz"), 2, "--url boards.kz: must be the address"),
        (("add", "kiosk-4", "--stops", "alan", "--url", "http://"), 2, "--url http://: must be the address"),
        (("reload",), 2, "give the NAME of a board, or --all"),
        (("reload", "a", "--all"), 2, "give the NAME of a board, or --all"),
    ],
)
async def test_what_cannot_be_is_said_by_field_and_value(
    say: Say, arguments: tuple[str, ...], status: int, said: str
) -> None:
    refused = await say(*arguments)
    assert (refused.exit_code, said in refused.output) == (status, True), refused.output


async def test_a_name_is_taken_once_and_a_stop_must_be_of_the_feed(say: Say, tmp_path: Path) -> None:
    feed = str(fare_feed(tmp_path))
    unknown = await say("add", "kiosk-4", "--stops", "nowhere", AYALDAMA_GTFS__FEED=feed)
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert "stops: 'nowhere' is no stop_id of the city's feed" in unknown.stderr
    assert (await say("add", "kiosk-4", "--stops", "S0", AYALDAMA_GTFS__FEED=feed)).exit_code == 0
    again = await say("add", "kiosk-4", "--stops", "S0")
    assert (again.exit_code, "name: 'kiosk-4' is taken" in again.stderr) == (2, True)


async def test_the_address_is_that_of_who_serves_the_pages_now(say: Say, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "run").mkdir(parents=True)
    settings = Settings(data_folder=folder, web=Web(port=8080))
    public = {"AYALDAMA_WEB__PUBLIC_URL": "https://boards.kz/x/"}
    with sole_user_of(folder), told(settings, {"web": 8471, "smpp": 1}):
        kept = (folder / "run" / "addresses.json").read_bytes()
        assert (await say("wall")).stdout == "http://127.0.0.1:8471/boards/wall\n"
        assert (await say("wall", **public)).stdout == "https://boards.kz/x/boards/wall\n"
        added = await say("add", "kiosk-4", "--stops", "alan", "--url", "https://at.the.depot/", **public)
        assert "open once on the board: https://at.the.depot/panel#" in added.stderr
    (folder / "run" / "addresses.json").write_bytes(kept)  # as somebody leaves it who was killed
    assert (await say("wall")).stdout == "http://127.0.0.1:8080/boards/wall\n"


def test_the_wall_says_where_it_is_under_both_names() -> None:
    for name in ("boards", "board"):
        said = CliRunner(env={"AYALDAMA_WEB__PORT": "8099"}).invoke(cli, [name, "wall"])
        assert said.output == "http://127.0.0.1:8099/boards/wall\n"
