"""The device registry on a real PostgreSQL."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from commons.metrics import Metrics
from commons.migrate import migrate
from tests.patience import PATIENCE_S
from transit.intake.devices import (
    Device,
    DeviceListError,
    DeviceRow,
    Devices,
    add_device,
    import_devices,
    list_devices,
    open_devices,
    read_device_list,
    set_enabled,
)
from transit.protocols._base import Refusal, SignIn

BUS = DeviceRow(device_id="8601", vehicle_id="bus-1", note="Ikarus")


async def outcome(devices: Devices, device_id: str, key: str) -> str:
    found = devices.check(SignIn(device_id=device_id, key=key))
    return found.vehicle_id if isinstance(found, Device) else found.value


async def until(devices: Devices, device_id: str, key: str, wanted: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await outcome(devices, device_id, key) != wanted:  # noqa: ASYNC110 - it is a wait for the real database
            await asyncio.sleep(0.01)


async def test_a_key_is_made_shown_once_and_kept_only_as_a_digest(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    key = await add_device(postgres, BUS)
    assert len(key) == 16
    (device,) = await list_devices(postgres)
    assert key.encode() not in device.key_digest + device.key_salt
    assert key not in repr(device)
    with pytest.raises(DeviceListError, match="'8601' exists"):
        await add_device(postgres, BUS)
    with pytest.raises(DeviceListError, match="device_id: '' must be"):
        await add_device(postgres, DeviceRow(device_id="", vehicle_id="bus-2"))
    assert key != await add_device(postgres, DeviceRow(device_id="8602", vehicle_id="bus-2"))


async def test_intake_hears_of_changes_at_once(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    async with open_devices(postgres, Metrics()) as devices:
        await until(devices, "8601", "any", Refusal.UNKNOWN_DEVICE)
        key = await add_device(postgres, BUS)
        await until(devices, "8601", key, "bus-1")
        await until(devices, "8601", "guess", Refusal.WRONG_KEY)
        assert await set_enabled(postgres, "8601", enabled=False)
        await until(devices, "8601", key, Refusal.DISABLED_DEVICE)
        assert devices.current("8601") is None
        assert await outcome(devices, "8601", "guess") == Refusal.WRONG_KEY, "only a right key learns it is disabled"
        assert not await set_enabled(postgres, "9999", enabled=False)


async def test_the_registry_is_heard_again_after_its_connection_was_cut(postgres: asyncpg.Pool) -> None:
    await migrate(postgres, "transit.store")
    async with open_devices(postgres, Metrics()) as devices:
        key = await add_device(postgres, BUS)
        await until(devices, "8601", key, "bus-1")
        await postgres.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        other = await add_device(postgres, DeviceRow(device_id="8602", vehicle_id="bus-2"))
        assert await outcome(devices, "8601", key) == "bus-1", "what is known stays known"
        await until(devices, "8602", other, "bus-2")


async def test_thousands_are_imported_and_a_second_import_keeps_their_keys(
    postgres: asyncpg.Pool, tmp_path: Path
) -> None:
    await migrate(postgres, "transit.store")
    file = tmp_path / "devices.csv"
    lines = [f"{number:015},bus-{number},route 1" for number in range(3_000)]
    file.write_text("device_id,vehicle_id,note\n" + "\n".join(lines) + "\n", encoding="utf-8")
    keys = await import_devices(postgres, read_device_list(file))
    assert len(set(keys.values())) == 3_000
    file.write_text("device_id,vehicle_id\n000000000000000,bus-other\n9,bus-new\n", encoding="utf-8")
    assert list(await import_devices(postgres, read_device_list(file))) == ["9"]
    devices = Devices(await list_devices(postgres))
    assert len(devices) == 3_001
    assert await outcome(devices, "000000000000000", keys["000000000000000"]) == "bus-other"
    renewed = await import_devices(postgres, read_device_list(file), new_keys=True)
    devices = Devices(await list_devices(postgres))
    assert await outcome(devices, "000000000000000", renewed["000000000000000"]) == "bus-other"
    assert await outcome(devices, "000000000000000", keys["000000000000000"]) == Refusal.WRONG_KEY


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("imei,vehicle_id\n1,2\n", "row 1: 'imei,vehicle_id': columns must be"),
        ("device_id,vehicle_id\n,2\n", "row 2: device_id: '' must be 1 to 64"),
        ("device_id,vehicle_id\n1,\n", "row 2: vehicle_id: '' must be 1 to 64"),
        ("device_id,vehicle_id\n1\n", "row 2: vehicle_id: '' must be 1 to 64"),
        ("device_id,vehicle_id\n1,2\n1,3\n", "row 3: device_id: '1' must be there once"),
    ],
)
def test_a_list_that_cannot_be_taken_says_where_and_why(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "devices.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DeviceListError, match=complaint.replace("[", r"\[")):
        read_device_list(file)
