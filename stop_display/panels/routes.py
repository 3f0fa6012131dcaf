"""The pages and the API of the fleet: for boards that show their key, for staff who are signed in, and the wall.

A key comes as ``Authorization: Bearer KEY``. What is wrong with a request is answered with a ``problem`` that names
field, value and rule; a key is never repeated. The wall shows what every board shows, so it is open as boards are.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from commons.assets import asset_of, asset_route
from commons.clock import Clock
from commons.logs import get_logger
from commons.texts import load_catalogue
from gtfs_data.calendar import utc_offset_s
from gtfs_data.network import Network
from stop_display.http_edge import BodyError, read_body
from stop_display.model import Refusal, StopBoard, Text, quoted
from stop_display.outcomes import Problem
from stop_display.panels.delays import EVERY_BOARD, Delays
from stop_display.panels.desk import REPORT_MIN_S, PanelDesk, address_of
from stop_display.panels.judgement import Judgement, Standing
from stop_display.panels.model import KeyProblem, Panel, PanelHealth, Remark
from stop_display.search import name_of

WEB: Final = Path(__file__).with_name("web")
PANEL_FILES: Final = ("panel.css", "panel.js")
STAFF_FILES: Final = ("fleet.css", "fleet.js", "wall.css", "wall.js")
REPORT_MAX_BYTES: Final = 65_536  # 200 rows with the longest texts that a report may hold
REPORT_MAX_S: Final = 10.0
STOPS_PER_PAGE: Final = 300
PAGE_DIGITS_MAX: Final = 6
VERSION_DIGITS: Final = 10
RETRY_S: Final = 60
SCHEME: Final = "Bearer "

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()
_health_decoder: Final = msgspec.json.Decoder(PanelHealth)


class PanelShown(msgspec.Struct, frozen=True, kw_only=True):
    """One registered board as the control room sees it."""

    name: str
    standing: Standing
    remarks: list[Remark]
    silent_s: float | None  # since its last report
    connected: int  # sockets to the web process that answers
    stops: list[str]
    stop_names: list[Text]  # {} for a stop that the feed does not have
    layout: str
    language: str
    theme: str
    volume: int
    hours: str
    note: str
    address: str
    health: PanelHealth | None
    delays: Delays | None  # of the last hour


class FleetShown(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/boards/fleet``. ``delays``: of all boards, registered or not, in the last hour."""

    server_ms: int
    utc_offset_s: int
    version: str  # of the page as the server has it
    delays: Delays | None
    panels: list[PanelShown]


class WallStop(msgspec.Struct, frozen=True, kw_only=True):
    """A stop of the wall."""

    stop: str
    code: str
    name: Text


