"""The application around the rooms' routes: headers, limits, health, metrics, description."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from ayaldama.exposition import merge, show_metrics
from ayaldama.health import Part, Readiness
from ayaldama.http import ADDRESSES_MAX, RequestLimit, application, serve_application
from ayaldama.openapi import Operation
from ayaldama.settings import Web
from commons.metrics import Metrics

WELL = Part(ok=True, detail="answers")


class FixedHealth:
    """Says what it was told to say."""

    def __init__(self, tracking: Part = WELL) -> None:
        self.tracking = tracking

    async def readiness(self) -> Readiness:
        return Readiness(ok=self.tracking.ok, redis=WELL, postgres=WELL, gtfs=WELL, tracking=self.tracking)


async def answer_much(request: web.Request) -> web.Response:
    return web.json_response({"stops": ["аялдама"] * 1_000})


async def answer_body(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def break_down(request: web.Request) -> web.Response:
    raise KeyError("secret detail")


ROUTES = (
    web.get("/api/much/{what}", answer_much),
    web.post("/api/body", answer_body),
    web.get("/api/broken", break_down),
    web.get("/page", answer_much),
)

OPERATIONS = [Operation(path=one.path, method=one.method, summary="Tried here", answer=None) for one in ROUTES]


@asynccontextmanager
async def site(
    metrics: Metrics | None = None,
    *,
    health: FixedHealth | None = None,
    settings: Web | None = None,
    sockets: Path | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    app = application(
        ROUTES,
        OPERATIONS,
        health=health or FixedHealth(),
        metrics=metrics or Metrics(),
        settings=settings or Web(),
        sockets=sockets,
    )
    async with (
        serve_application(app, host="127.0.0.1", port=0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", auto_decompress=False) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/page", "/api/much/1", "/nowhere", "/api/broken", "/healthz"])
async def test_every_answer_tells_the_browser_to_trust_only_us(path: str) -> None:
    async with site() as client, client.get(path) as answer:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in answer.headers


async def test_an_error_of_ours_is_counted_and_keeps_its_details_to_itself() -> None:
    metrics = Metrics()
    async with site(metrics) as client, client.get("/api/broken") as answer:
        assert (answer.status, await answer.text()) == (500, "error")
    assert b'ayaldama_role_errors_total{role="web",where="request"} 1.0' in metrics.exposition()


async def test_the_api_is_limited_per_address_and_pages_are_not() -> None:
    async with site(settings=Web(requests_per_s=0.1, requests_burst=2)) as client:
        statuses = []
        for _ in range(3):
            async with client.get("/api/much/1") as answer:
                statuses.append(answer.status)
        assert statuses == [200, 200, 429]
        assert 1 <= int(answer.headers["Retry-After"]) <= 11
        async with client.get("/page") as answer:
            assert answer.status == 200


async def test_behind_a_proxy_the_address_is_what_the_proxy_saw() -> None:
    async with site(settings=Web(requests_per_s=0.1, requests_burst=1, behind_proxy=True)) as client:
        for forwarded, status in (("10.0.0.1", 200), ("10.0.0.2", 200), ("6.6.6.6, 10.0.0.1", 429)):
            async with client.get("/api/much/1", headers={"X-Forwarded-For": forwarded}) as answer:
                assert answer.status == status, forwarded


async def test_a_body_too_large_is_refused() -> None:
    async with site() as client, client.post("/api/body", data=b"x" * 100_000) as answer:
        assert answer.status == 413


async def test_large_answers_are_compressed_for_those_who_can_read_it() -> None:
    async with site() as client:
        async with client.get("/api/much/1", headers={"Accept-Encoding": "gzip"}) as answer:
            body = await answer.read()
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Vary"] == "Accept-Encoding"
        async with client.get("/api/much/1", headers={"Accept-Encoding": "identity"}) as answer:
            plain = await answer.read()
            assert "Content-Encoding" not in answer.headers
    assert len(body) < len(plain) / 5
    assert gzip.decompress(body) == plain


@pytest.mark.parametrize(("tracking", "status"), [(WELL, 200), (Part(ok=False, detail="spoke 60 s ago"), 503)])
async def test_ready_says_what_is_not_well(tracking: Part, status: int) -> None:
    async with site(health=FixedHealth(tracking)) as client, client.get("/readyz") as answer:
        assert answer.status == status
        assert json.loads(await answer.read())["tracking"] == {"ok": tracking.ok, "detail": tracking.detail}


async def test_requests_are_counted_by_route_never_by_path() -> None:
    metrics = Metrics()
    async with site(metrics) as client:
        for path in ("/api/much/1", "/api/much/2", "/no/where", "/no/where/else"):
            async with client.get(path):
                pass
    shown = metrics.exposition().decode()
    assert 'ayaldama_http_requests_total{route="/api/much/{what}",status="200"} 2.0' in shown
    assert 'ayaldama_http_requests_total{route="unknown",status="404"} 2.0' in shown


async def test_the_metrics_page_has_all_processes_and_leaves_out_the_dead(tmp_path: Path) -> None:
    intake = Metrics()
    intake.count("intake_reports_total", 3, protocol="osmand", outcome="stored")
    (tmp_path / "tracking.metrics").touch()
    async with (
        show_metrics(intake, name="intake", sockets=tmp_path),
        site(sockets=tmp_path) as client,
        client.get("/metrics") as answer,
    ):
        shown = await answer.text()
    assert 'ayaldama_intake_reports_total{outcome="stored",process="intake",protocol="osmand"} 3.0' in shown
    assert 'process="web"' in shown
    assert 'process="tracking"' not in shown


def test_merged_counters_of_two_processes_stay_apart() -> None:
    metrics = Metrics()
    metrics.count("tracking_stop_events_total", 2)
    metrics.observe("tracking_advance_seconds", 0.02)
    text = metrics.exposition().decode()
    merged = merge([("a", text), ("b", text)]).decode()
    assert merged.count("# TYPE ayaldama_tracking_stop_events_total counter") == 1
    assert 'ayaldama_tracking_stop_events_total{process="a"} 2.0' in merged
    assert 'ayaldama_tracking_stop_events_total{process="b"} 2.0' in merged
    assert 'ayaldama_tracking_advance_seconds_bucket{le="0.025",process="b"} 1.0' in merged


def test_a_bucket_fills_again_with_time() -> None:
    limit = RequestLimit(per_s=2, burst=2)
    assert [limit.wait_s("a", 0.0) for _ in range(3)] == [0, 0, 0.5]
    assert limit.wait_s("b", 0.0) == 0
    assert limit.wait_s("a", 0.6) == 0
    assert limit.wait_s("a", 0.6) > 0


def test_many_addresses_do_not_fill_the_memory() -> None:
    limit = RequestLimit(per_s=1, burst=1)
    for number in range(ADDRESSES_MAX + 100):
        limit.wait_s(str(number), 0.0)
    assert len(limit._buckets) == ADDRESSES_MAX
