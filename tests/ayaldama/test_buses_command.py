"""The command that prints what hangs in buses, on a real database."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import zxingcpp
from click.testing import CliRunner, Result
from PIL import Image

from ayaldama.cli import cli
from ayaldama.database import bring_up_to_date


@pytest.fixture
async def url(postgres: asyncpg.Pool, postgres_dsn: str) -> str:
    await bring_up_to_date(postgres)
    name = await postgres.fetchval("SELECT current_database()")
    return urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))


async def say(url: str, folder: Path, *arguments: str) -> Result:
    environment = {"AYALDAMA_POSTGRES_URL": url, "AYALDAMA_DATA_FOLDER": str(folder / "data")}
    command = ["buses", *arguments]
    return await asyncio.to_thread(lambda: CliRunner(env=environment).invoke(cli, command))


async def test_a_bus_is_printed_again_with_the_same_code_until_it_is_revoked(url: str, tmp_path: Path) -> None:
    pictures = tmp_path / "print"
    command = ("qr", "--vehicle", "117", "--url", "https://pay.example.kz", "-o", str(pictures))
    read = []
    for revoked in (False, False, True):
        if revoked:
            assert (await say(url, tmp_path, "revoke", "117")).exit_code == 0
        printed = await say(url, tmp_path, *command)
        assert (printed.exit_code, printed.output) == (0, f"1 codes in {pictures}\n")
        read.append(zxingcpp.read_barcodes(Image.open(pictures / "bus-117.png"))[0].text)
    assert read[0] == read[1] != read[2]
    assert all(text.startswith("https://pay.example.kz/b/") for text in read)
    assert "117" in (pictures / "bus-117.svg").read_text(encoding="utf-8")
    listed = (await say(url, tmp_path, "codes")).output.split("\n")
    assert [line.split() for line in listed[1:3]] == [["1", "117", "revoked"], ["2", "117", "on"]]


async def test_what_cannot_be_done_is_said(url: str, tmp_path: Path) -> None:
    said = [
        await say(url, tmp_path, "qr", "-o", str(tmp_path)),
        await say(url, tmp_path, "qr", "--vehicle", "1", "--url", "pay.example.kz", "-o", str(tmp_path)),
        await say(url, tmp_path, "qr", "--vehicle", "x" * 65, "-o", str(tmp_path)),
        await say(url, tmp_path, "revoke", "117"),
    ]
    assert [one.exit_code for one in said] == [1, 2, 2, 1]
    assert "no bus has a validator yet" in said[0].output
    assert "must be the address of a page" in said[1].output
    assert "vehicle_id must have 1 to 64 bytes" in said[2].output
    assert "bus 117 has no code" in said[3].output
