"""Bank cards from the tap to captured money, on a real PostgreSQL; the last one over ISO 8583 to a real host."""

import asyncio
import datetime as dt
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from commons.migrate import migrate
from fare.card_refunds import CardRefunds
from fare.collecting import Collector, Days
from fare.gateways.acquirer import Acquirer, Asked, CardRequest, CardResult
from fare.gateways.postgres_attempts import PostgresAttempts
from fare.ledger.accounts import aggregate
from fare.model import AccountCode, MediumKind
from fare.outcomes import TapOutcome
from fare.reconciliation_service import SettlementFile, compare
from fare.refund_service import RefundAsked, Refunds, RefundState
from fare.risk.values import Answered, Decline, RiskRules, Trigger
from fare.service import open_taps
from fare.settlement.reconcile import FileColumns, Finding
from fare.settlement_service import SettlementRules
from fare.store.ledger_books import balances_tiyn, verify
from fare.store.postgres_bank_cards import denied_cards
from tests.fare.edges.test_taps import profiles
from tests.fare.gateways.host import running_host
from tests.fare.gateways.test_iso8583 import Town
from tests.notation.rides import DAY_MS, MIDNIGHT_MS, SmallTariff, medium, tap

CARD = medium(5)
DAY = SmallTariff().service_day(MIDNIGHT_MS)
BOOKED = aggregate(CARD, DAY)
ACQUIRER = AccountCode("acquirer:bank")
HOUR_MS = 3_600_000
NOON_AFTER_MS = MIDNIGHT_MS + DAY_MS + 12 * HOUR_MS


def bounds(day: dt.date) -> tuple[int, int]:
    begins_ms = (day - dt.date(1970, 1, 1)).days * DAY_MS
    return begins_ms, begins_ms + DAY_MS


DAYS = Days(bounds=bounds, minute=lambda at_ms: at_ms // 60_000 % 1440)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        number: int = one.getsockname()[1]
        return number


class Bank:
    """Answers as told, and the same to the same key, as the acquirer's log sees to."""

    def __init__(self, *answers: CardResult) -> None:
        self.answers = list(answers)
        self.captured_tiyn: dict[str, int] = {}
        self.asked: list[CardRequest] = []
        self._known: dict[str, CardResult] = {}

    async def ask(self, request: CardRequest) -> CardResult:
        self.asked.append(request)
        await asyncio.sleep(0)
        if request.key not in self._known:
            answer = CardResult(answered=Answered.APPROVED)
            if request.asked is Asked.AUTHORISE and self.answers:
                answer = self.answers.pop(0)
            self._known[request.key] = answer
            if request.asked is Asked.CAPTURE:
                self.captured_tiyn[request.key] = request.amount_tiyn
        return self._known[request.key]


class Scene:
    def __init__(self, pool: asyncpg.Pool, bank: Acquirer) -> None:
        self.pool, self.bank, self.metrics = pool, bank, Metrics()
        self.told: list[str] = []

    def collector(self, at_ms: int) -> Collector:
        return Collector(
            self.pool,
            self.bank,
            name="bank",
            rules=RiskRules(),
            days=DAYS,
            clock=SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=at_ms)),
            metrics=self.metrics,
            denials_changed=lambda: self.told.append("changed"),
        )

    async def at(self, at_ms: int) -> None:
        await self.collector(at_ms).sweep()

    async def balances(self) -> dict[AccountCode, int]:
        return dict(await balances_tiyn(self.pool))

    async def balances_of(self, *codes: AccountCode) -> tuple[int, ...]:
        found = await self.balances()
        return tuple(found.get(code, 0) for code in codes)

    def count(self, name: str) -> str:
        lines = self.metrics.exposition().decode().splitlines()
        return "; ".join(line for line in lines if line.startswith(f"ayaldama_{name}{{"))


async def ride(pool: asyncpg.Pool, names: Sequence[str], *, outcome: TapOutcome = TapOutcome.ACCEPTED) -> None:
    async with open_taps(pool, pricing=SmallTariff(), profiles=profiles) as taps:
        await taps.take(
            [
                tap(f"v:{name}", at, 5, kind=MediumKind.BANK_CARD, outcome=outcome)
                for name, _, at in (one.partition(" ") for one in names)
            ]
        )


@pytest.fixture
async def pool(postgres: asyncpg.Pool) -> AsyncIterator[asyncpg.Pool]:
    await migrate(postgres, "fare.store")
    await migrate(postgres, "fare.gateways")
    yield postgres
    assert (await verify(postgres)).findings == []


