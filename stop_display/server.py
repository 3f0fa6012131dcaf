"""The edge of the boards: one WebSocket per board, and the page itself; ``…_routes`` have what is asked for by HTTP.

aiohttp's WebSockets are used because they share the port, the limits and the shutdown of the pages;
``bench/websocket_libraries.py`` compares them with the ``websockets`` library. Deadlines of connections are wall
seconds, ages of data are city time.
"""

import asyncio
import collections
import functools
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec
from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from commons.assets import asset_of, asset_route
from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from commons.texts import load_catalogue
from gtfs_data.calendar import utc_offset_s
from gtfs_data.network import Network
from stop_display.admission import Admission, spread_s
from stop_display.frames import text_frame
from stop_display.hub import Hub
from stop_display.link import Link
from stop_display.model import (
    PROTOCOL,
    Ack,
    Heartbeat,
    Hello,
    Refusal,
    StopBoard,
    ToBoard,
    quoted,
)
from stop_display.open_stop import Frame
from stop_display.outcomes import Drop, Problem
from stop_display.panels.desk import PanelDesk, Screen
from stop_display.panels.model import KeyProblem, Panel
from stop_display.polling_routes import polling_routes
from stop_display.rendering_routes import Renderings
from stop_display.search import StopSearch
from stop_display.session import MESSAGE_MAX_BYTES, Heard, Session
from stop_display.shares import Shares, origin_of
from stop_display.squeeze import squeezed
from stop_display.timetable_routes import timetable_routes
from stop_display.turns import Turns
from transit.model import Update
from transit.notices import Notices
from transit.store.redis_state import FeedGapError, StateSnapshot

GATHER_S: Final = 0.05  # changes that come so close together are one message
LOOK_S: Final = 0.25
STOPS_AT_ONCE: Final = 8  # renewed before others have their turn: some milliseconds
HEARTBEAT_S: Final = 10.0
BEATS: Final = 20  # turns in which boards get their heartbeats, one after the other
BEATEN_AT_ONCE: Final = 100  # heartbeats written before others have their turn: some milliseconds
STALE_AFTER_S: Final = 60.0
DROP_AFTER_S: Final = 90.0
FIRST_MESSAGE_MAX_S: Final = 10.0
PING_S: Final = 25.0
PAUSE_S: Final = 1.0
SNAPSHOT_MAX_S: Final = 15.0
CAUSES_HELD: Final = 20_000  # sequence numbers of which the causing fix is known
PAINTED_AHEAD_MAX_MS: Final = 5_000
SCREENS_PER_KEY_MAX: Final = 32  # beyond them a key does not spare a connection its address' share: it was stolen