class Wall(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/boards/wall``: stops that buses call at, by code and id, a page of them."""

    total: int
    page: int
    pages: int
    first: int  # number of the first stop of this page, from 1
    stops: list[WallStop]


class FleetRoutes:
    """``contents``: what boards of a stop show now.

    ``reading`` refuses who may not see the fleet, by an HTTP error; ``acting`` too, and says who acts.
    """

    def __init__(
        self,
        desk: PanelDesk,
        network: Network,
        *,
        version: str,
        contents: Callable[[str], StopBoard | None],
        reading: Callable[[web.Request], Awaitable[object]],
        acting: Callable[[web.Request], Awaitable[str]],
        address_of: Callable[[web.Request], str],
        clock: Clock,
    ) -> None:
        self._desk = desk
        self._network = network
        self._version = version
        self._contents = contents
        self._reading = reading
        self._acting = acting
        self._address_of = address_of
        self._clock = clock
        texts = {language: dict(texts) for language, texts in load_catalogue("stop_display.panels").items()}
        self._texts = asset_of(_encoder.encode(texts), "application/json")
        self._wall = wall_of(network)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of boards, control room and wall."""
        return [
            asset_route("/panel", WEB / "panel.html"),
            *(asset_route(f"/static/panel/{name}", WEB / name) for name in PANEL_FILES),
            web.get("/static/panel/texts.json", self._answer_texts),
            web.get("/api/panels/configuration", self._answer_configuration),
            web.post("/api/panels/health", self._take_health),
            asset_route("/boards", WEB / "fleet.html"),
            asset_route("/boards/wall", WEB / "wall.html"),
            *(asset_route(f"/static/boards/{name}", WEB / name) for name in STAFF_FILES),
            web.get("/api/boards/fleet", self._answer_fleet),
            web.post("/api/boards/fleet/{panel}/reload", self._reload),
            web.get("/api/boards/wall", self._answer_wall),
        ]

    async def _answer_texts(self, request: web.Request) -> web.Response:
        return self._texts.answer(request, max_age_s=0)

    async def _answer_configuration(self, request: web.Request) -> web.Response:
        return _json(self._desk.configuration(self._panel(request)))

    async def _take_health(self, request: web.Request) -> web.Response:
        panel = self._panel(request)
        try:
            health = await _health_of(request)
        except web.HTTPException:
            self._desk.note_unreadable()
            raise
        found = (self._contents(stop) for stop in panel.config.stops)
        if not self._desk.report(panel, health, [board for board in found if board is not None]):
            raise _refused(429, Problem.TOO_FAST, "", "", "one report in two seconds")
        return _json(self._desk.configuration(panel))

    def _panel(self, request: web.Request) -> Panel:
        """Return the board that asks.

        Raises:
            HTTPException: 401 if its key is not one of ours; 429 if too many were not.
        """
        said = request.headers.get("Authorization", "")
        key = said[len(SCHEME) :].strip() if said.startswith(SCHEME) else ""
        admitted = self._desk.admit(key, self._address_of(request))
        if isinstance(admitted, KeyProblem):
            status = 429 if admitted is KeyProblem.TOO_MANY_WRONG else 401
            raise _refused(status, admitted, "Authorization", "", "Bearer and the key of a board registered here")
        return admitted

    async def _answer_fleet(self, request: web.Request) -> web.Response:
        await self._reading(request)
        now_ms, judged, delays = self._clock.now_ms(), self._desk.judgements(), self._desk.delays()
        return _json(
            FleetShown(
                server_ms=now_ms,
                utc_offset_s=utc_offset_s(now_ms, self._network.time_zone),
                version=self._version,
                delays=delays.get(EVERY_BOARD),
                panels=[
                    self._shown(panel, judged[panel.name], delays.get(panel.name)) for panel in self._desk.panels()
                ],
            )
        )

    async def _reload(self, request: web.Request) -> web.Response:
        who, name = await self._acting(request), request.match_info["panel"]
        if not await self._desk.ask_reload(name):
            raise _refused(404, Problem.UNKNOWN_BOARD, "panel", name, "the name of a board that is registered")
        _log.info("board told to load its page anew", panel=name, by=who)
        return web.Response(status=204)

    def _shown(self, panel: Panel, judgement: Judgement, delays: Delays | None) -> PanelShown:
        config, report = panel.config, self._desk.reported(panel.name)
        numbers = [self._network.stop_by_id.get(stop) for stop in config.stops]
        return PanelShown(
            name=panel.name,
            standing=judgement.standing,
            remarks=list(judgement.remarks),
            silent_s=judgement.silent_s,
            connected=self._desk.connected(panel.name),
            stops=list(config.stops),
            stop_names=[name_of(self._network, number) if number is not None else {} for number in numbers],
            layout=config.layout,
            language=config.language,
            theme=config.theme,
            volume=config.volume,
            hours=config.hours,
            note=config.note,
            address=address_of(panel),
            health=report.health if report is not None else None,
            delays=delays,
        )

    async def _answer_wall(self, request: web.Request) -> web.Response:
        asked = request.query.get("page", "1")
        pages = max(1, -(-len(self._wall) // STOPS_PER_PAGE))
        if not (asked.isdecimal() and len(asked) <= PAGE_DIGITS_MAX and 1 <= int(asked) <= pages):
            raise _refused(400, Problem.UNREADABLE, "page", asked, f"a number from 1 to {pages}")
        first = (int(asked) - 1) * STOPS_PER_PAGE
        stops = list(self._wall[first : first + STOPS_PER_PAGE])
        return _json(Wall(total=len(self._wall), page=int(asked), pages=pages, first=first + 1, stops=stops))


def wall_of(network: Network) -> Sequence[WallStop]:
    """Return the stops that buses call at, in the order of their codes."""
    stops = network.stops
    served = [number for number, rows in enumerate(network.rows_of_stop) if len(rows) > 0]
    shown = [WallStop(stop=stops.ids[one], code=stops.codes[one], name=name_of(network, one)) for one in served]
    return sorted(shown, key=lambda stop: (len(stop.code), stop.code, stop.stop))


def version_of(files: Iterable[Path]) -> str:
    """Return the version of a page: a digest of its files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:VERSION_DIGITS]


async def _health_of(request: web.Request) -> PanelHealth:
    """Return the report that is sent.

    Raises:
        HTTPException: 400 if it is none, with the field that is wrong.
    """
    try:
        return _health_decoder.decode(await read_body(request, bytes_max=REPORT_MAX_BYTES, within_s=REPORT_MAX_S))
    except BodyError as error:
        raise _refused(400, Problem.UNREADABLE, "body", error.value, error.rule) from error
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at ")
        raise _refused(400, Problem.UNREADABLE, where.strip("`$."), "", said) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(400, Problem.UNREADABLE, "", "", f"a report is a JSON object: {error}") from error


def _json(value: msgspec.Struct) -> web.Response:
    return web.Response(
        body=_encoder.encode(value), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _refused(status: int, code: str, field: str, value: str, rule: str) -> web.HTTPException:
    text = _encoder.encode(Refusal(code=code, field=field, value=quoted(value), rule=rule)).decode()
    headers = {"Cache-Control": "no-store"}
    if status == HTTPStatus.BAD_REQUEST:
        return web.HTTPBadRequest(text=text, content_type="application/json", headers=headers)
    if status == HTTPStatus.UNAUTHORIZED:
        return web.HTTPUnauthorized(
            text=text, content_type="application/json", headers=headers | {"WWW-Authenticate": SCHEME.strip()}
        )
    if status == HTTPStatus.NOT_FOUND:
        return web.HTTPNotFound(text=text, content_type="application/json", headers=headers)
    headers["Retry-After"] = str(RETRY_S if field else round(REPORT_MIN_S))
    return web.HTTPTooManyRequests(text=text, content_type="application/json", headers=headers)
