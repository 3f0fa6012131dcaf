"""The edge of the pages of stops: pages, what is near, ways and vehicles, QR and label, reports.

``/stop/STOP_ID`` is the page of a stop, ``/stop`` finds one, ``/s/CODE`` is what QR codes at stops say.
"""

import asyncio
import collections
import re
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from commons.assets import Asset, asset_of, asset_route, page_of, whole_page
from commons.clock import Clock
from commons.metrics import Metrics
from commons.texts import LANGUAGES, Catalogue, load_catalogue
from stop_display.http_edge import address_asked, refused
from stop_display.hub import Hub
from stop_display.nearby import Near, NearbyStops, OutsideError
from stop_display.search import StopSearch, name_of
from stop_display.stop_page.coming import ApproachMaps
from stop_display.stop_page.label import qr_svg, stop_label_svg, stop_link
from stop_display.stop_page.model import NearStop, NearStops, PageProblem
from stop_display.stop_page.report_desk import ReportDesk
from stop_display.stop_page.values import StopPageSettings
from stop_display.stop_page.vehicle_streams import VehicleStreams

NEAR_DEFAULT: Final = 8
NEAR_MAX: Final = 30
APPROACHES_HELD: Final = 500
LABELS_HELD: Final = 100
NUMBER: Final = re.compile(r"-?\d{1,3}(\.\d{1,12})?")
LIMIT: Final = re.compile(r"\d{1,3}")

WEB: Final = Path(__file__).with_name("web")
FILES: Final = (
    "stop.css", "stop_label.css", "page.js", "places.js", "stop.js", "stops.js", "stop_map.js", "stop_report.js",
)  # fmt: skip

