"""Positions per second through intake over real sockets, beside the floors of the same machine in the same run.

    python bench/intake.py [--seconds 4] [--trackers 400]

Intake, Valkey and the load generator are processes of their own. Each tracker keeps several packets under way, as one
with a backlog does, and counts a position when it is *acknowledged*, which is when Redis has it. Beside it: the same
bytes against a plain asyncio server that answers without looking, and XADD of entries as large as intake's.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvloop
from redis.asyncio import Redis

from ayaldama.embedded import open_home, start_valkey
from commons.clock import SystemClock
from commons.logs import configure_logs
from commons.metrics import Metrics
from transit.codec import encode_reports
from transit.intake.devices import DeviceRow, Devices, new_key, with_key
from transit.intake.serve import IntakeSettings, serve_intake
from transit.keys import Keys
from transit.model import PositionReport
from transit.protocols.wialon_ips import WialonIpsDecoder

KEYS = Keys("bench")
PACKET = b"#SD#210926;060530;4450.9280;N;06528.9380;E;28;90;120;9\r\n"
ACKNOWLEDGED = b"#ASD#1\r\n"
QUERY = "lat=44.8488&lon=65.4823&timestamp=1789970730&speed=15&bearing=90"


def intake_process(redis_url: str, trackers: int, key: str, ports: "multiprocessing.Queue[Any]") -> None:
    """Serve until killed."""
    configure_logs("bench", level="WARNING")

    async def serve() -> None:
        rows = [DeviceRow(device_id=f"{number}", vehicle_id=f"bus-{number}") for number in range(trackers)]
        await serve_intake(
            IntakeSettings(ports={"wialon_ips": 0, "osmand": 0}, reports_per_s=1e9, reports_burst=10**9),
            devices=Devices(with_key(row, key) for row in rows),
            redis=Redis.from_url(redis_url),
            keys=KEYS,
            clock=SystemClock(),
            metrics=Metrics(),
            stop=asyncio.Event(),
            started=lambda opened: ports.put(dict(opened)),
        )

    uvloop.run(serve())


def echo_process(ports: "multiprocessing.Queue[Any]") -> None:
    """Answer every packet without looking at it, until killed."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(b"#AL#1\r\n" if chunk.startswith(b"#L") else ACKNOWLEDGED * chunk.count(b"\n"))
            await writer.drain()

    async def serve() -> None:
        server = await asyncio.start_server(session, "127.0.0.1", 0, backlog=1_024)
        ports.put({"wialon_ips": server.sockets[0].getsockname()[1]})
        await server.serve_forever()

    uvloop.run(serve())


def load_process(port: int, trackers: int, depth: int, seconds: float, key: str, http: bool, result: Any) -> None:
    """Drive ``trackers`` connections for ``seconds``, ``depth`` packets under way on each; give what was answered."""

    async def tcp(number: int, until_s: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"#L#{number};{key}\r\n".encode())
        await reader.readline()
        acknowledged = 0
        while time.monotonic() < until_s:
            writer.write(PACKET * depth)
            await reader.readexactly(len(ACKNOWLEDGED) * depth)
            acknowledged += depth
        writer.close()
        return acknowledged

    async def requests(number: int, until_s: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET /?id={number}&key={key}&{QUERY} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        acknowledged = 0
        while time.monotonic() < until_s:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            acknowledged += head.startswith(b"HTTP/1.1 200")
        writer.close()
        return acknowledged

    async def drive() -> tuple[int, float]:
        began_s = time.monotonic()
        one = requests if http else tcp
        counts = await asyncio.gather(*(one(number, began_s + seconds) for number in range(trackers)))
        return sum(counts), time.monotonic() - began_s

    result.put(uvloop.run(drive()))


@dataclass(frozen=True, slots=True)
class Figure:
    """Positions per second as measured, and per second of one core of the server: the latter bears a busy machine."""

    per_s: float
    per_core_s: float


def measure(serve: Callable[..., None], arguments: tuple[Any, ...], load: Callable[[dict[str, int]], Any]) -> Figure:
    """Return what a server process acknowledges under the load of another process."""
    spawn = multiprocessing.get_context("spawn")
    ports, result = spawn.Queue(), spawn.Queue()
    server = spawn.Process(target=serve, args=(*arguments, ports), daemon=True)
    server.start()
    opened = ports.get(timeout=20)
    used = psutil.Process(server.pid)
    before = used.cpu_times()
    driver = spawn.Process(target=load_process, args=(*load(opened), result), daemon=True)
    driver.start()
    count, elapsed_s = result.get(timeout=60)
    after = used.cpu_times()
    driver.join()
    server.terminate()
    server.join()
    cpu_s = after.user + after.system - before.user - before.system
    return Figure(count / elapsed_s, count / cpu_s)


async def raw_xadd(url: str, batch: int, seconds: float) -> Figure:
    """Return what XADD alone takes, in entries of ``batch`` reports, encoding included."""
    report = PositionReport(
        vehicle_id="bus-1", fix_ms=1, received_ms=2, lat=44.8, lon=65.4, speed_mps=7.0, heading_deg=90.0
    )
    redis = Redis.from_url(url)
    began_s, began_cpu_s, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began_s < seconds:
        await redis.xadd("floor", {b"b": encode_reports([report] * batch)}, maxlen=1_000)
        count += batch
    await redis.aclose()
    return Figure(count / (time.monotonic() - began_s), count / (time.process_time() - began_cpu_s))


def decoder_alone(seconds: float) -> Figure:
    """Return what the Wialon decoder takes without any socket."""
    decoder = WialonIpsDecoder()
    decoder.feed(b"#L#1;k\r\n", 0)
    decoder.accept()
    began_s, began_cpu_s, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began_s < seconds:
        for _ in range(100):
            decoder.feed(PACKET, 0)
        count += 100
    return Figure(count / (time.monotonic() - began_s), count / (time.process_time() - began_cpu_s))


def main() -> int:
    """Print all figures, and as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of the six measurements")
    parser.add_argument("--trackers", type=int, default=400)
    options = parser.parse_args()
    configure_logs("bench", level="WARNING")
    seconds, trackers, key = options.seconds, options.trackers, new_key()
    figures: dict[str, Figure] = {}

    def tcp(depth: int) -> Callable[[dict[str, int]], Any]:
        return lambda ports: (ports["wialon_ips"], trackers, depth, seconds, key, False)

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = start_valkey(open_home(Path(folder)))
        try:
            served = (server.url, trackers, key)
            figures["tcp, one packet under way"] = measure(intake_process, served, tcp(1))
            figures["tcp, ten packets under way"] = measure(intake_process, served, tcp(10))
            figures["http, one request under way"] = measure(
                intake_process, served, lambda ports: (ports["osmand"], trackers, 1, seconds, key, True)
            )
            figures["floor: asyncio server that does not look, one under way"] = measure(echo_process, (), tcp(1))
            figures["floor: asyncio server that does not look, ten under way"] = measure(echo_process, (), tcp(10))
            figures["floor: XADD of 400 reports"] = asyncio.run(raw_xadd(server.url, 400, seconds / 2))
            figures["floor: decoder alone"] = decoder_alone(seconds / 4)
        finally:
            server.stop()
    print(f"intake: positions acknowledged after Redis has them, {trackers} connections")
    print(f"  {'':<60}{'per second':>12}{'per second of a core':>22}")
    for name, figure in figures.items():
        print(f"  {name:<60}{figure.per_s:>12,.0f}{figure.per_core_s:>22,.0f}")
    print(
        json.dumps({name: {"per_s": round(f.per_s), "per_core_s": round(f.per_core_s)} for name, f in figures.items()})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
