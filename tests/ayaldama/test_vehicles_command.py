"""``ayaldama vehicles import`` reads what is written on buses; ``PostgresVehicles`` keeps it."""

from pathlib import Path

import asyncpg
import pytest

from ayaldama.commands.vehicles import read_vehicles
from commons.migrate import migrate
from fare.store.postgres_vehicles import PostgresVehicles
from fare.vehicles import Vehicle

FIRST = Vehicle(vehicle_id="imei-1", fleet_number="0451", plate="123 ABC 11")


def listed(tmp_path: Path, text: str) -> list[Vehicle]:
    file = tmp_path / "vehicles.csv"
    file.write_text(text, encoding="utf-8-sig")
    return read_vehicles(file)


def test_a_list_may_have_plates_and_other_columns(tmp_path: Path) -> None:
    text = "vehicle_id,fleet_number,plate,depot\nimei-1, 0451,123 ABC 11,north\nimei-2,0452,,\n"
    assert listed(tmp_path, text) == [FIRST, Vehicle(vehicle_id="imei-2", fleet_number="0452")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vehicle_id,plate\nimei-1,123ABC11\n", "column fleet_number is missing"),
        ("", "column vehicle_id is missing"),
        ("vehicle_id,fleet_number\nimei-1,\n", "line 2: vehicle_id and fleet_number must be given"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        listed(tmp_path, text)


async def test_what_is_written_on_a_bus_names_it_until_something_else_is(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "fare.store")
    register = PostgresVehicles(postgres)
    await register.register([FIRST])
    assert await register.by_code("123авс11") == FIRST == await register.by_id("imei-1")
    repainted = Vehicle(vehicle_id="imei-1", fleet_number="0452", plate="123 ABC 11")
    await register.register([repainted])
    assert (await register.by_code("0451"), await register.by_code("0452")) == (None, repainted)
    with pytest.raises(asyncpg.UniqueViolationError):
        await register.register(
            [Vehicle(vehicle_id="new", fleet_number="7"), Vehicle(vehicle_id="imei-2", fleet_number="0452")]
        )
    assert await register.by_code("7") is None, "all of a list or nothing"
    with pytest.raises(ValueError, match="must hold a digit"):
        await register.register([Vehicle(vehicle_id="imei-3", fleet_number="бус")])
