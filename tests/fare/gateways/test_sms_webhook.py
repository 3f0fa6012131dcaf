"""Signed webhooks of an operator, both ways, against the specification's own vector and a real HTTP peer."""

import asyncio
import base64
import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks.webhooks import Webhook
from yarl import URL

from commons.clock import wall_ms
from commons.metrics import Metrics
from fare.gateways.sms_webhook import SmsWebhook, WebhookGateway
from fare.sms.values import OutgoingState
from tests.fare.gateways.message_centre import CODE, RIDER, Desk, door_to

SECRET, OLD_SECRET, STRANGER = (f"whsec_{base64.b64encode(bytes([one]) * 24).decode()}" for one in (1, 2, 3))
TICKET = "Билет 0451: 120 тг"
RECEIVED = {
    "type": "message.received",
    "data": {"from": RIDER, "to": CODE, "text": "0451", "sent_ms": 1_789_970_700_000},
}
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_BODY = b'{"test": 2432232314}'


def headers(body: bytes, *, secret: str = SECRET, name: str = "msg-1", age_s: int = 0) -> dict[str, str]:
    at = dt.datetime.fromtimestamp(wall_ms() // 1_000 - age_s, dt.UTC)
    signature = Webhook(secret).sign(name, at, body.decode())
    return {"webhook-id": name, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


@asynccontextmanager
async def serving(desk: Desk, url: str = "http://127.0.0.1:1/") -> AsyncIterator[URL]:
    gateway = WebhookGateway(operator="tele2", url=url, secrets=(SECRET, OLD_SECRET))
    metrics = Metrics()
    async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as tasks:
        webhook = SmsWebhook(gateway, door_to(desk), client=client, metrics=metrics)
        app = web.Application()
        app.add_routes(webhook.routes())
        server = TestServer(app)
        await server.start_server()
        sending = tasks.create_task(webhook.run())
        yield server.make_url("/sms/webhook/tele2")
        sending.cancel()
        await server.close()


async def posted(url: URL, body: bytes, signed: dict[str, str]) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.post(url, data=body, headers=signed) as answer:
        return answer.status, await answer.text()


def test_the_published_vector_is_what_our_library_signs() -> None:
    at = dt.datetime.fromtimestamp(1_614_265_330, dt.UTC)
    signed = Webhook(VECTOR_SECRET).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, VECTOR_BODY.decode())
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_signed_message_reaches_the_desk_under_its_id() -> None:
    desk, body = Desk(), json.dumps(RECEIVED).encode()
    async with serving(desk) as url:
        assert await posted(url, body, headers(body)) == (204, "")
        assert await posted(url, body, headers(body, secret=OLD_SECRET, name="msg-2")) == (204, "")
    assert [(one.operator, one.message_id, one.sender, one.text, one.sent_ms) for one in desk.taken] == [
        ("tele2", "msg-1", RIDER, "0451", 1_789_970_700_000),
        ("tele2", "msg-2", RIDER, "0451", 1_789_970_700_000),
    ]


@pytest.mark.parametrize(
    "forged",
    [
        {"secret": STRANGER},
        {"age_s": 301},
        {"age_s": -301},
    ],
    ids=["a stranger's secret", "six minutes old", "of the future"],
)
async def test_attack_36_what_is_not_signed_by_the_operator_now_is_refused(forged: dict[str, object]) -> None:
    desk, body = Desk(), json.dumps(RECEIVED).encode()
    async with serving(desk) as url:
        assert await posted(url, body, headers(body, **forged)) == (401, "signature\n")  # type: ignore[arg-type]
    assert desk.taken == []


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,%%%"},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-signature": ""},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-id": "another"},
    ],
    ids=str,
)
async def test_attack_36_a_signature_that_is_none_is_refused(changed: dict[str, str]) -> None:
    desk, body = Desk(), json.dumps(RECEIVED).encode()
    async with serving(desk) as url:
        assert await posted(url, body, headers(body) | changed) == (401, "signature\n")
        altered = body.replace(b"0451", b"0452")
        assert await posted(url, altered, headers(body)) == (401, "signature\n")
        assert await posted(url, b"\xff", headers(body)) == (401, "signature\n")
    assert desk.taken == []


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"{}", "form"), (b'{"type":"message.send","data":{}}', "form"), (b"x" * 20_000, "too_long")],
)
async def test_a_body_of_another_form_is_refused(body: bytes, why: str) -> None:
    async with serving(Desk()) as url:
        assert await posted(url, body, headers(body)) == (400, f"{why}\n")


async def test_a_ticket_goes_out_signed_and_its_status_comes_back() -> None:
    desk, seen = Desk(lambda _: TICKET), list[dict[str, object]]()

    async def take(request: web.Request) -> web.Response:
        raw = await request.read()
        seen.append(Webhook(SECRET).verify(raw, dict(request.headers)))
        return web.json_response({"id": "theirs-7"})

    app = web.Application()
    app.router.add_post("/send", take)
    peer = TestServer(app)
    await peer.start_server()
    received = json.dumps(RECEIVED).encode()
    status = json.dumps({"type": "message.status", "data": {"id": "theirs-7", "state": "delivered"}}).encode()
    async with serving(desk, str(peer.make_url("/send"))) as url:
        await posted(url, received, headers(received))
        await desk.until(lambda: desk.handed)
        assert await posted(url, status, headers(status, name="msg-2")) == (204, "")
    await peer.close()
    ((outgoing_id, theirs),) = desk.handed.items()
    assert seen == [
        {"type": "message.send", "data": {"id": str(outgoing_id), "from": CODE, "to": RIDER, "text": TICKET}}
    ]
    assert desk.receipts == [("tele2", theirs, OutgoingState.DELIVERED)]


async def test_a_failed_store_is_an_error_so_that_the_operator_posts_again() -> None:
    desk, body = Desk(), json.dumps(RECEIVED).encode()
    desk.fails = 1
    async with serving(desk) as url:
        assert (await posted(url, body, headers(body)))[0] == 500
        assert (await posted(url, body, headers(body)))[0] == 204
    assert len(desk.taken) == 1


@pytest.mark.parametrize("secrets", [(), ("short",), ("whsec_c2hvcnQ=",)])
def test_a_gateway_without_a_true_secret_is_refused(secrets: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="secret"):
        WebhookGateway(operator="tele2", url="http://127.0.0.1/", secrets=secrets)
