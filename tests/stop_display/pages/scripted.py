"""A server of boards whose every word is the test's: the real page files, the real wire, no city behind them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from ayaldama.web.vendor import vendor_routes
from commons.assets import asset_of, asset_route
from commons.texts import load_catalogue
from stop_display.model import (
    Ack,
    BoardAlert,
    BoardAnswer,
    BoardArrival,
    Change,
    FromBoard,
    Heartbeat,
    Hello,
    Line,
    Refusal,
    Snapshot,
    StopBoard,
    Subscribe,
    ToBoard,
)
from stop_display.server import PAGE_FILES, WEB
from stop_display.squeeze import squeezed
from stop_display.timetable import Headway, Timetable, TimetableLine
from stop_display.timetable_routes import WORKER
from tests.dispatch.pages import served
from tests.patience import PATIENCE_S

NOON_MS: Final = 1_790_060_400_000  # 22 September 2026, 12:00 at UTC+5
MINUTE_MS: Final = 60_000
UTC_OFFSET_S: Final = 5 * 3600
STOP: Final = "alan"
NAME: Final = {"kk": "Орталық алаң", "ru": "Центральная площадь", "en": "Central square"}
BAZAAR: Final = {"kk": "Базар", "ru": "Базар", "en": "Bazaar"}
SHUGYLA: Final = {"kk": "Шұғыла мөлтек ауданы", "ru": "мкр Шугыла", "en": "Shugyla district"}

_encoder: Final = msgspec.json.Encoder()


def live(minutes: float, *, key: str = "v1|run|3", state: str = "live", **more: object) -> BoardArrival:
    """An arrival of a followed bus, so many minutes after noon."""
    return msgspec.convert(
        {"key": key, "state": state, "arrival_ms": NOON_MS + round(minutes * MINUTE_MS), "vehicle": "v1", **more},
        BoardArrival,
    )


def planned(minutes: float, *, key: str = "|run2|3", state: str = "timetable", wheelchair: str = "") -> BoardArrival:
    at_ms = NOON_MS + round(minutes * MINUTE_MS)
    return BoardArrival(key=key, state=state, arrival_ms=at_ms, scheduled_ms=at_ms, wheelchair=wheelchair)


def alert(
    name: str, *, takeover: bool = False, routes: Sequence[str] = (), text: str = "", until_ms: int | None = None
) -> BoardAlert:
    """An alert whose words are ``name`` and ``text`` with the language before them."""
    words = [
        {language: f"{language}: {said}" for language in ("kk", "ru", "en")} if said else {} for said in (name, text)
    ]
    return BoardAlert(
        id=name, header=words[0], text=words[1], takeover=takeover, routes=list(routes), until_ms=until_ms
    )


def timetable_line(
    *minutes: float, route: str = "10", destination: Mapping[str, str] = SHUGYLA, headways: Sequence[Headway] = ()
) -> TimetableLine:
    """A line that leaves so many minutes after noon."""
    return TimetableLine(
        key=f"{route}|{destination['kk']}",
        route_id=route,
        route=route,
        destination=destination,
        departures_ms=[NOON_MS + round(one * MINUTE_MS) for one in minutes],
        headways=list(headways),
        colour="1F6FB2",
    )


def line(
    *arrivals: BoardArrival,
    route: str = "10",
    destination: Mapping[str, str] = SHUGYLA,
    state: str = "",
    colour: str = "1F6FB2",
    text_colour: str = "",
    first_ms: int | None = None,
    headway_s: tuple[int, int] | None = None,
) -> Line:
    return Line(
        key=f"{route}|{destination['kk']}",
        route_id=route,
        route=route,
        destination=destination,
        state=state or (arrivals[0].state.replace("live_terminal", "live") if arrivals else "no_data"),
        arrivals=list(arrivals),
        colour=colour,
        text_colour=text_colour,
        first_ms=first_ms,
        headway_s=headway_s,
    )


def board(
    *lines: Line,
    name: Mapping[str, str] = NAME,
    stop: str = STOP,
    code: str = "017",
    alerts: Sequence[BoardAlert] = (),
) -> StopBoard:
    return StopBoard(stop=stop, code=code, name=name, lines=list(lines), alerts=list(alerts))


@dataclass(slots=True)
class Script:
    """The server's side of one board. Its clock stands still until the test moves ``now_ms``."""

    board: StopBoard = field(default_factory=board)
    others: Sequence[StopBoard] = ()  # further stops that there are
    timetables: Mapping[str, Sequence[TimetableLine]] = field(default_factory=dict)  # date → lines, of every stop
    spread_s: float = 0
    voice: bytes = b""  # WAV; none: 501
    now_ms: int = NOON_MS
    rate: float = 1.0
    session: str = "first"
    sequence: int = 1
    sockets_refused: bool = False
    polls_refused: bool = False
    page_missing: bool = False
    page_asked: bool = False  # while it was missing
    resumed: bool = False
    tracking_silent_ms: int = 0
    polled: list[str | None] = field(default_factory=list)  # the ETag that each poll brought
    timetables_asked: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    connected: int = 0
    _said: asyncio.Queue[FromBoard] = field(default_factory=asyncio.Queue)
    _socket: web.WebSocketResponse | None = None

    def routes(self) -> list[web.RouteDef]:
        texts = {language: dict(texts) for language, texts in load_catalogue("stop_display").items()}
        catalogue = asset_of(_encoder.encode(texts), "application/json")

        async def answer_texts(request: web.Request) -> web.Response:
            return catalogue.answer(request, max_age_s=0)

        return [
            web.get("/board/ws", self._speak),
            web.get("/board/{stop}", self._answer_page),
            *(asset_route(f"/static/board/{name}", WEB / name, prepare=squeezed(name)) for name in PAGE_FILES),
            web.get("/static/board/texts.json", answer_texts),
            web.get("/api/stops/{stop}/board", self._poll),
            web.get("/api/stops/{stop}/timetable", self._timetable),
            web.get("/api/stops/{stop}/speech", self._say),
            asset_route("/board-worker.js", WORKER),
            *vendor_routes(),
        ]

    async def heard(self, kind: type[FromBoard]) -> FromBoard:
        """Return the next message of that kind that the board sends."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self._said.get()
                if isinstance(message, kind):
                    return message

    async def tell(self, *messages: ToBoard) -> None:
        assert self._socket is not None
        for message in messages:
            await self._socket.send_str(_encoder.encode(message).decode())

    async def tell_raw(self, text: str) -> None:
        assert self._socket is not None
        await self._socket.send_str(text)

    @property
    def waiting(self) -> bool:
        """Whether the board has said something that the test has not looked at."""
        return not self._said.empty()

    async def change(self, *lines: Line, stop: str = STOP, alerts: Sequence[BoardAlert] | None = None) -> None:
        self.sequence += 1
        await self.tell(
            Change(
                sequence=self.sequence,
                server_ms=self.now_ms,
                as_of_ms=self.now_ms - self.tracking_silent_ms,
                stop=stop,
                lines=list(lines),
                alerts=None if alerts is None else list(alerts),
            )
        )

    async def beat(self) -> None:
        await self.tell(
            Heartbeat(
                sequence=self.sequence,
                server_ms=self.now_ms,
                utc_offset_s=UTC_OFFSET_S,
                as_of_ms=self.now_ms - self.tracking_silent_ms,
            )
        )

    async def cut(self) -> None:
        """Close the connection, as a server that is stopped."""
        if self._socket is not None:
            await self._socket.close()

    async def _answer_page(self, request: web.Request) -> web.StreamResponse:
        if self.page_missing:
            self.page_asked = True
            return web.Response(status=502)
        return web.FileResponse(WEB / "board.html")

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        self.connected += 1
        if self.sockets_refused:
            raise web.HTTPServiceUnavailable(text="no sockets")
        self._socket = socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = msgspec.json.decode(message.data, type=Subscribe | Ack)
            if isinstance(said, Subscribe):
                await self._greet(said)
            self._said.put_nowait(said)
        return socket

    async def _greet(self, said: Subscribe) -> None:
        boards = {one.stop: one for one in (self.board, *self.others)}
        known = [boards[stop] for stop in said.stops if stop in boards]
        for stop in said.stops:
            if stop not in boards:
                await self.tell(Refusal(code="unknown_stop", field="stops", value=stop, rule="no such stop"))
        if not known:
            return
        self.resumed = said.resume is not None and said.resume.session == self.session
        await self.tell(
            Hello(
                protocol=1,
                server_ms=self.now_ms,
                rate=self.rate,
                session=self.session,
                time_zone="Asia/Qyzylorda",
                utc_offset_s=UTC_OFFSET_S,
                heartbeat_s=10,
                stale_after_s=60,
                drop_after_s=90,
                resumed=self.resumed,
                spread_s=self.spread_s,
            )
        )
        as_of_ms = self.now_ms - self.tracking_silent_ms
        for one in () if self.resumed else known:
            sequence = self.sequence if one is known[-1] else 0
            await self.tell(Snapshot(sequence=sequence, server_ms=self.now_ms, as_of_ms=as_of_ms, board=one))

    async def _poll(self, request: web.Request) -> web.Response:
        self.polled.append(request.headers.get("If-None-Match"))
        if self.polls_refused:
            return web.Response(status=503)
        boards = {one.stop: one for one in (self.board, *self.others)}
        found = boards.get(request.match_info["stop"])
        if found is None:
            return web.Response(status=404)
        tag = asset_of(_encoder.encode(found), "application/json").etag
        headers = {"ETag": f'"{tag}"', "X-Server-Ms": str(self.now_ms), "Cache-Control": "no-cache"}
        headers["X-As-Of-Ms"] = str(self.now_ms - self.tracking_silent_ms)
        if any(known.value == tag for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        answer = BoardAnswer(
            server_ms=self.now_ms,
            rate=self.rate,
            time_zone="Asia/Qyzylorda",
            utc_offset_s=UTC_OFFSET_S,
            as_of_ms=self.now_ms - self.tracking_silent_ms,
            board=found,
        )
        return web.Response(body=_encoder.encode(answer), content_type="application/json", headers=headers)

    async def _timetable(self, request: web.Request) -> web.Response:
        date = request.query["date"]
        self.timetables_asked.append(date)
        boards = {one.stop: one for one in (self.board, *self.others)}
        found = boards.get(request.match_info["stop"])
        if found is None:
            return web.Response(status=404)
        answer = Timetable(
            stop=found.stop,
            code=found.code,
            name=found.name,
            date=date,
            time_zone="Asia/Qyzylorda",
            utc_offset_s=UTC_OFFSET_S,
            lines=list(self.timetables.get(date, ())),
        )
        return web.Response(body=_encoder.encode(answer), content_type="application/json")

    async def _say(self, request: web.Request) -> web.Response:
        self.spoken.append(f"{request.match_info['stop']} {request.query['lang']}")
        if not self.voice:
            return web.Response(status=501)
        return web.Response(body=self.voice, content_type="audio/wav")


@asynccontextmanager
async def scripted(script: Script, *, port: int = 0, more: Sequence[web.RouteDef] = ()) -> AsyncIterator[str]:
    """Serve ``script`` and ``more``; give the address of its boards without the query."""
    async with served([*script.routes(), *more], port=port) as at:
        try:
            yield f"http://127.0.0.1:{at}/board/"
        finally:
            with contextlib.suppress(ConnectionError):
                await script.cut()