async def test_the_rides_of_a_day_are_captured_once_when_it_is_over(pool: asyncpg.Pool) -> None:
    bank = Bank()
    scene = Scene(pool, bank)
    await ride(pool, ["1 08:00", "2 18:00"])
    await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
    assert bank.captured_tiyn == {}  # verified, not charged
    for _ in range(3):
        await scene.at(NOON_AFTER_MS)
    assert list(bank.captured_tiyn.values()) == [200]
    balances = await scene.balances()
    assert (balances[ACQUIRER], balances.get(BOOKED, 0)) == (200, 0)
    assert 'kind="aggregated"' in scene.count("card_charges_total")


async def test_a_late_tap_is_charged_as_what_is_missing(pool: asyncpg.Pool) -> None:
    bank = Bank()
    scene = Scene(pool, bank)
    await ride(pool, ["1 08:00"])
    await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
    await scene.at(NOON_AFTER_MS)
    await ride(pool, ["2 18:00"])
    await scene.at(NOON_AFTER_MS + HOUR_MS)
    assert list(bank.captured_tiyn.values()) == [100, 100]
    assert (await scene.balances())[ACQUIRER] == 200


async def test_i1_two_workers_and_fifty_sweeps_capture_a_day_once(pool: asyncpg.Pool) -> None:
    bank = Bank()
    scene = Scene(pool, bank)
    await ride(pool, ["1 08:00"])
    await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
    await asyncio.gather(*(scene.at(NOON_AFTER_MS) for _ in range(50)))
    assert list(bank.captured_tiyn.values()) == [100]
    assert (await scene.balances())[ACQUIRER] == 100


async def test_i1_at_night_nothing_is_charged_and_somebody_is_told(pool: asyncpg.Pool) -> None:
    bank = Bank()
    scene = Scene(pool, bank)
    await ride(pool, ["1 08:00"])
    await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
    await scene.at(MIDNIGHT_MS + DAY_MS + 2 * HOUR_MS)
    assert bank.captured_tiyn == {}
    assert 'reason="outside_hours"' in scene.count("card_charges_stopped_total")


async def test_a_crash_after_the_capture_posts_it_once_when_asked_again(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = Bank()
    scene = Scene(pool, bank)
    await ride(pool, ["1 08:00"])
    await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)

    async def crash(*_: object) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Collector, "_conclude", crash)
        with pytest.raises(ConnectionError):
            await scene.at(NOON_AFTER_MS)
    assert (await scene.balances()).get(ACQUIRER, 0) == 0
    await scene.at(NOON_AFTER_MS + HOUR_MS)
    assert list(bank.captured_tiyn.values()) == [100]
    assert (await scene.balances())[ACQUIRER] == 100


async def test_who_does_not_pay_is_denied_and_off_the_list_at_once_when_a_tap_recovers_the_debt(
    pool: asyncpg.Pool,
) -> None:
    refused = CardResult(answered=Answered.DECLINED, decline=Decline.INSUFFICIENT_FUNDS)
    bank = Bank(CardResult(answered=Answered.APPROVED), refused, refused)
    scene = Scene(pool, bank)
    await ride(pool, ["1 08:00"])
    await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
    for k in range(3):
        await scene.at(NOON_AFTER_MS + k * HOUR_MS)
    assert await denied_cards(pool) == [CARD]
    assert scene.told
    told = len(scene.told)
    later_ms = NOON_AFTER_MS + 4 * HOUR_MS
    async with open_taps(pool, pricing=SmallTariff(), profiles=profiles) as taps:
        denied = tap("v:9", later_ms, 5, kind=MediumKind.BANK_CARD, outcome=TapOutcome.REFUSED_DENIED)
        await taps.take([denied])
    bank.answers.clear()
    for k in range(3):
        await scene.at(later_ms + 60_000 + k * 700_000)
    assert await denied_cards(pool) == []
    assert len(scene.told) > told
    assert sum(bank.captured_tiyn.values()) == 100


async def test_a_rider_pays_a_debt_when_asked(pool: asyncpg.Pool) -> None:
    refused = CardResult(answered=Answered.DECLINED, decline=Decline.LOST_OR_STOLEN)
    bank = Bank(CardResult(answered=Answered.APPROVED), refused)
    scene = Scene(pool, bank)
    await ride(pool, ["1 08:00"])
    await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
    await scene.at(NOON_AFTER_MS)
    assert await denied_cards(pool) == [CARD]
    reply = await scene.collector(NOON_AFTER_MS + HOUR_MS).collect(CARD, Trigger.RIDER)
    assert reply is not None
    assert await denied_cards(pool) == []


