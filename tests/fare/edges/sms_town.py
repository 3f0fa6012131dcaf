"""A town where rides are bought by SMS, from accounts at a simulated operator, on a real PostgreSQL.

Line 12 is driven by bus 0451 (``tests.notation.market``). Stop 77 is known, and no bus has that number. Phones whose
numbers end in 90 to 94 are refused by their operator.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from aiohttp.test_utils import TestServer

from ayaldama.simulate.operator import Mood, SimulatedOperator
from commons.metrics import Metrics
from commons.texts import Language, load_catalogue
from fare.buying import Buying
from fare.gateways.operator_charging import OperatorHttpSettings, open_operator_charging
from fare.inspection.check_code import ticket_code
from fare.ledger.accounts import wallet
from fare.media.phone import phone_medium
from fare.media.tokens import TokenKey
from fare.model import CarrierId, MediumId, PhoneNumber
from fare.operator_paying import OperatorCharges
from fare.sms.acceptance import SmsRules
from fare.sms.values import Incoming, NextBus, Outgoing, StopBoard
from fare.sms_service import SmsKeys, SmsNames, SmsService
from fare.store.ledger_books import balances_tiyn
from fare.store.postgres_media import PostgresMedia
from fare.store.postgres_sms import PostgresSms
from tests.notation.market import NOON_MS, Market, market
from tests.notation.rides import ADULT

SECRET = b"shared with operator"
KEYS = SmsKeys(phone_key=TokenKey(version=1, secret=bytes(range(16))), code_key=bytes(range(16, 32)))
NUMBER = "+77011234567"
RULES = SmsRules(language="ru", ranges={"kcell": frozenset({"Kcell/Activ"}), "beeline": frozenset({"Beeline"})})
NAMES = SmsNames(
    catalogue=load_catalogue("fare.sms"),
    zone=ZoneInfo("Asia/Almaty"),
    lines={"12": "12"},
    carriers={CarrierId("k1"): "Автопарк №1"},
    default_category_at=lambda _: ADULT,
)
_numbers = itertools.count(1)


def incoming(text: str, *, sender: str = NUMBER, message_id: str = "", **said: object) -> Incoming:
    """Return a message of noon; each has a name of its own unless one is given."""
    message = Incoming(
        operator="kcell",
        message_id=message_id or f"m{next(_numbers)}",
        sender=sender,
        short_code="2505",
        text=text,
        sent_ms=NOON_MS,
        received_ms=NOON_MS,
    )
    return msgspec.structs.replace(message, **said)


def medium_of(number: str = NUMBER) -> MediumId:
    return phone_medium(PhoneNumber(number), KEYS.phone_key)


async def next_buses(stop_code: str, language: Language) -> StopBoard | None:
    if stop_code != "77":
        return None
    return StopBoard(name="Вокзал", buses=(NextBus(route="12", minutes=3, live=True),))


@dataclass(slots=True)
class SmsTown:
    market: Market
    buying: Buying
    service: SmsService
    charges: OperatorCharges
    operator: SimulatedOperator
    metrics: Metrics

    async def say(self, text: str, **said: str) -> str:
        """Send a message; return the answer, "" for silence."""
        return _text(await self.service.take(incoming(text, **said)))

    async def wallet_tiyn(self, number: str = NUMBER) -> int:
        return -(await balances_tiyn(self.market.pool)).get(wallet(medium_of(number)), 0)

    def spent_tiyn(self, number: str = NUMBER) -> int:
        """Return what the operator has taken from a number, by its own books."""
        return self.operator.spent_tiyn[number]

    async def owed_tiyn(self) -> int:
        """Return what the operator owes us, by our books."""
        return (await balances_tiyn(self.market.pool)).get("operator:kcell", 0)

    async def code(self) -> str:
        """Return the code of the last ticket."""
        row = await self.market.pool.fetchrow(
            "SELECT ticket->>'tap_key' AS tap_key, medium_id FROM purchase ORDER BY asked_ms DESC, key LIMIT 1"
        )
        return ticket_code(row["tap_key"], row["medium_id"], KEYS.code_key)

    def moods(self, *moods: Mood) -> None:
        """Let the operator be in these moods, one after another, and well after that."""
        left = iter(moods)
        self.operator.moods = lambda: next(left, Mood.WELL)


def _text(answers: list[Outgoing]) -> str:
    return answers[0].text if answers else ""


@asynccontextmanager
async def sms_town(pool: asyncpg.Pool, rules: SmsRules = RULES) -> AsyncIterator[SmsTown]:
    """Give a town; the books of both sides are the same when it is left and all that is owed is given back."""
    async with market(pool) as opened:
        operator = SimulatedOperator(secret=SECRET, clock=opened.clock, late_s=3.5)
        server = TestServer(operator.application())
        await server.start_server(shutdown_timeout=0.1)
        settings = OperatorHttpSettings(url=str(server.make_url("/")).rstrip("/"), secret=SECRET, answer_max_s=3.0)
        try:
            async with open_operator_charging(settings, opened.clock) as charging, opened.opened() as buying:
                metrics = Metrics()
                charges = OperatorCharges(pool, {"kcell": charging}, clock=opened.clock, metrics=metrics)
                service = service_of(opened, buying, charges, rules, metrics)
                town = SmsTown(opened, buying, service, charges, operator, metrics)
                yield town
                town.moods()
                opened.clock.city_ms += 3_600_000
                assert await charges.sweep() == 0
                assert await town.owed_tiyn() == sum(operator.spent_tiyn.values())
        finally:
            await server.close()


def service_of(
    opened: Market,
    buying: Buying,
    charges: OperatorCharges,
    rules: SmsRules = RULES,
    metrics: Metrics | None = None,
    names: SmsNames = NAMES,
) -> SmsService:
    """Return a service, as a process of its own has it."""
    return SmsService(
        PostgresSms(opened.pool),
        buying=buying,
        charges=charges,
        media=PostgresMedia(opened.pool),
        next_buses=next_buses,
        rules=rules,
        keys=KEYS,
        names=names,
        clock=opened.clock,
        metrics=metrics or Metrics(),
    )
