"""The intake role: one server per protocol, one way to Redis."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

from redis.asyncio import Redis

from commons.clock import Clock
from commons.group_commit import group_commit
from commons.logs import get_logger
from commons.metrics import Metrics
from transit.intake.devices import Devices
from transit.intake.http import serve_http
from transit.intake.reception import IntakeSettings, Reception
from transit.intake.tcp import serve_tcp
from transit.keys import Keys
from transit.protocols import discover
from transit.protocols._base import GpsProtocol, HttpProtocol, TcpProtocol
from transit.store.redis_reports import ReportsWriter

__all__ = ["IntakeSettings", "serve_intake"]

_log: Final = get_logger(__name__)


async def serve_intake(
    settings: IntakeSettings,
    *,
    devices: Devices,
    redis: Redis,
    keys: Keys,
    clock: Clock,
    metrics: Metrics,
    stop: asyncio.Event,
    started: Callable[[Mapping[str, int]], None] | None = None,
) -> None:
    """Run intake until ``stop``; ``started`` is told the port of each protocol.

    Closing order: no new connections, no new bytes, the last batch written, its replies sent. Whatever Redis has not
    taken ``closing_s`` after ``stop`` is not acknowledged: its tracker sends it again.

    Raises:
        ValueError: if ``settings.ports`` names a protocol that does not exist.
        OSError: if a port cannot be had.
    """
    protocols = _chosen(settings.ports)
    writer = ReportsWriter(redis, keys, metrics)
    async with group_commit(writer.append, batch_max=settings.batch_max, waiting_max=settings.waiting_max) as commit:
        reception = Reception(settings, devices=devices, commit=commit, clock=clock, metrics=metrics)
        async with AsyncExitStack() as servers:
            ports: dict[str, int] = {}
            for protocol, port in protocols:
                if isinstance(protocol, TcpProtocol):
                    ports[protocol.name] = await servers.enter_async_context(serve_tcp(protocol, port, reception))
                elif isinstance(protocol, HttpProtocol):
                    ports[protocol.name] = await servers.enter_async_context(serve_http(protocol, port, reception))
            _log.info("intake open", host=settings.host, ports=ports, devices=len(devices))
            if started is not None:
                started(ports)
            await stop.wait()
            asyncio.get_running_loop().call_later(settings.closing_s, writer.give_up)
    _log.info("intake closed")


def _chosen(ports: Mapping[str, int]) -> list[tuple[GpsProtocol, int]]:
    known = discover()
    unknown = sorted(ports.keys() - known.keys())
    if unknown:
        raise ValueError(f"intake.ports: {', '.join(unknown)} must be one of {', '.join(sorted(known))}")
    return [(known[name], port) for name, port in ports.items()]
