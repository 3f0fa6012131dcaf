"""The banks' routes over HTTP: who is believed, what is answered, and what happens when our database is away."""

import datetime as dt
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from commons.clock import ClockAnchor, SystemClock, wall_ms
from commons.metrics import Metrics
from fare.api.bank_hooks import BankHooks, Hooks
from fare.gateways.bank import tenge_of
from fare.gateways.bank_epay import ACCOUNT as EPAY_ACCOUNT
from fare.gateways.bank_epay import NAME as EPAY
from fare.gateways.bank_kaspi import ACCOUNT as KASPI_ACCOUNT
from fare.gateways.bank_kaspi import NAME as KASPI
from fare.gateways.bank_kaspi import KaspiSettings, Sent, read_networks, sign, signed_values
from fare.gateways.bank_redirect import ACCOUNT as REDIRECT_ACCOUNT
from fare.gateways.bank_redirect import NAME as REDIRECT
from fare.ledger.accounts import wallet
from fare.model import MediumId
from fare.store.ledger_books import balances_tiyn
from fare.top_ups import BankName, Invoice, TopUpRules
from fare.topping_up import Channels, TopUpAsked, TopUps
from tests.fare.paper_bank import PaperBank
from tests.notation.rides import MIDNIGHT_MS, medium

SECRET, KASPI_SECRET, ECHO = bytes(range(32)), "Qwerty123", "echo-of-this-payment"
NUMBER = "79012345678"
PAY = {"account": NUMBER, "operationId": "2000284500", "amount": "100.00", "currency": "KZT"}


async def medium_of(number: str) -> MediumId | None:
    return medium(7) if number == NUMBER else None


class Desk:
    def __init__(self, pool: asyncpg.Pool, networks: str = "127.0.0.0/8") -> None:
        self.pool, self.bank, self.metrics, self.address = pool, PaperBank(), Metrics(), "127.0.0.1"
        clock = SystemClock(ClockAnchor(wall_ms=wall_ms(), city_ms=MIDNIGHT_MS))
        self.top_ups = TopUps(
            pool,
            Channels(
                banks={REDIRECT: self.bank, EPAY: self.bank},
                accounts={REDIRECT: REDIRECT_ACCOUNT, EPAY: EPAY_ACCOUNT, KASPI: KASPI_ACCOUNT},
            ),
            rules=TopUpRules(),
            clock=clock,
            metrics=self.metrics,
            new_echo=lambda: ECHO,
        )
        hooks = Hooks(
            redirect_secrets=(SECRET,),
            epay=True,
            kaspi=KaspiSettings(secret=KASPI_SECRET, networks=read_networks(networks.split())),
            medium_of=medium_of,
        )
        app = web.Application()
        routes = BankHooks(self.top_ups, hooks, clock=clock, metrics=self.metrics, address_of=lambda _: self.address)
        app.add_routes(routes.routes())
        self.client: TestClient[web.Request, web.Application] = TestClient(TestServer(app))

    async def begun(self, bank: BankName) -> Invoice:
        asked = TopUpAsked(key=bank, medium_id=medium(7), bank=bank, amount_tiyn=50_000)
        begun = await self.top_ups.begin(asked)
        assert begun.top_up is not None
        return begun.top_up.invoice

    async def wallet(self) -> int:
        return -(await balances_tiyn(self.pool)).get(wallet(medium(7)), 0)

    async def webhook(self, invoice: Invoice, *, secret: bytes = SECRET, message_id: str = "msg_1") -> ClientResponse:
        word = self.bank.says(invoice)
        body = msgspec.json.encode(
            {
                "id": word.operation_id,
                "invoice": word.invoice,
                "amount": tenge_of(word.amount_tiyn),
                "currency": "KZT",
                "status": "paid",
            }
        )
        now = dt.datetime.fromtimestamp(MIDNIGHT_MS // 1_000, dt.UTC)
        headers = {
            "Webhook-Id": message_id,
            "Webhook-Timestamp": str(MIDNIGHT_MS // 1_000),
            "Webhook-Signature": Webhook(secret).sign(message_id, now, body.decode()),
        }
        return await self.client.post("/banks/redirect", data=body, headers=headers)

    async def kaspi(self, fields: dict[str, str], secret: str = KASPI_SECRET) -> tuple[int, str]:
        signature = sign(signed_values(msgspec.convert(fields, Sent)), secret)
        answer = await self.client.post("/banks/kaspi", json=fields, headers={"Sign": signature})
        said = await answer.json()
        return answer.status, said.get("status", said.get("error"))

    def refused(self, bank: str, reason: str) -> bool:
        return f'bank_hooks_refused_total{{bank="{bank}",reason="{reason}"}}' in self.metrics.exposition().decode()


@pytest.fixture
async def desk(fare_postgres: asyncpg.Pool) -> AsyncIterator[Desk]:
    desk = Desk(fare_postgres)
    async with desk.client:
        yield desk


async def test_attack_36_a_webhook_is_taken_once_and_only_if_it_is_signed(desk: Desk) -> None:
    invoice = await desk.begun(REDIRECT)
    assert (await desk.webhook(invoice, secret=bytes(32))).status == 401
    assert await desk.wallet() == 0
    assert [(await desk.webhook(invoice)).status for _ in range(3)] == [204, 204, 204]
    assert await desk.wallet() == 50_000
    assert desk.refused("redirect", "signature")


async def test_when_the_database_is_away_the_bank_is_told_to_say_it_again(desk: Desk) -> None:
    invoice = await desk.begun(REDIRECT)
    await desk.pool.execute("ALTER TABLE journal RENAME TO journal_gone")
    answer = await desk.webhook(invoice)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
    await desk.pool.execute("ALTER TABLE journal_gone RENAME TO journal")
    assert (await desk.webhook(invoice)).status == 204
    assert await desk.wallet() == 50_000


async def test_attack_49_who_sends_nonsense_is_answered_429_and_locks_nobody_out(desk: Desk) -> None:
    invoice = await desk.begun(REDIRECT)
    wrong = [(await desk.webhook(invoice, secret=bytes(32))).status for _ in range(12)]
    assert wrong == [401] * 10 + [429] * 2
    assert (await desk.webhook(invoice)).status == 204, "the bank itself, through the same proxy"


async def test_epays_post_is_only_a_reason_to_ask_the_bank(desk: Desk) -> None:
    invoice = await desk.begun(EPAY)
    lie = {"invoiceId": invoice, "secret_hash": ECHO, "code": "ok", "amount": 9_999_999, "currency": "KZT"}
    assert (await desk.client.post("/banks/epay", json=lie)).status == 200
    assert await desk.wallet() == 0, "the bank says that it is not paid"
    desk.bank.says(invoice)
    desk.bank.deaf = 1
    silent = await desk.client.post("/banks/epay", json=lie)
    assert (silent.status, await desk.wallet()) == (503, 0)
    assert (await desk.client.post("/banks/epay", json=lie)).status == 200
    assert await desk.wallet() == 50_000


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"secret_hash": "guessed"}, 401),
        ({"secret_hash": ""}, 400),
        ({"invoiceId": "999999"}, 401),
        ({"invoiceId": "12"}, 400),
        ({"invoiceId": "١٢٣٤٥٦"}, 400),
    ],
)
async def test_attack_36_without_the_echo_of_its_payment_epays_post_asks_nobody(
    desk: Desk, changed: dict[str, str], status: int
) -> None:
    invoice = await desk.begun(EPAY)
    desk.bank.says(invoice)
    answer = await desk.client.post("/banks/epay", json={"invoiceId": invoice, "secret_hash": ECHO} | changed)
    assert (answer.status, await desk.wallet()) == (status, 0)


