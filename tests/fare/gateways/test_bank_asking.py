"""What we make of banks' answers over HTTP: nothing is taken for paid, or for done, that was not said."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fare.gateways.bank import BankSilentError, Intent, Opened, OpenRefused, Returning
from fare.gateways.bank_epay import EpayBank, EpaySettings
from fare.gateways.bank_http import ANSWER_MAX_BYTES
from fare.gateways.bank_redirect import RedirectBank, RedirectSettings
from fare.top_ups import BankState, BankWord, Invoice

INVOICE = Invoice("100000")
INTENT = Intent(invoice=INVOICE, amount_tiyn=50_050, echo="echo", expires_ms=1_000, language="ru")
PAID = BankWord(invoice=INVOICE, operation_id="t-1", state=BankState.PAID, amount_tiyn=50_050)


@dataclass
class Server:
    """Answers with what a test lays down, by method and first part of the path; keeps what it was asked."""

    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    raw: bytes | None = None
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((f"{request.method} {request.path_qs}", form))
        if request.path == "/oauth2/token":
            return web.json_response({"access_token": f"token-{len(self.asked)}", "expires_in": 1200})
        status, body = self.answers[f"{request.method} {request.path.split('/')[1]}"]
        if self.raw is not None:
            return web.Response(body=self.raw, status=status)
        return web.json_response(body, status=status, headers={"Location": "/elsewhere"} if status == 302 else None)

    def epay(self, session: aiohttp.ClientSession) -> EpayBank:
        settings = EpaySettings(
            oauth_url=self.url,
            api_url=self.url,
            client_id="client",
            client_secret="secret",
            terminal="terminal",
            post_link="https://city.example/banks/epay",
        )
        return EpayBank(settings, session)

    def redirect(self, session: aiohttp.ClientSession) -> RedirectBank:
        settings = RedirectSettings(url=self.url, key="key", secrets=(), return_url="https://city.example/phone/")
        return RedirectBank(settings, session)

    def transaction(self, status: str, **changed: object) -> None:
        transaction = {"id": "t-1", "invoiceID": INVOICE, "amount": 500.5, "currency": "KZT", "statusName": status}
        self.answers["GET check-status"] = (200, {"resultCode": "100", "transaction": transaction | changed})

    def payment(self, status: str, **changed: object) -> None:
        payment = {"id": "t-1", "invoice": INVOICE, "amount": "500.50", "currency": "KZT", "status": status}
        self.answers["GET payments"] = self.answers["POST payments"] = (200, payment | {"url": "https://b/p"} | changed)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(app) as running:
        server.url = str(running.make_url("")).rstrip("/")
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_epays_token_is_bound_to_the_payment_and_its_echo(server: Server, session: aiohttp.ClientSession) -> None:
    server.answers["POST payment"] = (200, {"qrcode": "QR", "homebankLink": "https://homebank.example/1"})
    assert await server.epay(session).open(INTENT) == Opened(link="https://homebank.example/1", qr="QR")
    asked, form = server.asked[0]
    assert asked == "POST /oauth2/token"
    assert {name: form[name] for name in ("invoiceID", "amount", "currency", "secret_hash", "terminal")} == {
        "invoiceID": "100000",
        "amount": "500.50",
        "currency": "KZT",
        "secret_hash": "echo",
        "terminal": "terminal",
    }


@pytest.mark.parametrize(
    ("status", "state", "refunded_tiyn"),
    [
        ("CHARGE", BankState.PAID, 0),
        ("REFUND", BankState.PAID, None),
        ("NEW", BankState.PENDING, 0),
        ("AUTH", BankState.PENDING, 0),  # held, and not ours yet
        ("SOMETHING_NEW", BankState.PENDING, 0),
        ("REJECT", BankState.REFUSED, 0),
        ("FAILED", BankState.REFUSED, 0),
        ("3D", BankState.REFUSED, 0),
        ("CANCEL", BankState.REFUSED, 0),
    ],
)
async def test_epays_names_of_how_a_payment_stands(
    server: Server, session: aiohttp.ClientSession, status: str, state: BankState, refunded_tiyn: int | None
) -> None:
    server.transaction(status)
    word = await server.epay(session).status(INVOICE)
    assert word == BankWord(
        invoice=INVOICE, operation_id="t-1", state=state, amount_tiyn=50_050, refunded_tiyn=refunded_tiyn
    )


async def test_epay_knows_nothing_of_an_invoice(server: Server, session: aiohttp.ClientSession) -> None:
    server.answers["GET check-status"] = (200, {"resultCode": "102", "resultMessage": "not found"})
    assert await server.epay(session).status(INVOICE) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"currency": "KGS"},
        {"invoiceID": "100001"},
        {"amount": -1},
        {"amount": 0.001},
        {"amount": 1e300},
        {"id": "../../x"},
        {"amount": None},
    ],
)
async def test_attack_41_an_answer_of_epay_that_cannot_be_is_silence(
    server: Server, session: aiohttp.ClientSession, changed: dict[str, object]
) -> None:
    server.transaction("CHARGE", **changed)
    with pytest.raises(BankSilentError):
        await server.epay(session).status(INVOICE)


@pytest.mark.parametrize("code", ["101", "103", "107", 109])
async def test_a_failure_of_epay_is_silence(server: Server, session: aiohttp.ClientSession, code: object) -> None:
    server.answers["GET check-status"] = (200, {"resultCode": code})
    with pytest.raises(BankSilentError):
        await server.epay(session).status(INVOICE)


async def test_epay_gives_back_once_though_its_answer_is_lost(server: Server, session: aiohttp.ClientSession) -> None:
    bank = server.epay(session)
    server.transaction("CHARGE")
    server.answers["POST operation"] = (502, {})
    with pytest.raises(BankSilentError):
        await bank.give_back(PAID, "100000-ref", 20_000)
    assert server.asked[-1][0] == "POST /operation/t-1/refund?amount=200.00&externalID=100000-ref"
    server.transaction("REFUND")
    before = len(server.asked)
    assert await bank.give_back(PAID, "100000-ref", 20_000) is Returning.DONE
    assert not any("refund" in asked for asked, _ in server.asked[before:]), "it had been done"


async def test_epay_refuses_small_second_and_impossible_refunds(server: Server, session: aiohttp.ClientSession) -> None:
    bank = server.epay(session)
    assert await bank.give_back(PAID, "r", 999) is Returning.REFUSED
    second = BankWord(
        invoice=INVOICE, operation_id="t-1", state=BankState.PAID, amount_tiyn=50_050, refunded_tiyn=10_000
    )
    assert await bank.give_back(second, "r", 10_000) is Returning.REFUSED
    assert server.asked == [], "nobody was asked"
    server.transaction("CHARGE")
    server.answers["POST operation"] = (400, {"code": 100})
    assert await bank.give_back(PAID, "r", 20_000) is Returning.REFUSED


async def test_a_gateway_that_opens_something_else_is_refused(server: Server, session: aiohttp.ClientSession) -> None:
    bank = server.redirect(session)
    server.payment("pending")
    assert await bank.open(INTENT) == Opened(link="https://b/p")
    server.payment("pending", amount="5.00")
    assert isinstance(await bank.open(INTENT), OpenRefused)
    server.answers["POST payments"] = (422, {})
    assert isinstance(await bank.open(INTENT), OpenRefused)
    server.payment("pending", url="")
    with pytest.raises(BankSilentError):
        await bank.open(INTENT)


async def test_a_gateway_says_how_a_payment_stands_and_gives_back(
    server: Server, session: aiohttp.ClientSession
) -> None:
    bank = server.redirect(session)
    server.payment("paid")
    assert await bank.status(INVOICE) == PAID
    assert await bank.give_back(PAID, "r", 100) is Returning.DONE
    server.answers["POST payments"] = (409, {})
    assert await bank.give_back(PAID, "r", 100) is Returning.REFUSED
    server.answers["POST payments"] = (403, {})
    with pytest.raises(BankSilentError):
        await bank.give_back(PAID, "r", 100)
    server.answers["GET payments"] = (404, {})
    assert await bank.status(INVOICE) is None
    server.payment("paid", currency="USD")
    with pytest.raises(BankSilentError):
        await bank.status(INVOICE)


@pytest.mark.parametrize("status", [302, 429, 500, 503])
async def test_an_answer_that_is_none_is_silence_and_nobody_is_followed(
    server: Server, session: aiohttp.ClientSession, status: int
) -> None:
    server.answers["GET payments"] = (status, {})
    with pytest.raises(BankSilentError, match=str(status)):
        await server.redirect(session).status(INVOICE)
    assert len(server.asked) == 1


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'{"id": 1}', b"x" * (ANSWER_MAX_BYTES + 1)])
async def test_an_answer_of_another_form_or_without_end_is_silence(
    server: Server, session: aiohttp.ClientSession, raw: bytes
) -> None:
    server.answers["GET payments"], server.raw = (200, None), raw
    with pytest.raises(BankSilentError):
        await server.redirect(session).status(INVOICE)


async def test_a_bank_that_is_not_there_is_silent(session: aiohttp.ClientSession) -> None:
    bank = Server(url="http://127.0.0.1:1").redirect(session)
    with pytest.raises(BankSilentError):
        await bank.status(INVOICE)


def test_no_secret_is_in_a_representation() -> None:
    redirect = RedirectSettings(url="https://b", key="open sesame", secrets=(b"s" * 24,), return_url="")
    assert "sesame" not in repr(redirect)
    assert "sss" not in repr(redirect)
