"""One enrolled validator on a real PostgreSQL."""

import asyncpg
import pytest

from commons.migrate import migrate
from fare.store.postgres_devices import PostgresDevices
from fare.validator.enrolment import Enrolling, EnrolmentRequest, IssuedCode
from tests.fare.store.test_postgres_devices import CODE, V1
from tests.fare.validator.test_batches import KEY, NOW_MS


@pytest.fixture
async def store(postgres: asyncpg.Pool) -> PostgresDevices:
    await migrate(postgres, "fare.store")
    devices = PostgresDevices(postgres, "kzo")
    await devices.issue(IssuedCode(digest=CODE.digest, device_id=V1, vehicle_id="bus-7", expires_ms=NOW_MS + 1))
    outcome, *_ = await devices.enrol(EnrolmentRequest(secret=CODE.secret, public=KEY.public), NOW_MS)
    assert outcome is Enrolling.ENROLLED
    return devices
