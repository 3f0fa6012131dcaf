"""The page of the demo's telephones: type a message, read the answers. It holds no money and asks for no sign-in."""

from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from ayaldama.demo_sms.centre import MessageCentre
from ayaldama.demo_sms.phones import OPERATORS, READY, DemoPhone, PhoneMessage, Phones, operator_of
from commons.assets import asset_of, asset_route
from commons.clock import Clock
from commons.texts import load_catalogue
from fare.media.phone import phone_number
from fare.model import PhoneNumber

WEB: Final = Path(__file__).with_name("web")
TEXT_MAX: Final = 300  # characters: some parts of a long message
BODY_MAX: Final = 4_096  # bytes
HELD_S: Final = 20.0  # how long a page waits for the next message
OWN_HEADER: Final = "X-Emulator"  # which no page of another origin can send

_encoder: Final = msgspec.json.Encoder()


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /sms/emulator/send``."""

    number: str
    short_code: str
    text: str


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What the page begins with. ``bound``: whether somebody takes an operator's messages now."""

    short_code: str
    phones: tuple[DemoPhone, ...]
    bound: dict[str, bool]


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """What a telephone shows that the page has not got yet."""

    phone: PhoneNumber
    operator: str
    bound: bool
    messages: list[PhoneMessage]


class EmulatorPage:
    """The page and what it asks. ``short_code``: where telephones write to unless another is typed."""

    def __init__(self, centre: MessageCentre, phones: Phones, *, short_code: str, clock: Clock) -> None:
        self._centre, self._phones, self._short_code, self._clock = centre, phones, short_code, clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the page."""
        catalogue = {language: dict(texts) for language, texts in load_catalogue("ayaldama.demo_sms").items()}
        texts = asset_of(_encoder.encode(catalogue), "application/json")

        async def answer_texts(request: web.Request) -> web.Response:
            return texts.answer(request, max_age_s=0)

        return [
            asset_route("/sms/emulator", WEB / "emulator.html"),
            asset_route("/static/sms-emulator/emulator.css", WEB / "emulator.css"),
            asset_route("/static/sms-emulator/emulator.js", WEB / "emulator.js"),
            web.get("/static/sms-emulator/texts.json", answer_texts),
            web.get("/sms/emulator/network", self._network),
            web.get("/sms/emulator/messages", self._messages),
            web.post("/sms/emulator/send", self._send),
        ]

    async def _network(self, _request: web.Request) -> web.Response:
        bound = {operator: self._centre.is_bound(operator) for operator in OPERATORS}
        return _json(Network(short_code=self._short_code, phones=READY, bound=bound))

    async def _messages(self, request: web.Request) -> web.Response:
        number = _number(request.query.get("number", ""))
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) < 10):
            raise web.HTTPBadRequest(text="after\n")
        messages = await self._phones.wait(number, int(after), HELD_S)
        operator = operator_of(number)
        bound = self._centre.is_bound(operator)
        return _json(Screen(phone=number, operator=operator, bound=bound, messages=messages))

    async def _send(self, request: web.Request) -> web.Response:
        if OWN_HEADER not in request.headers:
            raise web.HTTPForbidden(text=f"header {OWN_HEADER} is missing\n")
        raw = await request.content.read(BODY_MAX + 1)
        try:
            typed = msgspec.json.decode(raw, type=Typed)
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text="body\n") from error
        number = _number(typed.number)
        code_is_one = typed.short_code.isascii() and typed.short_code.isdigit() and len(typed.short_code) <= 8
        if not code_is_one or not 0 < len(typed.text) <= TEXT_MAX:
            raise web.HTTPBadRequest(text="text or short_code\n")
        sent = self._centre.send(operator_of(number), number, typed.short_code, typed.text)
        if sent is None:
            raise web.HTTPTooManyRequests(text="the network is full\n")
        await self._phones.add(
            number,
            PhoneMessage(number=0, at_ms=self._clock.now_ms(), mine=True, short_code=typed.short_code, text=typed.text),
        )
        return web.Response(status=202)


def _number(typed: str) -> PhoneNumber:
    number = phone_number(typed)
    if number is None:
        raise web.HTTPBadRequest(text="number\n")
    return number


def _json(value: object) -> web.Response:
    return web.Response(
        body=_encoder.encode(value), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
