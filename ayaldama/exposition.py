"""Metrics of all processes of one machine as one page: each process shows its own on a Unix socket.

Every sample carries the label ``process``, so that counters of two processes never mix.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from commons.logs import get_logger
from commons.metrics import Metrics

ANSWER_MAX_S: Final = 2.0
SUFFIX: Final = ".metrics"

_log = get_logger(__name__)


class _Merged(Collector):
    """The metrics of several processes, told apart by the label ``process``."""

    def __init__(self, by_process: Iterable[tuple[str, str]]) -> None:
        self._by_process = list(by_process)

    def collect(self) -> Iterable[Metric]:
        """Return one family per name, with the samples of all processes."""
        families: dict[str, Metric] = {}
        for process, text in self._by_process:
            for family in text_string_to_metric_families(text):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    merged.add_sample(
                        sample.name, {**sample.labels, "process": process}, sample.value, sample.timestamp
                    )
        return families.values()


def merge(by_process: Iterable[tuple[str, str]]) -> bytes:
    """Return the expositions of several processes, (name, text), as one."""
    registry = CollectorRegistry()
    registry.register(_Merged(by_process))
    return generate_latest(registry)


async def expositions(own: Metrics, sockets: Path | None, *, name: str = "web") -> bytes:
    """Return our metrics and those of the processes that show theirs in ``sockets``; one that is away is left out.

    ``name``: of our process.
    """
    found = [(name, own.exposition().decode())]
    if sockets is not None:
        shown = await asyncio.to_thread(lambda: sorted(sockets.glob(f"*{SUFFIX}")))
        others = [path for path in shown if path.stem != name]
        texts = await asyncio.gather(*(_fetch(path) for path in others))
        found += [(path.stem, text) for path, text in zip(others, texts, strict=True) if text is not None]
    return merge(found)


@asynccontextmanager
async def show_metrics(metrics: Metrics, *, name: str, sockets: Path) -> AsyncIterator[None]:
    """Show ``metrics`` of the process ``name`` on a socket in ``sockets`` while the block runs."""
    path = sockets / f"{name}{SUFFIX}"
    path.unlink(missing_ok=True)
    async with _serve_metrics(metrics) as runner:
        await web.UnixSite(runner, str(path)).start()
        path.chmod(0o600)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@asynccontextmanager
async def show_metrics_at(metrics: Metrics, *, host: str, port: int) -> AsyncIterator[int]:
    """Show ``metrics`` of a role alone at a port while the block runs; gives the port."""
    async with _serve_metrics(metrics) as runner:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])


@asynccontextmanager
async def _serve_metrics(metrics: Metrics) -> AsyncIterator[web.AppRunner]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(
            body=metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def _fetch(path: Path) -> str | None:
    timeout = aiohttp.ClientTimeout(total=ANSWER_MAX_S)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), timeout=timeout) as session,
            session.get("http://process/metrics") as answer,
        ):
            return await answer.text()
    except (OSError, aiohttp.ClientError, TimeoutError) as error:
        _log.warning("metrics of a process are missing", process=path.stem, error=repr(error))
        return None
