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
from fare.store.postgres_vehicles import PostgresVehicles
from fare.vehicles import Vehicle


@pytest.fixture
async def url(postgres: asyncpg.Pool, postgres_dsn: str) -> str:
    await bring_up_to_date(postgres)
    await PostgresVehicles(postgres).register([Vehicle(vehicle_id="imei-86", fleet_number="117", plate="123 ABC 11")])
    name = await postgres.fetchval("SELECT current_database()")
    return urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))


async def say(url: str, folder: Path, *arguments: str) -> Result:
    environment = {"AYALDAMA_POSTGRES_URL": url, "AYALDAMA_DATA_FOLDER": str(folder / "data")}
    command = ["buses", *arguments]
    return await asyncio.to_thread(lambda: CliRunner(env=environment).invoke(cli, command))


async def test_a_bus_is_printed_again_with_the_same_code_until_it_is_revoked(url: str, tmp_path: Path) -> None:
    pictures = tmp_path / "print"
    command = ("qr", "--vehicle", "123авс11", "--url", "https://pay.example.kz", "-o", str(pictures))
    read = []
    for revoked in (False, False, True):
        if revoked:
            assert (await say(url, tmp_path, "revoke", "117")).exit_code == 0
        printed = await say(url, tmp_path, *command)
        assert (printed.exit_code, printed.output) == (0, f"1 codes in {pictures}\n")
        read.append(zxingcpp.read_barcodes(Image.open(pictures / "bus-117.png"))[0].text)
    assert read[0] == read[1] != read[2]
    assert all(text.startswith("https://pay.example.kz/b/") for text in read)
    label = (pictures / "bus-117.svg").read_text(encoding="utf-8")
    assert "The page must show bus 117" in label
    assert "imei-86" not in label, "riders see what is written on the bus"
    listed = (await say(url, tmp_path, "codes")).output.split("\n")
    assert [line.split() for line in listed[1:3]] == [["1", "imei-86", "revoked"], ["2", "imei-86", "on"]]


async def test_all_registered_buses_are_printed(url: str, postgres: asyncpg.Pool, tmp_path: Path) -> None:
    await PostgresVehicles(postgres).register([Vehicle(vehicle_id="imei-87", fleet_number="118")])
    printed = await say(url, tmp_path, "qr", "-o", str(tmp_path))
    assert printed.output == f"2 codes in {tmp_path}\n"
    assert names_in(tmp_path) == ["bus-117.png", "bus-117.svg", "bus-118.png", "bus-118.svg"]


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("bus-*"))


async def test_what_cannot_be_done_is_said(url: str, postgres: asyncpg.Pool, tmp_path: Path) -> None:
    said = [
        await say(url, tmp_path, "qr", "--vehicle", "117", "--url", "pay.example.kz", "-o", str(tmp_path)),
        await say(url, tmp_path, "qr", "--vehicle", "999", "-o", str(tmp_path)),
        await say(url, tmp_path, "revoke", "117"),
        await say(url, tmp_path, "revoke", "999"),
    ]
    assert [one.exit_code for one in said] == [2, 2, 1, 2]
    assert "must be the address of a page" in said[0].output
    assert "no bus 999 is registered" in said[1].output
    assert "bus 117 has no code" in said[2].output
    await postgres.execute("DELETE FROM vehicle_code; DELETE FROM vehicle")
    nothing = await say(url, tmp_path, "qr", "-o", str(tmp_path))
    assert (nothing.exit_code, "no bus is registered" in nothing.output) == (1, True)
