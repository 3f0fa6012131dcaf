"""The edge of the live yardstick: keeps what is published each minute, judges it slice by slice, serves the page.

Any number of processes may do this at once and be killed at any moment (see ``transit.store.accuracy``). Judging works
beside the loop in a thread, five city minutes at a time.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from commons.assets import asset_of, asset_route
from commons.clock import Clock, monotonic_s
from commons.logs import get_logger
from commons.metrics import Metrics
from commons.texts import load_catalogue
from dispatch.accuracy import AccuracyAnswer, RouteAccuracy, accuracy_of, busiest
from gtfs_data.network import Network
from transit.accuracy.lists import PlannedLists
from transit.accuracy.live import (
    EVENTS_BEFORE_MS,
    EVERY_S,
    SAMPLES_BEFORE_MS,
    SETTLED_AFTER_MS,
    Sample,
    Tally,
    sample_of,
    settle,
)
from transit.codec import SchemaError
from transit.keys import Keys
from transit.model import StopEvent
from transit.store.accuracy import (
    Samples,
    Slice,
    add_slice,
    counted_dates,
    forget_later,
    last_hour,
    of_date,
    settled_until,
)
from transit.store.postgres_history import events_between
from transit.store.redis_state import StateReader

SLICE_MS: Final = 300_000
SILENT_S: Final = 90.0  # then boards take live rows away: nothing is published any more
AFTER_THE_MINUTE_S: Final = 0.2
ROUTES_MEASURED_MAX: Final = 100  # the busiest; a larger city's others are on the page
DATES_MAX: Final = 60
HOUR: Final = "hour"

_BY_AHEAD: Final = (  # metric, field of AheadFigures, by what it is divided
    ("accuracy_predictions", "n", 1),
    ("accuracy_error_seconds", "mae_s", 1),
    ("accuracy_late_seconds", "late_s", 1),
    ("accuracy_within_bounds_ratio", "accurate_pct", 100),
    ("accuracy_within_interval_ratio", "covered_pct", 100),
)
_BY_ROUTE: Final = (  # … of RouteAccuracy
    ("accuracy_foretold_ratio", "foretold_pct", 100),
    ("accuracy_rises_per_countdown", "rises_per_countdown", 1),
    ("accuracy_phantom_ratio", "phantom_pct", 100),
)
WEB: Final = Path(__file__).with_name("web")

_log = get_logger(__name__)
_encoder: Final = msgspec.json.Encoder()


class AccuracyWatch:
    """Run ``run`` for as long as the application serves ``routes``."""

    def __init__(
        self, network: Network, *, redis: Redis, keys: Keys, pool: asyncpg.Pool, clock: Clock, metrics: Metrics
    ) -> None:
        self._network = network
        self._state = StateReader(redis, keys)
        self._samples = Samples(redis, keys)
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._lists: PlannedLists | None = None
        texts = {language: dict(texts) for language, texts in load_catalogue("dispatch").items()}
        self._texts = asset_of(_encoder.encode(texts), "application/json")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of page and data."""
        return [
            asset_route("/accuracy", WEB / "accuracy.html"),
            asset_route("/static/accuracy/accuracy.css", WEB / "accuracy.css"),
            asset_route("/static/accuracy/accuracy.js", WEB / "accuracy.js"),
            web.get("/static/accuracy/texts.json", self._answer_texts),
            web.get("/api/accuracy", self._answer),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Look once a city minute, until ``stop``."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(), name="accuracy")
            await stop.wait()
            watching.cancel()

    async def look(self) -> bool:
        """Keep what is published now; return False if nothing is, or another process has this minute already.

        Raises:
            RedisError: if Redis does not answer.
            SchemaError: if another version of the program wrote what is there.
        """
        snapshot = await self._state.snapshot()
        now_ms = self._clock.now_ms()
        if snapshot.as_of_ms is None or now_ms - snapshot.as_of_ms > 1000 * SILENT_S * self._clock.rate:
            self._metrics.count("accuracy_samples_total", outcome="silent")
            return False
        sample = await asyncio.to_thread(sample_of, snapshot.vehicles, snapshot.arrivals, self._network, now_ms)
        kept = await self._samples.keep(sample)
        self._metrics.count("accuracy_samples_total", outcome="kept" if kept else "kept_already")
        return kept

    async def judge(self) -> bool:
        """Judge the next slice if it is time; return whether something was added.

        Raises:
            OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError: if a server does not answer.
        """
        now_ms = self._clock.now_ms()
        until_ms = (now_ms - SETTLED_AFTER_MS) // SLICE_MS * SLICE_MS
        since_ms = await settled_until(self._pool)
        if since_ms is not None and since_ms > now_ms:
            _log.warning("city time was set back: judging begins anew")
            await forget_later(self._pool, now_ms)
            since_ms = await settled_until(self._pool)
        if since_ms is None:
            since_ms = until_ms - SLICE_MS
        if since_ms >= until_ms:
            return False
        samples = await self._samples.read(since_ms - SAMPLES_BEFORE_MS)
        events = await events_between(self._pool, since_ms - EVENTS_BEFORE_MS, now_ms)
        began_s = monotonic_s()
        tallies = await asyncio.to_thread(self._settled, samples, events, since_ms, until_ms)
        self._metrics.observe("accuracy_settle_seconds", monotonic_s() - began_s)
        return await add_slice(self._pool, Slice(since_ms=since_ms, until_ms=until_ms, tallies=tallies))

    async def measure(self) -> None:
        """Set the metrics of the last hour."""
        hour = await last_hour(self._pool)
        if hour is None:
            return
        whole, routes = accuracy_of(hour.tallies, self._network)
        self._metrics.set("accuracy_settled_timestamp_seconds", hour.until_ms / 1000)
        _measure([whole, *busiest(routes, ROUTES_MEASURED_MAX)] if whole is not None else [], self._metrics)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(EVERY_S - self._clock.now_ms() / 1000 % EVERY_S + AFTER_THE_MINUTE_S)
            await self._survive(self.look(), "sample")
            await self._survive(self.judge(), "judge")
            await self._survive(self.measure(), "measure")

    async def _survive(self, step: Awaitable[object], where: str) -> None:
        try:
            await step
        except (OSError, TimeoutError, RedisError, SchemaError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._metrics.count("role_errors_total", role="accuracy", where=where)
            _log.warning("accuracy tries again in a minute", where=where, error=repr(error))
        except Exception as error:  # noqa: BLE001 - top of the task: figures must not stop boards
            self._metrics.count("role_errors_total", role="accuracy", where=where)
            _log.exception("accuracy tries again after a bug", where=where, error=repr(error))

    def _settled(
        self, samples: Sequence[Sample], events: Sequence[StopEvent], since_ms: int, until_ms: int
    ) -> list[Tally]:
        if self._lists is None:
            self._lists = PlannedLists(self._network)
        return settle(samples, events, self._network, self._lists, from_ms=since_ms, until_ms=until_ms)

    async def _answer_texts(self, request: web.Request) -> web.Response:
        return self._texts.answer(request, max_age_s=0)

    async def _answer(self, request: web.Request) -> web.Response:
        period = request.query.get("period", HOUR)
        try:
            date = None if period == HOUR else dt.date.fromisoformat(period)
        except ValueError:
            raise web.HTTPBadRequest(text=f"period must be {HOUR} or YYYY-MM-DD\n") from None
        try:
            answer = await self._answered(period, date)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("accuracy cannot be told", error=repr(error))
            raise web.HTTPServiceUnavailable(text="the database does not answer\n") from error
        return web.Response(
            body=_encoder.encode(answer), content_type="application/json", headers={"Cache-Control": "no-store"}
        )

    async def _answered(self, period: str, date: dt.date | None) -> AccuracyAnswer:
        hour = await last_hour(self._pool)
        dates = await counted_dates(self._pool, limit=DATES_MAX)
        tallies = await of_date(self._pool, date) if date is not None else (hour.tallies if hour else [])
        whole, routes = accuracy_of(tallies, self._network)
        return AccuracyAnswer(
            server_ms=self._clock.now_ms(),
            time_zone=self._network.time_zone,
            period=period,
            dates=[one.isoformat() for one in dates],
            since_ms=hour.since_ms if hour else None,
            until_ms=hour.until_ms if hour else None,
            all=whole,
            routes=routes,
        )


def _measure(figures: Sequence[RouteAccuracy], metrics: Metrics) -> None:
    for name, field, unit in _BY_AHEAD:
        metrics.clear(name)
        for of in figures:
            for one in of.ahead:
                value = getattr(one, field)
                if value is not None:
                    metrics.set(name, value / unit, route=of.route, ahead=one.ahead)
    for name, field, unit in _BY_ROUTE:
        metrics.clear(name)
        for of in figures:
            value = getattr(of, field)
            if value is not None:
                metrics.set(name, value / unit, route=of.route)
