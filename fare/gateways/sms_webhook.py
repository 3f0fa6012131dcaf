"""Short messages through signed webhooks, both ways by the rules of Standard Webhooks (symmetric, ``v1``).

For operators and aggregators that speak neither SMPP nor Kannel. They post ``message.received`` and
``message.status``; we post ``message.send``. Each body is signed together with its id and its time, five minutes are
tolerated, and an id is a message's name, so a body sent again is answered and changes nothing. Several secrets are
valid side by side while one replaces the other; we sign with the first. Source: Standard Webhooks specification 1.0.0.
"""

import datetime as dt
from typing import Final

import aiohttp
import msgspec
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from commons.clock import wall_ms
from commons.metrics import Metrics
from fare.gateways.smpp_receipts import MessageState
from fare.gateways.sms_desk import Brought, Door, Handed, Handing, keep_sending
from fare.sms.values import TEXT_MAX, Outgoing

BODY_MAX: Final = 16_384  # bytes
ANSWER_MAX_S: Final = 10.0
AT_ONCE: Final = 20
ID_MAX: Final = 64


class WebhookGateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operator that speaks webhooks. ``url`` is where it takes what we send.

    Raises:
        ValueError: if there is no secret, or one is not what the specification asks for.
    """

    operator: str
    url: str
    secrets: tuple[str, ...]  # "whsec_" and base64 of at least 24 bytes

    def __post_init__(self) -> None:
        """Refuse what would let anybody in."""
        if not self.secrets:
            raise ValueError(f"webhook {self.operator}: secrets must not be empty")
        for secret in self.secrets:
            if not secret.startswith("whsec_") or len(secret) < len("whsec_") + 32:
                raise ValueError(f"webhook {self.operator}: a secret must be whsec_ and base64 of 24 bytes or more")

    def __repr__(self) -> str:
        """Show whose it is, and no secret."""
        return f"WebhookGateway({self.operator} at {self.url})"


class Received(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from"}):
    """A rider's message."""

    source: str
    to: str
    text: str
    sent_ms: int | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message of ours; ``id`` is the one that the operator gave it."""

    id: str
    state: MessageState


class MessageReceived(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message.received"):
    """An event: a rider wrote."""

    data: Received


class MessageStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message.status"):
    """An event: a message of ours arrived, or never will."""

    data: Status


class Sent(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from"}):
    """A message of ours."""

    id: str
    source: str
    to: str
    text: str


class MessageSend(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message.send"):
    """What we post."""

    data: Sent


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to it: the operator's name for the message."""

    id: str


class SmsWebhook:
    """One operator at our door: ``routes`` for what it posts, ``run`` for what we post."""

    def __init__(self, gateway: WebhookGateway, door: Door, *, client: aiohttp.ClientSession, metrics: Metrics) -> None:
        self._gateway, self._door, self._client, self._metrics = gateway, door, client, metrics
        self._keys = tuple(Webhook(secret) for secret in gateway.secrets)

    def routes(self) -> list[web.RouteDef]:
        """Return where events are posted."""
        return [web.post(f"/sms/webhook/{self._gateway.operator}", self._event)]

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        await keep_sending(self._gateway.operator, self._door, self._send, at_once=AT_ONCE, metrics=self._metrics)

    async def _event(self, request: web.Request) -> web.Response:
        raw = await request.content.read(BODY_MAX + 1)
        if len(raw) > BODY_MAX:
            raise self._refused(web.HTTPBadRequest, "too_long")
        headers = dict(request.headers)
        if not any(_is_signed(key, raw, headers) for key in self._keys):
            raise self._refused(web.HTTPUnauthorized, "signature")
        try:
            event = msgspec.json.decode(raw, type=MessageReceived | MessageStatus)
        except msgspec.DecodeError as error:
            raise self._refused(web.HTTPBadRequest, "form") from error
        message_id = request.headers["webhook-id"]
        if len(message_id) > ID_MAX:
            raise self._refused(web.HTTPBadRequest, "id")
        match event:
            case MessageStatus(data=status):
                await self._door.receipt(self._gateway.operator, status.id[:ID_MAX], status.state)
            case MessageReceived(data=received):
                await self._door.arrived(
                    self._gateway.operator,
                    Brought(
                        source=received.source,
                        destination=received.to,
                        text=received.text[: TEXT_MAX + 1],
                        message_id=message_id,
                        sent_ms=received.sent_ms,
                    ),
                )
        return web.Response(status=204)

    def _refused(self, kind: type[web.HTTPException], reason: str) -> web.HTTPException:
        self._metrics.count("sms_gateway_refused_total", gateway="webhook", reason=reason)
        return kind(text=f"{reason}\n")

    async def _send(self, outgoing: Outgoing) -> Handed:
        message_id = str(outgoing.id)
        sent = Sent(id=message_id, source=outgoing.short_code, to=outgoing.to, text=outgoing.text)
        body = msgspec.json.encode(MessageSend(data=sent))
        now = dt.datetime.fromtimestamp(wall_ms() // 1_000, dt.UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._keys[0].sign(message_id, now, body.decode()),
        }
        try:
            async with self._client.post(
                self._gateway.url,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=ANSWER_MAX_S),
                allow_redirects=False,
            ) as answer:
                status, said = answer.status, await answer.content.read(BODY_MAX)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Handed(handing=Handing.LATER, reason=type(error).__name__)
        if 200 <= status < 300:
            return Handed(handing=Handing.HANDED_OVER, message_id=_name_of(said) or message_id)
        refused = status in (400, 404, 410, 422)
        return Handed(handing=Handing.REFUSED if refused else Handing.LATER, reason=f"status {status}")


def _is_signed(key: Webhook, raw: bytes, headers: dict[str, str]) -> bool:
    try:
        key.verify(raw, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # the second: a signature that is none
        return False
    return True


def _name_of(said: bytes) -> str:
    try:
        return msgspec.json.decode(said, type=Accepted).id[:ID_MAX]
    except msgspec.DecodeError:
        return ""
