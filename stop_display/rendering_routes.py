"""The edge of the renderings: reads parameters, makes what is asked for, says when to ask again. One route per form.

A form is pure; what takes milliseconds is made beside the loop, few at once, and kept for whoever asks for the same.
Below ``/api/`` the application limits requests per client address, like those of boards that poll.
"""

import asyncio
import collections
import dataclasses
import functools
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web

from commons.assets import asset_of, asset_route, page_of
from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from commons.texts import LANGUAGES, Language, load_catalogue
from stop_display.abbreviations import load_abbreviations
from stop_display.byte_range import RangeError, pieces, range_asked
from stop_display.http_edge import address_asked
from stop_display.hub import Hub
from stop_display.listenings import Listenings, listening_of
from stop_display.model import Refusal, quoted
from stop_display.renderings._base import Form, Kit, Options, ParameterError, Rendered, Unrendered, renderings
from stop_display.renderings._fonts import FOLDER, Fonts
from stop_display.voice import Voice, VoiceBusyError, VoiceError, VoiceMissingError
from stop_display.wording import Showing, Words

WEB: Final = Path(__file__).with_name("web")
LED_FILES: Final = ("led.css", "led-font.js", "led.js")
AT_ONCE: Final = 2
WAITING_MAX: Final = 32
LISTENERS_MAX: Final = 256  # speech that is being sent
LISTEN_MAX_S: Final = 180.0  # three times as long as speech lasts
PIECE_BYTES: Final = 32_768
LISTENINGS_MAX: Final = 1_024  # of which the sentences are kept for who asks for the rest of the sound: some kB each
KEPT_MAX: Final = 128  # pictures: some kilobytes each
ETAG_DIGITS: Final = 20

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class NotRenderedError(Exception):
    """What is asked for is not given: how HTTP says it, and field, value and rule of the problem."""

    def __init__(
        self, status: int, why: Unrendered, name: str, value: str, rule: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{name}: {rule}")
        self.status = status
        self.why = why
        self.headers = headers or {}
        self.refusal = Refusal(code=why, field=name, value=quoted(value), rule=rule)


class Renderings:
    """Serves all that ``renderings()`` finds, and the page that draws an LED panel."""

    def __init__(  # noqa: D417 - the rest says itself
        self,
        hub: Hub,
        *,
        clock: Clock,
        metrics: Metrics,
        abbreviations: Path | None = None,
        public_url: str = "",
        voice: Voice | None = None,
        fonts: Path = FOLDER,
    ) -> None:
        """Read texts and abbreviations.

        Args:
            abbreviations: an operator's table, used before ours.
            public_url: where phones reach the pages of stops; "": as who asks reaches us.
            fonts: folder of the font's files; where they are absent, pictures are refused.

        Raises:
            TableError: if the table of abbreviations cannot be used.
        """
        self._hub = hub
        self._clock = clock
        self._metrics = metrics
        self._public_url = public_url.rstrip("/")
        self._voice = voice or Voice()
        self._font_folder = fonts
        self._fonts: Fonts | None = None
        self._abbreviations = load_abbreviations(abbreviations)
        self._led_page = page_of(WEB / "led.html")
        self._led_texts = asset_of(_encoder.encode(led_texts()), "application/json")
        self._words = load_words(hub.network.time_zone)
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._listeners = 0
        self._kept: collections.OrderedDict[bytes, Rendered] = collections.OrderedDict()
        self._listenings = Listenings(most=LISTENINGS_MAX, kept_s=LISTEN_MAX_S)

    def routes(self) -> list[web.RouteDef]:
        """Return one route for each form, and those of the LED page."""
        forms = [form for rendering in renderings().values() for form in rendering.forms]
        return [
            *(web.get(f"/api/stops/{{stop_id}}/{form.path}", self._answering(form)) for form in forms),
            web.get("/led/{stop_id}", self._answer_led_page),
            web.get("/static/led/texts.json", self._answer_led_texts),
            *(asset_route(f"/static/led/{name}", WEB / name) for name in LED_FILES),
        ]

    def _answering(self, form: Form) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            begun_s = monotonic_s()
            sound: Iterable[memoryview] = ()
            try:
                response, sound = await self._answer(form, request)
                outcome = "not_modified" if response.status == 304 else "given"
            except NotRenderedError as error:
                response, outcome = _refused(error), error.why.value
            self._metrics.count("renderings_total", form=form.path, outcome=outcome)
            self._metrics.observe("rendering_seconds", monotonic_s() - begun_s, form=form.path)
            if not isinstance(response, web.Response):
                await self._play(request, response, sound)
            return response

        return answer

    async def _answer(self, form: Form, request: web.Request) -> tuple[web.StreamResponse, Iterable[memoryview]]:
        """Return the answer, and the sound that is to be sent after its head."""
        stop_id = request.match_info["stop_id"]
        if not self._hub.knows(stop_id):
            raise NotRenderedError(404, Unrendered.UNKNOWN_STOP, "stop", stop_id, "no such stop in this city")
        try:
            options = form.options(request.query)
        except ParameterError as error:
            raise NotRenderedError(400, Unrendered.BAD_PARAMETER, error.name, error.value, error.rule) from error
        listening, now_s = listening_of(stop_id, options), monotonic_s()
        rendered = self._listenings.again(listening, now_s)
        if rendered is None:
            rendered = await self._rendered(form, self._showing(stop_id), options, self._link(request, stop_id))
            self._listenings.begin(listening, rendered, now_s)
        body = rendered.body if rendered.same is None else rendered.same.encode()
        etag = hashlib.sha256(body + (self._voice.mark if form.voice else b"")).hexdigest()[:ETAG_DIGITS]
        headers = {
            "Cache-Control": "no-cache",
            # The same sentences in the same voice are the same bytes, so ranges of them may be put together.
            "ETag": f'"{etag}"' if form.voice else f'W/"{etag}"',
            "X-Next-Refresh-S": str(rendered.refresh_s),
            "X-Valid-S": str(rendered.valid_s),
        }
        if any(tag.value in {etag, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers), ()
        if form.voice:
            sound = await self._spoken(rendered, options)
            return _sounding(request, {**headers, "Content-Type": form.content_type}, sound)
        given = web.Response(
            body=rendered.body, headers=headers, content_type=form.content_type, charset=rendered.charset
        )
        return given, ()

    def _link(self, request: web.Request, stop_id: str) -> str:
        """Return the address of the stop's page for phones, "" where nobody says how phones reach us."""
        base = self._public_url or address_asked(request)
        return f"{base}/stop/{quote(stop_id, safe='')}" if base else ""

    def _showing(self, stop_id: str) -> Showing:
        now_ms = self._clock.now_ms()
        return Showing(
            board=self._hub.board(stop_id, now_ms),
            now_ms=now_ms,
            as_of_ms=self._hub.as_of_ms,
            time_zone=self._hub.network.time_zone,
            rate=self._clock.rate,
        )

    async def _rendered(self, form: Form, showing: Showing, options: Options, link: str) -> Rendered:
        kit = Kit(words=self._words, abbreviations=self._abbreviations, fonts=self._fonts, link=link)
        if not form.slow:
            return form.render(showing, options, kit)
        key = _key(form, showing, options, link)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if self._waiting >= WAITING_MAX:
            raise NotRenderedError(503, Unrendered.BUSY, "", "", f"{WAITING_MAX} pictures are waited for: come back")
        self._waiting += 1
        try:
            async with self._turn:
                if key in self._kept:  # drawn for another meanwhile
                    return self._kept[key]
                rendered = await asyncio.to_thread(self._drawn, form, showing, options, kit)
        finally:
            self._waiting -= 1
        self._kept[key] = rendered
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return rendered

    def _drawn(self, form: Form, showing: Showing, options: Options, kit: Kit) -> Rendered:
        """Draw beside the loop; the first opens the font."""
        try:
            self._fonts = self._fonts or Fonts(self._font_folder)
        except FileNotFoundError as error:
            rule = "the font is not installed: run make vendor"
            raise NotRenderedError(503, Unrendered.NO_FONT, "", "", rule) from error
        return form.render(showing, options, dataclasses.replace(kit, fonts=self._fonts))

    async def _spoken(self, rendered: Rendered, options: Options) -> Sequence[bytes]:
        if self._listeners >= LISTENERS_MAX:
            rule = f"{LISTENERS_MAX} listen already: come back"
            raise NotRenderedError(503, Unrendered.BUSY, "", "", rule)
        language: Language = next(one for one in LANGUAGES if one == options["lang"])
        try:
            return await self._voice.wav(rendered.says, language)
        except VoiceMissingError as error:
            rule = f"{error}; speech.txt has the same as text"
            raise NotRenderedError(503, Unrendered.NO_VOICE, "", "", rule) from error
        except VoiceBusyError as error:
            raise NotRenderedError(503, Unrendered.BUSY, "", "", f"{error}: come back") from error
        except VoiceError as error:
            _log.warning("nothing was spoken", error=str(error))
            raise NotRenderedError(503, Unrendered.FAILED, "", "", str(error)) from error

    async def _play(self, request: web.Request, response: web.StreamResponse, sound: Iterable[memoryview]) -> None:
        """Send sound as fast as it is taken; who does not take it for long is let go."""
        self._listeners += 1
        try:
            async with asyncio.timeout(LISTEN_MAX_S):
                await response.prepare(request)
                for piece in sound if request.method != "HEAD" else ():
                    await response.write(piece)
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._listeners -= 1

    async def _answer_led_page(self, request: web.Request) -> web.StreamResponse:
        known = self._hub.knows(request.match_info["stop_id"])
        return self._led_page.answer(request, max_age_s=0, status=200 if known else 404)

    async def _answer_led_texts(self, request: web.Request) -> web.Response:
        return self._led_texts.answer(request, max_age_s=0)


def led_texts() -> dict[Language, dict[str, str]]:
    """Return what stands around the panel on the LED page, by language."""
    mark = "page."
    return {
        language: {key.removeprefix(mark): text for key, text in texts.items() if key.startswith(mark)}
        for language, texts in load_catalogue("stop_display.renderings").items()
    }


@functools.cache
def load_words(time_zone: str) -> dict[Language, Words]:
    """Return the texts that renderings say, by language; times are said in ``time_zone``."""
    boards, ours = load_catalogue("stop_display"), load_catalogue("stop_display.renderings")
    return {language: Words(language, {**boards[language], **ours[language]}, time_zone) for language in LANGUAGES}


def _sounding(
    request: web.Request, headers: Mapping[str, str], sound: Sequence[bytes]
) -> tuple[web.StreamResponse, Iterable[memoryview]]:
    """Return the head of the answer that gives a sound, or the range of it that is asked for, and its bytes.

    Raises:
        NotRenderedError: 416 if there is nothing in that range.
    """
    size = sum(len(part) for part in sound)
    ranges = request.headers.get(hdrs.RANGE, "") if request.method == "GET" else ""
    if request.headers.get(hdrs.IF_RANGE, headers["ETag"]) != headers["ETag"]:
        ranges = ""  # what the asker has is of another sound: it gets all of this one
    try:
        asked = range_asked(ranges, size)
    except RangeError as error:
        known = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        raise NotRenderedError(416, Unrendered.BAD_RANGE, "Range", ranges, str(error), known) from error
    wanted = range(size) if asked is None else asked
    response = web.StreamResponse(
        status=200 if asked is None else 206, headers={**headers, hdrs.ACCEPT_RANGES: "bytes"}
    )
    response.content_length = len(wanted)
    if asked is not None:
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return response, pieces(sound, wanted, PIECE_BYTES)


def _key(form: Form, showing: Showing, options: Options, link: str) -> bytes:
    """Return what a picture depends on, the clock to the minute."""
    told = (form.path, dict(options), link, showing.now_ms // 60_000, showing.heard, showing.board)
    return hashlib.sha256(_encoder.encode(told)).digest()


def _refused(error: NotRenderedError) -> web.Response:
    headers = {"Retry-After": "2"} if error.why is Unrendered.BUSY else error.headers
    return web.Response(
        status=error.status, body=_encoder.encode(error.refusal), content_type="application/json", headers=headers
    )
