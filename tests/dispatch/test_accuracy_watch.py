"""The live yardstick on real servers, and its page in a real Chromium. Time is the test's."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

import ayaldama.web
from ayaldama.web.vendor import INSTALLED
from commons.metrics import Metrics
from commons.migrate import migrate
from dispatch.accuracy_watch import AccuracyWatch
from dispatch.live import LiveMap
from gtfs_data.network import Network
from tests.dispatch.pages import opened, served
from tests.dispatch.sightings import arrival, position, update
from tests.dispatch.small_city import ALAN, BAZAR, SHUGYLA, VOKZAL, network_of
from transit.accuracy.live import Tally, Told
from transit.keys import Keys
from transit.model import StopEvent
from transit.store.accuracy import Slice, add_slice
from transit.store.postgres_history import write_stop_events
from transit.store.redis_state import StateReader, StateWriter

KEYS = Keys("test")
MINUTE_MS = 60_000
SIX_MS = 1_789_952_400_000  # 2026-09-21 06:00 in Kyzylorda
MONDAY = "2026-09-21"
STOPS = (VOKZAL, ALAN, BAZAR, SHUGYLA)

needs_browser_files = pytest.mark.skipif(
    not (INSTALLED / "maplibre-gl").exists(), reason="browser files are missing: make vendor"
)


@dataclass(slots=True)
class HandClock:
    """City time that moves when the test says so."""

    ms: int
    rate: float = 1.0

    def now_ms(self) -> int:
        return self.ms

    async def sleep(self, city_s: float) -> None:
        raise NotImplementedError


@dataclass(slots=True)
class City:
    """One bus that calls at S1 to S4 of route 10, three minutes from stop to stop, and what is said of it."""

    redis: Redis
    pool: asyncpg.Pool
    clock: HandClock = field(default_factory=lambda: HandClock(SIX_MS))
    metrics: Metrics = field(default_factory=Metrics)
    network: Network = field(default_factory=network_of)

    def watch(self) -> AccuracyWatch:
        return AccuracyWatch(
            self.network, redis=self.redis, keys=KEYS, pool=self.pool, clock=self.clock, metrics=self.metrics
        )

    async def publish(self, *, late_s: int, as_of_ms: int | None = None) -> None:
        """Publish that the bus reaches its stops ``late_s`` before it really will."""
        now_ms = self.clock.ms
        ahead = [
            arrival(stop.id, in_s=0, sequence=place, arrival_ms=due_ms, arrival_p10_ms=due_ms - 30_000,
                    arrival_p90_ms=due_ms + 60_000)
            for place, stop in enumerate(STOPS)
            if (due_ms := passed_ms(place) - 1000 * late_s) >= now_ms
        ]  # fmt: skip
        whole = update(position(fix_ms=now_ms), *ahead, as_of_ms=as_of_ms or now_ms)
        await StateWriter(self.redis, KEYS).replace(whole)

    async def observe(self) -> None:
        """Store all passages of the bus."""
        await write_stop_events(self.pool, [passage(place) for place in range(len(STOPS))])


def passed_ms(place: int) -> int:
    return SIX_MS + MINUTE_MS * (10 + 3 * place)


def passage(place: int) -> StopEvent:
    return StopEvent(
        service_date=MONDAY,
        vehicle_id="101",
        route_id="10",
        direction_id=0,
        trip_id="10-0",
        run_key="10-0|2026-09-21",
        stop_id=STOPS[place].id,
        stop_sequence=place,
        arrival_ms=passed_ms(place),
        departure_ms=passed_ms(place) + 10_000,
        uncertainty_s=3.0,
        scheduled_arrival_ms=None,
        trip_stop_sequence=place + 1,
    )


@pytest.fixture
async def city(redis: Redis, postgres: asyncpg.Pool) -> City:
    await migrate(postgres, "transit.store")
    return City(redis, postgres)


async def drive(city: City, watches: Sequence[AccuracyWatch]) -> None:
    """Let the bus drive for 20 minutes; each watch looks once a minute, and judges until all is settled."""
    for watch in watches:
        await watch.judge()
    for minute in range(20):
        city.clock.ms = SIX_MS + MINUTE_MS * minute + 150
        await city.publish(late_s=40)
        for watch in watches:
            await watch.look()
    await city.observe()
    for minute in range(20, 60):
        city.clock.ms = SIX_MS + MINUTE_MS * minute + 150
        for watch in watches:
            await watch.judge()
            await watch.measure()


async def told(city: City, period: str = "hour") -> dict[str, object]:
    async with (
        pages(city) as base,
        aiohttp.ClientSession() as http,
        http.get(f"{base}/api/accuracy", params={"period": period}) as answer,
    ):
        assert answer.status == 200
        body: dict[str, object] = await answer.json()
        return body


@asynccontextmanager
async def pages(city: City) -> AsyncIterator[str]:
    live = LiveMap(city.network, state=StateReader(city.redis, KEYS), clock=city.clock, metrics=city.metrics)
    index = ayaldama.web.routes(city.network, redis=city.redis, keys=KEYS, clock=city.clock)
    async with served([*index, *live.routes(), *city.watch().routes()]) as port:
        yield f"http://127.0.0.1:{port}"


async def test_what_was_published_is_compared_with_what_happened(city: City) -> None:
    await drive(city, [city.watch()])
    answer = await told(city)
    (ten,) = answer["routes"]  # type: ignore[misc]
    figures = {one["ahead"]: (one["n"], one.get("late_s"), one.get("accurate_pct")) for one in ten["ahead"]}
    # three stops (at the first it is the departure that counts), a prediction each minute, all 40 s too early
    assert figures["0-3"] == (9, pytest.approx(40, abs=1), 100.0)
    assert figures["3-6"] == (9, pytest.approx(40, abs=1), 100.0)
    assert figures["12-30"][0] == 1 + 4 + 7
    assert (ten["passings"], ten["foretold_pct"], ten["rises_per_countdown"]) == (2, 100.0, 0.0)
    assert answer["dates"] == [MONDAY]
    assert (await told(city, MONDAY))["routes"] == answer["routes"]
    exposition = city.metrics.exposition().decode()
    assert 'ayaldama_accuracy_within_bounds_ratio{ahead="0-3",route="10"} 1.0' in exposition
    assert 'ayaldama_accuracy_foretold_ratio{route="*"} 1.0' in exposition


async def test_two_processes_and_restarts_count_everything_once(city: City) -> None:
    await drive(city, [city.watch()])
    alone = await told(city, MONDAY)
    await city.pool.execute("TRUNCATE accuracy_slice, prediction_accuracy, passing_accuracy")
    await city.redis.flushall()
    city.clock.ms = SIX_MS
    await drive(city, [city.watch(), city.watch(), city.watch()])
    assert (await told(city, MONDAY))["routes"] == alone["routes"]


async def test_what_a_silent_tracker_left_behind_is_not_judged(city: City) -> None:
    watch = city.watch()
    assert not await watch.look(), "nothing was ever published"
    await city.publish(late_s=0, as_of_ms=SIX_MS - 100_000)
    assert not await watch.look()
    await city.publish(late_s=0, as_of_ms=SIX_MS - 80_000)
    assert await watch.look()
    assert 'accuracy_samples_total{outcome="silent"} 2.0' in city.metrics.exposition().decode()


@pytest.mark.parametrize("period", ["day", "2026-13-01", ""])
async def test_a_period_that_is_none_is_refused(city: City, period: str) -> None:
    async with (
        pages(city) as base,
        aiohttp.ClientSession() as http,
        http.get(f"{base}/api/accuracy", params={"period": period}) as answer,
    ):
        assert (answer.status, await answer.text()) == (400, "period must be hour or YYYY-MM-DD\n")


def a_day(date: str, *, share: float) -> list[Tally]:
    """Return figures of both routes: right ``share`` of the time, less so far ahead; route 2 with few predictions."""
    n_of = {"10": 4_000, "2": 20}
    return [
        Tally(
            service_date=date,
            route_id=route,
            told={
                ahead: Told(
                    n=n,
                    off_s=(25.0 + 30 * place) * n,
                    late_s=(6.0 - 8 * place) * n,
                    accurate=round(n * (share - 0.09 * place)),
                    bounded=n,
                    covered=round(0.79 * n),
                    width_s=90.0 * n,
                )
                for place, ahead in enumerate(("0-3", "3-6", "6-12", "12-30"))
            },
            passings=n // 4,
            foretold=n // 4 - 2,
            under_way=n // 5,
            foretold_under_way=n // 5,
            countdowns=n // 4,
            rises=n // 90,
            phantoms=n // 500,
            passed=n // 300,
        )
        for route, n in n_of.items()
    ]


async def with_figures(city: City) -> None:
    for number, (date, share) in enumerate((("2026-09-20", 0.83), (MONDAY, 0.94))):
        since_ms = SIX_MS + 12 * 5 * MINUTE_MS * number
        until_ms = since_ms + 12 * 5 * MINUTE_MS
        await add_slice(city.pool, Slice(since_ms=since_ms, until_ms=until_ms, tallies=a_day(date, share=share)))


@needs_browser_files
@pytest.mark.browser
async def test_the_page_shows_figures_by_route_in_three_languages_and_any_day(city: City, chromium: str) -> None:
    await with_figures(city)
    async with pages(city) as base, opened(chromium, language="ru-RU", width=1280, height=900) as (page, seen):
        await page.goto(base)
        await page.locator("#open-accuracy").click()
        await expect(page.locator("h1")).to_have_text("Насколько точны прогнозы")
        seen.errors.clear()  # the index asks for boards, which this test does not serve
        await expect(page.locator("#rows tr")).to_have_count(2)
        ten = page.locator("#rows tr", has=page.locator(".route-badge", has_text="10"))
        await expect(ten.locator("td").first).to_contain_text("94 % ●")
        await expect(ten.locator("td").nth(2)).to_contain_text("автобус раньше на 10 с")
        await expect(page.locator("#rows tr").first.locator("td").first).to_contain_text("мало данных")
        await expect(page.locator("#until")).to_have_text("Оценено до 08:00")
        await page.locator("#order").select_option("worst")
        await page.locator("#period").select_option("2026-09-20")
        await expect(ten.locator("td").first).to_contain_text("83 % ◐")
        assert "period=2026-09-20" in page.url
        await page.locator("#languages button", has_text="kk").click()
        await expect(page.locator("h1")).to_have_text("Болжам қаншалықты дәл")
        await expect(ten.locator("td").nth(3)).to_contain_text("нашар")
        await page.locator("#languages button", has_text="en").click()
        await expect(page.locator("#head th").nth(1)).to_have_text("0–3 min ahead")
        assert not seen.errors
        assert seen.hosts == {base.removeprefix("http://")}


@needs_browser_files
@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_phone_shows_every_route_as_a_card_that_can_be_read(city: City, chromium: str, theme: str) -> None:
    await with_figures(city)
    async with pages(city) as base, opened(chromium, width=390, height=844, theme=theme) as (page, seen):  # type: ignore[arg-type]
        await page.goto(f"{base}/accuracy?lang=kk")
        await expect(page.locator("#rows tr")).to_have_count(2)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        head = await page.locator("#rows td").first.evaluate("cell => getComputedStyle(cell, '::before').content")
        assert head == '"0–3 мин бұрын"'
        assert await low_contrasts(page) == []
        small = await page.locator("select, #languages button").evaluate_all(
            "all => all.filter(one => one.getBoundingClientRect().height < 24).length"
        )
        assert small == 0, "WCAG 2.5.8: targets of 24 px"
        assert not seen.errors


async def low_contrasts(page: Page) -> list[str]:
    """Return texts whose colour differs from what lies behind them by less than WCAG AA asks for (4.5 to 1)."""
    found: list[str] = await page.evaluate(Path(__file__).with_name("contrast.js").read_text())
    return found


@needs_browser_files
@pytest.mark.browser
async def test_before_the_first_figures_the_page_says_when_they_come(city: City, chromium: str) -> None:
    async with pages(city) as base, opened(chromium, language="en") as (page, _):
        await page.goto(f"{base}/accuracy")
        await expect(page.locator("#none")).to_contain_text("No figures yet")
        await expect(page.locator("#routes")).to_be_hidden()


def test_the_hour_shown_begins_on_a_monday() -> None:
    assert dt.datetime.fromtimestamp(SIX_MS / 1000, dt.UTC).isoformat() == "2026-09-21T01:00:00+00:00"
