"""An inspector's server over HTTP, with a clock that a test moves."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from commons.metrics import Metrics
from fare.api.inspection import Inspection
from tests.dispatch.pages import served
from tests.fare.api.desk import PIN, DeskInMemory
from tests.fare.inspection.bus import KEY, RULES, SALT, TEN_MS, Bus
from tests.fare.inspection.verdict_cases import TAPS
from tests.fare.phone.phones import CITY


class Clock:
    rate = 1.0

    def __init__(self) -> None:
        self.city_ms = TEN_MS + 600_000

    def now_ms(self) -> int:
        return self.city_ms

    async def sleep(self, city_s: float) -> None:
        self.city_ms += round(city_s * 1_000)


class Town:
    def __init__(self, bus: Bus | None = None) -> None:
        self.clock = Clock()
        self.desk = DeskInMemory(vehicles={"bus-7": (bus or Bus(taps=TAPS)).facts()})
        self.metrics = Metrics()
        self.port = 0
        self.address = ""  # what a proxy saw; "": none is there

    def inspection(self) -> Inspection:
        return Inspection(
            self.desk,
            rules=RULES,
            code_key=KEY,
            new_salt=lambda: SALT,
            city=CITY,
            clock=self.clock,
            metrics=self.metrics,
            address_of=lambda request: self.address or request.remote or "",
        )


class Phone:
    """Somebody's phone: what it sends and what is answered."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.token = ""
        self.headers: Mapping[str, str] = {}  # of the last answer

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self._session.request(method, f"/api/inspection/{path}", json=body, headers=headers) as answer:
            self.headers = answer.headers
            return answer.status, await answer.json()

    async def sign_in(self, person_id: str = "7", pin: str = PIN) -> int:
        status, said = await self.ask("POST", "sign-in", {"person_id": person_id, "pin": pin})
        self.token = said.get("token", self.token)
        return status


@asynccontextmanager
async def phone_at(town: Town, address: str) -> AsyncIterator[Phone]:
    """Give a phone that comes from ``address``, one of this machine's loopback."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{town.port}", connector=connector) as session:
        yield Phone(session)


@asynccontextmanager
async def open_town(town: Town | None = None) -> AsyncIterator[tuple[Town, Phone]]:
    town = town or Town()
    async with (
        served(town.inspection().routes()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        town.port = port
        yield town, Phone(session)
