"""The screen of a validator: one page on the device itself, and in emulation the drawer of cards beside it.

It listens on the device alone. What changes anything needs a header that no page of another origin can send.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from aiohttp import WSCloseCode, web

from commons.assets import asset_of, asset_route
from commons.texts import load_catalogue
from fare.model import RiderCategory, Riders
from fare.validator.drawer import CARDS, EmulatedReader
from fare.validator.program import Validator
from fare.validator.qr_reader import LINE_MAX
from fare.validator.screen import Shown

Kind = TypeVar("Kind")

WEB: Final = Path(__file__).with_name("web")
STATUS_EVERY_S: Final = 1.0
SEND_MAX_S: Final = 5.0
SCREENS_MAX: Final = 8
WAITING_MAX: Final = 50
OWN_HEADER: Final = "X-Validator"

_encoder: Final = msgspec.json.Encoder()


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /hold``."""

    cards: tuple[str, ...]
    torn: bool = False


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /code``: what a scanner typed, or somebody did in its place."""

    text: Annotated[str, msgspec.Meta(max_length=LINE_MAX)]


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /companions``."""

    riders: tuple[tuple[str, int], ...]


class Screens:
    """All open screens of one validator. ``show`` is what the validator is given to show with."""

    def __init__(self) -> None:
        self._open: set[asyncio.Queue[bytes]] = set()
        self._sockets: set[web.WebSocketResponse] = set()

    def show(self, shown: Shown) -> None:
        """Show an answer everywhere; a screen that hangs misses some and nobody waits for it."""
        message = _encoder.encode(shown)
        for waiting in self._open:
            if not waiting.full():
                waiting.put_nowait(message)

    async def speak(self, request: web.Request, validator: Validator) -> web.StreamResponse:
        """Serve one screen: answers as they come, the status each second."""
        if len(self._open) >= SCREENS_MAX:
            raise web.HTTPServiceUnavailable(text="too many screens")
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=1_024)
        await socket.prepare(request)
        waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MAX)
        self._open.add(waiting)
        self._sockets.add(socket)
        listening = asyncio.create_task(_until_closed(socket))
        try:
            while not socket.closed:
                async with asyncio.timeout(SEND_MAX_S):
                    await socket.send_str(_encoder.encode(validator.status()).decode())
                    while not waiting.empty():
                        await socket.send_str(waiting.get_nowait().decode())
                await _first_of(waiting, STATUS_EVERY_S, socket)
        except (ConnectionError, TimeoutError):
            pass  # the page opens it again
        finally:
            listening.cancel()
            self._open.discard(waiting)
            self._sockets.discard(socket)
        return socket

    async def close(self) -> None:
        """Say goodbye to every screen."""
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)


def routes(validator: Validator, screens: Screens, emulated: EmulatedReader | None) -> list[web.RouteDef]:
    """Return the routes of the screen; ``emulated`` adds the drawer."""
    catalogue = {language: dict(texts) for language, texts in load_catalogue("fare.validator").items()}
    texts = asset_of(_encoder.encode(catalogue), "application/json")
    cards = [card.name for card in CARDS] if emulated else []

    async def answer_texts(request: web.Request) -> web.Response:
        return texts.answer(request, max_age_s=0)

    async def answer_drawer(_request: web.Request) -> web.Response:
        body = _encoder.encode({"cards": cards, "categories": validator.configuration.concessions})
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def answer_socket(request: web.Request) -> web.StreamResponse:
        return await screens.speak(request, validator)

    return [
        asset_route("/", WEB / "validator.html"),
        asset_route("/static/validator/validator.css", WEB / "validator.css"),
        asset_route("/static/validator/validator.js", WEB / "validator.js"),
        web.get("/static/validator/texts.json", answer_texts),
        web.get("/drawer.json", answer_drawer),
        web.get("/ws", answer_socket),
        *_buttons(validator),
        *([] if emulated is None else [_drawer(emulated)]),
    ]


def _buttons(validator: Validator) -> list[web.RouteDef]:
    async def take_companions(request: web.Request) -> web.Response:
        chosen = await _own(request, Chosen)
        try:
            validator.choose(tuple(Riders(category=RiderCategory(one), count=count) for one, count in chosen.riders))
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.Response(status=202)

    async def take_free(request: web.Request) -> web.Response:
        await _own(request, dict)
        await validator.let_ride()
        return web.Response(status=202)

    async def take_code(request: web.Request) -> web.Response:
        scanned = await _own(request, Scanned)
        await validator.present_code(scanned.text, "page")
        return web.Response(status=202)

    return [
        web.post("/companions", take_companions),
        web.post("/free", take_free),
        web.post("/code", take_code),
    ]


def _drawer(emulated: EmulatedReader) -> web.RouteDef:
    async def take_card(request: web.Request) -> web.Response:
        held = await _own(request, Held)
        try:
            emulated.hold(held.cards, torn=held.torn)
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        except asyncio.QueueFull as error:
            raise web.HTTPTooManyRequests(text="the reader is busy") from error
        return web.Response(status=202)

    return web.post("/hold", take_card)


async def _own(request: web.Request, kind: type[Kind]) -> Kind:
    """Return the body of a request of our own page.

    Raises:
        web.HTTPForbidden: if another page sent it.
        web.HTTPBadRequest: if it is not of ``kind``.
    """
    if OWN_HEADER not in request.headers:
        raise web.HTTPForbidden(text=f"header {OWN_HEADER} is missing")
    try:
        return msgspec.json.decode(await request.read() or b"{}", type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise web.HTTPBadRequest(text=str(error)) from error


async def _until_closed(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass  # a screen has nothing to say; reading notices that it went


async def _first_of(waiting: "asyncio.Queue[bytes]", seconds: float, socket: web.WebSocketResponse) -> None:
    try:
        async with asyncio.timeout(seconds):
            message = await waiting.get()
    except TimeoutError:
        return
    await socket.send_str(message.decode())