WEB: Final = Path(__file__).with_name("web")
PAGE_FILES: Final = (
    *("board.css", "panel.css", "words.js", "clock.js", "told.js", "feed.js", "kept.js", "rows.js", "alerts.js"),
    *("panel_config.js", "health.js", "board.js"),
)

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class BoardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator chooses about boards."""

    boards_max: int = 20_000
    boards_per_address: int = 2_000
    abbreviations: Path | None = None  # of names, for narrow panels
    public_url: str = ""  # where phones reach stops' pages, "" for the address that was asked


class State(Protocol):
    """What boards need of ``transit.store.redis_state.StateReader``."""

    async def snapshot(self) -> StateSnapshot:
        """Return everything published and from where to follow."""

    def follow(self, from_id: str) -> AsyncIterator[tuple[str, Update]]:
        """Yield every update after ``from_id``, for ever."""


@dataclass(slots=True, eq=False)
class _Board:
    """One connection, and what it looks at."""

    link: Link
    session: Session
    address: str = ""
    screen: Screen | None = None  # of a registered board
    stops: tuple[str, ...] = ()


class Boards:
    """Run ``run`` for as long as the application serves ``routes``."""

    def __init__(
        self,
        network: Network,
        *,
        state: State,
        clock: Clock,
        metrics: Metrics,
        settings: BoardSettings,
        panels: PanelDesk | None = None,
        address_of: Callable[[web.Request], str] = lambda request: request.remote or "",
    ) -> None:
        self._hub = Hub(network)
        self._search = StopSearch(network, self._hub.plan)
        self._renderings = Renderings(
            self._hub,
            clock=clock,
            metrics=metrics,
            abbreviations=settings.abbreviations,
            public_url=settings.public_url,
        )
        self._state = state
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._panels = panels
        self._address_of = address_of
        self._session_id = secrets.token_hex(8)  # of this process: sequence numbers count from its start
        self._admission = Admission()
        self._shares: Shares[_Board] = Shares(settings.boards_per_address)
        self._turns: Turns[_Board] = Turns(BEATS)
        self._boards: set[_Board] = set()
        self._looking: collections.defaultdict[str, set[_Board]] = collections.defaultdict(set)
        self._causes: collections.OrderedDict[int, int] = collections.OrderedDict()
        self._changed = asyncio.Event()
        texts = {language: dict(texts) for language, texts in load_catalogue("stop_display").items()}
        self._texts = asset_of(_encoder.encode(texts), "application/json")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of page, WebSocket and API."""
        return [
            web.get("/board/ws", self._speak),
            web.get("/board/{stop_id}", self._answer_page),
            *(asset_route(f"/static/board/{name}", WEB / name, prepare=squeezed(name)) for name in PAGE_FILES),
            web.get("/static/board/texts.json", self._answer_texts),
            *polling_routes(self._hub, self._search, self._clock),
            *self._renderings.routes(),
            *timetable_routes(self._hub.plan, self._clock),
        ]

    @property
    def hub(self) -> Hub:
        """The contents of all boards, for other pages that show them."""
        return self._hub

    @property
    def search(self) -> StopSearch:
        """The stops, ready to be searched."""
        return self._search

    def fill(self, occupancy: Mapping[str, str]) -> None:
        """Show how full vehicles are, by vehicle id."""
        self._hub.fill(occupancy)

    def heed(self, notices: Notices) -> None:
        """Show what dispatchers say."""
        self._hub.heed(notices, self._clock.now_ms())
        self._changed.set()

    def contents(self, stop_id: str) -> StopBoard | None:
        """Return what boards of a stop show now, None if there is no such stop."""
        return self._hub.board(stop_id, self._clock.now_ms()) if self._hub.knows(stop_id) else None

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the feed and tell the boards, until ``stop``; then ask them to come back later."""
        async with asyncio.TaskGroup() as tasks:
            working = [
                tasks.create_task(self._follow(), name="boards-follow"),
                tasks.create_task(self._tell(), name="boards-tell"),
                tasks.create_task(self._beat(), name="boards-heartbeat"),
            ]
            await stop.wait()
            for task in working:
                task.cancel()
        for board in list(self._boards):
            self._hang_up(board, Drop.STOPPING)

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(SNAPSHOT_MAX_S):
                    snapshot = await self._state.snapshot()
                self._hub.replace(snapshot.arrivals, snapshot.vehicles, snapshot.as_of_ms, snapshot.detours)
                self._changed.set()
                async for _, update in self._state.follow(snapshot.stream_id):
                    self._hub.apply(update)
                    self._changed.set()
            except FeedGapError as gap:
                _log.info("boards take a new snapshot", reason=str(gap))
            except Exception as error:  # noqa: BLE001 - the top of the role: counted, logged, survived
                self._metrics.count("role_errors_total", role="boards", where="follow")
                _log.warning("boards wait for the change feed", error=str(error), again_in_s=PAUSE_S)
                await asyncio.sleep(PAUSE_S)

    async def _tell(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            except TimeoutError:
                pass  # time alone changes boards, too
            self._changed.clear()
            for looked_at, stop_id in enumerate(self._hub.due(self._clock.now_ms(), monotonic_s()), start=1):
                self._renew(stop_id)
                if looked_at % STOPS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # neither the first change nor a heartbeat need wait for the last stop
            await asyncio.sleep(GATHER_S)

    def _renew(self, stop_id: str) -> None:
        try:
            frame = self._hub.renew(stop_id, self._clock.now_ms(), monotonic_s())
        except Exception as error:  # noqa: BLE001 - one stop that cannot be made must not keep the others waiting
            self._metrics.count("role_errors_total", role="boards", where="tell")
            _log.exception("a board could not be made", stop=stop_id, error=str(error))
            return
        if frame is not None:
            self._send_frame(frame)

    async def _beat(self) -> None:
        while True:
            for boards in self._turns.round():
                await asyncio.sleep(HEARTBEAT_S / BEATS)
                for first in range(0, len(boards), BEATEN_AT_ONCE):
                    self._beat_for(boards[first : first + BEATEN_AT_ONCE])
                    await asyncio.sleep(0)

    def _beat_for(self, boards: Iterable[_Board]) -> None:
        heartbeat = Heartbeat(
            sequence=self._hub.sequence,
            server_ms=self._clock.now_ms(),
            utc_offset_s=self._utc_offset_s(),
            as_of_ms=self._hub.as_of_ms,
            spread_s=spread_s(len(self._boards)),
        )
        frame, now_s = text_frame(_encoder.encode(heartbeat)), monotonic_s()
        subscribed = [board for board in boards if board.session.subscribed]
        for board in subscribed:
            board.link.look(now_s)
            board.link.send(frame)
        self._metrics.count("boards_messages_total", len(subscribed), type="heartbeat")

    def _send_frame(self, frame: Frame) -> None:
        if frame.fix_ms is not None:
            self._causes[frame.sequence] = frame.fix_ms
            if len(self._causes) > CAUSES_HELD:
                self._causes.popitem(last=False)
        looking = self._looking.get(frame.stop_id, ())
        for board in list(looking):
            board.link.send(frame.wire)
        self._metrics.count("boards_messages_total", len(looking), type="change")

    def _hand(self, board: _Board, text: str, kind: str) -> None:
        """Send a message that is for one board alone."""
        self._send(board, text_frame(text.encode()), kind)

    def _hang_up(self, board: _Board, reason: Drop) -> None:
        board.link.hang_up(reason)

    def _send(self, board: _Board, frame: bytes, kind: str) -> None:
        board.link.send(frame)
        self._metrics.count("boards_messages_total", type=kind)

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        await self._let_in()
        socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=MESSAGE_MAX_BYTES, compress=False)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:  # gone already
            return socket
        board = _Board(
            link=Link(socket, transport), session=Session(self._hub.knows), address=self._address_of(request)
        )
        self._boards.add(board)
        self._turns.join(board)
        self._metrics.set("boards_connected", len(self._boards))
        crowded_out = self._shares.enter(origin_of(board.address), board)
        if crowded_out is not None:
            self._metrics.count("boards_refused_total", reason=Problem.ADDRESS_FULL)
            crowded_out.link.abort(Drop.ADDRESS_FULL)
        try:
            await self._listen(socket, board)
            await board.link.closed()
        finally:
            self._boards.discard(board)
            self._turns.leave(board)
            self._shares.leave(origin_of(board.address), board)
            self._metrics.set("boards_connected", len(self._boards))
            self._look_at(board, ())
            self._leave_fleet(board)
            if board.link.drop is not None:
                self._metrics.count("boards_dropped_total", reason=board.link.drop)
                _log.info("board let go", board=board.session.board, reason=board.link.drop)
        return socket

    async def _let_in(self) -> None:
        """Wait until a board has its turn; refuse it where there is no room or too many wait already."""
        self._make_sure_of_room()
        wait_s = self._admission.wait_s(monotonic_s())
        if wait_s is None:
            self._metrics.count("boards_refused_total", reason=Drop.CROWD)
            raise web.HTTPServiceUnavailable(text="many boards come at once: come back", headers={"Retry-After": "5"})
        if wait_s:
            await asyncio.sleep(wait_s)
            self._make_sure_of_room()  # others came in meanwhile

    def _make_sure_of_room(self) -> None:
        if len(self._boards) >= self._settings.boards_max:
            self._metrics.count("boards_dropped_total", reason=Drop.FULL)
            self._metrics.count("boards_refused_total", reason=Drop.FULL)
            raise web.HTTPServiceUnavailable(text=f"{self._settings.boards_max} boards are connected already")

    async def _listen(self, socket: web.WebSocketResponse, board: _Board) -> None:
        while True:
            try:
                message = await socket.receive(None if board.session.subscribed else FIRST_MESSAGE_MAX_S)
            except TimeoutError:
                board.link.drop = Drop.NO_SUBSCRIPTION
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"subscribe first")
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                board.link.drop = board.link.drop or _cause(message.data)
                if isinstance(message.data, WebSocketError):
                    self._metrics.count("boards_refused_total", reason=Problem.BAD_FRAME)
                return  # closed by either side, or more than it may say at once
            if board.link.drop is None:
                self._heed(board, board.session.hear(message.data, monotonic_s()))

    def _heed(self, board: _Board, heard: Heard) -> None:
        for refusal in heard.refusals:
            self._metrics.count("boards_refused_total", reason=refusal.code)
            self._hand(board, _text(refusal), "problem")
        if heard.drop is not None:
            self._hang_up(board, heard.drop)
        elif heard.ack is not None:
            self._note_painted(board, heard.ack)
        elif heard.stops:
            self._welcome(board, heard)

    def _subscribe(self, board: _Board, heard: Heard) -> None:
        now_ms = self._clock.now_ms()
        self._look_at(board, heard.stops)
        frames, resumed = self._hub.welcome(heard.stops, heard.resume, self._session_id, now_ms)
        hello = Hello(
            protocol=PROTOCOL,
            server_ms=now_ms,
            rate=self._clock.rate,
            session=self._session_id,
            time_zone=self._hub.network.time_zone,
            utc_offset_s=self._utc_offset_s(),
            heartbeat_s=HEARTBEAT_S,
            stale_after_s=STALE_AFTER_S,
            drop_after_s=DROP_AFTER_S,
            resumed=resumed,
            spread_s=spread_s(len(self._boards)),
        )
        self._hand(board, _text(hello), "hello")
        for frame in frames:
            self._send(board, frame, "change" if resumed else "snapshot")

    def _welcome(self, board: _Board, heard: Heard) -> None:
        """Subscribe a board. One that shows no key may come; one whose key is wrong is told so and let go."""
        self._leave_fleet(board)
        admitted: Panel | KeyProblem | None = None
        if heard.key:
            admitted = self._panels.admit(heard.key, board.address) if self._panels else KeyProblem.UNKNOWN_KEY
        if isinstance(admitted, KeyProblem):
            self._refuse_key(board, admitted)
            return
        if not self._has_place(board, admitted):
            most = self._settings.boards_per_address
            rule = f"at most {most} boards of one address at once; those that show a key do not count"
            refusal = Refusal(code=Problem.ADDRESS_FULL, field="address", value=quoted(board.address), rule=rule)
            self._turn_away(board, Drop.ADDRESS_FULL, refusal)
            return
        self._subscribe(board, heard)
        if admitted is not None and self._panels is not None:
            board.screen = Screen(
                name=admitted.name,
                tell=functools.partial(self._hand, board, kind="configuration"),
                turn_away=functools.partial(self._refuse_key, board),
            )
            self._panels.join(board.screen)

    def _has_place(self, board: _Board, panel: Panel | None) -> bool:
        """Return whether a board may stay, whatever else comes from its address."""
        origin = origin_of(board.address)
        if panel is None or self._panels is None or self._panels.connected(panel.name) >= SCREENS_PER_KEY_MAX:
            return self._shares.claim(origin, board)
        self._shares.leave(origin, board)
        return True

    def _leave_fleet(self, board: _Board) -> None:
        if self._panels is not None and board.screen is not None:
            self._panels.leave(board.screen)
            board.screen = None

    def _refuse_key(self, board: _Board, problem: KeyProblem) -> None:
        rule = "the key of a board that is registered here"
        self._turn_away(board, Drop.WRONG_KEY, Refusal(code=problem, field="key", value="", rule=rule))

    def _turn_away(self, board: _Board, reason: Drop, refusal: Refusal) -> None:
        self._metrics.count("boards_refused_total", reason=refusal.code)
        self._hand(board, _text(refusal), "problem")
        self._hang_up(board, reason)

    def _look_at(self, board: _Board, stop_ids: Iterable[str]) -> None:
        """Change what a board is told of; new stops are opened before old ones are left."""
        old, new, wall_s = board.stops, tuple(stop_ids), monotonic_s()
        self._hub.open(new, self._clock.now_ms(), wall_s)
        board.stops = new
        for stop_id in old:
            self._hub.leave(stop_id, wall_s)
            self._looking[stop_id].discard(board)
            if not self._looking[stop_id]:
                del self._looking[stop_id]
        for stop_id in board.stops:
            self._looking[stop_id].add(board)

    def _utc_offset_s(self) -> int:
        return utc_offset_s(self._clock.now_ms(), self._hub.network.time_zone)

    def _note_painted(self, board: _Board, ack: Ack) -> None:
        """Observe the way from fix to pixel. A painting from the future is a wrong clock, not a fast board."""
        fix_ms = self._causes.get(ack.sequence)
        if fix_ms is None or not fix_ms <= ack.painted_ms <= self._clock.now_ms() + PAINTED_AHEAD_MAX_MS:
            return
        delay_s = (ack.painted_ms - fix_ms) / 1000 / self._clock.rate
        self._metrics.observe("boards_fix_to_painted_seconds", delay_s)
        if self._panels is not None:
            self._panels.painted(board.screen.name if board.screen is not None else "", delay_s)

    async def _answer_page(self, request: web.Request) -> web.StreamResponse:
        known = self._hub.knows(request.match_info["stop_id"])
        # The page of an unknown stop is the same page: it says so in the reader's language.
        return web.FileResponse(WEB / "board.html", status=200 if known else 404, headers={"Cache-Control": "no-cache"})

    async def _answer_texts(self, request: web.Request) -> web.Response:
        return self._texts.answer(request, max_age_s=0)


def _text(message: ToBoard) -> str:
    return _encoder.encode(message).decode()


def _cause(error: object) -> Drop | None:
    """Return why a connection ended if it was we who ended it; ``error`` is what the last message of it carries."""
    if isinstance(error, WebSocketError):
        return Drop.BAD_MESSAGES
    return Drop.SILENT if isinstance(error, TimeoutError) else None