async def test_kaspi_checks_pays_and_notifies(desk: Desk) -> None:
    assert await desk.kaspi({"account": NUMBER}) == (200, "YES")
    assert await desk.kaspi({"account": "77770000000"}) == (200, "NO")
    notify = PAY | {"transactionId": "33", "status": "completed"}
    assert await desk.kaspi(notify) == (200, "ERROR"), "nothing was paid yet"
    assert [await desk.kaspi(PAY) for _ in range(3)] == [(200, "YES")] * 3
    assert await desk.kaspi(notify) == (200, "YES")
    assert await desk.kaspi(notify | {"amount": "1000.00"}) == (200, "ERROR")
    assert await desk.kaspi(PAY | {"amount": "1000.00"}) == (200, "ERROR"), "the same operation, another amount"
    assert await desk.kaspi(PAY | {"operationId": "2000284501", "amount": "999999.00"}) == (200, "NO"), "over the limit"
    assert await desk.wallet() == 10_000


async def test_attack_37_kaspi_is_believed_from_its_own_addresses_and_signed_only(desk: Desk) -> None:
    assert await desk.kaspi(PAY, secret="another1") == (401, "signature")
    desk.address = "203.0.113.9"
    assert await desk.kaspi(PAY) == (403, "address")
    assert await desk.wallet() == 0


async def test_a_body_without_end_is_not_read(desk: Desk) -> None:
    answer = await desk.client.post("/banks/redirect", data=b"x" * 70_000)
    assert answer.status == 400
    assert desk.refused("redirect", "malformed")


async def test_a_bank_that_is_not_set_is_not_there(desk: Desk) -> None:
    hooks = BankHooks(
        desk.top_ups, Hooks(), clock=SystemClock(), metrics=Metrics(), address_of=lambda request: request.remote or ""
    )
    assert hooks.routes() == []
