"""Short messages through Kannel, the gateway that many operators and aggregators run: its HTTP in both directions.

Kannel's smsbox calls us for each message (``get-url``) and we answer 200 with nothing once the message is durable, so
that it tries again after anything else. What we send goes to its ``sendsms``, and its delivery reports come back under
the name that we gave the message. Source: Kannel 1.4.5 user's guide, chapters 6.4 (sms-service) and 6.9 (sendsms).

Whoever may call is known by a secret in the URL, by its address, or both. Of each parameter there is one, of known
name, length and letters: what a rider writes can end up in a URL, and must not become parameters of it.
"""

import hmac
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from commons.metrics import Metrics
from fare.gateways.smpp_receipts import MessageState
from fare.gateways.sms_desk import Brought, Door, Handed, Handing, keep_sending
from fare.sms.values import TEXT_MAX, Outgoing

ANSWER_MAX_S: Final = 10.0
AT_ONCE: Final = 20
SECRET_MIN: Final = 16  # characters
REPORTS: Final = 1 | 2 | 16  # dlr-mask: delivered, failed, rejected by the operator

_ADDRESS: Final = re.compile(r"\+?[0-9A-Za-z ]{1,21}")
_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_TEXT: Final = re.compile(rf".{{0,{4 * TEXT_MAX}}}", re.DOTALL)  # in octets
_MESSAGE: Final[Mapping[str, re.Pattern[str]]] = {
    "from": _ADDRESS,
    "to": _ADDRESS,
    "text": _TEXT,
    "id": _ID,
    "at": _SECONDS,
    "charset": re.compile(r"[0-9A-Za-z-]{1,20}"),
}
_CHARSETS: Final = frozenset({"utf-8", "utf-16be", "iso-8859-1", "us-ascii"})
_REPORT: Final[Mapping[str, re.Pattern[str]]] = {"id": _ID, "state": re.compile(r"[0-9]{1,2}")}
_STATES: Final[Mapping[int, MessageState]] = {
    1: MessageState.DELIVERED,
    2: MessageState.UNDELIVERABLE,
    4: MessageState.ENROUTE,
    8: MessageState.ACCEPTED,
    16: MessageState.REJECTED,
}


class KannelGateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Kannel. ``receipts_url`` is how it reaches us; empty: no delivery reports are asked for.

    Raises:
        ValueError: if anybody could call in its name.
    """

    operator: str
    sendsms_url: str
    username: str
    password: str
    secret: str = ""
    addresses: tuple[str, ...] = ()
    smsc: str = ""  # Kannel's name of the connection to send through; empty: as Kannel routes
    receipts_url: str = ""

    def __post_init__(self) -> None:
        """Refuse a door without a lock."""
        if self.secret and len(self.secret) < SECRET_MIN:
            raise ValueError(f"kannel {self.operator}: secret must have at least {SECRET_MIN} characters")
        if not self.secret and not self.addresses:
            raise ValueError(f"kannel {self.operator}: secret or addresses must be set: who may bring messages?")

    def __repr__(self) -> str:
        """Show whose it is, and no secret."""
        return f"KannelGateway({self.operator}: {self.username} at {self.sendsms_url})"


class Kannel:
    """One Kannel at our door: ``routes`` for what it brings, ``run`` for what it sends."""

    def __init__(
        self,
        gateway: KannelGateway,
        door: Door,
        *,
        client: aiohttp.ClientSession,
        address_of: Callable[[web.Request], str],
        metrics: Metrics,
    ) -> None:
        self._gateway, self._door, self._client = gateway, door, client
        self._address_of, self._metrics = address_of, metrics

    def routes(self) -> list[web.RouteDef]:
        """Return where Kannel brings messages and delivery reports."""
        path = f"/sms/kannel/{self._gateway.operator}"
        return [web.get(path, self._message), web.get(f"{path}/receipt", self._report)]

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        await keep_sending(self._gateway.operator, self._door, self._send, at_once=AT_ONCE, metrics=self._metrics)

    async def _message(self, request: web.Request) -> web.Response:
        read = self._read(request, _MESSAGE)
        charset = read["charset"].lower()
        if charset not in _CHARSETS:
            raise self._refused(web.HTTPBadRequest, "charset")
        await self._door.arrived(
            self._gateway.operator,
            Brought(
                source=read["from"],
                destination=read["to"],
                text=read["text"].encode("latin-1").decode(charset, "replace"),
                message_id=read["id"],
                sent_ms=int(read["at"]) * 1_000,
            ),
        )
        return web.Response()  # an empty answer: Kannel sends nothing of its own

    async def _report(self, request: web.Request) -> web.Response:
        read = self._read(request, _REPORT)
        state = _STATES.get(int(read["state"]), MessageState.UNKNOWN)
        await self._door.receipt(self._gateway.operator, read["id"], state)
        return web.Response()

    def _read(self, request: web.Request, wanted: Mapping[str, re.Pattern[str]]) -> dict[str, str]:
        """Return the parameters, each once and as it must be.

        Raises:
            HTTPForbidden, HTTPBadRequest: if whoever calls is not Kannel, or it does not say what we ask for.
        """
        gateway = self._gateway
        if gateway.addresses and self._address_of(request) not in gateway.addresses:
            raise self._refused(web.HTTPForbidden, "address")
        try:
            given = urllib.parse.parse_qsl(
                request.rel_url.raw_query_string,
                keep_blank_values=True,
                strict_parsing=True,
                encoding="latin-1",  # octets as they came: their charset is one of the parameters
                max_num_fields=len(wanted) + 1,
            )
        except ValueError as error:
            raise self._refused(web.HTTPBadRequest, "parameters") from error
        query = dict(given)
        secret = query.pop("secret", "")
        if gateway.secret and not _same(secret, gateway.secret):
            raise self._refused(web.HTTPForbidden, "secret")
        if query.keys() != wanted.keys() or len(given) != len(wanted) + bool(secret):
            raise self._refused(web.HTTPBadRequest, "parameters")
        for name, form in wanted.items():
            if not form.fullmatch(query[name]):
                raise self._refused(web.HTTPBadRequest, name)
        return query

    def _refused(self, kind: type[web.HTTPException], reason: str) -> web.HTTPException:
        self._metrics.count("sms_gateway_refused_total", gateway="kannel", reason=reason)
        return kind(text=f"{reason}\n")

    async def _send(self, outgoing: Outgoing) -> Handed:
        gateway = self._gateway
        parameters = {
            "username": gateway.username,
            "password": gateway.password,
            "from": outgoing.short_code,
            "to": outgoing.to,
            "text": outgoing.text,
            "coding": "0" if outgoing.text.isascii() else "2",
            "charset": "UTF-8",
        }
        if gateway.smsc:
            parameters["smsc"] = gateway.smsc
        if gateway.receipts_url:
            parameters |= {"dlr-mask": str(REPORTS), "dlr-url": self._receipt_url(str(outgoing.id))}
        try:
            async with self._client.get(  # the only method that Kannel reads parameters of
                gateway.sendsms_url,
                params=parameters,
                timeout=aiohttp.ClientTimeout(total=ANSWER_MAX_S),
                allow_redirects=False,
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            return Handed(handing=Handing.LATER, reason=type(error).__name__)  # its text holds the URL: a password
        if status in (200, 202):
            return Handed(handing=Handing.HANDED_OVER, message_id=str(outgoing.id))
        return Handed(handing=Handing.REFUSED if status == 400 else Handing.LATER, reason=f"status {status}")

    def _receipt_url(self, outgoing_id: str) -> str:
        base = URL(self._gateway.receipts_url) / "sms" / "kannel" / self._gateway.operator / "receipt"
        known = {"id": outgoing_id} | ({"secret": self._gateway.secret} if self._gateway.secret else {})
        return f"{base.with_query(known)}&state=%d"  # %d is Kannel's to fill in


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