_encoder: Final = msgspec.json.Encoder()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StopPages:
    """The routes. Needs ``Boards`` to be served beside it, and ``reports`` and ``streams`` to run."""

    def __init__(
        self,
        hub: Hub,
        search: StopSearch,
        *,
        reports: ReportDesk,
        clock: Clock,
        metrics: Metrics,
        settings: StopPageSettings,
        address_of: Callable[[web.Request], str],
    ) -> None:
        self._hub = hub
        self._network = hub.network
        self._search = search
        self._nearby = NearbyStops(hub.network)
        self._maps = ApproachMaps(hub.network, hub.plan)
        self._reports = reports
        self._streams = VehicleStreams(hub, clock=clock, metrics=metrics, address_of=address_of)
        self._metrics = metrics
        self._settings = settings
        self._drawing = asyncio.Lock()
        self._approaches: collections.OrderedDict[str, Asset] = collections.OrderedDict()
        self._labelling = asyncio.Lock()
        self._labels: collections.OrderedDict[tuple[str, str], Asset] = collections.OrderedDict()
        self._stops_of: dict[str, list[str]] = {}
        for stop_id, code in zip(self._network.stops.ids, self._network.stops.codes, strict=True):
            if code:
                self._stops_of.setdefault(code, []).append(stop_id)
        self._page = page_of(WEB / "stop.html")
        self._texts = load_catalogue("stop_display.stop_page")
        self._texts_asset = asset_of(_encoder.encode(_together(self._texts)), "application/json")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of pages and API."""
        return [
            asset_route("/stop", WEB / "stops.html"),
            web.get("/stop/{stop_id}", self._answer_page),
            web.get("/s/{code}", self._answer_code),
            web.get("/stop/{stop_id}/label", self._known(self._answer_label)),
            web.get("/stop/{stop_id}/vehicles", self._known(self._answer_stream)),
            *(asset_route(f"/static/stop/{name}", WEB / name) for name in FILES),
            web.get("/static/stop/texts.json", self._answer_texts),
            web.get("/api/stops/near", self._answer_near),
            web.get("/api/stops/{stop_id}/near", self._known(self._answer_neighbours)),
            web.get("/api/stops/{stop_id}/approaches", self._known(self._answer_approaches)),
            web.get("/api/stops/{stop_id}/vehicles", self._known(self._answer_vehicles)),
            web.get("/api/stops/{stop_id}/qr.svg", self._known(self._answer_qr)),
            web.post("/api/stops/{stop_id}/reports", self._known(self._reports.answer)),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Tell phones where vehicles are and count reports, until ``stop``."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._streams.run(stop), name="stop-page-vehicles")
            tasks.create_task(self._reports.run(stop), name="stop-page-reports")

    def _known(self, handler: Handler) -> Handler:
        """Return ``handler`` for stops that the network knows; 404 for others."""

        async def answer(request: web.Request) -> web.StreamResponse:
            stop_id = request.match_info["stop_id"]
            if not self._hub.knows(stop_id):
                return self._refused(404, PageProblem.UNKNOWN_STOP, "stop", stop_id, "no such stop in this city")
            return await handler(request)

        return answer

    def _refused(self, status: int, code: PageProblem, name: str, value: str, rule: str) -> web.Response:
        self._metrics.count("stop_page_refused_total", reason=code.value)
        return refused(status, code, name, value, rule)

    async def _answer_page(self, request: web.Request) -> web.StreamResponse:
        known = self._hub.knows(request.match_info["stop_id"])
        if not known:  # the same page: it says so in the reader's language
            self._metrics.count("stop_page_refused_total", reason=PageProblem.UNKNOWN_STOP.value)
        return self._page.answer(request, max_age_s=0, status=200 if known else 404)

    async def _answer_code(self, request: web.Request) -> web.StreamResponse:
        code = request.match_info["code"]
        stops = self._stops_of.get(code, [])
        if not stops:  # the page says so, and offers to search
            self._metrics.count("stop_page_refused_total", reason=PageProblem.UNKNOWN_STOP.value)
            return page_of(WEB / "stops.html").answer(request, max_age_s=0, status=404)
        to = f"/stop/{urllib.parse.quote(stops[0], safe='')}" if len(stops) == 1 else "/stop"
        asked = {} if len(stops) == 1 else {"query": code}
        if request.query.get("lang") in LANGUAGES:
            asked["lang"] = request.query["lang"]
        query = f"?{urllib.parse.urlencode(asked)}" if asked else ""
        raise web.HTTPFound(to + query, headers={"Cache-Control": "no-cache"})

    async def _answer_texts(self, request: web.Request) -> web.Response:
        return self._texts_asset.answer(request, max_age_s=0)

    async def _answer_near(self, request: web.Request) -> web.Response:
        place = {}
        for name in ("lat", "lon"):
            value = request.query.get(name, "")
            if not NUMBER.fullmatch(value):
                rule = "must be degrees as a decimal number, such as 44.8488"
                return self._refused(400, PageProblem.UNREADABLE, name, value, rule)
            place[name] = float(value)
        limit = self._limit(request)
        if isinstance(limit, web.Response):
            return limit
        try:
            found = self._nearby.near(place["lat"], place["lon"], limit)
        except OutsideError as error:
            value = f"{place['lat']},{place['lon']}"
            return self._refused(400, PageProblem.OUTSIDE, "lat,lon", value, str(error))
        except ValueError as error:
            name = str(error).split(" ", 1)[0]
            return self._refused(400, PageProblem.UNREADABLE, name, request.query[name], str(error))
        return _json(self._told(found))

    async def _answer_neighbours(self, request: web.Request) -> web.Response:
        limit = self._limit(request)
        if isinstance(limit, web.Response):
            return limit
        stop = self._network.stop_by_id[request.match_info["stop_id"]]
        return _json(self._told(self._nearby.neighbours(stop, limit)))

    def _limit(self, request: web.Request) -> int | web.Response:
        limit = request.query.get("limit", str(NEAR_DEFAULT))
        if LIMIT.fullmatch(limit) and 1 <= int(limit) <= NEAR_MAX:
            return int(limit)
        return self._refused(400, PageProblem.UNREADABLE, "limit", limit, f"must be a number from 1 to {NEAR_MAX}")

    def _told(self, found: list[Near]) -> NearStops:
        return NearStops(stops=[self._near_stop(one) for one in found])

    def _near_stop(self, one: Near) -> NearStop:
        told = self._search.found(one.stop)
        return NearStop(
            stop=told.stop,
            code=told.code,
            name=told.name,
            towards=told.towards,
            routes=told.routes,
            lat=told.lat,
            lon=told.lon,
            distance_m=round(one.distance_m),
            bearing_deg=round(one.bearing_deg) % 360,
            beside=one.beside.value,
        )

    async def _answer_approaches(self, request: web.Request) -> web.Response:
        stop_id = request.match_info["stop_id"]
        async with self._drawing:  # one at a time, beside the event loop: a large stop takes a tenth of a second
            asset = self._approaches.pop(stop_id, None)
            if asset is None:
                asset = await asyncio.to_thread(self._drawn, stop_id)
            self._approaches[stop_id] = asset
            if len(self._approaches) > APPROACHES_HELD:
                self._approaches.popitem(last=False)
        return asset.answer(request, max_age_s=0)

    def _drawn(self, stop_id: str) -> Asset:
        stop = self._network.stop_by_id[stop_id]
        return asset_of(_encoder.encode(self._maps.of(stop)), "application/json")

    async def _answer_vehicles(self, request: web.Request) -> web.Response:
        return _json(self._streams.now(request.match_info["stop_id"]))

    async def _answer_stream(self, request: web.Request) -> web.StreamResponse:
        return await self._streams.answer_stream(request, request.match_info["stop_id"])

    async def _answer_qr(self, request: web.Request) -> web.Response:
        link = self._link(request)
        if link is None:
            return self._refused(400, PageProblem.UNREADABLE, "Host", request.host, "must be the name of a host")
        return asset_of(qr_svg(link).encode(), "image/svg+xml").answer(request, max_age_s=0)

    async def _answer_label(self, request: web.Request) -> web.Response:
        link = self._link(request)
        if link is None:
            return self._refused(400, PageProblem.UNREADABLE, "Host", request.host, "must be the name of a host")
        key = request.match_info["stop_id"], link
        async with self._labelling:  # as approaches: a code takes some milliseconds, and this page has no limit
            asset = self._labels.pop(key, None)
            if asset is None:
                asset = await asyncio.to_thread(self._labelled, *key)
            self._labels[key] = asset
            if len(self._labels) > LABELS_HELD:
                self._labels.popitem(last=False)
        return asset.answer(request, max_age_s=0)

    def _labelled(self, stop_id: str, link: str) -> Asset:
        stop = self._network.stop_by_id[stop_id]
        code = self._network.stops.codes[stop]
        label = stop_label_svg(link, name_of(self._network, stop), code, self._texts, sms_code=self._settings.sms_code)
        page = whole_page((WEB / "stop_label.html").read_bytes()).decode("utf-8").replace("<!-- label -->", label)
        return asset_of(page.encode(), "text/html")

    def _link(self, request: web.Request) -> str | None:
        """Return what the QR of the stop says, None where the request names no host that could be in it."""
        base = self._settings.public_url.rstrip("/") or address_asked(request)
        if not base:
            return None
        stop = self._network.stop_by_id[request.match_info["stop_id"]]
        code = self._network.stops.codes[stop]
        own = code if len(self._stops_of.get(code, ())) == 1 else ""
        return stop_link(base, request.match_info["stop_id"], own)


def _together(texts: Catalogue) -> dict[str, dict[str, str]]:
    """Return the texts of boards and pages as one catalogue: pages show rows as boards do."""
    boards = load_catalogue("stop_display")
    return {language: {**boards[language], **texts[language]} for language in LANGUAGES}


def _json(value: msgspec.Struct) -> web.Response:
    return web.Response(
        body=_encoder.encode(value), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