async def test_from_the_tap_to_a_real_host_and_the_books(pool: asyncpg.Pool, tmp_path: Path, unused_port: int) -> None:
    await ride(pool, ["1 08:00", "2 12:00"])
    there = Town(PostgresAttempts(pool))
    async with running_host(tmp_path, (), unused_port), there.open(unused_port) as acquirer:
        scene = Scene(pool, acquirer)
        await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
        await scene.at(NOON_AFTER_MS)
        await scene.at(NOON_AFTER_MS)
    captured = [message["4"] for message in there.line.said if message["t"] == "0220"]
    assert captured == ["000000000200"]
    assert (await scene.balances())[ACQUIRER] == 200
    (reference,) = {message["37"] for message in there.line.said if message["t"] == "0220"}
    content = f"rrn;sum\n{reference};2.00\n".encode()
    file = SettlementFile(name="acquirer.csv", content=content, columns=FileColumns(reference="rrn", amount="sum"))
    _, found = await compare(pool, ACQUIRER, file, 0, 2**53, who="aigul", now_ms=NOON_AFTER_MS)
    assert [(one.reference, one.finding) for one in found] == [(reference, Finding.MATCHED)]


async def refund(pool: asyncpg.Pool, ride_key: str, tiyn: int, key: str) -> None:
    refunds = Refunds(pool, pricing=SmallTariff(), rules=SettlementRules(alone_tiyn=10**6))
    given = await refunds.ask(
        RefundAsked(key=key, ride_key=ride_key, amount_tiyn=tiyn, why="?"), who="aigul", now_ms=NOON_AFTER_MS
    )
    assert given.state is RefundState.GRANTED


async def test_i2_what_a_card_paid_too_much_goes_back_to_it_once(
    pool: asyncpg.Pool, tmp_path: Path, unused_port: int
) -> None:
    await ride(pool, ["1 08:00", "2 12:00"])
    there = Town(PostgresAttempts(pool))
    async with running_host(tmp_path, (), unused_port), there.open(unused_port) as acquirer:
        scene = Scene(pool, acquirer)
        await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
        await scene.at(NOON_AFTER_MS)
        await refund(pool, "v:1", 60, "a")
        await scene.at(NOON_AFTER_MS)
        assert [message["t"] for message in there.line.said if message["t"] == "0200"] == [], "taps may still come"
        await asyncio.gather(*(scene.at(NOON_AFTER_MS + DAY_MS) for _ in range(5)))
        assert await scene.balances_of(BOOKED, ACQUIRER) == (0, 140)
        await refund(pool, "v:2", 100, "b")
        await scene.at(NOON_AFTER_MS + DAY_MS)
        await scene.at(NOON_AFTER_MS + DAY_MS)
        assert await scene.balances_of(BOOKED, ACQUIRER) == (0, 40)
    given = [message["4"] for message in there.line.said if message["t"] == "0200"]
    assert given == ["000000000060", "000000000100"]


async def test_a_refund_of_a_card_that_is_declined_is_tried_three_times_and_stays_owed(
    pool: asyncpg.Pool, tmp_path: Path, unused_port: int
) -> None:
    await ride(pool, ["1 08:00"])
    there = Town(PostgresAttempts(pool))
    rules = [{"match": {"mti": "0200"}, "respond": "05"}]
    async with running_host(tmp_path, rules, unused_port), there.open(unused_port) as acquirer:
        scene = Scene(pool, acquirer)
        await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
        await scene.at(NOON_AFTER_MS)
        await refund(pool, "v:1", 60, "a")
        for _ in range(5):
            await scene.at(NOON_AFTER_MS + DAY_MS)
        assert await scene.balances_of(BOOKED, ACQUIRER) == (-60, 100)
    assert len({message["11"] for message in there.line.said if message["t"] == "0200"}) == 3


async def test_a_refund_that_was_sent_before_a_crash_is_posted_after_it_and_not_sent_again(
    pool: asyncpg.Pool, tmp_path: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ride(pool, ["1 08:00"])
    there = Town(PostgresAttempts(pool))
    async with running_host(tmp_path, (), unused_port), there.open(unused_port) as acquirer:
        scene = Scene(pool, acquirer)
        await scene.at(MIDNIGHT_MS + 19 * HOUR_MS)
        await scene.at(NOON_AFTER_MS)
        await refund(pool, "v:1", 60, "a")

        async def crash(*_: object) -> None:
            raise ConnectionError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(CardRefunds, "_post", crash)
            with pytest.raises(ConnectionError):
                await scene.at(NOON_AFTER_MS + DAY_MS)
        await refund(pool, "v:1", 40, "b")
        await scene.at(NOON_AFTER_MS + DAY_MS)
        await scene.at(NOON_AFTER_MS + DAY_MS)
        assert await scene.balances_of(BOOKED, ACQUIRER) == (0, 0)
    given = [message["4"] for message in there.line.said if message["t"] == "0200"]
    assert given == ["000000000060", "000000000040"]
